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
