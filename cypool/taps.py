"""Taps: sums over windows whose taps have weights, their adjoint, and the weights' gradient, in compiled loops.

See _kernels/taps/job.pxi for what an axis is there.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from cypool import dispatch
from cypool.windows import Axis

Array = np.ndarray[Any, np.dtype[Any]]


class Reads:
    """What each result along an axis reads: the fields of `Axis` in taps/job.pxi.

    Parameters
    ----------
    size, out : int
        Elements read, and results.
    phases, step : int
        Result ``m * phases + p`` reads elements ``m * step + offset``.
    taps : (phase, offset) of each tap
        Offsets may be negative.
    sources : (before, behind), optional
        Elements that those before and behind are copies of, -1 for zeros; without it as many zeros as are read.
    """

    def __init__(self, size: int, out: int, phases: int, step: int, taps: tuple[Array, Array],
                 sources: tuple[Array, Array] | None = None) -> None:
        phase, offset = taps
        order = np.argsort(phase, kind="stable")
        order = order[phase[order] < phases]                # the others have no result
        least, most = (int(offset[order].min()), int(offset[order].max())) if order.size else (0, 0)
        end = (-(-out // phases) - 1) * step + most + 1
        if sources is None:
            sources = np.full(max(0, -least), -1), np.full(max(0, end - size), -1)
        before, behind = map(len, sources)
        if not (before + least >= 0 and end <= size + behind and size > 0 and out > 0
                and all(((s >= -1) & (s < size)).all() for s in sources)):
            raise ValueError(f"taps read elements {least} to {end} of {size}")
        self.size, self.out, self.kernel = size, out, phase.size
        self.fields = (size, out, phase.size, phases, step, before, behind, before + most + 1,
                       np.searchsorted(phase[order], np.arange(phases + 1)), order,
                       np.ascontiguousarray(offset[order] + before), np.concatenate(sources))


def forward(axis: Axis) -> Reads:
    """Windows by a rule, with zeros around."""
    return _forward(axis.size, axis.out, axis.kernel, axis.stride, axis.padding, axis.dilation)


@lru_cache(maxsize=1024)
def _forward(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> Reads:
    offset = np.arange(kernel) * dilation - padding
    return Reads(size, out, 1, stride, (np.zeros_like(offset), offset))


def adjoint(axis: Axis) -> Reads:
    """Their adjoint: each element of x reads the windows that read it."""
    return _adjoint(axis.size, axis.out, axis.kernel, axis.stride, axis.padding, axis.dilation)


@lru_cache(maxsize=1024)
def _adjoint(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> Reads:
    offset = np.arange(kernel) * dilation - padding
    phase = offset % stride
    return Reads(out, size, min(stride, size), 1, (phase, (phase - offset) // stride))


def apply(x: Array, weights: Array, real: np.dtype[Any], y: Array, reads: tuple[Reads, ...], last: bool) -> None:
    """``y = sum over taps of weight * x`` along x's spatial axes, computed in float32 or float64.

    weights: (groups, taps, 1 or channels); plane i of (N, C), one after the other, has those of group i % groups.
    """
    x, taps = np.ascontiguousarray(x, real), math.prod(r.kernel for r in reads)
    wide = x.shape[-1] if last else 1
    if weights.shape[1] != taps or weights.shape[2] not in (1, wide):
        raise ValueError(f"weights must be of {taps} taps and 1 or {wide} channels, got {weights.shape}")
    made = y if y.dtype == real and y.flags.c_contiguous and y.flags.aligned else np.empty(y.shape, real)
    dispatch.tap_kernels().gather(_seen(x, [r.size for r in reads], last), np.ascontiguousarray(weights, real),
                                  _seen(made, [r.out for r in reads], last), _fields(reads))
    if made is not y:
        y[...] = made


def products(x: Array, d: Array, groups: int, reads: tuple[Reads, ...], last: bool) -> Array:
    """For each of `apply`'s weights the sum of ``d * x`` over the windows, float64; x becomes d's dtype."""
    x, d = np.ascontiguousarray(x, d.dtype), np.ascontiguousarray(d)
    made = np.zeros((groups, math.prod(r.kernel for r in reads), x.shape[-1] if last else 1))
    dispatch.tap_kernels().sums(_seen(x, [r.size for r in reads], last), _seen(d, [r.out for r in reads], last), made,
                                _fields(reads))
    return made


def _fields(reads: tuple[Reads, ...]) -> list[tuple[Any, ...]]:
    return [r.fields for r in (ALONE,) * (3 - len(reads)) + reads]


def _seen(a: Array, sizes: list[int], last: bool) -> Array:
    """An array with batch and channels as the kernels see it, which count on these sizes."""
    spatial = a.shape[1:-1] if last else a.shape[2:]
    if list(spatial) != sizes:
        raise ValueError(f"spatial shape must be {sizes}, got {spatial}")
    lead, channels = (a.shape[:1], a.shape[-1]) if last else (a.shape[:2], 1)
    return a.reshape((math.prod(lead), *(1,) * (3 - len(sizes)), *sizes, channels))


#: An axis that is not there.
ALONE = forward(Axis(1, 1))
