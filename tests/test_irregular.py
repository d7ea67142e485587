"""Operators whose windows are data, by one list: values, dtypes, layouts, threads, builds, gradients, layers."""

import zlib

import numpy as np
import pytest
from cases import BOOL, DTYPES, FLOATS, every_build, same_bits
from irregular import IRREGULAR, data
from test_arrays import all_reversed, byte_swapped, every_other, inside_larger

import cypool
from cypool import dispatch

EPS = {"float16": 2**-10, "bfloat16": 2**-7, "float32": 2**-22, "float64": 2**-50}
each_operator = pytest.mark.parametrize("op", IRREGULAR, ids=lambda op: op.name)


@pytest.fixture
def threaded(monkeypatch):
    """Small calls use threads too."""
    monkeypatch.setattr(dispatch, "SMALL", 1)


def seeded(op, more=0):
    return np.random.default_rng(zlib.crc32(op.name.encode()) + more)


def dtypes_of(op):
    return {name: dtype for name, dtype in {**DTYPES, **BOOL}.items()
            if (name in FLOATS and "f" in op.kinds) or (name not in FLOATS and dtype.kind in op.kinds)}


def result_dtype(op, given, dtype):
    if dtype.name in FLOATS or not (op.sums or op.integer_mean and given.get("op", "avg") == "avg"):
        return dtype
    return np.dtype(np.float64 if op.integer_mean else np.int64 if dtype.kind == "i" else np.uint64)


def check(op, y, index, x, call):
    """Against the oracle."""
    with np.errstate(all="ignore"):
        wanted, places = call.expected(x)
    dtype = result_dtype(op, call.given, x.dtype)
    assert y.dtype == dtype and y.shape == wanted.shape and y.flags.c_contiguous
    if dtype.name in FLOATS and x.dtype.name in FLOATS:
        nearest = wanted.astype(np.longdouble)
        scale = max(1.0, float(np.nanmax(np.abs(nearest), initial=0)))
        close = np.abs(y.astype(np.longdouble) - nearest) <= 4 * EPS[dtype.name] * scale
        assert (close | (np.isnan(nearest) & np.isnan(y.astype(np.longdouble)))).all()
    elif dtype.name in FLOATS:
        assert np.array_equal(y, wanted.astype(np.float64))                 # exact means, rounded once
    elif op.sums:
        assert [int(a) % 2**64 for a in y.ravel()] == [int(b) % 2**64 for b in wanted.ravel()]
    else:
        assert np.array_equal(y, wanted.astype(dtype))
    if places is not None:
        assert index.dtype == np.int64 and np.array_equal(index, places)


@pytest.mark.parametrize("name", {**DTYPES, **BOOL})
@each_operator
def test_values(op, name, isa, threaded):
    dtypes = dtypes_of(op)
    rng = seeded(op)
    for i in range(12):
        call = op.draw(rng)
        x = data(rng, call.shape, {**DTYPES, **BOOL}[name])
        if name not in dtypes or name == "bool" and call.given.get("op") == "avg":
            with pytest.raises(TypeError, match="x"):
                op.run(x, call.given)
            continue
        y, index = op.run(x, call.given, num_threads=1 + i % 3)
        check(op, y, index, x, call)
        if op.chooses:
            assert same_bits(op.forward(x, **call.given), y)


@each_operator
def test_special_values(op, isa, threaded):
    """NaN and infinities reach those results alone that see them."""
    rng = seeded(op, 1)
    for name in ("float32", "float64", "float16"):
        for _ in range(15):
            call = op.draw(rng)
            if call.given.get("mode") in ("max", "onnx_max") or op.name.startswith(("roi_align", "ps_roi_align")):
                continue                                            # 0 times infinity: the formula's order would count
            x = data(rng, call.shape, FLOATS[name])
            for value in (np.nan, np.inf, -np.inf):
                x[rng.random(x.shape) < 0.1] = value
            y, index = op.run(x, call.given)
            with np.errstate(all="ignore"):
                wanted, places = call.expected(x)
            wanted = wanted.astype(np.float64)
            finite = np.isfinite(wanted)
            assert np.array_equal(np.isfinite(y.astype(np.float64)), finite)
            assert np.array_equal(y.astype(np.float64)[~finite], wanted[~finite], equal_nan=True)
            if places is not None:
                assert np.array_equal(index, places)


