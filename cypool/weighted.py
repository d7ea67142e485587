"""Weighted pooling: sums over windows whose taps have given weights, and the binomial ones of anti-aliasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments
from cypool.calls import Call, call
from cypool.dimensions import dimensions, plain
from cypool.pieces import (
    Piece,
    backward_pieces,
    each,
    extended,
    forward_pieces,
    inside,
    planes,
    real_of,
    spatial_axes,
    tap_views,
)
from cypool.windowed import Array, Format, IntOrInts, Padding, fit

# ---------------------------------------------------------------------------- any weights

def tap_weights(name: str, value: Any, kernel: tuple[int, ...], channels: int, lead: tuple[int, ...] = ()) -> Array:
    """Weights of a window's taps for all channels or, with an axis before, for each."""
    given = arguments.array(name, value)
    arguments.check_dtype(name, given.dtype, arguments.FLOATS)
    allowed = [(*lead, *kernel)] if lead else [kernel, (channels, *kernel)]
    if given.shape not in allowed:
        raise ValueError(f"{name} must have shape {' or '.join(map(str, allowed))}, got {given.shape}")
    return given


def weight_of(c: Call, piece: Piece, weights: Array, tap: tuple[int, ...], real: Any) -> Any:
    """The weight of a tap, ready to multiply a piece."""
    if weights.ndim == c.ndim:
        return real.type(weights[tap])
    every: Any = (slice(None), *tap)
    return piece.cut(c.per_channel(weights[every].astype(real)), slice(None))


def correlate(c: Call, weights: Array, real: np.dtype[Any], y: Array) -> Array:
    """``y = sum over taps of weight * x``."""
    def work(piece: Piece, threads: int | None) -> None:
        x = extended(piece.cut(c.x, piece.inputs), piece.windows, c.last, real)
        target = piece.cut(y, piece.outputs)
        sums, product = np.zeros(target.shape, real), np.empty(target.shape, real)
        for tap, view in tap_views(x, piece.windows, c.last):
            sums += np.multiply(view, weight_of(c, piece, weights, tap, real), out=product)
        target[...] = sums

    with np.errstate(all="ignore"):
        each(work, forward_pieces(c.x.shape, c.windows, c.last), c.x.size, c.threads)
    return y


def correlate_backward(c: Call, weights: Array, grad: Array, real: np.dtype[Any], grad_x: Array) -> Array:
    """The gradient of x is put into `grad_x`; that of the weights, float64, is returned."""
    grad_x[...] = 0
    pieces = backward_pieces(c.x.shape, c.windows, c.last)
    shared = weights.ndim == c.ndim

    def work(piece: Piece, threads: int | None) -> Array:
        x = extended(piece.cut(c.x, piece.inputs), piece.windows, c.last, real)
        back, made = np.zeros_like(x), np.zeros((*((x.shape[-1 if c.last else 1],) * (not shared)), *c.kernel))
        d = piece.cut(grad, piece.outputs).astype(real)
        own = piece.along(d, piece.starting)
        others = tuple(i for i in range(x.ndim) if shared or i != (x.ndim - 1 if c.last else 1))
        for (tap, view), (_, target) in zip(tap_views(x, piece.windows, c.last),
                                            tap_views(back, piece.windows, c.last), strict=True):
            target += d * weight_of(c, piece, weights, tap, real)
            here: Any = (..., *tap)
            made[here] = (own * piece.along(view, piece.starting)).sum(axis=others, dtype=np.float64)
        result = piece.along(inside(back, piece.windows, c.last), piece.inner)
        low = piece.inputs.start + piece.inner.start
        piece.cut(grad_x, slice(low, low + result.shape[1 if c.last else 2]))[...] = result
        return made

    with np.errstate(all="ignore"):
        parts = each(work, pieces, c.x.size, c.threads)
    total = np.zeros(weights.shape)
    for piece, made in zip(pieces, parts, strict=True):
        total[... if shared else piece.channels] += made
    return total


