"""Draw the figures of the documentation: where the windows lie, what they read, what comes out.

    python docs/figures.py                     every figure, as SVG, into docs/figures/
    python docs/figures.py max average         only these
    python docs/figures.py --format png --out DIRECTORY

The drawings need NumPy and matplotlib, not cypool: every number in them is worked out below by plain loops,
so that a figure can also serve as a check on the library. The files are the same byte for byte each time.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

INK = "#1d2733"
QUIET = "#66758a"
FAINT = "#a9b4c2"
PAPER = "#ffffff"
CELL = "#f7f9fc"
LINE = "#c6cfdb"
PADDING = "#eceff4"
WINDOWS = ("#2f6fde", "#e07a1f", "#1f9d74", "#b04ac0", "#d13f5a", "#5a6b7d")
RED, GREEN, BLUE = "#d1495b", "#2f9e6e", "#2f6fde"

CELL_INCHES = 0.44
BODY, SMALL, TINY = 11.5, 9.0, 7.0


def tint(colour: str, strength: float = 0.2) -> tuple[float, float, float]:
    """A paler `colour`: `strength` of it on paper."""
    ink, paper = (np.array(matplotlib.colors.to_rgb(c)) for c in (colour, PAPER))
    return tuple(strength * ink + (1 - strength) * paper)


def solid(colour) -> dict:
    """The style of a cell that matters."""
    return {"face": colour, "ink": PAPER, "weight": "bold"}


def pale(colour, strength=0.2) -> dict:
    return {"face": tint(colour, strength)}


class Board:
    """A sheet measured in cells, y downwards, that grows with what is drawn on it."""

    def __init__(self) -> None:
        self.figure, self.axes = pyplot.subplots()
        self.axes.set_axis_off()
        self.low = np.array([np.inf, np.inf])
        self.high = -self.low

    def reach(self, *points: tuple[float, float]) -> None:
        for point in points:
            self.low = np.minimum(self.low, point)
            self.high = np.maximum(self.high, point)

    def text(self, x, y, text, size=BODY, colour=INK, ha="center", va="center", reach=0.0, **style) -> None:
        self.axes.text(x, y, text, fontsize=size, color=colour, ha=ha, va=va, zorder=6, **style)
        left = {"left": 0.0, "center": 0.5, "right": 1.0}[ha] * reach
        self.reach((x - left, y - 0.2), (x - left + reach, y + 0.2))

    def box(self, x, y, width, height, face="none", edge=LINE, line=0.8, order=2, **style) -> None:
        self.axes.add_patch(Rectangle((x, y), width, height, facecolor=face, edgecolor=edge, linewidth=line,
                                      zorder=order, **style))
        self.reach((x, y), (x + width, y + height))

    def cell(self, x, y, text="", face=CELL, ink=INK, weight="normal", size=BODY, edge=LINE, **style) -> None:
        self.box(x, y, 1, 1, face, edge, **style)
        if text:
            self.axes.text(x + 0.5, y + 0.52, text, fontsize=size, color=ink, ha="center", va="center",
                           fontweight=weight, zorder=6)

    def blank(self, x, y, overhang=False) -> None:
        """A position with nothing in it: padding (hatched), or beyond even that (an empty dashed frame)."""
        if overhang:
            self.cell(x, y, face=PAPER, edge=FAINT, linestyle=(0, (2, 2)))
        else:
            self.cell(x, y, face=PADDING)
            self.box(x, y, 1, 1, line=0, order=3, hatch="////")

    def grid(self, x, y, texts, styles=None, default=None, size=BODY) -> None:
        """A table of cells: `styles[row, column]`, elsewhere `default`, are further arguments of `cell`."""
        rows, columns = len(texts), len(texts[0])
        for i, j in product(range(rows), range(columns)):
            self.cell(x + j, y + i, texts[i][j], size=size, **(styles or {}).get((i, j), default or {}))
        self.box(x, y, columns, rows, edge=QUIET, line=1.1, order=4)

    def divide(self, x, top, bottom) -> None:
        """A dotted line between what goes forward and what comes back."""
        self.axes.plot([x, x], [top, bottom], color=LINE, linewidth=1, linestyle=(0, (2, 3)))

    def frame(self, x, y, width, height, colour, inset=0.07, fill=0.0, line=2.2, dashed=False) -> None:
        """The outline of a window."""
        face = (*matplotlib.colors.to_rgb(colour), fill)
        self.axes.add_patch(FancyBboxPatch(
            (x + inset, y + inset), width - 2 * inset, height - 2 * inset, facecolor=face, edgecolor=colour,
            boxstyle="round,pad=0,rounding_size=0.16", linewidth=line, zorder=5,
            linestyle=(0, (3, 2)) if dashed else "solid"))
        self.reach((x, y), (x + width, y + height))

    def bar(self, x, y, length, **style) -> None:
        """A window over a strip of elements."""
        self.axes.add_patch(FancyBboxPatch((x + 0.08, y), length - 0.16, 0.16, zorder=5,
                                           boxstyle="round,pad=0,rounding_size=0.08", **style))
        self.reach((x, y), (x + length, y + 0.2))

    def arrow(self, x, y, length=1.7, above="", below="") -> None:
        self.axes.add_patch(FancyArrowPatch((x, y), (x + length, y), arrowstyle="-|>", mutation_scale=13,
                                            linewidth=1.5, color=QUIET, shrinkA=0, shrinkB=0, zorder=4))
        self.text(x + length / 2 - 0.08, y - 0.42, above, SMALL, QUIET)
        self.text(x + length / 2 - 0.08, y + 0.42, below, SMALL, QUIET)
        self.reach((x, y), (x + length, y))

    def title(self, x, y, text, note="") -> None:
        """A heading over a grid whose top edge is at `y`."""
        self.text(x, y - 0.42, text, BODY, weight="bold", reach=0.0)
        if note:
            self.text(x, y - 0.95, note, SMALL, QUIET)

    def save(self, path: Path) -> None:
        margin = 0.35
        (left, top), (right, bottom) = self.low - margin, self.high + margin
        self.axes.set_xlim(left, right)
        self.axes.set_ylim(bottom, top)
        self.figure.set_size_inches((right - left) * CELL_INCHES, (bottom - top) * CELL_INCHES)
        self.axes.set_position((0, 0, 1, 1))
        metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
        self.figure.savefig(path, facecolor=PAPER, dpi=160, metadata=metadata)
        pyplot.close(self.figure)


# --- The arithmetic, by plain loops ------------------------------------------------------------------------------

TEXTBOOK = np.array([[1, 3, 2, 4], [5, 2, 3, 1], [4, 6, 2, 7], [8, 3, 1, 5]])
RAMP = np.arange(1, 17).reshape(4, 4)


def output_length(n, k, s, before=0, after=0, d=1, ceil=False) -> int:
    span = (k - 1) * d + 1
    if not ceil:
        return (n + before + after - span) // s + 1
    return min(-((span - n - before - after) // s) + 1, (n + before - 1) // s + 1)


def windows(shape, kernel, stride):
    """Every window of an unpadded plane: its output position and the slices that it reads."""
    rows, columns = (output_length(n, kernel, stride) for n in shape)
    for i, j in product(range(rows), range(columns)):
        yield (i, j), np.s_[i * stride:i * stride + kernel, j * stride:j * stride + kernel]


def pool(x, kernel, stride, reduce):
    shape = tuple(output_length(n, kernel, stride) for n in x.shape)
    y = np.zeros(shape, x.dtype if reduce in (np.max, np.min, np.sum) else float)
    for position, window in windows(x.shape, kernel, stride):
        y[position] = reduce(x[window])
    return y


def rounded(value) -> int:
    """To the nearest integer, halves away from zero."""
    return int(np.copysign(np.floor(abs(value) + 0.5), value))


def bilinear(x, row, column) -> float:
    """What lies at a place of a plane whose elements are at whole numbers, inside it."""
    top, left = min(int(row), x.shape[0] - 2), min(int(column), x.shape[1] - 2)
    down, across = row - top, column - left
    return sum(weight * x[top + i, left + j] for i, j, weight in (
        (0, 0, (1 - down) * (1 - across)), (0, 1, (1 - down) * across), (1, 0, down * (1 - across)),
        (1, 1, down * across)))


def strings(values):
    """Whole numbers without a decimal point, others as short as they are."""
    return [[f"{value:g}" for value in row] for row in np.asarray(values)]


# --- The figures ---------------------------------------------------------------------------------------------------

FIGURES = {}


def figure(draw):
    """Register `draw_some_name` as the figure some-name."""
    FIGURES[draw.__name__.removeprefix("draw_").replace("_", "-")] = draw
    return draw


FOUR = list(product(range(4), repeat=2))
QUADRANT = {(i, j): WINDOWS[i // 2 * 2 + j // 2] for i, j in FOUR}
"""The colour of the 2×2 window that owns (i, j) in a 4×4 plane."""


def corners(style, *strength) -> dict:
    """The styles of a 2×2 grid, one colour for each window."""
    return {(i, j): style(WINDOWS[2 * i + j], *strength) for i, j in product(range(2), repeat=2)}


def forward_and_backward(board, x, y, gradient, grad_x, chosen, names, back) -> None:
    """Four grids in a row: input, output, the arriving gradient, and where it goes (in the styles `back`)."""
    board.grid(0, 0, strings(x), {p: solid(QUADRANT[p]) if p in chosen else pale(QUADRANT[p]) for p in FOUR})
    for i, j in product((0, 2), (0, 2)):
        board.frame(j, i, 2, 2, QUADRANT[i, j], inset=0.03, line=1.8)
    board.title(2, 0, "input", "kernel 2, stride 2")
    board.arrow(4.35, 2, above=names[0])
    board.grid(6.4, 1, strings(y), corners(solid) if chosen else corners(pale, 0.3), size=BODY if chosen else 10)
    board.title(7.4, 1, "output")
    board.divide(9.3, -0.9, 4.2)
    board.grid(10.2, 1, strings(gradient), corners(pale, 0.3))
    board.title(11.2, 1, "gradient in")
    board.arrow(12.55, 2, above=names[1])
    board.grid(14.6, 0, strings(grad_x), back)
    board.title(16.6, 0, "gradient out")


def chosen_elements(board, pick, name) -> None:
    """Max or min pooling of the textbook plane; `pick` is numpy.argmax or numpy.argmin."""
    gradient = np.arange(1, 5).reshape(2, 2)
    y, grad_x, chosen = np.zeros((2, 2), int), np.zeros((4, 4), int), set()
    for (i, j), window in windows(TEXTBOOK.shape, 2, 2):
        row, column = np.unravel_index(pick(TEXTBOOK[window]), (2, 2))
        place = (2 * i + int(row), 2 * j + int(column))
        chosen.add(place)
        y[i, j] = TEXTBOOK[place]
        grad_x[place] += gradient[i, j]
    back = {p: {**pale(QUADRANT[p], 0.35), "weight": "bold"} if p in chosen else {"ink": FAINT} for p in FOUR}
    forward_and_backward(board, TEXTBOOK, y, gradient, grad_x, chosen, (name, "backward"), back)


@figure
def draw_max(board) -> None:
    chosen_elements(board, np.argmax, "max")


@figure
def draw_min(board) -> None:
    chosen_elements(board, np.argmin, "min")


@figure
def draw_average(board) -> None:
    gradient = np.array([[4, 8], [12, 16]])
    grad_x = np.kron(gradient, np.ones((2, 2))) / 4
    forward_and_backward(board, RAMP, pool(RAMP, 2, 2, np.mean), gradient, grad_x, set(), ("average", "÷ 4"),
                         {p: pale(QUADRANT[p]) for p in FOUR})


@figure
def draw_average_padding(board) -> None:
    """Kernel 3, stride 2, padding 1, ceil mode: what each corner counts."""
    kernel, stride, pad, n = 3, 2, 1, 4
    out = output_length(n, kernel, stride, pad, pad, ceil=True)
    starts = [i * stride - pad for i in range(out)]
    valid = [range(max(s, 0), min(s + kernel, n)) for s in starts]
    counted = [min(s + kernel, n + pad) - s for s in starts]
    reach = starts[-1] + kernel
    for i, j in product(range(-pad, reach), repeat=2):
        if 0 <= i < n and 0 <= j < n:
            board.cell(j, i, f"{RAMP[i, j]}")
        else:
            board.blank(j, i, overhang=i >= n + pad or j >= n + pad)
    board.box(0, 0, n, n, edge=QUIET, line=1.3, order=4)
    coloured = {(0, 0): WINDOWS[0], (1, 1): WINDOWS[2], (2, 2): WINDOWS[1]}
    for (i, j), colour in coloured.items():
        board.frame(starts[j], starts[i], kernel, kernel, colour, fill=0.13)
    board.title((reach - pad) / 2, -pad, "input 4×4 with padding 1", "kernel 3, stride 2, ceil mode")
    board.blank(-pad, reach + 0.45)
    board.text(-pad + 1.25, reach + 0.95, "padding", SMALL, QUIET, ha="left", reach=1.8)
    board.blank(-pad + 3.5, reach + 0.45, overhang=True)
    board.text(-pad + 4.75, reach + 0.95, "overhang", SMALL, QUIET, ha="left", reach=2.0)
    for k, (title, note, lengths) in enumerate((
            ("count_include_pad=True", "divided by input and padding, not overhang", counted),
            ("count_include_pad=False", "divided by input alone", [len(v) for v in valid]))):
        x, y, wide = 8.8, -0.55 + 4.9 * k, 1.9
        sums = [[int(RAMP[np.ix_(valid[i], valid[j])].sum()) for j in range(out)] for i in range(out)]
        texts = [[f"{sums[i][j]}/{lengths[i] * lengths[j]}" for j in range(out)] for i in range(out)]
        for i, j in product(range(out), repeat=2):
            colour = coloured.get((i, j))
            board.box(x + wide * j, y + i, wide, 1, face=tint(colour, 0.3) if colour else CELL)
            board.text(x + wide * (j + 0.5), y + i + 0.36, texts[i][j], BODY, weight="bold" if colour else "normal")
            board.text(x + wide * (j + 0.5), y + i + 0.77, f"{float(Fraction(texts[i][j])):.4g}", TINY, QUIET)
        board.box(x, y, wide * out, out, edge=QUIET, line=1.1, order=4)
        board.reach((x + wide * out + 0.8, y))
        board.text(x + wide * out / 2, y - 0.95, title, SMALL, family="monospace")
        board.text(x + wide * out / 2, y - 0.42, note, SMALL, QUIET)
    board.arrow(6.35, 2.6, above="average")


@figure
def draw_sum(board) -> None:
    x = np.array([[1, 2, 0], [3, 1, 4], [0, 2, 5]])
    y = pool(x, 2, 1, np.sum)
    counts = np.zeros_like(x)
    for _, window in windows(x.shape, 2, 1):
        counts[window] += 1
    board.grid(0, 0, strings(x))
    for number, ((i, j), _) in enumerate(windows(x.shape, 2, 1)):
        board.frame(j, i, 2, 2, WINDOWS[number], inset=0.07 + 0.055 * number, line=1.8)
    board.title(1.5, 0, "input", "kernel 2, stride 1")
    board.arrow(3.35, 1.5, above="sum")
    board.grid(5.4, 0.5, strings(y), corners(pale, 0.3))
    board.title(6.4, 0.5, "output")
    board.divide(8.4, -0.9, 3.2)
    board.grid(9.4, 0.5, strings(np.ones((2, 2))), corners(pale, 0.3))
    board.title(10.4, 0.5, "gradient in")
    board.arrow(11.75, 1.5, above="backward")
    board.grid(13.8, 0, strings(counts), {p: pale(QUIET, 0.12 * counts[p]) for p in np.ndindex(counts.shape)})
    board.title(15.3, 0, "gradient out")


@figure
def draw_global(board) -> None:
    planes = [np.array([[2, 7, 1], [0, 3, 5], [4, 1, 4]]), np.array([[6, 0, 2], [8, 4, 3], [3, 9, 1]])]
    for channel, plane in enumerate(planes):
        top, colour = 3.9 * channel, WINDOWS[channel]
        best = np.unravel_index(np.argmax(plane), plane.shape)
        board.grid(0, top, strings(plane), {best: solid(colour)}, default=pale(colour, 0.16))
        board.text(1.5, top - 0.32, f"channel {channel}", SMALL, QUIET)
        board.arrow(-0.35, top + 1.5, length=-1.7, above="max")
        board.grid(-3.4, top + 1, [[str(plane.max())]], default=solid(colour))
        board.arrow(3.35, top + 1.5, above="average")
        board.grid(5.4, top + 1, [[f"{plane.mean():g}"]], default=pale(colour, 0.3))


@figure
def draw_ties_and_nan(board) -> None:
    """One window of five taps, three cases."""
    nan = "NaN"
    cases = (
        (["2", "7", "7", "1", "7"], 1, "7", "a tie goes to the first"),
        (["3", nan, "9", nan, "4"], 3, nan, "NaN wins; the last one is the index"),
        (["3", nan, "9", nan, "4"], 2, "9", 'nan_policy="omit": as if they were not there'),
    )
    for row, (texts, best, result, note) in enumerate(cases):
        y = 1.55 * row
        passed = {(0, j): {"ink": FAINT} for j, text in enumerate(texts) if text == nan and result != nan}
        board.grid(0, y, [texts], {**passed, (0, best): solid(WINDOWS[0])}, size=10)
        board.arrow(5.3, y + 0.5, length=1.1)
        board.grid(6.7, y, [[result]], default=solid(WINDOWS[0]), size=10)
        board.text(8.05, y + 0.28, f"index {best}", SMALL, ha="left", reach=1.6)
        board.text(8.05, y + 0.75, note, SMALL, QUIET, ha="left", reach=6.4)


@figure
def draw_indices(board) -> None:
    """Where the maxima of the textbook plane are: flat positions in the plane."""
    place = np.arange(16).reshape(4, 4)
    found = np.zeros((2, 2), int)
    for (i, j), window in windows(TEXTBOOK.shape, 2, 2):
        found[i, j] = place[window].ravel()[np.argmax(TEXTBOOK[window])]
    chosen = {p for p in FOUR if place[p] in found}
    board.grid(0, 0, strings(TEXTBOOK), {p: solid(QUADRANT[p]) if p in chosen else pale(QUADRANT[p]) for p in FOUR})
    for i, j in FOUR:
        board.text(j + 0.08, i + 0.2, str(place[i, j]), 6.0, PAPER if (i, j) in chosen else QUIET, ha="left")
    board.title(2, 0, "input", "small: the flat position")
    board.arrow(4.35, 2, above="max")
    board.grid(6.4, 1, strings(pool(TEXTBOOK, 2, 2, np.max)), corners(solid))
    board.title(7.4, 1, "values")
    board.grid(9.6, 1, strings(found), corners(pale, 0.3))
    board.title(10.6, 1, "indices")


def strip(board, y, n, kernel, stride, before, after, ceil, label, note="", label_at=-1.5) -> None:
    """A row of `n` elements with padding, and its windows as bars underneath."""
    count = output_length(n, kernel, stride, before, after, ceil=ceil)
    end = (count - 1) * stride - before + kernel
    for t in range(-before, max(n + after, end)):
        if 0 <= t < n:
            board.cell(t, y, str(t))
        else:
            board.blank(t, y, overhang=t >= n + after)
    board.box(0, y, n, 1, edge=QUIET, line=1.2, order=4)
    for i in range(count):
        start = i * stride - before
        board.bar(start, y + 1.18 + 0.3 * (i % 2), kernel, facecolor=WINDOWS[i], edgecolor="none")
    board.text(label_at, y + 0.3, label, SMALL, ha="right", family="monospace", reach=3.6)
    board.text(label_at, y + 0.87, note or f"{count} windows", SMALL, QUIET, ha="right", reach=len(note) * 0.165)


@figure
def draw_padding(board) -> None:
    for row, (value, before, after, note) in enumerate((
            ('"valid"', 0, 0, "2 windows, element 5 unread"), ("1", 1, 1, ""), ('"same"', 0, 1, ""),
            ('"same_lower"', 1, 0, ""), ("((2, 1),)", 2, 1, ""))):
        strip(board, 2.35 * row, 6, 3, 2, before, after, False, f"padding={value}", note, label_at=-2.5)
    board.text(3, -0.45, "6 elements, kernel 3, stride 2", BODY, weight="bold")


@figure
def draw_ceil(board) -> None:
    strip(board, 0, 5, 2, 2, 0, 0, False, "ceil_mode=False", "2 windows, element 4 unread")
    strip(board, 2.6, 5, 2, 2, 0, 0, True, "ceil_mode=True", "3 windows, the last one clipped")
    strip(board, 5.9, 5, 2, 3, 1, 1, True, "ceil_mode=True", "a third would start in the padding")
    start = 2 * 3 - 1
    board.bar(start, 5.9 + 1.18, 2, facecolor="none", edgecolor=RED, linestyle=(0, (2, 1.5)), linewidth=1.1)
    board.text(start + 2.15, 5.9 + 1.27, "dropped", SMALL, RED, ha="left", reach=2.0)
    board.text(2.5, -0.45, "5 elements, kernel 2, stride 2", BODY, weight="bold")
    board.text(2.5, 5.45, "5 elements, kernel 2, stride 3, padding 1", BODY, weight="bold")


@figure
def draw_dilation(board) -> None:
    kernel, n = 3, 6
    for panel, step in enumerate((1, 2)):
        left, extent = 7.2 * panel, (kernel - 1) * step + 1
        taps = product(range(0, extent, step), repeat=2)
        board.grid(left, 0, [[""] * n] * n, dict.fromkeys(taps, solid(WINDOWS[panel])))
        board.frame(left, 0, extent, extent, WINDOWS[panel], inset=-0.05, line=2.0)
        board.title(left + n / 2, 0, f"dilation {step}", f"kernel {kernel}, extent {extent}")


@figure
def draw_layouts(board) -> None:
    colours, names = (RED, GREEN, BLUE), "RGB"
    orders = (("channels_first", "(C, H, W)", [(c, p) for c in range(3) for p in range(4)]),
              ("channels_last", "(H, W, C)", [(c, p) for p in range(4) for c in range(3)]))
    for p in range(4):
        x, y = p % 2 * 1.5, p // 2 * 1.25 + 0.1
        for c in range(3):
            board.box(x + c * 0.5, y, 0.5, 1.25, face=tint(colours[c], 0.75), edge="none")
            board.text(x + c * 0.5 + 0.25, y + 0.62, str(p), SMALL, PAPER, weight="bold")
        board.box(x, y, 1.5, 1.25, edge=PAPER, line=2.5, order=5)
    board.text(1.5, -0.3, "a 2×2 picture, 3 channels", SMALL, QUIET, reach=4.2)
    for row, (name, shape, order) in enumerate(orders):
        y = 0.1 + 1.5 * row
        for k, (c, p) in enumerate(order):
            board.cell(7.7 + k, y, f"{names[c]}{p}", size=SMALL, edge=PAPER, **solid(tint(colours[c], 0.75)))
        board.text(7.4, y + 0.34, name, SMALL, ha="right", family="monospace", reach=4.4)
        board.text(7.4, y + 0.78, shape, SMALL, QUIET, ha="right", reach=2.6)
    board.text(13.7, -0.3, "in memory", SMALL, QUIET)


@figure
def draw_regions(board) -> None:
    """One box on a map: roi_pool rounds it, roi_align takes samples of it."""
    x = np.array([[1, 0, 2, 4, 1, 0], [3, 5, 1, 2, 6, 2], [0, 2, 7, 3, 1, 4], [4, 1, 3, 8, 2, 9], [2, 6, 0, 1, 5, 3]])
    box, bins, samples = (0.7, 0.7, 4.8, 3.9), 2, 2
    (rows, columns), bin_of = x.shape, list(product(range(bins), repeat=2))

    left, top, right, bottom = map(rounded, box)
    maxima, extents = np.zeros((bins, bins), int), {}
    for i, j in bin_of:
        (y0, y1), (x0, x1) = extents[i, j] = [(begin + place * size // bins, begin - (-(place + 1) * size // bins))
                                              for begin, size, place in ((top, bottom - top + 1, i),
                                                                         (left, right - left + 1, j))]
        maxima[i, j] = max(x[r, c] for r in range(y0, y1) for c in range(x0, x1))
    inside = {(r, c): pale(QUIET, 0.13) for r in range(top, bottom + 1) for c in range(left, right + 1)}
    board.grid(0, 0, strings(x), inside)
    for k, (i, j) in enumerate(bin_of):
        (y0, y1), (x0, x1) = extents[i, j]
        board.frame(x0, y0, x1 - x0, y1 - y0, WINDOWS[k], inset=0.05 + 0.08 * j, line=2.0)
    board.title(columns / 2, 0, "roi_pool", "the box rounded to elements")
    board.arrow(columns + 0.35, 2.5, above="max")
    board.grid(columns + 2.4, 1.5, strings(maxima), corners(solid))

    shift = columns + 6.2
    board.divide(shift - 0.9, -1, rows + 0.2)
    board.grid(shift, 0, strings(x), default={"ink": QUIET})
    means, (x0, y0, x1, y1) = np.zeros((bins, bins)), box
    tall, broad = (y1 - y0) / bins, (x1 - x0) / bins
    for colour, (i, j) in zip(WINDOWS, bin_of, strict=False):
        for a, b in product(range(samples), repeat=2):
            down, across = y0 + (i + (a + 0.5) / samples) * tall, x0 + (j + (b + 0.5) / samples) * broad
            means[i, j] += bilinear(x, down - 0.5, across - 0.5) / samples**2
            board.axes.plot(shift + across, down, "o", color=colour, markersize=5.5, markeredgecolor=PAPER, zorder=7)
        board.box(shift + x0 + j * broad, y0 + i * tall, broad, tall, edge=colour, line=1.6, order=5,
                  face=(*matplotlib.colors.to_rgb(colour), 0.13))
    board.title(shift + columns / 2, 0, "roi_align", "the box as it is, samples between elements")
    board.arrow(shift + columns + 0.35, 2.5, above="average")
    wide = 1.35
    for i, j in bin_of:
        board.box(shift + columns + 2.4 + wide * j, 1.5 + i, wide, 1, face=tint(WINDOWS[2 * i + j], 0.3))
        board.text(shift + columns + 2.4 + wide * (j + 0.5), 2.02 + i, f"{means[i, j]:.2f}", 10)
    board.box(shift + columns + 2.4, 1.5, wide * bins, bins, edge=QUIET, line=1.1, order=4)
    for at in (0, shift):
        board.axes.add_patch(Rectangle((at + x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=INK, linewidth=1.5,
                                       linestyle=(0, (3, 2)), zorder=6))


@figure
def draw_sequences(board) -> None:
    """Padded sentences and what a mask leaves of them; the k largest in their order."""
    sentences, length, k = ([3, 8, 1, 4], [2, 5, 9, 1, 6, 7], [4, 2]), 6, 3
    for row, sentence in enumerate(sentences):
        y, n, colour = 1.3 * row, len(sentence), WINDOWS[row]
        best = sentence.index(max(sentence))
        for t in range(length):
            if t < n:
                board.cell(t, y, str(sentence[t]), **(solid(colour) if t == best else pale(colour)))
            else:
                board.blank(t, y)
        board.box(0, y, length, 1, edge=QUIET, line=1.1, order=4)
        board.text(-0.3, y + 0.5, f"length {n}", SMALL, QUIET, ha="right", reach=2.0)
        board.arrow(length + 0.35, y + 0.5, length=1.3)
        board.cell(length + 2.1, y, f"{sum(sentence) / n:g}", **pale(colour, 0.3))
        board.cell(length + 3.6, y, str(sentence[best]), **solid(colour))
    board.text(length / 2, -0.42, "three sentences, padded", BODY, weight="bold")
    board.text(length + 2.6, -0.42, "mean", BODY, weight="bold")
    board.text(length + 4.1, -0.42, "max", BODY, weight="bold")
    left = length + 7.2
    board.divide(left - 1.3, -0.8, 3.7)
    row = sentences[1]
    largest = sorted(sorted(range(length), key=lambda t: (-row[t], t))[:k])
    styles = {(0, t): solid(WINDOWS[1]) if t in largest else pale(WINDOWS[1]) for t in range(length)}
    board.grid(left, 0, [list(map(str, row))], styles)
    board.title(left + length / 2, 0, f"k-max, k = {k}")
    for place, t in enumerate(largest):
        x = left + (length - k) / 2 + place
        board.axes.add_patch(FancyArrowPatch((left + t + 0.5, 1.06), (x + 0.5, 2.54), arrowstyle="-|>", color=QUIET,
                                             mutation_scale=11, linewidth=1.3, shrinkA=0, shrinkB=0, zorder=4))
        board.cell(x, 2.6, str(row[t]), **solid(WINDOWS[1]))
    board.box(left + (length - k) / 2, 2.6, k, 1, edge=QUIET, line=1.1, order=4)


@figure
def draw_segments(board) -> None:
    """Rows with ids in any order, and three reductions of each segment; segment 1 has no row."""
    ids, segments, features = [0, 2, 0, 3, 2, 0, 3], 4, 2
    x = np.array([[1, 5], [4, 0], [6, 2], [3, 7], [2, 8], [2, 2], [9, 1]])
    for t, segment in enumerate(ids):
        board.cell(-1.6, t, str(segment), face=PAPER, edge=PAPER, ink=WINDOWS[segment], weight="bold")
        for f in range(features):
            board.cell(f, t, str(x[t, f]), **pale(WINDOWS[segment], 0.3))
    board.box(0, 0, features, len(ids), edge=QUIET, line=1.1, order=4)
    board.title(1, 0, "x")
    board.text(-1.1, -0.42, "ids", BODY, weight="bold")
    board.arrow(features + 0.4, len(ids) / 2, length=1.5)
    top = (len(ids) - segments) / 2
    for place, (name, reduce) in enumerate((("sum", np.sum), ("mean", np.mean), ("max", np.max))):
        left = features + 3.2 + 3.2 * place
        for s, f in product(range(segments), range(features)):
            column = [int(x[t, f]) for t, segment in enumerate(ids) if segment == s]
            if column:
                style = solid(WINDOWS[s]) if name == "max" else pale(WINDOWS[s], 0.3)
                board.cell(left + f, top + s, f"{reduce(column):g}", **style)
            else:
                board.blank(left + f, top + s)
                board.text(left + f + 0.5, top + s + 0.52, "0", colour=QUIET)
        board.box(left, top, features, segments, edge=QUIET, line=1.1, order=4)
        board.title(left + features / 2, top, name)
    for s in range(segments):
        board.text(features + 2.85, top + s + 0.52, str(s), colour=WINDOWS[s], weight="bold")
    board.text(left + features + 0.3, top + 1.52, "no rows", SMALL, QUIET, ha="left", reach=1.8)


@figure
def draw_unpooling(board) -> None:
    """The maxima of the textbook plane, put back where they were, and spread over their windows."""
    values, places, back, spread = pool(TEXTBOOK, 2, 2, np.max), {}, np.zeros((4, 4), int), np.zeros((4, 4))
    for (i, j), window in windows(TEXTBOOK.shape, 2, 2):
        row, column = np.unravel_index(np.argmax(TEXTBOOK[window]), (2, 2))
        places[i, j] = 2 * i + int(row), 2 * j + int(column)
        back[places[i, j]] = values[i, j]
        spread[window] += values[i, j] / 4
    chosen = set(places.values())
    board.grid(0, 0, strings(TEXTBOOK), {p: solid(QUADRANT[p]) if p in chosen else pale(QUADRANT[p]) for p in FOUR})
    board.title(2, 0, "input")
    board.arrow(4.35, 2, above="max pool")
    board.grid(6.4, 1, strings(values), corners(solid))
    for (i, j), (row, column) in places.items():
        board.text(6.48 + j, 1.2 + i, str(4 * row + column), 6.0, PAPER, ha="left")
    board.title(7.4, 1, "values", "small: the indices")
    board.arrow(8.75, 2)
    board.grid(10.8, 0, strings(back), {p: solid(QUADRANT[p]) if p in chosen else {"ink": FAINT} for p in FOUR})
    board.title(12.8, 0, "max_unpool", "where they were")
    board.grid(16.2, 0, strings(spread), {p: pale(QUADRANT[p]) for p in FOUR}, size=9.5)
    board.title(18.2, 0, "avg_unpool", "÷ 4, to the whole window")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the figures of the documentation.")
    parser.add_argument("names", nargs="*", metavar="FIGURE", help=f"which ones (default: all of {', '.join(FIGURES)})")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("figures"), help="folder to write into")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    options = parser.parse_args()
    unknown = set(options.names) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    matplotlib.rcParams.update({"font.family": "DejaVu Sans", "svg.hashsalt": "cypool", "svg.fonttype": "path",
                                "hatch.linewidth": 0.5, "hatch.color": LINE})
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or FIGURES:
        board = Board()
        FIGURES[name](board)
        board.save(options.out / f"{name}.{options.format}")


if __name__ == "__main__":
    main()
