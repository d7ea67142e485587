"""The one list of operators. Tests, benchmarks, layers and the documentation's tables are held against it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Operator:
    """An operator: its functions, its layers, and where it is described.

    Attributes
    ----------
    name : str
        Of its functions, without the dimension.
    page : str
        Of the documentation.
    needs : str
        What its gradient needs beside the output's: "indices", "shape", the "input", an argument by its name, or
        "nothing" where it has none.
    dimensions : tuple of int
        One function each; empty: one function for all.
    parameters : tuple of str
        Those that have gradients, in the gradient function's order.
    """

    name: str
    page: str
    needs: str
    dimensions: tuple[int, ...] = (1, 2, 3)
    parameters: tuple[str, ...] = ()

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(f"{self.name}{n}d" for n in self.dimensions) or (self.name,)

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(layer_name(name) for name in self.functions)


def layer_name(function: str) -> str:
    """``max_pool2d`` is ``MaxPool2d``."""
    return "".join(part.capitalize() for part in function.split("_"))


OPERATORS = (
    Operator("max_pool", "max", "indices"),
    Operator("min_pool", "min", "indices"),
    Operator("avg_pool", "average", "shape"),
    Operator("sum_pool", "sum", "shape"),
    Operator("lp_pool", "norms", "input"),
    Operator("gem_pool", "norms", "input", parameters=("p",)),
    Operator("lse_pool", "norms", "input", parameters=("r",)),
    Operator("soft_pool", "soft", "input"),
    Operator("attention_pool", "soft", "input", parameters=("logits",)),
    Operator("mixed_pool", "mixed", "input", parameters=("alpha",)),
    Operator("gated_pool", "mixed", "input", parameters=("gate_weights",)),
    Operator("tree_pool", "mixed", "input", parameters=("leaf_weights", "gate_weights")),
    Operator("random_mixed_pool", "mixed", "input"),
    Operator("stochastic_pool", "sampled", "indices"),
    Operator("fractional_max_pool", "sampled", "indices", dimensions=(2, 3)),
    Operator("weighted_pool", "weighted", "input", parameters=("weights",)),
    Operator("blur_pool", "weighted", "shape"),
    Operator("median_pool", "rank", "nothing"),
    Operator("rank_pool", "rank", "nothing"),
    Operator("mode_pool", "rank", "nothing"),
    Operator("adaptive_max_pool", "adaptive", "indices"),
    Operator("adaptive_avg_pool", "adaptive", "shape"),
    Operator("spatial_pyramid_pool", "pyramids", "input", dimensions=()),
    Operator("sppf", "pyramids", "input", dimensions=()),
    Operator("global_max_pool", "global", "indices", dimensions=()),
    Operator("global_avg_pool", "global", "shape", dimensions=()),
    Operator("global_lp_pool", "global", "input", dimensions=()),
    Operator("global_gem_pool", "global", "input", dimensions=(), parameters=("p",)),
    Operator("global_attention_pool", "global", "input", dimensions=(), parameters=("logits",)),
    Operator("roi_pool", "regions", "indices", dimensions=()),
    Operator("roi_align", "regions", "input", dimensions=()),
    Operator("ps_roi_pool", "regions", "boxes", dimensions=()),
    Operator("ps_roi_align", "regions", "boxes", dimensions=()),
    Operator("masked_avg_pool", "sequences", "mask", dimensions=()),
    Operator("masked_max_pool", "sequences", "indices", dimensions=()),
    Operator("k_max_pool", "sequences", "indices", dimensions=(1,)),
    Operator("dynamic_k_max_pool", "sequences", "indices", dimensions=(1,)),
    Operator("dynamic_pool", "sequences", "indices", dimensions=(2,)),
    Operator("segment_sum", "segments", "segment_ids", dimensions=()),
    Operator("segment_mean", "segments", "segment_ids", dimensions=()),
    Operator("segment_max", "segments", "indices", dimensions=()),
    Operator("segment_min", "segments", "indices", dimensions=()),
    Operator("topk_pool", "segments", "input", dimensions=(), parameters=("scores",)),
    Operator("max_unpool", "unpooling", "indices"),
    Operator("avg_unpool", "unpooling", "kernel_size"),
)
