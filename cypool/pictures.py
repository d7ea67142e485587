"""Pictures as arrays: read and write PNG and JPEG files, pool them, find their edges.

A picture is an array of shape ``(height, width, channels)``, uint8 or uint16, with one channel for grey, two for grey
and alpha, three for red, green, blue and four for those and alpha. Files need the extra ``cypool[cli]``.
"""

import contextlib
import importlib
import io
import os
import secrets
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import cypool

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG and Pillow

# EXIF orientation -> the array turned upright
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


class PictureError(Exception):
    """A picture that cannot be read, pooled or written; the message is one line for the user."""


class Picture(NamedTuple):
    """Pixels of shape (height, width, channels) and the colour profile that tells what they mean, if any."""

    pixels: np.ndarray
    profile: bytes | None = None


class Window(NamedTuple):
    """Where the windows of a pooling lie: the arguments of `cypool.max_pool2d`, as pairs (height, width)."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    ceil_mode: bool = False


def optional(name: str) -> ModuleType:
    """Import an optional library, or tell how to install it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        project = {"PIL": "Pillow", "png": "pypng"}.get(name.split(".")[0], name)
        raise PictureError(f'{project} is needed and not installed: pip install "cypool[cli]"') from error


# Reading


def read_picture(path: str | os.PathLike[str], advance: Callable[[float], None] = lambda share: None) -> Picture:
    """Read a PNG or JPEG file.

    Palettes become RGB(A), one bit becomes grey, CMYK becomes RGB, a transparent colour becomes an alpha channel, and
    the EXIF orientation is applied.

    Parameters
    ----------
    path : str or path-like
        The file.
    advance : callable, optional
        Called now and then with the share of the work done since the last call; the shares sum to 1.

    Returns
    -------
    Picture
        Pixels of shape (height, width, channels) in the file's depth, uint8 or uint16, and its colour profile.

    Raises
    ------
    PictureError
        If the file is no PNG or JPEG picture, is damaged, or holds more pixels than Pillow allows.
    OSError
        If the file cannot be opened.
    """
    pil = optional("PIL.Image")
    with open(path, "rb") as file, warnings.catch_warnings(), _damage(path):
        warnings.simplefilter("ignore")  # the error limit on pixels stays; odd metadata is no reason to write on stderr
        with pil.open(file, formats=("PNG", "JPEG")) as image:
            upright = _upright(image)
            if _needs_pypng(file, image):
                profile = image.info.get("icc_profile")
                pixels = _read_deep_png(file, advance)
            else:
                pixels, profile = _read_with_pillow(image)
                advance(1)
    pixels = np.ascontiguousarray(upright(pixels))
    return Picture(pixels, profile if _describes(profile, pixels) else None)


def _upright(image: Any) -> Callable[[np.ndarray], np.ndarray]:
    """How to turn the pixels upright; a damaged EXIF block turns nothing."""
    orientation = 1
    with contextlib.suppress(Exception):
        orientation = image.getexif().get(0x0112)
    return UPRIGHT.get(orientation, lambda pixels: pixels)


