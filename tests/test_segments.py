"""Segments and graphs: NumPy and PyTorch as witnesses, identities, ids from outside."""

import numpy as np
import pytest
from cases import refused, same_bits

import cypool
from cypool import dispatch, irregular


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    monkeypatch.setattr(dispatch, "SMALL", 1)
    return request.param


def some(rng, rows=3000, count=70, features=(5,)):
    ids = rng.integers(0, count, rows)
    ids[ids == 7] = 8                                               # one is empty
    return rng.normal(size=(rows, *features)), ids, count


def test_against_numpy(threads, isa):
    rng = np.random.default_rng(0)
    for features in ((), (1,), (5,), (16,), (33,)):
        x, ids, count = some(rng, features=features)
        wanted = np.zeros((count, *features))
        np.add.at(wanted, ids, x)
        assert np.allclose(cypool.segment_sum(x, ids, count, num_threads=threads), wanted)
        for f, at, start in ((cypool.segment_max, np.maximum, -np.inf), (cypool.segment_min, np.minimum, np.inf)):
            wanted = np.full((count, *features), start)
            at.at(wanted, ids, x)
            assert np.array_equal(f(x, ids, count, empty=start, num_threads=threads), wanted)
        ids = np.sort(ids)
        begins = np.searchsorted(ids, np.arange(count))
        there = np.diff(np.append(begins, len(ids))) > 0            # reduceat is wrong for empty ones
        for f, ufunc in ((cypool.segment_sum, np.add), (cypool.segment_max, np.maximum)):
            wanted = ufunc.reduceat(x, begins[there], axis=0)
            assert np.allclose(f(x, ids, count, num_threads=threads)[there], wanted)


def test_against_torch(threads, isa):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, ids, count = some(rng)
    x = 1 + rng.permutation(x.size).reshape(x.shape) / 7.0          # no ties, which PyTorch splits, with its zeros too
    wide = torch.from_numpy(ids)[:, None].expand(-1, x.shape[1])
    for name, kind in (("sum", "sum"), ("mean", "mean"), ("max", "amax"), ("min", "amin")):
        t = torch.tensor(x, requires_grad=True)
        zeros = torch.zeros(count, x.shape[1], dtype=t.dtype)
        wanted = zeros.scatter_reduce(0, wide, t, kind, include_self=False)
        forward = getattr(cypool, f"segment_{name}")
        made = forward(x, ids, count, num_threads=threads)
        assert np.allclose(made, wanted.detach())
        g = rng.normal(size=made.shape)
        wanted.backward(torch.from_numpy(g))
        backward = getattr(cypool, f"segment_{name}_backward")
        if name in ("max", "min"):
            _, index = forward(x, ids, count, return_indices=True, num_threads=threads)
            back = backward(g, index, x.shape, num_threads=threads)
        else:
            back = backward(g, ids, num_threads=threads)
        assert np.allclose(back, t.grad)


def test_sorted_and_unsorted_agree(threads, isa, monkeypatch):
    """In every bit, for rows of a segment are taken in their order either way; in shares as well."""
    rng = np.random.default_rng(2)
    for dtype in (np.float32, np.float64, np.int32):
        for features in ((1,), (3,), (16,), (40,)):
            x, ids, count = some(rng, 500, 20, features)
            x = (x * 100).astype(dtype)
            order = np.argsort(ids, kind="stable")
            for f in (cypool.segment_sum, cypool.segment_mean, cypool.segment_max, cypool.segment_min):
                wanted = f(x, ids, count, num_threads=threads)
                assert same_bits(f(x[order], ids[order], count, num_threads=threads), wanted)
                for states in (1, 1000, 1 << 30):
                    monkeypatch.setattr(irregular, "STATES", states)
                    assert same_bits(f(x, ids, count, num_threads=threads), wanted)
                    assert same_bits(f(x[order], ids[order], count, num_threads=threads), wanted)


def test_one_segment_is_global_pooling(isa):
    x = np.random.default_rng(3).normal(size=(400, 6)).astype(np.float32)
    ids = np.zeros(400, np.int8)
    assert np.allclose(cypool.segment_mean(x, ids), cypool.global_avg_pool(x.T[None], keepdims=False), atol=1e-6)
    assert same_bits(cypool.segment_max(x, ids), cypool.global_max_pool(x.T[None], keepdims=False))


