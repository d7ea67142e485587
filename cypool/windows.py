"""Windows: what each output reads along each axis. Integers only; no array is touched here.

An axis either follows a rule, window ``i`` reading the taps ``i * stride - padding + j * dilation`` for
``j < kernel`` wherever they lie in ``[0, size)``, or has a table of its first taps and their number. Everything that
pooling knows of padding, "same", ceil mode, dilation and their adjoints ends here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

#: What a pass over the data costs beside reading a tap: it has to be written, and read again.
PASS = 2


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True, eq=False)
class Axis:
    """The windows along one axis.

    Attributes
    ----------
    size, out : int
        Elements in, windows out.
    kernel, stride, padding, after, dilation : int
        The rule; ``padding`` elements before, ``after`` behind.
    phases : int
        More than 1: the gradient of windows so far apart. Result ``i`` is the sum of the elements whose windows, of
        `kernel` taps that begin at ``element * phases - padding``, it was in; `stride` says nothing.
    table : pair of arrays, optional
        First tap and number of taps (``dilation`` apart) of each window, where no rule holds.
    """

    size: int
    out: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    after: int = 0
    dilation: int = 1
    phases: int = 1
    table: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def extent(self) -> int:
        """Elements from a window's first tap to its last, both counted."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def whole(self) -> bool:
        """Whether there is one window and it is the whole axis."""
        return (self.out == 1 and self.kernel == self.size and self.padding == 0 and self.dilation == 1
                and self.phases == 1 and self.table is None)

    def links(self, repeats: bool) -> tuple[tuple[int, int], ...]:
        """The narrow windows that this wide one is a chain of (see `chain`); none where folding tap by tap is cheaper.

        A chain is computed at every element, whatever the stride, and each of its links passes over memory.
        """
        if self.table is not None or self.phases > 1 or self.extent > 4 * self.size + 64:
            return ()
        cost, links = chain(self.kernel, repeats)
        return links if len(links) > 1 and 1.8 * cost * self.stride < self.kernel + PASS else ()

    @cached_property
    def empty(self) -> bool:
        """Whether some window has no element. Only a dilation beyond the input leaves such gaps."""
        return self.dilation > self.size and bool(np.any(counted(self, padded=False) <= 0))

    def adjoint(self) -> Axis:
        """The axis of the gradient: the windows that each element was in.

        The gradient of a sum over windows is itself a sum over the outputs' gradient: over windows where these are 1
        apart; otherwise element i was in ``ceil((kernel - i % stride) / stride)`` of them, which makes as many phases.
        """
        if self.table is not None:
            place, (first, count) = np.arange(self.size, dtype=np.int64), self.table
            reached = np.searchsorted(first + count, place, side="right")
            return tabled(self.out, reached, np.searchsorted(first, place, side="right") - reached)
        if self.stride == 1:
            return Axis(self.out, self.size, self.kernel, 1, self.extent - 1 - self.padding, 0, self.dilation)
        if self.dilation == 1:
            return Axis(self.out, self.size, self.kernel, 1, self.padding, phases=self.stride)
        first = np.full(self.size, self.out, np.int64)
        count = np.zeros(self.size, np.int64)
        outputs = np.arange(self.out, dtype=np.int64)
        for tap in range(self.kernel):
            reached = outputs * self.stride - self.padding + tap * self.dilation
            inside = (reached >= 0) & (reached < self.size)
            count[reached[inside]] += 1
            first[reached[inside]] = np.minimum(first[reached[inside]], outputs[inside])
        step = self.dilation // int(np.gcd(self.stride, self.dilation))
        return Axis(self.out, self.size, max(1, int(count.max())), dilation=step, table=(first, count))


