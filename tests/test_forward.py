"""Forward values and indices against the oracle: every operator, dtype, layout and build."""

from functools import cache

import numpy as np
import pytest
from cases import DATA, DATA_FORMATS, DTYPES, assert_indices, assert_result, shaped, specials, ties
from operators import CHOOSING, OPERATORS, WINDOWED, ids

import cypool

EVERY_DTYPE = [(op, name) for op in OPERATORS for name in op.dtypes]


def verify(op, x, window, data_format, expected, **options):
    """One call with and, where there are any, without indices."""
    note = f"{op.id} {x.dtype} {x.shape} {data_format} {window} {options}"
    y, indices = op.run(x, window, data_format=data_format, **options)
    assert_result(y, expected, note)
    if op.chooses:
        assert_indices(indices, expected, note)
        assert_result(op.forward(x, **window, data_format=data_format, **options), expected, f"without indices, {note}")


@cache
def random_calls(op, name, data_format, count=8):
    """Arguments and expected results, made once for all builds."""
    rng = np.random.default_rng([len(op.id), op.ndim, sorted(op.dtypes).index(name), len(data_format)])
    calls = []
    for i in range(count):
        shape, window = op.random_call(rng, data_format)
        x = DATA[i % len(DATA)](rng, shape, op.dtypes[name])
        x.flags.writeable = False
        calls.append((x, window, op.expected(x, window, data_format)))
    return calls


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize(("op", "name"), EVERY_DTYPE, ids=[f"{op.id}-{name}" for op, name in EVERY_DTYPE])
def test_random_geometry(op, name, data_format, isa):
    for x, window, expected in random_calls(op, name, data_format):
        verify(op, x, window, data_format, expected)


# Rows shorter and longer than any vector, and longer than a tile.
LENGTHS = (1, 2, 7, 13, 27, 28, 55, 64, 100, 257, 1000, 5000)
# Kernel, stride, padding: the usual ones, wide windows, every small stride, uneven padding.
SETTINGS = [
    (2, 2, 0), (3, 1, 1), (3, 2, 1), (2, 1, (0, 1)), (4, 3, (2, 1)), (5, 4, (0, 3)), (7, 5, 2), (13, 1, 6),
    (31, 1, 15), (63, 1, (31, 7)), (31, 2, 30), (13, 3, "same_lower"), (63, 4, "same"), (13, 5, 12), (1, 1, 0),
    (1, 3, 0),
]  # fmt: skip
ROW_DTYPES = ("float32", "float64", "uint8", "float16", "int32")


def on_axis(axis, ndim, kernel, stride, padding):
    """A setting on one axis, and on the others the least that couples them: two taps, stride 1, padding at the end."""
    if isinstance(padding, str):
        pads = padding
    else:
        pair = padding if isinstance(padding, tuple) else (padding, padding)
        pads = [pair if a == axis else (0, 1) for a in range(ndim)]
    return {
        "kernel_size": tuple(kernel if a == axis else 2 for a in range(ndim)),
        "stride": tuple(stride if a == axis else 1 for a in range(ndim)),
        "padding": pads,
    }


@cache
def long_axis_calls(op, name, data_format, axis):
    rng = np.random.default_rng([op.ndim, axis, len(name)])
    # In 1D every length meets every setting in two or three dtypes; in 2D and 3D, where the oracle is slower, in one.
    share = 2 if op.ndim == 1 else len(ROW_DTYPES)
    calls = []
    for i, length in enumerate(LENGTHS):
        if length == 5000 and (op.ndim == 3 or data_format == "channels_last"):
            continue
        spatial = tuple(length if a == axis else 3 for a in range(op.ndim))
        for j, setting in enumerate(SETTINGS):
            if (i + j + ROW_DTYPES.index(name)) % share:
                continue
            window = on_axis(axis, op.ndim, *setting)
            x = ties(rng, shaped(1, 2, spatial, data_format), DTYPES[name])
            try:
                calls.append((x, window, op.expected(x, window, data_format)))
            except ValueError:  # a window wider than a short axis
                continue
    return calls


LONG_AXES = [(op, axis) for op in WINDOWED for axis in range(op.ndim)]


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("name", ROW_DTYPES)
@pytest.mark.parametrize(("op", "axis"), LONG_AXES, ids=[f"{op.id}-axis{axis}" for op, axis in LONG_AXES])
def test_long_axes(op, axis, name, data_format, isa):
    calls = long_axis_calls(op, name, data_format, axis)
    assert len(calls) >= 15
    for x, window, expected in calls:
        verify(op, x, window, data_format, expected)


