"""Ranks: the median, any other rank, and the most frequent label of sliding windows. Forward only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsIndex

from numpy.typing import ArrayLike

from cypool import arguments
from cypool.dimensions import dimensions, remembered
from cypool.ranking import Ranking
from cypool.windowed import Array, Call, Format, IntOrInts, NanPolicy, Padding, fit, result_shape
from cypool.windows import Windows

#: From the windows, ``(rank, of)`` as `Ranking` wants it.
Rank = Callable[[Windows], tuple[int, int]]


def find(x: Any, ndim: int, rank: Rank | None, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
         ceil_mode: Any, data_format: Any, nan_policy: Any = "propagate", ignore_label: Any = None) -> Any:
    """A call made ready; without a rank, of the mode."""
    arguments.check_dtype("x", x.dtype, arguments.ORDERED if rank else arguments.LABELS)
    policy = arguments.nan_policy(nan_policy, x.dtype)
    ignored = arguments.label("ignore_label", ignore_label, x.dtype)
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched_shape("x", x.shape, ndim)
    windows = fit(kernel_size, stride, padding, dilation, ceil_mode)(arguments.spatial("x", batch, last))
    full, shape = result_shape(x.shape, batch, windows.shape, last, True)
    ranking = Ranking(batch, x.dtype, full, windows, rank and rank(windows), last, policy == "omit", ignored)
    return Call(ranking, windows, batch, full, shape, arguments.native(x.dtype), None, policy == "raise")


def _median_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
                 dilation: IntOrInts = 1, ceil_mode: bool = False, *, data_format: Format = "channels_first",
                 nan_policy: NanPolicy = "propagate", out: Array | None = None,
                 num_threads: int | None = None) -> Array:
    """Median pooling over {n}D windows.

    ``y[n, c, i] = sorted(x[n, c, i * stride - padding + j * dilation] for all taps j)[(m - 1) // 2]``, where m taps lie
    in the input: padding is never one of them. Of an even number of taps it is the lower one of the middle two, so
    every result is an element of x.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Bool, integers or floats, any strides and byte order. Never modified, never copied as a whole.
    kernel_size, stride, padding, dilation, ceil_mode
        As for :func:`max_pool{n}d`.
    data_format, nan_policy, out, num_threads
        As for :func:`max_pool{n}d`: NaN in a window makes its median NaN, is left out, or is an error.

    Returns
    -------
    y : ndarray
        Of x's dtype. Which zero is returned where 0.0 and -0.0 are equal is not specified.

    Raises
    ------
    TypeError, ValueError
        As :func:`max_pool{n}d`.

    See Also
    --------
    rank_pool{n}d, mode_pool{n}d

    References
    ----------
    .. [1] J. W. Tukey, "Exploratory Data Analysis", 1977 (running medians).
    .. [2] T. S. Huang, G. J. Yang, G. Y. Tang, "A fast two-dimensional median filtering algorithm", 1979.
    .. [3] A. Adams, "Fast median filters using separable sorting networks", 2021.

    Examples
    --------
    {example}
    """
    return find(x, ndim, lambda windows: (1, 2), kernel_size, stride,                  # type: ignore[no-any-return]
                padding, dilation, ceil_mode, data_format, nan_policy)


def _rank_pool(ndim: int, x: ArrayLike, rank: SupportsIndex, kernel_size: IntOrInts, stride: IntOrInts | None = None,
               padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False, *,
               data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate", out: Array | None = None,
               num_threads: int | None = None) -> Array:
    """Rank pooling over {n}D windows: the element at one place of each sorted window.

    ``y[n, c, i] = sorted(x[n, c, i * stride - padding + j * dilation] for all taps j)[r]``, with ``r = rank`` where all
    K taps of the window lie in the input. Padding is never one of them: at the border, and where NaN is left out,
    there are fewer, m, and then ``r = floor(rank * (m - 1) / (K - 1))``. So the smallest stays the smallest, the
    largest the largest, and with odd K the middle one the lower middle one.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Bool, integers or floats, any strides and byte order. Never modified, never copied as a whole.
    rank : int
        From 0, the smallest, to K - 1, the largest; or from -K to -1, which is the largest, as an index.
    kernel_size, stride, padding, dilation, ceil_mode
        As for :func:`max_pool{n}d`.
    data_format, nan_policy, out, num_threads
        As for :func:`max_pool{n}d`: NaN in a window makes its result NaN, is left out, or is an error.

    Returns
    -------
    y : ndarray
        Of x's dtype. Which zero is returned where 0.0 and -0.0 are equal is not specified.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If rank is not that of a tap, or as :func:`max_pool{n}d`.

    See Also
    --------
    median_pool{n}d, min_pool{n}d, max_pool{n}d

    References
    ----------
    .. [1] G. Heygster, "Rank filters in digital image processing", 1982.

    Examples
    --------
    {example}
    """
    def place(windows: Windows) -> tuple[int, int]:
        return arguments.rank(rank, windows.taps), max(1, windows.taps - 1)

    return find(x, ndim, place, kernel_size, stride, padding, dilation, ceil_mode,     # type: ignore[no-any-return]
                data_format, nan_policy)


def _mode_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
               dilation: IntOrInts = 1, ceil_mode: bool = False, *, ignore_label: SupportsIndex | None = None,
               data_format: Format = "channels_first", out: Array | None = None,
               num_threads: int | None = None) -> Array:
    """Mode pooling over {n}D windows: the most frequent label of each.

    ``y[n, c, i]`` is the value that most of the taps ``x[n, c, i * stride - padding + j * dilation]`` have, and the
    smallest of those that are as frequent. Padding is never a tap.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Bool or integers, any strides and byte order. Never modified, never copied as a whole.
    kernel_size, stride, padding, dilation, ceil_mode
        As for :func:`max_pool{n}d`.
    ignore_label : int, optional
        Taps with this label are not counted; a window with no other gives it back. A value that x's dtype can hold.
    data_format, out, num_threads
        As for :func:`max_pool{n}d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind; floats are no labels.
    ValueError
        If x's dtype cannot hold ignore_label, or as :func:`max_pool{n}d`.

    See Also
    --------
    median_pool{n}d, max_pool{n}d

    References
    ----------
    .. [1] E. R. Davies, "On the noise suppression and image enhancement characteristics of the median, truncated median
       and mode filters", 1988.

    Examples
    --------
    {example}
    """
    return find(x, ndim, None, kernel_size, stride, padding, dilation, ceil_mode,      # type: ignore[no-any-return]
                data_format, ignore_label=ignore_label)


# ---------------------------------------------------------------------------- 1D, 2D, 3D

median_pool1d, median_pool2d, median_pool3d = dimensions(_median_pool, remembered, ("""
    >>> import numpy as np, cypool
    >>> cypool.median_pool1d(np.array([[2, 80, 6, 3]]), 3, stride=1, padding=1)
    array([[2, 6, 6, 3]])
    """, """
    >>> import numpy as np, cypool
    >>> x = np.array([[1, 3, 2], [4, 90, 5], [7, 8, 6]])[None]
    >>> cypool.median_pool2d(x, 3)
    array([[[5]]])
    """, """
    >>> import numpy as np, cypool
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> cypool.median_pool3d(x, 2)
    array([[[[3.]]]])
    """))

rank_pool1d, rank_pool2d, rank_pool3d = dimensions(_rank_pool, remembered, ("""
    >>> import numpy as np, cypool
    >>> cypool.rank_pool1d(np.array([[2, 80, 6, 3]]), 1, 4)
    array([[3]])
    """, """
    >>> import numpy as np, cypool
    >>> x = np.array([[1, 3, 2], [4, 90, 5], [7, 8, 6]])[None]
    >>> cypool.rank_pool2d(x, -2, 3)
    array([[[8]]])
    """, """
    >>> import numpy as np, cypool
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> cypool.rank_pool3d(x, 6, 2)
    array([[[[6.]]]])
    """))

mode_pool1d, mode_pool2d, mode_pool3d = dimensions(_mode_pool, remembered, ("""
    >>> import numpy as np, cypool
    >>> cypool.mode_pool1d(np.array([[7, 7, 2, 4, 3, 3]]), 3)
    array([[7, 3]])
    """, """
    >>> import numpy as np, cypool
    >>> x = np.array([[0, 0, 5, 5], [0, 9, 5, 2]], np.uint8)[None]
    >>> cypool.mode_pool2d(x, 2, ignore_label=0)
    array([[[9, 5]]], dtype=uint8)
    """, """
    >>> import numpy as np, cypool
    >>> x = np.array([3, 1, 1, 3, 1, 3, 4, 2]).reshape(1, 2, 2, 2)
    >>> cypool.mode_pool3d(x, 2)
    array([[[[1]]]])
    """))
