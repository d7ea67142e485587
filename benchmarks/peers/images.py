"""Image libraries: OpenCV's filters and area resize, scikit-image's block reduction."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..cases import Case, Timed
from .base import Peer, Prepared, Settings, fastest, from_last, to_last

INTERLEAVED = 4  # channels that OpenCV's filters all take at once


class OpenCV(Peer):
    """``dilate`` and ``boxFilter`` for sliding windows, ``resize`` by area for averages that tile the input."""

    key, name, module = "opencv", "OpenCV", "cv2"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import cv2

        self.cv2, self.version = cv2, cv2.__version__
        cv2.setNumThreads(settings.threads)

    def operator(self, case: Timed, x: np.ndarray) -> Prepared | None:
        """``medianBlur``: the edges are another matter there, so the results are compared without."""
        if case.op != "median" or not case.slides or case.ndim != 2:
            return None
        planes = list(x.reshape(-1, *case.spatial))
        median = partial(self.cv2.medianBlur, ksize=case.kernels[0])
        return Prepared(lambda: [median(plane) for plane in planes], lambda y: np.reshape(y, case.shape), "planes")

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        image = self._operation(case)
        if image is None:
            return None
        outputs = (*case.shape[:2], *case.outputs)
        if case.ndim == 1:
            rows = x.reshape(-1, case.spatial[0])
            return Prepared(partial(image, rows), lambda y: y.reshape(outputs), "rows")
        planes = list(x.reshape(-1, *case.spatial))
        apart = Prepared(lambda: [image(plane) for plane in planes], lambda y: np.reshape(y, outputs), "planes")
        if not 1 < case.shape[1] <= INTERLEAVED:
            return apart
        pixels = list(to_last(x))
        return fastest(apart, Prepared(lambda: [image(p) for p in pixels], lambda y: from_last(np.stack(y)), "pixels"))

    def _operation(self, case: Case) -> Callable[[Any], Any] | None:
        """What OpenCV calls this pooling, or None."""
        cv2 = self.cv2
        if case.ndim > 2 or case.is_global or not case.include_pad:
            return None
        size = (case.kernels[-1], case.kernels[0] if case.ndim == 2 else 1)
        if case.slides and all(k % 2 for k in case.kernels):
            if case.op == "max":
                element = cv2.getStructuringElement(cv2.MORPH_RECT, size)
                return lambda image: cv2.dilate(image, element)
            return lambda image: cv2.boxFilter(image, -1, size, borderType=cv2.BORDER_CONSTANT)
        if case.op == "avg" and case.tiles and case.ndim == 2:
            return lambda image: cv2.resize(image, case.outputs[::-1], interpolation=cv2.INTER_AREA)
        return None


class ScikitImage(Peer):
    """``skimage.measure.block_reduce``: windows side by side, no padding."""

    key, name, module = "skimage", "scikit-image", "skimage"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import skimage
        from skimage.measure import block_reduce

        self.block_reduce, self.version = block_reduce, skimage.__version__

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        if not case.tiles or math.prod(case.shape) == 0:
            return None
        function = np.max if case.op == "max" else np.mean
        return Prepared(partial(self.block_reduce, x, (1, 1, *case.kernels), function))
