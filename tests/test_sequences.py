"""Sequences: numpy.ma and PyTorch as witnesses, golden values of the papers, masks and lengths from outside."""

import numpy as np
import pytest
from cases import refused, same_bits

import cypool
from cypool import dispatch


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 40, 19)), rng.random((6, 40)) < 0.6


def test_against_masked_arrays(batch, isa):
    x, mask = batch
    hidden = np.ma.array(x, mask=np.broadcast_to(~mask[..., None], x.shape))
    assert np.allclose(cypool.masked_avg_pool(x, mask), hidden.mean(1))
    assert np.array_equal(cypool.masked_max_pool(x, mask), hidden.max(1))
    assert np.allclose(cypool.masked_avg_pool(np.moveaxis(x, 1, 2), mask, axis=2), hidden.mean(1))


def test_against_torch(batch, isa):
    torch = pytest.importorskip("torch")
    x, mask = batch
    t, m = torch.tensor(x, requires_grad=True), torch.from_numpy(mask)[..., None]
    for forward, wanted in ((cypool.masked_avg_pool, (t * m).sum(1) / m.sum(1)),
                            (cypool.masked_max_pool, t.masked_fill(~m, -torch.inf).amax(1))):
        made = forward(x, mask)
        assert np.allclose(made, wanted.detach())
        t.grad = None
        g = np.random.default_rng(1).normal(size=made.shape)
        wanted.backward(torch.from_numpy(g))
        if forward is cypool.masked_avg_pool:
            back = cypool.masked_avg_pool_backward(g, mask, x.shape)
        else:
            back = cypool.masked_max_pool_backward(g, forward(x, mask, return_indices=True)[1], x.shape)
        assert np.allclose(back, t.grad)


def test_what_is_masked_is_not_looked_at(batch, isa):
    x, mask = batch
    for dtype in (np.float32, np.float64, np.float16):
        y = x.astype(dtype)
        wanted = cypool.masked_avg_pool(y, mask), cypool.masked_max_pool(y, mask)
        for hidden in (np.nan, np.inf, -np.inf):
            y[~mask] = hidden
            assert same_bits(cypool.masked_avg_pool(y, mask), wanted[0])
            assert same_bits(cypool.masked_max_pool(y, mask), wanted[1])


def test_masks_lengths_and_offsets_say_the_same(batch, isa, monkeypatch):
    monkeypatch.setattr(dispatch, "SMALL", 1)
    x, _ = batch
    lengths = np.array([40, 0, 3, 17, 1, 39])
    mask = np.arange(40) < lengths[:, None]
    rows = np.concatenate([x[i, :n] for i, n in enumerate(lengths)])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    for f in (cypool.masked_avg_pool, cypool.masked_max_pool):
        wanted = f(x, mask)
        assert same_bits(f(x, lengths), wanted)
        assert same_bits(f(rows, offsets=offsets), wanted)
        for threads in (2, 7):
            turned = np.ascontiguousarray(np.moveaxis(x, 1, 2))
            assert same_bits(f(turned, lengths, axis=-1, num_threads=threads), wanted)
    ids = np.repeat(np.arange(6), lengths)
    assert same_bits(cypool.segment_mean(rows, ids, 6), cypool.masked_avg_pool(x, mask))
    g = np.random.default_rng(2).normal(size=(6, 19))
    back = cypool.masked_avg_pool_backward(g, lengths, x.shape)
    assert np.array_equal(back[mask], cypool.masked_avg_pool_backward(g, None, rows.shape, offsets=offsets))
    assert not back[~mask].any()


def test_attention_over_masked_sequences(batch, isa):
    """Equal logits are the mean; a mask leaves out what it hides."""
    x, mask = batch
    hidden = x.copy()
    hidden[~mask] = np.nan
    y = cypool.global_attention_pool(hidden, np.zeros((6, 40, 1)), mask=mask, data_format="channels_last",
                                     keepdims=False)
    assert np.allclose(y, cypool.masked_avg_pool(x, mask))


