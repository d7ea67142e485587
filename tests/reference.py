"""The oracle: pooling by its definition, slowly, in NumPy.

Nothing here is shared with cypool and nothing is clever. Output sizes are found by counting windows, and a pooling is
one loop over the taps of the window in scan order; each step looks at that tap of every window at once.

Notation per axis: ``n`` elements, kernel ``k``, stride ``s``, padding ``p0`` before and ``p1`` after, dilation ``d``,
``o`` outputs. Tap ``j`` of window ``i`` reads element ``i*s - p0 + j*d``; it is *valid* inside ``[0, n)`` and *in the
padded extent* below ``n + p1``.
"""

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

FLOATING = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Axis:
    n: int
    k: int
    s: int
    p0: int
    p1: int
    d: int
    o: int

    @property
    def reach(self):
        """Elements that one window spans, from its first tap to its last."""
        return (self.k - 1) * self.d + 1


@dataclass(frozen=True)
class Pooled:
    """What a call must return: ``values`` up to ``tolerance`` (an array; 0 means exactly) as ``dtype``."""

    values: np.ndarray
    tolerance: np.ndarray
    dtype: np.dtype
    indices: np.ndarray | None = None


def per_axis(value, ndim):
    return (value,) * ndim if isinstance(value, int | np.integer) else tuple(value)


def count_windows(n, reach, s, p0, p1, ceil_mode):
    """Windows that fit; in ceil mode also one that overhangs by less than a stride, starting before the end padding."""
    end = n + p0 + p1
    count = 0
    while True:
        start, stop = count * s, count * s + reach
        exists = (stop - end < s and start < n + p0) if ceil_mode else stop <= end
        if not exists:
            return count
        count += 1


