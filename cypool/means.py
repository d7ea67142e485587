"""Means: the operators that weigh the elements of a window, all of them two sums over transformed data.

With weights w and values v, ``S = sum of w`` and ``T = sum of w v`` over a window; the result is ``T / S`` (soft,
attention, stochastic inference) or a function of S alone (Lp, GeM, log-sum-exp). Gradients are sums over the windows
that an element is in: ``w`` times those of ``d / S`` and ``d y / S``, for gradients d of the results y.

Weights are powers or exponentials, and a sum of them tells nothing of windows whose weights are far from the scale
that they were computed at. So each piece is tried at scale 1 and the array's own precision. Where too many windows are
off that scale those are tried in float64 at the scale of the largest of them, and so on; the few that are left are
taken one by one, each at its own. A window's result depends on its own elements alone, and is finite whenever it should
be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from cypool import fused
from cypool.fused import ON_SCALE, Fused, Kinds
from cypool.fused import Sums as FusedSums
from cypool.pieces import Array, Piece, backward_pieces, each, forward_pieces, largest, real_of, shared, total
from cypool.windowed import taps
from cypool.windows import Windows, taps_of, trimmed

#: Windows of a piece that may be taken one by one, of all, before another scale is tried; and scales at most.
FEW = 1 / 64
SCALES = 32
#: Elements that are compared with a number at once.
ROW = 4096
#: Taps of the windows that are taken one by one at once.
TAPS = 1 << 18


# ---------------------------------------------------------------------------- kinds of means

class Mean:
    """How an operator weighs, and what it makes of the sums.

    Of every window or element: x; logits z; parameter p; u, which grows with the weight w; the scale's unit, None
    for 1; the sums s and t, the number of elements, the result y and its gradient d.
    """

    #: Sums on any scale can be had, and windows without weight have a result of their own.
    scales: ClassVar[bool] = True
    #: The result needs t, or the number of elements.
    uses_t: ClassVar[bool] = False
    uses_count: ClassVar[bool] = False
    #: Computed in float64, whatever the array's type.
    wide: ClassVar[bool] = False

    def kinds(self, p: Any, learned: bool = False) -> Kinds | None:
        """What the compiled loops are told, None if they do not have it; learned: t is that of the parameter."""
        return None

    def u(self, x: Array, z: Any, p: Any) -> Array:
        return x

    def unit(self, largest_u: Any) -> Any:
        """The unit of a scale; infinite and other impossible ones give NaN."""
        raise NotImplementedError

    def own_unit(self, largest_u: Any, p: Any) -> Any:
        """The unit of a single window, at which its largest weight must be of use."""
        return self.unit(largest_u)

    def weigh(self, u: Array, unit: Any, p: Any) -> Array:
        raise NotImplementedError

    def weights(self, x: Array, z: Any, p: Any) -> Array:
        """The weights at scale 1."""
        return self.weigh(self.u(x, z, p), None, p)

    def extreme(self, largest_u: Array, p: Any) -> tuple[Array, Array]:
        """Where a window with this largest u has no scale, and its result then."""
        raise NotImplementedError

    def result(self, s: Array, t: Any, count: Any, unit: Any, p: Any) -> Array:
        raise NotImplementedError

    def gradients(self, x: Array, w: Array, unit: Any, p: Any, by_s: Callable[[], Array],
                  by_y: Callable[[], Array]) -> tuple[Array, ...]:
        """Of x, and of z: `by_s` gives each element's sum of ``d / s`` over its windows, `by_y` that of ``d y / s``."""
        raise NotImplementedError

    def slope(self, x: Array) -> Any:
        """The gradient of a window's infinite result with respect to the element that made it so."""
        return 1

    def value(self, x: Array) -> Array:
        """What t sums up."""
        return x

    def parameter(self, d: Array, s: Array, t: Array, y: Array, p: Any) -> Array:
        """The parameter's gradient."""
        raise NotImplementedError


