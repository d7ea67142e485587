"""Weighted sums of rows long enough for whole vectors, bands and runs, against NumPy; every build the same bits."""

import numpy as np
import pytest
from cases import DATA_FORMATS, same_bits

import cypool
from cypool import dispatch
from cypool.pieces import extended, tap_views
from cypool.windows import regular

# spatial shape, kernel, stride, padding, dilation
GEOMETRIES = [
    ((9000,), (3,), (1,), (1,), (1,)),
    ((9000,), (4,), (2,), (0,), (3,)),
    ((700,), (5,), (3,), (2,), (1,)),
    ((40, 56), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((57, 57), (3, 3), (2, 2), (0, 0), (1, 1)),
    ((31, 66), (2, 5), (3, 2), (1, 2), (2, 1)),
    ((300, 310), (3, 3), (2, 2), (1, 1), (1, 1)),
    ((20, 35), (2, 2), (5, 40), (0, 0), (1, 1)),
    ((9, 10, 37), (3, 2, 3), (2, 1, 2), (1, 0, 1), (1, 2, 1)),
]


def by_taps(x, weights, windows, last):
    """The sums tap by tap, and the gradients for gradients of ones times the results' places."""
    wide = extended(x, windows, last, np.float64)
    back, made, y = np.zeros_like(wide), np.zeros(weights.shape), 0.0
    views = list(tap_views(wide, windows, last))
    every = np.moveaxis(weights, 0, -1) if weights.ndim > len(windows.axes) else weights[..., None]

    def weight(tap):
        w = every[tap]
        return w if last else w.reshape(-1, *(1,) * len(windows.axes))

    for tap, view in views:
        y = y + view * weight(tap)
    d = np.cos(np.arange(y.size)).reshape(y.shape)
    for (tap, view), (_, target) in zip(views, tap_views(back, windows, last), strict=True):
        target += d * weight(tap)
        product = d * view if last else np.moveaxis(d * view, 1, -1)
        sums = product.reshape(-1, product.shape[-1]).sum(0)
        made[(slice(None), *tap) if weights.ndim > len(windows.axes) else tap] = (
            sums if weights.ndim > len(windows.axes) else sums.sum())
    inside = tuple(slice(a.padding, a.padding + a.size) for a in windows.axes)
    return y, d, back[(slice(None), *inside) if last else (slice(None), slice(None), *inside)], made


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_long_rows(geometry, data_format, dtype):
    spatial, kernel, stride, padding, dilation = geometry
    ndim, last = len(spatial), data_format == "channels_last"
    rng = np.random.default_rng(0)
    windows = regular(spatial, kernel, stride, tuple((p, p) for p in padding), dilation, False)
    for channels, shared in ((1, True), (3, False), (21, False), (18, True)):
        x = rng.normal(size=(2, *spatial, channels) if last else (2, channels, *spatial)).astype(dtype)
        weights = rng.normal(size=kernel if shared else (channels, *kernel)).astype(dtype)
        options = {"stride": stride, "padding": padding, "dilation": dilation, "data_format": data_format}
        wanted = by_taps(x.astype(np.float64), weights.astype(np.float64), windows, last)
        found = []
        before = dispatch.in_use()
        for build in dispatch.available():
            dispatch.use(build)
            y = getattr(cypool, f"weighted_pool{ndim}d")(x, weights, **options)
            back = getattr(cypool, f"weighted_pool{ndim}d_backward")
            found.append((y, *back(wanted[1].astype(dtype), x, weights, **options)))
        dispatch.use(before)
        for made in found:
            for a, b in zip(made, (wanted[0], *wanted[2:]), strict=True):
                eps = 1e-13 if dtype is np.float64 else 2e-5
                np.testing.assert_allclose(a, b, rtol=0, atol=eps * max(1, abs(b).max()))
            assert all(map(same_bits, made, found[0]))


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("shape", [(300, 310), (64, 65), (5, 20)])
def test_long_blurs(shape, data_format):
    """The same bits from every build, and the gradient is the adjoint."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, *shape) if data_format == "channels_first" else (2, *shape, 3)).astype(np.float32)
    for size, stride in ((4, 2), (3, 1), ((2, 5), (3, 2))):
        found = []
        before = dispatch.in_use()
        for build in dispatch.available():
            dispatch.use(build)
            y = cypool.blur_pool2d(x, size, stride, data_format=data_format)
            grad = np.sin(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
            found.append((y, cypool.blur_pool2d_backward(grad, x.shape, size, stride, data_format=data_format)))
        dispatch.use(before)
        assert all(all(map(same_bits, made, found[0])) for made in found)
        y, back = (a.astype(np.float64) for a in found[0])
        np.testing.assert_allclose((y * grad).sum(), (x * back).sum(), rtol=1e-4, atol=1e-3)
