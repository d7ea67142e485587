"""Networks: which minima and maxima find one rank of a window. Integers only; no array of data is touched here.

A network is a list of exchanges: two values in, the smaller and the larger one out. Run on rows of values instead of
single ones it does as many windows at once as a vector holds, without a branch. Windows beside each other share their
columns, so an exchange is written down once for all windows that ask for it: a value is a row and a *shift*, "what that
row holds so many windows further on". Columns are sorted once, and two neighbouring columns merged once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: A value: the row it is in, and how many windows further on. Rows are numbered: the inputs, then two for an exchange,
#: its smaller and its larger result.
Value = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Network:
    """Exchanges in an order in which they can be made, on numbered rows that are used again.

    Attributes
    ----------
    steps : int32 array of rows ``(a, shift of a, b, shift of b, smaller, larger, further)``
        Rows `a` and `b` are compared; `smaller`, `larger` are the rows for the results, or -1 where nobody wants one.
        So many windows `further` than asked for have to be computed, since later steps shift the results.
    rows : int
        Rows of scratch memory, numbered after the inputs.
    further : int
        The most of any step.
    result : Value
        Where the rank that was asked for comes out.
    work : int
        Minima and maxima for each window.
    square : int
        3 or 5: no steps, for the kernels have this one written out.
    """

    steps: np.ndarray
    rows: int
    further: int
    result: Value
    work: int
    square: int = 0


class _Maker:
    """Writes exchanges down, each but once."""

    def __init__(self, inputs: int) -> None:
        self.first = inputs
        self.known: dict[tuple[Value, Value], int] = {}

    def exchange(self, x: Value, y: Value) -> tuple[Value, Value]:
        """The smaller and the larger one."""
        if x == y:
            return x, y
        x, y = min(x, y), max(x, y)
        base = min(x[1], y[1])
        key = (x[0], x[1] - base), (y[0], y[1] - base)
        row = self.first + 2 * self.known.setdefault(key, len(self.known))
        return (row, base), (row + 1, base)

    def merge(self, a: Sequence[Value], b: Sequence[Value]) -> list[Value]:
        """Two sorted lists as one: Batcher's odd-even merge, for lists of any length."""
        if not a or not b:
            return [*a, *b]
        if len(a) == len(b) == 1:
            return list(self.exchange(a[0], b[0]))
        even, odd = self.merge(a[::2], b[::2]), self.merge(a[1::2], b[1::2])
        merged = [even[0]]
        for i, value in enumerate(odd):
            merged += self.exchange(value, even[i + 1]) if i + 1 < len(even) else [value]
        return merged + even[len(odd) + 1:]

    def sort(self, values: Sequence[Value]) -> list[Value]:
        if len(values) <= 1:
            return list(values)
        half = len(values) // 2
        return self.merge(self.sort(values[:half]), self.sort(values[half:]))

    def choose(self, a: Sequence[Value], b: Sequence[Value], rank: int) -> Value:
        """One rank of two sorted lists: the smallest, over all ways to take rank + 1 of them, of the largest taken."""
        best: Value | None = None
        for i in range(max(0, rank + 1 - len(b)), min(len(a), rank + 1) + 1):
            j = rank + 1 - i
            largest = a[i - 1] if j == 0 else b[j - 1] if i == 0 else self.exchange(a[i - 1], b[j - 1])[1]
            best = largest if best is None else self.exchange(best, largest)[0]
        assert best is not None
        return best

    def finish(self, result: Value) -> Network:
        """What `result` needs, with rows used again where nobody reads them any more."""
        steps = list(self.known)
        further = {result[0]: 0} if result[0] >= self.first else {}     # of each row that is needed
        last: dict[int, int] = {result[0]: len(steps)}                  # the step that reads it last
        for e in reversed(range(len(steps))):
            mine = [further[row] for row in (self.first + 2 * e, self.first + 2 * e + 1) if row in further]
            for row, shift in steps[e] if mine else ():
                if row >= self.first:
                    further[row] = max(further.get(row, 0), max(mine) + shift)
                last.setdefault(row, e)
        further[result[0]] = max(further.get(result[0], 0), result[1])
        return self.number(steps, further, last, result)

    def number(self, steps: list[tuple[Value, Value]], further: dict[int, int], last: dict[int, int],
               result: Value) -> Network:
        place = {row: row for row in range(self.first)}
        free: list[int] = []
        used = self.first
        written, work = [], 0
        for e, ((a, a_shift), (b, b_shift)) in enumerate(steps):
            results = [row for row in (self.first + 2 * e, self.first + 2 * e + 1) if row in last]
            if not results:
                continue
            work += len(results)
            sources = place[a], place[b]
            # a step reads a vector before it writes one, and shifts look forward: it may write where it reads
            free += [place[row] for row in {a, b} if last[row] == e and row >= self.first]
            for row in results:
                if not free:
                    free.append(used)
                    used += 1
                place[row] = free.pop()
            low, high = (place.get(self.first + 2 * e + i, -1) for i in range(2))
            written.append((sources[0], a_shift, sources[1], b_shift, low, high, max(further[r] for r in results)))
        return Network(np.array(written, np.int32).reshape(-1, 7), used - self.first,
                       max((step[6] for step in written), default=0), (place[result[0]], result[1]), work)


