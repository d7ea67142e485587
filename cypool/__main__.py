"""The command line: ``cypool pool`` pools a picture, ``cypool info`` shows how cypool was built."""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import cypool
from cypool.pictures import (
    PICTURE_SUFFIXES,
    Picture,
    PictureError,
    Window,
    encode_picture,
    optional,
    pool_picture,
    prewitt_edges,
    read_picture,
    write_files,
)

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
FIGURE_STEPS = 12  # more panels cannot be told apart on a page
NAMES = {"max": "max", "min": "min", "avg": "average"}

Report = Callable[..., None]


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The arguments after the program's name; those of the process by default.

    Returns
    -------
    int
        The exit code: 0, or 2 after an error and 130 after Ctrl-C, both with one line on stderr.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no remarks about its font cache among our messages
    try:
        options = _parser().parse_args(argv)
        options.run(options)
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)
    except KeyboardInterrupt:
        print("cypool: interrupted", file=sys.stderr)
        return 130
    except (PictureError, OSError, MemoryError) as error:
        print("cypool: error:", " ".join(_explain(error).split()), file=sys.stderr)
        return 2
    return 0


def _explain(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


# Arguments


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise PictureError(message)


def _parser() -> _Parser:
    parser = _Parser("cypool", description="Pooling for NumPy arrays: max, min and average pooling of pictures.")
    parser.set_defaults(run=_no_command)
    parser.add_argument("--version", action="version", version=f"cypool {cypool.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    info = commands.add_parser("info", help="show the version, the compiled builds and the threads in use")
    info.set_defaults(run=_info)
    pool = commands.add_parser("pool", help="pool a PNG or JPEG picture", description=_pool.__doc__)
    pool.set_defaults(run=_pool)
    pool.add_argument("picture", metavar="PICTURE", type=Path, help="PNG or JPEG: grey or colour, 8 or 16 bit")
    _add_pooling(pool)
    _add_outputs(pool)
    return parser


def _add_pooling(pool: argparse.ArgumentParser) -> None:
    group = pool.add_argument_group("pooling")
    group.add_argument("--op", choices=list(NAMES), help="the reduction; default: max")
    group.add_argument("--kernel", metavar="K|H,W", type=_pair, default=(2, 2), help="the window; default: 2")
    group.add_argument("--stride", metavar="S|H,W", type=_pair, help="the step between windows; default: the kernel")
    group.add_argument(
        "--padding", metavar="P|H,W", type=_padding, default=(0, 0), help="never counted in an average; default: 0"
    )
    group.add_argument("--ceil", action="store_true", help="keep the last, incomplete windows")
    group.add_argument("--repeat", metavar="N", type=_count, default=1, help="pool N times; default: 1")
    group.add_argument("--threads", metavar="N", type=_count, help="threads; default: all that cypool may use")


def _add_outputs(pool: argparse.ArgumentParser) -> None:
    group = pool.add_argument_group("output (at least one of -o and --figure)")
    group.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="the pooled picture: .png, .jpg or .jpeg, in the input's depth"
    )
    group.add_argument(
        "--figure", metavar="FIG", type=Path, help="every step side by side with its size: .png, .pdf or .svg"
    )
    group.add_argument("--compare", action="store_true", help="in the figure, average pooling below max pooling")
    group.add_argument("--edges", action="store_true", help="pool the picture's edges, found by a Prewitt filter")


def _pair(text: str, least: int = 1) -> tuple[int, int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise argparse.ArgumentTypeError(f"must be one integer or two as in 2,3, got {text!r}")
    if min(numbers) < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
    return numbers[0], numbers[-1]


def _padding(text: str) -> tuple[int, int]:
    return _pair(text, least=0)


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text!r}")
    return number


# Commands


def _no_command(options: argparse.Namespace) -> None:
    raise PictureError("no command: pool or info (cypool --help tells more)")


def _info(options: argparse.Namespace) -> None:
    cypool.show_config()


def _pool(options: argparse.Namespace) -> None:
    """Pool a PNG or JPEG picture, every channel by itself. Pairs are height,width."""
    _check(options)
    window = Window(options.kernel, options.stride or options.kernel, options.padding, options.ceil)
    ops = ["max", "avg"] if options.compare else [options.op or "max"]
    with _progress(3 + len(ops) * options.repeat) as report:
        report("reading")
        picture = read_picture(options.picture, lambda share: report("reading", share))
        start = {_original(picture.pixels): picture.pixels}
        if options.edges:
            picture = Picture(prewitt_edges(picture.pixels))
            start["Prewitt edges"] = picture.pixels
        _check_sizes(picture.pixels.shape, window, options.repeat)
        rows = {op: _steps(picture.pixels, op, window, options, report) for op in ops}
        contents = {}
        if options.figure:
            report("drawing")
            contents[options.figure] = _draw(start, rows, window, options)
            report("drawing", 1)
        if options.output:
            report("writing")
            pooled = picture._replace(pixels=rows[options.op or "max"][-1])
            suffix = options.output.suffix.lower()
            contents[options.output] = encode_picture(pooled, suffix, lambda share: report("writing", share))
        write_files(contents)


def _check(options: argparse.Namespace) -> None:
    """Refuse, before any work, what cannot end well."""
    if not options.output and not options.figure:
        raise PictureError("nothing to write: give -o OUT.png, --figure FIG.png or both")
    if options.compare and not options.figure:
        raise PictureError("--compare needs --figure FIG.png")
    if options.compare and options.op == "min":
        raise PictureError("--compare shows max and average: leave out --op min")
    if options.figure and options.repeat > FIGURE_STEPS:
        raise PictureError(f"--figure shows at most {FIGURE_STEPS} steps, got --repeat {options.repeat}")
    outputs = [(options.output, PICTURE_SUFFIXES), (options.figure, FIGURE_SUFFIXES)]
    for path, suffixes in outputs:
        if path is not None:
            _check_target(path, suffixes, options.picture)
    if options.output and options.figure and os.path.realpath(options.output) == os.path.realpath(options.figure):
        raise PictureError(f"{options.output}: is both -o and --figure")


def _check_target(path: Path, suffixes: tuple[str, ...], picture: Path) -> None:
    if path.suffix.lower() not in suffixes:
        raise PictureError(f"{path}: must end in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise PictureError(f"{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise PictureError(f"{path}: the folder {folder} is not writable")
    if path.exists() and not path.is_file():
        raise PictureError(f"{path}: is not a regular file")
    if path.exists() and picture.exists() and path.samefile(picture):
        raise PictureError(f"{path}: is the input, which is never overwritten")


def _check_sizes(shape: tuple[int, ...], window: Window, repeat: int) -> None:
    """Refuse, before any pooling, windows that a step's picture cannot hold."""
    for step in range(1, repeat + 1):
        place = f"step {step} of {repeat}: " if repeat > 1 else ""
        height, width = (size + 2 * pad for size, pad in zip(shape, window.padding, strict=False))
        if not window.ceil_mode and (window.kernel_size[0] > height or window.kernel_size[1] > width):
            kernel, size = _size(window.kernel_size, "x"), _size(shape, "x")
            padded = " with its padding" if any(window.padding) else ""
            raise PictureError(f"{place}the kernel {kernel} is larger than the picture {size}{padded}")
        before = shape
        try:
            shape = cypool.output_shape((1, *shape), **window._asdict(), data_format="channels_last")[1:]
        except (ValueError, TypeError, OverflowError) as error:
            raise PictureError(f"{place}{error}") from error
        if shape == before:
            return


def _steps(
    pixels: np.ndarray, op: str, window: Window, options: argparse.Namespace, report: Report
) -> list[np.ndarray]:
    """Every step where a figure needs it, else the last alone."""
    steps: list[np.ndarray] = []
    for step in range(1, options.repeat + 1):
        phase = f"{NAMES[op]} pooling, step {step}"
        report(phase)
        try:
            pixels = pool_picture(pixels, op, window, options.threads)
        except (ValueError, TypeError, OverflowError) as error:
            raise PictureError(str(error)) from error
        report(phase, 1)
        steps = [*steps, pixels] if options.figure else [pixels]
    return steps


def _draw(start: dict[str, np.ndarray], rows: dict[str, Any], window: Window, options: argparse.Namespace) -> bytes:
    optional("matplotlib")
    from cypool.plotting import figure_bytes, steps_figure

    names = " and ".join(NAMES[op] for op in rows).capitalize()
    details = [f"kernel {_size(window.kernel_size)}", f"stride {_brief(window.stride)}"]
    if any(window.padding):
        details.append(f"padding {_brief(window.padding)}")
    if window.ceil_mode:
        details.append("ceil mode")
    title = f"{names} pooling, {', '.join(details)}"
    figure = steps_figure(start, {NAMES[op]: steps for op, steps in rows.items()}, title=title)
    return figure_bytes(figure, options.figure.suffix.lower())


def _size(shape: tuple[int, ...], by: str = "×") -> str:
    return f"{shape[0]} {by} {shape[1]}"


def _brief(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else _size(pair)


def _original(pixels: np.ndarray) -> str:
    return "original" if pixels.shape[0] == pixels.shape[1] else "original, height × width"


# Progress


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Report]:
    """A bar on stderr: only on a terminal, and only once the work has taken a second."""
    if not sys.stderr.isatty():
        yield lambda phase, share=0.0: None
        return
    layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}"
    with optional("tqdm").tqdm(total=total, delay=1, leave=False, bar_format=layout) as bar:

        def report(phase: str, share: float = 0.0) -> None:
            bar.set_description_str(phase, refresh=False)
            bar.update(share)
            if not share and bar.format_dict["elapsed"] > 1:
                bar.refresh()  # a new phase shows at once

        yield report


if __name__ == "__main__":
    sys.exit(main())