def _weighted_pool(ndim: int, x: ArrayLike, weights: ArrayLike, stride: IntOrInts | None = None, padding: Padding = 0,
                   dilation: IntOrInts = 1, ceil_mode: bool = False, *, data_format: Format = "channels_first",
                   out: Array | None = None, num_threads: int | None = None) -> Array:
    """Sums over {n}D windows whose taps have given weights.

    ``y = sum over taps j of weights[j] * x[i * stride - padding + j * dilation]``: the window is as large as the
    weights. Padding is 0.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    weights : array_like of float, with {n} axes, or one more for the channels before them
        The same for all channels, or for each its own.
    stride, padding, dilation, ceil_mode, data_format, out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for weights of another shape.

    See Also
    --------
    weighted_pool{n}d_backward, blur_pool{n}d, gated_pool{n}d

    References
    ----------
    .. [1] R. Zhang, "Making convolutional networks shift-invariant again", 2019.

    Examples
    --------
    {example}
    """
    c, kernel = weighted_call(ndim, x, weights, stride, padding, dilation, ceil_mode, data_format, num_threads)
    y, full = c.out(out, kernel)
    correlate(c, kernel, real_of(c.x, kernel), full)
    return y


def weighted_call(ndim: int, x: Any, weights: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any,
                  data_format: Any, num_threads: Any) -> tuple[Call, Array]:
    """A call whose window is as large as its weights."""
    given = arguments.array("weights", weights)
    if given.ndim not in (ndim, ndim + 1):
        raise ValueError(f"weights must have {ndim} axes, or one more for the channels, got shape {given.shape}")
    kernel = given.shape[given.ndim - ndim:]
    c = call(ndim, x, fit(kernel, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    return c, tap_weights("weights", weights, kernel, c.channels)


def _weighted_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, weights: ArrayLike,
                            stride: IntOrInts | None = None, padding: Padding = 0, dilation: IntOrInts = 1,
                            ceil_mode: bool = False, *, data_format: Format = "channels_first",
                            out: Array | None = None, num_threads: int | None = None) -> tuple[Array, Array]:
    """The gradients of :func:`weighted_pool{n}d` with respect to its input and its weights.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    weights, stride, padding, dilation, ceil_mode, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x, grad_weights : ndarray
        Shaped like x and weights, and of their dtypes.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.weighted_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    weighted_pool{n}d

    References
    ----------
    .. [1] R. Zhang, "Making convolutional networks shift-invariant again", 2019.

    Examples
    --------
    {example}
    """
    c, kernel = weighted_call(ndim, x, weights, stride, padding, dilation, ceil_mode, data_format, num_threads)
    grad = c.grad(grad_output)
    result, full = c.grad_out(out, grad, kernel)
    made = correlate_backward(c, kernel, grad, real_of(c.x, kernel), full)
    return result, made.astype(arguments.native(kernel.dtype))


weighted_pool1d, weighted_pool2d, weighted_pool3d = dimensions(_weighted_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape({row}4)
    >>> weights = np.array([1.0, -1.0]).reshape({pair})
    >>> cypool.weighted_pool{n}d(x, weights).ravel()
    array([-1., -1.])
    """)

weighted_pool1d_backward, weighted_pool2d_backward, weighted_pool3d_backward = dimensions(
    _weighted_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape({row}4)
    >>> weights = np.array([1.0, -1.0]).reshape({pair})
    >>> grad_x, grad_weights = cypool.weighted_pool{n}d_backward(np.ones(({row}2)), x, weights)
    >>> grad_x.ravel(), grad_weights.ravel()
    (array([ 1., -1.,  1., -1.]), array([4., 6.]))
    """)


# ---------------------------------------------------------------------------- binomial weights

MODES = {"reflect": "reflect", "replicate": "edge", "zeros": "constant"}


def binomial(size: int) -> Array:
    """A row of Pascal's triangle, as weights: their sum is 1."""
    return np.array([math.comb(size - 1, i) for i in range(size)]) / 2.0 ** (size - 1)


class Blur:
    """A blur's filters and strides along each axis, checked."""

    def __init__(self, sizes: tuple[int, ...], filter_size: Any, stride: Any, padding_mode: Any) -> None:
        ndim = len(sizes)
        self.filters = arguments.per_axis("filter_size", filter_size, ndim, 1)
        self.strides = arguments.per_axis("stride", stride, ndim, 1)
        if not isinstance(padding_mode, str) or padding_mode not in MODES:
            kind = ValueError if isinstance(padding_mode, str) else TypeError
            raise kind(f"padding_mode must be one of {', '.join(map(repr, MODES))}, "
                       f"got {arguments.show(padding_mode)}")
        if max(self.filters) > 64:
            raise ValueError(f"filter_size must be at most 64, got {arguments.show(filter_size)}")
        self.sizes, self.mode = sizes, padding_mode
        if padding_mode == "reflect" and any(f // 2 >= n for f, n in zip(self.filters, sizes, strict=True)):
            raise ValueError("filter_size must reflect less than the whole input (filter_size // 2 < size), "
                             f"got filter_size={arguments.show(filter_size)} for spatial shape {sizes}")
        self.out = tuple(-(-n // s) for n, s in zip(sizes, self.strides, strict=True))

    def sources(self, i: int) -> Array:
        """Which element each place of the padded axis i is a copy of; -1: of none."""
        n, f = self.sizes[i], self.filters[i]
        place = np.arange(-((f - 1) // 2), n + f // 2)
        if self.mode == "reflect":
            place = np.abs(place)
            return np.where(place >= n, 2 * (n - 1) - place, place)
        if self.mode == "replicate":
            return np.clip(place, 0, n - 1)
        return np.where((place < 0) | (place >= n), -1, place)

    def along(self, x: Array, i: int, axis: int) -> Array:
        """The blur along spatial axis i, which is this axis of x."""
        f, s, out = self.filters[i], self.strides[i], self.out[i]
        width = [(0, 0)] * x.ndim
        width[axis] = ((f - 1) // 2, f // 2)
        x = np.pad(x, width, mode=MODES[self.mode])                             # type: ignore[call-overload]
        part = [slice(None)] * x.ndim
        total: Any = None
        for j, weight in enumerate(binomial(f)):
            part[axis] = slice(j, j + (out - 1) * s + 1, s)
            term = x[tuple(part)] * x.dtype.type(weight)
            total = term if total is None else np.add(total, term, out=total)
        return total                                                          # type: ignore[no-any-return]

    def back(self, d: Array, i: int, axis: int) -> Array:
        """The adjoint of `along`."""
        f, s, out = self.filters[i], self.strides[i], self.out[i]
        shape = list(d.shape)
        shape[axis] = self.sizes[i] + f - 1
        padded = np.zeros(shape, d.dtype)
        part = [slice(None)] * d.ndim
        for j, weight in enumerate(binomial(f)):
            part[axis] = slice(j, j + (out - 1) * s + 1, s)
            padded[tuple(part)] += d * d.dtype.type(weight)
        before, n = (f - 1) // 2, self.sizes[i]
        part[axis] = slice(before, before + n)
        result = padded[tuple(part)].copy()
        for place, source in enumerate(self.sources(i)):
            if not before <= place < before + n and source >= 0:
                to, of = [slice(None)] * d.ndim, [slice(None)] * d.ndim
                to[axis], of[axis] = slice(source, source + 1), slice(place, place + 1)
                result[tuple(to)] += padded[tuple(of)]
        return result


def _blur_pool(ndim: int, x: ArrayLike, filter_size: IntOrInts = 4, stride: IntOrInts = 2, *,
               padding_mode: str = "reflect", data_format: Format = "channels_first", out: Array | None = None,
               num_threads: int | None = None) -> Array:
    """Anti-aliased downsampling in {n}D: a binomial blur, of which every `stride`-th element is kept.

    Along each axis ``y[i] = sum over j of h[j] * x[i * stride + j - (filter_size - 1) // 2]`` with the binomial weights
    ``h[j] = comb(filter_size - 1, j) / 2 ** (filter_size - 1)``; there are ``ceil(size / stride)`` of them.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    filter_size : int, or one int per axis
        Taps of the filter, 1 to 64: 1 takes every `stride`-th element as it is.
    stride : int, or one int per axis
    padding_mode : {{"reflect", "replicate", "zeros"}}
        What is beyond the edges: the elements in reverse without the one at the edge, that one again, or zeros.
    data_format, out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError where a filter would reflect more than there is.

    See Also
    --------
    blur_pool{n}d_backward, weighted_pool{n}d, avg_pool{n}d

    References
    ----------
    .. [1] R. Zhang, "Making convolutional networks shift-invariant again", 2019.

    Examples
    --------
    {example}
    """
    given = arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.FLOATS)
    last = arguments.channels_last(data_format)
    batch = arguments.batched("x", given, ndim)
    blur = Blur(arguments.spatial("x", batch.shape, last), filter_size, stride, padding_mode)
    full = arguments.with_spatial(batch.shape, blur.out, last)
    y = arguments.out_array(out, full[len(full) - given.ndim:], arguments.native(given.dtype), given)
    target, axes = y.reshape(full), spatial_axes(batch, last)
    work_blur(batch, target, last, lambda i, part: blur.along(part, i, axes[i]), ndim, arguments.threads(num_threads))
    return y


def work_blur(x: Array, y: Array, last: bool, step: Any, ndim: int, threads: int | None) -> None:
    """One step for each axis, plane by plane."""
    def work(piece: tuple[slice, slice], _: int | None) -> None:
        index: Any = (piece[0], ..., piece[1]) if last else piece
        part = x[index].astype(real_of(x))
        for i in range(ndim):
            part = step(i, part)
        y[index] = part

    with np.errstate(all="ignore"):
        each(work, list(planes(x.shape, last)), x.size, threads)


def _blur_pool_backward(ndim: int, grad_output: ArrayLike, input_shape: Sequence[SupportsIndex],
                        filter_size: IntOrInts = 4, stride: IntOrInts = 2, *, padding_mode: str = "reflect",
                        data_format: Format = "channels_first", out: Array | None = None,
                        num_threads: int | None = None) -> Array:
    """The gradient of :func:`blur_pool{n}d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    input_shape : sequence of int
        The forward's input shape.
    filter_size, stride, padding_mode, data_format
        The forward's.
    out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_input : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.blur_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    blur_pool{n}d

    References
    ----------
    .. [1] R. Zhang, "Making convolutional networks shift-invariant again", 2019.

    Examples
    --------
    {example}
    """
    grad = arguments.array("grad_output", grad_output)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    last = arguments.channels_last(data_format)
    batch = arguments.batched("grad_output", grad, ndim)
    shape = arguments.shape("input_shape", input_shape, grad.ndim)
    full = (1,) * (batch.ndim - grad.ndim) + shape
    blur = Blur(arguments.spatial("input_shape", full, last), filter_size, stride, padding_mode)
    expected = arguments.with_spatial(full, blur.out, last)
    if batch.shape != expected:
        raise ValueError(f"grad_output must have the shape of the forward's output {expected[-grad.ndim:]}, "
                         f"got {grad.shape}")
    result = arguments.out_array(out, shape, arguments.native(grad.dtype), grad)
    axes = spatial_axes(batch, last)
    work_blur(batch, result.reshape(full), last, lambda i, part: blur.back(part, i, axes[i]), ndim,
              arguments.threads(num_threads))
    return result


blur_pool1d, blur_pool2d, blur_pool3d = dimensions(_blur_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape({row}6)
    >>> cypool.blur_pool{n}d(x, 3, padding_mode="replicate").ravel()
    array([1.25, 3.  , 5.  ])
    """)

blur_pool1d_backward, blur_pool2d_backward, blur_pool3d_backward = dimensions(_blur_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> grad = np.ones(({row}3))
    >>> cypool.blur_pool{n}d_backward(grad, ({row}6), 3, padding_mode="replicate").ravel()
    array([0.75, 0.5 , 0.5 , 0.5 , 0.5 , 0.25])
    """)
