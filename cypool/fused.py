"""Means by the compiled loops: elements become weights as they are loaded, sums results as they are stored.

The loops work at scale 1 and say whether all windows are on it; what is to be done if not is for `means`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cypool import arguments, dispatch
from cypool.pieces import Array, Piece, real_of
from cypool.windows import adjoint_in_full, one_row

#: Where sums are on scale: every term that matters then has all its bits. And values that may be too small to weigh.
ON_SCALE = {np.dtype(np.float32): (2.0**-60, 2.0**60, 2.0**-40),
            np.dtype(np.float64): (2.0**-450, 2.0**450, 2.0**-300)}

# Numbers shared with the kernels (means/rows.pxi): what elements weigh, ...
SIZES, CLAMPED, EXPONENTIALS, OF_LOGITS = range(4)
#: ... what a second sum multiplies by the weights, ...
NOTHING, ELEMENTS, LOGARITHMS, LESS_ONE = range(4)
#: ... what comes of the sums, ...
RATIO, ROOT, LOGARITHM = range(3)
#: ... and an element's gradient.
OF_POWERS, OF_CLAMPED, OF_WEIGHTS, OF_SOFT, OF_ATTENTION, OF_SQUARES = range(6)
#: The powers that the loops have.
POWERS = (1, 2, 3, 4)
#: Elements that a window may reach, with all channels that lie beside them: the loops have them in memory at once.
REACH = 1 << 17


class Kinds(NamedTuple):
    """A mean as the loops know it."""

    weight: int
    value: int
    outcome: int
    slope: int
    power: int = 1
    factor: float = 1.0
    eps: float = 0.0
    wide: bool = False                              # computed in float64, whatever the array's type: not told


@dataclass
class Sums:
    """The sums of a piece and its results; whether all windows are on scale."""

    s: Array
    t: Array | None
    y: Array
    on_scale: bool


@dataclass
class Fused:
    """A piece for the loops: its elements as they are, and its logits if there are any; counted: sums are divided by
    the number of elements."""

    kinds: Kinds
    piece: Piece
    x: Array
    z: Array | None
    counted: bool

    @property
    def real(self) -> np.dtype[Any]:
        """What it is computed in."""
        if self.kinds.wide:
            return np.dtype(np.float64)
        return real_of(self.x) if self.z is None else real_of(self.x, self.z)

    @property
    def told(self) -> tuple[Any, ...]:
        """The kinds with the scale: sums on it, and sizes below which they may lose something."""
        least, most, tiny = ON_SCALE[self.real]
        smallest = least ** (1 / self.kinds.power) if self.kinds.weight == SIZES else 0.0
        weighed = self.kinds.value in (ELEMENTS, LOGARITHMS)
        return (*self.kinds[:-1], least, most, max(smallest, tiny) if weighed else smallest)

    def results(self, y: Array, threads: int | None, s: Array | None = None, t: Array | None = None) -> bool:
        """The results into y, the sums into s and t; false if some windows are off the scale."""
        return dispatch.pool_mean(self.told, self.x, self.z, y, s, t, self.piece.windows, last=self.piece.last,
                                  counted=self.counted, wide=self.real == np.float64, num_threads=threads)

    def sums(self, values: bool, threads: int | None) -> Sums:
        """The sums, t only if `values`, and the results."""
        shape = arguments.with_spatial(self.x.shape, self.piece.windows.shape, self.piece.last)
        s, y = np.empty(shape, self.real), np.empty(shape, self.real)
        t = np.empty(shape, self.real) if values else None
        return Sums(s, t, y, self.results(y, threads, s, t))

    def gradients(self, s: Array, y: Array, d: Array, outs: Sequence[Array], threads: int | None) -> None:
        """The gradients of all elements, and of all logits, into `outs`: from sums s and results y, whose gradients are
        d."""
        windows, last = self.piece.windows, self.piece.last
        zeros = s == 0 if self.kinds.weight == SIZES and not s.all() else None      # windows of nothing else
        sums = [d / s] if self.kinds.slope not in (OF_POWERS, OF_CLAMPED) else []
        if self.kinds.slope != OF_WEIGHTS:
            sums.append(d * (y / s))           # the quotient is on scale, whatever d is
        for part in sums if zeros is not None else ():
            part[zeros] = 0
        full = arguments.with_spatial(
            self.x.shape, tuple(axis.size if axis.whole else axis.out for axis in windows.axes), last)
        sums = [np.ascontiguousarray(np.broadcast_to(part, full)) for part in sums]
        forward, back = [self.x] if self.z is None else [self.x, self.z], adjoint_in_full(windows)
        if windows.whole and all(out.flags.c_contiguous for out in outs):   # each element on its own: one long row
            back, last = one_row(self.x.size), False
            sums, forward, outs = ([a.reshape(1, 1, -1) for a in arrays] for arrays in (sums, forward, outs))
        dispatch.spread_mean(self.told, *_pair(sums), *_pair(forward), *_pair(outs), back, last=last,
                             wide=self.real == np.float64, num_threads=threads)


def _pair(arrays: Sequence[Array]) -> tuple[Array, Array | None]:
    """An array, and another if there is one."""
    return arrays[0], arrays[1] if len(arrays) > 1 else None