def geometry(spatial, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The axes of a call; ValueError where the contract asks for one."""
    ndim = len(spatial)
    kernel, dilation = per_axis(kernel_size, ndim), per_axis(dilation, ndim)
    stride = kernel if stride is None else per_axis(stride, ndim)
    axes = []
    for a in range(ndim):
        n, k, s, d = spatial[a], kernel[a], stride[a], dilation[a]
        reach = (k - 1) * d + 1
        if padding in ("same", "same_upper", "same_lower"):
            total = max(0, (-(-n // s) - 1) * s + reach - n)
            small, big = total // 2, total - total // 2
            p0, p1 = (big, small) if padding == "same_lower" else (small, big)
        elif padding == "valid":
            p0 = p1 = 0
        else:
            p = per_axis(padding, ndim)[a]
            p0, p1 = (p, p) if isinstance(p, int | np.integer) else p
        if not (0 <= p0 < reach and 0 <= p1 < reach):
            raise ValueError(f"padding {(p0, p1)} with a window of {reach}")
        o = count_windows(n, reach, s, p0, p1, ceil_mode)
        if o < 1:
            raise ValueError("no window")
        for i in range(o):
            if not any(0 <= i * s - p0 + j * d < n for j in range(k)):
                raise ValueError(f"window {i} on axis {a} has no valid tap")
        axes.append(Axis(n, k, s, p0, p1, d, o))
    return axes


def planes(x, ndim, data_format):
    """``x`` as ``(N, C, *spatial)``."""
    if data_format == "channels_last":
        x = np.moveaxis(x, -1, x.ndim - 1 - ndim)
    return x if x.ndim == ndim + 2 else x[None]


def like_call(y, x, ndim, data_format):
    """``(N, C, *spatial)`` back in the layout of the call's ``x``."""
    y = y if x.ndim == ndim + 2 else y[0]
    return np.moveaxis(y, y.ndim - 1 - ndim, -1) if data_format == "channels_last" else y


def extended(a, axes, fill):
    """The spatial (last) axes of ``a`` with their padding and overhang made explicit."""
    widths = [(0, 0)] * (a.ndim - len(axes))
    for ax in axes:
        widths.append((ax.p0, max(0, (ax.o - 1) * ax.s + ax.reach - ax.n - ax.p0)))
    return np.pad(a, widths, constant_values=fill)


def scan(axes):
    """One index per tap, in scan order: where that tap of every window lies in an extended array."""
    for tap in itertools.product(*(range(ax.k) for ax in axes)):
        yield (..., *(slice(j * ax.d, j * ax.d + (ax.o - 1) * ax.s + 1, ax.s) for j, ax in zip(tap, axes, strict=True)))


def wide(x):
    """Values in a type that holds them exactly and compares as they do."""
    if x.dtype.name in FLOATING:
        return x.astype(np.float64)
    if x.dtype == bool:
        return x.astype(np.int64)
    return x.astype(object) if x.dtype.itemsize == 8 else x.astype(np.int64)


def is_nan(values):
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def finfo(dtype):
    if dtype.name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.finfo(dtype)
    return np.finfo(dtype)


def choose(x, axes, smallest, omit):
    """Flat positions in the plane of the taps that max (min) pooling chooses."""
    shape = x.shape[:2] + tuple(ax.o for ax in axes)
    spatial = x.shape[2:]
    valid = extended(np.ones(spatial, bool), axes, False)
    position = extended(np.arange(math.prod(spatial)).reshape(spatial), axes, -1)
    values = extended(x if x.dtype.itemsize == 8 and x.dtype.kind in "iu" else wide(x), axes, 0)
    missing = is_nan(values)
    best, best_missing = np.zeros(shape, values.dtype), np.zeros(shape, bool)
    chosen = np.full(shape, -1)
    for tap in scan(axes):
        v, v_missing = values[tap], missing[tap]
        better = (v < best) if smallest else (v > best)
        wins = ~v_missing & (best_missing | better) if omit else better | v_missing
        wins = valid[tap] & ((chosen < 0) | wins)
        best, best_missing = np.where(wins, v, best), np.where(wins, v_missing, best_missing)
        chosen = np.where(wins, position[tap], chosen)
    return chosen


def flat(x):
    """One row per plane; also where there are no planes."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def gather(x, chosen):
    return np.take_along_axis(flat(x), flat(chosen), -1).reshape(chosen.shape)


def sum_dtype(kind, x_dtype, dtype):
    if dtype is not None:
        return np.dtype(dtype)
    if x_dtype.name in FLOATING:
        return x_dtype
    if kind == "avg":
        return np.dtype(np.float64)
    return np.dtype(np.uint64 if x_dtype.kind == "u" else np.int64)


def saturated(numbers, dtype):
    """Fractions (or floats) rounded half to even into an integer type, saturating, NaN to 0."""
    info = np.iinfo(dtype)

    def one(v):
        if isinstance(v, float):
            if math.isnan(v):
                return 0
            if math.isinf(v):
                return info.max if v > 0 else info.min
        return min(max(round(v), info.min), info.max)

    return np.array([one(v) for v in numbers.ravel()], dtype=dtype).reshape(numbers.shape)


def accumulate(x, axes, kind, omit, count_include_pad, divisor_override):
    """Sums, sums of absolute values, contributing taps and divisors of every window."""
    spatial = x.shape[2:]
    valid = extended(np.ones(spatial, bool), axes, False)
    # Overhang taps lie beyond the end padding: they are in no divisor.
    inside = np.zeros(valid.shape, bool)
    inside[tuple(slice(ax.p0 + ax.n + ax.p1) for ax in axes)] = True
    values = wide(x)
    if x.dtype == np.float64:
        values = values.astype(np.longdouble)
    values = extended(values, axes, 0)
    missing = is_nan(values) & omit
    shape = x.shape[:2] + tuple(ax.o for ax in axes)
    total, size = np.zeros(shape, values.dtype), np.zeros(shape, values.dtype)
    taps, absent, padded = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape, int)
    with np.errstate(invalid="ignore", over="ignore"):
        for tap in scan(axes):
            counted = valid[tap] & ~missing[tap]
            v = np.where(counted, values[tap], 0)
            total, size = total + v, size + abs(v)
            taps, absent = taps + counted, absent + (valid[tap] & missing[tap])
            padded = padded + inside[tap]
    if kind == "sum":
        divisor = np.ones(shape, int)
    elif divisor_override is not None:
        divisor = np.full(shape, divisor_override)
    elif count_include_pad:
        divisor = padded - absent
    else:
        divisor = taps
    return total, size, taps, divisor


def quotient(total, divisor, kind, taps):
    """``total / divisor``; an average without a contributing tap is NaN."""
    nothing = (taps == 0) & (kind == "avg")
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(nothing, np.nan, total / np.where(nothing, 1, divisor))


def fractions(total, divisor):
    """Exact quotients of integers."""
    pairs = zip(total.ravel().tolist(), divisor.ravel().tolist(), strict=True)
    exact = np.empty(total.size, object)
    exact[:] = [Fraction(t, q) for t, q in pairs]
    return exact.reshape(total.shape)


def pool_sums(x, axes, kind, dtype, **options):
    total, size, taps, divisor = accumulate(x, axes, kind, **options)
    out = sum_dtype(kind, x.dtype, dtype)
    none = np.zeros(total.shape)
    if x.dtype.name not in FLOATING:
        exact = total.astype(object) if kind == "sum" else fractions(total, divisor)
        if out.kind in "iu":
            return Pooled(saturated(exact, out), none, out)
        values = exact.astype(np.float64)
        # A sum below 2**53 is exact in float64, so the quotient is rounded once; a larger one is rounded before it.
        slack = np.where(np.abs(total.astype(np.float64)) < 2.0**53, 0, 2 * np.spacing(np.abs(values)))
        if out != np.float64:
            slack = slack + float(finfo(out).eps) * np.abs(values)
        return Pooled(values, slack, out)
    values = quotient(total, divisor, kind, taps)
    if out.kind in "iu":
        return Pooled(saturated(values.astype(np.float64).astype(object), out), none, out)
    single = x.dtype != np.float64 and out != np.float64
    with np.errstate(invalid="ignore"):
        magnitude = size / np.abs(np.where(divisor == 0, 1, divisor))
    return Pooled(values, rounding(magnitude, taps, single, values, out), out)


def rounding(magnitude, taps, single, values, out):
    """Error allowed to a float sum: pairwise growth in the accumulator's type, and one rounding to the result's."""
    accumulator = float(np.finfo(np.float32 if single else np.float64).eps)
    info = finfo(out)
    growth = 4 + np.log2(np.maximum(taps, 1))
    with np.errstate(invalid="ignore", over="ignore"):
        bound = growth * accumulator * magnitude + float(info.eps) / 2 * np.abs(values) + float(info.smallest_subnormal)
    return bound.astype(np.float64)


def pool(kind, ndim, x, *, data_format="channels_first", nan_policy="propagate", dtype=None, count_include_pad=True,
         divisor_override=None, **window):  # fmt: skip
    """Max, min, avg or sum pooling of a native-endian array, as ``Pooled``."""
    x = np.asarray(x)
    if nan_policy == "raise" and is_nan(wide(x)).any():
        raise ValueError("nan_policy='raise' and x holds a NaN")
    omit = nan_policy == "omit"
    inner = planes(x, ndim, data_format)
    axes = geometry(inner.shape[2:], **window)

    def finish(a):
        return like_call(a, x, ndim, data_format)

    if kind in ("max", "min"):
        chosen = choose(inner, axes, kind == "min", omit)
        values = gather(inner, chosen)
        return Pooled(finish(values), finish(np.zeros(values.shape)), x.dtype, finish(chosen))
    include = count_include_pad and not str(window.get("padding", 0)).startswith("same")
    result = pool_sums(
        inner, axes, kind, dtype, omit=omit, count_include_pad=include, divisor_override=divisor_override
    )
    return Pooled(finish(result.values), finish(result.tolerance), result.dtype)


def scatter(ndim, grad, indices, input_shape, data_format="channels_first"):
    """Backward of max and min pooling: every gradient is added to the element that was chosen."""
    like = np.empty(input_shape, np.uint8)
    shape = planes(like, ndim, data_format).shape
    delta = flat(planes(wide(np.asarray(grad)), ndim, data_format))
    index = flat(planes(np.asarray(indices), ndim, data_format))
    total, size, taps = (np.zeros((*shape[:2], math.prod(shape[2:]))) for _ in range(3))
    n, c = np.indices(shape[:2])
    with np.errstate(invalid="ignore"):
        np.add.at(total, (n[..., None], c[..., None], index), delta)
        np.add.at(size, (n[..., None], c[..., None], index), abs(delta))
        np.add.at(taps, (n[..., None], c[..., None], index), 1)
    return gradient(total.reshape(shape), size.reshape(shape), taps.reshape(shape), np.asarray(grad), like, data_format)


def spread(kind, ndim, grad, input_shape, *, data_format="channels_first", count_include_pad=True,
           divisor_override=None, **window):  # fmt: skip
    """Backward of sum and average pooling: every tap receives the gradient divided by the window's divisor."""
    like = np.zeros(input_shape, np.uint8)
    inner = planes(like, ndim, data_format)
    axes = geometry(inner.shape[2:], **window)
    include = count_include_pad and not str(window.get("padding", 0)).startswith("same")
    *_, divisor = accumulate(inner, axes, kind, False, include, divisor_override)
    delta = planes(wide(np.asarray(grad)), ndim, data_format) / divisor
    total, size, taps = (extended(np.zeros(inner.shape), axes, 0) for _ in range(3))
    with np.errstate(invalid="ignore"):
        for tap in scan(axes):
            total[tap] += delta
            size[tap] += abs(delta)
            taps[tap] += 1
    crop = (..., *(slice(ax.p0, ax.p0 + ax.n) for ax in axes))
    return gradient(total[crop], size[crop], taps[crop], np.asarray(grad), like, data_format)


def gradient(total, size, taps, grad, like, data_format):
    ndim = total.ndim - 2
    bound = rounding(size, taps, grad.dtype != np.float64, total, grad.dtype)
    bound = np.where(taps == 0, 0, bound)
    return Pooled(like_call(total, like, ndim, data_format), like_call(bound, like, ndim, data_format), grad.dtype)


def bins(spatial, output_size):
    """The slice of each bin along each axis; they may overlap."""
    sizes = output_size if isinstance(output_size, tuple | list) else (output_size,) * len(spatial)
    sizes = [n if o is None else o for n, o in zip(spatial, sizes, strict=True)]
    return [[slice(i * n // o, -(-(i + 1) * n // o)) for i in range(o)] for n, o in zip(spatial, sizes, strict=True)]


def adaptive(kind, ndim, x, output_size, *, data_format="channels_first", **options):
    """Max or average of every bin, each on its own."""
    x = np.asarray(x)
    inner = planes(x, ndim, data_format)
    spatial = inner.shape[2:]
    axes = bins(spatial, output_size)
    shape = (*inner.shape[:2], *map(len, axes))
    results = {}
    for place in np.ndindex(*shape[2:]):
        part = [axis[i] for axis, i in zip(axes, place, strict=True)]
        piece = inner[(..., *part)]
        results[place] = pool(kind, ndim, piece, kernel_size=piece.shape[2:], **options), part
    dtype = next(iter(results.values()))[0].dtype
    values, tolerance = np.empty(shape, object), np.zeros(shape)
    chosen = np.zeros(shape, np.int64) if kind == "max" else None
    for place, (result, part) in results.items():
        values[(..., *place)] = result.values.reshape(shape[:2])
        tolerance[(..., *place)] = result.tolerance.reshape(shape[:2])
        if chosen is not None:
            flat_place = np.arange(math.prod(spatial)).reshape(spatial)[tuple(part)].ravel()
            chosen[(..., *place)] = flat_place[result.indices.reshape(shape[:2])]
    values = values.astype(next(iter(results.values()))[0].values.dtype)

    def finish(a):
        return like_call(a, x, ndim, data_format)

    return Pooled(finish(values), finish(tolerance), dtype, None if chosen is None else finish(chosen))


def adaptive_spread(ndim, grad, input_shape, data_format="channels_first"):
    """Backward of adaptive average pooling: every element of a bin receives an equal part of its gradient."""
    like = np.zeros(input_shape, np.uint8)
    inner = planes(like, ndim, data_format)
    delta = planes(wide(np.asarray(grad)), ndim, data_format)
    axes = bins(inner.shape[2:], delta.shape[2:])
    total, size, taps = (np.zeros(inner.shape) for _ in range(3))
    for place in np.ndindex(*delta.shape[2:]):
        part = (..., *(axis[i] for axis, i in zip(axes, place, strict=True)))
        share = delta[(..., *place)] / math.prod(inner[part].shape[2:])
        share = share.reshape(*share.shape, *(1,) * ndim)
        with np.errstate(invalid="ignore"):
            total[part] += share
        size[part] += abs(share)
        taps[part] += 1
    return gradient(total, size, taps, np.asarray(grad), like, data_format)
