"""Layers do what their functions do, forward and backward, and remember enough to do so."""

import pickle

import numpy as np
import pytest
from cases import DATA_FORMATS, FLOATS, full_range, same_bits, shaped, ties
from operators import OPERATORS, WINDOWED, ids

import cypool


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_layers_are_their_functions(op, data_format, name, isa):
    rng = np.random.default_rng(1)
    for _ in range(6):
        shape, window = op.random_call(rng, data_format)
        layer = op.layer(**window, data_format=data_format)
        for _ in range(2):  # a second input replaces the first
            x = ties(rng, shape, FLOATS[name])
            y, indices = op.run(x, window, data_format=data_format)
            assert np.array_equal(layer(x), y)
            grad = full_range(rng, y.shape, FLOATS[name])
            back = op.run_backward(grad, shape, window, indices, data_format=data_format)
            assert same_bits(layer.backward(grad), back), f"{layer!r} {shape}"
            assert same_bits(layer.backward(grad), back), "a second backward"


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_integers_forward(op, isa):
    x = np.arange(2 * 3 * 4**op.ndim).reshape(2, 3, *(4,) * op.ndim)
    window = op.setting(kernel_size=2)
    assert same_bits(op.layer(**window)(x), op.forward(x, **window))


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_interface(op):
    layer = op.layer(*(3, 2, 1) if op.has_window else op.setting().values())
    assert layer.parameters == {} and layer.gradients == {}
    with pytest.raises(RuntimeError, match="forward|call"):
        layer.backward(np.ones((1, 1, *(2,) * op.ndim), np.float32))
    shown = repr(layer)
    assert shown.startswith(f"{op.layer_name}(") and shown.endswith(")")
    if op.has_window:
        for setting in ("kernel_size=3", "stride=2", "padding=1"):
            assert setting in shown
        again = eval(shown, vars(cypool))  # noqa: S307
        x = np.random.default_rng(2).normal(size=(1, 2, *(7,) * op.ndim))
        assert repr(again) == shown and np.array_equal(again(x), layer(x))
        with pytest.raises(TypeError):
            op.layer()
    with pytest.raises(TypeError, match="kernels"):
        op.layer(**op.setting(kernel_size=2), kernels=2)


@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_options_reach_the_function(op, isa):
    x = np.random.default_rng(3).normal(size=(2, 3, *(9,) * op.ndim))
    x[x > 1.5] = np.nan
    options = {"dilation": 2, "ceil_mode": True, "nan_policy": "omit", "num_threads": 2}
    np.testing.assert_array_equal(op.layer(2, **options)(x), op.forward(x, 2, **options))
    with pytest.raises(ValueError, match="nan_policy"):
        op.layer(2, nan_policy="raise")(x)
    if op.has_divisor:
        x = np.nan_to_num(x)
        for options in ({"divisor_override": 3}, {"count_include_pad": False, "padding": 1}, {"dtype": np.float32}):
            np.testing.assert_array_equal(op.layer(2, **options)(x), op.forward(x, 2, **options))


@pytest.mark.parametrize("op", [op for op in OPERATORS if op.is_global], ids=lambda op: op.id)
def test_global_layers_without_keepdims(op, isa):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, 3, *(5,) * op.ndim))
    layer = op.layer(keepdims=False)
    y = layer(x)
    assert y.shape == (2, 3)
    grad = rng.normal(size=(2, 3))
    kept = op.layer()
    kept(x)
    assert same_bits(layer.backward(grad), kept.backward(grad.reshape(2, 3, *(1,) * op.ndim)))


