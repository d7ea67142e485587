"""Graph pooling: the best nodes of each graph are kept, and the edges between them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments
from cypool.irregular import examine, take_rows
from cypool.pieces import PIECE
from cypool.windowed import Array


def _nodes(x: Any, scores: Any) -> tuple[Array, Array]:
    """Features and scores, checked."""
    given, score = arguments.array("x", x), arguments.array("scores", scores)
    for name, a in (("x", given), ("scores", score)):
        arguments.check_dtype(name, a.dtype, arguments.FLOATS)
    if given.ndim == 0 or score.shape != given.shape[:1]:
        raise ValueError(f"scores must have one number for each node of x, shape {given.shape[:1]}, "
                         f"got shape {score.shape}")
    if np.isnan(score).any():
        raise ValueError("scores must not be NaN, which has no rank, got an array that has some")
    return given, score


def _wanted(ratio: Any, count: Array) -> Array:
    """How many nodes of each graph are kept: so many, or that share, rounded up."""
    if isinstance(ratio, (bool, np.bool_)):
        raise TypeError(f"ratio must be a number, got {arguments.show(ratio)}")
    if isinstance(ratio, (int, np.integer)):
        return np.minimum(arguments.integer("ratio", ratio, 1), count)
    share = arguments.number("ratio", ratio)
    if not 0 < share <= 1:
        raise ValueError(f"ratio must be an integer of at least 1, or more than 0 and at most 1, got {share}")
    exact = Fraction(repr(float(str(ratio)) if isinstance(ratio, np.floating) else share))      # 0.55 of 100 are 55
    sizes, which = np.unique(count, return_inverse=True)
    return np.array([min(n, math.ceil(exact * n)) for n in sizes.tolist()], np.int64)[which]


def _falling(score: Array) -> Array:
    """The order of falling scores, equal ones in theirs."""
    if score.dtype.name == "float64" or score.size >= 2**32:
        return np.argsort(-score, kind="stable")
    bits = (score.astype(np.float32) + np.float32(0)).view(np.uint32)       # -0.0 becomes 0.0
    rising = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF))
    return np.sort(rising.astype(np.uint64) << 32 | np.arange(score.size, dtype=np.uint64)).astype(np.uint32)


def _chosen(score: Array, ratio: Any, segment_ids: Any, ordered: bool) -> Array:
    """Which nodes are kept, graph by graph."""
    nodes = score.size
    if segment_ids is None:
        ids = np.zeros(nodes, np.int64)
    else:
        ids = arguments.integers("segment_ids", segment_ids)
        if ids.shape != (nodes,):
            raise ValueError(f"segment_ids must have one id for each node, shape ({nodes},), got shape {ids.shape}")
        if nodes:
            least, most, _, _ = examine(ids, None, 1)
            if least < 0 or most >= arguments.LARGEST:
                raise ValueError(f"segment_ids must be at least 0 and less than {arguments.LARGEST}, "
                                 f"got {ids[(ids < 0) | (ids >= arguments.LARGEST)][0]}")
    _, ids, count = np.unique(ids, return_inverse=True, return_counts=True)     # graphs may be far apart
    wanted = _wanted(ratio, count)
    order = _falling(score)
    if count.size > 1:                              # by graph, then score; short integers are sorted by their digits
        order = order[np.argsort(ids[order].astype(np.uint16 if count.size <= 2**16 else np.int64), kind="stable")]
    begin = np.cumsum(count) - count
    graph = ids[order]
    idx = order[np.arange(nodes) - begin[graph] < wanted[graph]].astype(np.int64)
    return np.sort(idx) if ordered else idx


def _induced(edges: Any, idx: Array, nodes: int) -> Any:
    """The edges between nodes that are kept, with their new numbers."""
    if hasattr(edges, "tocsr"):                     # a SciPy sparse matrix or array
        if edges.shape != (nodes, nodes):
            raise ValueError(f"edges must be a square matrix of {nodes} nodes, got shape {edges.shape}")
        return edges.tocsr()[idx][:, idx]
    pairs = arguments.integers("edges", edges)
    if pairs.size == 0 and pairs.ndim == 1:
        pairs = pairs.reshape(2, 0)
    if pairs.ndim != 2 or pairs.shape[0] != 2:
        raise ValueError(f"edges must have shape (2, E) or be a SciPy sparse matrix, got shape {pairs.shape}")
    wrong = pairs[(pairs < 0) | (pairs >= nodes)]
    if wrong.size:
        raise ValueError(f"edges must be between nodes of at least 0 and less than {nodes}, got {wrong[0]}")
    place = np.full(nodes, -1, np.int64)
    place[idx] = np.arange(idx.size)
    renamed = place[pairs.astype(np.int64)]
    kept = arguments.native(pairs.dtype)
    return renamed[:, (renamed >= 0).all(0)].astype(kept if idx.size - 1 <= np.iinfo(kept).max else np.int64)


def _gate(score: Array, idx: Array, x: Array) -> Array:
    """The tangents of some scores, ready to broadcast to x's rows, in what these are computed in."""
    gate = np.tanh(score[idx].astype(np.float64))
    real = np.float64 if x.dtype.name == "float64" else np.float32
    return gate.astype(real).reshape(-1, *(1,) * (x.ndim - 1))


