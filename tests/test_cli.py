"""The command line: every kind of picture, every option, every error."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import cypool
from cypool.__main__ import main

pil = pytest.importorskip("PIL.Image")

HEIGHT, WIDTH = 11, 14


# An independent pooling: exact, one window at a time


def pooled(pixels, op, kernel=(2, 2), stride=None, padding=(0, 0), ceil=False):
    """Pool a picture of shape (H, W, C) as the definition says."""
    stride = stride or kernel
    axes = [
        list(starts(size, *numbers, ceil))
        for size, *numbers in zip(pixels.shape, kernel, stride, padding, strict=False)
    ]
    reduce = {"max": lambda w: w.max((0, 1)), "min": lambda w: w.min((0, 1)), "avg": mean}[op]
    windows = [[pixels[top[0] : top[1], left[0] : left[1]] for left in axes[1]] for top in axes[0]]
    return np.array([[reduce(window) for window in row] for row in windows], pixels.dtype)


def starts(size, kernel, stride, padding, ceil):
    """First and past-the-end element of each window of an axis, padding left out."""
    first = -padding
    while first + kernel <= size + padding or (ceil and first < size and first + kernel - stride < size + padding):
        yield max(first, 0), min(first + kernel, size)
        first += stride


def mean(window):
    """Exact mean of each channel, rounded half to even."""
    return [round(Fraction(int(channel.sum(dtype=np.int64)), channel.size)) for channel in np.moveaxis(window, -1, 0)]


# Pictures of every kind: each writer returns the pixels that the file means


def noise(channels, dtype):
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max, (HEIGHT, WIDTH, channels), dtype, endpoint=True)


def plain(channels, dtype=np.uint8):
    def write(path):
        pixels = noise(channels, dtype)
        pil.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path)
        return pixels

    return write


def deep(channels, **options):
    def write(path):
        png = pytest.importorskip("png")
        pixels = noise(channels, np.uint16)
        writer = png.Writer(WIDTH, HEIGHT, greyscale=channels < 3, alpha=channels in (2, 4), bitdepth=16, **options)
        with open(path, "wb") as file:
            writer.write(file, pixels.reshape(HEIGHT, -1).tolist())
        return pixels

    return write


def transparent_grey(depth):
    def write(path):
        png = pytest.importorskip("png")
        values = noise(1, np.uint16).astype(int) % 2**depth
        values[2:5, 3:9] = 1
        with open(path, "wb") as file:
            writer = png.Writer(WIDTH, HEIGHT, greyscale=True, bitdepth=depth, transparent=1)
            writer.write(file, values[..., 0].tolist())
        dtype = np.uint16 if depth == 16 else np.uint8
        limit = np.iinfo(dtype).max
        return np.concatenate((values * (limit // (2**depth - 1)), np.where(values == 1, 0, limit)), -1).astype(dtype)

    return write


def one_bit(path):
    pixels = np.where(noise(1, np.uint8) > 127, np.uint8(255), np.uint8(0))
    pil.fromarray(pixels[..., 0]).convert("1").save(path)
    return pixels


def four_bits(path):
    png = pytest.importorskip("png")
    pixels = noise(1, np.uint8) // 16
    with open(path, "wb") as file:
        png.Writer(WIDTH, HEIGHT, greyscale=True, bitdepth=4).write(file, pixels[..., 0].tolist())
    return pixels * np.uint8(17)


def palette(path):
    image = pil.fromarray(noise(3, np.uint8)).quantize(16)
    image.save(path)
    return np.asarray(image.convert("RGB"))


def palette_with_alpha(path):
    image = pil.fromarray(noise(3, np.uint8)).quantize(16)
    image.save(path, transparency=bytes(range(0, 256, 16)))
    index = np.asarray(image)
    colours = np.array(image.getpalette()).reshape(-1, 3)
    return np.concatenate((colours[index], 16 * index[..., np.newaxis].astype(int)), -1).astype(np.uint8)


def transparent_colour(path):
    pixels = noise(3, np.uint8)
    pixels[2:5, 3:9] = 9, 99, 199
    pil.fromarray(pixels).save(path, transparency=(9, 99, 199))
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[2:5, 3:9] = 0
    return np.concatenate((pixels, alpha), -1)


def deep_transparent_colour(path):
    png = pytest.importorskip("png")
    pixels = noise(3, np.uint16)
    pixels[2:5, 3:9] = 9, 9999, 19999
    with open(path, "wb") as file:
        writer = png.Writer(WIDTH, HEIGHT, greyscale=False, bitdepth=16, transparent=(9, 9999, 19999))
        writer.write(file, pixels.reshape(HEIGHT, -1).tolist())
    alpha = np.full((HEIGHT, WIDTH, 1), 65535, np.uint16)
    alpha[2:5, 3:9] = 0
    return np.concatenate((pixels, alpha), -1)


def jpeg(mode):
    def write(path):
        pil.fromarray(noise(3, np.uint8)).convert(mode).save(path, quality=90)
        with pil.open(path) as image:
            pixels = np.asarray(image.convert("RGB" if mode == "CMYK" else mode))
        return pixels.reshape(HEIGHT, WIDTH, -1)

    return write


KINDS = {
    "grey.png": plain(1),
    "grey16.png": plain(1, np.uint16),
    "grey-alpha.png": plain(2),
    "grey-alpha16.png": deep(2),
    "rgb.png": plain(3),
    "rgb16.png": deep(3),
    "rgb16-interlaced.png": deep(3, interlace=True),
    "rgba.png": plain(4),
    "rgba16.png": deep(4),
    "one-bit.png": one_bit,
    "four-bits.png": four_bits,
    "palette.png": palette,
    "palette-alpha.png": palette_with_alpha,
    "transparent-colour.png": transparent_colour,
    "transparent-colour16.png": deep_transparent_colour,
    **{f"transparent-grey{depth}.png": transparent_grey(depth) for depth in (1, 2, 4, 8, 16)},
    "grey.jpg": jpeg("L"),
    "rgb.jpeg": jpeg("RGB"),
    "cmyk.jpg": jpeg("CMYK"),
}


def pixels_of(path):
    """Read a result: shape (H, W, C), without cypool's own reader."""
    data = path.read_bytes()
    if data[24] == 16 and data[25] != 0:
        width, height, rows, _ = pytest.importorskip("png").Reader(bytes=data).read()
        return np.array([list(row) for row in rows], np.uint16).reshape(height, width, -1)
    with pil.open(path) as image:
        pixels = np.asarray(image)
    if data[24] == 16:
        pixels = pixels.astype(np.uint16)  # older versions of Pillow say int32
    return pixels.reshape(*pixels.shape[:2], -1)


