"""Pieces: an array worked piece by piece, each small enough to stay in a core's cache from one step to the next.

Operators that are more than one pass over their data (powers, exponentials, then sums) would write and read whole
arrays between the passes. A piece holds planes, or bands of one plane; which they are depends on shapes alone, so that
results do not depend on threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from cypool import arguments, dispatch
from cypool.windows import Windows, adjoint, band, reached, started

Array = np.ndarray[Any, np.dtype[Any]]
Part = TypeVar("Part")
Result = TypeVar("Result")

#: Elements of a piece: two MiB of float32. Smaller ones spend their time between the operations.
PIECE = 1 << 19


def cut_planes(x: Array, batch: slice, channels: slice, last: bool, along: slice = slice(None)) -> Array:
    """A view of some planes of x, or of a part of them along the first spatial axis; an axis of length 1 stands for
    any."""
    batch = batch if x.shape[0] != 1 else slice(None)
    channels = channels if x.shape[-1 if last else 1] != 1 else slice(None)
    return x[batch, along, ..., channels] if last else x[batch, channels, along]


@dataclass(frozen=True)
class Piece:
    """A part of the work.

    Attributes
    ----------
    batch, channels : slice
    inputs, outputs : slice
        Elements that are read, and windows, along the first spatial axis.
    inner : slice
        Of the elements read, those whose gradient this piece makes.
    starting : slice
        Of the windows, those that count as this piece's: they start in `inner`.
    windows : Windows
        Of these elements.
    last : bool
    elements : int
        In `inner`.
    """

    batch: slice
    channels: slice
    inputs: slice
    outputs: slice
    inner: slice
    starting: slice
    windows: Windows
    last: bool
    elements: int = 0

    def cut(self, x: Array, along: slice) -> Array:
        """A view of x, which has a batch axis; an axis of length 1 stands for any."""
        return cut_planes(x, self.batch, self.channels, self.last, along)

    @property
    def gaps(self) -> bool:
        """Whether some elements may be in no window."""
        return any(axis.table is not None or axis.stride > axis.kernel or axis.dilation > 1
                   or (axis.out - 1) * axis.stride - axis.padding + axis.extent < axis.size
                   for axis in self.windows.axes)

    def along(self, a: Array, part: slice) -> Array:
        """A part of one of the piece's own arrays along the first spatial axis."""
        return a[:, part] if self.last else a[:, :, part]


