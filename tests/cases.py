"""Seeded data and geometries, memory layouts, and the comparison with the oracle."""

import math
import re
from contextlib import contextmanager

import numpy as np
import pytest
import reference

from cypool import dispatch

try:
    import ml_dtypes
except ImportError:  # bfloat16 needs ml_dtypes; everything else is tested without it
    ml_dtypes = None

NAMES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = {name: np.dtype(name) for name in NAMES}
if ml_dtypes is not None:
    DTYPES["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
FLOATS = {name: dtype for name, dtype in DTYPES.items() if name in reference.FLOATING}
INTEGERS = {name: dtype for name, dtype in DTYPES.items() if dtype.kind in "iu"}
BOOL = {"bool": np.dtype(bool)}
DATA_FORMATS = ("channels_first", "channels_last")
PADDINGS = ("same", "same_upper", "same_lower", "valid")


def ties(rng, shape, dtype):
    """Few distinct values, so that windows hold equal ones; no negative zero. Every float type holds quarters."""
    dtype = np.dtype(dtype)
    low = 0 if dtype.kind in "ub" else -3
    values = rng.integers(low, 2 if dtype.kind == "b" else 4, shape)
    return (values / 4 if dtype.name in reference.FLOATING else values).astype(dtype)


def full_range(rng, shape, dtype):
    """Normal numbers, or integers from the whole range of the type."""
    dtype = np.dtype(dtype)
    if dtype.name in reference.FLOATING:
        return rng.normal(size=shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def specials(rng, shape, dtype):
    """Ties with NaN, both infinities and, rarely, whole stretches of them."""
    x = ties(rng, shape, dtype)
    if np.dtype(dtype).name in reference.FLOATING:
        rate = rng.choice([0.05, 0.3, 0.9])
        for value in (np.nan, np.inf, -np.inf):
            x[rng.random(shape) < rate / rng.integers(1, 4)] = value
    return x


DATA = (ties, full_range, specials)


def spelled(rng, values, pairs=False):
    """A per-axis setting as a caller would write it: one int where all are equal, or a tuple or list."""
    if pairs:
        if all(before == after for before, after in values):
            values = [before for before, _ in values]
        else:
            return [tuple(int(v) for v in pair) for pair in values]
    values = [int(v) for v in values]
    if len(set(values)) == 1 and rng.random() < 0.7:
        return values[0]
    return tuple(values) if rng.random() < 0.7 else values


def random_geometry(rng, ndim, largest=11, dilated=True):
    """A spatial shape and the window settings of a valid call."""
    while True:
        spatial = tuple(int(n) for n in rng.integers(1, largest + 1, ndim))
        kernel = rng.integers(1, 6 if ndim < 3 else 4, ndim)
        stride = rng.integers(1, 6, ndim)
        dilation = rng.integers(1, 4, ndim) if dilated and rng.random() < 0.5 else np.ones(ndim, int)
        reach = (kernel - 1) * dilation + 1
        window = {"kernel_size": spelled(rng, kernel)}
        if rng.random() < 0.8:
            window["stride"] = spelled(rng, stride)
        if (dilation > 1).any():
            window["dilation"] = spelled(rng, dilation)
        style = rng.random()
        if style < 0.2:
            window["padding"] = str(rng.choice(PADDINGS))
        elif style < 0.45:
            window["padding"] = spelled(rng, [int(rng.integers(0, r)) for r in reach])
        elif style < 0.75:
            window["padding"] = spelled(rng, [rng.integers(0, r, 2) for r in reach], pairs=True)
        if rng.random() < 0.5:
            window["ceil_mode"] = True
        try:
            axes = reference.geometry(spatial, **window)
        except ValueError:
            continue
        if math.prod(ax.o for ax in axes) <= 3000:
            return spatial, window


def random_shape(rng, spatial, data_format, batched=None):
    """Batch and channels around ``spatial``; more channels now and then, since channels last makes vectors of them."""
    channels = int(rng.choice([1, 2, 3, 5, 16, 19, 33], p=[0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1]))
    if math.prod(spatial) > 300:
        channels = min(channels, 3)
    batch = (int(rng.integers(1, 3)),)
    if batched is None and rng.random() < 0.3:
        batch = ()
    return (*batch, channels, *spatial) if data_format == "channels_first" else (*batch, *spatial, channels)


def shaped(n, c, spatial, data_format):
    return (n, c, *spatial) if data_format == "channels_first" else (n, *spatial, c)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def assert_result(actual, expected, note=""):
    """``actual`` is what ``expected`` (a ``Pooled``) describes, dtype, shape and native contiguous layout included."""
    check_values(actual, expected, note)
    assert actual.flags.c_contiguous, f"not C-contiguous: {note}"


def check_values(actual, expected, note=""):
    assert isinstance(actual, np.ndarray), note
    assert actual.dtype == expected.dtype, f"{actual.dtype} for {expected.dtype}: {note}"
    assert actual.shape == expected.values.shape, f"{actual.shape} for {expected.values.shape}: {note}"
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = expected.values.astype(expected.dtype)
    if expected.dtype.name not in reference.FLOATING:
        wrong = actual != wanted
    else:
        got, nearest = actual.astype(np.float64), wanted.astype(np.float64)
        agree = (got == nearest) | (np.isnan(got) & np.isnan(nearest))
        with np.errstate(invalid="ignore", over="ignore"):
            close = np.abs(actual.astype(np.longdouble) - expected.values.astype(np.longdouble)) <= expected.tolerance
        wrong = ~(agree | (close & np.isfinite(nearest) & np.isfinite(got)))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{int(wrong.sum())} of {wrong.size} wrong, first at {at}: {actual[at]!r} for {wanted[at]!r} ({note})"
        )


def assert_indices(actual, expected, note=""):
    assert actual.dtype == np.int64, note
    assert actual.shape == expected.indices.shape, note
    wrong = actual != expected.indices
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{int(wrong.sum())} wrong, first at {at}: {actual[at]} for {expected.indices[at]} ({note})"
        )


@contextmanager
def refused(error, *mentions):
    """The error is raised, and its message holds every mention as a word of its own."""
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    for mention in map(str, mentions):
        assert not mention or re.search(rf"(?<!\w){re.escape(mention)}(?!\w)", message), (
            f"no {mention!r} in {message!r}"
        )


def every_build():
    """The names of the builds that this machine can run, each in use while its turn lasts."""
    before = dispatch.in_use()
    try:
        for name in dispatch.available():
            dispatch.use(name)
            yield name
    finally:
        dispatch.use(before)
