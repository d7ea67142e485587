"""Sampled pooling: elements that are drawn, and regions that are.

All draws are made at once, before any pooling, in the order (N, C, spatial): results depend on the generator alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments, fused, means
from cypool.calls import Operands, operands
from cypool.dimensions import dimensions, plain
from cypool.dispatch import Pooling
from cypool.norms import run, run_backward
from cypool.pieces import Piece, each, extended, forward_pieces, planes, spatial_axes, tap_views
from cypool.windowed import Array, Format, IntOrInts, Padding, fit, scatter
from cypool.windows import trimmed

# ---------------------------------------------------------------------------- stochastic


class Activation(means.Ratio, means.Power):
    """The average with the elements themselves as weights: what a draw gives in the long run."""

    def kinds(self, p: Any, learned: bool = False) -> fused.Kinds | None:
        return fused.Kinds(fused.SIZES, fused.ELEMENTS, fused.RATIO, fused.OF_SQUARES)

    def gradients(self, x: Array, w: Array, unit: Any, p: Any, by_s: Any, by_y: Any) -> tuple[Array, ...]:
        back = 2 * w * by_s() - by_y() * (1 if unit is None else 1 / unit)
        return (back,)


def activations(ndim: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any,
                data_format: Any, num_threads: Any) -> Operands:
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    with np.errstate(invalid="ignore"):
        least = c.x.min(initial=0)
        if np.isnan(least):                         # there may be a negative number beside it: the slow way
            least = np.fmin.reduce(c.x, axis=None)
        if least < 0:
            raise ValueError(f"x must not be negative, got {least}")
    return c


def _stochastic_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
                     padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False, *, training: bool = True,
                     rng: np.random.Generator | int | None = None, return_indices: bool = False,
                     data_format: Format = "channels_first", out: Array | None = None,
                     num_threads: int | None = None) -> Any:
    """Stochastic pooling over {n}D windows: an element drawn in proportion to its size.

    In training ``y`` is element a of the window with probability ``a / sum of a``; else it is what that comes to on
    average, ``sum of a ** 2 / sum of a``. Where all elements are 0 the first is taken.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
        At least 0.
    training : bool
    rng : numpy.random.Generator, int or None
        What draws, or its seed; None: a new one each time.
    return_indices : bool
        Also return where in its plane each element was; in training only.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding is never drawn.

    Returns
    -------
    y : ndarray
        Of x's dtype; NaN where the window has one.
    indices : ndarray of int64, only with `return_indices`
        As those of :func:`cypool.max_pool{n}d`.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for negative x.

    See Also
    --------
    stochastic_pool{n}d_backward, stochastic_pool{n}d_inference_backward, random_mixed_pool{n}d

    References
    ----------
    .. [1] M. D. Zeiler, R. Fergus, "Stochastic pooling for regularization of deep convolutional neural networks", 2013.

    Examples
    --------
    {example}
    """
    c = activations(ndim, x, kernel_size, stride, padding, dilation, ceil_mode, data_format, num_threads)
    generator, wanted = arguments.generator(rng), arguments.flag("return_indices", return_indices)
    if not arguments.flag("training", training):
        if wanted:
            raise ValueError("return_indices must be False without training, got True: no element is chosen")
        return run(c, Activation(), 1.0, out)
    y, full = c.out(out)
    indices = np.empty(c.full, np.int64)
    drawn = generator.random((c.x.shape[0], c.channels, *c.windows.shape))
    draw(c, np.moveaxis(drawn, 1, -1) if c.last else drawn, full, indices)
    return (y, indices.reshape(y.shape)) if wanted else y


def draw(c: Operands, drawn: Array, y: Array, indices: Array) -> None:
    """The first element at which the running sum exceeds the drawn part of the whole sum."""
    sizes = c.x.shape[1:-1] if c.last else c.x.shape[2:]

    def work(piece: Piece, threads: int | None) -> None:
        windows = trimmed(piece.windows)
        x = extended(piece.cut(c.x, piece.inputs), windows, c.last, np.float64, np.nan)
        valid = extended(np.broadcast_to(True, piece.cut(c.x, piece.inputs).shape), windows, c.last, bool)
        shape = piece.cut(y, piece.outputs).shape
        whole = np.zeros(shape)
        taps = list(zip(tap_views(x, windows, c.last), tap_views(valid, windows, c.last), strict=True))
        for (_, a), (_, there) in taps:
            whole += np.where(there, a, 0)
        aim = piece.cut(drawn, piece.outputs) * whole
        running, chosen = np.zeros(shape), np.full(shape, -1)
        first, positive, infinite, missing = (np.full(shape, -1) for _ in range(4))
        for t, ((_, a), (_, there)) in enumerate(taps):
            running += np.where(there, a, 0)
            chosen[(chosen < 0) & there & (aim < running)] = t
            first[(first < 0) & there] = t
            positive[there & (a > 0)] = t
            infinite[(infinite < 0) & there & (a == np.inf)] = t
            missing[there & np.isnan(a)] = t
        chosen = np.where(chosen < 0, positive, chosen)                 # rounding left none
        chosen = np.where(chosen < 0, first, chosen)
        chosen = np.where(infinite < 0, chosen, infinite)
        chosen = np.where(missing < 0, chosen, missing)
        value, place = np.empty(shape), np.zeros(shape, np.int64)
        for t, ((_, a), _) in enumerate(taps):
            np.copyto(value, a, where=chosen == t)
        # flat: NumPy 2.4 unravels long arrays with axes of length 1 wrongly
        each_axis = np.unravel_index(chosen.ravel(), [a.kernel for a in windows.axes])
        offset = piece.inputs.start
        for axis, size, along, tap in zip(windows.axes, sizes, spatial_axes(c.x, c.last), each_axis, strict=True):
            window = np.arange(axis.out).reshape([-1 if i == along else 1 for i in range(x.ndim)])
            place = place * size + (window * axis.stride - axis.padding + tap.reshape(shape) * axis.dilation + offset)
            offset = 0
        piece.cut(y, piece.outputs)[...] = value
        piece.cut(indices, piece.outputs)[...] = place

    each(work, forward_pieces(c.x.shape, c.windows, c.last), c.x.size, c.threads)


def _stochastic_pool_backward(ndim: int, grad_output: ArrayLike, indices: ArrayLike,
                              input_shape: Sequence[SupportsIndex], *, data_format: Format = "channels_first",
                              out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`stochastic_pool{n}d` in training: each goes to the element that was drawn.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    indices : array_like of int, shaped like grad_output
        The forward's. Every one is checked.
    input_shape : sequence of int
        The forward's input shape.
    data_format, out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_input : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d_backward`.

    See Also
    --------
    stochastic_pool{n}d

    References
    ----------
    .. [1] M. D. Zeiler, R. Fergus, "Stochastic pooling for regularization of deep convolutional neural networks", 2013.

    Examples
    --------
    {example}
    """
    return scatter(ndim, grad_output, indices, input_shape, data_format, out, num_threads)


