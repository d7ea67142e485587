"""Sequences of different lengths: means and maxima of what a mask lets through, and the k largest in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments, dispatch
from cypool.irregular import Result, add_chosen, reduce_all, reduce_runs, take_rows
from cypool.pieces import each, planes
from cypool.ranking import keys
from cypool.windowed import Array, Format, add_in, choose_in, scatter, spread
from cypool.windows import blocks

_Runs = tuple[Array, Array, Array | None]


def _runs(shape: tuple[int, ...], mask: Any, offsets: Any, axis: int) -> tuple[int, _Runs]:
    """How many sequences there are; and of each the first position, that behind the last, and which count of them."""
    if (mask is None) == (offsets is None):
        raise TypeError("mask or offsets must be given, and not both")
    if offsets is not None:
        ends = arguments.integers("offsets", offsets)
        if ends.ndim != 1 or ends.size < 1:
            raise ValueError(f"offsets must have shape (sequences + 1,), got shape {ends.shape}")
        if ends[0] != 0 or ends[-1] != shape[0] or (ends[1:] < ends[:-1]).any():
            raise ValueError(f"offsets must begin with 0, not fall, and end with the number of rows {shape[0]}, "
                             f"got {arguments.show(ends.tolist())}")
        ends = ends.astype(np.int64)
        return ends.size - 1, (ends[:-1], ends[1:], None)
    n, length = shape[0], shape[axis]
    given = arguments.array("mask", mask)
    begin = np.zeros(n, np.int64)
    if given.dtype == bool:
        if given.shape != (n, length):
            raise ValueError(f"mask must have shape (N, L) = ({n}, {length}), got shape {given.shape}")
        return n, (begin, np.full(n, length), np.ascontiguousarray(given))
    lengths = arguments.integers("mask", mask)
    if lengths.shape != (n,):
        raise ValueError(f"mask must be bool of shape (N, L) = ({n}, {length}) or lengths of shape ({n},), "
                         f"got dtype {lengths.dtype} and shape {lengths.shape}")
    wrong = lengths[(lengths < 0) | (lengths > length)]
    if wrong.size:
        raise ValueError(f"mask must hold lengths of at least 0 and at most the axis's {length}, got {wrong[0]}")
    return n, (begin, lengths.astype(np.int64), None)


def _axis(axis: Any, ndim: int, offsets: Any) -> int:
    """The axis of positions; ragged rows have no other than the first."""
    if ndim == 0:
        raise ValueError("input_shape must have an axis of positions, got ()")
    if offsets is not None:
        return 0
    place = arguments.index("axis", axis)
    if ndim < 2 or not (1 <= place < ndim or -ndim < place < 0):
        raise ValueError(f"axis must be one of x's {ndim} axes behind the first, the batch, got {axis}")
    return place % ndim


def _masked(kind: str, x: Any, mask: Any, offsets: Any, axis: Any, empty: Any, indices: bool, out: Any,
            num_threads: Any) -> tuple[Array, Array | None]:
    given = arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.ORDERED if kind == "max" else arguments.NUMBERS)
    if given.ndim == 0:
        raise ValueError("x must have an axis of positions, got a single number")
    place, threads = _axis(axis, given.ndim, offsets), arguments.threads(num_threads)
    n, (begin, end, which) = _runs(given.shape, mask, offsets, place)
    dtype = arguments.reduced_dtype(kind, given.dtype)
    fill = arguments.fill("empty", empty, dtype)
    shape = (n, *given.shape[1:]) if offsets is not None else given.shape[:place] + given.shape[place + 1:]
    y = arguments.out_array(out, shape, dtype, given, *arguments.arrays(mask, offsets))
    index = np.empty(shape, np.int64) if indices else None
    if y.size == 0 or given.size == 0:
        y[...] = fill
        if index is not None:
            index[...] = -1
        return y, index

    def reduce(part: Array, which_: str, made: Array, places: Array | None, count: Array | None,
               nothing: float) -> None:
        reduce_runs(part, begin, end, which, which_, made, places, count, nothing, threads)

    reduce_all(reduce, kind, given[None] if offsets is not None else np.moveaxis(given, place, 1), y, index,
               np.empty(n, np.int64) if kind == "mean" else None, fill)
    return y, index


def masked_avg_pool(x: ArrayLike, mask: ArrayLike | None = None, *, offsets: ArrayLike | None = None, axis: int = 1,
                    empty: float = 0, out: Array | None = None, num_threads: int | None = None) -> Array:
    """The mean of the positions of each sequence that count.

    ``y[n, c] = sum of x[n, t, c] over t with mask[n, t] / number of these``. Other positions are not looked at: what
    they hold, NaN included, does not matter. float16, bfloat16 and float32 are added up in float64.

    Parameters
    ----------
    x : array_like, shape (N, L, ...), or (T, ...) with `offsets`
        Integers or floats, any strides and byte order.
    mask : array_like, bool of shape (N, L), or int of shape (N,)
        Which positions count; or how many of each sequence, from the first on.
    offsets : array_like of int, shape (N + 1,), instead of a mask
        Sequences without padding, one behind the other: n has the rows ``offsets[n]`` to ``offsets[n + 1]`` of x.
    axis : int
        Where the positions are, of an x with a mask: 1 in (N, L, C), 2 in (N, C, L).
    empty : float
        The value of sequences without a position.
    out : ndarray, optional
        Where to put y: of its shape and dtype, not overlapping x.
    num_threads : int, optional
        See :func:`cypool.set_num_threads`. The result does not depend on it.

    Returns
    -------
    y : ndarray
        Shaped like x without the positions, and of x's dtype; of integers float64, the exact mean rounded once.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If mask is of another shape, a length is negative or beyond the axis, or offsets fall or end elsewhere.

    See Also
    --------
    masked_avg_pool_backward, masked_max_pool, global_attention_pool, segment_mean

    References
    ----------
    .. [1] N. Reimers, I. Gurevych, "Sentence-BERT: Sentence embeddings using Siamese BERT-networks", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[1.0], [3.0], [np.nan]], [[5.0], [7.0], [9.0]]])
    >>> cypool.masked_avg_pool(x, [2, 3])
    array([[2.],
           [7.]])
    >>> cypool.masked_avg_pool(np.array([[1.0], [3.0], [5.0]]), offsets=[0, 2, 3])
    array([[2.],
           [5.]])
    """
    return _masked("mean", x, mask, offsets, axis, empty, False, out, num_threads)[0]


def masked_max_pool(x: ArrayLike, mask: ArrayLike | None = None, *, offsets: ArrayLike | None = None, axis: int = 1,
                    empty: float = 0, return_indices: bool = False, out: Array | None = None,
                    num_threads: int | None = None) -> Any:
    """The largest element of each sequence and channel, over the positions that count.

    ``y[n, c] = max of x[n, t, c] over t with mask[n, t]``.

    Parameters
    ----------
    x : array_like, shape (N, L, ...), or (T, ...) with `offsets`
        Bool, integers or floats.
    mask, offsets, axis, empty
        As for :func:`masked_avg_pool`.
    return_indices : bool
        Also return the position of each maximum.
    out, num_threads
        As for :func:`masked_avg_pool`.

    Returns
    -------
    y : ndarray
        Shaped like x without the positions, and of x's dtype.
    indices : ndarray of int64, only with `return_indices`
        Positions along the axis, with `offsets` rows of x; -1 where a sequence has none. Of equal elements the first is
        chosen, of several NaN the last.

    Raises
    ------
    TypeError, ValueError
        As :func:`masked_avg_pool`.

    See Also
    --------
    masked_max_pool_backward, masked_avg_pool, k_max_pool1d

    References
    ----------
    .. [1] R. Collobert, J. Weston, L. Bottou, M. Karlen, K. Kavukcuoglu, P. Kuksa, "Natural language processing
       (almost) from scratch", 2011: max over time.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[1.0, 9.0], [3.0, 2.0], [8.0, 8.0]]])
    >>> cypool.masked_max_pool(x, [[True, True, False]], return_indices=True)
    (array([[3., 9.]]), array([[1, 0]]))
    """
    wanted = arguments.flag("return_indices", return_indices)
    y, index = _masked("max", x, mask, offsets, axis, empty, wanted, out, num_threads)
    return (y, index) if wanted else y


def masked_avg_pool_backward(grad_output: ArrayLike, mask: ArrayLike | None, input_shape: Sequence[SupportsIndex], *,
                             offsets: ArrayLike | None = None, axis: int = 1, out: Array | None = None,
                             num_threads: int | None = None) -> Array:
    """The gradient of :func:`masked_avg_pool` with respect to its input: an equal part for each position that counts.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    mask : array_like, or None with `offsets`
        The forward's.
    input_shape : sequence of int
        The forward's input shape.
    offsets, axis
        The forward's.
    out, num_threads
        As for :func:`masked_avg_pool`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype; 0 at positions that do not count.

    Raises
    ------
    TypeError, ValueError
        As :func:`masked_avg_pool`; ValueError if grad_output does not have the forward's output's shape.

    See Also
    --------
    masked_avg_pool

    References
    ----------
    .. [1] N. Reimers, I. Gurevych, "Sentence-BERT: Sentence embeddings using Siamese BERT-networks", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.masked_avg_pool_backward(np.array([[6.0]]), [2], (1, 3, 1)).ravel()
    array([3., 3., 0.])
    """
    grad = arguments.array("grad_output", grad_output)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    shape = arguments.shape("input_shape", input_shape)
    place, threads = _axis(axis, len(shape), offsets), arguments.threads(num_threads)
    n, (begin, end, which) = _runs(shape, mask, offsets, place)
    expected = (n, *shape[1:]) if offsets is not None else shape[:place] + shape[place + 1:]
    if grad.shape != expected:
        raise ValueError(f"grad_output must have the shape of the forward's output {expected}, got {grad.shape}")
    result = arguments.out_array(out, shape, arguments.native(grad.dtype), grad, *arguments.arrays(mask, offsets))
    if result.size == 0:
        return result
    count = (end - begin) if which is None else np.count_nonzero(which, axis=1)
    with np.errstate(all="ignore"):
        part = (grad / np.maximum(count, 1).reshape(-1, *(1,) * (grad.ndim - 1))).astype(result.dtype)
    if offsets is not None:
        filled = Result(result, result.dtype)
        take_rows(np.ascontiguousarray(part).reshape(n, -1), np.repeat(np.arange(n), count),
                  filled.made.reshape(shape[0], -1), threads)
        filled.done()
        return result
    to, positions = np.moveaxis(result, place, 1), np.arange(shape[place])

    def fill(rows: slice, _: int | None) -> None:
        counts = positions < end[rows, None] if which is None else which[rows]
        to[rows] = 0
        np.copyto(to[rows], part[rows, None], where=counts.reshape(*counts.shape, *(1,) * (to.ndim - 2)))

    each(fill, [batch for batch, _ in planes((n, 1, result.size // n), False)], result.size, threads)
    return result


def masked_max_pool_backward(grad_output: ArrayLike, indices: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                             offsets: ArrayLike | None = None, axis: int = 1, out: Array | None = None,
                             num_threads: int | None = None) -> Array:
    """The gradient of :func:`masked_max_pool` with respect to its input: each goes to the element that was chosen.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    indices : array_like of int, shaped like grad_output
        The forward's; -1 brings nothing. Every one is checked.
    input_shape : sequence of int
        The forward's input shape.
    offsets, axis
        The forward's.
    out, num_threads
        As for :func:`masked_avg_pool`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool2d_backward`.

    See Also
    --------
    masked_max_pool

    References
    ----------
    .. [1] R. Collobert, J. Weston, L. Bottou, M. Karlen, K. Kavukcuoglu, P. Kuksa, "Natural language processing
       (almost) from scratch", 2011: max over time.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.masked_max_pool_backward(np.array([[6.0]]), [[1]], (1, 3, 1)).ravel()
    array([0., 6., 0.])
    """
    grad = arguments.array("grad_output", grad_output)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    shape = arguments.shape("input_shape", input_shape)
    place = _axis(axis, len(shape), offsets)
    ragged = offsets is not None
    n = _runs(shape, None, offsets, 0)[0] if ragged else shape[0]
    expected = (n, *shape[1:]) if ragged else shape[:place] + shape[place + 1:]
    if grad.shape != expected:
        raise ValueError(f"grad_output must have the shape of the forward's output {expected}, got {grad.shape}")
    index = arguments.chosen(indices, grad.shape)
    result = arguments.out_array(out, shape, arguments.native(grad.dtype), grad, index, *arguments.arrays(offsets))
    to = Result(result, result.dtype)
    length = shape[place]
    groups = int(np.prod(shape[1:place])) if not ragged else 1
    c = int(np.prod(shape[place + 1:]))
    image = np.zeros(n, np.int64) if ragged else np.arange(n)
    if not add_chosen(grad.reshape(n, groups, 1, c), index.reshape(n, groups, 1, c), image,
                      to.made.reshape(1 if ragged else n, groups, length, c), arguments.threads(num_threads)):
        arguments.refuse_indices(index, length, "positions along the axis")
    to.done()
    return result


# ---------------------------------------------------------------------------- k-max

def _largest(x: Any, k: int, data_format: Any, indices: bool, out: Any, num_threads: Any) -> tuple[Array, Array | None]:
    """The k largest of each row, in order."""
    arguments.check_dtype("x", x.dtype, arguments.ORDERED)
    last = arguments.channels_last(data_format, 1)
    batch = arguments.batched("x", x, 1)
    length = arguments.spatial("x", batch.shape, last)[0]
    threads = arguments.threads(num_threads)
    if k > length:
        raise ValueError(f"k must be at most the length of the rows {length}, got {k}")
    full = arguments.with_spatial(batch.shape, (k,), last)
    y = arguments.out_array(out, full[3 - x.ndim:], arguments.native(x.dtype), x)
    index = np.empty(y.shape, np.int64) if indices else None
    if y.size:
        roles = [batch, y.reshape(full), None if index is None else index.reshape(full)]
        rows = [a if a is None or not last else a.transpose(0, 2, 1) for a in roles]
        dispatch.rank_kernels().k_largest(*rows, keys(x.dtype), dispatch.threads_for(x.size, threads))
    return y, index


def k_max_pool1d(x: ArrayLike, k: SupportsIndex, return_indices: bool = False, *,
                 data_format: Format = "channels_first", out: Array | None = None,
                 num_threads: int | None = None) -> Any:
    """The k largest elements of each row, in their original order.

    ``y[n, c] = x[n, c, i] for i in the k indices of largest x[n, c], rising``.

    Parameters
    ----------
    x : array_like, shape (N, C, L) or (C, L)
        Bool, integers or floats.
    k : int
        At least 0 and at most L.
    return_indices : bool
        Also return where in its row each element was.
    data_format, out, num_threads
        As for :func:`cypool.max_pool1d`.

    Returns
    -------
    y : ndarray, shape (N, C, k) or (C, k)
        Of x's dtype. Of equal elements the first are chosen; NaN is larger than every number.
    indices : ndarray of int64, only with `return_indices`
        Rising along each row.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool1d`; ValueError if k is negative or more than L.

    See Also
    --------
    k_max_pool1d_backward, dynamic_k_max_pool1d, masked_max_pool

    References
    ----------
    .. [1] N. Kalchbrenner, E. Grefenstette, P. Blunsom, "A convolutional neural network for modelling sentences", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.k_max_pool1d(np.array([[5, 1, 5, 3, 5, 2]]), 2, return_indices=True)
    (array([[5, 5]]), array([[0, 2]]))
    """
    wanted = arguments.flag("return_indices", return_indices)
    y, index = _largest(arguments.array("x", x), arguments.integer("k", k, 0), data_format, wanted, out, num_threads)
    return (y, index) if wanted else y


def dynamic_k(length: int, k_top: Any, layer: Any, num_layers: Any) -> int:
    """The k of one layer for sentences of this length."""
    top, total = arguments.integer("k_top", k_top, 1), arguments.integer("num_layers", num_layers, 1)
    at = arguments.integer("layer", layer, 1)
    if at > total:
        raise ValueError(f"layer must be at most num_layers {total}, got {at}")
    return max(top, -(-(total - at) * length // total))


def dynamic_k_max_pool1d(x: ArrayLike, k_top: SupportsIndex, layer: SupportsIndex, num_layers: SupportsIndex,
                         return_indices: bool = False, *, data_format: Format = "channels_first",
                         out: Array | None = None, num_threads: int | None = None) -> Any:
    """k-max pooling whose k follows the length of the sentence: :func:`k_max_pool1d` with

    ``k = max(k_top, ceil((num_layers - layer) / num_layers * L))``.

    Parameters
    ----------
    x : array_like, shape (N, C, L) or (C, L)
        Bool, integers or floats. L is the length of the sentence in the formula.
    k_top : int
        k of the topmost layer, at least 1.
    layer, num_layers : int
        Which convolutional layer this follows, from 1 on, of how many.
    return_indices, data_format, out, num_threads
        As for :func:`k_max_pool1d`.

    Returns
    -------
    y : ndarray, shape (N, C, k) or (C, k)
    indices : ndarray of int64, only with `return_indices`

    Raises
    ------
    TypeError, ValueError
        As :func:`k_max_pool1d`; ValueError if k_top is more than L.

    See Also
    --------
    k_max_pool1d_backward, k_max_pool1d

    References
    ----------
    .. [1] N. Kalchbrenner, E. Grefenstette, P. Blunsom, "A convolutional neural network for modelling sentences", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(18.0)[None]
    >>> [cypool.dynamic_k_max_pool1d(x, 3, layer, 3).shape[1] for layer in (1, 2, 3)]
    [12, 6, 3]
    """
    wanted, given = arguments.flag("return_indices", return_indices), arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.ORDERED)
    last = arguments.channels_last(data_format, 1)
    shape = arguments.batched_shape("x", given.shape, 1)
    k = dynamic_k(shape[1 if last else 2], k_top, layer, num_layers)
    y, index = _largest(given, k, data_format, wanted, out, num_threads)
    return (y, index) if wanted else y


def k_max_pool1d_backward(grad_output: ArrayLike, indices: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                          data_format: Format = "channels_first", out: Array | None = None,
                          num_threads: int | None = None) -> Array:
    """The gradient of :func:`k_max_pool1d` with respect to its input: each goes to the element that was chosen.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    indices : array_like of int, shaped like grad_output
        The forward's. Every one is checked.
    input_shape : sequence of int
        The forward's input shape.
    data_format, out, num_threads
        As for :func:`cypool.max_pool1d`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool1d_backward`.

    See Also
    --------
    k_max_pool1d, dynamic_k_max_pool1d

    References
    ----------
    .. [1] N. Kalchbrenner, E. Grefenstette, P. Blunsom, "A convolutional neural network for modelling sentences", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.k_max_pool1d_backward(np.array([[1.0, 2.0]]), [[0, 2]], (1, 6))
    array([[1., 0., 2., 0., 0., 0.]])
    """
    return scatter(1, grad_output, indices, input_shape, data_format, out, num_threads)


# ---------------------------------------------------------------------------- bins of matrices

Op = Literal["min", "max", "avg"]
OutputSize = SupportsIndex | Sequence[SupportsIndex]


def _op(op: Any, return_indices: Any) -> tuple[str, bool]:
    wanted = arguments.flag("return_indices", return_indices)
    if not isinstance(op, str) or op not in ("min", "max", "avg"):
        raise (ValueError if isinstance(op, str) else TypeError)(
            f"op must be 'min', 'max' or 'avg', got {arguments.show(op)}")
    if wanted and op == "avg":
        raise ValueError("return_indices must be False with op='avg', which chooses no element, got True")
    return op, wanted


def _fit_blocks(output_size: Any) -> Any:
    return lambda sizes: blocks(sizes, arguments.bins("output_size", output_size, 2))


def dynamic_pool2d(x: ArrayLike, output_size: OutputSize, return_indices: bool = False, *, op: Op = "min",
                   data_format: Format = "channels_first", out: Array | None = None,
                   num_threads: int | None = None) -> Any:
    """Pooling of matrices of any size to one size, in blocks that do not overlap.

    Along an axis of `size` elements the first blocks have ``size // output_size`` elements, the last
    ``size % output_size`` one more. An axis of fewer elements than blocks is first repeated, element by element, as
    often as it takes to have enough.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        Integers or floats, for min and max also bool: such as the distances between the words of two sentences.
    output_size : int or sequence of two
        Blocks along each axis, at least 1.
    return_indices : bool
        Also return where in its plane each minimum or maximum was.
    op : {"min", "max", "avg"}
        What becomes of a block.
    data_format, out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    y : ndarray
        Of x's dtype; averages of integers are float64.
    indices : ndarray of int64, only with `return_indices`
        As those of :func:`cypool.max_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool2d`.

    See Also
    --------
    dynamic_pool2d_backward, adaptive_max_pool2d

    References
    ----------
    .. [1] R. Socher, E. H. Huang, J. Pennington, A. Y. Ng, C. D. Manning, "Dynamic pooling and unfolding recursive
       autoencoders for paraphrase detection", 2011.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(17.0).reshape(1, 1, 17)
    >>> cypool.dynamic_pool2d(x, (1, 5))
    array([[[ 0.,  3.,  6.,  9., 13.]]])
    """
    which, wanted = _op(op, return_indices)
    given = arguments.array("x", x)
    if which == "avg":
        call = add_in(given, 2, _fit_blocks(output_size), "valid", data_format, "propagate", None)
    else:
        call = choose_in(given, 2, which, _fit_blocks(output_size), data_format, "propagate",
                         np.int64 if wanted else None)
    return call(given, out, num_threads)


def dynamic_pool2d_backward(grad_output: ArrayLike, indices: ArrayLike | None, input_shape: Sequence[SupportsIndex],
                            output_size: OutputSize | None = None, *, op: Op = "min",
                            data_format: Format = "channels_first", out: Array | None = None,
                            num_threads: int | None = None) -> Array:
    """The gradient of :func:`dynamic_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    indices : array_like of int, shaped like grad_output; None for averages
        The forward's. Every one is checked.
    input_shape : sequence of int
        The forward's input shape.
    output_size : int or sequence of two, for averages
        The forward's.
    op, data_format
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
        As :func:`cypool.max_pool2d_backward`.

    See Also
    --------
    dynamic_pool2d

    References
    ----------
    .. [1] R. Socher, E. H. Huang, J. Pennington, A. Y. Ng, C. D. Manning, "Dynamic pooling and unfolding recursive
       autoencoders for paraphrase detection", 2011.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[4.0, 2.0], [3.0, 1.0]]])
    >>> y, indices = cypool.dynamic_pool2d(x, (1, 2), return_indices=True)
    >>> cypool.dynamic_pool2d_backward(y, indices, x.shape)
    array([[[0., 0.],
            [3., 1.]]])
    """
    which, _ = _op(op, False)
    if which != "avg":
        if indices is None:
            raise TypeError(f"indices must be the forward's with op={which!r}, got None")
        return scatter(2, grad_output, indices, input_shape, data_format, out, num_threads)
    if indices is not None or output_size is None:
        raise TypeError("indices must be None and output_size the forward's with op='avg', "
                        f"got {arguments.show(indices)} and {arguments.show(output_size)}")
    return spread(2, grad_output, input_shape, _fit_blocks(output_size), "valid", data_format, out, num_threads)
