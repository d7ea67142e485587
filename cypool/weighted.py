"""Weighted pooling: sums over windows whose taps have given weights, and the binomial ones of anti-aliasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments, taps
from cypool.calls import Operands, operands
from cypool.dimensions import dimensions, plain
from cypool.pieces import (
    Piece,
    backward_pieces,
    each,
    forward_pieces,
    planes,
    real_of,
    spatial_axes,
)
from cypool.windowed import Array, Format, IntOrInts, Padding, fit
from cypool.windows import Axis, band, reached

# ---------------------------------------------------------------------------- any weights

def tap_weights(name: str, value: Any, kernel: tuple[int, ...], channels: int, lead: tuple[int, ...] = ()) -> Array:
    """Weights of a window's taps for all channels or, with an axis before, for each."""
    given = arguments.array(name, value)
    arguments.check_dtype(name, given.dtype, arguments.FLOATS)
    allowed = [(*lead, *kernel)] if lead else [kernel, (channels, *kernel)]
    if given.shape not in allowed:
        raise ValueError(f"{name} must have shape {' or '.join(map(str, allowed))}, got {given.shape}")
    return given


def as_taps(c: Operands, weights: Array) -> Array:
    """The weights as `taps.apply` takes them."""
    if weights.ndim == c.ndim:
        return weights.reshape(1, -1, 1)
    each_channel = weights.reshape(c.channels, -1)
    return each_channel.T[None] if c.last else each_channel[..., None]


def correlate(c: Operands, weights: Array, real: np.dtype[Any], y: Array) -> Array:
    """``y = sum over taps of weight * x``."""
    every = np.ascontiguousarray(as_taps(c, weights), real)

    def work(piece: Piece, threads: int | None) -> None:
        taps.apply(piece.cut(c.x, piece.inputs), of_channels(every, piece, c), real, piece.cut(y, piece.outputs),
                   tuple(map(taps.forward, piece.windows.axes)), c.last)

    each(work, forward_pieces(c.x.shape, c.windows, c.last), c.x.size, c.threads)
    return y


def of_channels(every: Array, piece: Piece, c: Operands) -> Array:
    return every if c.last or len(every) == 1 else every[piece.channels]