def run(capsys, *arguments):
    """Run the command line in this process: exit code, stdout, stderr."""
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    pil.fromarray(noise(3, np.uint8)).save(path)
    return path


# Pooling


@pytest.mark.parametrize("op", ["max", "min", "avg"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture(tmp_path, capsys, kind, op):
    source, target = tmp_path / kind, tmp_path / "out.png"
    pixels = KINDS[kind](source)
    assert run(capsys, "pool", source, "--op", op, "-o", target) == (0, "", "")
    result = pixels_of(target)
    assert result.dtype == pixels.dtype
    np.testing.assert_array_equal(result, pooled(pixels, op))


@pytest.mark.parametrize("op", ["max", "min", "avg"])
@pytest.mark.parametrize(
    ("options", "window"),
    [
        (["--kernel", "3"], {"kernel": (3, 3)}),
        (["--kernel", "1,4"], {"kernel": (1, 4)}),
        (["--kernel", "3", "--stride", "2,1"], {"kernel": (3, 3), "stride": (2, 1)}),
        (["--kernel", "3", "--padding", "1"], {"kernel": (3, 3), "padding": (1, 1)}),
        (["--kernel", "3,5", "--stride", "2", "--padding", "0,2"], dict(kernel=(3, 5), stride=(2, 2), padding=(0, 2))),
        (["--kernel", "3", "--stride", "2", "--ceil"], {"kernel": (3, 3), "stride": (2, 2), "ceil": True}),
        (["--kernel", "4", "--padding", "1", "--ceil"], {"kernel": (4, 4), "padding": (1, 1), "ceil": True}),
        (["--kernel", f"{HEIGHT},{WIDTH}"], {"kernel": (HEIGHT, WIDTH)}),
    ],
)
def test_windows(tmp_path, capsys, photo, op, options, window):
    target = tmp_path / "out.png"
    assert run(capsys, "pool", photo, "--op", op, *options, "-o", target) == (0, "", "")
    np.testing.assert_array_equal(pixels_of(target), pooled(noise(3, np.uint8), op, **window))


def test_max_of_two_by_two_is_the_default(tmp_path, capsys, photo):
    target = tmp_path / "out.png"
    assert run(capsys, "pool", photo, "-o", target)[0] == 0
    np.testing.assert_array_equal(pixels_of(target), pooled(noise(3, np.uint8), "max"))


@pytest.mark.parametrize("op", ["max", "min", "avg"])
def test_repeat_pools_the_pooled(tmp_path, capsys, photo, op):
    target = tmp_path / "out.png"
    assert run(capsys, "pool", photo, "--op", op, "--repeat", 3, "--threads", 2, "-o", target) == (0, "", "")
    expected = noise(3, np.uint8)
    for _ in range(3):
        expected = pooled(expected, op)
    np.testing.assert_array_equal(pixels_of(target), expected)


def test_padding_does_not_darken_the_border(tmp_path, capsys):
    source, target = tmp_path / "white.png", tmp_path / "out.png"
    pil.new("L", (9, 9), 255).save(source)
    assert run(capsys, "pool", source, "--op", "avg", "--kernel", 3, "--padding", 1, "--ceil", "-o", target)[0] == 0
    assert (pixels_of(target) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, capsys, orientation):
    from PIL import ImageOps

    source, target = tmp_path / "turned.jpg", tmp_path / "out.png"
    exif = pil.Exif()
    exif[0x0112] = orientation
    pil.fromarray(noise(3, np.uint8)).save(source, exif=exif)
    assert run(capsys, "pool", source, "--kernel", "2,3", "-o", target) == (0, "", "")
    with pil.open(source) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(pixels_of(target), pooled(upright, "max", (2, 3)))


@pytest.mark.parametrize("kind", ["rgb.png", "rgb16.png"])
def test_colour_profile_is_kept(tmp_path, capsys, kind):
    profile = bytes(16) + b"RGB " + bytes(300)
    source, target = tmp_path / kind, tmp_path / "out.png"
    KINDS[kind](source)
    data = source.read_bytes()
    source.write_bytes(data[:33] + iccp_chunk(profile) + data[33:])
    assert run(capsys, "pool", source, "-o", target) == (0, "", "")
    with pil.open(target) as image:
        assert image.info["icc_profile"] == profile
    np.testing.assert_array_equal(pixels_of(target), pooled(noise(3, pixels_of(target).dtype), "max"))


def iccp_chunk(profile):
    import struct
    import zlib

    chunk = b"iCCPname\0\0" + zlib.compress(profile)
    return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_edges_are_prewitt_and_grey(tmp_path, capsys):
    source, target = tmp_path / "grey.png", tmp_path / "out.png"
    pixels = plain(1)(source)
    assert run(capsys, "pool", source, "--edges", "--op", "avg", "-o", target) == (0, "", "")
    padded = np.pad(pixels[..., 0].astype(int), 1, mode="edge")
    edges = np.empty_like(pixels)
    for y, x in np.ndindex(HEIGHT, WIDTH):
        window = padded[y : y + 3, x : x + 3]
        across, down = (window[:, 2] - window[:, 0]).sum(), (window[2] - window[0]).sum()
        edges[y, x] = min(255, round(float(np.hypot(across, down))))
    np.testing.assert_array_equal(pixels_of(target), pooled(edges, "avg"))


def test_writes_jpeg(tmp_path, capsys, photo):
    target = tmp_path / "OUT.JPG"
    assert run(capsys, "pool", photo, "--kernel", 3, "-o", target) == (0, "", "")
    with pil.open(target) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (WIDTH // 3, HEIGHT // 3))


def test_overwrites_an_older_result(tmp_path, capsys, photo):
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    assert run(capsys, "pool", photo, "-o", target)[0] == 0
    assert pixels_of(target).shape == (HEIGHT // 2, WIDTH // 2, 3)
    assert sorted(os.listdir(tmp_path)) == ["out.png", "photo.png"]


# Figures


@pytest.mark.parametrize("options", [[], ["--compare"], ["--edges"], ["--compare", "--edges", "--op", "avg"]])
@pytest.mark.parametrize(
    ("kind", "suffix"), [("rgb.png", "png"), ("rgba16.png", "png"), ("grey-alpha.png", "pdf"), ("grey16.png", "svg")]
)
def test_figure(tmp_path, capsys, kind, suffix, options):
    pytest.importorskip("matplotlib")
    source, target, figure = tmp_path / kind, tmp_path / "out.png", tmp_path / f"steps.{suffix}"
    KINDS[kind](source)
    assert run(capsys, "pool", source, "--repeat", 2, "--figure", figure, "-o", target, *options) == (0, "", "")
    magic = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    assert figure.read_bytes().startswith(magic)
    assert pixels_of(target).shape[:2] == (HEIGHT // 4, WIDTH // 4)


def test_figure_alone(tmp_path, capsys, photo):
    pytest.importorskip("matplotlib")
    assert run(capsys, "pool", photo, "--figure", tmp_path / "steps.png") == (0, "", "")
    assert sorted(os.listdir(tmp_path)) == ["photo.png", "steps.png"]


def test_figure_tells_sizes_and_compression():
    pytest.importorskip("matplotlib")
    from cypool.plotting import steps_figure

    original, half, quarter = (np.zeros((size, 2 * size, 3), np.uint8) for size in (32, 16, 8))
    rows = {"max": [half, quarter], "average": [half, quarter]}
    figure = steps_figure({"original": original, "edges": original[..., 0]}, rows, title="Both")
    assert [axes.get_title() for axes in figure.axes] == ["32 × 64"] * 2 + ["16 × 32", "8 × 16"] * 2
    captions = [axes.get_xlabel() for axes in figure.axes]
    assert captions[:4] == ["original", "edges", "max, 1/4 of the pixels", "max, 1/16 of the pixels"]
    assert {(round(axes.bbox.width), round(axes.bbox.height)) for axes in figure.axes} == {(400, 200)}
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(3000, 1700), (3000, 40, 1), (40, 3000, 3), (1, 1, 4), (1700, 1700, 2)])
def test_figure_of_any_array(shape, dtype):
    pytest.importorskip("matplotlib")
    from cypool.plotting import figure_bytes, steps_figure

    picture = np.ones(shape, dtype)
    assert figure_bytes(steps_figure({"original": picture}, {"max": [picture[:1, :1]]}), ".png")


# Other commands


def test_info(capsys):
    code, out, err = run(capsys, "info")
    assert (code, err) == (0, "")
    assert cypool.__version__ in out


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"cypool {cypool.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["pool", "--help"]])
def test_help(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert out.isascii()  # a help text that every terminal can show


def test_as_a_process(tmp_path, photo):
    target = tmp_path / "out.png"
    command = [sys.executable, "-m", "cypool", "pool"]
    good = subprocess.run([*command, photo, "-o", target], cwd=tmp_path, capture_output=True, text=True)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    np.testing.assert_array_equal(pixels_of(target), pooled(noise(3, np.uint8), "max"))
    bad = subprocess.run([*command, tmp_path / "none.png", "-o", target], cwd=tmp_path, capture_output=True, text=True)
    assert bad.returncode == 2
    assert bad.stderr.startswith("cypool: error: ") and bad.stderr.count("\n") == 1


def test_importing_needs_numpy_only(tmp_path):
    code = "import sys, cypool.__main__; print({'PIL', 'matplotlib', 'tqdm', 'png'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True) == "set()\n"


# Errors: exit code 2, one line, nothing written


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(capsys, folder, *arguments, says):
    before = files(folder)
    code, out, err = run(capsys, "pool", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("cypool: error: ") and err.endswith("\n") and err.count("\n") == 1
    for words in [says] if isinstance(says, str) else says:
        assert words in err
    assert files(folder) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--kernel", "0"], ("--kernel", "at least 1, got 0")),
        (["--kernel", "-2"], ("--kernel", "at least 1, got -2")),
        (["--kernel", "two"], ("--kernel", "'two'")),
        (["--kernel", "2.5"], ("--kernel", "'2.5'")),
        (["--kernel", "2,2,2"], ("--kernel", "'2,2,2'")),
        (["--kernel", "12"], ("kernel 12 x 12", f"picture {HEIGHT} x {WIDTH}")),
        (["--kernel", str(2**70)], "larger than the picture"),
        (["--kernel", "2", "--repeat", "4"], ("step 4 of 4", "kernel 2 x 2", "picture 1 x 1")),
        (["--stride", "0"], ("--stride", "at least 1")),
        (["--padding", "-1"], ("--padding", "at least 0")),
        (["--padding", "2"], "padding"),
        (["--padding", str(2**70)], "padding"),
        (["--repeat", "0"], "--repeat"),
        (["--threads", "none"], "--threads"),
        (["--op", "median"], ("--op", "median")),
        (["--compare"], "--figure"),
        (["--sharpen"], "--sharpen"),
    ],
)
def test_wrong_options(tmp_path, capsys, photo, options, says):
    assert_refused(capsys, tmp_path, photo, "-o", tmp_path / "out.png", *options, says=says)


@pytest.mark.parametrize("huge", [2**31, 2**62, 2**70])
@pytest.mark.parametrize("option", ["--kernel", "--stride", "--padding", "--threads"])
def test_huge_numbers(tmp_path, capsys, photo, option, huge):
    """Valid or refused in one line, as the library decides; never a traceback."""
    code, out, err = run(capsys, "pool", photo, "--ceil", option, huge, "-o", tmp_path / "out.png")
    assert out == ""
    assert (code, err) == (0, "") or (code == 2 and err.startswith("cypool: error: ") and err.count("\n") == 1)
    assert len(files(tmp_path)) == (2 if code == 0 else 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "nothing to write"),
        (["-o", "out.gif"], (".png, .jpg or .jpeg", "out.gif")),
        (["-o", "out"], ".png"),
        (["-o", "none/out.png"], "there is no folder"),
        (["-o", "photo.png/out.png"], "there is no folder"),
        (["-o", "photo.png"], "is the input"),
        (["-o", "link.png"], "is the input"),
        (["-o", "folder.png"], "not a regular file"),
        (["-o", "out.png", "--figure", "out.bmp"], (".png, .pdf or .svg", "out.bmp")),
        (["-o", "out.png", "--figure", "out.png"], "both -o and --figure"),
        (["--figure", "photo.png"], "is the input"),
        (["--figure", "out.png", "--repeat", "13"], "at most 12 steps"),
        (["--figure", "out.png", "--compare", "--op", "min"], "--op min"),
    ],
)
def test_wrong_outputs(tmp_path, capsys, photo, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    if "link.png" in options:
        try:
            (tmp_path / "link.png").symlink_to(photo)
        except OSError:
            pytest.skip("no symbolic links here")
    assert_refused(capsys, tmp_path, "photo.png", *options, says=says)


def test_unwritable_folder(tmp_path, capsys, photo):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert_refused(capsys, tmp_path, photo, "-o", folder / "out.png", says="not writable")
    folder.chmod(0o700)


def broken(kind, cut):
    def write(path):
        whole = path.with_name(kind)
        KINDS[kind](whole)
        data = whole.read_bytes()
        path.write_bytes(data[: int(len(data) * cut)])

    return write


def bomb(depth, colours):
    def write(path):
        import struct
        import zlib

        header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, depth, colours, 0, 0, 0)
        chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk + bytes.fromhex("0000000049444154 35af061e 0000000049454e44ae426082")
        )

    return write


