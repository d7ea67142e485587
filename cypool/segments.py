"""Segments: sums, means, maxima and minima of rows that belong together, such as the nodes of each graph of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments
from cypool.irregular import Result, add_chosen, examine, reduce_all, reduce_segments, take_rows
from cypool.pieces import PIECE
from cypool.windowed import Array


def _ids(value: Any, rows: int | None) -> Array:
    """One id for each row, as they are."""
    ids = arguments.integers("segment_ids", value)
    if ids.ndim != 1 or rows is not None and ids.size != rows:
        raise ValueError(f"segment_ids must have shape ({'rows' if rows is None else rows},), one id for each row, "
                         f"got shape {ids.shape}")
    return ids


def _refuse(ids: Array, segments: int, name: str) -> None:
    """Say which id is wrong."""
    wrong = ids[(ids < 0) | (ids >= segments)][0]
    raise ValueError(f"segment_ids must be at least 0 and less than {name} {segments}, got {wrong}")


def _check(ids: Array, segments: int, name: str, threads: int | None) -> None:
    if ids.size:
        least, most, _, _ = examine(ids, None, threads)
        if least < 0 or most >= segments:
            _refuse(ids, segments, name)


def _count(num_segments: Any, ids: Array, threads: int | None) -> int:
    """How many segments there are."""
    if num_segments is not None:
        return arguments.integer("num_segments", num_segments, 0)
    if ids.size == 0:
        return 0
    least, most, _, _ = examine(ids, None, threads)
    if least < 0 or most >= arguments.LARGEST:
        _refuse(ids, arguments.LARGEST, "the largest size of an axis")
    return most + 1


def _segments(kind: str, x: Any, segment_ids: Any, num_segments: Any, empty: Any, indices: bool, out: Any,
              num_threads: Any) -> tuple[Array, Array | None]:
    """A reduction of every segment's rows."""
    given = arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.ORDERED if kind in ("max", "min") else arguments.NUMBERS)
    if given.ndim == 0:
        raise ValueError("x must have an axis of rows, got a single number")
    threads, ids = arguments.threads(num_threads), _ids(segment_ids, given.shape[0])
    segments = _count(num_segments, ids, threads)
    dtype = arguments.reduced_dtype(kind, given.dtype)
    fill = arguments.fill("empty", empty, dtype)
    y = arguments.out_array(out, arguments.shape("the result", (segments, *given.shape[1:])), dtype, given, ids)
    index = np.empty(y.shape, np.int64) if indices else None
    count = np.empty(segments, np.int64) if kind == "mean" else None
    if y.size == 0 or given.size == 0:
        _check(ids, segments, "num_segments", threads)
        y[...] = fill
        if index is not None:
            index[...] = -1
        return y, index

    def reduce(part: Array, which: str, made: Array, places: Array | None, counted: Array | None,
               nothing: float) -> None:
        if not reduce_segments(part, ids, which, made, places, counted, nothing, threads):
            _refuse(ids, segments, "num_segments")

    reduce_all(reduce, kind, given[None], y, index, count, fill)
    return y, index


def segment_sum(x: ArrayLike, segment_ids: ArrayLike, num_segments: SupportsIndex | None = None, *,
                out: Array | None = None, num_threads: int | None = None) -> Array:
    """The sum of the rows of each segment.

    ``y[s] = sum of x[t] over all t with segment_ids[t] == s``. float16, bfloat16 and float32 are added up in float64,
    in the order of the rows, and rounded once.

    Parameters
    ----------
    x : array_like, shape (T, ...)
        Rows of integers or floats, any strides and byte order.
    segment_ids : array_like of int, shape (T,)
        The segment of each row, at least 0, in any order; rising ones are faster on several threads.
    num_segments : int, optional
        How many segments there are; by default one more than the largest id.
    out : ndarray, optional
        Where to put y: of its shape and dtype, not overlapping x.
    num_threads : int, optional
        See :func:`cypool.set_num_threads`. The result does not depend on it.

    Returns
    -------
    y : ndarray, shape (num_segments, ...)
        Of x's dtype; of integers int64 or uint64, modulo 2**64 as `numpy.sum`. A segment without rows gives 0.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an id is negative, or not less than num_segments; if there is not one id for each row.

    See Also
    --------
    segment_sum_backward, segment_mean, segment_max

    References
    ----------
    .. [1] M. Fey, J. E. Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    >>> cypool.segment_sum(x, [0, 2, 0], 4)
    array([[ 4., 40.],
           [ 0.,  0.],
           [ 2., 20.],
           [ 0.,  0.]])
    """
    return _segments("sum", x, segment_ids, num_segments, 0, False, out, num_threads)[0]