def planes(shape: tuple[int, ...], last: bool) -> Iterator[tuple[slice, slice]]:
    """Batch and channels of the pieces of an array of this shape."""
    n, c = shape[0], shape[-1] if last else shape[1]
    plane = max(1, math.prod(shape) // max(1, n * c))
    if n * c == 0:
        return
    images = PIECE // (plane * c)
    if images:
        for i in range(0, n, images):
            yield slice(i, min(n, i + images)), slice(0, c)
        return
    some = c if last else max(1, PIECE // plane)            # channels that lie beside each other are not torn apart
    for i in range(n):
        for k in range(0, c, some):
            yield slice(i, i + 1), slice(k, min(c, k + some))


def _bands(size: int, least: int, row: int) -> Iterator[tuple[int, int]]:
    """Cuts an axis: at least `least` elements each, in all about a piece of `row` elements each."""
    step = max(1, least, PIECE // max(1, row))
    for i in range(0, size, step):
        yield i, min(size, i + step)


def forward_pieces(shape: tuple[int, ...], windows: Windows, last: bool) -> list[Piece]:
    """Every window of an input of this shape in one piece."""
    axis, pieces = windows.axes[0], []
    for batch, channels in planes(shape, last):
        row = _row(shape, batch, channels, last)
        least = 1 + 2 * axis.extent // axis.stride
        for begin, end in _bands(axis.out, least, row * axis.stride):
            low, high, local = band(windows, begin, end)
            pieces.append(Piece(batch, channels, slice(low, high), slice(begin, end), slice(None), slice(None),
                                local, last))
    return pieces


def backward_pieces(shape: tuple[int, ...], windows: Windows, last: bool) -> list[Piece]:
    """Every element of an input of this shape in one piece, with all windows that it is in."""
    axis, pieces = windows.axes[0], []
    for batch, channels in planes(shape, last):
        row = _row(shape, batch, channels, last)
        for begin, end in _bands(axis.size, 4 * axis.extent, row):
            first, stop = reached(axis, begin, end)
            if first == stop:
                continue                                    # in no window: its gradient is zero
            starting = slice(started(axis, begin) - first, started(axis, end) - first)
            low, high, local = band(windows, first, stop)
            inner = slice(max(begin, low) - low, max(min(end, high), low) - low)
            count = row * (inner.stop - inner.start)
            pieces.append(Piece(batch, channels, slice(low, high), slice(first, stop), inner, starting, local, last,
                                count))
    return pieces


def _row(shape: tuple[int, ...], batch: slice, channels: slice, last: bool) -> int:
    """Elements of a piece for each one along the first spatial axis."""
    length = shape[1] if last else shape[2]
    plane = math.prod(shape[1:-1] if last else shape[2:]) // max(1, length)
    return plane * int(batch.stop - batch.start) * int(channels.stop - channels.start)


def each(work: Callable[[Part, int | None], Result], pieces: list[Part], elements: int,
         num_threads: int | None) -> list[Result]:
    """The results of all pieces, in order; ``work(piece, threads)`` is told how many threads it may use itself."""
    dispatch.keep_memory()

    def quietly(piece: Part, threads: int | None) -> Result:
        with np.errstate(all="ignore"):             # of this thread
            return work(piece, threads)

    threads = min(dispatch.threads_for(elements, num_threads), len(pieces))
    if threads <= 1:
        return [quietly(piece, num_threads) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda piece: quietly(piece, 1), pieces))


def reduced(which: str, x: Array, windows: Windows, last: bool, threads: int | None) -> Array:
    """A reduction over windows, of x's dtype."""
    y = np.empty(arguments.with_spatial(x.shape, windows.shape, last), x.dtype)
    dispatch.reduce_windows(x, y, windows, which, last=last, num_threads=threads)
    return y


def total(x: Array, windows: Windows, last: bool, threads: int | None) -> Array:
    """Sums over windows."""
    return reduced("sum", x, windows, last, threads)


def largest(x: Array, windows: Windows, last: bool, threads: int | None) -> Array:
    """The largest element of each window; NaN where there is one."""
    return reduced("max", x, windows, last, threads)


def shared(y: Array, windows: Windows, last: bool, threads: int | None) -> Array:
    """The adjoint of `total`: each element's sum over the windows it is in; axes of one window keep length 1."""
    return total(y, adjoint(windows), last, threads)


def real_of(*arrays: Array) -> np.dtype[Any]:
    """What sums of these are computed in, whatever their byte order."""
    return np.dtype(np.float64 if any(a.dtype.name == "float64" for a in arrays) else np.float32)


# ---------------------------------------------------------------------------- tap by tap

def spatial_axes(x: Array, last: bool) -> range:
    return range(1, x.ndim - 1) if last else range(2, x.ndim)


def extended(x: Array, windows: Windows, last: bool, real: Any, fill: Any = 0) -> Array:
    """A copy of x with the padding around it that windows by a rule reach."""
    shape, inside = list(x.shape), [slice(None)] * x.ndim
    for i, axis in zip(spatial_axes(x, last), windows.axes, strict=True):
        end = max(axis.padding + axis.size, (axis.out - 1) * axis.stride + axis.extent)
        shape[i], inside[i] = end, slice(axis.padding, axis.padding + axis.size)
    copy = np.full(shape, fill, real)
    copy[tuple(inside)] = x
    return copy


def tap_views(extended_x: Array, windows: Windows, last: bool) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Each tap of the window, in scan order, and a view of that tap of every window."""
    for tap in np.ndindex(*(axis.kernel for axis in windows.axes)):
        part = [slice(None)] * extended_x.ndim
        for i, axis, j in zip(spatial_axes(extended_x, last), windows.axes, tap, strict=True):
            begin = j * axis.dilation
            part[i] = slice(begin, begin + (axis.out - 1) * axis.stride + 1, axis.stride)
        yield tap, extended_x[tuple(part)]
