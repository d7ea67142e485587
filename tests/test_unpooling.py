"""Unpooling: PyTorch and ONNX as witnesses, the round trip of an autoencoder, ordinals, indices from outside."""

import math

import numpy as np
import pytest
from cases import DATA_FORMATS, refused, same_bits, shaped
from test_arrays import all_reversed, byte_swapped, every_other

import cypool
from cypool import dispatch


@pytest.fixture
def threaded(monkeypatch):
    monkeypatch.setattr(dispatch, "SMALL", 1)


GEOMETRY = [((6,), 2, None, 0), ((5, 7), 2, None, 0), ((4, 5), 3, 2, 1), ((3, 4, 5), 2, None, 0),
            ((5,), (3,), (1,), (1,))]


@pytest.mark.parametrize(("counts", "kernel", "stride", "pad"), GEOMETRY)
def test_against_torch(counts, kernel, stride, pad, isa, threaded):
    torch = pytest.importorskip("torch")
    rng, n = np.random.default_rng(0), len(counts)
    s = stride or kernel
    step, k, p = (v[0] if isinstance(v, tuple) else v for v in (s, kernel, pad))
    usual = tuple((c - 1) * step + k - 2 * p for c in counts)
    for size in (None, usual, tuple(u + step - 1 for u in usual), (2, 3, *usual)):
        sizes = usual if size is None else size[-n:]
        pooled = cypool_pool(rng, n, sizes, kernel, stride, pad)
        if pooled is None or pooled[0].shape[2:] != counts:
            continue
        x, index = pooled
        t = torch.tensor(x, requires_grad=True)
        f = getattr(torch.nn.functional, f"max_unpool{n}d")
        wanted = f(t, torch.from_numpy(index), kernel, stride, pad, None if size is None else list(size))
        made = getattr(cypool, f"max_unpool{n}d")(x, index, kernel, stride, pad, size, num_threads=3)
        assert np.array_equal(made, wanted.detach())
        g = rng.normal(size=made.shape)
        wanted.backward(torch.from_numpy(g))
        back = getattr(cypool, f"max_unpool{n}d_backward")(g, index, num_threads=3)
        assert np.array_equal(back, t.grad)


def cypool_pool(rng, n, sizes, kernel, stride, pad):
    x = rng.normal(size=(2, 3, *sizes))
    try:
        return getattr(cypool, f"max_pool{n}d")(x, kernel, stride, pad, return_indices=True)
    except ValueError:
        return None


@pytest.mark.parametrize("size", [(5,), (9,), (4,), (10,)])
def test_output_size_is_checked_as_pytorch_does(size):
    torch = pytest.importorskip("torch")
    x, index = np.ones((1, 1, 4)), np.zeros((1, 1, 4), np.int64)
    ours = theirs = None
    try:
        ours = cypool.max_unpool1d(x, index, 2, output_size=size).shape
    except ValueError as error:
        assert "output_size" in str(error)
    try:
        theirs = tuple(torch.nn.functional.max_unpool1d(torch.tensor(x), torch.tensor(index), 2,
                                                        output_size=list(size)).shape)
    except ValueError:
        pass
    assert ours == theirs


def test_onnx_node_tests(isa):
    pytest.importorskip("onnx")
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):
        every = [case for case in collect_testcases(None) if case.model.graph.node[0].op_type == "MaxUnpool"]
    assert len(every) >= 2
    from onnx import helper

    for case in every:
        given = {a.name: helper.get_attribute_value(a) for a in case.model.graph.node[0].attribute}
        kernel, stride = tuple(given["kernel_shape"]), tuple(given["strides"])
        for (x, index, *shape), (wanted,) in case.data_sets:
            inferred = tuple((c - 1) * s + k for c, s, k in zip(x.shape[2:], stride, kernel, strict=True))
            plane = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], 1, 1) * math.prod(inferred)
            made = cypool.max_unpool2d(x, index - plane, kernel, stride)
            if shape:                                   # pasted into the corner of a larger array, so the standard
                larger = np.zeros(tuple(shape[0]), x.dtype)
                larger[:, :, : made.shape[2], : made.shape[3]] = made
                made = larger
            assert np.array_equal(made, wanted)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_round_trip(n, data_format, isa, threaded):
    """Maxima come back to where they were; pooling again gives them back, if they are not negative."""
    rng = np.random.default_rng(1)
    pool, unpool = getattr(cypool, f"max_pool{n}d"), getattr(cypool, f"max_unpool{n}d")
    x = abs(rng.normal(size=shaped(2, 17, (8, 6, 4)[:n], data_format)))
    y, index = pool(x, 2, return_indices=True, data_format=data_format)
    whole = unpool(y, index, 2, data_format=data_format)
    assert whole.shape == x.shape and np.array_equal(whole[whole != 0], x[whole != 0])
    assert same_bits(pool(whole, 2, data_format=data_format), y)
    assert np.count_nonzero(whole) == y.size
    g = rng.normal(size=x.shape)
    back = getattr(cypool, f"max_unpool{n}d_backward")(g, index, data_format=data_format)
    assert np.array_equal(back, pick(g, index, n, data_format))


