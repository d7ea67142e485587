"""Figures of pooling, as functions on arrays. Needs matplotlib: ``pip install "cypool[cli]"``."""

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

import cypool

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Sizes in inches
PANEL = 2.5  # the longer side of the first panel
GAP = 0.5  # between panels, room for an arrow
HEAD = 0.32  # above a panel: its size
FOOT = 0.36  # below a panel: its caption
COLUMN = 1.8  # the least width of a column, room for the captions of narrow pictures
MARGIN = 0.2
TITLE = 0.42
LETTER = 0.115  # the mean width of a letter of the title

DPI = 160

INK, GREY, ARROW, FRAME = "#1a1a1a", "#6a6a6a", "#9a9a9a", "#c8c8c8"


def steps_figure(start: Mapping[str, Any], rows: Mapping[str, Sequence[Any]], *, title: str = "") -> "Figure":
    """Draw pictures side by side as they shrink, all at the same displayed size, so that one sees the pixels grow.

    Parameters
    ----------
    start : mapping of str to array_like
        What every row starts from, by caption: the original, and for example its edges. At least one.
    rows : mapping of str to sequence of array_like
        The pooled pictures, step by step, by the name of the operator; one row of panels each.
    title : str, optional
        The line above the panels.

    Returns
    -------
    matplotlib.figure.Figure
        Saved by its ``savefig``; no window is opened and no pyplot state is touched.

    Notes
    -----
    Pictures are arrays of shape (height, width) or (height, width, channels) with 1 channel (grey), 2 (grey and alpha),
    3 (RGB) or 4 (RGBA); white is the largest value of an integer dtype, and 1 for floats. The size above a panel is
    height × width. The caption below tells how many pixels are left of the last picture in `start`.

    Examples
    --------
    >>> import numpy as np
    >>> from cypool.plotting import steps_figure
    >>> ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    >>> figure = steps_figure({"original": ramp}, {"max": [ramp[1::2, 1::2], ramp[3::4, 3::4]]}, title="Max pooling")
    >>> len(figure.axes)
    3
    """
    firsts = {name: np.asarray(picture) for name, picture in start.items()}
    pooled = {name: [np.asarray(picture) for picture in row] for name, row in rows.items()}
    source = list(firsts.values())[-1]
    sheet = _Sheet(source.shape[:2], len(firsts) + max(map(len, pooled.values())), len(pooled), title)
    middle = (len(pooled) - 1) / 2
    for column, (name, picture) in enumerate(firsts.items()):
        sheet.draw(middle, column, picture, name)
        if column:
            sheet.arrow((middle, column - 1), (middle, column))
    for row, (name, pictures) in enumerate(pooled.items()):
        for column, picture in enumerate(pictures, len(firsts)):
            sheet.draw(row, column, picture, f"{name}, {_share(picture, source)}")
            sheet.arrow((middle if column == len(firsts) else row, column - 1), (row, column))
    return sheet.figure


def figure_bytes(figure: "Figure", suffix: str) -> bytes:
    """Encode a figure as the bytes of a file: `suffix` is ``".png"``, ``".pdf"`` or ``".svg"``."""
    stream = io.BytesIO()
    figure.savefig(stream, format=suffix.lstrip("."))
    return stream.getvalue()


