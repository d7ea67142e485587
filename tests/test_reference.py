"""The oracle itself: against windows cut out one by one, and against PyTorch."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import reference
from cases import DTYPES, random_geometry, specials, ties


def windows(axes):
    """Every output position with its valid coordinates in scan order and its taps inside the padded extent."""
    for at in itertools.product(*(range(ax.o) for ax in axes)):
        starts = [i * ax.s - ax.p0 for i, ax in zip(at, axes, strict=True)]
        reads = [[t + j * ax.d for j in range(ax.k)] for t, ax in zip(starts, axes, strict=True)]
        valid = [[t for t in row if 0 <= t < ax.n] for row, ax in zip(reads, axes, strict=True)]
        padded = [sum(t < ax.n + ax.p1 for t in row) for row, ax in zip(reads, axes, strict=True)]
        yield at, list(itertools.product(*valid)), int(np.prod(padded))


def scanned(taps, kind):
    """SEMANTICS 2.2 as written: replace when greater or NaN."""
    best, index = taps[0][1], 0
    for i, (_, v) in enumerate(taps):
        if np.isnan(v) or (v > best if kind == "max" else v < best):
            best, index = v, i
    return taps[index]


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_choice_is_the_written_scan(kind, ndim):
    rng = np.random.default_rng(ndim)
    for _ in range(30):
        spatial, window = random_geometry(rng, ndim, 7)
        x = specials(rng, (1, 1, *spatial), np.float64)
        got = reference.pool(kind, ndim, x, **window)
        for at, taps, _ in windows(reference.geometry(spatial, **window)):
            position, value = scanned([(np.ravel_multi_index(t, spatial), x[0, 0][t]) for t in taps], kind)
            assert got.indices[0, 0][at] == position
            np.testing.assert_equal(got.values[0, 0][at], value)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_average_is_the_written_quotient(ndim):
    rng = np.random.default_rng(ndim)
    for _ in range(30):
        spatial, window = random_geometry(rng, ndim, 7)
        include = bool(rng.integers(2))
        x = ties(rng, (1, 1, *spatial), np.int16)
        got = reference.pool("avg", ndim, x, **window, count_include_pad=include)
        same = str(window.get("padding")).startswith("same")
        for at, taps, padded in windows(reference.geometry(spatial, **window)):
            total = sum(int(x[0, 0][t]) for t in taps)
            assert got.values[0, 0][at] == float(Fraction(total, padded if include and not same else len(taps)))


def as_torch(torch, x):
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(x.copy())


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_agrees_with_pytorch(ndim):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(ndim)
    calls = 0
    while calls < 100:
        spatial = tuple(int(n) for n in rng.integers(1, 10, ndim))
        kernel, stride, dilation = (tuple(int(v) for v in rng.integers(1, 4, ndim)) for _ in range(3))
        window = {
            "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
            "ceil_mode": bool(rng.integers(2)),
        }
        try:
            reference.geometry(spatial, kernel, stride, dilation=dilation, **window)
        except ValueError:
            continue
        calls += 1
        x = specials(rng, (2, 3, *spatial), DTYPES[rng.choice(["float32", "float64", "float16"])])
        pool = getattr(torch.nn.functional, f"max_pool{ndim}d")
        y, indices = pool(as_torch(torch, x), kernel, stride, dilation=dilation, return_indices=True, **window)
        ours = reference.pool("max", ndim, x, kernel_size=kernel, stride=stride, dilation=dilation, **window)
        np.testing.assert_array_equal(ours.values, y.numpy())
        np.testing.assert_array_equal(ours.indices, indices.numpy())
