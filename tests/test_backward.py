"""Gradients: against the oracle, as the adjoint of the forward call, and by finite differences."""

from functools import cache

import numpy as np
import pytest
from cases import DATA, DATA_FORMATS, FLOATS, assert_result, full_range, same_bits, shaped, ties
from operators import CHOOSING, LINEAR, OPERATORS, WINDOWED, ids

EVERY_DTYPE = [(op, name) for op in OPERATORS for name in FLOATS]
DTYPE_IDS = [f"{op.id}-{name}" for op, name in EVERY_DTYPE]


@cache
def random_calls(op, name, data_format, count=8):
    rng = np.random.default_rng([len(op.id), op.ndim, sorted(FLOATS).index(name), len(data_format)])
    calls = []
    for i in range(count):
        shape, window = op.random_call(rng, data_format)
        forward = op.expected(ties(rng, shape, np.int8), window, data_format)
        grad = DATA[i % len(DATA)](rng, forward.values.shape, FLOATS[name])
        grad.flags.writeable = False
        expected = op.expected_backward(grad, shape, window, forward.indices, data_format)
        calls.append((grad, shape, window, forward.indices, expected))
    return calls


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize(("op", "name"), EVERY_DTYPE, ids=DTYPE_IDS)
def test_random_geometry(op, name, data_format, isa):
    for grad, shape, window, indices, expected in random_calls(op, name, data_format):
        got = op.run_backward(grad, shape, window, indices, data_format=data_format)
        assert_result(got, expected, f"{op.id} {name} {shape} {data_format} {window}")


# Kernel, stride, padding on every axis: many windows over one element, gaps between windows, and wide windows.
SETTINGS = [(3, 1, 1), (2, 2, 0), (2, 5, 0), (13, 1, "same"), (5, 2, (0, 4)), (31, 4, 15), (63, 1, 31)]