class Exponential(Mean):
    """Weights ``exp(u)``."""

    def unit(self, largest_u: Any) -> Any:
        return np.where(np.isfinite(largest_u), largest_u, np.nan)

    def weigh(self, u: Array, unit: Any, p: Any) -> Array:
        return np.exp(u if unit is None else u - unit)

    def extreme(self, largest_u: Array, p: Any) -> tuple[Array, Array]:
        return ~np.isfinite(largest_u), largest_u


class Ratio(Mean):
    """The average of x, weighted."""

    uses_t = True

    def result(self, s: Array, t: Any, count: Any, unit: Any, p: Any) -> Array:
        return t / s                                                          # type: ignore[no-any-return]


class Power(Mean):
    """Weights ``u ** |p|``; u is at least 0, and the inverse of what is averaged where p is negative."""

    def unit(self, largest_u: Any) -> Any:
        usable = np.isfinite(largest_u) & (largest_u > 0)
        return np.ldexp(1.0, np.frexp(np.where(usable, largest_u, np.nan))[1] - 1)  # a power of two: no rounding

    def own_unit(self, largest_u: Any, p: Any) -> Any:
        unit = self.unit(largest_u)
        return np.where((np.abs(p) > 512) & ~np.isnan(unit), largest_u, unit)       # half of it may come to nothing

    def weigh(self, u: Array, unit: Any, p: Any) -> Array:
        return power(u if unit is None else u / unit, np.abs(p))

    def extreme(self, largest_u: Array, p: Any) -> tuple[Array, Array]:
        return ~np.isfinite(largest_u) | (largest_u == 0), inverse_where_negative(largest_u, p)

    def root(self, mean: Array, unit: Any, p: Any) -> Array:
        cubic = np.ndim(p) == 0 and abs(p) == 3     # a mean is not negative: the fast root will do
        y = np.cbrt(mean) if cubic else power(mean, 1 / np.abs(p))
        return inverse_where_negative(y if unit is None else y * unit, p)

    def slopes(self, size: Array, w: Array) -> Array:
        """``size ** (p - 1)``, and 0 where size is."""
        slopes = at_least(size, np.finfo(w.dtype).smallest_subnormal)       # no choice for each: that takes long
        np.divide(w, slopes, out=slopes)
        if not np.isfinite(slopes).all():
            slopes[~np.isfinite(slopes)] = 0
        return slopes


def at_least(x: Array, least: Any) -> Array:
    """``np.maximum(x, least)``, by rows: NumPy takes three times as long to compare with a number as with an array."""
    y, row = np.empty(x.shape, x.dtype), np.full(ROW, least, x.dtype)
    flat, out = x.reshape(-1), y.reshape(-1)
    whole = x.size // ROW * ROW
    np.maximum(flat[:whole].reshape(-1, ROW), row, out=out[:whole].reshape(-1, ROW))
    np.maximum(flat[whole:], row[:x.size - whole], out=out[whole:])
    return y


def signed(size: Array, x: Array) -> Array:
    """``np.copysign(size, x)`` in place, for sizes without a sign: by their bits, a third of the time."""
    bits = np.dtype(f"u{x.itemsize}")
    size.view(bits)[...] |= x.view(bits) & bits.type(1 << (8 * x.itemsize - 1))
    return size


def power(u: Array, p: Any) -> Array:
    """u to the power p: by the simplest operation."""
    if np.ndim(p) == 0 and p in (0.5, 1, 2, 3, 4):
        if p < 1:
            return np.sqrt(u)
        y = u * u if p > 1 else u
        return np.multiply(y, u if p == 3 else y, out=y) if p > 2 else y
    return np.power(u, p)                                                     # type: ignore[no-any-return]


def inverse_where_negative(u: Array, p: Any) -> Array:
    if np.ndim(p) == 0:
        return u if p > 0 else 1 / u
    return np.where(p > 0, u, 1 / u) if np.any(p < 0) else u


# ---------------------------------------------------------------------------- a call

