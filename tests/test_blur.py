"""Anti-aliased pooling: against a plain correlation of the padded input, and its gradient as the adjoint."""

import math

import numpy as np
import pytest
from cases import DATA_FORMATS, FLOATS, refused, same_bits

import cypool

MODES = {"reflect": "reflect", "replicate": "edge", "zeros": "constant"}


def blurred(x, sizes, strides, mode):
    """The definition along one axis after the other, of (N, C, ...)."""
    for i, (f, s) in enumerate(zip(sizes, strides, strict=True)):
        axis = 2 + i
        width = [(0, 0)] * x.ndim
        width[axis] = ((f - 1) // 2, math.ceil((f - 1) / 2))
        padded = np.moveaxis(np.pad(x, width, mode=MODES[mode]), axis, -1)
        h = np.array([math.comb(f - 1, j) for j in range(f)]) / 2 ** (f - 1)
        rows = np.stack([padded[..., k : k + f] @ h for k in range(0, x.shape[axis], s)], -1)
        x = np.moveaxis(rows, -1, axis)
    return x


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_blur(ndim, data_format, mode, isa):
    rng = np.random.default_rng(ndim)
    forward, backward = getattr(cypool, f"blur_pool{ndim}d"), getattr(cypool, f"blur_pool{ndim}d_backward")
    order = (lambda a: np.moveaxis(a, 1, -1)) if data_format == "channels_last" else np.asarray
    for _ in range(8):
        f = [int(v) for v in rng.integers(1, 8, ndim)]
        s = [int(v) for v in rng.integers(1, 4, ndim)]
        sizes = [int(rng.integers(max(2, k // 2 + 1), 12)) for k in f]
        x = rng.normal(size=(2, 3, *sizes))
        options = {"padding_mode": mode, "data_format": data_format}
        y = forward(order(x), f, s, **options)
        expected = blurred(x, f, s, mode)
        assert y.shape == order(expected).shape and y.flags.c_contiguous
        np.testing.assert_allclose(y, order(expected), atol=1e-13)
        assert same_bits(forward(order(x), f, s, num_threads=3, **options), y)
        out = np.empty((*y.shape, 2))[..., 0]
        assert forward(order(x), f, s, out=out, **options) is out and np.array_equal(out, y)
        grad = rng.normal(size=y.shape)
        back = backward(grad, order(x).shape, f, s, **options)
        np.testing.assert_allclose((y * grad).sum(), (order(x) * back).sum(), rtol=1e-10, atol=1e-10)
        layer = getattr(cypool, f"BlurPool{ndim}d")(f, s, **options)
        assert same_bits(layer(order(x)), y) and same_bits(layer.backward(grad), back)


def test_published_values():
    x = np.arange(1.0, 7.0).reshape(1, 1, 6)
    for size, wanted in ((2, [1.5, 3.5, 5.5]), (3, [1.5, 3, 5]), (4, [1.75, 3.5, 5.25]), (5, [1.75, 3, 4.875])):
        np.testing.assert_array_equal(cypool.blur_pool1d(x, size)[0, 0], wanted)


@pytest.mark.parametrize("name", FLOATS)
def test_types(name, isa):
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 8)).astype(FLOATS[name])
    y = cypool.blur_pool2d(x, 3)
    eps = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[name]
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y.astype(np.float64), blurred(x.astype(np.float64), (3, 3), (2, 2), "reflect"),
                               atol=4 * eps)
    assert cypool.blur_pool2d_backward(y, x.shape, 3).dtype == x.dtype
    swapped = x.astype(x.dtype.newbyteorder()) if name != "bfloat16" else x
    assert same_bits(cypool.blur_pool2d(swapped[::-1], 3), cypool.blur_pool2d(x[::-1], 3))


def test_hostile_arguments():
    x = np.ones((1, 1, 4, 4))
    for given, error, mention in (({"filter_size": 0}, ValueError, "filter_size"),
                                  ({"filter_size": 65}, ValueError, "filter_size"),
                                  ({"filter_size": 8}, ValueError, "filter_size"),
                                  ({"filter_size": 2.0}, TypeError, "filter_size"),
                                  ({"stride": 0}, ValueError, "stride"),
                                  ({"padding_mode": "wrap"}, ValueError, "padding_mode"),
                                  ({"padding_mode": 0}, TypeError, "padding_mode")):
        with refused(error, mention):
            cypool.blur_pool2d(x, **given)
    with refused(TypeError, "x"):
        cypool.blur_pool2d(x.astype(int))
    with refused(ValueError, "grad_output"):
        cypool.blur_pool2d_backward(np.ones((1, 1, 3, 2)), x.shape, 3)