WRONG_PICTURES = {
    "missing": (lambda path: None, "No such file"),
    "a folder": (lambda path: path.mkdir(), ""),
    "empty": (lambda path: path.write_bytes(b""), "not a PNG or JPEG"),
    "text": (lambda path: path.write_text("hello\n" * 100), "not a PNG or JPEG"),
    "GIF": (lambda path: pil.new("L", (9, 9)).save(path, "GIF"), "not a PNG or JPEG"),
    "bomb": (bomb(8, 2), "decompression bomb"),
    "bomb, 16 bits": (bomb(16, 2), "decompression bomb"),
    "half a JPEG": (broken("rgb.jpeg", 0.6), "damaged"),
    "half a PNG": (broken("rgb.png", 0.6), "damaged"),
    "half a PNG, 16 bits": (broken("rgb16.png", 0.6), "damaged"),
    "the head of a JPEG": (broken("rgb.jpeg", 0.02), ""),
    "the head of a PNG": (broken("rgb.png", 0.02), ""),
}


@pytest.mark.parametrize("wrong", WRONG_PICTURES)
def test_wrong_pictures(tmp_path, capsys, wrong):
    write, says = WRONG_PICTURES[wrong]
    source = tmp_path / "wrong.png"
    write(source)
    assert_refused(capsys, tmp_path, source, "-o", tmp_path / "out.png", says=("wrong.png", says))


