"""The cases without windows: boxes of maps, sequences of different lengths, rows of segments, and unpooling.

They have other arrays beside x that say what belongs together. These follow from the shape, so that a shrunk case has
fitting ones; of the last case asked they are kept, so that all peers get the same and large ones go with their case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from .cases import Timed, brief

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Irregular(Timed):
    """One call of a function of cypool with arrays of this `shape` as x; `settings` are its other arguments."""

    name: str
    title: str
    function: str
    shape: tuple[int, ...]
    settings: tuple[tuple[str, Any], ...] = ()

    family: ClassVar[str]

    # The call

    @property
    def op(self) -> str:
        return self.function

    def data(self) -> np.ndarray:
        """Normal floats."""
        return self.generator().standard_normal(self.shape, dtype=np.float32)

    def beside(self) -> Arrays:
        """The other arrays."""
        return {}

    def fixed(self) -> dict[str, Any]:
        """All arguments but arrays."""
        return dict(self.settings)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the cypool function; those of its layer, and the arrays that this is called with."""
        return {**_beside(self), **self.fixed()}

    @property
    def given(self) -> tuple[tuple[str, Any], ...]:
        """What peers are called with."""
        return tuple(self.arguments().items())

    def call(self) -> str:
        given = [f"{name}={brief(value)}" for name, value in self.fixed().items()]
        return f"{self.function}({', '.join(['x', *given])})"

    # Facts for reports

    @property
    def result(self) -> tuple[int, ...]:
        """The shape of what comes out."""
        raise NotImplementedError

    @property
    def bytes(self) -> int:
        """Bytes of inputs and output together."""
        floats = math.prod(self.shape) + math.prod(self.result)
        return 4 * floats + sum(array.nbytes for array in _beside(self).values())

    def describe(self) -> str:
        text = "×".join(map(str, self.shape))
        return text + "".join(f" {name}={brief(value)}" for name, value in self.settings)

    def shrunk(self) -> Irregular:
        """The same on little data, for ``--quick``: few images and channels."""
        n, c, *spatial = self.shape
        return replace(self, shape=(min(n, 2), min(c, 4), *spatial))


@lru_cache(maxsize=1)
def _beside(case: Irregular) -> Arrays:
    return case.beside()


# ---------------------------------------------------------------------------- regions

@dataclass(frozen=True)
class Regions(Irregular):
    """Boxes of 16 to 500 pixels, small ones as frequent as large ones, cut to the picture that the map was made of."""

    boxes: int = 1000
    pixels: int = 4  # for each element of the map

    family = "regions"
    bins: ClassVar[int] = 7

    def beside(self) -> Arrays:
        rng = self.generator()
        height, width = ((n - 1) * self.pixels for n in self.shape[2:])
        size = np.exp(rng.uniform(math.log(16), math.log(500), (self.boxes, 2)))
        middle = rng.uniform(0, 1, (self.boxes, 2)) * (width, height)
        corners = np.concatenate([middle - size / 2, middle + size / 2], 1)
        image = np.sort(rng.integers(0, self.shape[0], (self.boxes, 1)), 0)
        cut = np.clip(corners, 0, (width, height) * 2)
        return {"boxes": np.concatenate([image, cut], 1).astype(np.float32)}

    def fixed(self) -> dict[str, Any]:
        return {"output_size": self.bins, "spatial_scale": 1 / self.pixels, **super().fixed()}

    @property
    def apart(self) -> bool:
        """Whether every bin has channels of its own."""
        return self.function.startswith("ps_")

    @property
    def result(self) -> tuple[int, ...]:
        channels = self.shape[1] // self.bins**2 if self.apart else self.shape[1]
        return (self.boxes, channels, self.bins, self.bins)

    def describe(self) -> str:
        return f"{super().describe()} {self.boxes} boxes"

    def shrunk(self) -> Irregular:
        channels = 2 * self.bins**2 if self.apart else 4
        return replace(self, shape=(1, channels, *self.shape[2:]), boxes=20)


# ---------------------------------------------------------------------------- sequences

