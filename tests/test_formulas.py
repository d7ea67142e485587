"""Operators that weigh and mix, against their formulas; gradients against differences of the forward."""

import numpy as np
import pytest
from cases import DATA_FORMATS, FLOATS, every_build, refused, same_bits
from formulas import FORMULAS, data

import cypool

IDS = [f.name for f in FORMULAS]
EPS = {"float64": 2e-13, "float32": 3e-5, "float16": 2e-3, "bfloat16": 1.6e-2}
each_formula = pytest.mark.parametrize("formula", FORMULAS, ids=IDS)
each_dimension = pytest.mark.parametrize("ndim", [1, 2, 3])


def agree(actual, expected, eps, note, least=1e-300):
    """Within eps of the largest number in sight, or of `least`; infinite and NaN where they should be."""
    assert actual.shape == expected.shape, note
    expected = expected.astype(np.float64)
    finite = np.isfinite(expected)
    got = actual.astype(np.float64)
    np.testing.assert_array_equal(got[~finite], expected[~finite], err_msg=note)
    if finite.any():
        scale = np.abs(expected[finite]).max()
        assert np.abs(got[finite] - expected[finite]).max() <= eps * max(scale, least), note


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@each_dimension
@each_formula
def test_forward(formula, ndim, data_format, name, isa):
    rng = np.random.default_rng(ndim)
    for _ in range(5):
        shape, window, given = formula.random_call(rng, ndim, data_format)
        x = data(rng, formula, shape, FLOATS[name])
        given = formula.logits(rng, x, given, data_format)
        y = formula.run(x, window, given, ndim, data_format=data_format)
        assert y.dtype == x.dtype and y.flags.c_contiguous
        expected = formula.expected(x, window, given, ndim, data_format)
        agree(y, expected, EPS[name], f"{shape} {window} {given}")
        out = np.full((*y.shape[:-1], 2 * y.shape[-1]), 7, y.dtype)[..., ::2]
        assert formula.run(x, window, given, ndim, data_format=data_format, out=out) is out
        assert np.array_equal(out, y)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@each_dimension
@each_formula
def test_gradients_are_differences(formula, ndim, data_format, isa):
    """Along random directions: of x, and of every parameter."""
    rng = np.random.default_rng(10 + ndim)
    step = 1e-6
    for _ in range(4):
        shape, window, given = formula.random_call(rng, ndim, data_format)
        x = data(rng, formula, shape, np.float64)
        if formula.positive:
            x += 0.1
        if formula.name == "lp_pool" and given["norm_type"] < 1:
            x = np.sign(x) * (abs(x) + 0.1)                     # away from a slope without bound
        if formula.name == "gem_pool":
            x = np.abs(x) + 0.1                                 # the edge at eps is no place for differences
        given = formula.logits(rng, x, given, data_format)
        y = formula.run(x, window, given, ndim, data_format=data_format)
        grad = rng.normal(size=y.shape)
        made = formula.run_backward(grad, x, window, given, ndim, data_format=data_format)
        assert made[0].shape == x.shape and made[0].dtype == x.dtype

        def loss(x=x, window=window, given=given, grad=grad):
            return float((formula.run(x, window, given, ndim, data_format=data_format) * grad).sum())

        direction = rng.normal(size=x.shape)
        slope = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
        scale = np.abs(grad).sum() + abs(slope)
        assert abs((made[0] * direction).sum() - slope) <= 1e-6 * scale, f"{shape} {window} {given}"
        assert len(made) == 1 + len(formula.learned)
        for name, back in zip(formula.learned, made[1:], strict=True):
            value = np.asarray(given[name], np.float64)
            assert np.shape(back) == value.shape, name
            direction = rng.normal(size=value.shape)
            ahead, behind = ({**given, name: value + sign * step * direction} for sign in (1, -1))
            slope = (loss(given=ahead) - loss(given=behind)) / (2 * step)
            assert abs((back * direction).sum() - slope) <= 1e-5 * (scale + abs(slope)), f"{name} {shape} {window}"


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
@each_formula
def test_gradients_of_narrow_types(formula, name, isa):
    if name not in FLOATS:
        pytest.skip("ml_dtypes is not installed")
    rng = np.random.default_rng(3)
    for data_format in DATA_FORMATS:
        shape, window, given = formula.random_call(rng, 2, data_format)
        x = data(rng, formula, shape, FLOATS[name])
        given = formula.logits(rng, x, given, data_format)
        wide = {**given, "logits": given["logits"].astype(np.float64)} if "logits" in given else given
        y = formula.run(x, window, given, 2, data_format=data_format)
        grad = rng.normal(size=y.shape).astype(x.dtype)
        made = formula.run_backward(grad, x, window, given, 2, data_format=data_format)
        exact = formula.run_backward(grad.astype(np.float64), x.astype(np.float64), window, wide, 2,
                                     data_format=data_format)
        assert made[0].dtype == x.dtype
        for back, wanted in zip(made, exact, strict=True):
            agree(np.asarray(back), np.asarray(wanted), 4 * EPS[name], f"{shape} {window} {given}", least=1)


