"""Sampled operators: against the definition given the same draws, and in their statistics."""

import numpy as np
import pytest
import reference
from cases import DATA_FORMATS, DTYPES, FLOATS, random_geometry, random_shape, refused, same_bits, ties

import cypool

DIMENSIONS = pytest.mark.parametrize("ndim", [1, 2, 3])


def function(name, ndim, backward=""):
    return getattr(cypool, f"{name}{ndim}d{backward}")


# ---------------------------------------------------------------------------- stochastic

def drawn(x, ndim, window, u, data_format):
    """The element of each window at which the running sum passes ``u`` of the whole, one window after the other."""
    planes = reference.planes(x, ndim, data_format).astype(np.float64)
    axes = reference.geometry(planes.shape[2:], **window)
    shape = (*planes.shape[:2], *(ax.o for ax in axes))
    values, indices = np.empty(shape), np.empty(shape, np.int64)
    for at in np.ndindex(shape):
        coordinates = [[i * ax.s - ax.p0 + j * ax.d for j in range(ax.k) if 0 <= i * ax.s - ax.p0 + j * ax.d < ax.n]
                       for i, ax in zip(at[2:], axes, strict=True)]
        places = [tuple(c) for c in np.array(np.meshgrid(*coordinates, indexing="ij")).reshape(ndim, -1).T]
        a = [planes[at[:2]][p] for p in places]
        running = np.cumsum(a)
        later = np.nonzero(u[at] * running[-1] < running)[0]
        best = int(later[0]) if len(later) else 0
        values[at], indices[at] = a[best], np.ravel_multi_index(places[best], planes.shape[2:])
    return values, indices


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@DIMENSIONS
def test_stochastic_draws(ndim, data_format, name):
    rng = np.random.default_rng(ndim)
    for seed in range(5):
        while True:
            spatial, window = random_geometry(rng, ndim, 7)
            shape = random_shape(rng, spatial, data_format, batched=True)
            if np.prod(shape) < 2000:
                break
        x = np.abs(ties(rng, shape, FLOATS[name]))
        y, indices = function("stochastic_pool", ndim)(x, **window, rng=seed, return_indices=True,
                                                       data_format=data_format)
        planes = np.moveaxis(y, -1, 1) if data_format == "channels_last" else y
        u = np.random.default_rng(seed).random(planes.shape)
        values, wanted = drawn(x, ndim, window, u, data_format)
        order = (lambda a: np.moveaxis(a, 1, -1)) if data_format == "channels_last" else np.asarray
        assert np.array_equal(y.astype(np.float64), order(values)) and np.array_equal(indices, order(wanted))
        assert indices.dtype == np.int64 and y.dtype == x.dtype
        again = function("stochastic_pool", ndim)(x, **window, rng=np.random.default_rng(seed), num_threads=3,
                                                  data_format=data_format)
        assert same_bits(again, y)
        grad = rng.normal(size=y.shape)
        back = function("stochastic_pool", ndim, "_backward")(grad, indices, x.shape, data_format=data_format)
        expected = reference.scatter(ndim, grad, wanted if data_format == "channels_first" else order(wanted), x.shape,
                                     data_format)
        np.testing.assert_allclose(back, expected.values.astype(np.float64), atol=1e-12)
        layer = getattr(cypool, f"StochasticPool{ndim}d")(**window, rng=seed, data_format=data_format)
        assert same_bits(layer(x), y) and same_bits(layer.backward(grad), back)


def test_stochastic_frequencies():
    """40 000 draws from one window: each within five standard deviations of its probability."""
    n, a = 40_000, np.array([1.0, 2.0, 0.0, 3.0, 4.0])
    x = np.broadcast_to(a, (n, 1, 5))
    y, indices = cypool.stochastic_pool1d(x, 5, rng=0, return_indices=True)
    share = np.bincount(indices.ravel(), minlength=5) / n
    p = a / a.sum()
    assert (abs(share - p) <= 5 * np.sqrt(p * (1 - p) / n)).all() and share[2] == 0
    mean = cypool.stochastic_pool1d(x[:1], 5, training=False)[0, 0, 0]
    assert mean == 3.0
    assert abs(y.mean() - mean) <= 5 * y.std() / np.sqrt(n)