VIEWS = (every_other, all_reversed, inside_larger, byte_swapped)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
@each_operator
def test_views(op, view, isa, threaded):
    rng = seeded(op, 2)
    for name in [n for n in ("float32", "float64", "float16", "int16", "uint64") if n in dtypes_of(op)]:
        for i in range(6):
            call = op.draw(rng)
            x = data(rng, call.shape, DTYPES[name])
            seen = view(x)
            seen.flags.writeable = False
            wanted, got = op.run(x, call.given), op.run(seen, call.given, num_threads=1 + i % 2)
            for a, b in zip(wanted, got, strict=True):
                assert a is None or same_bits(a, b)


@each_operator
def test_out(op, isa):
    rng = seeded(op, 3)
    for name in [n for n in ("float32", "float16", "int32") if n in dtypes_of(op)]:
        for _ in range(6):
            call = op.draw(rng)
            x = data(rng, call.shape, DTYPES[name])
            wanted = op.run(x, call.given)[0]
            zeros = np.zeros_like(wanted)
            for made in (np.empty_like(wanted), every_other(zeros), all_reversed(zeros)):
                got = op.forward(x, **call.given, out=made)
                got = got[0] if isinstance(got, tuple) else got
                assert got is made and np.array_equal(made, wanted, equal_nan=True)
            for bad in (np.empty((*wanted.shape, 2), wanted.dtype), wanted.astype("c16")):
                with pytest.raises(ValueError, match="out"):
                    op.forward(x, **call.given, out=bad)
            with pytest.raises(TypeError, match="out"):
                op.forward(x, **call.given, out=[1])


def moderate(op, rng):
    """A call with a good deal to do."""
    return max((op.draw(rng) for _ in range(25)), key=lambda call: np.prod(call.shape))


@each_operator
def test_threads_and_builds_do_not_change_a_bit(op, threaded):
    rng = seeded(op, 4)
    for _ in range(4):
        call = moderate(op, rng)
        for name in ("float32", "float64", "float16"):
            x = data(rng, call.shape, FLOATS[name])
            seen = []
            for _ in every_build():
                for threads in (1, 2, 3, 5, 8):
                    y, index = op.run(x, call.given, num_threads=threads)
                    seen.append((y, index))
            for y, index in seen[1:]:
                assert same_bits(y, seen[0][0])
                assert index is None or same_bits(index, seen[0][1])


def gradient(op, call, x, g, **options):
    y, index = op.run(x, call.given)
    return op.backward(g, x, index, call.given, **options)


@each_operator
def test_gradient_by_finite_differences(op, isa):
    rng = seeded(op, 5)
    done = 0
    while done < 12:
        call = op.draw(rng)
        size = int(np.prod(call.shape))
        if size > 400:
            continue
        done += 1
        x = rng.permutation(size).reshape(call.shape) / 7 + rng.normal(size=call.shape) * 1e-3      # no ties
        g = rng.normal(size=op.run(x, call.given)[0].shape)
        got = gradient(op, call, x, g)
        assert got.shape == x.shape and got.dtype == x.dtype
        for flat in rng.choice(size, min(size, 25), replace=False):
            at = np.unravel_index(flat, x.shape)
            step = np.zeros(x.shape)
            step[at] = 1e-6
            change = op.run(x + step, call.given)[0] - op.run(x - step, call.given)[0]
            rises = (g * change).sum() / 2e-6
            if op.name.startswith("max_unpool"):            # of several at a place the last alone is seen, see the page
                index = call.given["indices"]
                planes = np.moveaxis(index, -1, 1) if call.given["data_format"] == "channels_last" else index
                place = (at[0], at[-1]) if call.given["data_format"] == "channels_last" else at[:2]
                if (planes[place] == index[at]).sum() > 1:
                    continue
            assert np.isclose(got[at], rises, rtol=1e-4, atol=1e-6), (call.given, at)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@each_operator
