"""Pooling to a size: one number for each channel, or so many bins along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cypool import arguments
from cypool.dimensions import dimensions, plain, public, remembered
from cypool.windowed import Array, Fit, Format, NanPolicy, add, add_in, choose, choose_in, fit, scatter, spread
from cypool.windows import bins


def dimension(name: str, ndim: int) -> int:
    if not 3 <= ndim <= 5:
        raise ValueError(f"{name} must have a batch axis, a channel axis and one to three spatial axes, "
                         f"got {ndim} axes")
    return ndim - 2


def whole_window(name: str, shape: tuple[int, ...], data_format: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The window that is the whole plane, as arguments of `windowed`."""
    return arguments.spatial(name, shape, arguments.channels_last(data_format, len(shape) - 2)), None, 0, 1, False


def kept(name: str, y: Any, ndim: int, data_format: Any, allowed: Sequence[str] = arguments.FLOATS) -> Array:
    """y with its spatial axes of length 1, which the caller may have dropped."""
    array = arguments.array(name, y)
    arguments.check_dtype(name, array.dtype, allowed)
    last = arguments.channels_last(data_format, ndim)
    middle = (1,) * ndim
    if array.ndim == ndim + 2 and (array.shape[1:-1] if last else array.shape[2:]) == middle:
        return array
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (N, C), or spatial axes of length 1 as well, got {array.shape}")
    return array.reshape((array.shape[0], *middle, array.shape[1]) if last else (*array.shape, *middle))


def choose_whole(x: Any, which: str, data_format: Any, nan_policy: Any, form: Any, keepdims: Any) -> Any:
    """A call of global max or min: see `windowed.choose`."""
    return choose(x, dimension("x", x.ndim), which, *whole_window("x", x.shape, data_format), data_format, nan_policy,
                  form, arguments.flag("keepdims", keepdims))


@public
def global_max_pool(x: ArrayLike, *, keepdims: bool = True, return_indices: bool = False,
                    data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate",
                    out: Array | None = None, num_threads: int | None = None) -> Any:
    """The largest element of each channel.

    ``y[n, c] = max over all positions i of x[n, c, i]``.

    Parameters
    ----------
    x : array_like, shape (N, C, ...) with one to three spatial axes
        Bool, integers or floats.
    keepdims : bool
        Whether y keeps the spatial axes, each of length 1.
    return_indices : bool
        Also return the flat position of each maximum within its channel's spatial volume.
    data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.
    indices : ndarray of int64, only with `return_indices`

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool2d`.

    See Also
    --------
    global_max_pool_backward, global_avg_pool

    References
    ----------
    .. [1] M. Oquab, L. Bottou, I. Laptev, J. Sivic, "Is object localization for free? Weakly-supervised learning with
       convolutional neural networks", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[[1.0, 3.0], [2.0, 0.0]], [[5.0, 4.0], [7.0, 6.0]]]])
    >>> cypool.global_max_pool(x, keepdims=False)
    array([[3., 7.]])
    """
    return choose_whole(x, "max", data_format, nan_policy,
                        np.int64 if arguments.flag("return_indices", return_indices) else None, keepdims)


def global_max_pool_backward(grad_output: ArrayLike, indices: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                             data_format: Format = "channels_first", out: Array | None = None,
                             num_threads: int | None = None) -> Array:
    """The gradient of :func:`global_max_pool` with respect to its input: it goes to each channel's maximum.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output, its spatial axes kept or dropped.
    indices : array_like of int, shaped like grad_output
        The forward's. Every one is checked.
    input_shape : sequence of int
        The forward's input shape.
    data_format, out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    grad_input : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool2d_backward`.

    See Also
    --------
    global_max_pool

    References
    ----------
    .. [1] M. Oquab, L. Bottou, I. Laptev, J. Sivic, "Is object localization for free? Weakly-supervised learning with
       convolutional neural networks", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[[1.0, 3.0], [2.0, 0.0]]]])
    >>> y, indices = cypool.global_max_pool(x, return_indices=True)
    >>> cypool.global_max_pool_backward(y, indices, x.shape)
    array([[[[0., 3.],
             [0., 0.]]]])
    """
    ndim = dimension("input_shape", len(arguments.shape("input_shape", input_shape)))
    return scatter(ndim, kept("grad_output", grad_output, ndim, data_format),
                   kept("indices", indices, ndim, data_format, arguments.INTEGERS), input_shape, data_format, out,
                   num_threads)


