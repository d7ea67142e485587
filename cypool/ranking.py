"""Ranking: how the medians, ranks and modes of a call's windows are found. See ranks.pxi for the ways there are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from cypool import dispatch
from cypool.networks import Network, network, square
from cypool.windows import Axis, Windows, batch, counted

#: Taps up to which a mode compares every tap with every other.
PAIRS = 32
#: Taps up to which a network is worth writing down for any number of windows; and at most, for this many windows.
FEW, MANY, WINDOWS = 64, 1024, 1 << 15
#: Keys that are gathered from one window; larger ones are read several times.
GATHERED = 1 << 16
#: Bytes that a tile's rows may take, those of a single row of windows, and what a network's rows may take.
TILE, LARGEST, LINES = 1 << 18, 1 << 23, 1 << 15
#: Numbers in front of a vector, so that rows begin with one.
VECTOR = 64

# Places of an array's axes in the kernels' (a, b, d, h, w, c).
_ROLES = {("first", 1): (0, 1, 4), ("first", 2): (0, 1, 3, 4), ("first", 3): (0, 1, 2, 3, 4),
          ("last", 1): (0, 4, 5), ("last", 2): (0, 3, 4, 5), ("last", 3): (0, 2, 3, 4, 5)}

# The largest bits that are no NaN, and those of NaN.
_FLOATS = {dispatch.F16: (0x7C00, 0x7E00), dispatch.BF16: (0x7F80, 0x7FC0), dispatch.F32: (0x7F800000, 0x7FC00000),
           dispatch.F64: (0x7FF << 52, 0xFFF << 51)}


def keys(dtype: np.dtype[Any]) -> tuple[bool, bool, int, int, int]:
    """How a dtype's numbers become keys: see `Job` in ranks.pxi."""
    code = dispatch.storage(dtype)
    swapped = not dtype.isnative
    if code in _FLOATS:
        return swapped, True, 0, *_FLOATS[code]
    signed_key = dtype.itemsize > 1
    flip = 1 << (8 * dtype.itemsize - 1) if (dtype.kind == "i") != signed_key else 0
    return swapped, False, flip - (flip >> 63 << 64), 0, 0


def key(label: int, dtype: np.dtype[Any]) -> int:
    """The key of one integer."""
    half = 1 << (8 * dtype.itemsize - 1)
    return label if (dtype.kind == "i") == (dtype.itemsize > 1) else label + half if dtype.kind == "i" else label - half


