"""Tables for people and a JSON file for machines."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import ROOT

RESULTS = ROOT / "benchmarks" / "results"
NOTHING = "–"


def milliseconds(seconds: float | None) -> str:
    """Three figures, in the unit that suits."""
    if seconds is None:
        return NOTHING
    for factor, unit in ((1.0, "s "), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 0.9995:
            return f"{figures(seconds * factor)} {unit}"
    return f"{figures(seconds * 1e9)} ns"


def figures(value: float) -> str:
    """A number with three figures and no exponent."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    return f"{rounded:.{min(max(0, 2 - math.floor(math.log10(abs(rounded)))), 5)}f}"


def ratio(value: float | None) -> str:
    """``2.3×``."""
    return NOTHING if value is None else f"{figures(value)}×"


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.0f} %"


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of the values that are there."""
    logs = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Plain columns under headers, the first ``left`` of them aligned left."""
    columns = widths([headers, *rows])
    return "\n".join([line(headers, columns, left), rule(columns), *(line(row, columns, left) for row in rows)])


def widths(rows: Iterable[Sequence[str]]) -> list[int]:
    """Of columns that hold these rows."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def line(cells: Sequence[str], widths: Sequence[int], left: int = 1) -> str:
    """One row of a table whose widths are known."""
    parts = [
        cell.ljust(width) if place < left else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(parts).rstrip()


def rule(widths: Sequence[int]) -> str:
    return "  ".join("-" * width for width in widths)


def write(document: dict[str, Any], path: Path | None) -> None:
    """The JSON file, whole or not at all."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False, default=str)
    partial = path.with_name(path.name + ".part")
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)
    print(f"figures in {shown(path)}")


def shown(path: Path) -> str:
    """A path relative to where we are, if it is below."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
