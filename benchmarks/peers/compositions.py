"""Operators in PyTorch: its own function where it has one, else the shortest composition of those it has.

Padding is left out of all of them, for no case has any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _avg(torch: Any, case: Any, x: Any) -> Any:
    return getattr(torch.nn.functional, f"avg_pool{case.ndim}d")(x, case.kernel, case.stride)


def _max(torch: Any, case: Any, x: Any) -> Any:
    return getattr(torch.nn.functional, f"max_pool{case.ndim}d")(x, case.kernel, case.stride)


def _filtered(torch: Any, case: Any, x: Any, weights: Any) -> Any:
    """The same weights for all channels, or for each its own."""
    channels = x.shape[1]
    each = weights.expand(channels, *weights.shape) if weights.ndim == case.ndim else weights
    return getattr(torch.nn.functional, f"conv{case.ndim}d")(x, each[:, None], stride=case.strides, groups=channels)


def lp(torch: Any, case: Any, x: Any, norm_type: float) -> Any:
    return getattr(torch.nn.functional, f"lp_pool{case.ndim}d")(x.abs() if norm_type % 2 else x, norm_type, case.kernel,
                                                                case.stride)


def gem(torch: Any, case: Any, x: Any, p: float) -> Any:
    return _avg(torch, case, x.clamp(min=1e-6) ** p) ** (1 / p)


def lse(torch: Any, case: Any, x: Any, r: float) -> Any:
    return _avg(torch, case, (r * x).exp()).log() / r


def soft(torch: Any, case: Any, x: Any) -> Any:
    return attention(torch, case, x, x)


def attention(torch: Any, case: Any, x: Any, logits: Any) -> Any:
    w = logits.exp()
    return _avg(torch, case, x * w) / _avg(torch, case, w)


def mixed(torch: Any, case: Any, x: Any, alpha: float = 0.5, training: bool = False) -> Any:
    return alpha * _max(torch, case, x) + (1 - alpha) * _avg(torch, case, x)


def gated(torch: Any, case: Any, x: Any, gate_weights: Any) -> Any:
    g = torch.sigmoid(_filtered(torch, case, x, gate_weights))
    return g * _max(torch, case, x) + (1 - g) * _avg(torch, case, x)


def tree(torch: Any, case: Any, x: Any, leaf_weights: Any, gate_weights: Any) -> Any:
    g = torch.sigmoid(_filtered(torch, case, x, gate_weights[0]))
    return g * _filtered(torch, case, x, leaf_weights[0]) + (1 - g) * _filtered(torch, case, x, leaf_weights[1])


def stochastic(torch: Any, case: Any, x: Any, training: bool) -> Any:
    return _avg(torch, case, x * x) / _avg(torch, case, x)


def fractional_max(torch: Any, case: Any, x: Any, output_size: int, random_samples: Any) -> Any:
    return torch.nn.functional.fractional_max_pool2d(x, case.kernel, output_size,
                                                     _random_samples=random_samples.flip(-1))


def weighted(torch: Any, case: Any, x: Any, weights: Any) -> Any:
    return _filtered(torch, case, x, weights)


def blur(torch: Any, case: Any, x: Any, filter_size: int) -> Any:
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    padded = torch.nn.functional.pad(x, (1, 2, 1, 2), mode="reflect")
    return _filtered(torch, case, padded, row[:, None] * row)


def global_lp(torch: Any, case: Any, x: Any, norm_type: float) -> Any:
    return torch.linalg.vector_norm(x, norm_type, dim=tuple(range(2, x.ndim)), keepdim=True)


def global_gem(torch: Any, case: Any, x: Any, p: float) -> Any:
    return (x.clamp(min=1e-6) ** p).mean(dim=tuple(range(2, x.ndim)), keepdim=True) ** (1 / p)


def global_attention(torch: Any, case: Any, x: Any, logits: Any) -> Any:
    w = torch.softmax(logits.flatten(2), -1)
    return (x.flatten(2) * w).sum(-1).reshape(*x.shape[:2], *(1,) * case.ndim)


def adaptive_max(torch: Any, case: Any, x: Any, output_size: int) -> Any:
    return getattr(torch.nn.functional, f"adaptive_max_pool{case.ndim}d")(x, output_size)


def adaptive_avg(torch: Any, case: Any, x: Any, output_size: int) -> Any:
    return getattr(torch.nn.functional, f"adaptive_avg_pool{case.ndim}d")(x, output_size)


def spatial_pyramid(torch: Any, case: Any, x: Any, levels: tuple[int, ...]) -> Any:
    return torch.cat([adaptive_max(torch, case, x, level).flatten(1) for level in levels], 1)


def sppf(torch: Any, case: Any, x: Any) -> Any:
    parts = [x]
    for _ in range(3):
        parts.append(torch.nn.functional.max_pool2d(parts[-1], 5, 1, 2))
    return torch.cat(parts, 1)


COMPOSED: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (lp, gem, lse, soft, attention, mixed, gated, tree, stochastic, fractional_max, weighted, blur,
                     global_lp, global_gem, global_attention, adaptive_max, adaptive_avg, spatial_pyramid, sppf)
} | {"random_mixed": mixed}