def up(numbers: int, size: int) -> int:
    """Up to whole vectors of numbers of this size."""
    return -(-numbers * size // VECTOR) * VECTOR // size


class Ranking:
    """The ranks or modes of an array's windows, made ready for arrays of one shape.

    Parameters
    ----------
    x_shape, x_dtype, y_shape : with a batch axis
    windows : Windows
    rank : pair of int, optional
        ``(rank, of)``: of m taps the one at ``rank * (m - 1) // of`` is wanted. None: the mode.
    last : bool
        Channels last.
    omit : bool
        Leave NaN out.
    ignored : int, optional
        The label that a mode leaves out.
    """

    __slots__ = ("kernels", "made", "plan", "work")

    def __init__(self, x_shape: tuple[int, ...], x_dtype: np.dtype[Any], y_shape: tuple[int, ...], windows: Windows,
                 rank: tuple[int, int] | None, last: bool, omit: bool = False, ignored: int | None = None) -> None:
        planes, channels = (x_shape[0], max(1, x_shape[-1])) if last else (x_shape[0] * x_shape[1], 1)
        self.made = (windows, planes, channels, x_dtype, rank, last, omit, ignored)
        self.work = math.prod(y_shape) * windows.taps
        self.kernels: ModuleType | None = None

    def __call__(self, x: np.ndarray, y: np.ndarray, index: None, used: bool, num_threads: int | None) -> None:
        """Put the ranks of x's windows into y; index and used are `dispatch.Pooling`'s."""
        kernels = dispatch.rank_kernels()
        if self.kernels is not kernels:
            self.plan = _plan(kernels, *self.made)
            self.kernels = kernels
        self.plan.run(x, y, dispatch.threads_for(self.work, num_threads))


@lru_cache(maxsize=1024)
def _plan(kernels: ModuleType, windows: Windows, planes: int, channels: int, dtype: np.dtype[Any],
          rank: tuple[int, int] | None, last: bool, omit: bool, ignored: int | None) -> Any:
    """A compiled plan."""
    ndim = len(windows.axes)
    axes = [batch(1)] * (3 - ndim) + list(windows.axes)
    fields = [(axis.size, axis.out, axis.kernel, axis.stride, axis.padding, axis.dilation) for axis in axes]
    most = math.prod(min(axis.kernel, axis.size) for axis in axes)
    layout = Layout(axes, channels, dtype.itemsize)
    way, networks = choose_way(axes, layout, planes * channels * math.prod(windows.shape), most, dtype.itemsize, rank)
    room = most if rank is None else min(most, GATHERED)
    if room * dtype.itemsize >= 1 << 48:
        raise MemoryError(f"windows of {room} taps do not fit into memory")
    sizes = layout.sizes(way, max((n.rows for n in networks if n), default=0),
                         max((n.further for n in networks if n), default=0), planes)
    few = smallest(axes, rank) if way == "network" and rank else np.empty(0, np.int64)
    what = (rank is None, omit, *(rank or (0, 1)), None if ignored is None else key(ignored, dtype))
    return kernels.Plan(fields, _ROLES["last" if last else "first", ndim], keys(dtype), what, way,
                        *layout.tables(way), [n and (n.steps, *n.result, n.square) for n in networks], few,
                        (*sizes, room, *layout.inner()))


def choose_way(axes: list[Axis], layout: Layout, outputs: int, most: int, size: int,
               rank: tuple[int, int] | None) -> tuple[str, list[Network | None]]:
    """The way, and a network for each number of rows of taps that some window has."""
    d, h, w = axes
    taps = d.kernel * h.kernel * w.kernel
    if rank is None:
        return ("pairs" if taps <= PAIRS and layout.least <= LARGEST else "singly"), []
    costs = {"singly": 4 * taps * size + 800.0}         # cycles for each window, as measured, roughly
    if slides(w, size, most):
        changed = d.kernel * h.kernel * w.stride // w.dilation
        costs["histogram"] = 110 + 8.5 * changed if size == 1 else 400 + 28.0 * changed
        if size == 1 and most < 1 << 16 and d.kernel * h.kernel < 256 and h.dilation == w.dilation == 1:
            costs["columns"] = 30.0 + (15 if taps < 256 else 30) * w.stride * (1 + d.kernel * min(h.stride, h.kernel))
    found: list[Network | None] = []
    if layout.least <= LARGEST and (taps <= FEW or taps <= MANY and outputs >= WINDOWS):
        wanted = d.kernel * h.kernel, layout.across, len(layout.firsts), rank[0] * (taps - 1) // rank[1]
        full = square(*wanted) or network(*wanted)
        costs["network"] = full.work * size / (20 if full.rows < 100 else 12) + 5      # many rows leave the first cache
        found = [None] * (d.kernel * h.kernel + 1)
    way = min(costs, key=lambda name: costs[name])
    if way != "network":
        return way, []
    for rows in rows_of_taps(d, h) if taps <= 2 * FEW else ():
        found[rows] = network(rows, layout.across, len(layout.firsts), rank[0] * (rows * w.kernel - 1) // rank[1])
    found[-1] = full
    return way, found


def slides(w: Axis, size: int, most: int) -> bool:
    """Whether a histogram may slide along a row: short numbers, and neighbouring windows that share half their taps."""
    return (size <= 2 and most < 1 << 31 and w.stride % w.dilation == 0 and 2 * w.stride <= w.kernel * w.dilation
            and (size == 1 or most >= 64))


def rows_of_taps(d: Axis, h: Axis) -> Iterator[int]:
    """How many rows of taps windows have."""
    for planes in set(counted(d, padded=False).tolist()):
        for rows in set(counted(h, padded=False).tolist()):
            yield planes * rows


def smallest(axes: list[Axis], rank: tuple[int, int]) -> np.ndarray:
    """How many keys of the i-th missing column are the smallest ones, see `Job` in ranks.pxi.

    With i columns missing, full windows have as many smallest keys too many as their rank is above that of the taps
    that are there. That works as long as no window reaches over both ends.
    """
    d, h, w = axes
    rows = d.kernel * h.kernel
    if w.kernel == 1 or w.extent > w.size:
        return np.empty(0, np.int64)
    ranks = [rank[0] * (rows * columns - 1) // rank[1] for columns in range(w.kernel, 0, -1)]
    return np.array([0] + [more - less for more, less in itertools.pairwise(ranks)], np.int64)


class Layout:
    """How rows of the input stand in scratch memory.

    A row is loaded in *sorts*, as many as there are remainders of the taps' columns by the stride: each sort holds the
    columns a stride apart, so that a tap of neighbouring windows reads neighbouring numbers.
    """

    def __init__(self, axes: list[Axis], channels: int, size: int) -> None:
        self.axes, self.channels, self.size = axes, channels, size
        w = axes[2]
        self.across: tuple[tuple[int, int], ...] = ()
        self.firsts: list[int] = []
        self.reach: list[int] = []
        self.tile_c = -(-channels // -(-channels // 64))
        self.least = axes[0].kernel * axes[1].kernel * w.extent * size
        if self.least <= LARGEST:
            self.firsts = sorted({j * w.dilation % w.stride for j in range(w.kernel)})
            place = {first: i for i, first in enumerate(self.firsts)}
            self.across = tuple((place[j * w.dilation % w.stride], j * w.dilation // w.stride)
                                for j in range(w.kernel))
            self.reach = [max(shift for sort, shift in self.across if sort == i) for i in range(len(self.firsts))]

    def places(self, tile_w: int) -> list[int]:
        """Where each sort begins in a loaded row, and where the row ends."""
        places = [0]
        for reach in self.reach:
            places.append(places[-1] + up((tile_w + reach) * self.tile_c, self.size) + VECTOR // self.size)
        return places

    def sizes(self, way: str, lines: int, further: int, planes: int) -> tuple[int, ...]:
        """The sizes of tiles and buffers, as `Plan` wants them."""
        d, h, w = self.axes
        self.tile_w = w.out
        if way == "columns":
            tile_w = min(w.out, 512)
            columns = min((tile_w - 1) * w.stride + w.kernel, w.size)
            return min(h.out, 4 * h.kernel + 64), tile_w, self.channels, columns, 0, 0, 0, 0
        if way not in ("network", "pairs"):
            return 1, w.out, self.channels, 0, 0, 0, 0, 0
        numbers = min(2048, max(VECTOR, LINES // ((lines or 8) * self.size), 4 * further * self.tile_c))
        block = min(w.out, max(1, numbers // self.tile_c))
        while self.tile_w > block and d.kernel * h.kernel * self.places(self.tile_w)[-1] * self.size > TILE // 2:
            self.tile_w = -(-self.tile_w // 2)
        pitch = self.places(self.tile_w)[-1]
        tile_h, tile_rows = 1, h.kernel
        while tile_h < h.out:
            more = min(2 * tile_h, h.out)
            rows = min((more - 1) * h.stride + h.extent, h.size)
            tiles = planes * d.out * -(-h.out // more) * -(-w.out // self.tile_w)
            if d.kernel * rows * pitch * self.size > TILE or more > 4 and tiles < 32:
                break
            tile_h, tile_rows = more, rows
        return (tile_h, self.tile_w, self.tile_c, pitch, tile_rows, block,
                up((block + further) * self.tile_c, self.size) + VECTOR // self.size, lines)

    def tables(self, way: str) -> tuple[np.ndarray, np.ndarray]:
        """The tables of sorts and of taps, after `sizes`."""
        if way not in ("network", "pairs"):
            return np.empty((0, 3), np.int64), np.empty((0, 2), np.int64)
        return (np.array([(first - self.axes[2].padding, reach, place) for first, reach, place
                          in zip(self.firsts, self.reach, self.places(self.tile_w), strict=False)], np.int64),
                np.array(self.across, np.int64))

    def inner(self) -> tuple[int, int]:
        """The windows along w that reach over no end: the first, and one past the last."""
        w = self.axes[2]
        return -(-w.padding // w.stride), max(0, (w.size - w.extent + w.padding) // w.stride + 1)