STABLE = [f for f in FORMULAS if f.name in ("lp_pool", "gem_pool", "lse_pool", "soft_pool", "attention_pool",
                                            "stochastic_pool")]


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1e4, 1e30])
@pytest.mark.parametrize("formula", STABLE, ids=[f.name for f in STABLE])
def test_any_scale(formula, scale, name, isa):
    """Windows of neighbouring magnitudes, and of very different ones side by side."""
    rng = np.random.default_rng(4)
    for data_format in DATA_FORMATS:
        for mixed in (False, True):
            shape, window, given = formula.random_call(rng, 2, data_format)
            if formula.name == "gem_pool":
                given["eps"] = 1e-35
            x = data(rng, formula, shape, np.float64, scale)
            if mixed:
                x *= 10.0 ** rng.integers(-6, 1, (*shape[:1], 1, *shape[2:]))
            x = x.astype(name)
            given = formula.logits(rng, x, given, data_format)
            if "logits" in given:
                given["logits"] = (given["logits"] * scale).astype(name)
            y = formula.run(x, window, given, 2, data_format=data_format)
            expected = formula.expected(x, window, given, 2, data_format)
            # the exponents are as exact as x is: an error of one unit is one of x's size in the weights
            least = 1 / np.abs(given["r"]).min() if "r" in given else 1e-300         # of a logarithm of about 1
            agree(y, expected, EPS[name] if name == "float32" else 1e-11, f"{shape} {window} {given}", least)
            made = formula.run_backward(np.ones_like(y), x, window, given, 2, data_format=data_format)
            assert all(np.isfinite(part).all() for part in made)


@pytest.mark.parametrize("formula", STABLE, ids=[f.name for f in STABLE])
@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_nothing_leaks_from_window_to_window(formula, data_format, isa):
    """NaN, infinity and huge values reach the windows that hold them, and no other; nor does their gradient."""
    rng = np.random.default_rng(5)
    for bad in (np.nan, np.inf, 1e38, -1e38, -np.inf):
        if formula.positive and bad < 0:
            continue
        shape = (2, 3, 12, 13) if data_format == "channels_first" else (2, 12, 13, 3)
        window = {"kernel_size": 3, "stride": 2, "padding": 1}
        given = formula.draw(rng, (3, 3), 3, 2)
        x = data(rng, formula, shape, np.float32)
        given = formula.logits(np.random.default_rng(6), x, given, data_format)
        clean = formula.run(x, window, given, 2, data_format=data_format)
        grad = rng.normal(size=clean.shape).astype(np.float32)
        clean_back = formula.run_backward(grad, x, window, given, 2, data_format=data_format)[0]
        spoilt = x.copy()
        spot = (1, 1, 6, 7) if data_format == "channels_first" else (1, 6, 7, 1)
        spoilt[spot] = bad
        y = formula.run(spoilt, window, given, 2, data_format=data_format)
        back = formula.run_backward(grad, spoilt, window, given, 2, data_format=data_format)[0]
        holds = np.isnan(cypool.sum_pool2d(np.where(spoilt == bad if bad == bad else np.isnan(spoilt), np.nan, 0),
                                           **window, data_format=data_format))
        np.testing.assert_allclose(y[~holds], clean[~holds], rtol=2e-6, atol=1e-7, err_msg=str(bad))
        near = cypool.sum_pool2d_backward(holds.astype(np.float32), shape, 3, 2, 1, data_format=data_format) > 0
        np.testing.assert_allclose(back[~near], clean_back[~near], rtol=1e-4, atol=1e-6, err_msg=str(bad))
        if bad != bad:
            assert np.isnan(y[holds]).all()


