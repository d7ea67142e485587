"""NaN policies, and that nothing leaks from outside a window."""

from functools import cache

import numpy as np
import pytest
import reference
from cases import DATA_FORMATS, FLOATS, assert_indices, assert_result, full_range, shaped, specials
from operators import LINEAR, OPERATORS, WINDOWED, ids

import cypool

POLICIES = ("propagate", "omit")


@cache
def policy_calls(op, name, data_format, nan_policy, count=10):
    rng = np.random.default_rng([op.ndim, sorted(FLOATS).index(name)])
    calls = []
    for i in range(count):
        shape, window = op.random_call(rng, data_format)
        x = specials(rng, shape, FLOATS[name])
        if i % 2:  # without infinities sums stay finite, and their divisors show
            x[np.isinf(x)] = np.nan if rng.random() < 0.5 else 1
        calls.append((x, window, op.expected(x, window, data_format, nan_policy=nan_policy)))
    return calls


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("nan_policy", POLICIES)
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_policies(op, name, nan_policy, data_format, isa):
    for x, window, expected in policy_calls(op, name, data_format, nan_policy):
        note = f"{op.id} {name} {x.shape} {window}"
        y, indices = op.run(x, window, data_format=data_format, nan_policy=nan_policy)
        assert_result(y, expected, note)
        if op.chooses:
            assert_indices(indices, expected, note)
            assert_result(op.forward(x, **window, data_format=data_format, nan_policy=nan_policy), expected, note)


def test_the_last_nan_has_the_index(isa):
    x = np.array([[[1, np.nan, 5, np.nan, 2, 7]]], np.float32)
    for op in ("max_pool1d", "min_pool1d"):
        y, indices = getattr(cypool, op)(x, 6, return_indices=True)
        assert np.isnan(y).all() and indices.item() == 3
    y, indices = cypool.max_pool1d(x, 6, return_indices=True, nan_policy="omit")
    assert y.item() == 7 and indices.item() == 5
    y, indices = cypool.min_pool1d(x, 6, return_indices=True, nan_policy="omit")
    assert y.item() == 1 and indices.item() == 0
    y, indices = cypool.max_pool1d(np.full((1, 1, 4), np.nan), 3, 1, 1, return_indices=True, nan_policy="omit")
    assert np.isnan(y).all() and indices.tolist() == [[[0, 0, 1, 2]]]


