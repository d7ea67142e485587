"""A plain copy, plain NumPy and SciPy's filters."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import numpy as np

from ..cases import Case, Timed
from .base import Peer, Prepared, Settings, fastest
from .idioms import IDIOMS


class Copy(Peer):
    """Not a pooling: copies as many bytes as the case reads and writes, into memory that is there already.

    It reads half of them and writes half. With several threads, as many copy a share each where that is faster.
    """

    key, name, module = "copy", "plain copy", "numpy"
    gradients = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.version = np.__version__
        self.pool = ThreadPoolExecutor(settings.threads - 1) if settings.threads > 1 else None

    def prepare(self, case: Timed, x: np.ndarray) -> Prepared:
        # Backward reads the gradient of the output and writes that of the input: the same bytes once more.
        total = case.bytes * (2 if self.settings.backward else 1)
        source = np.resize(x, max(1, total // 8))
        target = np.empty_like(source)
        target.fill(0)
        whole = Prepared(partial(np.copyto, target, source))
        if self.pool is None or source.nbytes < 1 << 18:
            return whole
        return fastest(whole, Prepared(partial(self._shares, source, target)))

    def prepare_backward(self, case: Timed, x: np.ndarray) -> Prepared:
        return self.prepare(case, x)

    operator = operator_backward = prepare_backward

    def _shares(self, source: np.ndarray, target: np.ndarray) -> None:
        parts = self.settings.threads
        shares = list(zip(np.array_split(target, parts), np.array_split(source, parts), strict=True))
        waiting = [self.pool.submit(np.copyto, *share) for share in shares[1:]]
        np.copyto(*shares[0])
        wait(waiting)


class NumpyTextbook(Peer):
    """The line found in textbooks: reshape where windows tile the input, else ``sliding_window_view``."""

    key, name, module = "numpy", "NumPy", "numpy"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.version = np.__version__

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        reduce = np.max if case.op == "max" else np.sum
        axes = tuple(range(2, 2 + case.ndim))
        if case.is_global:
            return Prepared(lambda: reduce(x, axis=axes, keepdims=True) / _divisor(case))
        if case.tiles:
            return self._reshaped(case, x)
        divisor = _divisor(case)

        def call() -> np.ndarray:
            padded = _padded(case, x)
            windows = np.lib.stride_tricks.sliding_window_view(padded, case.extents, axes)
            places = tuple(slice(0, o * s, s) for o, s in zip(case.outputs, case.strides, strict=True))
            taps = tuple(slice(None, None, d) for d in case.dilations)
            y = reduce(windows[:, :, *places, *taps], axis=tuple(a + case.ndim for a in axes))
            return y if case.op == "max" else y / divisor

        return Prepared(call)

    def ways(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        ways = IDIOMS[case.op](case, **dict(case.given)) if case.op in IDIOMS else ()
        return [Prepared(partial(way, x), layout=name) for name, way in ways]

    def _reshaped(self, case: Case, x: np.ndarray) -> Prepared:
        reduce = np.max if case.op == "max" else np.mean
        split = [size for pair in zip(case.outputs, case.kernels, strict=True) for size in pair]
        axes = tuple(range(3, 3 + 2 * case.ndim, 2))
        return Prepared(lambda: reduce(x.reshape(*case.shape[:2], *split), axis=axes), layout="reshape")


class NumpySlices(Peer):
    """The best that plain NumPy does: axis by axis, one whole-array operation for each tap."""

    key, name, module = "numpy-slices", "NumPy slices", "numpy"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.version = np.__version__

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        if case.is_global:
            return None
        divisor = _divisor(case)

        def call() -> np.ndarray:
            y = _padded(case, x)
            for axis in range(case.ndim):
                y = _fold(case, y, axis)
            return y if case.op == "max" else np.divide(y, divisor, out=y)

        return Prepared(call)


class Tinybrain(Peer):
    """``downsample_segmentation``: modes of 2×2 and 2×2×2 labels, of volumes with the channels last."""

    key, name, module = "tinybrain", "tinybrain", "tinybrain"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import tinybrain

        self.down, self.version = tinybrain.downsample_segmentation, getattr(tinybrain, "__version__", "")

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        return None

    def operator(self, case: Timed, x: np.ndarray) -> Prepared | None:
        if case.op != "mode" or set(case.kernels) != {2} or not case.tiles or case.shape[:2] != (1, 1):
            return None
        volume = np.asfortranarray(x[0, 0].reshape(*case.spatial, *(1,) * (3 - case.ndim)))
        factor = (*case.kernels, *(1,) * (3 - case.ndim))
        call = partial(self.down, volume, factor=factor, num_mips=1)
        return Prepared(call, lambda y: np.reshape(y[0], (1, 1, *case.outputs)), "column-major")


class Scipy(Peer):
    """``scipy.ndimage``'s sliding filters, stride 1; sums of segments as a product with a sparse matrix."""

    key, name, module = "scipy", "SciPy", "scipy"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import scipy
        from scipy import ndimage, sparse

        self.ndimage, self.sparse, self.version = ndimage, sparse, scipy.__version__

    def operator(self, case: Timed, x: np.ndarray) -> Prepared | None:
        """Median and rank filters; their edges are another matter, so the results are compared without."""
        if case.op in ("segment_sum", "segment_mean"):
            return Prepared(self._product(case, x, **dict(case.given)), layout="sparse matrix")
        if case.op not in ("median", "rank") or not case.slides:
            return None
        size = (1, 1, *case.kernels)
        if case.op == "median":
            return Prepared(partial(self.ndimage.median_filter, x, size))
        return Prepared(partial(self.ndimage.rank_filter, x, dict(case.given)["rank"], size))

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        if not case.slides or case.is_global or not case.include_pad or any(k % 2 == 0 for k in case.kernels):
            return None
        size = (1, 1, *case.kernels)
        if case.op == "max":
            return Prepared(partial(self.ndimage.maximum_filter, x, size, mode="constant", cval=-np.inf))
        return Prepared(partial(self.ndimage.uniform_filter, x, size, mode="constant", cval=0.0))


    def _product(self, case: Timed, x: np.ndarray, segment_ids: np.ndarray, num_segments: int) -> Callable[[], Any]:
        """A matrix with a one in each column."""
        rows = len(x)

        def total() -> np.ndarray:
            ones = np.ones(rows, x.dtype)
            return self.sparse.csc_array((ones, segment_ids, np.arange(rows + 1)), (num_segments, rows)) @ x

        def mean() -> np.ndarray:
            return total() / np.maximum(np.bincount(segment_ids, minlength=num_segments), 1)[:, None].astype(x.dtype)

        return total if case.op == "segment_sum" else mean


def _divisor(case: Case) -> np.ndarray | np.float32:
    return np.float32(1) if case.op == "max" else np.float32(1) * case.divisors()


def _padded(case: Case, x: np.ndarray) -> np.ndarray:
    if not any(map(any, case.pads)):
        return x
    return np.pad(x, [(0, 0), (0, 0), *case.pads], constant_values=-np.inf if case.op == "max" else 0)


def _fold(case: Case, x: np.ndarray, axis: int) -> np.ndarray:
    """Reduce one spatial axis of padded data with a slice for each tap."""
    combine = np.maximum if case.op == "max" else np.add
    kernel, stride, dilation = case.kernels[axis], case.strides[axis], case.dilations[axis]
    length = (case.outputs[axis] - 1) * stride + 1
    before = (slice(None),) * (2 + axis)
    taps = [x[*before, slice(j * dilation, j * dilation + length, stride)] for j in range(kernel)]
    y = combine(taps[0], taps[1]) if kernel > 1 else taps[0].copy()
    for tap in taps[2:]:
        combine(y, tap, out=y)
    return y