def test_infinite_elements():
    x = np.array([[[np.inf, 1.0, -np.inf, 2.0, -np.inf, -np.inf, np.nan, 1.0]]])
    np.testing.assert_array_equal(cypool.soft_pool1d(x, 2), [[[np.inf, 2.0, -np.inf, np.nan]]])
    np.testing.assert_array_equal(cypool.lse_pool1d(x, 1.0, 2)[0, 0, [0, 2, 3]], [np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(cypool.lp_pool1d(x, 2, 2), [[[np.inf, np.inf, np.inf, np.nan]]])
    grad = np.ones((1, 1, 4))
    np.testing.assert_array_equal(cypool.soft_pool1d_backward(grad, x, 2)[0, 0, :6], [1, 0, 0, 1, 1, 0])
    np.testing.assert_array_equal(cypool.lp_pool1d_backward(grad, x, 2, 2)[0, 0, :6], [1, 0, -1, 0, -1, 0])
    z = np.array([[[-np.inf, -np.inf, 0.0, -np.inf]]])
    v = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    np.testing.assert_array_equal(cypool.attention_pool1d(v, z, 2), [[[0.0, 3.0]]])
    for back in cypool.attention_pool1d_backward(np.ones((1, 1, 2)), v, z, 2):
        assert np.isfinite(back).all()


@pytest.mark.parametrize("formula", [f for f in FORMULAS if f.omits], ids=[f.name for f in FORMULAS if f.omits])
@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_nan_policies(formula, data_format, isa):
    rng = np.random.default_rng(7)
    shape = (2, 3, 9, 10) if data_format == "channels_first" else (2, 9, 10, 3)
    given = formula.draw(rng, (3, 3), 3, 2)
    x = data(rng, formula, shape, np.float64)
    given = formula.logits(rng, x, given, data_format)
    x[rng.random(shape) < 0.4] = np.nan
    window = {"kernel_size": 2, "stride": 2, "padding": 1}
    y = formula.run(x, window, given, 2, data_format=data_format, nan_policy="omit")
    import formulas

    w, valid = formulas.taps(x, 2, window, data_format)
    here = dict(given)
    if "logits" in here:
        here["logits"] = formulas.taps(here["logits"], 2, window, data_format)[0]
    valid = valid & ~np.isnan(w)
    with np.errstate(all="ignore"):
        expected = formula.value(np.where(np.isnan(w), 0, w), valid, **here)
    expected = np.where(valid.any(0), expected, np.nan)
    expected = np.moveaxis(expected, 1, -1) if data_format == "channels_last" else expected
    agree(y, expected, 1e-12, str(given))
    with refused(ValueError, "nan_policy"):
        formula.run(x, window, given, 2, data_format=data_format, nan_policy="raise")
    plain = formula.run(x, window, given, 2, data_format=data_format)
    assert np.isnan(plain).sum() > np.isnan(y).sum()


@each_formula
@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_threads_and_bands_do_not_matter(formula, data_format, isa, monkeypatch):
    """Small pieces, so that there are many: bands of planes, blocks of channels, single images."""
    rng = np.random.default_rng(8)
    shape = (3, 5, 70, 31) if data_format == "channels_first" else (3, 70, 31, 5)
    x = data(rng, formula, shape, np.float32)
    window = {"kernel_size": (5, 3), "stride": (2, 1), "padding": (4, 0), "dilation": (1, 2)}
    given = formula.logits(rng, x, formula.draw(rng, (5, 3), 5, 3), data_format)
    whole = formula.run(x, window, given, 2, data_format=data_format)
    grad = rng.normal(size=whole.shape).astype(np.float32)
    back = formula.run_backward(grad, x, window, given, 2, data_format=data_format)
    monkeypatch.setattr("cypool.pieces.PIECE", 1 << 10)
    monkeypatch.setattr("cypool.dispatch.SMALL", 1)
    first = None
    for threads in (1, 2, 3):
        y = formula.run(x, window, given, 2, data_format=data_format, num_threads=threads)
        parts = formula.run_backward(grad, x, window, given, 2, data_format=data_format, num_threads=threads)
        np.testing.assert_allclose(y, whole, rtol=1e-5, atol=1e-6)
        for part, wanted in zip(parts, back, strict=True):
            np.testing.assert_allclose(part, wanted, rtol=1e-4, atol=1e-4)
        if first is not None:
            assert all(same_bits(np.asarray(a), np.asarray(b)) for a, b in zip((y, *parts), first, strict=True))
        first = (y, *parts)


@each_dimension
@each_formula
def test_layers(formula, ndim):
    rng = np.random.default_rng(9)
    for data_format in DATA_FORMATS:
        shape, window, given = formula.random_call(rng, ndim, data_format)
        x = data(rng, formula, shape, np.float64)
        given = formula.logits(rng, x, given, data_format)
        logits = [given.pop("logits")] if "logits" in given else []
        settings = {k: v for k, v in window.items() if not (formula.own_window and k == "kernel_size")}
        layer = formula.layer(ndim)(**given, **settings, **formula.fixed, data_format=data_format)
        full = {**given, "logits": logits[0]} if logits else given
        y = formula.run(x, window, full, ndim, data_format=data_format)
        assert same_bits(layer(x, *logits), y)
        grad = rng.normal(size=y.shape)
        made = formula.run_backward(grad, x, window, full, ndim, data_format=data_format)
        back = layer.backward(grad)
        if logits:
            assert all(same_bits(a, b) for a, b in zip(back, made, strict=True))
            continue
        assert same_bits(back, made[0])
        assert tuple(layer.parameters) == formula.learned == tuple(layer.gradients)
        for name, wanted in zip(formula.learned, made[1:], strict=True):
            assert np.array_equal(layer.gradients[name], wanted)
            before = layer.parameters[name].copy()
            layer.parameters[name] += 0.5                       # the layer's own: a step of training
            changed = {**given, name: np.asarray(given[name], np.float64) + 0.5}
            assert same_bits(layer(x), formula.run(x, window, changed, ndim, data_format=data_format))
            layer.parameters[name][...] = before


HOSTILE = [
    ("lp_pool2d", {"norm_type": 0}, ValueError, "norm_type"),
    ("lp_pool2d", {"norm_type": np.nan}, ValueError, "norm_type"),
    ("lp_pool2d", {"norm_type": "2"}, TypeError, "norm_type"),
    ("lp_pool2d", {"norm_type": True}, TypeError, "norm_type"),
    ("lp_pool2d", {"norm_type": 2, "torch_compat": "yes"}, TypeError, "torch_compat"),
    ("gem_pool2d", {"p": 0}, ValueError, "p"),
    ("gem_pool2d", {"p": np.inf}, ValueError, "p"),
    ("gem_pool2d", {"p": [1.0, 2.0]}, ValueError, "p"),
    ("gem_pool2d", {"p": None}, TypeError, "p"),
    ("gem_pool2d", {"p": 3, "eps": 0}, ValueError, "eps"),
    ("gem_pool2d", {"p": 3, "eps": -1}, ValueError, "eps"),
    ("lse_pool2d", {"r": 0.0}, ValueError, "r"),
    ("lse_pool2d", {"r": "x"}, TypeError, "r"),
    ("soft_pool2d", {"weights_only": 3}, TypeError, "weights_only"),
    ("attention_pool2d", {"logits": np.ones((2, 3, 6, 5))}, ValueError, "logits"),
    ("attention_pool2d", {"logits": np.ones((2, 3, 6, 6), int)}, TypeError, "logits"),
    ("mixed_pool2d", {"alpha": np.ones(4)}, ValueError, "alpha"),
    ("mixed_pool2d", {"alpha": np.nan}, ValueError, "alpha"),
    ("gated_pool2d", {"gate_weights": np.ones((3, 3))}, ValueError, "gate_weights"),
    ("gated_pool2d", {"gate_weights": np.ones((2, 2), int)}, TypeError, "gate_weights"),
    ("tree_pool2d", {"leaf_weights": np.ones((3, 2, 2)), "gate_weights": np.ones((2, 2, 2))}, ValueError,
     "leaf_weights"),
    ("tree_pool2d", {"leaf_weights": np.ones((4, 2, 2)), "gate_weights": np.ones((2, 2, 2))}, ValueError,
     "gate_weights"),
    ("stochastic_pool2d", {"rng": -1}, ValueError, "rng"),
    ("stochastic_pool2d", {"rng": "x"}, TypeError, "rng"),
    ("stochastic_pool2d", {"training": False, "return_indices": True}, ValueError, "return_indices"),
    ("random_mixed_pool2d", {"training": 2}, TypeError, "training"),
]


@pytest.mark.parametrize(("name", "given", "error", "mention"), HOSTILE)
def test_hostile_arguments(name, given, error, mention):
    x = np.ones((2, 3, 6, 6))
    with refused(error, mention):
        getattr(cypool, name)(x, **given, kernel_size=2)


@each_formula
def test_hostile_arrays(formula):
    rng = np.random.default_rng(11)
    x = np.abs(rng.normal(size=(2, 3, 6, 6)))
    given = formula.logits(rng, x, formula.draw(rng, (2, 2), 3, 2), "channels_first")
    window = {"kernel_size": 2}
    y = formula.run(x, window, given, 2)
    for bad in (x.astype(int), x > 0, x.astype(complex), np.ones((2, 6)), np.ones((1, 2, 3, 6, 6))):
        with pytest.raises((TypeError, ValueError), match="x must|weights|logits|alpha"):
            formula.run(bad, window, given, 2)
    with refused(ValueError, "out"):
        formula.run(x, window, given, 2, out=x[..., :3, :3])
    with refused(ValueError, "out"):
        formula.run(x, window, given, 2, out=np.empty((2, 3, 3, 2)))
    with refused(ValueError, "grad_output"):
        formula.run_backward(y[..., :2], x, window, given, 2)
    with refused(TypeError, "grad_output"):
        formula.run_backward(y.astype(int), x, window, given, 2)
    for empty in ((0, 3, 6, 6), (2, 0, 6, 6)):
        free = {k: v for k, v in given.items() if k not in ("logits", "alpha", "p", "r", "gate_weights", "weights")}
        if formula.name in ("soft_pool", "lp_pool", "stochastic_pool"):
            z = np.ones(empty)
            assert formula.run(z, window, free, 2).size == 0
            assert formula.run_backward(np.ones((*empty[:2], 3, 3)), z, window, free, 2)[0].shape == empty
    with refused(ValueError, "x"):
        formula.run(np.ones((2, 3, 0, 6)), window, given, 2)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 4, 5), (2, 3, 3, 4, 2)])