class _Sheet:
    """A figure with a grid of panels of equal size, laid out in inches from the top left corner."""

    def __init__(self, shape: tuple[int, int], columns: int, rows: int, title: str) -> None:
        from matplotlib.figure import Figure

        self.panel = tuple(max(PANEL * side / max(shape), PANEL / 6) for side in shape)
        self.column = max(self.panel[1], COLUMN)
        self.top = MARGIN + (TITLE if title else 0)
        self.width = 2 * MARGIN + max(columns * self.column + (columns - 1) * GAP, LETTER * len(title))
        self.height = self.top + rows * (HEAD + self.panel[0] + FOOT) + MARGIN / 2
        self.figure = Figure(figsize=(self.width, self.height), dpi=DPI, facecolor="white")
        x, y = MARGIN / self.width, 1 - (MARGIN + TITLE / 2) / self.height
        self.figure.text(x, y, title, size=13, weight="bold", color=INK, va="center")

    def corner(self, row: float, column: float) -> tuple[float, float]:
        """Top left corner of a panel, in inches from the left and from the top."""
        left = MARGIN + column * (self.column + GAP) + (self.column - self.panel[1]) / 2
        return left, self.top + row * (HEAD + self.panel[0] + FOOT) + HEAD

    def draw(self, row: float, column: float, picture: np.ndarray, caption: str) -> None:
        left, top = self.corner(row, column)
        height, width = self.panel
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        _show(axes, picture)
        axes.set_title(f"{picture.shape[0]} × {picture.shape[1]}", size=11, color=INK, pad=5)
        axes.set_xlabel(caption, size=9, color=GREY, labelpad=5)

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw an arrow in the gap between two neighbouring panels."""
        from matplotlib.patches import FancyArrowPatch

        points = []
        for (row, column), side, pad in ((start, 1, 0.1), (end, 0, -0.1)):
            left, top = self.corner(row, column)
            x, y = left + side * self.panel[1] + pad, top + self.panel[0] / 2
            points.append((x / self.width, 1 - y / self.height))
        style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 11, "linewidth": 1.1, "color": ARROW}
        arrow = FancyArrowPatch(*points, shrinkA=0, shrinkB=0, transform=self.figure.transFigure, **style)
        self.figure.add_artist(arrow)


def _show(axes: "Axes", picture: np.ndarray) -> None:
    """Show a picture over the whole axes: every pixel a rectangle of its own, however few there are."""
    if picture.dtype.kind == "b":
        picture = picture * np.uint8(255)
    white = np.iinfo(picture.dtype).max if picture.dtype.kind in "ui" else 1
    picture = _as_colour(_lightened(picture))
    # big pictures are shrunk smoothly, small ones are shown with hard pixels
    smooth = max(picture.shape[:2]) > PANEL * DPI
    interpolation = "antialiased" if smooth else "nearest"
    axes.imshow(picture, "gray", vmin=0, vmax=white, aspect="auto", interpolation=interpolation)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=FRAME, linewidth=0.6)


def _lightened(picture: np.ndarray) -> np.ndarray:
    """Spare imshow a picture far beyond the resolution of a panel, which takes it seconds and gigabytes."""
    factor = int(max(picture.shape[:2]) // (2 * PANEL * DPI))
    if factor < 2:
        return picture
    kernel = [min(factor, side) for side in picture.shape[:2]]
    channels = picture if picture.ndim == 3 else picture[..., np.newaxis]
    options: dict[str, Any] = {"count_include_pad": False, "data_format": "channels_last", "dtype": picture.dtype}
    smaller: np.ndarray = cypool.avg_pool2d(channels[np.newaxis], kernel, ceil_mode=True, **options)[0]
    return smaller


def _as_colour(picture: np.ndarray) -> np.ndarray:
    """What imshow understands: (H, W) for grey, else RGB(A) of 8 bits, for it clips deeper integers."""
    if picture.ndim == 2:
        return picture
    if picture.shape[-1] == 1:
        return picture[..., 0]
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    return picture[..., [0, 0, 0, 1]] if picture.shape[-1] == 2 else picture


def _share(picture: np.ndarray, source: np.ndarray) -> str:
    """How many pixels are left, in words."""
    left = Fraction(picture.shape[0] * picture.shape[1], source.shape[0] * source.shape[1])
    if left == 1:
        return "as many pixels"
    if left > 1:
        return f"{float(left):.3g} × the pixels"
    return f"1/{round(1 / left)} of the pixels" if 1 / left >= 2 else f"{float(left):.0%} of the pixels"