@dataclass(frozen=True)
class Sequences(Irregular):
    """Sequences of a sixteenth of the longest one's length and more, all alike frequent.

    The `form` says how a call is told the lengths: as a bool "mask", as "lengths", or by "offsets" into an x without
    padding. The positions are on `axis`.
    """

    form: str = "mask"
    axis: int = 1

    family = "sequences"

    def lengths(self) -> np.ndarray:
        longest = self.shape[self.axis]
        return np.random.default_rng(0).integers(longest // 16, longest + 1, self.shape[0])

    def data(self) -> np.ndarray:
        if self.form != "offsets":
            return super().data()
        return self.generator().standard_normal((self.lengths().sum(), self.shape[2]), dtype=np.float32)

    def beside(self) -> Arrays:
        lengths = self.lengths()
        if self.form == "offsets":
            return {"offsets": np.concatenate([[0], np.cumsum(lengths)])}
        return {"mask": np.arange(self.shape[self.axis]) < lengths[:, None] if self.form == "mask" else lengths}

    def fixed(self) -> dict[str, Any]:
        return {**super().fixed(), **({"axis": self.axis} if self.axis != 1 else {})}

    @property
    def result(self) -> tuple[int, ...]:
        return (self.shape[0], self.shape[3 - self.axis])

    @property
    def bytes(self) -> int:
        """Padding need not be read."""
        return 4 * self.shape[3 - self.axis] * int(self.lengths().sum() + self.shape[0])

    def describe(self) -> str:
        return f"{super().describe()} axis={self.axis} by {self.form}"

    def shrunk(self) -> Irregular:
        return replace(self, shape=(4, 32, 48) if self.axis == 1 else (4, 48, 32))


@dataclass(frozen=True)
class Planes(Irregular):
    """Rows and matrices, each reduced to the same sizes: no array beside x."""

    to: tuple[int, ...] = ()

    family = "sequences"

    @property
    def result(self) -> tuple[int, ...]:
        return (*self.shape[:2], *self.to)


# ---------------------------------------------------------------------------- segments

@dataclass(frozen=True)
class Segments(Irregular):
    """Rows that belong to segments in any order, or rising."""

    segments: int = 1
    rising: bool = True

    family = "segments"

    def beside(self) -> Arrays:
        ids = self.generator().integers(0, self.segments, self.shape[0])
        return {"segment_ids": np.sort(ids) if self.rising else ids}

    def fixed(self) -> dict[str, Any]:
        return {"num_segments": self.segments, **super().fixed()}

    @property
    def result(self) -> tuple[int, ...]:
        return (self.segments, *self.shape[1:])

    def describe(self) -> str:
        return f"{super().describe()} {self.segments} segments, {'rising' if self.rising else 'any order'}"

    def shrunk(self) -> Irregular:
        rows = 1000
        return replace(self, shape=(rows, *self.shape[1:]), segments=rows * self.segments // self.shape[0])


@dataclass(frozen=True)
class Nodes(Irregular):
    """Nodes of graphs, with a score each."""

    graphs: int = 1

    family = "segments"

    def beside(self) -> Arrays:
        rng, nodes = self.generator(), self.shape[0]
        return {"scores": rng.standard_normal(nodes, dtype=np.float32),
                "segment_ids": np.sort(rng.integers(0, self.graphs, nodes))}

    @property
    def result(self) -> tuple[int, ...]:
        return (math.ceil(self.fixed()["ratio"] * self.shape[0]), *self.shape[1:])

    def describe(self) -> str:
        return f"{super().describe()} {self.graphs} graphs"

    def shrunk(self) -> Irregular:
        return replace(self, shape=(1000, *self.shape[1:]), graphs=10)


# ---------------------------------------------------------------------------- unpooling

@dataclass(frozen=True)
class Unpooling(Irregular):
    """Back to windows side by side. Maxima know their places as int64, or as `ordinals` of one byte."""

    kernel: int = 2
    ordinals: bool = False

    family = "unpooling"

    def beside(self) -> Arrays:
        if not self.function.startswith("max"):
            return {}
        taps = self.generator().integers(0, self.kernel ** (len(self.shape) - 2), self.shape).astype(np.uint8)
        return {"indices": taps if self.ordinals else self.flat(taps)}

    @property
    def given(self) -> tuple[tuple[str, Any], ...]:
        """Only cypool has ordinals."""
        given = self.arguments()
        return tuple((given | ({"indices": self.flat(given["indices"])} if self.ordinals else {})).items())

    def flat(self, taps: np.ndarray) -> np.ndarray:
        """Where on their planes these taps of all windows are."""
        kernels, spatial = (self.kernel,) * (len(self.shape) - 2), self.shape[2:]
        windows = np.meshgrid(*map(np.arange, spatial), indexing="ij")
        places = [w * self.kernel + t for w, t in zip(windows, np.unravel_index(taps, kernels), strict=True)]
        return np.ravel_multi_index(places, self.result[2:])

    def fixed(self) -> dict[str, Any]:
        return {"kernel_size": self.kernel, **super().fixed()}

    @property
    def result(self) -> tuple[int, ...]:
        return (*self.shape[:2], *(n * self.kernel for n in self.shape[2:]))

    def describe(self) -> str:
        return f"{super().describe()} k{self.kernel}" + (" by ordinals" if self.ordinals else "")


# ---------------------------------------------------------------------------- all

_DETECTOR = (1, 256, 200, 272)
_PARTS = (1, 21 * 49, 38, 63)
_BY_SAMPLES = (("sampling_ratio", 2),)
_TOKENS, _FRAMES = (64, 512, 768), (64, 768, 512)
_WIDE, _LONG = (10_000_000, 16), (1_000_000, 1)
_MANY = 100_000

IRREGULAR_CASES: list[Irregular] = [
    # Detection: Faster R-CNN's boxes, R-FCN's
    Regions("roi-align", "RoIAlign", "roi_align", _DETECTOR, _BY_SAMPLES),
    Regions("roi-align-adaptive", "RoIAlign, as many samples as elements", "roi_align", _DETECTOR),
    Regions("roi-align-max", "RoIAlign, ONNX's maximum", "roi_align", _DETECTOR, (*_BY_SAMPLES, ("mode", "onnx_max"))),
    Regions("roi-pool", "RoI pooling", "roi_pool", _DETECTOR),
    Regions("roi-pool-onnx", "RoI pooling, ONNX's bins", "roi_pool", _DETECTOR, (("rounding", "onnx"),)),
    Regions("ps-roi-pool", "Position-sensitive", "ps_roi_pool", _PARTS, boxes=300, pixels=16),
    Regions("ps-roi-align", "Position-sensitive, sampled", "ps_roi_align", _PARTS, _BY_SAMPLES, boxes=300, pixels=16),
    # Sentences and sounds of different lengths
    Sequences("masked-avg", "Masked mean", "masked_avg_pool", _TOKENS),
    Sequences("masked-avg-lengths", "Masked mean", "masked_avg_pool", _TOKENS, form="lengths"),
    Sequences("masked-avg-ragged", "Mean without padding", "masked_avg_pool", _TOKENS, form="offsets"),
    Sequences("masked-avg-first", "Masked mean, channels first", "masked_avg_pool", _FRAMES, axis=2),
    Sequences("masked-max", "Masked max", "masked_max_pool", _TOKENS),
    Sequences("masked-max-lengths", "Masked max", "masked_max_pool", _TOKENS, form="lengths"),
    Sequences("masked-max-ragged", "Max without padding", "masked_max_pool", _TOKENS, form="offsets"),
    Sequences("masked-max-first", "Masked max, channels first", "masked_max_pool", _FRAMES, axis=2),
    Planes("k-max-5", "k-max", "k_max_pool1d", (64, 300, 512), (("k", 5),), to=(5,)),
    Planes("k-max-64", "k-max, many", "k_max_pool1d", (64, 300, 512), (("k", 64),), to=(64,)),
    Planes("k-max-16", "k-max, long rows", "k_max_pool1d", (16, 1000, 4096), (("k", 16),), to=(16,)),
    Planes("dynamic-k-max", "Dynamic k-max", "dynamic_k_max_pool1d", (64, 300, 64),
           (("k_top", 5), ("layer", 1), ("num_layers", 3)), to=(43,)),
    Planes("dynamic", "Dynamic pooling of similarities", "dynamic_pool2d", (64, 1, 97, 83), (("output_size", 15),),
           to=(15, 15)),
    # Rows of segments, nodes of graphs
    *(Segments(function.replace("_", "-") + suffix, function.replace("_", " ").capitalize() + text, function, shape,
               segments=_MANY, rising=rising)
      for shape, narrow in ((_WIDE, ""), (_LONG, "-column"))
      for rising, suffix, text in ((True, narrow, ""), (False, f"{narrow}-any", ", any order"))
      for function in ("segment_sum", "segment_mean", "segment_max")),
    Segments("segment-min", "Segment min", "segment_min", (1_000_000, 16), segments=_MANY),
    Nodes("topk", "Best half of each graph", "topk_pool", (100_000, 64), (("ratio", 0.5),), graphs=1000),
    # Back to the size before
    Unpooling("max-unpool", "Max unpooling", "max_unpool2d", (8, 64, 112, 112)),
    Unpooling("max-unpool-bytes", "Max unpooling, ordinals", "max_unpool2d", (8, 64, 112, 112), ordinals=True),
    Unpooling("max-unpool-3d", "Max unpooling of a volume", "max_unpool3d", (1, 32, 32, 32, 32)),
    Unpooling("max-unpool-1d", "Max unpooling of sound", "max_unpool1d", (16, 64, 4000), kernel=4),
    Unpooling("avg-unpool", "Average unpooling", "avg_unpool2d", (8, 64, 112, 112)),
    Unpooling("avg-unpool-copy", "Nearest neighbours", "avg_unpool2d", (8, 64, 112, 112), (("scale", "copy"),)),
]
