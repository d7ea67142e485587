"""Bad input raises TypeError (wrong kind) or ValueError (wrong value), naming the argument and what it got."""

import numpy as np
import pytest
from cases import DATA_FORMATS, refused
from operators import CHOOSING, LINEAR, OPERATORS, WINDOWED, ids, plain

import cypool

pytestmark = pytest.mark.usefixtures("no_hang")

HUGE = (2**31, 2**62, 2**70)
WRONG_KINDS = (2.0, 2.5, True, "2", b"2", np.float32(2), np.bool_(True), 2j, np.array(2.0))


def bad_settings(ndim):
    """Argument, value, error. Inputs are 6 long and the kernel is 2 unless it is the argument."""
    for name in ("kernel_size", "stride", "dilation"):
        for value in (0, -1, -(2**31), -(2**62), -(2**70), (*(2,) * (ndim - 1), 0)):
            yield name, value, ValueError
        for value in ((2,) * (ndim + 1), [2] * (ndim + 2), ()):
            yield name, value, ValueError
        for value in (*WRONG_KINDS, (2.0,) * ndim, (True,) * ndim, (None,) * ndim, ((2,),) * ndim):
            yield name, value, TypeError
    yield "kernel_size", None, TypeError
    yield "dilation", None, TypeError
    for name in ("kernel_size", "dilation"):
        for value in (7, *HUGE):
            yield name, value, ValueError
    for value in (-1, 2, *HUGE, -(2**70), (*(0,) * (ndim - 1), 2), [(0, 2)] * ndim, [(-1, 0)] * ndim):
        yield "padding", value, ValueError
    for value in ((1,) * (ndim + 1), [(1, 1, 1)] * ndim, [(1,)] * ndim, (), "full", "SAME_UPPER "):
        yield "padding", value, ValueError
    for value in (1.0, True, None, 1j, (1.0,) * ndim, [(1.0, 1.0)] * ndim, [(True, False)] * ndim, [("1", "1")] * ndim):
        yield "padding", value, TypeError


BAD_SETTINGS = [(op, *bad) for op in WINDOWED for bad in bad_settings(op.ndim)]


def mention(value):
    """How a message may be expected to show a value: scalars as they print."""
    return value if isinstance(value, int | float | str) else ""


@pytest.mark.parametrize(("op", "name", "value", "error"), BAD_SETTINGS, ids=lambda v: getattr(v, "id", None))
def test_window_settings(op, name, value, error):
    window = {"kernel_size": 2, name: value}
    x = plain(op)
    tokens = (name, mention(value))
    with refused(error, *tokens):
        op.forward(x, **window)
    with refused(error, *tokens):
        cypool.output_shape(x.shape, **{"kernel_size": (2,) * op.ndim, **window})
    if not op.chooses:
        with refused(error, *tokens):
            op.backward(np.ones((2, 3, *(3,) * op.ndim), np.float32), x.shape, **window)
    with refused(error, *tokens):
        op.layer(**window)(x)


@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_equal_settings_of_another_kind(op):
    """2.0 and True equal 2 and 1: what is remembered of a valid call must not let them in, nor be taken for them."""
    x = np.arange(2 * 3 * 6.0**op.ndim).reshape(2, 3, *(6,) * op.ndim)
    for name in ("kernel_size", "stride", "dilation", "padding"):
        for good, bad in ((1, True), (2, 2.0), ((2,) * op.ndim, (2.0,) * op.ndim), ((1,) * op.ndim, (True,) * op.ndim)):
            window = {"kernel_size": 3, name: good}
            op.forward(x, **window)
            op.forward(x, **window)
            with refused(TypeError, name):
                op.forward(x, **{**window, name: bad})
    if op.has_divisor:
        counted = op.forward(x, 2, count_include_pad=True)
        np.testing.assert_array_equal(op.forward(x, 2, divisor_override=1), counted * 2**op.ndim)
        np.testing.assert_array_equal(op.forward(x, 2, count_include_pad=True), counted)
        grad = np.ones_like(counted)
        shared = op.backward(grad, x.shape, 2, count_include_pad=True)
        np.testing.assert_array_equal(op.backward(grad, x.shape, 2, divisor_override=1), shared * 2**op.ndim)


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_huge_settings_with_one_window(op, value):
    """A stride beyond the input leaves one window, and a dilation of one tap does nothing: right or refused."""
    x = np.arange(2 * 3 * 6.0**op.ndim).reshape(2, 3, *(6,) * op.ndim)
    meant = [
        ({"kernel_size": 2, "stride": value}, {"kernel_size": 2, "stride": 6}),
        ({"kernel_size": 1, "stride": 2, "dilation": value}, {"kernel_size": 1, "stride": 2}),
        ({"kernel_size": value, "ceil_mode": True}, {"kernel_size": 6}),
        ({"kernel_size": value, "padding": "same"}, {"kernel_size": 6}),
    ]
    for window, usual in meant:
        try:
            y = op.forward(x, **window)
        except ValueError as error:
            name = next(name for name, setting in window.items() if setting == value)
            assert name in str(error) and str(value) in str(error)
        else:
            np.testing.assert_array_equal(y, op.forward(x, **usual))
            shape = cypool.output_shape(x.shape, **{**window, "kernel_size": (window["kernel_size"],) * op.ndim})
            assert y.shape == shape


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_huge_paddings(op, value):
    """A huge window may be padded by almost as much: the result is right, or there is no memory for it."""
    x = plain(op)
    window = {"kernel_size": value, "padding": value - 1, "stride": value}
    try:
        y = op.forward(x, **window)
    except (ValueError, MemoryError):
        pass
    else:
        assert y.shape == (2, 3, *(2,) * op.ndim)
    if value > 2**32:
        with pytest.raises((ValueError, MemoryError)):
            op.forward(x, **{**window, "stride": 1})
        with pytest.raises((ValueError, MemoryError)):
            op.forward(np.zeros((0, *x.shape[1:])), **{**window, "stride": 1})


