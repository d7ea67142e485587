"""Medians, ranks and modes: against sorted taps, against SciPy, at every edge, and on data made to be slow."""

import math
import time
from functools import cache

import numpy as np
import pytest
import reference
from cases import (
    BOOL,
    DATA_FORMATS,
    DTYPES,
    INTEGERS,
    full_range,
    random_geometry,
    random_shape,
    refused,
    same_bits,
    specials,
    ties,
)

import cypool
from cypool import dispatch
from cypool.networks import network

LABELS = {**INTEGERS, **BOOL}
NDIMS = (1, 2, 3)


def function(kind, ndim):
    return getattr(cypool, f"{kind}_pool{ndim}d")


def taps_of(x, ndim, data_format, window):
    """The taps of every window along a last axis, and which of them lie in the input; shaped (N, C, *outputs, K)."""
    inner = reference.planes(np.asarray(x), ndim, data_format)
    axes = reference.geometry(inner.shape[2:], **window)
    there = reference.extended(np.ones(inner.shape, bool), axes, False)
    inner = reference.extended(inner, axes, 0)
    scan = list(reference.scan(axes))
    return np.stack([inner[tap] for tap in scan], -1), np.stack([there[tap] for tap in scan], -1)


def each_window(x, ndim, data_format, window, choose):
    """What `choose` makes of the valid taps of each window, and of how many there could be."""
    values, there = taps_of(x, ndim, data_format, window)
    y = np.empty(values.shape[:-1], values.dtype.newbyteorder("="))
    for at in np.ndindex(y.shape):
        y[at] = choose(values[at][there[at]], values.shape[-1])
    return reference.like_call(y, np.asarray(x), ndim, data_format)