@dataclass
class Job:
    """A call: its arrays have a batch axis; z and `missing` may have one channel for all, p broadcasts to x.

    `missing` says which elements do not count; without one and with `omit`, NaN do not.
    """

    mean: Mean
    x: Array
    z: Array | None
    p: Any
    windows: Windows
    last: bool
    omit: bool = False
    missing: Array | None = None

    @property
    def real(self) -> np.dtype[Any]:
        """What NumPy computes it in first."""
        return np.dtype(np.float64) if self.mean.wide else real_of(*(a for a in (self.x, self.z) if a is not None))

    def fused(self, piece: Piece, learned: bool = False) -> Fused | None:
        """A piece for the compiled loops, None if it is not for them; learned: t is the parameter's."""
        if np.ndim(self.p) or self.omit or self.missing is not None or self.z is not None and (
                self.z.shape != self.x.shape):
            return None
        reach, kinds = self.x.shape[-1] if piece.last else 1, self.mean.kinds(self.p, learned)
        for axis in piece.windows.axes:
            reach *= min(axis.extent, axis.size)
        if kinds is None or reach > fused.REACH:
            return None
        x, z = (None if a is None else np.ascontiguousarray(piece.cut(a, piece.inputs)) for a in (self.x, self.z))
        return Fused(kinds, piece, x, z, self.mean.uses_count)              # type: ignore[arg-type]


@dataclass
class Sums:
    """The sums of a piece at one scale; by the compiled loops, if there are any, which need no weights."""

    x: Array
    z: Array | None
    p: Any
    missing: Array | None
    unit: Any
    w: Array
    s: Array
    t: Any
    count: Any
    y: Array
    loops: Fused | None = None


@lru_cache(maxsize=64)
def counts(windows: Windows, last: bool, real: np.dtype[Any]) -> Array:
    """Elements of each window, ready to broadcast."""
    return taps(windows, False, last).astype(real)


def add_up(job: Job, piece: Piece, real: np.dtype[Any], unit: Any, values: bool, keep: bool,
           threads: int | None) -> Sums:
    """The sums of a piece at a scale. values: t as well; keep: the weights are needed afterwards."""
    def part(a: Array | None, dtype: Any) -> Any:
        return None if a is None else np.ascontiguousarray(piece.cut(a, piece.inputs), dtype)

    mean, windows, last = job.mean, piece.windows, piece.last
    loops = job.fused(piece, values) if unit is None else None
    if loops is not None:
        return by_loops(job, loops, loops.sums(values, threads))
    x, z, missing = part(job.x, real), part(job.z, real), part(job.missing, bool)
    if job.omit:
        missing = np.isnan(x) if z is None else np.isnan(x) | np.isnan(z)
    p = job.p if np.ndim(job.p) == 0 else piece.cut(job.p, slice(None)).astype(real)
    count: Any = counts(windows, last, real) if mean.uses_count else None
    if missing is not None:
        missing = np.broadcast_to(missing, x.shape)
        x = np.where(missing, 0, x)
        count = total((~missing).astype(real), windows, last, threads)
    w = mean.weights(x, z, p) if unit is None else mean.weigh(scale_of(mean, x, z, p, missing), unit, p)
    if missing is not None:
        w = np.where(missing, 0, w)
    s = total(w, windows, last, threads)
    t = None
    if values:
        v = mean.value(x)
        room = None if keep or w.shape != v.shape or w is x else w
        t = contracted(v, w, last) if windows.whole and w.shape != v.shape else (
            total(np.multiply(w, v, out=room), windows, last, threads))
    return Sums(x, z, p, missing, unit, w, s, t, count, mean.result(s, t, count, unit, p))


def by_loops(job: Job, loops: Fused, made: FusedSums) -> Sums:
    """The sums that the compiled loops made."""
    x, z = (None if a is None else a.astype(loops.real, copy=False) for a in (loops.x, loops.z))
    return Sums(x, z, job.p, None, None, x, made.s, made.t, None, made.y, loops)        # type: ignore[arg-type]


def contracted(x: Array, w: Array, last: bool) -> Array:
    """The sum over all positions of x times weights that channels share, some positions at a time."""
    n, c, ones = x.shape[0], x.shape[-1 if last else 1], (1,) * (x.ndim - 2)
    weights, positions = w.reshape(n, -1), math.prod(w.shape[1:])
    values = x.reshape(n, positions, c) if last else x.reshape(n, c, positions)
    result = np.zeros((n, c), np.float64 if positions > ROW else x.dtype)
    for i in range(0, positions, ROW):
        part = slice(i, i + ROW)
        result += np.einsum("nsc,ns->nc" if last else "ncs,ns->nc", values[:, part] if last else values[:, :, part],
                            weights[:, part])
    return result.astype(x.dtype).reshape(n, *ones, c) if last else result.astype(x.dtype).reshape(n, c, *ones)