@lru_cache(maxsize=4096)
def chain(kernel: int, repeats: bool) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The cheapest way to make a window of narrower ones: its cost per element, and the links.

    A link ``(taps, step)`` reduces so many windows that came out of the links before, each `step` elements further on;
    ``(1, step)`` takes one more element in, the one `step` behind the window's first. With `repeats` (max, min) windows
    may overlap. 25 = ``(5, 1), (5, 5)``: ten taps instead of 25.
    """
    best: tuple[int, tuple[tuple[int, int], ...]] = kernel + PASS, ((kernel, 1),)
    for taps in range(2, min(kernel, 16)) if kernel <= 4096 else (4,):
        step = kernel // taps
        inner = kernel - (taps - 1) * step if repeats else step
        cost, links = chain(inner, repeats)
        rest = range(kernel - kernel % taps, kernel) if not repeats else range(0)
        cost += taps + PASS + len(rest) * (2 + PASS)
        if cost < best[0]:
            best = cost, (*(links if inner > 1 else ()), (taps, step), *((1, place) for place in rest))
    return best


def batch(size: int) -> Axis:
    """An axis whose windows are its single elements."""
    return Axis(size, size)


def output_size(size: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit along an axis; may be less than 1.

    In ceil mode windows may overhang the far edge, but none starts beyond the input or the padding before it.
    """
    extent = (kernel - 1) * dilation + 1
    if ceil_mode:
        return min(ceil_div(size + before + after - extent, stride) + 1, (size + before - 1) // stride + 1)
    return (size + before + after - extent) // stride + 1


def same_padding(size: int, kernel: int, stride: int, dilation: int, upper: bool) -> tuple[int, int]:
    """The padding that makes ``ceil(size / stride)`` windows, an odd one going after (upper) or before."""
    total = max(0, (ceil_div(size, stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    small, big = total // 2, total - total // 2
    return (small, big) if upper else (big, small)


def counted(axis: Axis, padded: bool) -> np.ndarray:
    """How many taps of each window an average counts: those on elements, or on padding as well."""
    if axis.table is not None:
        return axis.table[1]
    origin = np.arange(axis.out) * axis.stride - axis.padding
    lead = 0 if padded else np.maximum(0, -(origin // axis.dilation))
    end = axis.size + axis.after if padded else axis.size
    return np.minimum(axis.kernel, -((origin - end) // axis.dilation)) - lead


def counted_alike(axis: Axis, padded: bool) -> bool:
    """Whether an average counts all taps of every window."""
    if axis.table is not None:
        return bool(np.all(axis.table[1] == axis.kernel))
    end = axis.size + axis.after if padded else axis.size
    return (padded or axis.padding == 0) and (axis.out - 1) * axis.stride - axis.padding + axis.extent <= end


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one call: an axis for each spatial dimension.

    `regular` and `adjoint` make each but once, so that caches tell them apart by identity, which costs nothing.
    """

    axes: tuple[Axis, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.out for axis in self.axes)

    @cached_property
    def taps(self) -> int:
        """Taps of a full window."""
        product = 1
        for axis in self.axes:
            product *= axis.kernel
        return product

    @cached_property
    def whole(self) -> bool:
        """Whether each window is the whole plane."""
        return all(axis.whole for axis in self.axes)

    @cached_property
    def valid(self) -> bool:
        """Whether there is a window on every axis, and an element in every window."""
        return self.taps < 2**53 and all(
            axis.out >= 1 and axis.padding < axis.extent and axis.after < axis.extent and not axis.empty
            for axis in self.axes)


@lru_cache(maxsize=1024)
def regular(sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...],
            padding: tuple[tuple[int, int], ...], dilation: tuple[int, ...], ceil_mode: bool) -> Windows:
    """Windows of one size at one stride; an axis with fewer than one window keeps ``out < 1`` for the caller to see."""
    return Windows(tuple(
        # a stride beyond the array is that of one window
        Axis(n, output_size(n, k, s, p0, p1, d, ceil_mode), k, min(s, max(n + p0 + p1, 1)), p0, p1, d)
        for n, k, s, (p0, p1), d in zip(sizes, kernel, stride, padding, dilation, strict=True)))


def tabled(size: int, first: np.ndarray, count: np.ndarray) -> Axis:
    """An axis of windows of `count` elements from `first` on, in order."""
    return Axis(size, len(first), int(count.max()), max(1, size // len(first)), table=(first, count))


@lru_cache(maxsize=1024)
def bins(sizes: tuple[int, ...], outputs: tuple[int, ...]) -> Windows:
    """As many bins as outputs along each axis, bin i from ``floor(i size / out)`` to ``ceil((i + 1) size / out)``."""
    axes = []
    for size, out in zip(sizes, outputs, strict=True):
        if out == 0 or size % out == 0:
            axes.append(Axis(size, out, max(1, size // max(out, 1)), max(1, size // max(out, 1))))
        else:
            i = np.arange(out, dtype=np.int64)
            each, over = divmod(size, out)
            first = i * each + i * over // out
            axes.append(tabled(size, first, (i + 1) * each - ((i + 1) * -over // out) - first))
    return Windows(tuple(axes))


@lru_cache(maxsize=1024)
def blocks(sizes: tuple[int, ...], outputs: tuple[int, ...]) -> Windows:
    """As many blocks as outputs along each axis, one behind the other, the last ones an element longer where that does
    not come out even. Elements that are fewer are each taken as several, which blocks of one or two of them share."""
    axes = []
    for size, out in zip(sizes, outputs, strict=True):
        times = ceil_div(out, size)
        each, longer = divmod(size * times, out)
        begin = np.arange(out, dtype=np.int64) * each + np.maximum(0, np.arange(out) - (out - longer))
        end = np.append(begin[1:], size * times)
        axes.append(tabled(size, begin // times, (end - 1) // times + 1 - begin // times))
    return Windows(tuple(axes))


@lru_cache(maxsize=1024)
def adjoint(windows: Windows) -> Windows:
    """The windows of the gradient. Along an axis that is one window all gradients are the same: it keeps length 1."""
    return Windows(tuple(batch(1) if axis.whole else axis.adjoint() for axis in windows.axes))


@lru_cache(maxsize=1024)
def adjoint_in_full(windows: Windows) -> Windows:
    """The same for gradients that were repeated along such axes beforehand."""
    return Windows(tuple(batch(axis.size) if axis.whole else axis.adjoint() for axis in windows.axes))


@lru_cache(maxsize=256)
def one_row(size: int) -> Windows:
    """Windows that are the single elements of a row."""
    return Windows((batch(size),))


@lru_cache(maxsize=1024)
def band(windows: Windows, begin: int, end: int) -> tuple[int, int, Windows]:
    """The windows `begin` to `end` along the first axis: which elements they read there, and the windows of these.

    The elements in between are all there, and no window loses one.
    """
    axis = windows.axes[0]
    if (begin, end) == (0, axis.out):
        return 0, axis.size, windows
    if axis.table is not None:
        first, count = (part[begin:end] for part in axis.table)
        low, high = int(first.min()), int((first + (count - 1) * axis.dilation).max()) + 1
        local = replace(axis, size=high - low, out=end - begin, table=(first - low, count))
        return low, high, Windows((local, *windows.axes[1:]))
    origin = begin * axis.stride - axis.padding
    low, high = max(origin, 0), min(axis.size, (end - 1) * axis.stride - axis.padding + axis.extent)
    return low, high, _banded(windows, high - low, end - begin, low - origin)


@lru_cache(maxsize=1024)
def _banded(windows: Windows, size: int, out: int, padding: int) -> Windows:
    """Bands in the middle of an array are all alike."""
    local = replace(windows.axes[0], size=size, out=out, padding=padding, after=0)
    return Windows((local, *windows.axes[1:]))


def reached(axis: Axis, begin: int, end: int) -> tuple[int, int]:
    """The windows that may read some of the elements `begin` to `end`; none: an empty range."""
    if axis.table is not None:
        first, count = axis.table
        low = int(np.searchsorted(first + count, begin, side="right"))
        return low, max(low, int(np.searchsorted(first, end, side="left")))
    low = max(0, ceil_div(begin + axis.padding - axis.extent + 1, axis.stride))
    return low, max(low, min(axis.out, (end - 1 + axis.padding) // axis.stride + 1))


@lru_cache(maxsize=1024)
def trimmed(windows: Windows) -> Windows:
    """The same windows without the taps at the end that are elements in none of them: almost all, where windows are
    much larger than their array."""
    return Windows(tuple(
        axis if axis.table is not None else
        replace(axis, kernel=min(axis.kernel, (axis.size - 1 + axis.padding) // axis.dilation + 1), after=0)
        for axis in windows.axes))


def started(axis: Axis, before: int) -> int:
    """How many windows start before this element; all, if it is the end."""
    if before == axis.size:
        return axis.out
    if axis.table is not None:
        return int(np.searchsorted(axis.table[0], before, side="left"))
    return 0 if before == 0 else min(axis.out, ceil_div(before + axis.padding, axis.stride))


def taps_of(axis: Axis, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the taps of these windows of an axis lie, and which of them are elements: arrays of (windows, kernel)."""
    tap = np.arange(axis.kernel, dtype=np.int64)
    if axis.table is not None:
        first, count = axis.table
        return first[which, None] + tap * axis.dilation, tap < count[which, None]
    place = which[:, None] * axis.stride - axis.padding + tap * axis.dilation
    return place, (place >= 0) & (place < axis.size)
