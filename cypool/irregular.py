"""The Python face of the irregular kernels: rows of segments and sequences, and gradients of what they chose.

What is here takes checked arguments. See _kernels/irregular/ for how arrays are seen there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cypool import arguments, dispatch
from cypool.pieces import PIECE, real_of

Array = np.ndarray[Any, np.dtype[Any]]

#: Bytes that the sums and maxima of unsorted segments may take at once, of all threads.
STATES = 14 << 20
#: Features of a line of the cache; threads below which it is no gain that each goes through all ids.
LINE, FEW = 16, 4
#: Ids that are looked at to tell whether they may rise.
GLANCE = 1024
#: Rows that an index beside a float can number.
NUMBERED = 2**31


def number_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What the kernels read a dtype as."""
    if arguments.dtype_name(dtype) in arguments.FLOATS:
        return np.dtype(np.float64 if arguments.dtype_name(dtype) == "float64" else np.float32)
    return np.dtype(np.int64)


def codes(x: Array) -> tuple[int, bool]:
    """An array's storage, and whether its bytes are swapped."""
    return dispatch.storage(x.dtype), not x.dtype.isnative


def flattened(x: Array, first: int, stop: int) -> Iterator[tuple[Any, Array]]:
    """Views of x whose axes `first` to `stop` are one, and where in these axes each lies; several, where strides do not
    allow one: then the longest run of axes that they allow."""
    runs: list[list[int]] = []
    for i in (i for i in range(first, stop) if x.shape[i] > 1):
        before = runs[-1][-1] if runs else None
        if before is not None and x.strides[before] == x.shape[i] * x.strides[i]:
            runs[-1].append(i)
        else:
            runs.append([i])
    empty: list[int] = []
    run = max(runs, key=lambda run: math.prod(x.shape[i] for i in run), default=empty)
    others = [n if i not in run else 1 for i, n in enumerate(x.shape[first:stop], first)]
    flat = (*x.shape[:first], math.prod(x.shape[i] for i in run) if x.size else 0, *x.shape[stop:])
    strides = (*x.strides[:first], x.strides[run[-1]] if run else x.itemsize, *x.strides[stop:])
    for place in np.ndindex(*others) if x.size else [(0,) * (stop - first)]:
        at = tuple(slice(None) if i in run else p for i, p in enumerate(place, first))
        part = x[(slice(None),) * first + at]
        yield at, np.lib.stride_tricks.as_strided(part, flat, strides, writeable=x.flags.writeable)


def readable(x: Array, number: np.dtype[Any]) -> bool:
    """Whether kernels can use an array as it is."""
    return bool(x.dtype == number and x.flags.c_contiguous and x.flags.aligned)


class Result:
    """Where results go: an array that the kernels write, and what becomes of it.

    Parameters
    ----------
    y : ndarray
        The one to return, of any strides.
    number : dtype
        That the kernels compute in.
    """

    def __init__(self, y: Array, number: np.dtype[Any]) -> None:
        self.y = y
        self.made = y if readable(y, number) else np.empty(y.shape, number)

    def done(self, flip: bool = False) -> None:
        """Put the result where it belongs; flip: it stands for uint64."""
        if self.made is not self.y:
            with np.errstate(all="ignore"):
                self.y[...] = self.made.view(np.uint64) ^ np.uint64(1 << 63) if flip else self.made


#: Reduces rows: (x (outer, rows, features), which, out and index (segments, features), count, empty).
Reduce = Callable[[Array, str, Array, Array | None, Array | None, float], None]


def reduce_all(reduce: Reduce, kind: str, x: Array, y: Array, index: Array | None, count: Array | None,
               empty: float) -> None:
    """The "sum", "mean", "max" or "min" of rows of x (outer, rows, ...) into y (segments, ...).

    index: C-contiguous, for max and min; count: (segments,), for means.
    """
    number = number_of(x.dtype)
    if kind == "mean" and number.kind == "i":
        assert count is not None
        y[...] = _exact_means(reduce, x, count, y.shape, empty)
        return
    flip = kind in ("max", "min") and x.dtype.kind == "u" and x.dtype.itemsize == 8
    short = kind in ("sum", "mean") and x.dtype.itemsize == 2           # rounded once, from double
    if number.name == "float32" and (short or x.shape[1] >= NUMBERED):
        number = np.dtype(np.float64)
    result = Result(y, number)
    _each_part(reduce, "sum" if kind == "mean" else kind, x, result.made, index, count,
               int(empty) - (1 << 63) if flip else empty)
    result.done(flip)


def _each_part(reduce: Reduce, which: str, x: Array, y: Array, index: Array | None, count: Array | None,
               empty: float) -> None:
    """`reduce` over views of x that are (outer, rows, features)."""
    parts = list(flattened(x, 2, x.ndim))
    for place, part in parts:
        at: Any = (slice(None), *place)
        made = y if len(parts) == 1 else np.empty(y[at].shape, y.dtype)
        places = index if index is None or len(parts) == 1 else np.empty(made.shape, np.int64)
        shape = (len(y), part.shape[2])
        reduce(part, which, made.reshape(shape), None if places is None else places.reshape(shape), count, empty)
        if len(parts) > 1:
            y[at] = made
            if index is not None:
                index[at] = places


