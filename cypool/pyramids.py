"""Pyramids: poolings of several sizes over the same input, one beside the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import adaptive, arguments, windowed
from cypool.adaptive import dimension
from cypool.calls import cast
from cypool.pieces import real_of
from cypool.windowed import Array, Format


def checked_levels(levels: Any, ndim: int) -> list[tuple[int, ...]]:
    """The bins of each level along every axis."""
    if not isinstance(levels, arguments.NESTED) or isinstance(levels, np.ndarray) and levels.ndim == 0:
        raise TypeError(f"levels must be a sequence of bins per axis, got {arguments.show(levels)}")
    if len(levels) == 0:
        raise ValueError(f"levels must hold at least one level, got {arguments.show(levels)}")
    return [arguments.per_axis("levels", level, ndim, 1) for level in levels]


def checked_mode(mode: Any) -> str:
    if not isinstance(mode, str) or mode not in ("max", "avg"):
        kind = ValueError if isinstance(mode, str) else TypeError
        raise kind(f"mode must be 'max' or 'avg', got {arguments.show(mode)}")
    return str(mode)


@dataclass
class Pyramid:
    """A call's array and levels, checked."""

    x: Array
    ndim: int
    which: str
    levels: list[tuple[int, ...]]
    last: bool

    @property
    def channels(self) -> int:
        return int(self.x.shape[-1 if self.last else 1])

    @property
    def shape(self) -> tuple[int, ...]:
        """The result's."""
        return arguments.shape("levels", (self.x.shape[0], self.channels * sum(map(math.prod, self.levels))))


def pyramid(x: Any, levels: Any, mode: Any, data_format: Any) -> Pyramid:
    given = arguments.array("x", x)
    ndim = dimension("x", given.ndim)
    which, bins, last = checked_mode(mode), checked_levels(levels, ndim), arguments.channels_last(data_format, ndim)
    arguments.check_dtype("x", given.dtype, arguments.ORDERED if which == "max" else arguments.NUMBERS)
    return Pyramid(given, ndim, which, bins, last)


def level_parts(y: Array, p: Pyramid) -> Iterator[Array]:
    """A view of each level's part of y, shaped as adaptive pooling shapes it."""
    begin = 0
    for bins in p.levels:
        size = p.channels * math.prod(bins)
        part = y[:, begin:begin + size].reshape(y.shape[0], p.channels, *bins)
        yield np.moveaxis(part, 1, -1) if p.last else part
        begin += size


def spatial_pyramid_pool(x: ArrayLike, levels: Sequence[Any] = (1, 2, 4), *, mode: Literal["max", "avg"] = "max",
                         data_format: Format = "channels_first", out: Array | None = None,
                         num_threads: int | None = None) -> Array:
    """Spatial pyramid pooling: a fixed number of features from input of any size.

    Each level pools to so many bins along every axis, as :func:`cypool.adaptive_max_pool2d` does; y holds the levels in
    the order given, each flattened as (C, bins). In one dimension this is temporal pyramid pooling.

    Parameters
    ----------
    x : array_like, shape (N, C, ...) with one to three spatial axes
        Numbers; bool as well for ``mode="max"``.
    levels : sequence of int, or of one int per axis each
        Bins along each axis.
    mode : {"max", "avg"}
    data_format, out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    y : ndarray of shape (N, C * bins of all levels)
        Of x's dtype; averages of integers are float64.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.adaptive_max_pool2d`.

    See Also
    --------
    spatial_pyramid_pool_backward, adaptive_max_pool2d, sppf

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> cypool.spatial_pyramid_pool(x, (1, 2))
    array([[15.,  5.,  7., 13., 15.]])
    """
    p = pyramid(x, levels, mode, data_format)
    dtype = arguments.native(p.x.dtype)
    if p.which == "avg" and dtype.kind in "iu":
        dtype = np.dtype(np.float64)
    y = arguments.out_array(out, p.shape, dtype, p.x)
    if y.size == 0:
        return y
    for level, part in zip(p.levels, level_parts(y, p), strict=True):
        made = (adaptive.choose_bins(p.x, p.ndim, "max", level, data_format, "propagate", None) if p.which == "max" else
                windowed.add_in(p.x, p.ndim, adaptive.fit_bins(level), "valid", data_format, "propagate", None))
        made(p.x, part, num_threads)
    return y