def segment_mean(x: ArrayLike, segment_ids: ArrayLike, num_segments: SupportsIndex | None = None, *, empty: float = 0,
                 out: Array | None = None, num_threads: int | None = None) -> Array:
    """The mean of the rows of each segment.

    ``y[s] = sum of x[t] over all t with segment_ids[t] == s / number of these``.

    Parameters
    ----------
    x, segment_ids, num_segments
        As for :func:`segment_sum`.
    empty : float
        The value of segments without rows.
    out, num_threads
        As for :func:`segment_sum`.

    Returns
    -------
    y : ndarray, shape (num_segments, ...)
        Of x's dtype; of integers float64, the exact mean rounded once.

    Raises
    ------
    TypeError, ValueError
        As :func:`segment_sum`.

    See Also
    --------
    segment_mean_backward, segment_sum

    References
    ----------
    .. [1] M. Fey, J. E. Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    >>> cypool.segment_mean(x, [0, 2, 0], empty=np.nan)
    array([[ 2., 20.],
           [nan, nan],
           [ 2., 20.]])
    """
    return _segments("mean", x, segment_ids, num_segments, empty, False, out, num_threads)[0]


def segment_max(x: ArrayLike, segment_ids: ArrayLike, num_segments: SupportsIndex | None = None,
                return_indices: bool = False, *, empty: float = 0, out: Array | None = None,
                num_threads: int | None = None) -> Any:
    """The largest element of each segment, feature by feature.

    ``y[s, f] = max of x[t, f] over all t with segment_ids[t] == s``.

    Parameters
    ----------
    x : array_like, shape (T, ...)
        Rows of bool, integers or floats.
    segment_ids, num_segments
        As for :func:`segment_sum`.
    return_indices : bool
        Also return the row of each maximum.
    empty : float
        The value of segments without rows.
    out, num_threads
        As for :func:`segment_sum`.

    Returns
    -------
    y : ndarray, shape (num_segments, ...)
        Of x's dtype.
    indices : ndarray of int64, only with `return_indices`
        Rows of x, -1 in segments without rows. Of equal elements the first is chosen, of several NaN the last.

    Raises
    ------
    TypeError, ValueError
        As :func:`segment_sum`.

    See Also
    --------
    segment_max_backward, segment_min

    References
    ----------
    .. [1] M. Fey, J. E. Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[1.0, 90.0], [2.0, 20.0], [3.0, 30.0]])
    >>> y, indices = cypool.segment_max(x, [0, 1, 0], return_indices=True)
    >>> y
    array([[ 3., 90.],
           [ 2., 20.]])
    >>> indices
    array([[2, 0],
           [1, 1]])
    """
    wanted = arguments.flag("return_indices", return_indices)
    y, index = _segments("max", x, segment_ids, num_segments, empty, wanted, out, num_threads)
    return (y, index) if wanted else y


def segment_min(x: ArrayLike, segment_ids: ArrayLike, num_segments: SupportsIndex | None = None,
                return_indices: bool = False, *, empty: float = 0, out: Array | None = None,
                num_threads: int | None = None) -> Any:
    """The smallest element of each segment, feature by feature: as :func:`segment_max`.

    ``y[s, f] = min of x[t, f] over all t with segment_ids[t] == s``.

    Parameters
    ----------
    x, segment_ids, num_segments, return_indices, empty, out, num_threads
        As for :func:`segment_max`.

    Returns
    -------
    y : ndarray, shape (num_segments, ...)
        Of x's dtype.
    indices : ndarray of int64, only with `return_indices`

    Raises
    ------
    TypeError, ValueError
        As :func:`segment_sum`.

    See Also
    --------
    segment_min_backward, segment_max

    References
    ----------
    .. [1] M. Fey, J. E. Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[1.0, 90.0], [2.0, 20.0], [3.0, 30.0]])
    >>> cypool.segment_min(x, [0, 1, 0])
    array([[ 1., 30.],
           [ 2., 20.]])
    """
    wanted = arguments.flag("return_indices", return_indices)
    y, index = _segments("min", x, segment_ids, num_segments, empty, wanted, out, num_threads)
    return (y, index) if wanted else y


# ---------------------------------------------------------------------------- gradients