# Windows of more taps than one byte, and than two, can number: the small form of the indices must grow.
LARGE = [
    ("max_pool1d", (1, 2, 70_020), {"kernel_size": 70_000, "stride": 1}),
    ("min_pool1d", (1, 2, 1000), {"kernel_size": 257, "stride": 100, "padding": 128}),
    ("max_pool2d", (1, 2, 60, 61), {"kernel_size": 17, "stride": 5, "padding": 8}),
    ("max_pool2d", (1, 2, 40, 61), {"kernel_size": 16, "stride": 1}),
    ("max_pool2d", (1, 2, 300, 301), {"kernel_size": (257, 258), "stride": (60, 20)}),
    ("max_pool3d", (1, 2, 15, 16, 17), {"kernel_size": (7, 6, 7), "stride": 2, "dilation": 2, "padding": 3}),
    ("global_max_pool", (2, 3, 300, 301), {}),
    ("global_max_pool", (2, 3, 70_000), {}),
    ("global_max_pool", (2, 1, 41, 41, 42), {}),
]


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize(("name", "shape", "window"), LARGE)
def test_large_windows_remember_their_choice(name, shape, window, data_format, isa):
    op = next(op for op in OPERATORS if op.name == name and op.ndim == len(shape) - 2)
    rng = np.random.default_rng(5)
    x = rng.normal(size=shaped(*shape[:2], shape[2:], data_format)).astype(np.float32)
    layer = op.layer(**window, data_format=data_format)
    y = layer(x)
    grad = rng.normal(size=y.shape)
    _, indices = op.run(x, window, data_format=data_format)
    assert same_bits(layer.backward(grad), op.backward(grad, indices, x.shape, data_format=data_format))


def test_gradient_of_another_shape():
    layer = cypool.MaxPool2d(2)
    y = layer(np.ones((1, 3, 8, 8), np.float32))
    for bad in (y[:, :2], y[..., :3], y[0], y[..., None]):
        with pytest.raises(ValueError, match="grad"):
            layer.backward(bad)


def test_the_input_may_change_after_the_call():
    x = np.random.default_rng(6).normal(size=(1, 2, 8, 8))
    for layer in (cypool.MaxPool2d(2), cypool.AvgPool2d(2), cypool.GlobalMaxPool()):
        y = layer(x.copy())
        wanted = layer.backward(y)
        changed = x.copy()
        layer(changed)
        changed[...] = 0
        assert same_bits(layer.backward(y), wanted)


def test_sequential(isa):
    rng = np.random.default_rng(7)
    layers = [cypool.MaxPool2d(3, 2, 1), cypool.AvgPool2d(2), cypool.GlobalMaxPool()]
    model = cypool.Sequential(*layers)
    assert model.parameters == {} and model.gradients == {}
    with pytest.raises(RuntimeError):
        model.backward(np.ones((2, 3, 1, 1)))
    x = rng.normal(size=(2, 3, 30, 31))
    y = model(x)
    first, indices = cypool.max_pool2d(x, 3, 2, 1, return_indices=True)
    second = cypool.avg_pool2d(first, 2)
    third, chosen = cypool.global_max_pool(second, return_indices=True)
    assert same_bits(y, third)
    grad = rng.normal(size=y.shape)
    back = cypool.global_max_pool_backward(grad, chosen, second.shape)
    back = cypool.avg_pool2d_backward(back, first.shape, 2)
    back = cypool.max_pool2d_backward(back, indices, x.shape)
    assert same_bits(model.backward(grad), back)
    shown = repr(model)
    assert shown.startswith("Sequential(")
    assert all(repr(layer) in shown for layer in layers)
    nested = cypool.Sequential(cypool.Sequential(*layers[:2]), layers[2])
    assert same_bits(nested(x), y) and same_bits(nested.backward(grad), back)


def test_an_empty_sequence_is_the_identity():
    x = np.ones((1, 1, 4))
    model = cypool.Sequential()
    assert np.array_equal(model(x), x) and np.array_equal(model.backward(x), x)


def test_sequences_take_layers():
    for bad in (cypool.max_pool2d, 3, "MaxPool2d", [cypool.MaxPool2d(2)], cypool.MaxPool2d):
        with pytest.raises(TypeError):
            cypool.Sequential(cypool.MaxPool2d(2), bad)


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_layers_can_be_pickled(op):
    """As a process pool or a saved model would, also between forward and backward."""
    layer = op.layer(**op.setting(kernel_size=2))
    y = layer(np.random.default_rng(8).normal(size=(1, 2, *(6,) * op.ndim)))
    copy = pickle.loads(pickle.dumps(layer))
    assert repr(copy) == repr(layer)
    assert same_bits(copy.backward(y), layer.backward(y))