def _stochastic_pool_inference_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, kernel_size: IntOrInts,
                                        stride: IntOrInts | None = None, padding: Padding = 0,
                                        dilation: IntOrInts = 1, ceil_mode: bool = False, *,
                                        data_format: Format = "channels_first", out: Array | None = None,
                                        num_threads: int | None = None) -> Array:
    """The gradient of :func:`stochastic_pool{n}d` without training: ``dy / dx = (2 x - y) / sum of x``.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    kernel_size, stride, padding, dilation, ceil_mode, data_format
        The forward's.
    out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype; 0 for windows of zeros.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.stochastic_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    stochastic_pool{n}d

    References
    ----------
    .. [1] M. D. Zeiler, R. Fergus, "Stochastic pooling for regularization of deep convolutional neural networks", 2013.

    Examples
    --------
    {example}
    """
    c = activations(ndim, x, kernel_size, stride, padding, dilation, ceil_mode, data_format, num_threads)
    return run_backward(c, Activation(), 1.0, grad_output, out)[0]


stochastic_pool1d, stochastic_pool2d, stochastic_pool3d = dimensions(_stochastic_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 0.0, 9.0]).reshape({row}4)
    >>> y, indices = cypool.stochastic_pool{n}d(x, {pair}, rng=0, return_indices=True)
    >>> y.ravel(), indices.ravel()
    (array([3., 9.]), array([1, 3]))
    >>> cypool.stochastic_pool{n}d(x, {pair}, training=False).ravel()
    array([2.5, 9. ])
    """)

stochastic_pool1d_backward, stochastic_pool2d_backward, stochastic_pool3d_backward = dimensions(
    _stochastic_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 0.0, 9.0]).reshape({row}4)
    >>> y, indices = cypool.stochastic_pool{n}d(x, {pair}, rng=0, return_indices=True)
    >>> cypool.stochastic_pool{n}d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 1., 0., 1.])
    """)