def test_global_forms_are_one_window(shape, data_format, isa):
    rng = np.random.default_rng(12)
    ndim = len(shape) - 2
    shape = shape if data_format == "channels_first" else (shape[0], *shape[2:], shape[1])
    spatial = shape[2:] if data_format == "channels_first" else shape[1:-1]
    x, z = rng.normal(size=shape), rng.normal(size=shape)
    options = {"data_format": data_format}
    for name, given in (("lp", (3.0,)), ("gem", (np.array([1.0, 2.0, 3.0]),)), ("attention", (z,))):
        whole = getattr(cypool, f"{name}_pool{ndim}d")(x, *given, spatial, **options)
        y = getattr(cypool, f"global_{name}_pool")(x, *given, **options)
        assert same_bits(y, whole)
        flat = getattr(cypool, f"global_{name}_pool")(x, *given, keepdims=False, **options)
        assert flat.shape == (2, 3) and np.array_equal(flat.ravel(), y.ravel())
        grad = rng.normal(size=y.shape)
        back = getattr(cypool, f"global_{name}_pool_backward")(grad, x, *given, **options)
        wanted = getattr(cypool, f"{name}_pool{ndim}d_backward")(grad, x, *given, spatial, **options)
        dropped = getattr(cypool, f"global_{name}_pool_backward")(grad.reshape(2, 3), x, *given, **options)
        for a, b, c in zip(*(v if isinstance(v, tuple) else (v,) for v in (back, wanted, dropped)), strict=True):
            assert same_bits(a, b) and same_bits(a, c)
        layer = getattr(cypool, f"Global{name.capitalize()}Pool")(*(() if name == "attention" else given), **options)
        assert same_bits(layer(x, *((z,) if name == "attention" else ())), y)
        made = layer.backward(grad)
        assert same_bits(made[0] if isinstance(made, tuple) else made, back[0] if isinstance(back, tuple) else back)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_masked_positions_are_never_looked_at(data_format, isa):
    rng = np.random.default_rng(13)
    x, z = rng.normal(size=(3, 4, 5, 6)), rng.normal(size=(3, 1, 5, 6))
    mask = rng.random((3, 5, 6)) < 0.5
    mask[2] = False
    hidden = np.broadcast_to(~mask[:, None], x.shape)
    spoilt = np.where(hidden, np.nan, x)
    scores = np.where(~mask[:, None], np.inf, z)
    order = (lambda a: np.ascontiguousarray(np.moveaxis(a, 1, -1))) if data_format == "channels_last" else np.array
    options = {"mask": mask, "data_format": data_format}
    y = cypool.global_attention_pool(order(spoilt), order(scores), keepdims=False, **options)
    weight = np.exp(z) * mask[:, None]
    with np.errstate(invalid="ignore"):
        expected = (weight * x).sum((2, 3)) / weight.sum((2, 3))
    expected[2] = 0
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    grad = rng.normal(size=y.shape)
    for back, like in zip(cypool.global_attention_pool_backward(grad, order(spoilt), order(scores), **options),
                          (x, z), strict=True):
        assert back.shape == order(like).shape
        assert (back[order(np.broadcast_to(~mask[:, None], like.shape))] == 0).all() and np.isfinite(back).all()
    with refused(ValueError, "mask"):
        cypool.global_attention_pool(x, z, mask=mask[:2])
    with refused(TypeError, "mask"):
        cypool.global_attention_pool(x, z, mask=mask.astype(int))


