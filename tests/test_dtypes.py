"""Every dtype at its limits: exact integer averages, rounding, saturation, narrow floats, large windows."""

from functools import cache

import numpy as np
import pytest
from cases import BOOL, DATA_FORMATS, DTYPES, FLOATS, INTEGERS, assert_indices, assert_result, full_range, shaped
from operators import CHOOSING, LINEAR, OPERATORS, ids

import cypool


def extremes(rng, shape, dtype):
    """Integers near both limits of their type, and small ones."""
    info = np.iinfo(dtype)
    pool = [info.min, info.min + 1, info.max, info.max - 1, info.max // 2 + 1, 0, 1, 2, info.max - 3]
    return rng.choice(np.array(pool, dtype=dtype), shape)


@cache
def integer_calls(op, name, result, count=6):
    rng = np.random.default_rng([op.ndim, sorted(INTEGERS).index(name)])
    calls = []
    for i in range(count):
        shape, window = op.random_call(rng, DATA_FORMATS[i % 2], largest=7)
        x = (extremes if i % 3 else full_range)(rng, shape, INTEGERS[name])
        calls.append((x, window, DATA_FORMATS[i % 2], op.expected(x, window, DATA_FORMATS[i % 2], dtype=result)))
    return calls


@pytest.mark.parametrize("result", [None, *DTYPES])
@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("op", LINEAR, ids=ids(LINEAR))
def test_integers_near_their_limits(op, name, result, isa):
    """Sums of 64-bit integers leave 64 bits; the average is still that of the exact sum."""
    options = {} if result is None else {"dtype": DTYPES[result]}
    for x, window, data_format, expected in integer_calls(op, name, result and DTYPES[result]):
        y = op.forward(x, **window, data_format=data_format, **options)
        assert_result(y, expected, f"{op.id} {x.shape} {data_format} {window}")


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("result", DTYPES)
@pytest.mark.parametrize("op", LINEAR, ids=ids(LINEAR))
def test_floats_to_any_result(op, result, name, isa):
    """Eighths: every sum is exact, so rounding to integers has one answer; halves occur often."""
    rng = np.random.default_rng(op.ndim)
    for data_format in DATA_FORMATS:
        for _ in range(5):
            shape, window = op.random_call(rng, data_format, largest=7)
            window.pop("divisor_override", None)
            x = (rng.integers(-40, 40, shape) / 8).astype(FLOATS[name])
            expected = op.expected(x, window, data_format, dtype=DTYPES[result])
            y = op.forward(x, **window, data_format=data_format, dtype=DTYPES[result])
            assert_result(y, expected, f"{op.id} {shape} {data_format} {window}")


@pytest.mark.parametrize("spelling", [np.int16, "int16", np.dtype("i2"), "<i2", ">i2"])
def test_spellings_of_dtype(spelling):
    y = cypool.avg_pool1d(np.array([[[1, 2, 3, 4]]]), 2, dtype=spelling)
    assert y.dtype == np.int16 and y.dtype.isnative
    np.testing.assert_array_equal(y, [[[2, 4]]])  # 1.5 and 3.5, to even


def test_rounding_is_half_to_even(isa):
    x = np.array([[[-3, -2, -1, 0, 1, 2, 3, 4, 5, 8]]])
    for name, dtype in INTEGERS.items():
        y = cypool.avg_pool1d(x, 2, dtype=dtype)
        wanted = [-2, 0, 2, 4, 6] if dtype.kind == "i" else [0, 0, 2, 4, 6]
        assert y[0, 0].tolist() == wanted, name
    y = cypool.avg_pool1d(x, 2, dtype=np.float32)
    np.testing.assert_array_equal(y, [[[-2.5, -0.5, 1.5, 3.5, 6.5]]])


def test_saturation(isa):
    x = np.array([[[2**62, 2**62 + 2**61, -(2**63), -(2**63), 300, 300]]])
    assert cypool.sum_pool1d(x, 2).tolist() == [[[2**63 - 1, -(2**63), 600]]]
    assert cypool.sum_pool1d(x, 2, dtype=np.uint8).tolist() == [[[255, 0, 255]]]
    assert cypool.avg_pool1d(x, 2, dtype=np.int8).tolist() == [[[127, -128, 127]]]
    assert cypool.avg_pool1d(x, 2, dtype=np.uint64).tolist() == [[[2**62 + 2**60, 0, 300]]]
    unsigned = np.full((1, 1, 4), 2**64 - 1, np.uint64)
    assert cypool.sum_pool1d(unsigned, 2).tolist() == [[[2**64 - 1] * 2]]
    assert cypool.avg_pool1d(unsigned, 4, dtype=np.uint64).tolist() == [[[2**64 - 1]]]
    assert cypool.avg_pool1d(unsigned, 4, dtype=np.int64).tolist() == [[[2**63 - 1]]]
    floats = np.array([[[np.nan, np.inf, -np.inf, 1e30, -1e30, 2.5]]])
    assert cypool.avg_pool1d(floats, 1, dtype=np.int64).tolist() == [[[0, 2**63 - 1, -(2**63), 2**63 - 1, -(2**63), 2]]]
    assert cypool.avg_pool1d(floats, 1, dtype=np.uint8).tolist() == [[[0, 255, 0, 255, 0, 2]]]


def test_averages_of_large_64_bit_integers_are_exact(isa):
    """Means that float64 cannot hold, from sums that int64 cannot."""
    rng = np.random.default_rng(0)
    for dtype in (np.int64, np.uint64):
        top = np.iinfo(dtype).max
        for taps in (2, 3, 7, 64, 1000):
            x = np.array([[[top - int(i) for i in rng.integers(0, 100, taps)]]], dtype=dtype)
            exact = sum(int(v) for v in x.ravel())
            got = cypool.avg_pool1d(x, taps, dtype=dtype)
            low, rest = divmod(exact, taps)
            up = 2 * rest > taps or (2 * rest == taps and low % 2)
            assert got.item() == low + bool(up)


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_every_c_integer(op, code):
    """int64 has two C names on most machines, and a compiled signature may know only one."""
    window = op.setting(kernel_size=2)
    x = np.arange(2 * 4**op.ndim, dtype=code).reshape(1, 2, *(4,) * op.ndim) // 2
    y, indices = op.run(x, window)
    expected = op.expected(x, window)
    assert_result(y, expected)
    if op.chooses:
        grad = np.ones(y.shape)
        assert np.array_equal(op.backward(grad, indices.astype(code), x.shape), op.backward(grad, indices, x.shape))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_narrow_floats_add_in_single_precision(name, isa):
    """4096 ones: added in the narrow type they stop at 2048 or 256. 60000 twice: the sum alone leaves float16."""
    if name not in FLOATS:
        pytest.skip("needs ml_dtypes")
    ones = np.ones((1, 1, 64, 64), FLOATS[name])
    for y in (cypool.avg_pool2d(ones, 64), cypool.global_avg_pool(ones)):
        assert y.dtype == FLOATS[name] and float(y.item()) == 1.0
    assert float(cypool.sum_pool2d(ones, 64).item()) == 4096
    large = np.full((1, 1, 8), 60000, FLOATS[name])
    assert float(cypool.avg_pool1d(large, 8).item()) == float(large[0, 0, 0])
    assert float(cypool.avg_pool1d(ones[:, 0], 64, dtype=np.float64)[0, 0, 0]) == 1.0
    if name == "float16":
        assert np.isinf(cypool.sum_pool1d(large, 8)).all()


def test_wider_result_accumulates_wider(isa):
    """``dtype=float64`` on single precision asks for double sums, not for a cast of a single one."""
    x = np.array([[[1.0, 2.0**-30, 0.0, 0.0]]], np.float32)
    assert cypool.sum_pool1d(x, 4, dtype=np.float64).item() == 1 + 2.0**-30
    assert cypool.avg_pool1d(x, 4, dtype=np.float64).item() == (1 + 2.0**-30) / 4


def test_bool_is_logical(isa):
    x = np.array([[[False, True, False, False, True, True]]])
    y, indices = cypool.max_pool1d(x, 2, return_indices=True)
    assert y.dtype == bool and y.tolist() == [[[True, False, True]]] and indices.tolist() == [[[1, 2, 4]]]
    y, indices = cypool.min_pool1d(x, 2, return_indices=True)
    assert y.dtype == bool and y.tolist() == [[[False, False, True]]] and indices.tolist() == [[[0, 2, 4]]]


def test_padding_is_never_chosen(isa):
    """Zero, or the type's limit, in the padding would win here."""
    for dtype in {**INTEGERS, **FLOATS}.values():
        x = -np.ones((1, 1, 3), dtype) if dtype.kind != "u" else np.zeros((1, 1, 3), dtype)
        y, indices = cypool.max_pool1d(x, 3, 1, 1, return_indices=True)
        assert np.array_equal(y, x) and indices.tolist() == [[[0, 0, 1]]]
        x = np.ones((1, 1, 3), dtype)
        y, indices = cypool.min_pool1d(x, 3, 1, 1, return_indices=True)
        assert np.array_equal(y, x) and indices.tolist() == [[[0, 0, 1]]]


@pytest.mark.parametrize("name", [*DTYPES, "bool"])
@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_planes_of_one_limit(op, name, isa):
    """Windows that hold only the type's worst value still choose their first tap."""
    dtype = op.dtypes[name]
    if dtype.kind == "b":
        worst = op.kind == "min"
    elif name in FLOATS:
        worst = np.inf if op.kind == "min" else -np.inf
    else:
        worst = np.iinfo(dtype).max if op.kind == "min" else np.iinfo(dtype).min
    window = op.setting(kernel_size=3, stride=2, padding=1)
    for data_format in DATA_FORMATS:
        x = np.full(shaped(2, 17, (7,) * op.ndim, data_format), worst, dtype)
        y, indices = op.run(x, window, data_format=data_format)
        expected = op.expected(x, window, data_format)
        assert_result(y, expected)
        assert_indices(indices, expected)


# Windows of more taps than each small form of a position can count.
LARGE = {
    1: ((65,), (129,), (257,), (300,), (70_000,)),
    2: ((8, 9), (12, 12), (16, 16), (16, 17), (2, 200), (265, 266)),
    3: ((4, 4, 5), (5, 6, 7), (7, 7, 7), (41, 41, 42)),
}


@pytest.mark.parametrize("name", ["int8", "uint8", "int16", "float16", "bfloat16", "float32", "float64", "bool"])
@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_positions_in_large_windows(op, name, isa):
    """One best element, everywhere in the window: at its ends, and where eight or sixteen bits run out."""
    if name not in {**DTYPES, **BOOL}:
        pytest.skip("needs ml_dtypes")
    for kernel in LARGE[op.ndim]:
        taps = int(np.prod(kernel))
        window = {"output_size": 1} if op.is_adaptive else op.setting(kernel_size=kernel, stride=1)
        for at in (0, 1, 63, 64, 127, 128, 255, 256, 32767, 32768, 65535, 65536, taps - 2, taps - 1):
            if not 0 <= at < taps:
                continue
            x = np.full(taps, op.kind == "min").astype(op.dtypes[name])
            x[at] = op.kind == "max"
            last = np.ascontiguousarray(np.stack([x, x[::-1]], -1))
            for data_format, shape, planes in (
                ("channels_first", (1, 1, *kernel), x),
                ("channels_last", (1, *kernel, 2), last),
            ):
                if taps > 1000 and data_format == "channels_last" and at != taps - 1:
                    continue
                y, indices = op.run(planes.reshape(shape), window, data_format=data_format)
                assert indices.flat[0] == at and bool(y.flat[0]) is (op.kind == "max")
                if data_format == "channels_last":
                    assert indices.flat[1] == taps - 1 - at


@pytest.mark.parametrize("name", ["int8", "int16", "float32"])
@pytest.mark.parametrize("op", [op for op in CHOOSING if op.has_window], ids=lambda op: op.id)
def test_large_sliding_windows(op, name, isa):
    """Large overlapping windows, cut by padding: the position within the window differs from that in the plane."""
    spatial, kernel = {1: ((700,), (300,)), 2: ((40, 41), (17, 19)), 3: ((14, 15, 16), (7, 8, 9))}[op.ndim]
    rng = np.random.default_rng(op.ndim)
    window = {"kernel_size": kernel, "stride": kernel[0] // 3, "padding": tuple(k // 2 for k in kernel)}
    for data_format in DATA_FORMATS:
        x = full_range(rng, shaped(1, 2, spatial, data_format), DTYPES[name])
        expected = op.expected(x, window, data_format)
        y, indices = op.run(x, window, data_format=data_format)
        assert_result(y, expected)
        assert_indices(indices, expected)