def correlate_backward(c: Operands, weights: Array, grad: Array, real: np.dtype[Any], grad_x: Array) -> Array:
    """The gradient of x is put into `grad_x`; that of the weights, float64, is returned."""
    pieces, every = backward_pieces(c.x.shape, c.windows, c.last), np.ascontiguousarray(as_taps(c, weights), real)
    shared = weights.ndim == c.ndim
    if sum(piece.elements for piece in pieces) < c.x.size:
        grad_x[...] = 0

    def work(piece: Piece, threads: int | None) -> Array:
        x, own = piece.cut(c.x, piece.inputs), of_channels(every, piece, c)
        d, reads = np.ascontiguousarray(piece.cut(grad, piece.outputs), real), map(taps.adjoint, piece.windows.axes)
        low, count = piece.inputs.start + piece.inner.start, piece.inner.stop - piece.inner.start
        target = piece.cut(grad_x, slice(low, low + count))
        back = target if target.shape == x.shape else np.empty(x.shape, real)
        taps.apply(d, own, real, back, tuple(reads), c.last)
        if back is not target:
            target[...] = piece.along(back, piece.inner)
        if piece.starting.start == piece.starting.stop:
            return np.zeros((len(own), own.shape[1], x.shape[-1] if c.last else 1))
        low, high, windows = band(piece.windows, piece.starting.start, piece.starting.stop)
        return taps.products(piece.along(x, slice(low, high)), piece.along(d, piece.starting), len(own),
                             tuple(map(taps.forward, windows.axes)), c.last)

    parts = each(work, pieces, c.x.size, c.threads)
    total = np.zeros((1 if c.last or shared else c.channels, every.shape[1], c.channels if c.last else 1))
    for piece, made in zip(pieces, parts, strict=True):
        of_channels(total, piece, c)[...] += made
    if shared:
        return np.asarray(total.sum((0, 2))).reshape(weights.shape)
    return (total[0].T if c.last else total).reshape(weights.shape)


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
                  data_format: Any, num_threads: Any) -> tuple[Operands, Array]:
    """A call whose window is as large as its weights."""
    given = arguments.array("weights", weights)
    if given.ndim not in (ndim, ndim + 1):
        raise ValueError(f"weights must have {ndim} axes, or one more for the channels, got shape {given.shape}")
    kernel = given.shape[given.ndim - ndim:]
    c = operands(ndim, x, fit(kernel, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
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
        self.reads = [self.blurred(i) for i in range(ndim)]

    def blurred(self, i: int) -> taps.Reads:
        """What the results along an axis read."""
        n, before, sources = self.sizes[i], (self.filters[i] - 1) // 2, self.sources(i)
        offsets = np.arange(self.filters[i]) - before
        return taps.Reads(n, self.out[i], 1, self.strides[i], (np.zeros_like(offsets), offsets),
                          (sources[:before], sources[before + n:]))

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

    def order(self) -> list[int]:
        """The axes, those first that leave the least to the others; their adjoints go the other way round."""
        return sorted(range(len(self.sizes)), key=lambda i: -self.strides[i])

    def along(self, x: Array, i: int, axis: int, y: Array) -> None:
        """The blur along spatial axis i, which is this axis of x."""
        self.sweep(x, i, axis, y, self.reads[i])

    def back(self, d: Array, i: int, axis: int, y: Array) -> None:
        """The adjoint of `along`: what the padding gets goes to the elements that it is a copy of."""
        before, n, sources = (self.filters[i] - 1) // 2, self.sizes[i], self.sources(i)
        self.reach(d, i, axis, before, y)
        for low, high in ((0, before), (before + n, len(sources))):
            if low < high and self.mode != "zeros":
                shape = list(d.shape)
                shape[axis] = high - low
                beyond = np.zeros(shape, d.dtype)
                self.reach(d, i, axis, low, beyond)
                to, of = [slice(None)] * d.ndim, [slice(None)] * d.ndim
                for k, source in enumerate(sources[low:high]):
                    to[axis], of[axis] = slice(source, source + 1), slice(k, k + 1)
                    y[tuple(to)] += beyond[tuple(of)]

    def reach(self, d: Array, i: int, axis: int, low: int, y: Array) -> None:
        """The adjoint at places from `low` on of the padded axis, as many as y has; y is zeros where there are none."""
        f, s, high = self.filters[i], self.strides[i], low + y.shape[axis]
        first, stop = reached(Axis(self.sizes[i] + f - 1, self.out[i], f, s), low, high)
        if first < stop:
            part = [slice(None)] * d.ndim
            part[axis] = slice(first, stop)
            reads = taps.adjoint(Axis(high - low, stop - first, f, s, low - first * s))
            self.sweep(d[tuple(part)], i, axis, y, reads)

    def sweep(self, x: Array, i: int, axis: int, y: Array, reads: taps.Reads) -> None:
        """The binomial weights along one axis, the others being planes or channels."""
        weights = binomial(self.filters[i]).reshape(1, -1, 1)
        lead, trail = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1:])
        if trail == 1:
            seen, rows = (1, 1, lead), (taps.forward(Axis(lead, lead)), reads)
            taps.apply(x.reshape(*seen, reads.size), weights, x.dtype, y.reshape(*seen, reads.out), rows, False)
        else:
            x, y = x.reshape(lead, reads.size, 1, trail), y.reshape(lead, reads.out, 1, trail)
            taps.apply(x, weights, x.dtype, y, (reads, taps.ALONE), True)


def work_blur(x: Array, y: Array, last: bool, step: Any, order: list[int], threads: int | None) -> None:
    """One step for each axis, plane by plane; x and y differ in the lengths of these axes alone."""
    axes, real = spatial_axes(x, last), real_of(x)

    def work(piece: tuple[slice, slice], _: int | None) -> None:
        index: Any = (piece[0], ..., piece[1]) if last else piece
        part, target = np.ascontiguousarray(x[index], real), y[index]
        shape = list(part.shape)
        for i in order:
            shape[axes[i]] = y.shape[axes[i]]
            there = i == order[-1] and y.dtype == real and target.flags.c_contiguous
            made = target if there else np.empty(shape, real)
            step(part, i, axes[i], made)
            part = made
        if part is not target:
            target[...] = part

    each(work, list(planes(x.shape, last)), x.size, threads)


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
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched("x", given, ndim)
    blur = Blur(arguments.spatial("x", batch.shape, last), filter_size, stride, padding_mode)
    full = arguments.with_spatial(batch.shape, blur.out, last)
    y = arguments.out_array(out, full[len(full) - given.ndim:], arguments.native(given.dtype), given)
    work_blur(batch, y.reshape(full), last, blur.along, blur.order(), arguments.threads(num_threads))
    return y


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
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched("grad_output", grad, ndim)
    shape = arguments.shape("input_shape", input_shape, grad.ndim)
    full = (1,) * (batch.ndim - grad.ndim) + shape
    blur = Blur(arguments.spatial("input_shape", full, last), filter_size, stride, padding_mode)
    expected = arguments.with_spatial(full, blur.out, last)
    if batch.shape != expected:
        raise ValueError(f"grad_output must have the shape of the forward's output {expected[-grad.ndim:]}, "
                         f"got {grad.shape}")
    result = arguments.out_array(out, shape, arguments.native(grad.dtype), grad)
    work_blur(batch, result.reshape(full), last, blur.back, blur.order()[::-1], arguments.threads(num_threads))
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