def ranked(rank, policy="propagate"):
    """One rank of sorted taps; None: the median."""

    def choose(taps, most):
        taps = np.sort(taps.astype(np.float64) if taps.dtype.name == "bfloat16" else taps)  # NaN comes last
        wrong = int(np.sum(taps != taps))
        if wrong and (policy == "propagate" or wrong == len(taps)):
            return np.nan
        m = len(taps) - wrong
        if rank is None:
            return taps[(m - 1) // 2]
        return taps[(rank % most) * (m - 1) // max(1, most - 1)]

    return choose


def most_frequent(ignored=None):
    def choose(taps, most):
        labels, counts = np.unique(taps, return_counts=True)
        labels, counts = labels[labels != ignored], counts[labels != ignored]
        return labels[np.argmax(counts)] if len(labels) else ignored

    return choose


def agree(y, expected, note=""):
    """The same values; zeros of either sign are equal, and so are all NaN."""
    assert y.dtype == expected.dtype and y.shape == expected.shape and y.flags.c_contiguous, note
    same = (y == expected) | ((y != y) & (expected != expected))
    assert same.all(), f"{np.sum(~same)} of {y.size} wrong, first at {np.argwhere(~same)[0]}: {note}"


def disguised(rng, x):
    """The same numbers in another order in memory, or of bytes, or read-only."""
    style = rng.integers(5)
    if style == 1:
        return x.astype(x.dtype.newbyteorder(">")) if x.dtype.kind != "V" and x.dtype.name != "bfloat16" else x
    if style == 2:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if style == 3:
        return np.asfortranarray(x)[..., ::-1][..., ::-1]
    if style == 4:
        x = x[::-1].copy()[::-1]
        x.flags.writeable = False
    return x


def check(calls):
    """Each call's result is the oracle's."""
    for kind, ndim, x, arguments, options, expected in calls:
        y = function(kind, ndim)(x, *arguments, **options)
        agree(y, expected, f"{kind} {x.shape} {arguments} {options}")


def calls_on(rng, ndim, x, data_format, window, policy):
    """A median and a rank, or for labels also a mode, with the oracle's results."""
    spatial = reference.planes(x, ndim, data_format).shape[2:]
    taps = math.prod(ax.k for ax in reference.geometry(spatial, **window))
    rank = int(rng.integers(-taps, taps))
    given, options = disguised(rng, x), {**window, "data_format": data_format}
    for kind, arguments in (("median", ()), ("rank", (rank,))):
        expected = each_window(x, ndim, data_format, window, ranked(*arguments or (None,), policy))
        yield kind, ndim, given, arguments, {**options, "nan_policy": policy}, expected
    if x.dtype.name in LABELS:
        ignored = [None, int(x.flat[3 % x.size]), 1][rank % 3]
        expected = each_window(x, ndim, data_format, window, most_frequent(ignored))
        yield "mode", ndim, given, (), {**options, "ignore_label": ignored}, expected


@cache
def random_calls(name, ndim):
    rng = np.random.default_rng([ndim, len(name), ord(name[0])])
    calls = []
    for i in range(9):
        spatial, window = random_geometry(rng, ndim, 9)
        data_format = DATA_FORMATS[i % 2]
        data = (ties, full_range, specials)[i % 3]
        x = data(rng, random_shape(rng, spatial, data_format), {**DTYPES, **BOOL}[name])
        calls += calls_on(rng, ndim, x, data_format, window, ("propagate", "omit")[i // 3 % 2])
    return calls


@pytest.mark.parametrize("ndim", NDIMS)
@pytest.mark.parametrize("name", [*DTYPES, "bool"])
def test_random_windows(name, ndim, isa):
    check(random_calls(name, ndim))


# Windows that go every way there is: by networks of one and several rows of taps, along histograms, one by one.
WAYS = (
    (1, (500,), {"kernel_size": 60, "stride": 1, "padding": 30}),
    (1, (1500,), {"kernel_size": 1000, "stride": 3, "padding": 7}),
    (1, (3000,), {"kernel_size": 300, "stride": 4, "dilation": 2, "padding": 300}),
    (1, (900,), {"kernel_size": 200, "stride": 7, "dilation": 3}),
    (2, (40, 50), {"kernel_size": 7, "stride": 1, "padding": 3}),
    (2, (45, 50), {"kernel_size": 11, "stride": 2, "padding": 5, "ceil_mode": True}),
    (2, (33, 70), {"kernel_size": (30, 35), "stride": (3, 1), "padding": (4, 17)}),
    (2, (64, 64), {"kernel_size": 16}),
    (2, (200, 10), {"kernel_size": (9, 2), "stride": (1, 3), "dilation": (20, 1)}),
    (3, (12, 13, 14), {"kernel_size": 5, "stride": 2, "padding": 2}),
    (3, (9, 9, 20), {"kernel_size": (7, 6, 9), "stride": (2, 2, 1), "padding": 3}),
)


@cache
def large_calls(name, way):
    ndim, spatial, window = WAYS[way]
    rng = np.random.default_rng([way, len(name)])
    calls = []
    for i, data in enumerate((full_range, specials)):
        x = data(rng, ((1, 2, *spatial), (*spatial, 3))[i], DTYPES[name])
        if i == 0 and x.dtype.kind == "f":
            x[..., 5] = np.nan
        calls += calls_on(rng, ndim, x, DATA_FORMATS[i], window, ("propagate", "omit")[i])
    return calls


@pytest.mark.parametrize("name", ["uint8", "int8", "uint16", "float16", "float32", "int64"])
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_large_windows(way, name, isa):
    check(large_calls(name, way))


@pytest.mark.parametrize("kernel", [3, 5, 9, 15])
@pytest.mark.parametrize("name", ["uint8", "int16", "uint16", "float32"])
def test_planes_that_earn_a_network(name, kernel, isa):
    """Wide planes, in several tiles and blocks, against every window in NumPy at once."""
    rng = np.random.default_rng(kernel)
    x = full_range(rng, (211, 307), DTYPES[name])
    if name == "float32":
        x[100, 200] = np.nan
    view = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel)).reshape(212 - kernel, -1, kernel**2)
    expected = np.sort(view, -1)[..., kernel**2 // 2]
    expected = np.where((view != view).any(-1), np.float32("nan"), expected) if name == "float32" else expected
    y = cypool.median_pool2d(x[None], kernel, 1)[0]
    agree(y, np.ascontiguousarray(expected), f"{kernel}")
    p = kernel // 2
    padded = cypool.median_pool2d(x[None], kernel, 1, p)[0]
    agree(np.ascontiguousarray(padded[p:-p, p:-p]), y)
    last = np.ascontiguousarray(np.broadcast_to(x[..., None], (*x.shape, 3)))
    agree(cypool.median_pool2d(last, kernel, 1, data_format="channels_last")[..., 1].copy(), y)


@pytest.mark.parametrize("name", ["uint8", "int16", "float64"])
def test_scipy_agrees(name, isa):
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    for shape, kernel in (((300,), (9,)), ((40, 50), (3, 5)), ((12, 14, 16), (3, 3, 5))):
        x = full_range(rng, shape, DTYPES[name])
        inside = tuple(slice(k // 2, n - k // 2) for k, n in zip(kernel, shape, strict=True))
        y = function("median", len(shape))(x[None], kernel, 1)[0]
        assert np.array_equal(y, ndimage.median_filter(x, size=kernel)[inside])
        for rank in (0, 2, -2):
            y = function("rank", len(shape))(x[None], rank, kernel, 1)[0]
            assert np.array_equal(y, ndimage.rank_filter(x, rank, size=kernel)[inside])


def test_scipy_agrees_on_modes(isa):
    stats = pytest.importorskip("scipy.stats")
    x = np.random.default_rng(0).integers(0, 4, (1, 1, 16, 15), np.uint8)
    taps, _ = taps_of(x, 2, "channels_first", {"kernel_size": (4, 3)})
    assert np.array_equal(cypool.mode_pool2d(x, (4, 3)), stats.mode(taps, axis=-1).mode)


def test_by_hand(isa):
    x = np.array([[1, 2, 3, 4]])
    assert cypool.median_pool1d(x, 4).tolist() == [[2]]  # the lower one of the middle two
    assert cypool.median_pool1d(x, 3, 1, 1).tolist() == [[1, 2, 3, 3]]
    assert [cypool.rank_pool1d(x, r, 4).item() for r in (0, 1, 2, 3, -1, -4)] == [1, 2, 3, 4, 4, 1]
    assert cypool.rank_pool1d(x, 2, 3, 1, 2).tolist() == [[1, 2, 3, 4, 4, 4]]  # the largest, of however many
    assert cypool.rank_pool1d(x, 1, 3, 1, 2).tolist() == [[1, 1, 2, 3, 3, 4]]
    for taps, wanted in (((1, 2, 2, 3), 2), ((1, 2, 3, 4), 1), ((1, 1, 2, 2), 1), ((2, 2, 1, 1), 1), ((4, 3, 3, 4), 3)):
        assert cypool.mode_pool2d(np.array(taps).reshape(1, 2, 2), 2).item() == wanted
    assert cypool.mode_pool2d(np.array([0, 0, 0, 5]).reshape(1, 2, 2), 2, ignore_label=0).item() == 5
    assert cypool.mode_pool2d(np.array([0, 0, 0, 0]).reshape(1, 2, 2), 2, ignore_label=0).item() == 0
    assert cypool.mode_pool1d(np.array([[True, False]]), 2).tolist() == [[False]]
    assert cypool.mode_pool1d(np.array([[True, False]]), 2, ignore_label=False).tolist() == [[True]]


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_nan(name, isa):
    if name not in DTYPES:
        pytest.skip("needs ml_dtypes")
    x = np.array([[1, np.nan, 3, 4, np.nan, np.nan, -np.nan, -np.inf]]).astype(DTYPES[name])
    nan = float("nan")
    for kind, rank in (("median", ()), ("rank", (0,))):
        call = function(kind, 1)
        got = call(x, *rank, 2).astype(float)
        np.testing.assert_array_equal(got, [[nan, 3, nan, nan]])
        got = call(x, *rank, 2, nan_policy="omit").astype(float)
        np.testing.assert_array_equal(got, [[1, 3, nan, -np.inf]])
        with refused(ValueError, "x", "NaN"):
            call(x, *rank, 2, nan_policy="raise")
        assert call(x[:, 2:4], *rank, 2, nan_policy="raise").item() == 3
    big = np.ones((1, 1, 300), DTYPES[name])
    big[..., 7] = np.nan
    assert np.isnan(cypool.median_pool1d(big, 300).astype(float)).all()
    assert cypool.median_pool1d(big, 300, nan_policy="omit").astype(float).item() == 1


@pytest.mark.parametrize("kind", ["median", "rank", "mode"])
def test_out(kind, isa):
    rng = np.random.default_rng(1)
    rank = (3,) if kind == "rank" else ()
    for name in ("uint8", "int64", "uint16"):
        x = ties(rng, (2, 3, 20, 30), DTYPES[name])
        wanted = function(kind, 2)(x, *rank, 3, 2, 1)
        wide = np.full((2, 3, 20, 30), 99, x.dtype)
        half = wide[:, :, ::2, ::2]
        for out in (np.empty_like(wanted), half, half[..., ::-1], wide[:, ::-1, :10, 15:]):
            out[...] = 7
            assert function(kind, 2)(x, *rank, 3, 2, 1, out=out) is out
            assert np.array_equal(out, wanted)
        for bad in (wanted.astype(np.float64), wanted[:1], x[:, :, :10, :15]):
            with refused(ValueError, "out"):
                function(kind, 2)(x, *rank, 3, 2, 1, out=bad)


@pytest.mark.parametrize("kind", ["median", "rank", "mode"])
def test_threads_do_not_matter(kind, isa):
    rng = np.random.default_rng(2)
    rank = (5,) if kind == "rank" else ()
    for name, window in (("uint8", (3, 1, 1)), ("int32", (4, 3, 1)), ("uint8", ((30, 30), 9, 3)), ("int64", (40, 7))):
        for data_format in DATA_FORMATS:
            x = ties(rng, (2, 90, 80, 5), DTYPES[name])
            x = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
            results = [function(kind, 2)(x, *rank, *window, data_format=data_format, num_threads=n) for n in (1, 2, 7)]
            assert same_bits(results[0], results[1]) and same_bits(results[0], results[2])


def test_every_build_gives_the_same_bits():
    rng = np.random.default_rng(3)
    x = specials(rng, (2, 3, 30, 40), DTYPES["float32"])
    labels = ties(rng, (2, 3, 30, 40), DTYPES["uint16"])
    results = {}
    before = dispatch.in_use()
    for name in dispatch.available():
        dispatch.use(name)
        assert dispatch.rank_kernels().__name__.endswith(f"ranks_{name}")
        results[name] = [cypool.median_pool2d(x, 3, 1, 1), cypool.rank_pool2d(x, 5, 4, nan_policy="omit"),
                         cypool.mode_pool2d(labels, 3, 1, 1), cypool.median_pool2d(labels, 13, 1, 6)]  # fmt: skip
    dispatch.use(before)
    for other in results.values():
        assert all(same_bits(a, b) for a, b in zip(results["baseline"], other, strict=True))


@pytest.mark.parametrize("name", ["uint8", "uint16", "int32", "float64"])
def test_slow_data_is_not_slow(name, isa, no_hang):
    """Constant, sorted, alternating, organ-pipe: data that makes one method or another quadratic."""
    n = 3000
    ramp = np.arange(n)
    shapes = [ramp * 0, ramp, ramp[::-1], ramp % 2 * n, np.minimum(ramp, n - ramp), ramp * 7919 % n]
    largest = 255 if name == "uint8" else n
    start = time.perf_counter()
    for data in shapes:
        x = (data * largest // n).astype(DTYPES[name])[None]
        for kernel, stride in ((1501, 1 if x.itemsize < 4 else 50), (n, 1)):
            y = cypool.median_pool1d(x, kernel, stride, num_threads=1)
            assert y[0, 0] == np.sort(x[0, :kernel])[(kernel - 1) // 2]
            assert y[0, -1] == np.sort(x[0, (y.shape[1] - 1) * stride :][:kernel])[(kernel - 1) // 2]
        if name != "float64":
            assert cypool.mode_pool1d(x, n).item() == np.unique(x)[np.argmax(np.unique(x, return_counts=True)[1])]
    assert time.perf_counter() - start < 20


def test_huge_windows_take_no_huge_memory(isa, no_hang):
    """Kernels far larger than the input, dilation beyond it, and windows too large to be gathered."""
    x = np.arange(10, dtype=np.int32)[None]
    far = 2**31 - 1
    assert cypool.median_pool1d(x, far, far, [(far - 10, 0)]).tolist() == [[4]]
    assert cypool.rank_pool1d(x, far // 2, far, far, [(far - 10, 0)]).tolist() == [[4]]
    assert cypool.rank_pool1d(x, -1, far, far, [(far - 10, 0)]).tolist() == [[9]]
    assert cypool.mode_pool1d(x, far, far, [(far - 10, 0)]).tolist() == [[0]]
    assert cypool.median_pool1d(x, 3, 1, 10**9, 10**9)[0, :3].tolist() == [0, 1, 2]
    large = np.random.default_rng(0).integers(-(2**60), 2**60, (1, 400, 500))
    y = cypool.median_pool2d(large, (400, 499), 1)
    assert y.ravel().tolist() == [np.sort(large[0, :, i : i + 499], None)[(400 * 499 - 1) // 2] for i in range(2)]
    floats = large.astype(np.float64)
    floats[0, 3, 0] = np.nan
    assert np.isnan(cypool.median_pool2d(floats, (400, 499), 1)).ravel().tolist() == [True, False]
    y = cypool.median_pool2d(floats, (400, 499), 1, nan_policy="omit").ravel()
    assert y[0] == np.sort(floats[0, :, :499], None)[(400 * 499 - 2) // 2]


def test_empty():
    for kind, rank in (("median", ()), ("rank", (1,)), ("mode", ())):
        for shape in ((0, 3, 8, 8), (2, 0, 8, 8)):
            assert function(kind, 2)(np.zeros(shape, np.uint8), *rank, 2).shape == (*shape[:2], 4, 4)
        y = function(kind, 2)(np.zeros((2, 8, 8, 0), np.int32), *rank, 2, data_format="channels_last")
        assert y.shape == (2, 4, 4, 0)


def test_wrong_arguments():
    x = np.zeros((1, 6, 6), np.int16)
    for bad in (9, -10, 2**80):
        with refused(ValueError, "rank", bad):
            cypool.rank_pool2d(x, bad, 3)
    for bad in (1.0, "1", None, True, [1]):
        with refused(TypeError, "rank"):
            cypool.rank_pool2d(x, bad, 3)
    for bad in (40000, -40000, 2**80):
        with refused(ValueError, "ignore_label", bad):
            cypool.mode_pool2d(x, 3, ignore_label=bad)
    for bad in (1.0, "1", True, [1], np.nan):
        with refused(TypeError, "ignore_label"):
            cypool.mode_pool2d(x, 3, ignore_label=bad)
    with refused(ValueError, "ignore_label", 2):
        cypool.mode_pool2d(x > 0, 3, ignore_label=2)
    for call in (cypool.median_pool2d, cypool.mode_pool2d, lambda x, *a, **k: cypool.rank_pool2d(x, 0, *a, **k)):
        with refused(TypeError, "x"):
            call(x.astype(complex), 3)
        with refused(ValueError, "x"):
            call(x[0], 3)
        with refused(ValueError, "x"):
            call(x[:, :0], 3)
        with refused(ValueError, "kernel_size"):
            call(x, 7)
        with refused(ValueError, "kernel_size"):
            call(x, 0)
        with refused(TypeError, "stride"):
            call(x, 2, 1.5)
        with refused(ValueError, "padding"):
            call(x, 2, 1, 2)
        with refused(ValueError, "dilation"):
            call(x, 2, 1, 6, 7)
        with refused(TypeError, "ceil_mode"):
            call(x, 2, ceil_mode="yes")
        with refused(ValueError, "data_format"):
            call(x, 2, data_format="NCWH")
        with refused(ValueError, "num_threads"):
            call(x, 2, num_threads=0)
        with refused(TypeError, "out"):
            call(x, 2, out=[1])
    with refused(TypeError, "x"):
        cypool.mode_pool2d(x.astype(float), 3)
    for call in (cypool.median_pool2d, lambda *a, **k: cypool.rank_pool2d(a[0], 0, a[1], **k)):
        with refused(ValueError, "nan_policy"):
            call(x, 2, nan_policy="ignore")


NETWORKS = (
    (1, ((0, 0),), 1),
    (3, ((0, 0), (0, 1), (0, 2)), 1),
    (5, tuple((0, i) for i in range(5)), 1),
    (2, ((0, 0), (1, 0), (0, 1)), 2),
    (4, ((0, 0), (1, 2), (0, 3), (1, 5), (0, 6)), 2),
    (1, ((0, 0), (1, 0)), 2),
)


@pytest.mark.parametrize("column, across, rows", NETWORKS)
def test_networks(column, across, rows):
    """Every rank of every window, in plain NumPy."""
    rng = np.random.default_rng(4)
    wide = 8 + max(shift for _, shift in across)
    inputs = rng.integers(0, 30, (column * rows, wide))
    taps = np.sort([inputs[i * rows + sort, shift : shift + 8] for i in range(column) for sort, shift in across], 0)
    for rank in range(column * len(across)):
        net = network(column, across, rows, rank)
        memory = [*inputs.copy(), *np.full((net.rows, wide), -1)]
        for a, a_shift, b, b_shift, low, high, further in net.steps:
            x, y = memory[a][a_shift:][: 8 + further].copy(), memory[b][b_shift:][: 8 + further].copy()
            for row, values in ((low, np.minimum(x, y)), (high, np.maximum(x, y))):
                if row >= 0:
                    memory[row][:] = -1
                    memory[row][: 8 + further] = values
        row, shift = net.result
        assert np.array_equal(memory[row][shift : shift + 8], taps[rank])


@pytest.mark.parametrize("channels", [64, 65, 130])
def test_many_channels_last(channels, isa):
    """More channels than a tile takes: each is on its own."""
    rng = np.random.default_rng(channels)
    for dtype in (np.uint8, np.int32, np.float64):
        x = rng.integers(0, 100, (1, 7, 9, channels)).astype(dtype)
        first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        for kernel in (2, 3):
            for kind in ("median", "mode") if dtype != np.float64 else ("median",):
                y = function(kind, 2)(x, kernel, 1, data_format="channels_last")
                agree(np.ascontiguousarray(np.moveaxis(y, -1, 1)), function(kind, 2)(first, kernel, 1))