def square(column: int, across: tuple[Value, ...], rows: int, rank: int) -> Network | None:
    """The medians that the kernels have written out, in registers: of 3 by 3 and 5 by 5 taps, windows 1 apart."""
    if column not in (3, 5) or len(across) != column or rows != 1 or rank != column * column // 2:
        return None
    scratch = 1 if column == 3 else 16              # rows, the last one for the result
    return Network(np.empty((0, 7), np.int32), scratch, across[-1][1], (column + scratch - 1, 0),
                   30 if column == 3 else 90, column)


@lru_cache(maxsize=256)
def network(column: int, across: tuple[Value, ...], rows: int, rank: int) -> Network:
    """The network for one rank of windows of ``column * len(across)`` taps.

    Parameters
    ----------
    column : int
        Taps of each column.
    across : tuple of Value
        For each column, from left to right, which of `rows` sorts of rows it is in, and its shift: windows 2 apart take
        columns from even and odd elements in turn.
    rows : int
        Input row ``i * rows + sort`` is the one that tap i of each column comes from.
    rank : int
        Counted from the smallest.
    """
    best: Network | None = None
    for ascending in (True, False):
        maker = _Maker(column * rows)
        columns = [maker.sort([(i * rows + sort, shift) for i in range(column)]) for sort, shift in across]
        groups = []
        while columns:                              # powers of two: neighbours share these, and halves of them
            size = 1 << (len(columns).bit_length() - 1)
            groups.append(_together(maker, columns[:size]))
            del columns[:size]
        made = _fold(maker, groups[::-1] if ascending else groups, rank)
        if best is None or made.work < best.work:
            best = made
    assert best is not None
    return best


def _together(maker: _Maker, columns: list[list[Value]]) -> list[Value]:
    while len(columns) > 1:
        columns = [maker.merge(columns[i], columns[i + 1]) for i in range(0, len(columns), 2)]
    return columns[0]


def _fold(maker: _Maker, groups: list[list[Value]], rank: int) -> Network:
    """Merge sorted lists one after the other, leaving out what cannot be of the wanted rank."""
    merged: list[Value] = []
    while True:
        total, dropped, kept = sum(map(len, groups)) + len(merged), 0, []
        for values in (merged, *groups):
            low = max(0, len(values) - (total - rank))      # too many others are larger than those before
            dropped += low
            kept.append(values[low:rank + 1])
        merged, group, *groups = kept
        rank -= dropped
        if not groups:
            return maker.finish(maker.choose(merged, group, rank))
        merged = maker.merge(merged, group)