def test_omitted_taps_leave_the_divisor(isa):
    x = np.array([[[1, np.nan, 5, np.nan]]])
    pool = cypool.avg_pool1d
    np.testing.assert_array_equal(pool(x, 2, nan_policy="omit"), [[[1, 5]]])
    np.testing.assert_array_equal(pool(x, 2, 1, 1, nan_policy="omit"), [[[0.5, 1, 5, 5, np.nan]]])
    np.testing.assert_array_equal(
        pool(x, 2, 1, 1, count_include_pad=False, nan_policy="omit"), [[[1, 1, 5, 5, np.nan]]]
    )
    np.testing.assert_array_equal(pool(x, 2, divisor_override=4, nan_policy="omit"), [[[0.25, 1.25]]])
    np.testing.assert_array_equal(cypool.sum_pool1d(x, 1, nan_policy="omit"), [[[1, 0, 5, 0]]])
    np.testing.assert_array_equal(pool(x, 1, nan_policy="omit"), [[[1, np.nan, 5, np.nan]]])
    assert pool(x, 1, nan_policy="omit", dtype=np.int32).tolist() == [[[1, 0, 5, 0]]]


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_raise(op, name, data_format, isa):
    window = op.setting(kernel_size=1, stride=3)
    shape = shaped(2, 3, (8,) * op.ndim, data_format)
    x = full_range(np.random.default_rng(1), shape, FLOATS[name])
    x.flat[0] = np.inf
    options = {"data_format": data_format, "nan_policy": "raise"}
    assert_result(op.forward(x, **window, **options), op.expected(x, window, data_format))
    for at in (0, 1, x.size // 2, x.size - 1):  # also between the windows
        y = x.copy()
        y.flat[at] = np.nan
        with pytest.raises(ValueError, match="nan_policy"):
            op.forward(y, **window, **options)
        with pytest.raises(ValueError, match="nan_policy"):
            op.forward(np.asfortranarray(y)[..., ::-1], **window, **options)


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_integers_have_no_nan(op, isa):
    window = op.setting(kernel_size=2)
    x = np.arange(2 * 4**op.ndim).reshape(1, 2, *(4,) * op.ndim)
    for nan_policy in ("propagate", "omit", "raise"):
        assert_result(op.forward(x, **window, nan_policy=nan_policy), op.expected(x, window))


def poisoned(rng, x, value):
    """``x`` with ``value`` in one place of each plane, and where that is."""
    at = tuple(int(rng.integers(n)) for n in x.shape[2:])
    y = x.copy()
    y[(..., *at)] = value
    return y, at


def one_at(spatial, at):
    mark = np.zeros((1, 1, *spatial), np.int32)
    mark[(..., *at)] = 1
    return mark


# Kernel, stride and padding along the last axis.
WIDE = [(3, 1, 1), (2, 2, 0), (13, 1, 6), (31, 1, 15), (63, 1, 31), (31, 3, 7), (5, 2, 2)]


def wide_windows(ndim):
    spatial = {1: (300,), 2: (8, 130), 3: (4, 5, 70)}[ndim]
    lead = ndim - 1
    return spatial, [
        {"kernel_size": (2,) * lead + (k,), "stride": (1,) * lead + (s,), "padding": (1,) * lead + (p,)}
        for k, s, p in WIDE
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_windows_depend_on_their_own_taps_alone(op, name, value, isa):
    """A NaN, an infinity or a huge value changes the windows that hold it and not one bit of the others."""
    if name not in FLOATS:
        pytest.skip("needs ml_dtypes")
    rng = np.random.default_rng(2)
    spatial, windows = wide_windows(op.ndim)
    for window in windows:
        x = full_range(rng, (2, 3, *spatial), FLOATS[name])
        bad, at = poisoned(rng, x, value)
        holds = reference.pool("max", op.ndim, one_at(spatial, at), **window).values[0, 0] > 0
        assert holds.any() and not holds.all()
        for data_format in DATA_FORMATS:
            clean, dirty = (layout_call(op, a, window, data_format) for a in (x, bad))
            assert clean[:, :, ~holds].tobytes() == dirty[:, :, ~holds].tobytes(), f"{window} {data_format}"
            if np.isnan(value):
                assert np.isnan(dirty[:, :, holds].astype(float)).all()


def layout_call(op, x, window, data_format):
    """A call in either layout, its result channels first."""
    if data_format == "channels_first":
        return op.forward(x, **window)
    return np.moveaxis(op.forward(np.moveaxis(x, 1, -1), **window, data_format=data_format), -1, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
@pytest.mark.parametrize("op", [op for op in LINEAR if op.has_window], ids=lambda op: op.id)
def test_gradients_depend_on_their_own_windows_alone(op, value, isa):
    rng = np.random.default_rng(3)
    spatial, windows = wide_windows(op.ndim)
    for window in windows:
        outputs = tuple(ax.o for ax in reference.geometry(spatial, **window))
        grad = rng.normal(size=(1, 2, *outputs))
        bad, at = poisoned(rng, grad, value)
        mark = one_at(outputs, at).astype(np.float64)
        touched = reference.spread("sum", op.ndim, mark, (1, 1, *spatial), **window).values[0, 0] > 0
        assert touched.any() and not touched.all()
        clean, dirty = (op.backward(g, (1, 2, *spatial), **window) for g in (grad, bad))
        assert clean[:, :, ~touched].tobytes() == dirty[:, :, ~touched].tobytes(), window


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("which", ["max", "min"])
def test_first_of_the_zeros_of_volumes(which, dtype, data_format, isa):
    rng = np.random.default_rng(8)
    pool = getattr(cypool, f"{which}_pool3d")
    values = np.array([0.0, -0.0, -1.0 if which == "max" else 1.0], dtype)
    shape = (2, 3, 7, 9, 37) if data_format == "channels_first" else (2, 7, 9, 8, 37)
    for window in ((2, 2, 0), (3, 1, 1), (3, 2, 1), ((2, 1, 3), 1, 0), (5, 1, 2)):
        x = rng.choice(values, shape, p=[0.1, 0.1, 0.8])
        y = pool(x, *window, data_format=data_format)
        same, _ = pool(x, *window, return_indices=True, data_format=data_format)
        np.testing.assert_array_equal(np.signbit(y), np.signbit(same), err_msg=f"{window}")


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("which", ["max", "min"])
def test_first_of_the_zeros(which, dtype, data_format, isa):
    """0.0 and -0.0 are equal: the first of them in the window is returned, with and without indices."""
    rng = np.random.default_rng(7)
    pool = getattr(cypool, f"{which}_pool2d")
    windows = ((3, 1, 1), (2, 2, 0), (3, 2, 1), ((1, 5), 1, 0), (9, 1, 4), (15, 1, 7), (4, 4, 0), ((2, 3), (1, 3), 0))
    values = np.array([0.0, -0.0, -1.0 if which == "max" else 1.0], dtype)
    for window in windows:
        for shape in ((2, 3, 17, 18), (1, 70, 40, 40)):
            x = rng.choice(values, shape, p=[0.1, 0.1, 0.8])
            given = x if data_format == "channels_first" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
            y = pool(given, *window, data_format=data_format)
            same, indices = pool(given, *window, return_indices=True, data_format=data_format)
            if data_format == "channels_last":
                y, same, indices = (np.moveaxis(a, -1, 1) for a in (y, same, indices))
            chosen = np.take_along_axis(x.reshape(*x.shape[:2], -1), indices.reshape(*x.shape[:2], -1), 2)
            np.testing.assert_array_equal(np.signbit(same.ravel()), np.signbit(chosen.ravel()))
            np.testing.assert_array_equal(np.signbit(y), np.signbit(same), err_msg=f"{window} {shape}")