@public
def global_avg_pool(x: ArrayLike, *, keepdims: bool = True, data_format: Format = "channels_first",
                    nan_policy: NanPolicy = "propagate", dtype: DTypeLike | None = None, out: Array | None = None,
                    num_threads: int | None = None) -> Array:
    """The average of each channel.

    ``y[n, c] = sum over all positions i of x[n, c, i] / number of positions``. The sum is taken in chunks, which keeps
    its error far below that of adding one element after the other.

    Parameters
    ----------
    x : array_like, shape (N, C, ...) with one to three spatial axes
        Integers or floats.
    keepdims : bool
        Whether y keeps the spatial axes, each of length 1.
    data_format, nan_policy, dtype, out, num_threads
        As for :func:`cypool.avg_pool2d`.

    Returns
    -------
    y : ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.avg_pool2d`.

    See Also
    --------
    global_avg_pool_backward, global_max_pool

    References
    ----------
    .. [1] M. Lin, Q. Chen, S. Yan, "Network in network", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[[1.0, 3.0], [2.0, 0.0]], [[5.0, 4.0], [7.0, 6.0]]]])
    >>> cypool.global_avg_pool(x, keepdims=False)
    array([[1.5, 5.5]])
    """
    given: Any = x
    return add(given, dimension("x", given.ndim),                                      # type: ignore[no-any-return]
               *whole_window("x", given.shape, data_format), "valid", data_format, nan_policy, dtype,
               arguments.flag("keepdims", keepdims))


def global_avg_pool_backward(grad_output: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                             data_format: Format = "channels_first", out: Array | None = None,
                             num_threads: int | None = None) -> Array:
    """The gradient of :func:`global_avg_pool` with respect to its input: every element gets an equal part.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output, its spatial axes kept or dropped.
    input_shape : sequence of int
        The forward's input shape.
    data_format, out, num_threads
        As for :func:`cypool.avg_pool2d`.

    Returns
    -------
    grad_input : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.avg_pool2d_backward`.

    See Also
    --------
    global_avg_pool

    References
    ----------
    .. [1] M. Lin, Q. Chen, S. Yan, "Network in network", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.global_avg_pool_backward(np.array([[[[8.0]]]]), (1, 1, 2, 2))
    array([[[[2., 2.],
             [2., 2.]]]])
    """
    shape = arguments.shape("input_shape", input_shape)
    ndim = dimension("input_shape", len(shape))
    return spread(ndim, kept("grad_output", grad_output, ndim, data_format), shape,
                  fit(*whole_window("input_shape", shape, data_format)), "valid", data_format, out, num_threads)


# ---------------------------------------------------------------------------- bins

OutputSize = SupportsIndex | Sequence[SupportsIndex | None] | None


def fit_bins(output_size: Any) -> Fit:
    """So many bins along each axis; None keeps an axis as it is."""
    return lambda sizes: bins(sizes, arguments.output_size(output_size, sizes))


def choose_bins(x: Any, ndim: int, which: str, output_size: Any, data_format: Any, nan_policy: Any, form: Any) -> Any:
    """A call of adaptive max: see `windowed.choose_in`."""
    return choose_in(x, ndim, which, fit_bins(output_size), data_format, nan_policy, form)


