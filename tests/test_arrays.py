"""What may come in (strides, byte order, foreign arrays) and what goes out (``out=``, empty batches)."""

import array
import itertools

import numpy as np
import pytest
from cases import DATA_FORMATS, DTYPES, FLOATS, assert_result, check_values, full_range, same_bits, shaped, ties
from operators import OPERATORS, ids

import cypool

STORED = ("float32", "float64", "float16", "uint8", "int64")


def poisoned(shape, dtype):
    """Memory around a view: NaN, or both limits, which show where anything reads beyond the view."""
    base = np.empty(shape, dtype)
    if dtype.name in FLOATS:
        base[...] = np.nan
    else:
        limits = np.iinfo(dtype)
        base.reshape(-1)[:] = np.resize(np.array([limits.max, limits.min], dtype), base.size)
    return base


def every_other(x):
    base = poisoned(tuple(2 * n for n in x.shape), x.dtype)
    view = base[(slice(None, None, 2),) * x.ndim]
    view[...] = x
    return view


def all_reversed(x):
    return np.ascontiguousarray(x[(slice(None, None, -1),) * x.ndim])[(slice(None, None, -1),) * x.ndim]


def last_reversed(x):
    return np.ascontiguousarray(x[..., ::-1])[..., ::-1]


def axes_swapped(x):
    return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)


def batch_innermost(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)


def inside_larger(x):
    base = poisoned(tuple(n + 3 for n in x.shape), x.dtype)
    view = base[tuple(slice(1, n + 1) for n in x.shape)]
    view[...] = x
    return view


def byte_swapped(x):
    return x.astype(x.dtype.newbyteorder("S"))


def byte_swapped_reversed(x):
    return last_reversed(byte_swapped(x))


def unaligned(x):
    raw = bytearray(x.nbytes + 1)
    view = np.frombuffer(raw, x.dtype, x.size, 1).reshape(x.shape)
    view[...] = x
    return view


def field_of_records(x):
    records = np.ones(x.shape, [("pad", "u1"), ("value", x.dtype)])
    records["value"] = x
    return records["value"]


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


VIEWS = [
    every_other, all_reversed, last_reversed, axes_swapped, batch_innermost, inside_larger, byte_swapped,
    byte_swapped_reversed, unaligned, field_of_records, read_only, np.asfortranarray,
]  # fmt: skip


COMMON = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 2, "stride": 1, "padding": "same"},
    {"kernel_size": 5, "stride": 1, "padding": "same_lower"},
]


def calls(op, name, data_format, seed):
    """Random calls, and common windows on short rows and on ones longer than a few vectors."""
    rng = np.random.default_rng(seed)
    for _ in range(2):
        shape, window = op.random_call(rng, data_format, batched=True)
        yield ties(rng, shape, DTYPES[name]), window, rng
    if op.has_window:
        for i, window in enumerate(COMMON):
            width = 7 if (i + seed) % 2 else 150
            yield ties(rng, shaped(2, 3, (6, 5)[: op.ndim - 1] + (width,), data_format), DTYPES[name]), window, rng


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_memory_layout_does_not_matter(op, name, data_format, isa):
    for x, window, _ in itertools.chain(calls(op, name, data_format, 1), calls(op, name, data_format, 2)):
        y, indices = op.run(x, window, data_format=data_format)
        check_values(y, op.expected(x, window, data_format))
        for view in VIEWS:
            other = view(x)
            assert np.array_equal(other, x)
            before = other.tobytes()
            note = f"{view.__name__} {op.id} {name} {x.shape} {window}"
            got = op.forward(other, **window, data_format=data_format)
            if op.chooses:
                with_indices, got_indices = op.run(other, window, data_format=data_format)
                assert np.array_equal(with_indices, y) and np.array_equal(got_indices, indices), note
            assert got.dtype == y.dtype and np.array_equal(got, y), note
            assert got.flags.c_contiguous and got.dtype.isnative, note
            assert other.tobytes() == before, f"input modified: {note}"


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_memory_layout_of_gradients_does_not_matter(op, data_format, isa):
    for x, window, rng in calls(op, "float32", data_format, 2):
        expected = op.expected(x, window, data_format)
        for name in ("float32", "float16"):
            grad = full_range(rng, expected.values.shape, DTYPES[name])
            wanted = op.run_backward(grad, x.shape, window, expected.indices, data_format=data_format)
            check_values(wanted, op.expected_backward(grad, x.shape, window, expected.indices, data_format))
            for view in VIEWS:
                other = view(grad)
                before = other.tobytes()
                got = op.run_backward(other, x.shape, window, expected.indices, data_format=data_format)
                assert same_bits(got, wanted), f"{view.__name__} {op.id} {x.shape} {window}"
                assert other.tobytes() == before


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_broadcast_views(op, isa):
    """Strides of 0 on any set of axes."""
    rng = np.random.default_rng(3)
    full = (2, 3, *(5, 6, 7)[: op.ndim])
    window = op.setting(kernel_size=3, stride=2, padding=1)
    for flags in itertools.product([False, True], repeat=len(full)):
        small = tuple(1 if flat else n for flat, n in zip(flags, full, strict=True))
        x = np.broadcast_to(ties(rng, small, np.float32), full)
        y, indices = op.run(x, window)
        expected = op.expected(np.ascontiguousarray(x), window)
        check_values(y, expected)
        assert indices is None or np.array_equal(indices, expected.indices)
        grad = np.broadcast_to(np.float32(0.5), y.shape)
        back = op.run_backward(grad, full, window, indices)
        check_values(back, op.expected_backward(np.ascontiguousarray(grad), full, window, expected.indices))


