"""Algebra that pooling must obey, whatever computes it."""

import numpy as np
import pytest
from cases import DTYPES, full_range, ties
from operators import GLOBAL, KINDS, OPERATORS, WINDOWED, ids

import cypool

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def pool(kind, ndim):
    return getattr(cypool, f"{kind}_pool{ndim}d")


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_scaling_and_shifting(op, isa):
    """Linear operators are linear; max and min commute with growing straight lines; averages keep constants."""
    rng = np.random.default_rng(1)
    for _ in range(10):
        shape, window = op.random_call(rng, "channels_first")
        x, other = rng.normal(size=shape), rng.normal(size=shape)
        y = op.forward(x, **window)
        if op.chooses:
            np.testing.assert_array_equal(op.forward(2 * x, **window), 2 * y)
            np.testing.assert_array_equal(op.forward(x + 1, **window), y + 1)
            assert (op.forward(np.maximum(x, other), **window) >= y).all()
        else:
            combined = op.forward(2 * x - 3 * other, **window)
            np.testing.assert_allclose(combined, 2 * y - 3 * op.forward(other, **window), **CLOSE)
        if op.kind != "sum" and "divisor_override" not in window:
            if op.has_divisor:
                window["count_include_pad"] = False
            constant = op.forward(np.full(shape, 0.1, np.float32), **window)
            np.testing.assert_allclose(constant, np.float32(0.1), rtol=2e-6)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_min_is_max_of_the_negative(ndim, isa):
    rng = np.random.default_rng(2)
    op = next(op for op in WINDOWED if op.name == f"max_pool{ndim}d")
    for _ in range(20):
        shape, window = op.random_call(rng, "channels_first")
        x = ties(rng, shape, np.float32)
        low, low_indices = pool("min", ndim)(x, **window, return_indices=True)
        high, high_indices = pool("max", ndim)(-x, **window, return_indices=True)
        np.testing.assert_array_equal(low, -high)
        np.testing.assert_array_equal(low_indices, high_indices)


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_stacked_windows(kind, ndim, isa):
    """Two windows in a row are one of k1 + k2 - 1: three times 5 is 13."""
    x = np.random.default_rng(3).normal(size=(2, 3, *(20, 21, 22)[:ndim])).astype(np.float32)
    f = pool(kind, ndim)
    once = f(x, 5, 1, "same")
    twice = f(once, 5, 1, "same")
    np.testing.assert_array_equal(twice, f(x, 9, 1, "same"))
    np.testing.assert_array_equal(f(twice, 5, 1, "same"), f(x, 13, 1, "same"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_separable(kind, ndim, isa):
    rng = np.random.default_rng(4)
    for _ in range(10):
        kernel = [int(k) for k in rng.integers(1, 6, ndim)]
        stride = [int(s) for s in rng.integers(1, 4, ndim)]
        x = rng.normal(size=(2, 3, *(11, 12, 13)[:ndim]))
        steps = x
        for a in range(ndim):
            only = [kernel[b] if a == b else 1 for b in range(ndim)]
            steps = pool(kind, ndim)(steps, only, [stride[b] if a == b else 1 for b in range(ndim)])
        np.testing.assert_allclose(steps, pool(kind, ndim)(x, kernel, stride), **CLOSE)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_average_is_sum_over_count(ndim, isa):
    rng = np.random.default_rng(5)
    op = next(op for op in WINDOWED if op.name == f"sum_pool{ndim}d")
    for _ in range(20):
        shape, window = op.random_call(rng, "channels_first")
        x = rng.normal(size=shape)
        counts = pool("sum", ndim)(np.ones(shape), **window)
        average = pool("avg", ndim)(x, **window, count_include_pad=False)
        np.testing.assert_allclose(average, pool("sum", ndim)(x, **window) / counts, **CLOSE)
        only_sum = pool("avg", ndim)(x, **window, divisor_override=1)
        np.testing.assert_array_equal(only_sum, pool("sum", ndim)(x, **window))


def test_average_is_a_convolution(isa):
    x = np.random.default_rng(6).normal(size=50)
    got = cypool.avg_pool1d(x[None, None], 7, 1, 6)
    np.testing.assert_allclose(got[0, 0], np.convolve(x, np.full(7, 1 / 7)), **CLOSE)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_one_tap(op, name, isa):
    """A window of one tap is the identity, and with a stride a slice; integers change only in type."""
    rng = np.random.default_rng(7)
    x = full_range(rng, (2, 3, *(9, 8, 7)[: op.ndim]), DTYPES[name])
    np.testing.assert_array_equal(op.forward(x, 1), x.astype(op.forward(x, 1).dtype))
    for stride in (2, 3, 10):
        y = op.forward(x, 1, stride)
        strided = x[(..., *(slice(None, None, stride),) * op.ndim)]
        np.testing.assert_array_equal(y, strided.astype(y.dtype))


@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_dilation_is_pooling_of_interleaved_slices(op, isa):
    x = np.random.default_rng(8).normal(size=(2, 3, *(19, 17, 16)[: op.ndim]))
    for d in (2, 3):
        for axis in range(op.ndim):
            kernel = tuple(4 if a == axis else 2 for a in range(op.ndim))
            dilation = tuple(d if a == axis else 1 for a in range(op.ndim))
            whole = op.forward(x, kernel, 1, dilation=dilation)
            for r in range(d):
                part = (slice(None),) * (2 + axis) + (slice(r, None, d),)
                np.testing.assert_allclose(op.forward(x[part], kernel, 1), whole[part], **CLOSE)


@pytest.mark.parametrize("op", GLOBAL, ids=ids(GLOBAL))
def test_global_is_one_window_over_everything(op, isa):
    x = np.random.default_rng(9).normal(size=(2, 3, *(9, 8, 7)[: op.ndim]))
    np.testing.assert_allclose(op.forward(x), pool(op.kind, op.ndim)(x, x.shape[2:]), **CLOSE)


def test_pooling_without_overlap_is_a_reshape(isa):
    """An oracle of its own for a large plane, where tiles and threads are in use."""
    x = np.random.default_rng(10).normal(size=(2, 3, 512, 768)).astype(np.float32)
    for k in (2, 4, 8):
        blocks = x.reshape(2, 3, 512 // k, k, 768 // k, k)
        np.testing.assert_array_equal(cypool.max_pool2d(x, k), blocks.max((3, 5)))
        np.testing.assert_array_equal(cypool.min_pool2d(x, k), blocks.min((3, 5)))
        np.testing.assert_allclose(cypool.avg_pool2d(x, k), blocks.mean((3, 5), dtype=np.float64), atol=1e-6)


@pytest.mark.parametrize("k", [3, 13, 31, 63])
def test_sliding_windows_of_a_large_image(k, isa):
    """Against NumPy's own sliding windows, one axis after the other."""
    x = np.random.default_rng(11).normal(size=(300, 400)).astype(np.float32)
    view = np.lib.stride_tricks.sliding_window_view
    rows = view(x, k, axis=1)
    np.testing.assert_array_equal(cypool.max_pool2d(x[None], k, 1)[0], view(rows.max(-1), k, axis=0).max(-1))
    sums = view(rows.sum(-1, dtype=np.float64), k, axis=0).sum(-1)
    np.testing.assert_allclose(cypool.avg_pool2d(x[None], k, 1)[0], sums / k**2, atol=1e-6)