@pytest.mark.parametrize(
    ("kind", "says"), [("grey16.png", "8 bits"), ("rgba.png", "alpha"), ("grey-alpha.png", "alpha")]
)
def test_what_jpeg_cannot_hold(tmp_path, capsys, kind, says):
    KINDS[kind](tmp_path / kind)
    assert_refused(capsys, tmp_path, tmp_path / kind, "-o", tmp_path / "out.jpg", says=(says, ".png"))


@pytest.mark.parametrize(
    ("module", "kind", "says"),
    [("PIL.Image", "rgb.png", "Pillow"), ("png", "rgb16.png", "pypng"), ("matplotlib", "rgb.png", "matplotlib")],
)
def test_missing_libraries(tmp_path, capsys, monkeypatch, module, kind, says):
    KINDS[kind](tmp_path / kind)
    monkeypatch.setitem(sys.modules, module, None)
    outputs = ["-o", tmp_path / "out.png", "--figure", tmp_path / "steps.png"]
    assert_refused(capsys, tmp_path, tmp_path / kind, *outputs, says=(says, 'pip install "cypool[cli]"'))


def test_no_command(capsys):
    for arguments in ([], ["pol"], ["pool"]):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("cypool: error: ") and err.count("\n") == 1


def test_a_name_with_a_line_break_is_one_line(tmp_path, capsys):
    assert_refused(capsys, tmp_path, tmp_path / "no\nsuch.png", "-o", tmp_path / "out.png", says="no such.png")


