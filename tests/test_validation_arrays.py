"""Arrays that do not fit one another: gradients, indices, shapes and ``out``."""

import numpy as np
import pytest
from cases import DATA_FORMATS, refused
from operators import CHOOSING, LINEAR, OPERATORS, WINDOWED, ids, plain

pytestmark = pytest.mark.usefixtures("no_hang")


def setting(op):
    return op.setting(kernel_size=2)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_index_range(op, data_format, threads, isa):
    """Every index is checked, wherever it stands; 2**32 + 3 must not be taken for 3."""
    x = plain(op, n=12)
    if data_format == "channels_last":
        x = np.moveaxis(x, 1, -1)
    y, indices = op.run(x, setting(op), data_format=data_format)
    volume = 12**op.ndim
    options = {"data_format": data_format, "num_threads": threads}
    for at in (0, indices.size // 2, indices.size - 1):
        for value in (-1, -(2**32) + 3, -(2**63), volume, volume + 1, 2**31, 2**32 + 3, 2**62, 2**63 - 1):
            bad = indices.copy()
            bad.flat[at] = value
            with refused(ValueError, "indices", value):
                op.backward(y, bad, x.shape, **options)
        bad = indices.astype(np.int32)
        bad.flat[at] = -3
        with refused(ValueError, "indices", -3):
            op.backward(y, np.asfortranarray(bad), x.shape, **options)
    last = np.full_like(indices, volume - 1)
    assert op.backward(y, last, x.shape, **options).sum() == y.sum()


@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_unsigned_indices_beyond_int64(op):
    x = plain(op)
    y, indices = op.run(x, setting(op))
    for value in (6**op.ndim, 2**63, 2**64 - 1):
        bad = indices.astype(np.uint64)
        bad.flat[-1] = value
        with refused(ValueError, "indices", value):
            op.backward(y, bad, x.shape)


@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_index_dtypes(op):
    x = plain(op)
    y, indices = op.run(x, setting(op))
    for bad in (indices.astype(np.float64), indices.astype(bool), indices.astype(object), None, "indices"):
        with refused(TypeError, "indices"):
            op.backward(y, bad, x.shape)


@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_index_shapes(op):
    x = plain(op)
    y, indices = op.run(x, setting(op))
    for bad in (indices[..., :0], indices[:1], indices[:, :2], indices[None], indices.ravel(), indices[0, 0, 0]):
        if bad.ndim != 2 or not op.is_global:  # a global one may lack its kept axes
            with refused(ValueError, "indices", bad.shape):
                op.backward(y, bad, x.shape)


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_gradient_shapes(op):
    """Batch and channels of the gradient are those of the input shape, its rank too; linear operators know the rest."""
    x = plain(op)
    y, indices = op.run(x, setting(op))
    bad = [y[:1], y[:, :2], y[None], y[0, 0, 0], np.repeat(y, 2, axis=1), np.float32(1)]
    if op.is_global or not (op.chooses or op.is_adaptive):  # any size may have been asked of an adaptive one
        bad += [np.repeat(y, 2, axis=-1), y[..., :0]]
    for grad in bad:
        if grad.ndim == 2 and op.is_global:  # may lack its kept axes
            continue
        like = None if indices is None else np.zeros(grad.shape, int)
        with refused(ValueError, "grad_output", grad.shape):
            op.run_backward(grad, x.shape, setting(op), like)
    unbatched = x.shape[1:]
    if not op.is_global:
        with refused(ValueError, "input_shape", unbatched):
            op.run_backward(y, unbatched, setting(op), indices)


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_input_shapes(op):
    x = plain(op)
    y, indices = op.run(x, setting(op))
    lead, spatial = x.shape[:2], x.shape[2:]
    for bad in ((*lead, *spatial[1:], 0), (*lead, *spatial[1:], -6), (-2, 3, *spatial), (2,), ()):
        with refused(ValueError, "input_shape"):
            op.run_backward(y, bad, setting(op), indices)
    for bad in ((*lead, *spatial[1:], 6.0), (*lead, *spatial[1:], True), (*lead, *spatial[1:], "6"), 6, None, x):
        with refused(TypeError, "input_shape"):
            op.run_backward(y, bad, setting(op), indices)
    for value in (2**45, 2**62, 2**70):  # more bytes than any machine can address
        with pytest.raises((ValueError, MemoryError)):
            op.run_backward(y, (*lead, *(value,) * op.ndim), setting(op), indices)
    assert op.run_backward(y, list(x.shape), setting(op), indices).shape == x.shape
    assert op.run_backward(y, np.array(x.shape), setting(op), indices).shape == x.shape


def bad_outs(good):
    """What ``out`` must not be, and what the message must mention."""
    yield np.empty(good.shape[:-1] + (good.shape[-1] + 1,), good.dtype), good.shape[-1] + 1
    yield np.empty(good.shape[1:], good.dtype), good.shape[1:]
    yield np.empty((1, *good.shape), good.dtype), (1, *good.shape)
    yield np.empty(good.size, good.dtype), (good.size,)
    yield np.empty(good.shape, np.float64), "float64"
    yield np.empty(good.shape, np.int32), "int32"
    yield np.empty(good.shape, good.dtype.newbyteorder("S")), ""
    frozen = np.empty(good.shape, good.dtype)
    frozen.flags.writeable = False
    yield frozen, ""
    yield np.broadcast_to(np.zeros((), good.dtype), good.shape), ""


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_wrong_out(op):
    x = plain(op)
    y, indices = op.run(x, setting(op))
    for out, mention in bad_outs(y):
        with refused(ValueError, "out", mention):
            op.forward(x, **setting(op), out=out)
        if op.chooses:
            with refused(ValueError, "out", mention):
                op.run(x, setting(op), out=out)
    for out, mention in bad_outs(x):
        with refused(ValueError, "out", mention):
            op.run_backward(y, x.shape, setting(op), indices, out=out)
    for out in (y.tolist(), "out", 1.0, memoryview(y.copy())):
        with refused(TypeError, "out"):
            op.forward(x, **setting(op), out=out)
        with refused(TypeError, "out"):
            op.run_backward(y, x.shape, setting(op), indices, out=out)


@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_overlapping_out(op):
    """Refused where memory is shared; allowed where views only lie between one another's elements."""
    x = plain(op)
    y, indices = op.run(x, setting(op))
    for part in (x[tuple(slice(n) for n in y.shape)], x[tuple(slice(-n, None) for n in y.shape)]):
        with refused(ValueError, "out"):
            op.forward(x, **setting(op), out=part)
    raw = np.zeros(2 * x.size, np.float32)
    with refused(ValueError, "out"):
        op.forward(raw[: x.size].reshape(x.shape), **setting(op), out=raw[x.size - 1 :][: y.size].reshape(y.shape))
    got = op.forward(raw[: x.size].reshape(x.shape), **setting(op), out=raw[x.size :][: y.size].reshape(y.shape))
    np.testing.assert_array_equal(got, op.forward(np.zeros_like(x), **setting(op)))
    woven = np.zeros((*x.shape, 2), np.float32)
    op.forward(woven[..., 0], **setting(op), out=woven[..., 1][tuple(slice(n) for n in y.shape)])
    grad = x[tuple(slice(n) for n in y.shape)]
    with refused(ValueError, "out"):
        op.run_backward(grad, x.shape, setting(op), indices, out=x)
    if op.chooses:
        shared = np.zeros(max(indices.nbytes, x.nbytes), np.uint8)
        held = shared[: indices.nbytes].view(np.int64).reshape(indices.shape)
        held[...] = indices
        with refused(ValueError, "out"):
            op.backward(y, held, x.shape, out=shared[: x.nbytes].view(np.float32).reshape(x.shape))


@pytest.mark.parametrize("op", [op for op in WINDOWED if op.ndim == 2], ids=lambda op: op.id)
def test_identity_window_in_place(op):
    """Even where reading and writing the same element would be harmless."""
    x = plain(op)
    with refused(ValueError, "out"):
        op.forward(x, 1, out=x)


@pytest.mark.parametrize("op", LINEAR, ids=ids(LINEAR))
def test_out_of_a_chosen_dtype(op):
    x = plain(op)
    out = np.empty(op.forward(x, **setting(op)).shape, np.int8)
    assert op.forward(x, **setting(op), dtype=np.int8, out=out) is out
    assert (out == (2**op.ndim if op.kind == "sum" else 1)).all()
    with refused(ValueError, "out", "int8"):
        op.forward(x, **setting(op), out=out)
    with refused(ValueError, "out", "float32"):
        op.forward(x, **setting(op), dtype=np.int8, out=np.empty(out.shape, np.float32))


@pytest.mark.parametrize("op", [op for op in OPERATORS if op.is_global], ids=lambda op: op.id)
def test_out_without_kept_axes(op):
    x = np.random.default_rng(1).normal(size=(2, 3, *(5,) * op.ndim))
    out = np.empty((3, 2)).T
    assert op.forward(x, keepdims=False, out=out) is out
    np.testing.assert_array_equal(out, op.forward(x)[:, :, *(0,) * op.ndim])
    for bad, keepdims in ((np.empty((2, 3)), True), (np.empty((2, 3, *(1,) * op.ndim)), False)):
        with refused(ValueError, "out", bad.shape):
            op.forward(x, keepdims=keepdims, out=bad)