def contracted_channels(x: Array, a: Array, last: bool) -> Array:
    """The sum over all channels of x times a number for each plane."""
    n, c = x.shape[0], x.shape[-1 if last else 1]
    values = x.reshape(n, -1, c) if last else x.reshape(n, c, -1)
    made: Array = np.einsum("nsc,nc->ns" if last else "ncs,nc->ns", values, a.reshape(n, c))
    return made.reshape(*x.shape[:-1], 1) if last else made.reshape(n, 1, *x.shape[2:])


def scale_of(mean: Mean, x: Array, z: Array | None, p: Any, missing: Array | None) -> Array:
    """u; nothing where an element is missing."""
    u = mean.u(x, z, p)
    return u if missing is None else np.where(missing, -np.inf, u)


def off_scale(sums: Sums, piece: Piece, threads: int | None) -> Array | None:
    """Which windows are off the scale; None: none."""
    s, t = sums.s, sums.t
    least, most, tiny = ON_SCALE[s.dtype]
    if s.size == 0 or s.min() >= least and s.max() <= most and (
            t is None or np.abs(t).min() >= least and t.min() >= -most and t.max() <= most):
        return None
    off = ~((s >= least) & (s <= most))
    if t is not None:
        off = off | ~np.isfinite(t)
        small = np.abs(t) < least
        if small.any():                         # values so small that their products with weights are lost
            size = largest(np.abs(sums.x), piece.windows, piece.last, threads)
            off = off | small & (size > 0) & (size < tiny)
    off = np.broadcast_to(off, sums.y.shape)
    return off if off.any() else None


@dataclass
class Found:
    """What is to be had of a piece.

    sums : at scale 1, with the results of all windows that are not left
    good : windows that these are good for; None: all
    more : sums at other scales, and the windows that each is good for
    settled : windows that have no scale
    left : windows that have to be taken one by one
    """

    sums: Sums
    good: Array | None = None
    more: tuple[tuple[Sums, Array], ...] = ()
    settled: Array | None = None
    left: Array | None = None


def find(job: Job, piece: Piece, values: bool, keep: bool, threads: int | None, first: Sums | None = None) -> Found:
    """Sums at as many scales as it takes; windows that have none are given their result. first: those at scale 1, if
    they are there already."""
    mean, windows, last = job.mean, piece.windows, piece.last
    sums = add_up(job, piece, job.real, None, values, keep, threads) if first is None else first
    off = off_scale(sums, piece, threads) if mean.scales else None
    if off is None:
        return Found(sums)
    scale = largest(scale_of(mean, sums.x, sums.z, sums.p, sums.missing), windows, last, threads)
    settled, result = mean.extreme(scale, sums.p)
    if sums.missing is not None:
        empty = sums.count == 0
        settled, result = settled | empty, np.where(empty, empty_result(job), result)
    settled, left = off & settled, off & ~settled
    np.copyto(sums.y, result, where=settled)
    more: list[tuple[Sums, Array]] = []
    count = np.count_nonzero(left)
    while count > FEW * left.size and len(more) < SCALES:
        unit = mean.unit(np.max(np.broadcast_to(scale, left.shape), initial=-np.inf, where=left))
        if np.isnan(unit):
            break
        again = add_up(job, piece, np.dtype(np.float64), unit, values, keep, threads)
        beyond = off_scale(again, piece, threads)
        good = left if beyond is None else left & ~beyond
        if np.count_nonzero(good) < FEW * count:
            break
        np.copyto(sums.y, again.y, where=good, casting="same_kind")
        more.append((again, good))
        left = left & ~good
        count = np.count_nonzero(left)
    return Found(sums, ~off, tuple(more), settled, left)


def empty_result(job: Job) -> float:
    """The result where all elements are missing: NaN if they were, 0 where a mask left none."""
    return np.nan if job.omit else 0.0