def test_sums_of_small_numbers_keep_their_digits(isa):
    """They are added up in float64."""
    x = np.full((1_000_000, 1), 0.1, np.float32)
    for ids in (np.zeros(len(x), int), np.arange(len(x)) % 2):
        assert np.allclose(cypool.segment_mean(x, ids), np.float32(0.1), rtol=1e-7)


def test_integers_are_exact(isa):
    x = np.array([2**62, 2**62, 2**62, -5, 2**53, 2**53 + 1], np.int64)
    ids = np.array([0, 0, 0, 1, 2, 2])
    assert cypool.segment_sum(x, ids)[0] == 3 * 2**62 - 2**64       # as numpy.sum
    assert cypool.segment_mean(x, ids).tolist() == [2.0**62, -5.0, float((2**53 + 2**53 + 1) / 2)]
    u = np.array([2**64 - 1, 2**64 - 1, 1], np.uint64)
    assert cypool.segment_mean(u, [0, 0, 1]).tolist() == [float(2**64 - 1), 1.0]
    assert cypool.segment_max(u, [0, 0, 1], 3, empty=9).tolist() == [2**64 - 1, 1, 9]
    assert cypool.segment_sum(np.array([200, 100], np.uint8), [0, 0]).tolist() == [300]
    assert cypool.segment_max(np.array([True, False]), [1, 1], 2).tolist() == [False, True]


def test_empty_everything(isa):
    for x in (np.empty((0, 3)), np.empty((0,)), np.empty((0, 3), np.int8)):
        assert cypool.segment_sum(x, []).shape == (0, *x.shape[1:])
        assert (cypool.segment_mean(x, [], 4, empty=3) == 3).all()
        y, index = cypool.segment_max(x, np.empty(0, np.uint8), 4, True)
        assert (y == 0).all() and (index == -1).all()
    assert cypool.segment_sum(np.empty((5, 0)), [0, 1, 0, 3, 3]).shape == (4, 0)
    assert cypool.segment_max(np.empty((5, 0)), [0, 1, 0, 3, 3], 9).shape == (9, 0)
    assert cypool.segment_sum_backward(np.empty((0, 3)), []).shape == (0, 3)
    assert cypool.segment_max_backward(np.empty((0, 3)), np.empty((0, 3), int), (4, 3)).tolist() == [[0.0] * 3] * 4
    assert cypool.segment_max_backward(np.ones((2, 3)), np.full((2, 3), -1), (0, 3)).shape == (0, 3)
    with refused(ValueError, "segment_ids", 5):
        cypool.segment_sum(np.empty((1, 0)), [5], 2)


EVERY = [cypool.segment_sum, cypool.segment_mean, cypool.segment_max, cypool.segment_min]


@pytest.mark.parametrize("f", EVERY)
def test_hostile_ids(f, threads):
    x = np.ones((4, 2))
    for ids, dtype in (([0, -1, 0, 1], "i8"), ([0, 1, 2, 3], "u2"), ([0, 0, 0, 2**62], "i8"), ([0, 0, 0, 2**63], "u8"),
                       ([0, 0, 0, 2**64 - 1], "u8"), ([0, 0, -128, 1], "i1")):
        ids, wrong = np.array(ids, dtype), next(i for i in ids if not 0 <= i < 3)
        with refused(ValueError, "segment_ids", "num_segments", 3, wrong):
            f(x, ids, 3, num_threads=threads)
    for ids in (np.zeros(3, int), np.zeros((4, 1), int), np.zeros((), int), np.zeros(5, int)):
        with refused(ValueError, "segment_ids", ids.shape):
            f(x, ids)
    for ids in ([0.0, 1, 2, 3], [True] * 4, "abcd", None, [None] * 4, [0, 0, 0, 2**70]):
        with pytest.raises((TypeError, ValueError), match="segment_ids"):
            f(x, ids)
    for ids in ([0, 0, 0, -1], [0, 0, 0, 2**40], np.array([0, 0, 0, 2**63], np.uint64)):
        with refused(ValueError, "segment_ids"):
            f(x, ids)
    for count, error in ((-1, ValueError), (2.0, TypeError), (True, TypeError), (2**70, ValueError)):
        with pytest.raises(error, match="num_segments"):
            f(x, [0, 0, 0, 0], count)
    with pytest.raises((MemoryError, ValueError)):
        f(np.ones((1, 2**16)), [0], 2**31 - 1)