def spatial_pyramid_pool_backward(grad_output: ArrayLike, x: ArrayLike, levels: Sequence[Any] = (1, 2, 4), *,
                                  mode: Literal["max", "avg"] = "max", data_format: Format = "channels_first",
                                  out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`spatial_pyramid_pool` with respect to its input: the sum over the levels.

    Parameters
    ----------
    grad_output : array_like of float, shape (N, C * bins of all levels)
        The gradient of the forward's output.
    x : array_like
        The forward's input.
    levels, mode, data_format
        The forward's.
    out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.spatial_pyramid_pool`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    spatial_pyramid_pool

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> cypool.spatial_pyramid_pool_backward(np.ones((1, 5)), x, (1, 2))
    array([[[[1., 1.],
             [1., 2.]]]])
    """
    grad, p = arguments.array("grad_output", grad_output), pyramid(x, levels, mode, data_format)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    if grad.shape != p.shape:
        raise ValueError(f"grad_output must have the shape of the forward's output {p.shape}, got {grad.shape}")
    result = arguments.out_array(out, p.x.shape, arguments.native(grad.dtype), grad, p.x)
    total: Array | None = None
    for level, part in zip(p.levels, level_parts(grad, p), strict=True):
        part = part.astype(real_of(grad))
        if p.which == "max":
            call = adaptive.choose_bins(p.x, p.ndim, "max", level, data_format, "propagate", np.uint8)
            made = windowed.scatter(p.ndim, part, call(p.x, None, num_threads)[1], p.x.shape, data_format, None,
                                    num_threads, call.counted_in)
        else:
            made = windowed.spread(p.ndim, part, p.x.shape, adaptive.fit_bins(level), "valid", data_format, None,
                                   num_threads)
        total = made if total is None else np.add(total, made, out=total)
    result[...] = cast(np.asarray(total), result.dtype)
    return result


def kept_window(kernel_size: Any, repeats: Any, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """The kernel and padding of maxima that keep the size, and how often they are taken."""
    kernel = arguments.per_axis("kernel_size", kernel_size, ndim, 1)
    if any(k % 2 == 0 for k in kernel):
        raise ValueError(f"kernel_size must be odd, so that the size is kept, got {arguments.show(kernel_size)}")
    return kernel, tuple(k // 2 for k in kernel), arguments.integer("repeats", repeats, 0)


def sppf(x: ArrayLike, kernel_size: SupportsIndex | Sequence[SupportsIndex] = 5, repeats: SupportsIndex = 3, *,
         data_format: Format = "channels_first", out: Array | None = None, num_threads: int | None = None) -> Array:
    """Spatial pyramid pooling as in YOLO: x and its repeated maxima, one after the other along the channels.

    ``y = [x, m(x), m(m(x)), ...]`` with m the max pooling at stride 1 that keeps the size; 5 taps three times are the
    windows of 5, 9 and 13 taps.

    Parameters
    ----------
    x : array_like, shape (N, C, ...) with one to three spatial axes
        Bool, integers or floats.
    kernel_size : int, or one int per axis
        Odd.
    repeats : int
        At least 0.
    data_format, out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    y : ndarray
        Shaped like x, with ``repeats + 1`` times the channels; of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool2d`; ValueError for an even kernel.

    See Also
    --------
    sppf_backward, max_pool2d, spatial_pyramid_pool

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.sppf(np.array([[[9.0, 0.0, 0.0, 0.0]]]), 3, 2)
    array([[[9., 0., 0., 0.],
            [9., 9., 0., 0.],
            [9., 9., 9., 0.]]])
    """
    given = arguments.array("x", x)
    ndim = dimension("x", given.ndim)
    arguments.check_dtype("x", given.dtype, arguments.ORDERED)
    last = arguments.channels_last(data_format, ndim)
    kernel, padding, count = kept_window(kernel_size, repeats, ndim)
    arguments.spatial("x", given.shape, last)
    shape, channels = list(given.shape), given.shape[-1 if last else 1]
    shape[-1 if last else 1] *= count + 1
    arguments.shape("repeats", shape)
    y = arguments.out_array(out, tuple(shape), arguments.native(given.dtype), given)
    if y.size == 0:
        return y
    parts = [y[..., i * channels:(i + 1) * channels] if last else y[:, i * channels:(i + 1) * channels]
             for i in range(count + 1)]
    parts[0][...] = given
    for before, after in zip(parts, parts[1:], strict=False):
        windowed.choose(before, ndim, "max", kernel, 1, padding, 1, False, data_format, "propagate", None)(
            before, after, num_threads)
    return y


def sppf_backward(grad_output: ArrayLike, x: ArrayLike, kernel_size: SupportsIndex | Sequence[SupportsIndex] = 5,
                  repeats: SupportsIndex = 3, *, data_format: Format = "channels_first", out: Array | None = None,
                  num_threads: int | None = None) -> Array:
    """The gradient of :func:`sppf` with respect to its input: back through the maxima, one after the other.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like
        The forward's input.
    kernel_size, repeats, data_format
        The forward's.
    out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.sppf`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    sppf

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
       recognition", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.sppf_backward(np.ones((1, 2, 4)), np.array([[[9.0, 0.0, 1.0, 0.0]]]), 3, 1)
    array([[[3., 1., 3., 1.]]])
    """
    given, grad = arguments.array("x", x), arguments.array("grad_output", grad_output)
    ndim = dimension("x", given.ndim)
    arguments.check_dtype("x", given.dtype, arguments.ORDERED)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    last = arguments.channels_last(data_format, ndim)
    kernel, padding, count = kept_window(kernel_size, repeats, ndim)
    shape, channels = list(given.shape), given.shape[-1 if last else 1]
    shape[-1 if last else 1] *= count + 1
    if grad.shape != tuple(shape):
        raise ValueError(f"grad_output must have the shape of the forward's output {tuple(shape)}, got {grad.shape}")
    result = arguments.out_array(out, given.shape, arguments.native(grad.dtype), grad, given)
    real = real_of(grad)
    if result.size == 0:
        return result
    chosen = []
    for _ in range(count):
        call = windowed.choose(given, ndim, "max", kernel, 1, padding, 1, False, data_format, "propagate", np.uint8)
        given, index = call(given, None, num_threads)
        chosen.append((index, call.counted_in))

    def part(i: int) -> Array:
        at = slice(i * channels, (i + 1) * channels)
        return (grad[..., at] if last else grad[:, at]).astype(real)

    back = part(count)
    for i in reversed(range(count)):
        index, windows = chosen[i]
        back = windowed.scatter(ndim, back, index, given.shape, data_format, None, num_threads, windows) + part(i)
    result[...] = cast(back, result.dtype)
    return result