@cache
def channel_calls(op, name):
    """Channels last, around the lengths of a vector; narrow and wide planes."""
    rng = np.random.default_rng(op.ndim)
    calls = []
    for channels in (1, 3, 16, 33):
        for width in (1, 2, 7, 28):
            shape = shaped(2, channels, (4,) * (op.ndim - 1) + (width,), "channels_last")
            for kernel, stride, padding in ((2, 2, "same"), (3, 1, 1), (3, 2, 1), (5, 1, "same_lower"), (3, 3, 2)):
                window = op.setting(kernel_size=kernel, stride=stride, padding=padding)
                x = ties(rng, shape, DTYPES[name])
                try:
                    calls.append((x, window, op.expected(x, window, "channels_last")))
                except ValueError:
                    continue
                if op.is_global:
                    break
    return calls


@pytest.mark.parametrize("name", ["float32", "uint8", "bfloat16", "float64"])
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_channel_counts(op, name, isa):
    if name not in op.dtypes:
        pytest.skip("needs ml_dtypes")
    for x, window, expected in channel_calls(op, name):
        verify(op, x, window, "channels_last", expected)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_windows_over_whole_axes(op, data_format, isa):
    rng = np.random.default_rng(3)
    for spatial in ((9,), (57, 4), (5, 130), (6, 5, 9)):
        if len(spatial) == op.ndim:
            for axis in (*range(op.ndim), None):
                kernel = tuple(n if axis in (a, None) else 1 for a, n in enumerate(spatial))
                x = ties(rng, shaped(2, 3, spatial, data_format), np.float32)
                window = {"kernel_size": kernel}
                verify(op, x, window, data_format, op.expected(x, window, data_format))


def global_shapes(ndim):
    yield from ({1: (5000,), 2: (120, 121), 3: (30, 31, 32)}[ndim], (1,) * ndim, (7,) * ndim)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("name", ["float32", "float16", "int16", "uint64"])
@pytest.mark.parametrize("op", [op for op in OPERATORS if op.is_global], ids=lambda op: op.id)
def test_global_pooling_without_keepdims(op, name, data_format, isa):
    rng = np.random.default_rng(4)
    for spatial in global_shapes(op.ndim):
        x = DATA[1](rng, shaped(2, 3, spatial, data_format), DTYPES[name])
        verify(op, x, {}, data_format, op.expected(x, {}, data_format))
        kept, kept_indices = op.run(x, {}, data_format=data_format)
        y, indices = op.run(x, {}, data_format=data_format, keepdims=False)
        assert y.shape == (2, 3)
        np.testing.assert_array_equal(y, kept.reshape(2, 3))
        if op.chooses:
            np.testing.assert_array_equal(indices, kept_indices.reshape(2, 3))


def test_positional_arguments_follow_pytorch():
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    y, indices = cypool.max_pool2d(x, 2, 2, 1, 1, True, True)
    named = cypool.max_pool2d(x, kernel_size=2, stride=2, padding=1, dilation=1, ceil_mode=True, return_indices=True)
    np.testing.assert_array_equal(y, named[0])
    np.testing.assert_array_equal(indices, named[1])
    average = cypool.avg_pool2d(x, 2, 2, 1, True, False, 3)
    named = cypool.avg_pool2d(
        x, kernel_size=2, stride=2, padding=1, ceil_mode=True, count_include_pad=False, divisor_override=3
    )
    np.testing.assert_array_equal(average, named)
    with pytest.raises(TypeError):
        cypool.avg_pool2d(x, 2, 2, 1, True, False, 3, 1)
    with pytest.raises(TypeError):
        cypool.max_pool2d(x, 2, 2, 1, 1, True, True, "channels_first")


@pytest.mark.parametrize("op", CHOOSING, ids=ids(CHOOSING))
def test_indices_point_at_the_values(op, isa):
    rng = np.random.default_rng(5)
    for data_format in DATA_FORMATS:
        for _ in range(10):
            shape, window = op.random_call(rng, data_format, batched=True)
            x = ties(rng, shape, np.float32) * np.float32(rng.choice([1, -1]))  # zeros of both signs
            y, indices = op.run(x, window, data_format=data_format)
            if data_format == "channels_last":
                x, y, indices = (np.moveaxis(a, -1, 1) for a in (x, y, indices))
            n, c = x.shape[:2]
            flat = np.take_along_axis(x.reshape(n, c, -1), indices.reshape(n, c, -1), 2).reshape(y.shape)
            # Bits and not only values: the sign of a chosen zero is that of the element chosen.
            np.testing.assert_array_equal(flat.view(np.int32), np.ascontiguousarray(y).view(np.int32))