def rows(job: Job, piece: Piece, which: Array) -> Iterator[tuple[tuple[Array, ...], Array, Array]]:
    """The windows marked in `which`, some at a time: their places, where their taps lie in the flat piece, and which
    of these are elements."""
    places = np.nonzero(which)
    windows = trimmed(piece.windows)
    axes = windows.axes
    shape = piece.cut(job.x, piece.inputs).shape
    steps = [math.prod(shape[i + 1:]) for i in range(len(shape))]
    first = 1 if piece.last else 2
    some = max(1, TAPS // windows.taps)
    for begin in range(0, len(places[0]), some):
        at = tuple(place[begin:begin + some] for place in places)
        n = len(at[0])
        flat = (at[0] * steps[0] + at[-1 if piece.last else 1] * steps[-1 if piece.last else 1])[:, None]
        valid = np.ones((n, 1), bool)
        for i, axis in enumerate(axes):
            place, inside = taps_of(axis, at[first + i])
            flat = (flat[:, :, None] + (place * steps[first + i])[:, None]).reshape(n, -1)
            valid = (valid[:, :, None] & inside[:, None]).reshape(n, -1)
        yield at, np.where(valid, flat, 0), valid


@dataclass
class Row:
    """Windows taken one by one, each at its own scale."""

    x: Array
    p: Any
    unit: Array
    w: Array
    s: Array
    t: Array
    y: Array
    best: Array             # the first tap of the largest u
    settled: Array          # windows that have no scale


def each_row(job: Job, piece: Piece, sums: Sums,
             which: Array) -> Iterator[tuple[tuple[Array, ...], Array, Array, Row]]:
    """The windows marked in `which`, as `rows` gives them, and what comes of them."""
    def flat_of(a: Any, dtype: Any) -> Any:
        return None if a is None else np.broadcast_to(a.astype(dtype), sums.x.shape).reshape(-1)

    x = flat_of(piece.cut(job.x, piece.inputs), np.float64)
    z = None if job.z is None else flat_of(piece.cut(job.z, piece.inputs), np.float64)
    missing = flat_of(sums.missing, bool)
    p = np.broadcast_to(piece.cut(job.p, slice(None)), sums.y.shape) if np.ndim(job.p) else None
    for at, flat, valid in rows(job, piece, which):
        there = valid if missing is None else valid & ~missing[flat]
        yield at, flat, valid, row_sums(job, x[flat], None if z is None else z[flat],
                                        job.p if p is None else p[at][:, None].astype(np.float64), there)


def row_sums(job: Job, x: Array, z: Any, p: Any, valid: Array) -> Row:
    mean = job.mean
    u = np.where(valid, mean.u(x, z, p), -np.inf)
    best = np.argmax(u, axis=1)                                 # a NaN, if there is one
    scale = u[np.arange(len(u)), best]
    p_of = p if np.ndim(p) == 0 else p[:, 0]
    settled, result = mean.extreme(scale, p_of)
    result = np.where(valid.any(axis=1), result, empty_result(job))
    settled = settled | ~valid.any(axis=1)
    unit = np.where(settled, 1, mean.own_unit(scale, p_of))
    w = np.where(valid, mean.weigh(u, unit[:, None], p), 0)
    s, count = w.sum(axis=1), valid.sum(axis=1)
    t = np.where(w == 0, 0, w * mean.value(x)).sum(axis=1)
    y = np.where(settled, result, mean.result(s, t, count, unit, p_of))
    return Row(x, p, unit, w, s, t, y, best, settled)


# ---------------------------------------------------------------------------- forward and backward

def forward(job: Job, y: Array, num_threads: int | None) -> None:
    """The results of a call, into y."""
    def work(piece: Piece, threads: int | None) -> None:
        loops = job.fused(piece)
        if loops is not None and loops.results(piece.cut(y, piece.outputs), threads):
            return
        found = find(job, piece, job.mean.uses_t, False, threads)
        if found.left is not None:
            for at, _, _, row in each_row(job, piece, found.sums, found.left):
                found.sums.y[at] = row.y
        piece.cut(y, piece.outputs)[...] = found.sums.y

    each(work, forward_pieces(job.x.shape, job.windows, job.last), job.x.size, num_threads)


def backward(job: Job, grad: Array, outs: tuple[Array, ...], num_threads: int | None) -> Any:
    """The gradients of x, and of z if there is one, into `outs`; returns the parameter's, as an array like p."""
    mean = job.mean
    learned = job.p is not None and type(mean).parameter is not Mean.parameter
    values = mean.uses_t or learned

    def work(piece: Piece, threads: int | None) -> Any:
        return piece_backward(job, piece, grad, outs, values, learned, threads)

    pieces = backward_pieces(job.x.shape, job.windows, job.last)
    reached = sum(piece.elements for piece in pieces)
    for out in outs:
        if reached < out.size or out.shape != job.x.shape:
            out[...] = 0
    result = np.zeros(np.shape(job.p)) if learned else None
    for piece, (part, shared_z) in zip(pieces, each(work, pieces, job.x.size, num_threads), strict=True):
        if shared_z is not None:
            piece.cut(outs[-1], shared_z[0])[...] += shared_z[1]
        if result is not None:
            at = piece.cut(result, slice(None)) if result.ndim else result
            at += part
    return result


def piece_backward(job: Job, piece: Piece, grad: Array, outs: tuple[Array, ...], values: bool, learned: bool,
                   threads: int | None) -> Any:
    """The gradients of a piece's inner elements into `outs`, its part of the parameter's, and of logits with one
    channel: where along the first spatial axis, and what to add."""
    mean, last = job.mean, piece.last
    loops, first = job.fused(piece, values), None
    if loops is not None:
        on_one = loops.sums(values, threads)
        first = by_loops(job, loops, on_one)
        if on_one.on_scale:
            return fused_backward(job, loops, first, grad, outs, learned, threads), None
    found = find(job, piece, values, True, threads, first)
    sums = found.sums
    d = piece.cut(grad, piece.outputs).astype(sums.s.dtype)
    grads, made = scale_gradients(job, piece, sums, d, found.good, learned, threads)
    for again, good in found.more:
        others, more = scale_gradients(job, piece, again, d.astype(np.float64), good, learned, threads)
        grads = tuple(g + other for g, other in zip(grads, others, strict=True))
        made = made + more if learned else None
    if found.left is not None and found.settled is not None:
        grads = tuple(np.array(np.broadcast_to(g, sums.x.shape)) for g in grads)
        for at, flat, valid, row in each_row(job, piece, sums, found.left | found.settled & (sums.y != 0)):
            for g, more in zip(grads, row_gradients(mean, row, d[at], valid), strict=True):
                np.add.at(g.reshape(-1), flat[valid], more[valid])
            if learned:
                p = row.p if np.ndim(row.p) == 0 else row.p[:, 0]
                alone = mean.parameter(d[at], row.s, row.t, row.y, p)
                made[at] = np.where(row.settled, np.where(np.isnan(row.y), np.nan, 0), alone)
    low = piece.inputs.start + piece.inner.start
    shared_z: Any = None
    for out, g in zip(outs, grads, strict=True):
        inner = piece.along(np.broadcast_to(g, sums.x.shape), piece.inner)
        along = slice(low, low + inner.shape[1 if last else 2])
        if out.shape == job.x.shape:
            piece.cut(out, along)[...] = inner
        else:                                       # one channel for all: other pieces have a part in it
            channel = -1 if last else 1
            shared_z = along, piece.along(g, piece.inner) if g.shape[channel] < sums.x.shape[channel] else (
                inner.sum(axis=channel, keepdims=True))
    return gathered(piece.along(made, piece.starting), job.p, last) if learned else None, shared_z


def fused_backward(job: Job, loops: Fused, sums: Sums, grad: Array, outs: tuple[Array, ...], learned: bool,
                   threads: int | None) -> Any:
    """The gradients of a piece all of whose windows are on scale; gives back its part of the parameter's."""
    piece = loops.piece
    low, d = piece.inputs.start + piece.inner.start, piece.cut(grad, piece.outputs).astype(sums.s.dtype)
    targets = [piece.cut(out, slice(low, low + piece.inner.stop - piece.inner.start)) for out in outs]
    backs = [target if target.shape == loops.x.shape else np.empty(loops.x.shape, target.dtype) for target in targets]
    loops.gradients(sums.s, sums.y, d, backs, threads)
    for target, back in zip(targets, backs, strict=True):
        if back is not target:
            target[...] = piece.along(back, piece.inner)
    if not learned:
        return None
    return gathered(piece.along(parameters(job.mean, sums, d, None), piece.starting), job.p, piece.last)


def scale_gradients(job: Job, piece: Piece, sums: Sums, d: Array, good: Array | None, learned: bool,
                    threads: int | None) -> tuple[tuple[Array, ...], Any]:
    """The gradients by the windows that these sums are good for (None: all), and the parameter's for each of them."""
    mean, windows, last = job.mean, piece.windows, piece.last
    x, w, s, y = sums.x, sums.w, sums.s, sums.y
    grads: tuple[Array, ...]
    if sums.loops is not None:
        if good is not None:                        # others take no part, whatever is in them
            d, s, y = np.where(good, d, 0), np.where(good, s, 1), np.where(good, y, 0)
        grads = tuple(np.empty(x.shape, s.dtype) for _ in ((x,) if sums.z is None else (x, sums.z)))
        sums.loops.gradients(s, y, d, grads, threads)
        return grads, parameters(mean, sums, d, good) if learned else None
    if good is not None or piece.gaps and not (np.isfinite(w).all() and np.isfinite(x).all()):
        finite = np.isfinite(w) & np.isfinite(x)    # what is not is in a window that takes no part, or in none
        x, w = np.where(finite, x, 0), np.where(finite, w, 0)
    if good is not None:                            # others take no part, whatever is in them
        d, s, y = np.where(good, d, 0), np.where(good, s, 1), np.where(good, y, 0)
    elif not mean.scales:
        s, y = np.where(s == 0, 1, s), np.where(s == 0, 0, y)
    grads = mean.gradients(x, w, sums.unit, sums.p, lambda: shared(d / s, windows, last, threads),
                           lambda: shared(d * y / s, windows, last, threads))
    if good is not None:                            # elements of other windows alone may overflow at this scale
        reached = shared(good.astype(d.dtype), windows, last, threads) > 0
        grads = tuple(np.where(reached, g, 0) for g in grads)
    return grads, parameters(mean, sums, d, good) if learned else None


def parameters(mean: Mean, sums: Sums, d: Array, good: Array | None) -> Array:
    """The parameter's gradient for each window that the sums are good for."""
    made = np.broadcast_to(mean.parameter(d, sums.s, sums.t, sums.y, sums.p), d.shape)
    return np.array(made) if good is None else np.where(good, made, 0)


def row_gradients(mean: Mean, row: Row, d: Array, valid: Array) -> tuple[Array, ...]:
    """Those of single windows' taps."""
    d = d.astype(np.float64)
    s, y = np.where(row.settled, 1, row.s), np.where(row.settled, 0, row.y)
    finite = np.isfinite(row.x) & np.isfinite(row.w)
    x, w = np.where(finite, row.x, 0), np.where(finite, row.w, 0)
    grads = mean.gradients(x, w, row.unit[:, None], row.p, lambda: (d / s)[:, None], lambda: (d * y / s)[:, None])
    first = np.zeros_like(w)
    first[np.arange(len(w)), row.best] = 1
    first *= np.where(np.isnan(row.y), np.nan, np.where(row.y == 0, 0, 1))[:, None]
    first = np.where(np.isnan(row.y)[:, None] & valid, np.nan, first) * mean.slope(row.x) * d[:, None]
    return tuple(np.where(row.settled[:, None], first, g) for g in grads)


def gathered(made: Array, p: Any, last: bool) -> Any:
    """A parameter's gradient, of every window, added up for each channel or for all."""
    if np.ndim(p) == 0:
        return made.sum(dtype=np.float64)
    channel = made.ndim - 1 if last else 1
    return made.sum(axis=tuple(i for i in range(made.ndim) if i != channel), keepdims=True, dtype=np.float64)