# Published and worked values (float64), from the papers' formulas.
def test_worked_examples():
    x = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    np.testing.assert_allclose(cypool.gem_pool1d(x, 3, 4), [[[2.924017738]]], rtol=1e-9)
    grad_x, grad_p = cypool.gem_pool1d_backward(np.ones((1, 1, 1)), x, 3, 4)
    np.testing.assert_allclose(grad_x[0, 0], [0.02924018, 0.11696071, 0.2631616, 0.46784284], rtol=1e-6)
    np.testing.assert_allclose(grad_p, 0.162133738, rtol=1e-8)
    np.testing.assert_allclose(cypool.lse_pool1d(x, 2, 4), [[[3.379391789]]], rtol=1e-9)
    grad_x, grad_r = cypool.lse_pool1d_backward(np.ones((1, 1, 1)), x, 2, 4)
    np.testing.assert_allclose(grad_x[0, 0], [0.00214401, 0.0158422, 0.11705891, 0.86495488], rtol=1e-5)
    np.testing.assert_allclose(grad_r, 0.232716435, rtol=1e-8)
    values = np.array([[[1.0, 2.0, 3.0, 4.0, 0.0, -1.0]]])
    logits = np.array([[[0.0, 1.0, 0.0, -1.0, 2.0, 2.0]]])
    np.testing.assert_allclose(cypool.attention_pool1d(values, logits, 2)[0, 0], [1.73105858, 3.26894142, -0.5],
                               rtol=1e-8)
    grad_x, grad_z = cypool.attention_pool1d_backward(np.ones((1, 1, 3)), values, logits, 2)
    np.testing.assert_allclose(grad_x[0, 0], [0.26894142, 0.73105858, 0.73105858, 0.26894142, 0.5, 0.5], rtol=1e-7)
    np.testing.assert_allclose(grad_z[0, 0], [-0.19661193, 0.19661193, -0.19661193, 0.19661193, 0.25, -0.25],
                               rtol=1e-7)
    norms = np.array([[[3.0, -4.0, 0.0, 1.0, -2.0]]])
    for p, wanted in ((1, [7, 4, 1, 3]), (2, [5, 4, 1, 2.23606798]), (3, [4.49794145, 4, 1, 2.08008382])):
        np.testing.assert_allclose(cypool.lp_pool1d(norms, p, 2, 1)[0, 0], wanted, rtol=1e-8)
    for p, wanted in ((1, [-1, -4, 1, -1]), (2, [5, 4, 1, 2.23606798]), (3, [np.nan, np.nan, 1, np.nan])):
        np.testing.assert_allclose(cypool.lp_pool1d(norms, p, 2, 1, torch_compat=True)[0, 0], wanted, rtol=1e-8)
    assert cypool.lp_pool1d(norms, np.inf, 5)[0, 0, 0] == 4 and cypool.lp_pool1d(norms, -np.inf, 5)[0, 0, 0] == 0


