"""The cases: one list of layers of real networks, pictures, sounds and awkward shapes.

A case says which pooling of which shape. From it come the cypool call, the geometry that peers without padding or
ceil mode need, and the bytes that a perfect implementation would move. `irregular.py` has those without windows.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import reduce
from typing import Any

import numpy as np

Sizes = int | tuple[int, ...]


class Timed:
    """What every case has, windowed or irregular; the rest of what a report asks is theirs to say."""

    name: str
    title: str
    op: str
    shape: tuple[int, ...]
    function: str

    plain = False
    tolerance = 1e-4  # how far results of normal numbers may be apart

    @property
    def layer(self) -> str:
        """Name of the cypool layer, ``MaxPool2d`` or ``GlobalAvgPool``."""
        return "".join(part.capitalize() for part in self.function.split("_"))

    def generator(self) -> np.random.Generator:
        """Seeded, and the same in every run."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))


@dataclass(frozen=True)
class Case(Timed):
    """One pooling of one shape, ``(N, C, *spatial)``. ``kernel=None`` is global pooling, if it is max or average.

    Every peer has its own way of max and average; of all other operators, called as cypool's functions are called but
    without ``_pool``, `peers.compositions` and a few peers know. They take `given` beside the window.
    """

    name: str
    title: str
    op: str
    shape: tuple[int, ...]
    kernel: Sizes | None
    stride: Sizes | None = None
    padding: Sizes = 0
    dilation: Sizes = 1
    ceil: bool = False
    include_pad: bool = True
    given: tuple[tuple[str, Any], ...] = ()
    dtype: str = "float32"

    # The call

    @property
    def plain(self) -> bool:
        return self.op in ("max", "avg")

    @property
    def function(self) -> str:
        """Name of the cypool function, ``max_pool2d`` or ``global_avg_pool``."""
        if not self.plain:
            name = "sppf" if self.op == "sppf" else f"{self.op}_pool"
            return name if self.op in WITHOUT_DIMENSION else f"{name}{self.ndim}d"
        return f"global_{self.op}_pool" if self.is_global else f"{self.op}_pool{self.ndim}d"

    def call(self) -> str:
        """The call as text."""
        return f"{self.function}({', '.join(f'{name}={brief(value)}' for name, value in self.arguments().items())})"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the cypool function and layer; PyTorch's functions take the same ones."""
        if not self.plain:
            return {**dict(self.given), **({} if self.kernel is None else {"kernel_size": self.kernel}),
                    **({} if self.stride is None else {"stride": self.stride}),
                    **({"padding": self.padding} if any(self.paddings) else {})}
        if self.is_global:
            return {}
        given: dict[str, Any] = {"kernel_size": self.kernel, "stride": self.stride, "padding": self.padding}
        if self.dilation != 1:
            given["dilation"] = self.dilation
        if self.ceil:
            given["ceil_mode"] = True
        if not self.include_pad:
            given["count_include_pad"] = False
        return given

    def data(self) -> np.ndarray:
        """Seeded and the same in every run: normal floats (sizes of them where signs will not do), bytes, or labels in
        blocks."""
        rng = self.generator()
        if self.op == "mode":
            blocks = rng.integers(0, 1000, [*self.shape[:2], *(-(-n // 16) for n in self.spatial)]).astype(self.dtype)
            for axis, n in enumerate(self.spatial, 2):
                blocks = np.repeat(blocks, 16, axis).take(range(n), axis)
            return blocks
        if self.dtype != "float32":
            return rng.integers(0, 256, self.shape).astype(self.dtype)
        x = rng.standard_normal(self.shape, dtype=np.float32)
        return np.abs(x) if self.op == "stochastic" else x

    # Geometry, one entry per spatial axis

    @property
    def is_global(self) -> bool:
        return self.kernel is None

    @property
    def spatial(self) -> tuple[int, ...]:
        return self.shape[2:]

    @property
    def ndim(self) -> int:
        return len(self.spatial)

    @property
    def kernels(self) -> tuple[int, ...]:
        return self.spatial if self.kernel is None else self._per_axis(self.kernel)

    @property
    def strides(self) -> tuple[int, ...]:
        return self.kernels if self.stride is None else self._per_axis(self.stride)

    @property
    def paddings(self) -> tuple[int, ...]:
        return self._per_axis(self.padding)

    @property
    def dilations(self) -> tuple[int, ...]:
        return self._per_axis(self.dilation)

    @property
    def extents(self) -> tuple[int, ...]:
        """Input positions a window spans, dilation counted."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernels, self.dilations, strict=True))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output sizes by PyTorch's rule: in ceil mode the last window starts inside the input or the front padding."""
        sizes = []
        for n, e, s, p in zip(self.spatial, self.extents, self.strides, self.paddings, strict=True):
            o = (n + 2 * p - e + (s - 1 if self.ceil else 0)) // s + 1
            sizes.append(o - 1 if self.ceil and (o - 1) * s >= n + p else o)
        return tuple(sizes)

    @property
    def pads(self) -> list[tuple[int, int]]:
        """The padding that windows really touch, ``(before, after)``, overhang of ceil mode included."""
        axes = zip(self.spatial, self.extents, self.strides, self.paddings, self.outputs, strict=True)
        return [(p, max(0, (o - 1) * s + e - n - p)) for n, e, s, p, o in axes]

    @property
    def tiles(self) -> bool:
        """Whether windows stand side by side: stride equals kernel, no padding, nothing left over."""
        simple = self.kernels == self.strides and not any(self.paddings) and set(self.dilations) == {1}
        return simple and all(n % k == 0 for n, k in zip(self.spatial, self.kernels, strict=True))

    @property
    def slides(self) -> bool:
        """Whether this is a plain sliding filter: stride 1 and as many outputs as inputs."""
        return set(self.strides) == {1} and set(self.dilations) == {1} and self.outputs == self.spatial

    def divisors(self) -> np.ndarray | int:
        """What each sum is divided by: the window's volume, or the counted elements per output position."""
        if self.include_pad or not any(self.paddings):
            return math.prod(self.kernels)
        axes = zip(self.spatial, self.kernels, self.strides, self.paddings, self.outputs, strict=True)
        counts = [[min(i * s - p + k, n) - max(i * s - p, 0) for i in range(o)] for n, k, s, p, o in axes]
        return reduce(np.multiply.outer, [np.array(count, np.float32) for count in counts])

    # Facts for reports

    @property
    def family(self) -> str:
        return f"{'global ' if self.plain and self.is_global else ''}{self.op} {self.ndim}D"

    @property
    def bytes(self) -> int:
        """Bytes of input and output together: what any implementation must read and write."""
        size = np.dtype(self.dtype).itemsize
        if self.kernel is None and not self.plain:
            return size * math.prod(self.shape)
        return size * math.prod(self.shape[:2]) * (math.prod(self.spatial) + math.prod(self.outputs))

    @property
    def tolerance(self) -> float:
        return 1e-5 if self.plain else super().tolerance

    @property
    def large(self) -> bool:
        """Enough work for several threads."""
        return 4 * math.prod(self.shape) >= 8 << 20

    def describe(self) -> str:
        """For example ``8×64×112×112 k3 s2 p1``."""
        text = "×".join(map(str, self.shape))
        text += "" if self.dtype == "float32" else f" {self.dtype}"
        text += "".join(f" {name}={brief(value)}" for name, value in self.given)
        if self.kernel is None:
            return f"{text} global" if self.plain else text
        text += f" k{_short(self.kernel)} s{_short(self.stride or self.kernel)}"
        text += f" p{_short(self.padding)}" if any(self.paddings) else ""
        text += f" d{_short(self.dilation)}" if self.dilation != 1 else ""
        return text + (" ceil" if self.ceil else "") + ("" if self.include_pad else " pads not counted")

    def shrunk(self, limit: int = 1 << 14) -> Case:
        """The same pooling on little data, for ``--quick``."""
        n, c, *spatial = self.shape
        n = min(n, 2)
        while c > 1 and n * c * math.prod(spatial) > limit:
            c = c // 2
        while math.prod(spatial) > 4 * limit:
            spatial = [size if size % 2 or size < 64 else size // 2 for size in spatial]
        cut = {"logits": np.s_[:n, :c], "random_samples": np.s_[:n, :c], "weights": np.s_[:c]}
        given = tuple((name, value[cut[name]] if name in cut else value) for name, value in self.given)
        return replace(self, shape=(n, c, *spatial), given=given)

    def _per_axis(self, value: Sizes) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * self.ndim


def brief(value: Any) -> str:
    """An argument, arrays by their shape."""
    return "×".join(map(str, value.shape)) if isinstance(value, np.ndarray) else str(value).replace(" ", "")


def _short(value: Sizes | None) -> str:
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


#: Operators with one function for any number of dimensions.
WITHOUT_DIMENSION = ("sppf", "spatial_pyramid", "global_lp", "global_gem", "global_attention")

CASES = [
    # Image classification
    Case("alexnet-max-55", "AlexNet max", "max", (8, 96, 55, 55), 3, 2),
    Case("alexnet-max-27", "AlexNet max, second", "max", (8, 256, 27, 27), 3, 2),
    Case("alexnet-max-13", "AlexNet max, third", "max", (8, 256, 13, 13), 3, 2),
    Case("vgg-max", "VGG max", "max", (8, 64, 224, 224), 2),
    Case("vgg-max-14", "VGG max, last", "max", (8, 512, 14, 14), 2),
    Case("vgg-avg", "VGG average", "avg", (8, 64, 224, 224), 2),
    Case("lenet-avg", "LeNet average", "avg", (64, 6, 28, 28), 2),
    Case("resnet-max", "ResNet stem max", "max", (8, 64, 112, 112), 3, 2, 1),
    Case("resnet-max-1", "ResNet stem max, one image", "max", (1, 64, 112, 112), 3, 2, 1),
    Case("googlenet-max", "GoogLeNet max", "max", (8, 64, 112, 112), 3, 2, ceil=True),
    Case("inception-max", "Inception max", "max", (8, 192, 28, 28), 3, 1, 1),
    Case("inception-avg", "Inception average", "avg", (8, 192, 28, 28), 3, 1, 1),
    Case("inception-avg-ex", "Inception average, Keras", "avg", (8, 192, 28, 28), 3, 1, 1, include_pad=False),
    Case("resnetd-avg", "ResNet-D average", "avg", (8, 64, 112, 112), 3, 2, 1),
    Case("resnetd-avg-56", "ResNet-D shortcut average", "avg", (8, 256, 56, 56), 2),
    Case("global-avg", "Global average", "avg", (32, 2048, 7, 7), None),
    Case("global-max", "Global max", "max", (32, 2048, 7, 7), None),
    # Detection, segmentation, text
    Case("yolo-max-5", "YOLO SPP max", "max", (8, 512, 20, 20), 5, 1, 2),
    Case("yolo-max-9", "YOLO SPP max", "max", (8, 512, 20, 20), 9, 1, 4),
    Case("yolo-max-13", "YOLO SPP max", "max", (8, 512, 20, 20), 13, 1, 6),
    Case("heatmap-max", "Heat-map peaks max", "max", (1, 80, 128, 128), 3, 1, 1),
    Case("dilated-max", "Dilated max", "max", (8, 256, 28, 28), 3, 1, 1, dilation=2),
    Case("crnn-max", "CRNN text max", "max", (16, 256, 8, 25), 2, (2, 1), (0, 1)),
    Case("strip-avg", "Strip average", "avg", (8, 256, 17, 17), (1, 7), 1, (0, 3)),
    # Odd widths, and next to nothing
    Case("odd-max-13", "Odd width 13 max", "max", (8, 256, 13, 13), 3, 1, 1),
    Case("odd-max-27", "Odd width 27 max", "max", (8, 192, 27, 27), 3, 1, 1),
    Case("odd-max-55", "Odd width 55 max", "max", (8, 96, 55, 55), 3, 1, 1),
    Case("odd-avg-13", "Odd width 13 average", "avg", (8, 256, 13, 13), 3, 1, 1),
    Case("odd-avg-27", "Odd width 27 average", "avg", (8, 192, 27, 27), 3, 2),
    Case("odd-avg-55", "Odd width 55 average", "avg", (8, 96, 55, 55), 2),
    Case("tiny-max", "4×4 max", "max", (1, 1, 4, 4), 2),
    Case("tiny-avg", "4×4 average", "avg", (1, 1, 4, 4), 2),
    # Pictures
    Case("box-avg", "Box average", "avg", (16, 1, 512, 512), 15, 1, 7),
    Case("box-max", "Box max", "max", (16, 1, 512, 512), 15, 1, 7),
    Case("photo-max", "4K photograph max", "max", (1, 3, 2160, 3840), 2),
    Case("photo-avg", "4K photograph average", "avg", (1, 3, 2160, 3840), 2),
    Case("plane-max", "One big plane max", "max", (1, 1, 8192, 8192), 2),
    Case("plane-avg", "One big plane average", "avg", (1, 1, 8192, 8192), 2),
    # Volumes and video
    Case("unet3d-max", "3D U-Net max", "max", (1, 32, 64, 64, 64), 2),
    Case("unet3d-avg", "3D U-Net average", "avg", (1, 32, 64, 64, 64), 2),
    Case("volume-max", "3D max", "max", (1, 32, 64, 64, 64), 3, 1, 1),
    Case("volume-avg", "3D average", "avg", (1, 32, 64, 64, 64), 3, 1, 1),
    Case("i3d-max", "I3D max", "max", (1, 64, 16, 112, 112), (1, 3, 3), (1, 2, 2), (0, 1, 1)),
    Case("i3d-avg", "I3D last average", "avg", (1, 1024, 8, 7, 7), (2, 7, 7), 1),
    # Sound and series
    Case("audio-max", "Audio max", "max", (16, 64, 16000), 4),
    Case("audio-avg", "Audio average", "avg", (16, 64, 16000), 4),
    Case("series-avg", "Series average", "avg", (16, 64, 4000), 25, 1, 12),
    Case("series-max", "Series max", "max", (16, 64, 4000), 25, 1, 12),
    Case("wav2vec-avg", "wav2vec frames average", "avg", (16, 1, 160000), 400, 160),
    Case("wav2vec-max", "wav2vec frames max", "max", (16, 1, 160000), 400, 160),
]

_NORMAL = np.random.default_rng(0).standard_normal
#: The other operators.
OPERATOR_CASES = [
    # Norms and means
    Case("lp-2", "Lp norm, p = 2", "lp", (8, 64, 112, 112), 2, given=(("norm_type", 2.0),)),
    Case("lp-3", "Lp norm, p = 3, overlapping", "lp", (8, 64, 56, 56), 3, 2, given=(("norm_type", 3.0),)),
    Case("gem", "Generalised mean", "gem", (8, 64, 56, 56), 2, given=(("p", 3.0),)),
    Case("lse", "Log-sum-exp", "lse", (8, 64, 56, 56), 2, given=(("r", 1.0),)),
    Case("soft", "SoftPool", "soft", (8, 64, 112, 112), 2),
    Case("soft-3", "SoftPool, overlapping", "soft", (8, 64, 112, 112), 3, 2),
    Case("soft-3d", "SoftPool of video", "soft", (2, 64, 16, 56, 56), 2),
    Case("attention", "Local importance", "attention", (8, 64, 56, 56), 3, 2,
         given=(("logits", _NORMAL((8, 64, 56, 56), np.float32)),)),
    Case("mixed", "Mixed", "mixed", (8, 64, 112, 112), 2, given=(("alpha", 0.5),)),
    Case("gated", "Gated", "gated", (8, 64, 56, 56), 2, given=(("gate_weights", _NORMAL((2, 2), np.float32)),)),
    Case("tree", "Tree of two leaves", "tree", (8, 64, 56, 56), 2,
         given=(("leaf_weights", _NORMAL((2, 2, 2), np.float32)), ("gate_weights", _NORMAL((1, 2, 2), np.float32)))),
    Case("stochastic", "Stochastic, inference", "stochastic", (8, 64, 56, 56), 3, 2, given=(("training", False),)),
    Case("random-mixed", "Random mixed, inference", "random_mixed", (8, 64, 56, 56), 2, given=(("training", False),)),
    Case("fractional", "Fractional max", "fractional_max", (8, 64, 56, 56), 2,
         given=(("output_size", 40), ("random_samples", np.random.default_rng(0).random((8, 64, 2), np.float32)))),
    Case("weighted", "Depthwise weights", "weighted", (8, 64, 56, 56), None, 2,
         given=(("weights", _NORMAL((64, 3, 3), np.float32)),)),
    Case("blur", "Anti-aliased", "blur", (8, 64, 112, 112), None, 2, given=(("filter_size", 4),)),
    # Ranks
    Case("median-3", "Median 3×3 of bytes", "median", (1, 1, 2048, 2048), 3, 1, 1, dtype="uint8"),
    Case("median-5", "Median 5×5 of floats", "median", (1, 1, 2048, 2048), 5, 1, 2),
    Case("median-15", "Median 15×15 of bytes", "median", (1, 1, 2048, 2048), 15, 1, 7, dtype="uint8"),
    Case("rank", "Second smallest of 3×3", "rank", (1, 1, 2048, 2048), 3, 1, 1, given=(("rank", 1),)),
    Case("mode-2d", "Modes of labels", "mode", (1, 1, 4096, 4096), 2, dtype="uint32"),
    Case("mode-3d", "Modes of labels, volume", "mode", (1, 1, 256, 256, 256), 2, dtype="uint64"),
    # Whole channels, bins, pyramids
    Case("global-lp", "Global Lp norm", "global_lp", (32, 2048, 7, 7), None, given=(("norm_type", 2.0),)),
    Case("global-gem", "Global GeM", "global_gem", (32, 2048, 7, 7), None, given=(("p", 3.0),)),
    Case("global-attention", "Global attention", "global_attention", (32, 512, 14, 14), None,
         given=(("logits", _NORMAL((32, 1, 14, 14), np.float32)),)),
    Case("adaptive-max", "Adaptive max", "adaptive_max", (8, 512, 20, 20), None, given=(("output_size", 7),)),
    Case("adaptive-avg", "Adaptive average", "adaptive_avg", (8, 512, 20, 20), None, given=(("output_size", 7),)),
    Case("adaptive-224", "Adaptive average of images", "adaptive_avg", (8, 64, 224, 224), None,
         given=(("output_size", 6),)),
    Case("spp", "Spatial pyramid", "spatial_pyramid", (8, 256, 13, 13), None, given=(("levels", (1, 2, 4)),)),
    Case("sppf", "YOLO SPPF", "sppf", (8, 512, 20, 20), None),
]


def select(patterns: str, cases: Sequence[Timed]) -> list[Timed]:
    """Cases whose name matches one of the comma-separated globs, in the list's order."""
    globs = [pattern.strip() for pattern in patterns.split(",")]
    return [case for case in cases if any(fnmatch(case.name, glob) for glob in globs)]