def _adaptive_max_pool(ndim: int, x: ArrayLike, output_size: OutputSize, return_indices: bool = False, *,
                       data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate",
                       out: Array | None = None, num_threads: int | None = None) -> Any:
    """Max pooling to a given size: the largest element of each of ``output_size`` bins along each axis.

    Along an axis of `size` elements bin ``i`` goes from ``floor(i * size / output_size)`` to
    ``ceil((i + 1) * size / output_size)``, that element not counted. Bins share at most one element with the next if
    there are no more of them than elements; otherwise elements repeat.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Bool, integers or floats.
    output_size : int, None, or a sequence of these
        Bins along each axis, at least 0; None keeps the axis as it is.
    return_indices : bool
        Also return where in its plane each maximum was.
    data_format, nan_policy, out, num_threads
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
        As :func:`cypool.max_pool{n}d`.

    See Also
    --------
    adaptive_max_pool{n}d_backward, adaptive_avg_pool{n}d

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", 2014: the bins of one level of a pyramid.

    Examples
    --------
    {example}
    """
    return choose_bins(x, ndim, "max", output_size, data_format, nan_policy,
                       np.int64 if arguments.flag("return_indices", return_indices) else None)


def _adaptive_max_pool_backward(ndim: int, grad_output: ArrayLike, indices: ArrayLike,
                                input_shape: Sequence[SupportsIndex], *, data_format: Format = "channels_first",
                                out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`adaptive_max_pool{n}d` with respect to its input: each goes to the bin's maximum.

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
        Of grad_output's dtype. Where bins chose the same element their gradients are added.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d_backward`.

    See Also
    --------
    adaptive_max_pool{n}d

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", 2014.

    Examples
    --------
    {example}
    """
    return scatter(ndim, grad_output, indices, input_shape, data_format, out, num_threads)


def _adaptive_avg_pool(ndim: int, x: ArrayLike, output_size: OutputSize, *, data_format: Format = "channels_first",
                       nan_policy: NanPolicy = "propagate", dtype: DTypeLike | None = None, out: Array | None = None,
                       num_threads: int | None = None) -> Any:
    """Average pooling to a given size: the mean of each of ``output_size`` bins along each axis.

    Along an axis of `size` elements bin ``i`` goes from ``floor(i * size / output_size)`` to
    ``ceil((i + 1) * size / output_size)``, that element not counted; each is divided by its own number of elements.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Integers or floats.
    output_size : int, None, or a sequence of these
        Bins along each axis, at least 0; None keeps the axis as it is.
    data_format, nan_policy, dtype, out, num_threads
        As for :func:`cypool.avg_pool{n}d`.

    Returns
    -------
    y : ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.avg_pool{n}d`.

    See Also
    --------
    adaptive_avg_pool{n}d_backward, adaptive_max_pool{n}d, global_avg_pool

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", 2014: the bins of one level of a pyramid.

    Examples
    --------
    {example}
    """
    return add_in(x, ndim, fit_bins(output_size), "valid", data_format, nan_policy, dtype)


def _adaptive_avg_pool_backward(ndim: int, grad_output: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                                data_format: Format = "channels_first", out: Array | None = None,
                                num_threads: int | None = None) -> Array:
    """The gradient of :func:`adaptive_avg_pool{n}d` with respect to its input: each is shared by its bin's elements.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output; its spatial shape says how many bins there were.
    input_shape : sequence of int
        The forward's input shape.
    data_format, out, num_threads
        As for :func:`cypool.avg_pool{n}d`.

    Returns
    -------
    grad_input : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.avg_pool{n}d_backward`.

    See Also
    --------
    adaptive_avg_pool{n}d

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", 2014.

    Examples
    --------
    {example}
    """
    grad = arguments.array("grad_output", grad_output)
    last = arguments.channels_last(data_format, ndim)
    shape = arguments.batched_shape("grad_output", grad.shape, ndim)
    outputs = shape[1:-1] if last else shape[2:]
    return spread(ndim, grad, input_shape, lambda sizes: bins(sizes, outputs), "valid", data_format, out, num_threads)


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = dimensions(_adaptive_max_pool, remembered, (
    """
    >>> import numpy as np
    >>> import cypool
    >>> cypool.adaptive_max_pool1d(np.array([[[1.0, 5.0, 2.0, 3.0, 4.0]]]), 3)
    array([[[5., 5., 4.]]])
    """, """
    >>> import numpy as np
    >>> import cypool
    >>> y, indices = cypool.adaptive_max_pool2d(np.arange(15.0).reshape(1, 1, 3, 5), (1, 2), return_indices=True)
    >>> y, indices
    (array([[[[12., 14.]]]]), array([[[[12, 14]]]]))
    """, """
    >>> import numpy as np
    >>> import cypool
    >>> cypool.adaptive_max_pool3d(np.arange(27.0).reshape(1, 1, 3, 3, 3), (1, None, 1))
    array([[[[[20.],
              [23.],
              [26.]]]]])
    """))

adaptive_max_pool1d_backward, adaptive_max_pool2d_backward, adaptive_max_pool3d_backward = dimensions(
    _adaptive_max_pool_backward, plain, (
        """
    >>> import numpy as np
    >>> import cypool
    >>> y, indices = cypool.adaptive_max_pool1d(np.array([[[1.0, 5.0, 2.0, 3.0, 4.0]]]), 3, return_indices=True)
    >>> cypool.adaptive_max_pool1d_backward(np.ones_like(y), indices, (1, 1, 5))
    array([[[0., 2., 0., 0., 1.]]])
    """, """
    >>> import numpy as np
    >>> import cypool
    >>> y, indices = cypool.adaptive_max_pool2d(np.arange(6.0).reshape(1, 1, 2, 3), (1, 2), return_indices=True)
    >>> cypool.adaptive_max_pool2d_backward(np.ones_like(y), indices, (1, 1, 2, 3))
    array([[[[0., 0., 0.],
             [0., 1., 1.]]]])
    """, """
    >>> import numpy as np
    >>> import cypool
    >>> y, indices = cypool.adaptive_max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 1, return_indices=True)
    >>> cypool.adaptive_max_pool3d_backward(y, indices, (1, 1, 2, 2, 2)).ravel()
    array([0., 0., 0., 0., 0., 0., 0., 7.])
    """))

adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = dimensions(_adaptive_avg_pool, remembered, (
    """
    >>> import numpy as np
    >>> import cypool
    >>> cypool.adaptive_avg_pool1d(np.array([[[1.0, 5.0, 2.0, 3.0, 4.0]]]), 2)
    array([[[2.66666667, 3.        ]]])
    """, """
    >>> import numpy as np
    >>> import cypool
    >>> cypool.adaptive_avg_pool2d(np.arange(15.0).reshape(1, 1, 3, 5), (None, 1))
    array([[[[ 2.],
             [ 7.],
             [12.]]]])
    """, """
    >>> import numpy as np
    >>> import cypool
    >>> cypool.adaptive_avg_pool3d(np.arange(27.0).reshape(1, 1, 3, 3, 3), 1)
    array([[[[[13.]]]]])
    """))

adaptive_avg_pool1d_backward, adaptive_avg_pool2d_backward, adaptive_avg_pool3d_backward = dimensions(
    _adaptive_avg_pool_backward, plain, (
        """
    >>> import numpy as np
    >>> import cypool
    >>> cypool.adaptive_avg_pool1d_backward(np.ones((1, 1, 3)), (1, 1, 5))
    array([[[0.5       , 0.83333333, 0.33333333, 0.83333333, 0.5       ]]])
    """, """
    >>> import numpy as np
    >>> import cypool
    >>> cypool.adaptive_avg_pool2d_backward(np.array([[[[4.0, 8.0]]]]), (1, 1, 1, 4))
    array([[[[2., 2., 4., 4.]]]])
    """, """
    >>> import numpy as np
    >>> import cypool
    >>> cypool.adaptive_avg_pool3d_backward(np.full((1, 1, 1, 1, 1), 8.0), (1, 1, 2, 2, 2)).ravel()
    array([1., 1., 1., 1., 1., 1., 1., 1.])
    """))
