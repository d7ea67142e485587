"""Adaptive pooling: published bins, the sizes at both ends, and what `output_size` may be."""

import numpy as np
import pytest
from cases import refused
from operators import ADAPTIVE, ids, plain

import cypool


def pool(kind, ndim):
    return getattr(cypool, f"{kind}_pool{ndim}d")


def test_bins_by_hand(isa):
    x = np.arange(7.0).reshape(1, 1, 7)
    assert cypool.adaptive_max_pool1d(x, 4).ravel().tolist() == [1, 3, 5, 6]  # (0, 2) (1, 4) (3, 6) (5, 7)
    assert cypool.adaptive_avg_pool1d(x, 4).ravel().tolist() == [0.5, 2, 4, 5.5]
    back = cypool.adaptive_avg_pool1d_backward(np.ones((1, 1, 3)), (1, 1, 5))
    np.testing.assert_allclose(back.ravel(), [1 / 2, 5 / 6, 1 / 3, 5 / 6, 1 / 2], rtol=1e-15)


@pytest.mark.parametrize("op", ADAPTIVE, ids=ids(ADAPTIVE))
def test_other_pooling_is_a_special_case(op, isa):
    x = np.random.default_rng(1).normal(size=(2, 3, *(12, 8, 6)[: op.ndim]))
    np.testing.assert_allclose(op.forward(x, 2), pool(op.kind, op.ndim)(x, [n // 2 for n in x.shape[2:]]), rtol=1e-14)
    whole = cypool.global_max_pool if op.chooses else cypool.global_avg_pool
    np.testing.assert_allclose(op.forward(x, 1), whole(x), rtol=1e-14)
    np.testing.assert_array_equal(op.forward(x, None), x)
    np.testing.assert_array_equal(op.forward(x, (None,) * op.ndim), x)
    repeated = op.forward(x, [3 * n for n in x.shape[2:]])
    for axis in range(2, x.ndim):
        x = np.repeat(x, 3, axis)
    np.testing.assert_array_equal(repeated, x)


@pytest.mark.parametrize("op", ADAPTIVE, ids=ids(ADAPTIVE))
def test_nothing_comes_out_of_no_bins(op, isa):
    x = plain(op)
    y, indices = op.run(x, {"output_size": (2,) * (op.ndim - 1) + (0,)})
    assert y.shape == (2, 3, *(2,) * (op.ndim - 1), 0)
    back = op.run_backward(y, x.shape, {}, indices)
    assert back.shape == x.shape and not back.any()


@pytest.mark.parametrize("out", [5, 7, 40, 99, 100, 101, 333])
@pytest.mark.parametrize("op", [op for op in ADAPTIVE if op.ndim == 2], ids=lambda op: op.id)
def test_bins_narrow_and_wide(op, out, isa):
    """Wide bins, narrow ones and single elements, along long rows and many of them, against slices."""
    x = np.random.default_rng(out).normal(size=(1, 2, 130, 333)).astype(np.float32)
    for data in (x, np.ascontiguousarray(x.swapaxes(2, 3))):
        h, w = data.shape[2:]
        y = op.forward(data, (7, out))
        last = op.forward(np.moveaxis(data, 1, -1), (7, out), data_format="channels_last")
        np.testing.assert_allclose(np.moveaxis(last, -1, 1), y, rtol=1e-5, atol=1e-6)
        for i, j in ((0, 0), (3, out // 2), (6, out - 1)):
            part = data[..., i * h // 7 : -(-(i + 1) * h // 7), j * w // out : -(-(j + 1) * w // out)]
            wanted = part.max((2, 3)) if op.chooses else part.mean((2, 3), dtype=np.float64)
            np.testing.assert_allclose(y[..., i, j], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ADAPTIVE, ids=ids(ADAPTIVE))
def test_output_sizes(op):
    for bad in (-1, (2,) * (op.ndim + 1), 2**80, 2**40, 2**26 + 1, ()):
        with refused(ValueError, "output_size", bad):
            op.forward(plain(op), bad)
    for bad in (2.0, "2", True, object):
        with refused(TypeError, "output_size"):
            op.forward(plain(op), bad)