@contextlib.contextmanager
def _damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever the decoders raise for bad files into one clear line."""
    import PIL.Image

    try:
        yield
    except PIL.UnidentifiedImageError as error:
        raise PictureError(f"{path}: not a PNG or JPEG picture") from error
    except PIL.Image.DecompressionBombError as error:
        limit = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0)
        raise PictureError(f"{path}: more than {limit} pixels, refused as a possible decompression bomb") from error
    except (PictureError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise PictureError(f"{path}: damaged picture: {error}") from error
    except (
        Exception
    ) as error:  # decoders raise SyntaxError, ValueError, EOFError, struct.error, zlib.error, png.Error ...
        raise PictureError(f"{path}: damaged picture: {error}") from error


def _needs_pypng(file: Any, image: Any) -> bool:
    """Whether Pillow would lose something: 16 bits with colour or alpha."""
    file.seek(0)
    header = file.read(26)
    if not header.startswith(PNG_SIGNATURE):
        return False
    depth, colour = header[24:]
    transparent = "transparency" in image.info
    if transparent and depth < 8 and colour == 0:  # Pillow widens the pixels to 8 bits, but not always this value
        image.info["transparency"] = min(image.info["transparency"] * (255 // (2**depth - 1)), 255)
    return depth == 16 and (colour != 0 or transparent)


def _read_deep_png(file: Any, advance: Callable[[float], None]) -> np.ndarray:
    """Read a 16-bit PNG with colour or alpha."""
    png = optional("png")
    file.seek(0)
    reader = png.Reader(file=file)
    width, height, rows, facts = reader.read()
    pixels = np.empty((height, width, facts["planes"]), np.uint16)
    filled = 0
    for filled, row in enumerate(rows, 1):
        pixels[filled - 1] = np.frombuffer(row, np.uint16).reshape(width, -1)
        advance(1 / height)
    if filled != height:
        raise PictureError(f"{file.name}: damaged picture: {filled} of {height} rows")
    if reader.transparent is None:
        return pixels
    alpha = np.where((pixels == reader.transparent).all(-1, keepdims=True), 0, 65535)
    return np.concatenate((pixels, alpha.astype(np.uint16)), axis=-1)


def _read_with_pillow(image: Any) -> tuple[np.ndarray, bytes | None]:
    """Read a picture of 8 bits, or of 16 bits in grey."""
    image.load()
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        pixels = np.asarray(image).astype(np.uint16)
    else:
        grey = image.mode in ("1", "L", "LA")
        alpha = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA")
        mode = ("L" if grey else "RGB") + ("A" if alpha else "")
        pixels = np.asarray(image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1), profile


def _describes(profile: bytes | None, pixels: np.ndarray) -> bool:
    """Whether a colour profile is of the picture's kind (a CMYK profile says nothing about the RGB made from it)."""
    return profile is not None and profile[16:20] == (b"GRAY" if pixels.shape[-1] < 3 else b"RGB ")


# Writing


def encode_picture(picture: Picture, suffix: str, advance: Callable[[float], None] = lambda share: None) -> bytes:
    """Encode a picture as the bytes of a PNG or JPEG file.

    Parameters
    ----------
    picture : Picture
        Pixels of shape (height, width, channels), uint8 or uint16, and a colour profile or None.
    suffix : {".png", ".jpg", ".jpeg"}
        Which format.
    advance : callable, optional
        As in `read_picture`.

    Raises
    ------
    PictureError
        If the format cannot hold the picture: JPEG has 8 bits, no alpha and at most 65535 pixels per side.
    """
    pixels = picture.pixels
    if suffix != ".png":
        if why := _refused_by_jpeg(pixels.dtype, pixels.shape):
            raise PictureError(f"a JPEG {why}: choose .png")
    elif pixels.dtype == np.uint16 and pixels.shape[-1] > 1:
        return _encode_deep_png(picture, advance)
    pil = optional("PIL.Image")
    image = pil.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    stream = io.BytesIO()
    if suffix == ".png":
        image.save(stream, "PNG", icc_profile=picture.profile)
    else:
        image.save(stream, "JPEG", quality=95, icc_profile=picture.profile)
    advance(1)
    return stream.getvalue()


def _refused_by_jpeg(dtype: np.dtype, shape: tuple[int, ...]) -> str | None:
    if dtype != np.uint8:
        return "holds 8 bits per channel and the picture has 16"
    if shape[-1] in (2, 4):
        return "holds no alpha and the picture has it"
    return "has sides of at most 65535 pixels" if max(shape) > 65535 else None