def test_hostile_gradients():
    g = np.ones((3, 2))
    for f in (cypool.segment_sum_backward, cypool.segment_mean_backward):
        with refused(ValueError, "segment_ids", "grad_output", 3):
            f(g, [0, 1, 3])
        with refused(ValueError, "segment_ids", -1):
            f(g, [-1])
        with refused(TypeError, "grad_output"):
            f(np.ones((3, 2), int), [0])
    for index in ([[0, 0], [0, 4], [0, 0]], [[0, 0], [-2, 1], [0, 0]]):
        with refused(ValueError, "indices", "rows", index[1][0] if index[1][0] < 0 else 4):
            cypool.segment_max_backward(g, index, (4, 2))
    with refused(ValueError, "input_shape"):
        cypool.segment_max_backward(g, np.zeros((3, 2), int), (4, 3))
    with refused(ValueError, "indices"):
        cypool.segment_max_backward(g, np.zeros((3, 1), int), (4, 2))


def test_fills():
    x = np.ones((1, 1), np.int8)
    assert cypool.segment_max(x, [0], 2, empty=-128)[1] == -128
    for bad, error in ((128, ValueError), (1.5, TypeError), ("0", TypeError), (None, TypeError)):
        with pytest.raises(error, match="empty"):
            cypool.segment_max(x, [0], 2, empty=bad)
    f = np.ones((1, 1), np.float32)
    assert np.isnan(cypool.segment_mean(f, [0], 2, empty=np.nan)[1, 0])
    assert cypool.segment_min(f, [0], 2, empty=np.inf)[1, 0] == np.inf
    with refused(TypeError, "empty"):
        cypool.segment_mean(f, [0], 2, empty="nothing")


def test_ids_are_read_as_they_are(threads, isa):
    rng = np.random.default_rng(4)
    x, ids, count = some(rng)
    wanted = cypool.segment_sum(x, ids, count)
    for other in (ids.astype(np.uint8), ids.astype(">i4"), np.repeat(ids, 2)[::2], ids[::-1].copy()[::-1],
                  ids.tolist()):
        assert same_bits(cypool.segment_sum(x, other, count, num_threads=threads), wanted)
        assert same_bits(cypool.segment_sum_backward(wanted, other, num_threads=threads),
                         cypool.segment_sum_backward(wanted, ids))


# ---------------------------------------------------------------------------- graphs

def test_topk_against_the_formula(isa):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    x, p = rng.normal(size=(30, 4)), rng.normal(size=4)
    t = torch.tensor(x, requires_grad=True)
    score = t @ torch.tensor(p) / np.linalg.norm(p)
    kept = torch.topk(score, 12).indices
    wanted = t[kept] * torch.tanh(score[kept])[:, None]
    scores = x @ p / np.linalg.norm(p)
    y, idx = cypool.topk_pool(x, scores, 12)
    assert idx.tolist() == kept.tolist() and np.allclose(y, wanted.detach())
    g = rng.normal(size=y.shape)
    wanted.backward(torch.from_numpy(g))
    grad_x, grad_scores = cypool.topk_pool_backward(g, x, scores, idx)
    assert np.allclose(grad_x + np.outer(grad_scores, p) / np.linalg.norm(p), t.grad)


def test_topk_gradients_by_differences(isa):
    rng = np.random.default_rng(6)
    x, scores, ids = rng.normal(size=(9, 2)), rng.normal(size=9), rng.integers(0, 2, 9)
    y, idx = cypool.topk_pool(x, scores, 0.6, ids)
    g = rng.normal(size=y.shape)
    _, grad = cypool.topk_pool_backward(g, x, scores, idx)
    for i in range(9):
        step = np.zeros(9)
        step[i] = 1e-6
        change = cypool.topk_pool(x, scores + step, 0.6, ids)[0] - cypool.topk_pool(x, scores - step, 0.6, ids)[0]
        assert np.isclose(grad[i], (g * change).sum() / 2e-6, atol=1e-6)