# Windows that span whole axes, which are merged with the axis before; axes of one element; small whole planes.
COVERED = [
    ((8, 7, 7), {"kernel_size": (2, 7, 7), "stride": 1}),
    ((9, 4, 5), {"kernel_size": (3, 4, 5), "stride": (2, 1, 1), "padding": [(1, 2), (0, 0), (0, 0)]}),
    ((5, 6, 3), {"kernel_size": (1, 2, 3), "stride": (1, 2, 1)}),
    ((5, 6, 1), {"kernel_size": (2, 3, 1), "stride": (1, 1, 1), "dilation": (2, 1, 1)}),
    ((1, 6, 9), {"kernel_size": (3, 2, 9), "stride": 1, "padding": [(1, 1), (1, 0), (0, 0)]}),
    ((12, 9), {"kernel_size": (5, 9), "stride": (1, 9)}),
    ((40, 40), {"kernel_size": (3, 40), "stride": (2, 1)}),
    ((1, 11), {"kernel_size": (4, 5), "stride": (5, 4), "padding": [(2, 2), (3, 3)]}),
    ((7, 1), {"kernel_size": (3, 2), "stride": 1, "padding": [(1, 1), (1, 1)]}),
    ((7, 7), {"kernel_size": 7}),
    ((3, 3), {"kernel_size": 3}),
    ((49,), {"kernel_size": 49}),
    ((5000,), {"kernel_size": 5000}),
]


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("name", ["float32", "int32", "uint8", "float16"])
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_covered_axes(op, name, data_format, isa):
    rng = np.random.default_rng(6)
    for spatial, window in COVERED:
        if len(spatial) != op.ndim or (name == "float16" and name not in op.dtypes):
            continue
        x = ties(rng, shaped(3, 4, spatial, data_format), op.dtypes[name])
        expected = op.expected(x, window, data_format)
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)[..., ::2]
        wide[...] = x
        for view in (x, wide, np.ascontiguousarray(x.T).T):
            verify(op, view, window, data_format, expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_larger_than_the_caches(threads, isa):
    """Calls of 64 MiB and more write past the caches, lines that are not whole included."""
    x = np.random.default_rng(7).standard_normal((3, 1, 2101, 2999), dtype=np.float32)
    top, bottom = x[..., :-1:2, :-1], x[..., 1::2, :-1]
    largest = np.maximum(np.maximum(top[..., ::2], top[..., 1::2]), np.maximum(bottom[..., ::2], bottom[..., 1::2]))
    around = np.full((3, 1, 1050, 1502), 5, np.float32)
    y = around[..., 2:-1]
    cypool.max_pool2d(x, 2, out=y, num_threads=threads)
    assert np.array_equal(y, largest) and (around[..., :2] == 5).all() and (around[..., -1] == 5).all()
    assert np.array_equal(cypool.max_pool2d(x, 2, num_threads=threads), largest)


VOLUMETRIC = [op for op in WINDOWED if op.ndim == 3]


@pytest.mark.parametrize("op", VOLUMETRIC, ids=ids(VOLUMETRIC))
def test_wide_windows_in_volumes(op, isa):
    """Windows nearly as wide as the volume, which does not fit a tile: some corners and a place inside."""
    x = np.random.default_rng(7).integers(-100, 100, (1, 2, 70, 68, 66)).astype(np.float32)
    y = op.forward(x, 61, stride=1, padding=30)
    for place in ((0, 0, 0), (69, 67, 65), (34, 5, 60)):
        window = x[(..., *(slice(max(0, i - 30), i + 31) for i in place))]
        expected = getattr(window, "sum" if op.kind == "avg" else op.kind)((2, 3, 4))
        np.testing.assert_allclose(y[(..., *place)], expected / (61**3 if op.kind == "avg" else 1), rtol=1e-5)


# Windows wide along every axis, over enough rows to fill vectors; the last of each settles for fewer.
ALL_WIDE = [
    ((200,), {"kernel_size": 25, "padding": 12}),
    ((120,), {"kernel_size": 40, "stride": 2, "padding": [(20, 7)]}),
    ((36, 50), {"kernel_size": (9, 25), "padding": [(4, 4), (12, 12)]}),
    ((37, 40), {"kernel_size": (30, 36), "stride": (2, 1), "padding": [(15, 0), (18, 18)], "ceil_mode": True}),
    ((19, 77), {"kernel_size": (13, 33), "stride": (1, 3)}),
    ((12, 12, 28), {"kernel_size": (8, 9, 24), "padding": [(4, 0), (0, 4), (0, 12)]}),
    ((15, 9, 26), {"kernel_size": (12, 8, 26), "stride": (2, 1, 1), "padding": [(6, 6), (0, 0), (13, 0)]}),
]


@cache
def all_wide_calls(op, name, data_format):
    rng = np.random.default_rng(8)
    channels = 35 if op.ndim == 1 else 17 if data_format == "channels_last" else 2
    calls = []
    for spatial, given in ALL_WIDE:
        for make in (ties, specials) if name == "float32" else (ties,):
            if len(spatial) == op.ndim:
                x = make(rng, shaped(1, channels, spatial, data_format), op.dtypes[name])
                window = {"stride": 1, **given}
                calls.append((x, window, op.expected(x, window, data_format)))
    return calls


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("name", ["float32", "float64", "uint8", "int64"])
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_windows_wide_along_all_axes(op, name, data_format, isa):
    for x, window, expected in all_wide_calls(op, name, data_format):
        verify(op, x, window, data_format, expected)