@cache
def long_calls(op, data_format):
    rng = np.random.default_rng(op.ndim)
    calls = []
    for length in (7, 28, 100, 257, 1000):
        for kernel, stride, padding in SETTINGS:
            spatial = (3,) * (op.ndim - 1) + (length,)
            shape = shaped(1, 3, spatial, data_format)
            pads = padding if isinstance(padding, str) else [(0, 1)] * (op.ndim - 1) + [(padding, padding)]
            if isinstance(padding, tuple):
                pads[-1] = padding
            window = {"kernel_size": (2,) * (op.ndim - 1) + (kernel,), "stride": stride, "padding": pads}
            try:
                forward = op.expected(ties(rng, shape, np.float32), window, data_format)
            except ValueError:  # a window wider than the axis
                continue
            grad = full_range(rng, forward.values.shape, np.float32)
            expected = op.expected_backward(grad, shape, window, forward.indices, data_format)
            calls.append((grad, shape, window, forward.indices, expected))
    return calls


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_long_rows(op, data_format, isa):
    calls = long_calls(op, data_format)
    assert len(calls) >= 20
    for grad, shape, window, indices, expected in calls:
        got = op.run_backward(grad, shape, window, indices, data_format=data_format)
        assert_result(got, expected, f"{op.id} {shape} {data_format} {window}")


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", LINEAR, ids=ids(LINEAR))
def test_backward_is_the_adjoint(op, data_format, isa):
    rng = np.random.default_rng(1)
    for _ in range(20):
        shape, window = op.random_call(rng, data_format)
        x = rng.normal(size=shape)
        y = op.forward(x, **window, data_format=data_format)
        g = rng.normal(size=y.shape)
        back = op.run_backward(g, shape, window, data_format=data_format)
        np.testing.assert_allclose(np.vdot(y, g), np.vdot(x, back), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_finite_differences(op, data_format, isa):
    rng = np.random.default_rng(2)
    step = 1e-4
    for _ in range(3):
        shape, window = op.random_call(rng, data_format, largest=4)
        # A shuffled grid: no two elements are nearer than many steps, so the choice cannot change.
        x = rng.permutation(np.arange(np.prod(shape)) * 0.01).reshape(shape)
        y, indices = op.run(x, window, data_format=data_format)
        g = rng.normal(size=y.shape)
        back = op.run_backward(g, shape, window, indices, data_format=data_format)
        for at in rng.permutation(x.size)[:40]:
            moved = [x.copy(), x.copy()]
            moved[0].flat[at] -= step
            moved[1].flat[at] += step
            low, high = (np.vdot(op.forward(m, **window, data_format=data_format), g) for m in moved)
            np.testing.assert_allclose(back.flat[at], (high - low) / (2 * step), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("op", [op for op in CHOOSING if op.has_window], ids=lambda op: op.id)
def test_gradients_of_one_element_add_up(op, name, isa):
    """512 contributions: added in the storage type a narrow float stops at 256 (bfloat16) or loses bits."""
    outputs = (512, *(1,) * (op.ndim - 1))
    grad = np.full((1, 2, *outputs), 1 / 512, FLOATS[name])
    indices = np.zeros(grad.shape, np.int64)
    got = op.backward(grad, indices, (1, 2, *(4,) * op.ndim))
    assert got.dtype == FLOATS[name]
    np.testing.assert_array_equal(got[:, :, *(0,) * op.ndim].astype(float), [[1.0, 1.0]])
    assert np.count_nonzero(got.astype(float)) == 2


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("op", [op for op in LINEAR if op.has_window], ids=lambda op: op.id)
def test_narrow_gradients_are_added_in_single_precision(op, name, isa):
    """The middle element of a row is in 512 windows of 512 taps."""
    shape = (1, 2, *(1,) * (op.ndim - 1), 1023)
    window = {"kernel_size": (1,) * (op.ndim - 1) + (512,), "stride": 1}
    value = 1.0 if op.kind == "avg" else 1 / 512
    grad = np.full((1, 2, *(1,) * (op.ndim - 1), 512), value, FLOATS[name])
    got = op.backward(grad, shape, **window)
    np.testing.assert_array_equal(got[..., 511].astype(float).ravel(), [1.0, 1.0])


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_any_integer_indices_and_any_strides(op, data_format, isa):
    rng = np.random.default_rng(3)
    for _ in range(5):
        shape, window = op.random_call(rng, data_format)
        indices = op.random_indices(rng, ties(rng, shape, np.float32), window, data_format)
        grad = full_range(rng, indices.shape, np.float32)
        wanted = op.expected_backward(grad, shape, window, indices, data_format)
        first = op.backward(grad, indices, shape, data_format=data_format)
        assert_result(first, wanted)
        fits = "bBhHiIlLqQ" if indices.max() < 128 else "hHiIlLqQ"
        forms = [indices.astype(code) for code in fits]
        forms += [indices.astype(">i8"), indices.astype(">u4"), np.asfortranarray(indices), indices.tolist()]
        reversed_base = np.ascontiguousarray(indices[..., ::-1])
        forms.append(reversed_base[..., ::-1])
        for form in forms:
            got = op.backward(np.asfortranarray(grad), form, shape, data_format=data_format)
            assert same_bits(got, first), getattr(form, "dtype", "list")


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", [op for op in OPERATORS if op.kind != "sum"], ids=lambda op: op.id)
def test_sum_of_gradients(op, data_format, isa):
    """Choosing operators and averages that count no padding hand on all of what arrives."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        shape, window = op.random_call(rng, data_format)
        if op.has_divisor:
            window.update(count_include_pad=False, divisor_override=None)
        indices = op.random_indices(rng, ties(rng, shape, np.float64), window, data_format)
        wanted = op.expected(np.zeros(shape, np.uint8), window, data_format).values.shape
        grad = rng.normal(size=wanted)
        got = op.run_backward(grad, shape, window, indices, data_format=data_format)
        np.testing.assert_allclose(got.sum(), grad.sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_backward_of_ones_counts_the_choices(op, isa):
    rng = np.random.default_rng(5)
    for _ in range(10):
        shape, window = op.random_call(rng, "channels_first", batched=True)
        y, indices = op.run(ties(rng, shape, np.float64), window)
        got = op.backward(np.ones(y.shape), indices, shape)
        volume = int(np.prod(shape[2:]))
        for n, c in np.ndindex(shape[:2]):
            counts = np.bincount(indices[n, c].ravel(), minlength=volume)
            np.testing.assert_array_equal(got[n, c].ravel(), counts)


@pytest.mark.parametrize("op", [op for op in OPERATORS if op.is_global], ids=lambda op: op.id)
def test_global_gradients_may_lack_the_kept_axes(op, isa):
    rng = np.random.default_rng(6)
    for data_format in DATA_FORMATS:
        shape = shaped(2, 3, (5, 4, 3)[: op.ndim], data_format)
        y, indices = op.run(rng.normal(size=shape), {}, data_format=data_format)
        grad = rng.normal(size=y.shape)
        kept = op.run_backward(grad, shape, {}, indices, data_format=data_format)
        flat_indices = None if indices is None else indices.reshape(2, 3)
        flat = op.run_backward(grad.reshape(2, 3), shape, {}, flat_indices, data_format=data_format)
        assert same_bits(kept, flat)


def test_average_backward_worked_by_hand():
    """Windows of 3, stride 2, over five elements: the shared element takes from both."""
    op = next(op for op in WINDOWED if op.name == "avg_pool1d")
    grad = np.array([[[3.0, 6.0]]])
    got = op.backward(grad, (1, 1, 5), 3, 2)
    np.testing.assert_allclose(got[0, 0], [1, 1, 3, 2, 2])