def test_gradients_of_every_float(op, name, isa, threaded):
    """As of float64, rounded; and the same bits from every number of threads."""
    if name not in FLOATS:
        pytest.skip("no ml_dtypes")
    rng = seeded(op, 6)
    for _ in range(6):
        call = op.draw(rng)
        x = rng.normal(size=call.shape).astype(FLOATS[name]).astype(np.float64)
        y, index = op.run(x, call.given)
        g = rng.normal(size=y.shape).astype(FLOATS[name]).astype(np.float64)
        wanted = op.backward(g, x, index, call.given)
        x, g = x.astype(FLOATS[name]), g.astype(FLOATS[name])
        got = op.backward(g, x, index, call.given)
        assert got.dtype == FLOATS[name] and got.shape == wanted.shape
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        if call.given.get("mode") != "onnx_max" and call.given.get("mode") != "max":        # another one may win
            assert (np.abs(got.astype(np.float64) - wanted) <= 8 * EPS[name] * scale).all()
        for view in (all_reversed, byte_swapped, every_other):
            assert same_bits(op.backward(view(g), x, index, call.given), got)
        for threads in (2, 3, 5, 8):
            with_threads = {**call.given}
            cypool.set_num_threads(threads)
            try:
                assert same_bits(op.backward(g, x, index, with_threads), got)
            finally:
                cypool.set_num_threads(None)


@each_operator
def test_gradients_agree_on_every_build(op, threaded):
    rng = seeded(op, 7)
    for name in ("float32", "float64"):
        for _ in range(4):
            call = moderate(op, rng)
            x = data(rng, call.shape, FLOATS[name])
            y, index = op.run(x, call.given)
            g = rng.normal(size=y.shape).astype(y.dtype)
            seen = [op.backward(g, x, index, call.given) for _ in every_build()]
            assert all(same_bits(a, seen[0]) for a in seen)


@each_operator
def test_layers(op, isa):
    rng = seeded(op, 8)
    for _ in range(10):
        call = op.draw(rng)
        x = rng.normal(size=call.shape)
        beside = {name: value for name, value in call.given.items() if name in op.beside}
        settings = {name: value for name, value in call.given.items() if name not in op.beside}
        layer = op.layer(**settings)
        with pytest.raises(RuntimeError, match="forward"):
            layer.backward(x)
        y, index = op.run(x, call.given)
        made = layer(x, **beside)
        assert same_bits(made[0] if isinstance(made, tuple) else made, y)
        g = rng.normal(size=y.shape)
        back = layer.backward(g)
        back = back[0] if isinstance(back, tuple) else back
        assert same_bits(back, op.backward(g, x, index, call.given))
        assert repr(layer).startswith(type(layer).__name__)
        if op.chooses and call.given.get("op") != "avg":
            both = op.layer(**settings, return_indices=True)(x, **beside)
            assert same_bits(both[0], y) and same_bits(both[1], index)
        with pytest.raises(TypeError):
            layer(x, **beside, nothing=3)


@each_operator
def test_lists_are_arrays(op, isa):
    rng = seeded(op, 9)
    for _ in range(5):
        call = op.draw(rng)
        if 0 in call.shape:
            continue
        x = rng.normal(size=call.shape)
        listed = {name: value.tolist() if isinstance(value, np.ndarray) and value.dtype != bool else value
                  for name, value in call.given.items()}
        if "boxes" in listed:
            listed["boxes"] = np.array(listed["boxes"], call.given["boxes"].dtype).tolist()
            if call.given["boxes"].dtype == np.float32:
                continue                                    # lists are float64: halves may round otherwise
        assert np.array_equal(op.run(x.tolist(), listed)[0], op.run(x, call.given)[0])


@each_operator
def test_bad_arguments_for_all(op):
    rng = seeded(op, 10)
    call = op.draw(rng)
    x = rng.normal(size=call.shape)
    for bad, error in (("x", TypeError), (x.astype(complex), TypeError), (np.array(None), TypeError),
                       (np.float64(3), ValueError), (x.astype("U3"), TypeError)):
        with pytest.raises(error, match="x"):
            op.forward(bad, **call.given)
    for bad, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match="num_threads"):
            op.forward(x, **call.given, num_threads=bad)
    if op.chooses:
        with pytest.raises(TypeError, match="return_indices"):
            op.forward(x, **{**call.given, "return_indices": "yes"})
    if "data_format" in call.given:
        with pytest.raises(ValueError, match="data_format"):
            op.forward(x, **{**call.given, "data_format": "NWHC"})
    y, index = op.run(x, call.given)
    if op.name not in ("segment_sum", "segment_mean"):          # which take rows of any shape
        for bad in (np.ones((*y.shape, 2)), np.ones((1, *y.shape, 3))):
            with pytest.raises(ValueError, match="grad_output|indices|output_size|input_shape"):
                op.backward(bad, x, index, call.given)
    with pytest.raises(TypeError, match="grad_output"):
        op.backward(np.ones(y.shape, np.int32), x, index, call.given)