@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_windows_without_a_valid_tap(op):
    """Only a dilation beyond the input makes them: the case where frameworks return -inf and a wild index."""
    x = plain(op, n=3)
    window = {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 4}
    with refused(ValueError, "dilation", 4):
        op.forward(x, **window)
    with refused(ValueError, "dilation", 4):
        cypool.output_shape(x.shape, **{**window, "kernel_size": (2,) * op.ndim})


BAD_DTYPES = [
    np.zeros(64, object), np.zeros(64, complex), np.zeros(64, np.complex64), np.array(["1"] * 64),
    np.array([b"1"] * 64),
    np.zeros(64, "M8[s]"), np.zeros(64, "m8[ns]"), np.zeros(64, "V2"), np.zeros(64, [("a", "f4")]),
    np.zeros(64, np.longdouble),
]  # fmt: skip


@pytest.mark.parametrize("flat", BAD_DTYPES, ids=lambda a: str(a.dtype))
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_dtypes_of_no_pooling(op, flat):
    if flat.dtype == np.float64:
        pytest.skip("long double is double here")
    x = flat.reshape(1, 64 // 4**op.ndim, *(4,) * op.ndim)
    window = op.setting(kernel_size=2)
    with refused(TypeError, "x", flat.dtype):
        op.forward(x, **window)
    grad = flat[:1].reshape(1, 1, *(1,) * op.ndim)
    shape = (1, 1, *(2,) * op.ndim)
    with refused(TypeError, "grad_output", flat.dtype):
        op.run_backward(grad, shape, window, np.zeros(grad.shape, int))
    if op.chooses:
        with refused(TypeError, "indices", flat.dtype):
            op.backward(np.ones(grad.shape), grad, shape)


@pytest.mark.parametrize("op", LINEAR, ids=ids(LINEAR))
def test_bool_has_no_average(op):
    with refused(TypeError, "x", "bool"):
        op.forward(plain(op, dtype=bool), **op.setting(kernel_size=2))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_gradients_are_floating(op, dtype):
    shape = (1, 1, *(2,) * op.ndim)
    grad = np.ones((1, 1, *(1,) * op.ndim), dtype)
    with refused(TypeError, "grad_output", np.dtype(dtype)):
        op.run_backward(grad, shape, op.setting(kernel_size=2), np.zeros(grad.shape, int))


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_ragged_and_foreign_objects(op):
    window = op.setting(kernel_size=1)
    for bad in ([[[1.0, 2.0], [3.0]]], [[[1, None]]], None, "picture", object(), {"a": 1}, {1, 2}, lambda: 0):
        with refused((TypeError, ValueError), "x"):
            op.forward(bad, **window)


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_ranks(op):
    window = op.setting(kernel_size=1)
    ranks = (0, 1, 2) if op.is_global else [r for r in range(7) if r not in (op.ndim + 1, op.ndim + 2)]
    for rank in ranks:
        x = np.ones((2,) * rank)
        with refused(ValueError, "x", f"{rank} axes" if op.is_global else x.shape):
            op.forward(x, **window)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_no_spatial_elements(op, data_format):
    for axis in range(op.ndim):
        spatial = [3] * op.ndim
        spatial[axis] = 0
        shape = (2, 3, *spatial) if data_format == "channels_first" else (2, *spatial, 3)
        for window in [op.setting(kernel_size=2), op.setting(kernel_size=2, padding="same")]:
            with refused(ValueError, "x", tuple(spatial)):
                op.forward(np.ones(shape), **window, data_format=data_format)


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_options(op):
    window = op.setting(kernel_size=2)
    x = plain(op)
    y, indices = op.run(x, window)

    def both(**options):
        yield lambda: op.forward(x, **window, **options)
        yield lambda: op.run_backward(y, x.shape, window, indices, **options)

    for value in ("NCWH", "", "channels_middle", "Channels_First"):
        for call in both(data_format=value):
            with refused(ValueError, "data_format", value):
                call()
    for value in (None, 1, b"channels_first", ["channels_first"]):
        for call in both(data_format=value):
            with pytest.raises((TypeError, ValueError), match="data_format"):
                call()
    for value in (0, -1, -(2**70)):
        for call in both(num_threads=value):
            with refused(ValueError, "num_threads", value):
                call()
    for value in (1.0, True, "2", (1,)):
        for call in both(num_threads=value):
            with refused(TypeError, "num_threads", mention(value)):
                call()
    for value in ("ignore", "", "Omit"):
        with refused(ValueError, "nan_policy", value):
            op.forward(x, **window, nan_policy=value)
    for value in (None, 0, ["omit"]):
        with pytest.raises((TypeError, ValueError), match="nan_policy"):
            op.forward(x, **window, nan_policy=value)
    with pytest.raises(TypeError, match="kernels"):
        op.forward(x, **window, kernels=2)


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_switches(op):
    """A flag given something else is more likely a misplaced argument than a truth value."""
    names = ["keepdims"] if op.is_global else [] if op.is_adaptive else ["ceil_mode"]
    names += ["return_indices"] if op.chooses else []
    names += ["count_include_pad"] if op.has_divisor else []
    for name in names:
        for value in ("yes", None, 2.0, 3, [True]):
            with refused(TypeError, name):
                op.forward(plain(op), **op.setting(kernel_size=2), **{name: value})


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_huge_thread_counts(op, value):
    window = op.setting(kernel_size=2)
    x = plain(op, n=20)
    for threads in (1000, value):
        try:
            y = op.forward(x, **window, num_threads=threads)
        except ValueError as error:
            assert threads != 1000 and "num_threads" in str(error) and str(threads) in str(error)
        else:
            np.testing.assert_array_equal(y, op.forward(x, **window))


@pytest.mark.parametrize("op", [op for op in WINDOWED if op.has_divisor], ids=lambda op: op.id)
def test_divisors(op):
    x = plain(op)
    grad = op.forward(x, 2)
    for value, error in ((0, ValueError), (1.5, TypeError), (2.0, TypeError), (True, TypeError), ("2", TypeError)):
        with refused(error, "divisor_override", value):
            op.forward(x, 2, divisor_override=value)
        with refused(error, "divisor_override", value):
            op.backward(grad, x.shape, 2, divisor_override=value)
    for value in HUGE:
        try:
            y = op.forward(x, 2, divisor_override=value)
        except ValueError as error:
            assert "divisor_override" in str(error) and str(value) in str(error)
        else:
            np.testing.assert_allclose(y, 2.0**op.ndim / value, rtol=1e-6)


@pytest.mark.parametrize("op", LINEAR, ids=ids(LINEAR))
def test_result_dtypes(op):
    window = op.setting(kernel_size=2)
    for value in (complex, bool, object, "U3", "M8[s]", "V2", "no such type", 3.5):
        with refused(TypeError, "dtype"):
            op.forward(plain(op), **window, dtype=value)


@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_choosing_takes_no_dtype(op):
    with pytest.raises(TypeError, match="dtype"):
        op.forward(plain(op), **op.setting(kernel_size=2), dtype=np.float64)


def test_output_shape():
    shape = cypool.output_shape
    for bad in ((1, 1, -6), (1, 1, 0), (-1, 1, 6), (6,), ()):
        with refused(ValueError, "input_shape"):
            shape(bad, 2)
    for bad in ((1, 1, 6.0), (1, 1, True), (1, 1, "6"), (1, 1, None), 6, None, "116"):
        with refused(TypeError, "input_shape"):
            shape(bad, 2)
    with refused(ValueError, "data_format", "NHWC"):
        shape((1, 1, 6), 2, data_format="NHWC")
    assert shape((1, 6, 1), 2, data_format="NLC") == (1, 3, 1)
    assert shape((1, 6, 6, 1), 2, data_format="NHWC") == shape((1, 6, 6, 1), 2, data_format="channels_last")
    assert shape((1, 1, 6, 6, 6), 2, data_format="NCDHW") == (1, 1, 3, 3, 3)


def test_wrong_keywords_name_the_public_function():
    x = np.ones((1, 1, 4, 4))
    with pytest.raises(TypeError, match=r"^max_pool2d\(\) .*kernel"):
        cypool.max_pool2d(x, kernel=2)
    with pytest.raises(TypeError, match=r"^max_pool2d\(\) missing .*kernel_size"):
        cypool.max_pool2d(x)
    with pytest.raises(TypeError, match=r"^avg_pool2d_backward\(\) .*size"):
        cypool.avg_pool2d_backward(x, x.shape, size=2)
    with pytest.raises(TypeError, match=r"^global_max_pool\(\) .*keep"):
        cypool.global_max_pool(x, keep=True)


def test_strides_beyond_the_array():
    """They are those of one window, and take no memory."""
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    assert cypool.max_pool2d(x, 1, stride=2**31 - 1).tolist() == [[[[0]]]]
    assert cypool.avg_pool2d(x, 2, stride=2**31 - 1, padding=1).tolist() == [[[[0]]]]
    y, indices = cypool.max_pool2d(x, 3, stride=2**31 - 1, return_indices=True)
    assert cypool.max_pool2d_backward(y, indices, x.shape).sum() == 10
    assert cypool.sum_pool2d_backward(np.ones((1, 1, 1, 1)), x.shape, 3, 2**31 - 1).sum() == 9