def test_nothing_left(isa):
    x = np.full((2, 3, 4), np.nan)
    for mask in (np.zeros((2, 3), bool), np.zeros(2, int)):
        assert (cypool.masked_avg_pool(x, mask) == 0).all()
        assert np.isnan(cypool.masked_avg_pool(x, mask, empty=np.nan)).all()
        y, index = cypool.masked_max_pool(x, mask, empty=-np.inf, return_indices=True)
        assert (y == -np.inf).all() and (index == -1).all()
        assert not cypool.masked_max_pool_backward(np.ones((2, 4)), index, x.shape).any()
        assert not cypool.masked_avg_pool_backward(np.ones((2, 4)), mask, x.shape).any()
    for shape in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
        x = np.ones(shape)
        mask = np.ones(shape[:2], bool)
        y, index = cypool.masked_max_pool(x, mask, return_indices=True)
        assert y.shape == (shape[0], shape[2]) and (index == -1).all()
        assert cypool.masked_avg_pool(x, mask).shape == y.shape
        assert cypool.masked_max_pool_backward(y, index, shape).shape == shape
        assert cypool.masked_avg_pool_backward(y, mask, shape).shape == shape
    assert cypool.masked_avg_pool(np.empty((0, 3)), offsets=[0]).shape == (0, 3)
    assert cypool.masked_avg_pool(np.empty((0, 3)), offsets=[0, 0, 0]).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("f", [cypool.masked_avg_pool, cypool.masked_max_pool])
