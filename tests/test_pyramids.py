"""Pyramids are poolings side by side."""

import numpy as np
import pytest
from cases import BOOL, DATA_FORMATS, DTYPES, FLOATS, refused, same_bits, ties

import cypool


def adaptive(mode, ndim):
    return getattr(cypool, f"adaptive_{mode}_pool{ndim}d")


@pytest.mark.parametrize("mode", ["max", "avg"])
@pytest.mark.parametrize("name", [*DTYPES, *BOOL])
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_spatial_pyramid(ndim, data_format, name, mode, isa):
    if name == "bool" and mode == "avg":
        pytest.skip("no averages of bools")
    rng = np.random.default_rng(ndim)
    dtype = {**DTYPES, **BOOL}[name]
    order = (lambda a: np.moveaxis(a, 1, -1)) if data_format == "channels_last" else np.asarray
    for levels in ((1, 2, 4), [3, 1], ((1,) * ndim, (2, *(1,) * (ndim - 1)))):
        x = ties(rng, (2, 3, *rng.integers(2, 8, ndim)), dtype)
        parts = [adaptive(mode, ndim)(x, level) for level in levels]
        expected = np.concatenate([part.reshape(2, -1) for part in parts], 1)
        y = cypool.spatial_pyramid_pool(order(x), levels, mode=mode, data_format=data_format)
        assert same_bits(y, expected)
        if name not in FLOATS:
            continue
        grad = rng.normal(size=y.shape)
        back = cypool.spatial_pyramid_pool_backward(grad, order(x), levels, mode=mode, data_format=data_format)
        wanted, begin = 0, 0
        for part, level in zip(parts, levels, strict=True):
            g = grad[:, begin : begin + part[0].size].reshape(part.shape)
            begin += part[0].size
            if mode == "max":
                chosen = adaptive(mode, ndim)(x, level, return_indices=True)[1]
                wanted += getattr(cypool, f"adaptive_max_pool{ndim}d_backward")(g, chosen, x.shape)
            else:
                wanted += getattr(cypool, f"adaptive_avg_pool{ndim}d_backward")(g, x.shape)
        np.testing.assert_allclose(back, order(wanted), atol=1e-12)
        layer = cypool.SpatialPyramidPool(levels, mode=mode, data_format=data_format)
        assert same_bits(layer(order(x)), y) and same_bits(layer.backward(grad), back)


@pytest.mark.parametrize("name", [*DTYPES, *BOOL])
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_sppf(ndim, data_format, name, isa):
    rng = np.random.default_rng(ndim)
    axis = -1 if data_format == "channels_last" else 1
    pool = getattr(cypool, f"max_pool{ndim}d")
    for kernel, repeats in ((5, 3), (3, 2), (1, 1), (3, 0)):
        x = ties(rng, (2, 3, *rng.integers(2, 9, ndim)), {**DTYPES, **BOOL}[name])
        x = np.moveaxis(x, 1, -1) if data_format == "channels_last" else x
        parts = [x]
        for _ in range(repeats):
            parts.append(pool(parts[-1], kernel, 1, "same", data_format=data_format))
        y = cypool.sppf(x, kernel, repeats, data_format=data_format)
        assert same_bits(y, np.ascontiguousarray(np.concatenate(parts, axis)))
        for i, part in enumerate(parts):                        # of repeated maxima and of one of a wider window
            wide = pool(x, 1 + i * (kernel - 1), 1, "same", data_format=data_format)
            assert np.array_equal(part, wide, equal_nan=name in FLOATS)
        layer = cypool.Sppf(kernel, repeats, data_format=data_format)
        assert same_bits(layer(x), y)
        if name in FLOATS:
            grad = rng.normal(size=y.shape)
            back = cypool.sppf_backward(grad, x, kernel, repeats, data_format=data_format)
            assert same_bits(layer.backward(grad), back)
            np.testing.assert_allclose(back.sum(), grad.sum(), rtol=1e-9, atol=1e-9)


def test_gradients_are_differences():
    rng = np.random.default_rng(0)
    x = rng.permutation(2 * 2 * 7 * 8).reshape(2, 2, 7, 8) / 10.0             # no ties
    direction = rng.normal(size=x.shape) * 1e-3
    for forward, backward, args, options in (
        (cypool.sppf, cypool.sppf_backward, (3, 3), {}),
        (cypool.spatial_pyramid_pool, cypool.spatial_pyramid_pool_backward, ((1, 2, 3),), {"mode": "max"}),
        (cypool.spatial_pyramid_pool, cypool.spatial_pyramid_pool_backward, ((1, 2, 3),), {"mode": "avg"}),
    ):
        grad = rng.normal(size=forward(x, *args, **options).shape)
        slope = ((forward(x + direction, *args, **options) - forward(x - direction, *args, **options)) * grad).sum() / 2
        np.testing.assert_allclose((backward(grad, x, *args, **options) * direction).sum(), slope, rtol=1e-9)


@pytest.mark.parametrize(("call", "error", "mention"), [
    (lambda x: cypool.spatial_pyramid_pool(x, 3), TypeError, "levels"),
    (lambda x: cypool.spatial_pyramid_pool(x, ()), ValueError, "levels"),
    (lambda x: cypool.spatial_pyramid_pool(x, (0, 1)), ValueError, "levels"),
    (lambda x: cypool.spatial_pyramid_pool(x, (1.5,)), TypeError, "levels"),
    (lambda x: cypool.spatial_pyramid_pool(x, mode="sum"), ValueError, "mode"),
    (lambda x: cypool.spatial_pyramid_pool(x, mode=1), TypeError, "mode"),
    (lambda x: cypool.spatial_pyramid_pool(x[0, 0]), ValueError, "x"),
    (lambda x: cypool.spatial_pyramid_pool(x, out=np.empty((2, 3))), ValueError, "out"),
    (lambda x: cypool.spatial_pyramid_pool_backward(np.ones((2, 3)), x), ValueError, "grad_output"),
    (lambda x: cypool.sppf(x, 4), ValueError, "kernel_size"),
    (lambda x: cypool.sppf(x, 5, -1), ValueError, "repeats"),
    (lambda x: cypool.sppf(x, 5, 2.0), TypeError, "repeats"),
    (lambda x: cypool.sppf(x, 5, 2**31 - 1), (ValueError, MemoryError), ""),
    (lambda x: cypool.sppf_backward(np.ones((2, 3, 6, 6)), x), ValueError, "grad_output"),
])
def test_hostile_arguments(call, error, mention):
    with refused(error, mention):
        call(np.ones((2, 3, 6, 6)))
