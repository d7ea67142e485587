"""The compiled loops of means: their functions by windows of one element, and beside NumPy's way on larger arrays."""

import numpy as np
import pytest
from cases import DATA_FORMATS
from formulas import FORMULAS, data

import cypool
from cypool import fused

COMPILED = [f for f in FORMULAS if f.name in ("lp_pool", "gem_pool", "lse_pool", "soft_pool", "attention_pool")]


@pytest.fixture
def without_loops(monkeypatch):
    """Call a function by NumPy's way alone."""

    def call(function, *args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr(fused, "REACH", 0)
            return function(*args, **kwargs)

    return call


def within(actual, expected, ulps):
    """Within so many units in the last place of the type that it is."""
    spacing = np.spacing(np.abs(expected).astype(actual.dtype)).astype(np.float64)
    worst = np.max(np.abs(actual.astype(np.longdouble) - expected) / spacing)
    assert worst <= ulps, worst


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions(dtype, isa):
    """Exponentials, logarithms and roots: of one element all of these are the element."""
    rng = np.random.default_rng(0)
    size = np.exp(rng.uniform(-6, 6, (1, 1, 5003))).astype(dtype)
    x = size * rng.choice([-1, 1], size.shape).astype(dtype)
    for p in (1, 2, 3, 4):
        within(cypool.lp_pool1d(x, p, 1), size, 2)
        within(cypool.gem_pool1d(size, p, 1), size, 2)
    small = np.clip(x, -30, 30)
    within(cypool.soft_pool1d(small, 1), small, 1)
    within(cypool.attention_pool1d(x, small[..., ::-1].copy(), 1), x, 1)
    for scale in (1, 1e-3, 1e-6):                               # near 0 as well
        t = (small * scale).astype(dtype)
        within(cypool.lse_pool1d(t, 1.0, 1), t.astype(np.longdouble), 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials(dtype, isa):
    """Weights of two elements whose difference is known, from nothing to overflow."""
    low = {np.float32: -87.0, np.float64: -700.0}[dtype]
    x = np.linspace(0, low, 4001).astype(dtype).reshape(1, 1, -1, 1)
    pairs = np.concatenate([np.zeros_like(x), x], axis=3)
    weights = cypool.soft_pool2d_backward(np.ones_like(x), pairs, (1, 2), weights_only=True)[..., 1:]
    e = np.exp(x.astype(np.longdouble))
    within(weights, e / (1 + e), 4)
    nothing = np.where(x < -1, -np.inf, pairs).astype(dtype)
    assert np.all(cypool.attention_pool2d(pairs, nothing, (1, 2)).ravel()[2000:] == 0)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("formula", COMPILED, ids=[f.name for f in COMPILED])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 1), ((1, 5), (2, 3), (0, 2)), (9, 4, 3)])
def test_beside_numpy(formula, window, dtype, data_format, without_loops, isa):
    rng = np.random.default_rng(3)
    shape = (2, 3, 37, 45) if data_format == "channels_first" else (2, 37, 45, 3)
    x = data(rng, formula, shape, dtype)
    given = {"lp_pool": {"norm_type": 3}, "gem_pool": {"p": 3.0}, "lse_pool": {"r": 0.7}}.get(formula.name, {})
    if formula.name == "attention_pool":
        given = {"logits": rng.normal(size=shape).astype(dtype)}
    kernel, stride, padding = window
    window = {"kernel_size": kernel, "stride": stride, "padding": padding}
    wide = {k: v.astype(np.float64) if isinstance(v, np.ndarray) else v for k, v in given.items()}
    eps = {np.float16: 2e-3, np.float32: 1e-6, np.float64: 2e-15}[dtype]

    def close(made, expected):
        expected = np.asarray(expected, np.float64)
        assert np.max(np.abs(made.astype(np.float64) - expected)) <= eps * np.abs(expected).max()

    y = formula.run(x, window, given, 2, data_format=data_format)
    close(y, without_loops(formula.run, x.astype(np.float64), window, wide, 2, data_format=data_format))
    grad = rng.normal(size=y.shape).astype(dtype)
    made = formula.run_backward(grad, x, window, given, 2, data_format=data_format)
    expected = without_loops(formula.run_backward, grad.astype(np.float64), x.astype(np.float64), window, wide, 2,
                             data_format=data_format)
    for part, wanted in zip(made, expected, strict=True):
        if np.ndim(part):
            close(part, wanted)
        else:
            assert abs(part - wanted) <= 30 * eps * max(1, abs(wanted))


