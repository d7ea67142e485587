"""Global pooling: one number for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cypool import arguments
from cypool.dimensions import public
from cypool.windowed import Array, Format, NanPolicy, add, choose, scatter, spread


def dimension(name: str, ndim: int) -> int:
    if not 3 <= ndim <= 5:
        raise ValueError(f"{name} must have a batch axis, a channel axis and one to three spatial axes, "
                         f"got {ndim} axes")
    return ndim - 2


def whole_window(name: str, shape: tuple[int, ...], data_format: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The window that is the whole plane, as arguments of `windowed`."""
    return arguments.spatial(name, shape, arguments.channels_last(data_format)), None, 0, 1, False


def kept(name: str, y: Any, ndim: int, data_format: Any, allowed: Sequence[str] = arguments.FLOATS) -> Array:
    """y with its spatial axes of length 1, which the caller may have dropped."""
    array = arguments.array(name, y)
    arguments.check_dtype(name, array.dtype, allowed)
    last = arguments.channels_last(data_format)
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
                  whole_window("input_shape", shape, data_format), "valid", data_format, out, num_threads)