def _pieces(rows: int, x: Array) -> list[slice]:
    """Rows that are worked on at once."""
    step = max(1, PIECE // max(1, x[:1].size))
    return [slice(i, min(rows, i + step)) for i in range(0, rows, step)]


def topk_pool(x: ArrayLike, scores: ArrayLike, ratio: float | SupportsIndex, segment_ids: ArrayLike | None = None, *,
              edges: Any = None, sort: bool = False, out: Array | None = None, num_threads: int | None = None) -> Any:
    """Keep the nodes of highest score of each graph, each times the hyperbolic tangent of its score.

    ``y = x[idx] * tanh(scores[idx])``, where idx are, of a graph of n nodes, the ``ceil(ratio * n)`` of highest score.

    Parameters
    ----------
    x : array_like of float, shape (T, ...)
        Nodes' features.
    scores : array_like of float, shape (T,)
        Such as ``x @ p / norm(p)`` with a learned p; not NaN.
    ratio : float or int
        The share that is kept of each graph's nodes, more than 0 and at most 1, taken as the decimal number that it
        shows as: 0.55 of 100 nodes are 55. An int is their number.
    segment_ids : array_like of int, shape (T,), optional
        The graph of each node; by default there is one.
    edges : array_like of int, shape (2, E), or SciPy sparse matrix or array, optional
        The graph's edges, or its adjacency.
    sort : bool
        Whether nodes keep their order; else the ones of each graph come by falling score.
    out : ndarray, optional
        Where to put y.
    num_threads
        As for :func:`segment_sum`.

    Returns
    -------
    y : ndarray, shape (kept, ...)
        Of x's dtype.
    idx : ndarray of int64
        Which nodes; of equal scores the first are kept.
    edges : only with `edges`
        Those between nodes that are kept, which are numbered as in y; a sparse matrix as CSR.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If shapes do not fit, a score is NaN, ratio is out of its range, or an edge names no node.

    See Also
    --------
    topk_pool_backward, segment_max

    References
    ----------
    .. [1] H. Gao, S. Ji, "Graph U-Nets", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> y, idx, edges = cypool.topk_pool(x, np.array([9.0, -9.0, 8.0, 7.0]), 0.5, edges=[[0, 0, 2], [1, 2, 0]])
    >>> idx, edges
    (array([0, 2]), array([[0, 1],
           [1, 0]]))
    """
    given, score = _nodes(x, scores)
    threads = arguments.threads(num_threads)
    idx = _chosen(score, ratio, segment_ids, arguments.flag("sort", sort))
    y = arguments.out_array(out, (idx.size, *given.shape[1:]), arguments.native(given.dtype), given, score,
                            *arguments.arrays(segment_ids, edges))
    gate = _gate(score, idx, given)
    plain = given.dtype == y.dtype and given.flags.c_contiguous and y.flags.c_contiguous and given.size > 0
    with np.errstate(all="ignore"):
        for rows in _pieces(idx.size, given):
            if plain:
                take_rows(given.reshape(score.size, -1), idx[rows], y[rows].reshape(idx[rows].size, -1), threads)
                np.multiply(y[rows], gate[rows], out=y[rows], casting="unsafe")
            else:
                np.multiply(given[idx[rows]], gate[rows], out=y[rows], casting="unsafe")
    return (y, idx) if edges is None else (y, idx, _induced(edges, idx, score.size))


def topk_pool_backward(grad_output: ArrayLike, x: ArrayLike, scores: ArrayLike, idx: ArrayLike, *,
                       out: Array | None = None, num_threads: int | None = None) -> tuple[Array, Array]:
    """The gradients of :func:`topk_pool` with respect to its nodes and their scores: 0 for nodes that were left out.

    With g the gradient and t the tangent: ``dx[idx] = g * t``, ``dscores[idx] = (1 - t**2) * sum of g * x[idx]``.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x, scores
        The forward's.
    idx : array_like of int
        The forward's. Every one is checked; one that comes several times gets all its gradients.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`segment_sum`.

    Returns
    -------
    grad_x, grad_scores : ndarray
        Shaped like x and scores, and of their dtypes.

    Raises
    ------
    TypeError, ValueError
        As :func:`topk_pool`; ValueError if an index names no node.

    See Also
    --------
    topk_pool

    References
    ----------
    .. [1] H. Gao, S. Ji, "Graph U-Nets", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.topk_pool_backward(np.array([[2.0]]), np.array([[5.0], [6.0]]), np.array([-1.0, 0.0]), [1])
    (array([[0.],
           [0.]]), array([ 0., 12.]))
    """
    given, score = _nodes(x, scores)
    arguments.threads(num_threads)
    grad, index = arguments.array("grad_output", grad_output), arguments.integers("idx", idx)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    if index.ndim != 1 or grad.shape != (index.size, *given.shape[1:]):
        raise ValueError(f"grad_output must have the shape of the forward's output {(index.size, *given.shape[1:])}, "
                         f"got {grad.shape}")
    wrong = index[(index < 0) | (index >= score.size)]
    if wrong.size:
        raise ValueError(f"idx must be at least 0 and less than {score.size}, got {wrong[0]}")
    grad_x = arguments.out_array(out, given.shape, arguments.native(given.dtype), grad, given, score, index)
    places = index.astype(np.int64)
    once = not places.size or int(np.bincount(places).max()) == 1
    gate, for_score = _gate(score, places, given), np.zeros(score.size)
    for_x = grad_x if once else np.zeros(given.shape)
    for_x[...] = 0
    with np.errstate(all="ignore"):
        for rows in _pieces(places.size, given):
            at, g = places[rows], grad[rows]
            part = (g * gate[rows]).astype(for_x.dtype)
            products = (given[at].astype(np.float64) * g).reshape(len(at), -1).sum(1)
            slope = 1 - np.tanh(score[at].astype(np.float64)) ** 2
            if once:
                for_x[at], for_score[at] = part, slope * products
            else:
                np.add.at(for_x, at, part)
                np.add.at(for_score, at, slope * products)
        if not once:
            grad_x[...] = for_x
        return grad_x, for_score.astype(arguments.native(score.dtype))