def test_windows_on_scale_do_not_see_others(isa):
    """What one window holds decides which way its piece goes, and nothing else's result."""
    x = np.random.default_rng(4).normal(size=(1, 2, 40, 40)).astype(np.float32)
    z = np.random.default_rng(5).normal(size=x.shape).astype(np.float32)
    other = x.copy()
    other[0, 0, 0, 0] = 3e38
    far = z.copy()
    far[0, 0, 0, 0] = 1e4
    for call in (lambda x, z: cypool.lp_pool2d(x, 2, 3, 2), lambda x, z: cypool.gem_pool2d(x, 3.0, 3, 2),
                 lambda x, z: cypool.lse_pool2d(x, 1.0, 3, 2), lambda x, z: cypool.soft_pool2d(x, 3, 2),
                 lambda x, z: cypool.attention_pool2d(x, z, 3, 2)):
        a, b = call(x, z), call(other, far)
        assert np.isfinite(b).all()
        np.testing.assert_array_equal(a.reshape(2, -1)[:, 1:], b.reshape(2, -1)[:, 1:])


@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_columns_of_one_in_strided_outputs(data_format, isa):
    """Rows of one number lie anywhere in `out`: nothing but they are written."""
    x = np.random.default_rng(6).normal(size=(1, 1, 16, 1)).astype(np.float32)
    if data_format == "channels_last":
        x = x.reshape(1, 16, 1, 1)
    grad = np.ones(cypool.output_shape(x.shape, (2, 1), data_format=data_format), np.float32)
    expected = cypool.soft_pool2d_backward(grad, x, (2, 1), data_format=data_format)
    for step in (16, -16):
        arena = np.full(3 * 256, 7, np.float32)
        out = arena[256:512].reshape(16, 16)[:, ::step][:, :1].reshape(x.shape, copy=False)
        made = cypool.soft_pool2d_backward(grad, x, (2, 1), data_format=data_format, out=out)
        assert made is out and np.array_equal(out, expected)
        out[...] = 7
        assert (arena == 7).all()


def test_gradients_do_not_see_other_images(isa):
    rng = np.random.default_rng(7)
    x, z = rng.normal(size=(2, 4, 3, 20, 20)).astype(np.float32)
    other = x.copy()
    other[3, 2, 19, 19] = 1000
    far = z.copy()
    far[3, 2, 19, 19] = 1000
    grad = rng.normal(size=(4, 3, 10, 10)).astype(np.float32)
    calls = (lambda x, z: cypool.soft_pool2d_backward(grad, x, 2),
             lambda x, z: cypool.lp_pool2d_backward(grad, x, 4, 2),
             lambda x, z: cypool.gem_pool2d_backward(grad, x, 4.0, 2)[0],
             lambda x, z: cypool.lse_pool2d_backward(grad, x, 1.0, 2)[0],
             lambda x, z: cypool.attention_pool2d_backward(grad, x, z, 2)[1])
    for call in calls:
        np.testing.assert_array_equal(call(x, z)[:3], call(other, far)[:3])


def test_gradients_of_any_size(isa):
    """Where a gradient divided by a sum is out of range, and the result is not."""
    for d, x, expected in ((1e21, 5e-10, 5e20), (1e-26, 3e8, 5e-27), (1e-28, 3e8, 5e-29)):
        made = cypool.lp_pool1d_backward(np.full((1, 1, 1), d, np.float32), np.full((1, 1, 4), x, np.float32), 2, 4)
        np.testing.assert_allclose(made, np.full((1, 1, 4), expected), rtol=1e-6)


def test_gradients_of_small_scales(isa, without_loops):
    """The gradient of log-sum-exp's r is a difference, divided by r twice; and r may be next to nothing."""
    x = np.random.default_rng(8).normal(size=(2, 3, 64)).astype(np.float32)
    grad = np.random.default_rng(9).normal(size=(2, 3, 16)).astype(np.float32)
    for r in (1.0, 0.3, 0.1, 1e-2, 1e-4):
        made = cypool.lse_pool1d_backward(grad, x, r, 4)[1]
        expected = without_loops(cypool.lse_pool1d_backward, grad.astype(np.float64), x.astype(np.float64), r, 4)[1]
        np.testing.assert_allclose(made, expected, rtol=2e-5)
    np.testing.assert_allclose(cypool.lse_pool1d(x, 1e-30, 4), cypool.avg_pool1d(x, 4), rtol=1e-5)
    for r in (1e-39, 1e-46, -1e-46):
        assert np.isfinite(cypool.lse_pool1d(x, r, 4)).all()


@pytest.mark.parametrize("kernel", range(1, 9))
def test_gradients_two_apart(kernel, isa):
    """Rows that are cut at odd places, and threads."""
    for size, padding in ((131074, 0), (9011, kernel // 2), (61, kernel // 2)):
        axis = cypool.output_shape((1, 1, 4, size), (1, kernel), (1, 2), (0, padding))
        grad = np.random.default_rng(kernel).normal(size=axis).astype(np.float32)
        expected = np.zeros((4, size + 2 * padding + kernel))
        for j in range(kernel):
            expected[:, j : j + 2 * axis[3] : 2] += grad[0, 0]
        for threads in (1, 2, 5):
            made = cypool.sum_pool2d_backward(grad, (1, 1, 4, size), (1, kernel), (1, 2), (0, padding),
                                              num_threads=threads)
            np.testing.assert_allclose(made[0, 0], expected[:, padding : padding + size], rtol=1e-5, atol=1e-5)