def _gather(grad_output: Any, segment_ids: Any, mean: bool, out: Any, num_threads: Any) -> Array:
    """Each row's gradient is its segment's."""
    grad = arguments.array("grad_output", grad_output)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    if grad.ndim == 0:
        raise ValueError("grad_output must have an axis of segments, got a single number")
    threads, ids = arguments.threads(num_threads), _ids(segment_ids, None)
    dtype = arguments.native(grad.dtype)
    result = arguments.out_array(out, (ids.size, *grad.shape[1:]), dtype, grad, ids)
    _check(ids, len(grad), "the segments of grad_output", threads)
    if result.size == 0:
        return result
    rows = np.ascontiguousarray(grad, dtype)                    # of segments: far fewer than rows
    if mean:
        count = np.maximum(np.bincount(ids.astype(np.int64, copy=False), minlength=len(grad)), 1)
        shared, step = np.empty_like(rows), max(1, PIECE // max(1, rows[:1].size))
        with np.errstate(all="ignore"):
            for i in range(0, len(rows), step):
                by = count[i : i + step].reshape(-1, *(1,) * (grad.ndim - 1))
                shared[i : i + step] = rows[i : i + step] / by
        rows = shared
    to = Result(result, dtype)
    take_rows(rows.reshape(len(grad), -1), ids, to.made.reshape(ids.size, -1), threads)
    to.done()
    return result


def segment_sum_backward(grad_output: ArrayLike, segment_ids: ArrayLike, *, out: Array | None = None,
                         num_threads: int | None = None) -> Array:
    """The gradient of :func:`segment_sum` with respect to its rows: ``grad_x[t] = grad_output[segment_ids[t]]``.

    Parameters
    ----------
    grad_output : array_like of float, shape (num_segments, ...)
        The gradient of the forward's output.
    segment_ids : array_like of int, shape (T,)
        The forward's. Every one is checked.
    out, num_threads
        As for :func:`segment_sum`.

    Returns
    -------
    grad_x : ndarray, shape (T, ...)
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`segment_sum`.

    See Also
    --------
    segment_sum

    References
    ----------
    .. [1] M. Fey, J. E. Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.segment_sum_backward(np.array([5.0, 7.0]), [0, 1, 0])
    array([5., 7., 5.])
    """
    return _gather(grad_output, segment_ids, False, out, num_threads)


def segment_mean_backward(grad_output: ArrayLike, segment_ids: ArrayLike, *, out: Array | None = None,
                          num_threads: int | None = None) -> Array:
    """The gradient of :func:`segment_mean` with respect to its rows: an equal part for each.

    ``grad_x[t] = grad_output[s] / number of rows of s``, with ``s = segment_ids[t]``.

    Parameters
    ----------
    grad_output, segment_ids, out, num_threads
        As for :func:`segment_sum_backward`.

    Returns
    -------
    grad_x : ndarray, shape (T, ...)
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`segment_sum`.

    See Also
    --------
    segment_mean

    References
    ----------
    .. [1] M. Fey, J. E. Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.segment_mean_backward(np.array([5.0, 7.0]), [0, 1, 0])
    array([2.5, 7. , 2.5])
    """
    return _gather(grad_output, segment_ids, True, out, num_threads)


def segment_max_backward(grad_output: ArrayLike, indices: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                         out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`segment_max` with respect to its rows: each goes to the element that was chosen.

    Parameters
    ----------
    grad_output : array_like of float, shape (num_segments, ...)
        The gradient of the forward's output.
    indices : array_like of int, shaped like grad_output
        The forward's; -1 brings nothing. Every one is checked.
    input_shape : sequence of int
        The forward's input shape.
    out, num_threads
        As for :func:`segment_sum`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype. Where one element was chosen several times its gradients are added, in the order of the
        segments.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool2d_backward`.

    See Also
    --------
    segment_max

    References
    ----------
    .. [1] M. Fey, J. E. Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.segment_max_backward(np.array([5.0, 7.0, 9.0]), [2, 0, -1], (3,))
    array([7., 0., 5.])
    """
    grad = arguments.array("grad_output", grad_output)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    if grad.ndim == 0:
        raise ValueError("grad_output must have an axis of segments, got a single number")
    shape = arguments.shape("input_shape", input_shape, grad.ndim)
    if shape[1:] != grad.shape[1:]:
        raise ValueError(f"input_shape must have the features of grad_output {grad.shape[1:]}, got {shape}")
    index = arguments.chosen(indices, grad.shape)
    threads = arguments.threads(num_threads)
    result = arguments.out_array(out, shape, arguments.native(grad.dtype), grad, index)
    to = Result(result, result.dtype)
    made, features = to.made, max(1, grad[:1].size)
    if not add_chosen(grad.reshape(len(grad), 1, 1, features) if grad.size else grad.reshape(0, 1, 1, features),
                      index.reshape(-1, 1, 1, features), np.zeros(len(grad), np.int64),
                      made.reshape(1, 1, shape[0], -1) if made.size else made.reshape(1, 1, shape[0], 0), threads):
        arguments.refuse_indices(index, shape[0], "rows of x")
    to.done()
    return result


def segment_min_backward(grad_output: ArrayLike, indices: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                         out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`segment_min` with respect to its rows: see :func:`segment_max_backward`.

    Parameters
    ----------
    grad_output, indices, input_shape, out, num_threads
        As for :func:`segment_max_backward`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`segment_max_backward`.

    See Also
    --------
    segment_min

    References
    ----------
    .. [1] M. Fey, J. E. Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.segment_min_backward(np.array([5.0, 7.0]), [1, 0], (3,))
    array([7., 5., 0.])
    """
    return segment_max_backward(grad_output, indices, input_shape, out=out, num_threads=num_threads)