(stochastic_pool1d_inference_backward, stochastic_pool2d_inference_backward,
 stochastic_pool3d_inference_backward) = dimensions(_stochastic_pool_inference_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape({row}4)
    >>> cypool.stochastic_pool{n}d_inference_backward(np.ones(({row}1)), x, x.shape[2:]).ravel()
    array([-0.1,  0.1,  0.3,  0.5])
    """)


# ---------------------------------------------------------------------------- fractional

def region_size(output_size: Any, output_ratio: Any, sizes: tuple[int, ...],
                kernel: tuple[int, ...]) -> tuple[int, ...]:
    if (output_size is None) == (output_ratio is None):
        raise ValueError("output_size or output_ratio must be given, and not both, "
                         f"got {arguments.show(output_size)} and {arguments.show(output_ratio)}")
    if output_size is not None:
        outputs = arguments.per_axis("output_size", output_size, len(sizes), 1)
    else:
        many = isinstance(output_ratio, arguments.NESTED) and np.shape(output_ratio) != ()
        items: list[Any] = list(output_ratio) if many else [output_ratio] * len(sizes)
        if len(items) != len(sizes):
            raise ValueError(f"output_ratio must be a number or {len(sizes)} of them, one per spatial axis, "
                             f"got {arguments.show(output_ratio)}")
        ratios = [arguments.number("output_ratio", item) for item in items]
        if not all(0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"output_ratio must be between 0 and 1, got {arguments.show(output_ratio)}")
        outputs = tuple(int(n * ratio) for n, ratio in zip(sizes, ratios, strict=True))
    for n, k, o in zip(sizes, kernel, outputs, strict=True):
        if o < 1 or o + k - 1 > n:
            raise ValueError("output_size must be at least 1 and at most size - kernel_size + 1 on every axis, got "
                             f"{outputs} for spatial shape {sizes} and kernel_size {kernel}")
    return outputs


def starts(size: int, kernel: int, out: int, u: Array) -> Array:
    """Where the regions along an axis begin, for each sample u."""
    begin = np.full((*u.shape, out), size - kernel, np.int64)
    if out > 1:
        step = (size - kernel) / (out - 1)
        place = np.arange(out - 1)
        begin[..., :-1] = np.trunc((place + u[..., None]) * step) - np.trunc(u * step)[..., None]
    return begin


def _fractional_max_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, output_size: IntOrInts | None = None,
                         output_ratio: float | Sequence[float] | None = None, return_indices: bool = False, *,
                         random_samples: ArrayLike | None = None, rng: np.random.Generator | int | None = None,
                         data_format: Format = "channels_first", out: Array | None = None,
                         num_threads: int | None = None) -> Any:
    """Fractional max pooling in {n}D: maxima of regions that lie a drawn, uneven pattern apart.

    Along each axis, with ``step = (size - kernel_size) / (output_size - 1)`` and a sample u in [0, 1), region i begins
    at ``floor((i + u) * step) - floor(u * step)``, and the last one at ``size - kernel_size``.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Bool, integers or floats.
    kernel_size : int, or one int per axis
    output_size : int, or one int per axis, optional
        Regions along each axis, at most ``size - kernel_size + 1``.
    output_ratio : float, or one per axis, optional
        In place of it: ``output_size = floor(size * output_ratio)``; between 0 and 1.
    return_indices : bool
        Also return where in its plane each maximum was.
    random_samples : array_like of float, shape (N, C, {n}), optional
        u for the axes in their order ({spatial}), at least 0 and less than 1. Without them they are drawn.
    rng : numpy.random.Generator, int or None
        What draws, or its seed; None: a new one each time.
    data_format, out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.
    indices : ndarray of int64, only with `return_indices`
        As those of :func:`cypool.max_pool{n}d`.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for sizes that do not fit.

    See Also
    --------
    fractional_max_pool{n}d_backward, adaptive_max_pool{n}d, max_pool{n}d

    References
    ----------
    .. [1] B. Graham, "Fractional max-pooling", 2014.

    Examples
    --------
    {example}
    """
    given = arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.ORDERED)
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched("x", given, ndim)
    sizes = arguments.spatial("x", batch.shape, last)
    kernel = arguments.per_axis("kernel_size", kernel_size, ndim, 1)
    outputs = region_size(output_size, output_ratio, sizes, kernel)
    wanted = arguments.flag("return_indices", return_indices)
    count = (batch.shape[0], batch.shape[-1 if last else 1], ndim)
    if random_samples is None:
        u = arguments.generator(rng).random(count)
    else:
        u = arguments.array("random_samples", random_samples)
        arguments.check_dtype("random_samples", u.dtype, arguments.FLOATS)
        u = u.astype(np.float64)
        if u.shape != count:
            raise ValueError(f"random_samples must have shape {count}, got {u.shape}")
        if not np.all((u >= 0) & (u < 1)):
            raise ValueError("random_samples must be at least 0 and less than 1, got others")
    full = arguments.with_spatial(batch.shape, outputs, last)
    shape = full[len(full) - given.ndim:]
    y = arguments.out_array(out, shape, arguments.native(given.dtype), given)
    indices = np.empty(full, np.int64) if wanted else None
    target = y.reshape(full)
    begin = [starts(n, k, o, u[..., i]) for i, (n, k, o) in enumerate(zip(sizes, kernel, outputs, strict=True))]

    def work(part: tuple[slice, slice], threads: int | None) -> None:
        cut = (part[0], ..., part[1]) if last else part
        most, place = best_of(batch[cut], [b[part] for b in begin], kernel, last, wanted, threads)
        target[cut] = most
        if indices is not None:
            indices[cut] = place

    each(work, list(planes(batch.shape, last)), batch.size, arguments.threads(num_threads))
    return y if indices is None else (y, indices.reshape(shape))


def best_of(x: Array, begin: list[Array], kernel: tuple[int, ...], last: bool, wanted: bool,
            threads: int | None) -> tuple[Array, Any]:
    """The maximum of each region of some planes, and, if wanted, where it was: those of all windows of that size, of
    which regions then pick theirs."""
    n, channels = begin[0].shape[:2]

    def corners(sizes: tuple[int, ...], first: Any) -> Any:
        """Where the regions begin in planes of these sizes."""
        for i, b in enumerate(begin):
            first = first * sizes[i] + b.reshape(n, channels, *(-1 if j == i else 1 for j in range(len(begin))))
        return np.moveaxis(first, 1, -1) if last else first

    sizes = arguments.spatial("x", x.shape, last)
    windows = fit(kernel, 1, 0, 1, False)(sizes)
    full = arguments.with_spatial(x.shape, windows.shape, last)
    most, chosen = np.empty(full, arguments.native(x.dtype)), None
    if wanted:
        chosen = np.empty(full, np.uint8 if windows.taps <= 256 else np.int32)
    pooling = Pooling(x.shape, x.dtype, full, most.dtype, windows, "arg_max" if wanted else "max", last)
    pooling(x, most, chosen, False, threads)
    place = corners(windows.shape, np.arange(n if last else n * channels).reshape(n, -1, *(1 for _ in begin)))
    if last:
        place = place * channels + np.arange(channels)
    if chosen is None:
        return most.take(place), None
    offsets = np.ravel_multi_index(tuple(np.indices(kernel).reshape(len(kernel), -1)), sizes)
    return most.take(place), corners(sizes, 0) + offsets.take(chosen.take(place))


def _fractional_max_pool_backward(ndim: int, grad_output: ArrayLike, indices: ArrayLike,
                                  input_shape: Sequence[SupportsIndex], *, data_format: Format = "channels_first",
                                  out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`fractional_max_pool{n}d`: each goes to the region's maximum.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    indices : array_like of int, shaped like grad_output
        The forward's. Every one is checked.
    input_shape : sequence of int
        The forward's input shape.
    data_format, out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_input : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d_backward`.

    See Also
    --------
    fractional_max_pool{n}d

    References
    ----------
    .. [1] B. Graham, "Fractional max-pooling", 2014.

    Examples
    --------
    {example}
    """
    return scatter(ndim, grad_output, indices, input_shape, data_format, out, num_threads)


_fractional = dimensions(_fractional_max_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(9.0).reshape({row}9)
    >>> outputs = (*x.shape[2:-1], 5)
    >>> samples = np.full((1, 1, {n}), 0.5)
    >>> cypool.fractional_max_pool{n}d(x, {pair}, outputs, random_samples=samples).ravel()
    array([1., 3., 5., 7., 8.])
    """)

fractional_max_pool2d, fractional_max_pool3d = _fractional[1:]

_fractional_backward = dimensions(_fractional_max_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(9.0).reshape({row}9)
    >>> y, indices = cypool.fractional_max_pool{n}d(x, {pair}, 1, return_indices=True)
    >>> cypool.fractional_max_pool{n}d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 0., 0., 0., 0., 0., 0., 0., 1.])
    """)
fractional_max_pool2d_backward, fractional_max_pool3d_backward = _fractional_backward[1:]