# Interruptions


@pytest.mark.parametrize("moment", ["cypool.__main__.read_picture", "cypool.__main__.pool_picture", "os.replace"])
@pytest.mark.parametrize(
    ("blow", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "cypool: interrupted\n"),
        (MemoryError(), 2, "cypool: error: not enough memory\n"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
    ],
)
def test_interrupted(tmp_path, capsys, photo, monkeypatch, moment, blow, code, says):
    def strike(*arguments, **options):
        raise blow

    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    before = files(tmp_path)
    monkeypatch.setattr(moment, strike)
    result, out, err = run(capsys, "pool", photo, "-o", target)
    assert (result, out) == (code, "")
    assert says in err and err.count("\n") == 1
    assert files(tmp_path) == before


def test_full_disk(tmp_path, photo):
    pytest.importorskip("resource")
    source, target = tmp_path / "noise.png", tmp_path / "out.png"
    pil.fromarray(np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)).save(source)
    before = files(tmp_path)
    code = (
        "import resource, sys; from cypool.__main__ import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)); "
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "pool", source, "-o", target]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"cypool: error: {target}: cannot be written: ") and done.stderr.count("\n") == 1
    assert files(tmp_path) == before


# Progress


@pytest.mark.parametrize("seconds", [0, 0.8])
def test_progress_bar_on_a_terminal(tmp_path, capsys, photo, monkeypatch, seconds):
    pytest.importorskip("tqdm")
    import time

    from cypool import pictures

    def slow(*arguments):
        time.sleep(seconds)
        return pictures.pool_picture(*arguments)

    monkeypatch.setattr("cypool.__main__.pool_picture", slow)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    code, out, err = run(capsys, "pool", photo, "--repeat", 2, "-o", tmp_path / "out.png")
    assert (code, out) == (0, "")
    assert ("max pooling, step 2" in err) == (seconds > 0)