class Wrapper:
    """Something that only NumPy's array protocol can read."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return self.x if dtype is None else self.x.astype(dtype)


class Capsule:
    """Something that only DLPack can read."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **options):
        return self.x.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


def test_foreign_arrays(isa):
    x = np.arange(24.0, dtype=np.float64).reshape(1, 1, 4, 6)
    wanted = cypool.max_pool2d(x, 2)
    buffer = memoryview(array.array("d", x.ravel())).cast("B").cast("d", x.shape)
    for form in (Wrapper(x), Capsule(x), buffer, x.tolist(), tuple(x.tolist())):
        got = cypool.max_pool2d(form, 2)
        assert same_bits(got, wanted), type(form)
        grad = cypool.avg_pool2d_backward(cypool.avg_pool2d(form, 2), x.shape, 2)
        assert grad.shape == x.shape
    assert same_bits(
        cypool.avg_pool2d_backward(Capsule(wanted), x.shape, 2), cypool.avg_pool2d_backward(wanted, x.shape, 2)
    )
    assert same_bits(cypool.max_pool2d(x[0].astype(int).tolist(), 2), wanted[0].astype(int))


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_subclasses_give_plain_arrays(op):
    class Tagged(np.ndarray):
        pass

    window = op.setting(kernel_size=2)
    x = np.ones((1, 2, *(4,) * op.ndim)).view(Tagged)
    y, indices = op.run(x, window)
    assert type(y) is np.ndarray
    assert type(op.run_backward(y, x.shape, window, indices)) is np.ndarray


def outs(values):
    """Arrays to write into: contiguous, and with every kind of stride."""
    for make in (np.copy, every_other, all_reversed, axes_swapped, batch_innermost, inside_larger, np.asfortranarray):
        out = make(values)
        out[...] = 77
        yield make.__name__, out


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_out(op, name, data_format, isa):
    for x, window, rng in calls(op, name, data_format, 4):
        y, indices = op.run(x, window, data_format=data_format)
        for layout, out in outs(y):
            note = f"{layout} {op.id} {name} {x.shape} {window}"
            got, got_indices = op.run(x, window, data_format=data_format, out=out)
            assert got is out and np.array_equal(out, y), note
            assert indices is None or np.array_equal(got_indices, indices), note
            if op.chooses:
                out[...] = 77
                assert op.forward(x, **window, data_format=data_format, out=out) is out
                assert np.array_equal(out, y), note
        if name in ("float32", "float64", "float16"):
            grad = full_range(rng, y.shape, DTYPES[name])
            back = op.run_backward(grad, x.shape, window, indices, data_format=data_format)
            for layout, out in outs(back):
                got = op.run_backward(grad, x.shape, window, indices, data_format=data_format, out=out)
                assert got is out and np.array_equal(out, back), f"backward {layout} {op.id} {x.shape} {window}"


def test_out_writes_nothing_around_itself(isa):
    x = np.random.default_rng(5).normal(size=(2, 3, 40, 40)).astype(np.float32)
    base = np.full((2, 3, 22, 22), 77, np.float32)
    out = base[:, :, 1:-1, 1:-1]
    cypool.max_pool2d(x, 2, out=out)
    np.testing.assert_array_equal(out, cypool.max_pool2d(x, 2))
    out[...] = 77
    assert (base == 77).all()


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_empty_batch_and_channels(op, data_format, isa):
    window = op.setting(kernel_size=3, stride=2, padding=1)
    for n, c in ((0, 3), (2, 0), (0, 0)):
        for name in ("float32", "bfloat16", "uint8"):
            if name not in op.dtypes:
                continue
            x = np.zeros(shaped(n, c, (6,) * op.ndim, data_format), op.dtypes[name])
            y, indices = op.run(x, window, data_format=data_format)
            expected = op.expected(x, window, data_format)
            assert_result(y, expected)
            assert indices is None or (indices.shape == y.shape and indices.dtype == np.int64)
            grad = np.zeros(y.shape, np.float32)
            back = op.run_backward(grad, x.shape, window, indices, data_format=data_format)
            assert back.shape == x.shape and back.dtype == np.float32
            assert not back.any()
    if not op.is_global:  # unbatched, no channels
        shape = (0, *(6,) * op.ndim) if data_format == "channels_first" else (*(6,) * op.ndim, 0)
        y = op.forward(np.zeros(shape), **window, data_format=data_format)
        assert y.size == 0 and y.ndim == op.ndim + 1


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_layouts_agree(op, isa):
    """Channels first and channels last choose alike, and sums agree to the last bits."""
    rng = np.random.default_rng(6)
    for _ in range(10):
        shape, window = op.random_call(rng, "channels_first", batched=True)
        x = ties(rng, shape, np.float64)
        last = np.moveaxis(x, 1, -1)
        y, indices = op.run(x, window)
        z, last_indices = op.run(last, window, data_format="channels_last")
        np.testing.assert_allclose(
            np.moveaxis(z, -1, 1), y, rtol=0 if op.chooses else 1e-14, atol=0 if op.chooses else 1e-14
        )
        if op.chooses:
            np.testing.assert_array_equal(np.moveaxis(last_indices, -1, 1), indices)
        packed, _ = op.run(np.ascontiguousarray(last), window, data_format="channels_last")
        assert np.array_equal(packed, z)