def test_hostile_masks(f):
    x = np.ones((2, 3, 4))
    for mask in (np.ones((2, 4), bool), np.ones((3, 2), bool), np.ones((2, 3, 4), bool), np.ones(3, bool),
                 np.ones((2, 3), int), np.ones(3, int)):
        with refused(ValueError, "mask", mask.shape):
            f(x, mask)
    for lengths, wrong in (([4, 0], 4), ([-1, 0], -1), ([0, 2**62], 2**62),
                           (np.array([0, 2**64 - 1], np.uint64), 2**64 - 1)):
        with refused(ValueError, "mask", wrong):
            f(x, lengths)
    for mask in (np.ones((2, 3)), [1.0, 2.0], "ab", np.array([None, None])):
        with pytest.raises((TypeError, ValueError), match="mask"):
            f(x, mask)
    with refused(TypeError, "mask", "offsets"):
        f(x)
    with refused(TypeError, "mask", "offsets"):
        f(x, [1, 2], offsets=[0, 2])
    for offsets in ([0, 1], [1, 2], [0, 2, 1, 2], [-1, 2], [0, 3], [], [[0, 2]], [0, 2**62, 2]):
        with refused(ValueError, "offsets"):
            f(x, offsets=offsets)
    for offsets in ([0.0, 2.0], "02"):
        with pytest.raises((TypeError, ValueError), match="offsets"):
            f(x, offsets=offsets)
    for axis, error in ((0, ValueError), (3, ValueError), (-3, ValueError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="axis"):
            f(x, [1, 2], axis=axis)


def test_hostile_gradients():
    g, shape = np.ones((2, 4)), (2, 3, 4)
    for index, wrong in ((3, 3), (-2, -2)):
        with refused(ValueError, "indices", wrong):
            cypool.masked_max_pool_backward(g, np.full((2, 4), index), shape)
    with refused(ValueError, "grad_output", (2, 4)):
        cypool.masked_max_pool_backward(np.ones((2, 3)), np.zeros((2, 3), int), shape)
    with refused(ValueError, "grad_output", (2, 4)):
        cypool.masked_avg_pool_backward(np.ones((2, 3)), [1, 1], shape)


# ---------------------------------------------------------------------------- k-max

def test_golden(isa):
    x = np.array([[5, 1, 5, 3, 5, 2]])
    for k, values, places in ((3, [5, 5, 5], [0, 2, 4]), (2, [5, 5], [0, 2]), (4, [5, 5, 3, 5], [0, 2, 3, 4]),
                              (0, [], [])):
        for dtype in (np.int8, np.uint64, np.float16, np.float64):
            y, index = cypool.k_max_pool1d(x.astype(dtype), k, True)
            assert y.tolist() == [values] and index.tolist() == [places] and y.dtype == dtype
    assert cypool.k_max_pool1d(np.array([[2.0, 2, 2, 1]]), 2, True)[1].tolist() == [[0, 1]]     # torch.topk: 1, 2
    x = np.array([[1.0, np.nan, 3, -np.inf, np.nan, np.inf]])
    assert cypool.k_max_pool1d(x, 1, True)[1].tolist() == [[1]]
    assert cypool.k_max_pool1d(x, 3, True)[1].tolist() == [[1, 4, 5]]


def test_zeros_are_equal(isa):
    for dtype in (np.float16, np.float32, np.float64):
        y, index = cypool.k_max_pool1d(np.array([[-1, -0.0, 0.0, -0.0]], dtype), 2, True)
        assert index.tolist() == [[1, 2]] and np.signbit(y).tolist() == [[True, False]]


def test_k_of_kalchbrenner():
    """Layers of three, eighteen words: 12, 6, 3; and of seven words with k_top 4: 5, 4, 4. In integers, not floats."""
    x = np.random.default_rng(0).normal(size=(2, 18))
    assert [cypool.dynamic_k_max_pool1d(x, 3, n, 3).shape[1] for n in (1, 2, 3)] == [12, 6, 3]
    assert [cypool.dynamic_k_max_pool1d(x[:, :7], 4, n, 3).shape[1] for n in (1, 2, 3)] == [5, 4, 4]
    for layers in range(1, 12):
        for length in range(1, 40):
            for layer in range(1, layers + 1):
                k = cypool.sequences.dynamic_k(length, 1, layer, layers)
                assert k == max(1, sum(1 for i in range(length) if i * layers < (layers - layer) * length))


@pytest.mark.parametrize("k", [1, 2, 5, 31, 32, 33, 64, 300, 700])
def test_against_topk(k, isa):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(k)
    x = rng.permutation(3 * 7 * 700).reshape(3, 7, 700).astype(np.float32)
    x[0] = np.sort(x[0])                                            # worst cases of keeping the largest at hand
    x[1] = np.sort(x[1])[:, ::-1]
    wanted = torch.topk(torch.from_numpy(x), k).indices.sort().values.numpy()
    y, index = cypool.k_max_pool1d(x, k, True)
    assert np.array_equal(index, wanted) and np.array_equal(y, np.take_along_axis(x, wanted, 2))
    last, index = cypool.k_max_pool1d(np.ascontiguousarray(np.moveaxis(x, 1, 2)), k, True, data_format="channels_last")
    assert np.array_equal(np.moveaxis(index, 2, 1), wanted) and np.array_equal(np.moveaxis(last, 2, 1), y)


def test_hostile_k():
    x = np.ones((1, 2, 5))
    for k, error in ((-1, ValueError), (6, ValueError), (2.0, TypeError), (True, TypeError), ("2", TypeError),
                     (2**70, ValueError)):
        with pytest.raises(error, match="k must"):
            cypool.k_max_pool1d(x, k)
    for given, name in (((0, 1, 1), "k_top"), ((1, 0, 1), "layer"), ((1, 2, 1), "layer"), ((1, 1, 0), "num_layers"),
                        ((6, 1, 1), "k")):
        with refused(ValueError, name):
            cypool.dynamic_k_max_pool1d(x, *given)
    with refused(ValueError, "x"):
        cypool.k_max_pool1d(np.ones((2, 0)), 0)
    assert cypool.k_max_pool1d(np.ones((0, 2, 5)), 2).shape == (0, 2, 2)
    with refused(ValueError, "indices", 5):
        cypool.k_max_pool1d_backward(np.ones((1, 2, 1)), np.full((1, 2, 1), 5), x.shape)


# ---------------------------------------------------------------------------- matrices

def test_blocks_of_socher(isa):
    """17 rows in 5 blocks: 3 3 3 4 4; 3 in 5: each row twice, and the last block two of these."""
    x = np.arange(17.0)[None, :, None]
    assert cypool.dynamic_pool2d(x, (5, 1)).ravel().tolist() == [0, 3, 6, 9, 13]
    assert cypool.dynamic_pool2d(x, (5, 1), op="max").ravel().tolist() == [2, 5, 8, 12, 16]
    assert cypool.dynamic_pool2d(x[:, :3], (5, 1), op="avg").ravel().tolist() == [0, 0, 1, 1, 2]
    assert cypool.dynamic_pool2d(x[:, :3], (7, 1), op="avg").ravel().tolist() == [0, 0, 0, 1, 1, 1.5, 2]
    assert cypool.dynamic_pool2d(x, (17, 1)).ravel().tolist() == x.ravel().tolist()


def test_hostile_matrices():
    x = np.ones((1, 4, 4))
    for op, error in (("sum", ValueError), (None, TypeError)):
        with pytest.raises(error, match="op"):
            cypool.dynamic_pool2d(x, 2, op=op)
    with refused(ValueError, "return_indices"):
        cypool.dynamic_pool2d(x, 2, True, op="avg")
    for size, error in ((0, ValueError), (-2, ValueError), ((1, 2, 3), ValueError), (1.5, TypeError),
                        (None, TypeError)):
        with pytest.raises(error, match="output_size"):
            cypool.dynamic_pool2d(x, size)
    with refused(ValueError, "output_size"):
        cypool.dynamic_pool2d(x, 2**30)
    with refused(TypeError, "indices"):
        cypool.dynamic_pool2d_backward(np.ones((1, 2, 2)), None, x.shape)
    with refused(TypeError, "output_size"):
        cypool.dynamic_pool2d_backward(np.ones((1, 2, 2)), None, x.shape, op="avg")