def _exact_means(reduce: Reduce, x: Array, count: Array, shape: tuple[int, ...], empty: float) -> Array:
    """The means of integers, as float64, rounded once: 64-bit ones are added up in halves."""
    low, high = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    if x.dtype.itemsize == 8:
        order = "<" if x.dtype.newbyteorder("=").newbyteorder("<") == x.dtype else ">"
        fields = [("low", order + "u4"), ("high", order + ("i4" if x.dtype.kind == "i" else "u4"))]
        halves = x.view(np.dtype(fields if order == "<" else fields[::-1]))
        _each_part(reduce, "sum", halves["high"], high, None, count, 0)
        x = halves["low"]
    _each_part(reduce, "sum", x, low, None, count, 0)
    by = np.broadcast_to(count.reshape(-1, *(1,) * (len(shape) - 1)), shape)
    with np.errstate(all="ignore"):
        mean = ((high << 32) + low) / by
    mean[by == 0] = empty
    large = (abs(high) >= 1 << 20) | (abs(low) >= 1 << 52)
    if large.any():                                 # Python's integers divide exactly
        mean[large] = [(int(h) * (1 << 32) + int(w)) / int(n) for h, w, n in
                       zip(high[large], low[large], by[large], strict=True)]
    return np.asarray(mean)


def reduce_runs(x: Array, begin: Array, end: Array, mask: Array | None, which: str, out: Array, index: Array | None,
                count: Array | None, empty: float, threads: int | None) -> None:
    """Runs of x's rows (outer, rows, features): see segments.pxi."""
    if out.size:
        dispatch.irregular_kernels().reduce_runs(
            x, codes(x), begin, end, None if mask is None else mask.view(np.uint8), which, out, index, count, empty,
            dispatch.threads_for(x.size, threads))


def examine(ids: Array, segments: int | None, threads: int | None) -> tuple[int, int, bool, Array | None]:
    """The least and largest of some integers, whether they rise, and then where each of so many begins."""
    begin = None if segments is None else np.empty(segments + 1, np.int64)
    found: tuple[int, int, bool] = dispatch.irregular_kernels().examine(ids[None, :, None], codes(ids), begin,
                                                 dispatch.threads_for(ids.size, threads))
    return *found, begin


def reduce_segments(x: Array, ids: Array, which: str, out: Array, index: Array | None, count: Array | None,
                    empty: float, threads: int | None) -> bool:
    """The rows of x (1, rows, features) of each segment; False if an id is not in [0, len(out))."""
    segments, features = out.shape
    used = dispatch.threads_for(x.size, threads)
    size = 8 if which == "sum" else 2 * out.itemsize            # of a sum; of a maximum and its row
    shares, wide = -(-segments * features * size // STATES), features
    if features >= LINE * used:                                 # each thread some of the features, in whole lines,
        wide = -(-features // (LINE * used)) * LINE
    elif used >= FEW:                                           # or some of the segments
        shares = max(used, shares)
    if features > 1 and not (np.diff(ids[:GLANCE].astype(np.int64, copy=False)) < 0).any() or shares > used:
        least, most, rises, begin = examine(ids, segments, threads)
        if least < 0 or most >= segments:
            return False
        if rises and begin is not None:
            reduce_runs(x, begin[:-1], begin[1:], None, which, out, index, count, empty, threads)
            return True
    return bool(dispatch.irregular_kernels().reduce_listed(
        x, codes(x), ids[None, :, None], codes(ids), which, out, index, count, empty, -(-segments // shares),
        wide, used))


def take_rows(x: Array, ids: Array, out: Array, threads: int | None) -> None:
    """Rows of x into out, or zeros for negative ids: both 2D, C-contiguous and of one dtype."""
    if out.size and x.size:
        dispatch.irregular_kernels().take_rows(x.view(np.uint8), ids[None, :, None], codes(ids), out.view(np.uint8),
                                               dispatch.threads_for(out.size, threads))
    else:
        out[...] = 0


def image_order(image: Array, images: int) -> tuple[Array, Array]:
    """The boxes image by image, and where those of each begin."""
    begin = np.zeros(images + 1, np.int64)
    np.cumsum(np.bincount(image, minlength=images), out=begin[1:])
    return np.argsort(image, kind="stable").astype(np.int64, copy=False), begin


def add_chosen(grad: Array, index: Array, image: Array, out: Array, threads: int | None) -> bool:
    """out (images, groups, volume, c) = what grad (boxes, groups, bins, c) brings to positions of its image, of which
    -1 is none; False if one is outside."""
    if grad.size == 0 or out.size == 0:
        out[...] = 0
        return out.size > 0 or index.size == 0 or bool((index == -1).all())
    real = real_of(grad)
    result = Result(out, real)
    order, begin = image_order(image, out.shape[0])
    used, inside = dispatch.threads_for(out.size, threads), True
    whole = readable(index, np.dtype(np.int64)) and readable(grad, real)
    some = out.shape[1] if whole else max(1, PIECE // max(1, index[:, :1].size))
    for g in range(0, out.shape[1], some):                      # some groups at a time, where they must be converted
        groups = slice(g, g + some)
        part = result.made[:, groups]
        made = part if part.flags.c_contiguous else np.empty(part.shape, real)
        inside = inside and bool(dispatch.irregular_kernels().spread_regions(
            made, order, begin, *(grad, index) if whole else (np.ascontiguousarray(grad[:, groups], real),
                                                              np.ascontiguousarray(index[:, groups], np.int64)), used))
        if made is not part:
            part[...] = made
    result.done()
    return inside