def test_stochastic_edges():
    zero = cypool.stochastic_pool1d(np.zeros((1, 1, 4)), 2, rng=0, return_indices=True)
    np.testing.assert_array_equal(zero[1], [[[0, 2]]])
    assert (cypool.stochastic_pool1d(np.zeros((1, 1, 4)), 2, training=False) == 0).all()
    assert (cypool.stochastic_pool1d_inference_backward(np.ones((1, 1, 2)), np.zeros((1, 1, 4)), 2) == 0).all()
    x = np.array([[[np.nan, 1.0, np.nan, np.inf, 1.0, np.inf, 2.0, 0.0]]])
    y, indices = cypool.stochastic_pool1d(x, 4, 4, rng=0, return_indices=True)
    np.testing.assert_array_equal(y, [[[np.nan, np.inf]]])
    np.testing.assert_array_equal(indices, [[[2, 5]]])
    tiny = np.full((1, 1, 2), 1e-300)
    np.testing.assert_allclose(cypool.stochastic_pool1d(tiny, 2, training=False), 1e-300)
    np.testing.assert_allclose(cypool.stochastic_pool1d_inference_backward(np.ones((1, 1, 1)), tiny, 2), 0.5)
    for bad in (-1.0, -np.inf):
        with refused(ValueError, "x"):
            cypool.stochastic_pool1d(np.array([[[1.0, bad]]]), 2)


# ---------------------------------------------------------------------------- fractional

def regions(n, k, o, u):
    """Where regions along an axis begin, as the definition has it."""
    step = (n - k) / max(o - 1, 1)
    return [int((i + u) * step) - int(u * step) for i in range(o - 1)] + [n - k]


@pytest.mark.parametrize("name", [*DTYPES, "bool"])
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_fractional_regions(ndim, data_format, name):
    rng = np.random.default_rng(ndim)
    for i in range(5):
        sizes = rng.integers(3, 9, ndim)
        kernel = [int(k) for k in rng.integers(1, 4, ndim)]
        if i == 4:  # more than 256 elements
            sizes = rng.integers(20, 23, ndim) // (1 if ndim == 2 else 2)
            kernel = [int(n) - 2 for n in sizes]
        outputs = [int(rng.integers(1, n - k + 2)) for n, k in zip(sizes, kernel, strict=True)]
        x = ties(rng, (2, 3, *sizes), DTYPES.get(name, np.dtype(bool)))
        samples = rng.random((2, 3, ndim))
        order = (lambda a: np.moveaxis(a, 1, -1)) if data_format == "channels_last" else np.asarray
        y, indices = function("fractional_max_pool", ndim)(order(x), kernel, outputs, None, True,
                                                           random_samples=samples, data_format=data_format)
        for n, c in np.ndindex(2, 3):
            begin = [regions(*args) for args in zip(sizes, kernel, outputs, samples[n, c], strict=True)]
            for at in np.ndindex(*outputs):
                box = tuple(slice(b[i], b[i] + k) for b, i, k in zip(begin, at, kernel, strict=True))
                part = x[n, c][box]
                first = np.unravel_index(np.argmax(part), part.shape)
                place = np.ravel_multi_index([s.start + i for s, i in zip(box, first, strict=True)], tuple(sizes))
                here = (n, *at, c) if data_format == "channels_last" else (n, c, *at)
                assert y[here] == part.max() and indices[here] == place
        if name in FLOATS:
            grad = rng.normal(size=y.shape).astype(np.float64)
            back = function("fractional_max_pool", ndim, "_backward")(grad, indices, order(x).shape,
                                                                      data_format=data_format)
            np.testing.assert_allclose(back.sum(), grad.sum(), atol=1e-12)


def test_fractional_published_sequences():
    """n = 9, o = 5, k = 2."""
    for u, begin in ((0, [0, 1, 3, 5, 7]), (0.25, [0, 2, 3, 5, 7]), (0.5, [0, 2, 4, 6, 7]), (0.99, [0, 2, 4, 5, 7])):
        x = np.arange(9.0).reshape(1, 1, 1, 9)
        y = cypool.fractional_max_pool2d(x, (1, 2), (1, 5), random_samples=np.array([[[0.5, u]]]))
        assert (y.ravel() - 1).tolist() == begin