def test_identities():
    rng = np.random.default_rng(14)
    x = rng.normal(size=(2, 3, 8, 8))
    low, high = cypool.avg_pool2d(x, 2), cypool.max_pool2d(x, 2)
    assert ((cypool.soft_pool2d(x, 2) >= low) & (cypool.soft_pool2d(x, 2) <= high)).all()
    assert ((cypool.lse_pool2d(x, 1, 2) >= low) & (cypool.lse_pool2d(x, 1, 2) <= high)).all()
    np.testing.assert_allclose(cypool.lse_pool2d(x, 1e-4, 2), low, atol=1e-3)
    np.testing.assert_allclose(cypool.lse_pool2d(x, 1e4, 2), high, atol=1e-3)
    np.testing.assert_allclose(cypool.gem_pool2d(abs(x), 1, 2), cypool.avg_pool2d(abs(x), 2), atol=1e-5)
    np.testing.assert_allclose(cypool.lp_pool2d(x, 1, 2), cypool.sum_pool2d(abs(x), 2), rtol=1e-12)
    np.testing.assert_allclose(cypool.lp_pool2d(-3 * x, 2.5, 2), 3 * cypool.lp_pool2d(x, 2.5, 2), rtol=1e-12)
    np.testing.assert_allclose(cypool.attention_pool2d(x, np.zeros_like(x), 2), low, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(cypool.weighted_pool2d(x, np.full((2, 2), 0.25)), low, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(cypool.mixed_pool2d(x, 1, 2), high)
    for layer in (cypool.SoftPool2d(2), cypool.LsePool2d(2.0, 2)):
        grad = rng.normal(size=layer(x).shape)
        np.testing.assert_allclose(layer.backward(grad).sum(), grad.sum(), rtol=1e-10)
    constant = np.full((1, 2, 5, 5), 3.5, np.float32)
    for y in (cypool.soft_pool2d(constant, 3, 2, 1), cypool.gem_pool2d(constant, 3, 3, 2, 1),
              cypool.lse_pool2d(constant, 2, 3, 2, 1), cypool.stochastic_pool2d(constant, 3, 2, 1, training=False)):
        np.testing.assert_allclose(y, 3.5, rtol=1e-6)


@each_dimension
@each_formula
def test_every_build_gives_the_same_bits(formula, ndim):
    rng = np.random.default_rng(30 + ndim)
    for data_format in DATA_FORMATS:
        shape, window, given = formula.random_call(rng, ndim, data_format)
        x = data(rng, formula, shape, np.float32)
        given = formula.logits(rng, x, given, data_format)
        first = None
        for name in every_build():
            y = formula.run(x, window, given, ndim, data_format=data_format)
            made = (y, *formula.run_backward(np.ones_like(y), x, window, given, ndim, data_format=data_format))
            assert first is None or all(
                same_bits(np.asarray(a), np.asarray(b)) for a, b in zip(first, made, strict=True)), name
            first = made