def pick(g, index, n, data_format):
    last = data_format == "channels_last"
    planes, places = (np.moveaxis(a, -1, 1) if last else a for a in (g, index))
    made = np.take_along_axis(planes.reshape(*planes.shape[:2], -1), places.reshape(*places.shape[:2], -1), 2)
    return np.moveaxis(made.reshape(places.shape), 1, -1) if last else made.reshape(places.shape)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize(("n", "window"), [
    (1, {"kernel_size": 2}), (2, {"kernel_size": 2}), (2, {"kernel_size": 3, "stride": 2, "padding": 1}),
    (3, {"kernel_size": 2}), (2, {"kernel_size": (2, 3), "stride": (3, 2)}), (2, {"kernel_size": 3, "stride": 1}),
    (2, {"kernel_size": 17, "stride": 5, "padding": 8})])
def test_ordinals_are_positions(n, window, data_format, isa, threaded):
    """What the layer keeps of its choice, one byte for each, unpools as flat positions do."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=shaped(2, 3, (19, 21, 9)[:n], data_format)).astype(np.float32)
    layer = getattr(cypool, f"MaxPool{n}d")(**window, data_format=data_format)
    y = layer(x)
    flat = getattr(cypool, f"max_pool{n}d")(x, **window, return_indices=True, data_format=data_format)[1]
    small = layer.indices
    assert small.dtype == (np.uint8 if window["kernel_size"] != 17 else np.int64)
    sizes = x.shape[1:-1] if data_format == "channels_last" else x.shape[2:]
    unpool, back = getattr(cypool, f"max_unpool{n}d"), getattr(cypool, f"max_unpool{n}d_backward")
    options = {**window, "data_format": data_format}
    wanted = unpool(y, flat, **options, output_size=sizes)
    assert same_bits(unpool(y, small, **options, output_size=sizes, num_threads=3), wanted)
    g = rng.normal(size=wanted.shape)
    assert same_bits(back(g, small, **options, num_threads=3), back(g, flat, **options))
    undo = getattr(cypool, f"MaxUnpool{n}d")(**options, output_size=sizes)
    assert same_bits(undo(y, small), wanted) and same_bits(undo.backward(g), back(g, flat, **options))


@pytest.mark.parametrize("window", [
    {"kernel_size": 2, "dilation": 2}, {"kernel_size": 3, "stride": 2, "padding": "same"},
    {"kernel_size": 2, "padding": ((1, 0), (0, 1))}])
def test_choices_that_no_unpooling_tells_are_positions(window, isa):
    x = np.random.default_rng(3).normal(size=(2, 3, 9, 8))
    for data_format in DATA_FORMATS:
        given = np.moveaxis(x, 1, -1) if data_format == "channels_last" else x
        layer = cypool.MaxPool2d(**window, data_format=data_format)
        layer(given)
        assert np.array_equal(layer.indices,
                              cypool.max_pool2d(given, **window, return_indices=True, data_format=data_format)[1])
    layer = cypool.AdaptiveMaxPool2d(3)
    layer(x)
    assert np.array_equal(layer.indices, cypool.adaptive_max_pool2d(x, 3, return_indices=True)[1])


def test_the_last_of_several_stays(isa, threaded):
    x = np.arange(1.0, 7).reshape(1, 1, 6)
    index = np.array([[[3, 3, 0, 3, 0, 5]]])
    for threads in (1, 2, 3, 8):
        y = cypool.max_unpool1d(x, index, 2, num_threads=threads)
        assert y.ravel()[[0, 3, 5]].tolist() == [5, 4, 6]
    big = np.random.default_rng(4)
    x, index = big.normal(size=(1, 2, 5000)), big.integers(0, 10000, (1, 2, 5000))
    wanted = cypool.max_unpool1d(x, index, 2, num_threads=1)
    for threads in (2, 5):
        assert same_bits(cypool.max_unpool1d(x, index, 2, num_threads=threads), wanted)


def test_ordinals_of_many_channels(isa):
    x = np.random.default_rng(9).normal(size=(2, 4, 5000)).astype(np.float32)
    layer = cypool.MaxPool1d(2, data_format="channels_last")
    y = layer(x)
    flat = cypool.max_pool1d(x, 2, return_indices=True, data_format="channels_last")[1]
    assert layer.indices.dtype == np.uint8
    assert same_bits(cypool.max_unpool1d(y, layer.indices, 2, data_format="channels_last"),
                     cypool.max_unpool1d(y, flat, 2, data_format="channels_last"))
    with refused(ValueError, "indices"):
        cypool.max_unpool1d(y, np.full(y.shape, 2, np.uint8), 2, data_format="channels_last")


def test_views(isa, threaded):
    rng = np.random.default_rng(5)
    for dtype in ("f4", "f2", "i8", "u1"):
        x = (rng.normal(size=(2, 3, 4, 5)) * 3).astype(dtype)
        index = rng.integers(0, 80, x.shape)
        wanted = cypool.max_unpool2d(x, index, 2)
        assert wanted.dtype == x.dtype
        for view in (all_reversed, every_other, *([byte_swapped] if x.itemsize > 1 else [])):
            given, places = view(x), view(index) if view is not byte_swapped else index
            assert same_bits(cypool.max_unpool2d(given, places, 2), wanted)
            out = view(np.zeros_like(wanted)) if view is not byte_swapped else np.ones_like(wanted)
            assert cypool.max_unpool2d(given, places, 2, out=out) is out and np.array_equal(out, wanted)
    g = rng.normal(size=(2, 3, 8, 10))
    index = rng.integers(0, 80, (2, 3, 4, 5))
    wanted = cypool.max_unpool2d_backward(g, index)
    for view in (all_reversed, every_other, byte_swapped):
        assert same_bits(cypool.max_unpool2d_backward(view(g), view(index)), wanted)


# ---------------------------------------------------------------------------- averages

def test_average_is_the_adjoint(isa):
    rng = np.random.default_rng(6)
    for n in (1, 2, 3):
        for kernel, stride, pad, counted in ((2, None, 0, True), (3, 2, 1, True), (3, 2, 1, False), (3, 1, 0, True)):
            pool, unpool = getattr(cypool, f"avg_pool{n}d"), getattr(cypool, f"avg_unpool{n}d")
            x = rng.normal(size=(2, 3, *(7,) * n))
            y = pool(x, kernel, stride, pad, count_include_pad=counted)
            g = rng.normal(size=y.shape)
            whole = unpool(g, kernel, stride, pad, x.shape[2:], count_include_pad=counted)
            assert np.isclose((whole * x).sum(), (g * y).sum())
            assert np.allclose(whole, getattr(cypool, f"avg_pool{n}d_backward")(
                g, x.shape, kernel, stride, pad, count_include_pad=counted))
            back = getattr(cypool, f"avg_unpool{n}d_backward")
            assert np.allclose(back(x, kernel, stride, pad, count_include_pad=counted), y)
            total = getattr(cypool, f"sum_pool{n}d")(x, kernel, stride, pad)
            assert np.allclose(back(x, kernel, stride, pad, x.shape[2:], scale="copy"), total)


def test_copies_are_the_nearest_element(isa):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(7).normal(size=(2, 3, 4, 5))
    wanted = torch.nn.functional.interpolate(torch.from_numpy(x), scale_factor=(2, 3), mode="nearest").numpy()
    assert np.array_equal(cypool.avg_unpool2d(x, (2, 3), scale="copy"), wanted)


# ---------------------------------------------------------------------------- from outside

def test_hostile_indices(threaded):
    x = np.ones((1, 2, 4))
    for threads in (1, 3):
        for wrong in (8, -1, 2**62, -(2**62)):
            index = np.zeros((1, 2, 4), np.int64)
            index[0, 1, 2] = wrong
            with refused(ValueError, "indices", wrong):
                cypool.max_unpool1d(x, index, 2, num_threads=threads)
            with refused(ValueError, "indices", wrong):
                cypool.max_unpool1d_backward(np.ones((1, 2, 8)), index, num_threads=threads)
    with refused(ValueError, "indices"):
        cypool.max_unpool1d(x, np.full((1, 2, 4), 2**63, np.uint64), 2)
    for index, error in ((np.zeros((1, 2, 3), int), ValueError), (np.zeros((1, 2, 4)), TypeError), ("ab", TypeError),
                         (np.zeros((1, 2, 4), bool), TypeError), (np.zeros((1, 2, 3), np.uint8), ValueError)):
        with pytest.raises(error, match="indices"):
            cypool.max_unpool1d(x, index, 2)
    with refused(ValueError, "indices"):
        cypool.max_unpool1d(x, np.full((1, 2, 4), 2, np.uint8), 2)          # a third tap of two
    with refused(ValueError, "indices", "uint8"):
        cypool.max_unpool1d(x, np.zeros((1, 2, 4), np.uint8), 300)
    with refused(TypeError, "kernel_size"):
        cypool.max_unpool1d_backward(np.ones((1, 2, 8)), np.zeros((1, 2, 4), np.uint8))
    with refused(ValueError, "indices", "grad_output"):
        cypool.max_unpool1d_backward(np.ones((1, 2, 8)), np.zeros((1, 3, 4), int))


@pytest.mark.parametrize("f", [lambda x, *a, **k: cypool.max_unpool2d(x, np.zeros(x.shape, int), *a, **k),
                               cypool.avg_unpool2d])
def test_hostile_windows(f):
    x = np.ones((1, 1, 3, 3))
    for given, error, name in ((((2, 2, 2),), ValueError, "kernel_size"), ((0,), ValueError, "kernel_size"),
                               ((2.0,), TypeError, "kernel_size"), ((2, 0), ValueError, "stride"),
                               ((2, 2, -1), ValueError, "padding"), ((2, 2, 2), ValueError, "padding"),
                               ((2, 2, 0, (5, 4)), ValueError, "output_size"),
                               ((2, 2, 0, (8, 6)), ValueError, "output_size"),
                               ((2, 2, 0, 6), TypeError, "output_size"), ((2, 2, 0, (6,)), ValueError, "output_size"),
                               ((2, 2, 0, (6.0, 6)), TypeError, "output_size"),
                               ((2**31, 2**31), ValueError, "kernel_size"), ((2**30, 2**30), ValueError, "output"),
                               ((3, 1, 3), ValueError, "padding")):
        with pytest.raises(error, match=name):
            f(x, *given)
    for shape in ((1, 1, 0, 3), (3, 3), (1, 1, 1, 3, 3)):
        with pytest.raises(ValueError, match="x"):
            f(np.ones(shape), 2)
    for shape in ((0, 2, 3, 3), (2, 0, 3, 3)):
        assert f(np.ones(shape), 2).shape == (*shape[:2], 6, 6)


def test_hostile_averages():
    x = np.ones((1, 1, 3))
    for scale, error in (("mean", ValueError), (2, TypeError)):
        with pytest.raises(error, match="scale"):
            cypool.avg_unpool1d(x, 2, scale=scale)
    with refused(TypeError, "count_include_pad"):
        cypool.avg_unpool1d(x, 2, count_include_pad="no")
    with refused(TypeError, "x"):
        cypool.avg_unpool1d(np.ones((1, 1, 3), int), 2)
    with refused(ValueError, "output_size"):
        cypool.avg_unpool1d_backward(np.ones((1, 1, 6)), 2, output_size=(7,))
    with refused(ValueError, "kernel_size"):
        cypool.avg_unpool1d_backward(np.ones((1, 1, 6)), 7)