def test_topk_order_and_ties(isa):
    x = np.arange(6.0)[:, None]
    scores = np.array([1.0, 2, 2, 0, 2, 1])
    assert cypool.topk_pool(x, scores, 2)[1].tolist() == [1, 2]
    assert cypool.topk_pool(x, scores, 4)[1].tolist() == [1, 2, 4, 0]
    assert cypool.topk_pool(x, scores, 4, sort=True)[1].tolist() == [0, 1, 2, 4]
    assert cypool.topk_pool(x, scores, 0.5, [1, 1, 0, 0, 0, 1])[1].tolist() == [2, 4, 1, 0]
    assert cypool.topk_pool(x[:0], scores[:0], 3)[0].shape == (0, 1)


def test_shares_are_decimal_numbers(isa):
    """0.07 * 100 is 7.000000000000001 in floats; seven are kept."""
    for ratio, kept in ((0.07, 7), (0.55, 55), (np.float32(0.55), 55), (1e-9, 1), (1.0, 100), (np.float64(0.291), 30)):
        assert len(cypool.topk_pool(np.ones((100, 1)), np.arange(100.0), ratio)[1]) == kept


def test_topk_edges(isa):
    edges = np.array([[0, 1, 2, 3, 1], [1, 2, 3, 0, 1]])
    y, idx, kept = cypool.topk_pool(np.ones((4, 1)), np.array([3.0, 1, 4, 2]), 3, edges=edges)
    assert idx.tolist() == [2, 0, 3] and kept.tolist() == [[0, 2], [2, 1]] and kept.dtype == edges.dtype
    assert cypool.topk_pool(np.ones((4, 1)), np.arange(4.0), 1, edges=[])[2].shape == (2, 0)
    sparse = pytest.importorskip("scipy.sparse")
    weights = np.arange(1.0, 6)
    for make in (sparse.coo_array, sparse.csr_matrix, sparse.csc_array):
        adjacency = make(sparse.coo_array((weights, tuple(edges)), shape=(4, 4)))
        _, idx, kept = cypool.topk_pool(np.ones((4, 1)), np.array([3.0, 1, 4, 2]), 3, edges=adjacency)
        assert np.array_equal(kept.toarray(), adjacency.toarray()[np.ix_(idx, idx)])
        with refused(ValueError, "edges", (4, 4)):
            cypool.topk_pool(np.ones((3, 1)), np.ones(3), 2, edges=adjacency)


def test_hostile_graphs():
    x, scores = np.ones((3, 2)), np.ones(3)
    for bad, error in ((0, ValueError), (-1, ValueError), (0.0, ValueError), (1.5, ValueError), (np.nan, ValueError),
                       (True, TypeError), ("half", TypeError)):
        with pytest.raises(error, match="ratio"):
            cypool.topk_pool(x, scores, bad)
    for bad in (np.ones(4), np.ones((3, 1)), np.array([1, np.nan, 1]), np.ones(3, int)):
        with pytest.raises((TypeError, ValueError), match="scores"):
            cypool.topk_pool(x, bad, 1)
    for ids in ([0, 0], [0, 0, -1], [0, 0, 2**40], [0.0, 0, 0]):
        with pytest.raises((TypeError, ValueError), match="segment_ids"):
            cypool.topk_pool(x, scores, 1, ids)
    for edges in ([[0, 3], [0, 0]], [[0, -1], [0, 0]], [0, 1], [[0, 1]] * 3, [[0.5], [0]]):
        with pytest.raises((TypeError, ValueError), match="edges"):
            cypool.topk_pool(x, scores, 1, edges=edges)
    for idx in ([3], [-1], [0.0], [[0]]):
        with pytest.raises((TypeError, ValueError), match="idx|grad_output"):
            cypool.topk_pool_backward(np.ones((1, 2)), x, scores, idx)