def _encode_deep_png(picture: Picture, advance: Callable[[float], None]) -> bytes:
    """Encode 16 bits with colour or alpha."""
    png = optional("png")
    height, width, channels = picture.pixels.shape
    writer = png.Writer(width, height, greyscale=channels < 3, alpha=channels in (2, 4), bitdepth=16)
    stream = io.BytesIO()

    def rows() -> Iterator[bytes]:
        for row in picture.pixels:
            yield row.astype(">u2").tobytes()
            advance(1 / height)

    writer.write_packed(stream, rows())
    if picture.profile is None:
        return stream.getvalue()
    chunk = b"iCCP" + b"ICC profile\0\0" + zlib.compress(picture.profile)
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data = stream.getvalue()
    return data[:33] + chunk + data[33:]  # after the signature and IHDR


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files, all of them or none: an error, a full disk or Ctrl-C leaves no half-written file behind."""
    targets = [Path(os.path.realpath(path)) for path in contents]
    beside = [target.with_name(f".cypool-{secrets.token_hex(8)}") for target in targets]
    try:
        for temporary, target, data in zip(beside, targets, contents.values(), strict=True):
            with _blaming(target), open(temporary, "xb") as file:
                file.write(data)
            if target.exists():
                shutil.copymode(target, temporary)
        for temporary, target in zip(beside, targets, strict=True):
            with _blaming(target):
                os.replace(temporary, target)
    finally:
        for temporary in beside:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _blaming(target: Path) -> Iterator[None]:
    """Name the file that the user asked for, not the temporary one beside it."""
    try:
        yield
    except OSError as error:
        raise PictureError(f"{target}: cannot be written: {error.strerror}") from error


# Pooling


def pool_picture(pixels: np.ndarray, op: str, window: Window, num_threads: int | None = None) -> np.ndarray:
    """Pool every channel of a picture.

    Parameters
    ----------
    pixels : ndarray, shape (height, width, channels)
        The picture.
    op : {"max", "min", "avg"}
        The reduction. An average counts no padding, so borders do not darken, and is rounded half to even.
    window : Window
        Kernel, stride, padding and ceil mode.
    num_threads : int, optional
        Threads, as everywhere in cypool.

    Returns
    -------
    ndarray, shape (pooled height, pooled width, channels)
        In the dtype of `pixels`.
    """
    batch = pixels[np.newaxis]
    common: dict[str, Any] = {**window._asdict(), "data_format": "channels_last", "num_threads": num_threads}
    if op == "avg":
        common |= {"count_include_pad": False, "dtype": pixels.dtype}
    pools: dict[str, Callable[..., Any]] = {
        "max": cypool.max_pool2d, "min": cypool.min_pool2d, "avg": cypool.avg_pool2d}
    pooled: np.ndarray = pools[op](batch, **common)[0]
    return pooled


def prewitt_edges(pixels: np.ndarray) -> np.ndarray:
    """Edges of a picture: the gradient magnitude of Prewitt's masks, of the luminance; alpha is left out.

    Parameters
    ----------
    pixels : ndarray, shape (height, width, channels)
        The picture.

    Returns
    -------
    ndarray, shape (height, width, 1)
        In the dtype of `pixels`, rounded and clipped to its range.

    References
    ----------
    J. M. S. Prewitt, "Object enhancement and extraction", in Picture Processing and Psychopictorics, 1970.
    """
    colours = pixels[..., :3] if pixels.shape[-1] > 2 else pixels[..., :1]
    grey = colours @ np.array(LUMINANCE if colours.shape[-1] == 3 else (1,), np.float32)
    grey = np.pad(grey, 1, mode="edge")
    columns = grey[:-2] + grey[1:-1] + grey[2:]
    rows = grey[:, :-2] + grey[:, 1:-1] + grey[:, 2:]
    magnitude: np.ndarray = np.hypot(columns[:, 2:] - columns[:, :-2], rows[2:] - rows[:-2])
    limit = np.iinfo(pixels.dtype).max
    magnitude = np.minimum(np.rint(magnitude), limit).astype(pixels.dtype)
    return magnitude[..., np.newaxis]