def test_fractional_draws_and_ratios():
    x = np.random.default_rng(0).normal(size=(2, 3, 20, 21))
    y, indices = cypool.fractional_max_pool2d(x, 2, output_ratio=0.6, return_indices=True, rng=1)
    assert y.shape == (2, 3, 12, 12)
    assert np.array_equal(y, np.take_along_axis(x.reshape(2, 3, -1), indices.reshape(2, 3, -1), 2).reshape(y.shape))
    assert same_bits(y, cypool.fractional_max_pool2d(x, 2, output_ratio=(0.6, 0.6), rng=1, num_threads=4))
    assert not np.array_equal(y, cypool.fractional_max_pool2d(x, 2, output_ratio=0.6, rng=2))
    layer = cypool.FractionalMaxPool2d(2, output_ratio=0.6, rng=1)
    assert same_bits(layer(x), y)
    grad = np.ones_like(y)
    assert same_bits(layer.backward(grad), cypool.fractional_max_pool2d_backward(grad, indices, x.shape))
    nan = np.array([[[[1.0, np.nan, np.nan, 0.0]]]])
    y, indices = cypool.fractional_max_pool2d(nan, (1, 4), (1, 1), return_indices=True)
    assert np.isnan(y).all() and indices.item() == 2


@pytest.mark.parametrize(("given", "error", "mention"), [
    ({"output_size": 3, "output_ratio": 0.5}, ValueError, "output_size"),
    ({}, ValueError, "output_size"),
    ({"output_size": 8}, ValueError, "output_size"),
    ({"output_size": 0}, ValueError, "output_size"),
    ({"output_size": 2.5}, TypeError, "output_size"),
    ({"output_ratio": 1.0}, ValueError, "output_ratio"),
    ({"output_ratio": (0.5,)}, ValueError, "output_ratio"),
    ({"output_size": 3, "random_samples": np.ones((1, 1, 2))}, ValueError, "random_samples"),
    ({"output_size": 3, "random_samples": np.zeros((1, 2, 2))}, ValueError, "random_samples"),
    ({"output_size": 3, "random_samples": np.zeros((1, 1, 2), int)}, TypeError, "random_samples"),
])
def test_fractional_refuses(given, error, mention):
    with refused(error, mention):
        cypool.fractional_max_pool2d(np.ones((1, 1, 8, 8)), 2, **given)


# ---------------------------------------------------------------------------- drawn mixtures

@DIMENSIONS
def test_random_mixture(ndim):
    rng = np.random.default_rng(ndim)
    x = rng.normal(size=(4, 6, *(6,) * ndim))
    y, alpha = function("random_mixed_pool", ndim)(x, 2, rng=3)
    assert alpha.shape == (4, 6) and set(alpha.ravel()) == {0.0, 1.0}
    high, low = function("max_pool", ndim)(x, 2), function("avg_pool", ndim)(x, 2)
    np.testing.assert_allclose(y, np.where(alpha.reshape(4, 6, *(1,) * ndim) == 1, high, low), rtol=1e-12)
    last, same = function("random_mixed_pool", ndim)(np.moveaxis(x, 1, -1), 2, rng=3, data_format="channels_last")
    assert np.array_equal(same, alpha) and np.allclose(np.moveaxis(last, -1, 1), y)
    half, given = function("random_mixed_pool", ndim)(x, 2, training=False)
    assert given == 0.5
    np.testing.assert_allclose(half, (high + low) / 2, atol=1e-12)
    layer = getattr(cypool, f"RandomMixedPool{ndim}d")(2, rng=3)
    assert same_bits(layer(x), y)
    grad = rng.normal(size=y.shape)
    assert same_bits(layer.backward(grad), function("mixed_pool", ndim, "_backward")(grad, x, alpha, 2)[0])
    share = function("random_mixed_pool", ndim)(np.ones((100, 100, *(1,) * ndim)), 1, rng=0)[1].mean()
    assert abs(share - 0.5) < 0.025
