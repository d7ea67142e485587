"""``growth``: time against the size of the window, of the plane, and the number of channels."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Any

from . import facts, report
from .cases import Case
from .peers import PEERS, Present, Settings, load
from .report import milliseconds
from .timing import Effort, Job, Timing, interleave

BESIDE = ["cypool", "cypool-cl", "torch", "torch-cl"]
WINDOWS = [2, 3, 5, 7, 9, 13, 15, 21, 31, 47, 63]
SIZES = [4, 7, 14, 28, 56, 112, 224, 448, 896]
CHANNELS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
PATIENCE = 0.3  # seconds a call may take before a peer drops out of the rest of a series


@dataclass(frozen=True)
class Series:
    """Cases along one growing number."""

    name: str
    title: str
    axis: str
    cases: dict[int, Case]


def series() -> list[Series]:
    """All series, maximum and average."""
    found = []
    for op in ("max", "avg"):
        for shape in ((4, 64, 4096), (1, 64, 128, 128), (1, 4, 64, 64, 64)):
            ndim = len(shape) - 2
            cases = {k: Case(f"{op}-{ndim}d-k{k}", "", op, shape, k, 1, (k - 1) // 2) for k in WINDOWS}
            text = "×".join(map(str, shape))
            found.append(Series(f"window-{ndim}d-{op}", f"{op} {ndim}D, {text}, stride 1", "window", cases))
        cases = {n: Case(f"{op}-size{n}", "", op, (1, 64, n, n), 3, 2, 1) for n in SIZES}
        found.append(Series(f"size-{op}", f"{op} 2D, 1×64×n×n, k3 s2 p1", "n", cases))
        cases = {c: Case(f"{op}-channels{c}", "", op, (8, c, 28, 28), 3, 1, 1) for c in CHANNELS}
        found.append(Series(f"channels-{op}", f"{op} 2D, 8×c×28×28, k3 s1 p1", "c", cases))
    return found


def run(options: argparse.Namespace, effort: Effort) -> dict[str, Any]:
    """Measure, print, and give the document for the JSON file."""
    present = load(Settings(options.threads), BESIDE)
    present.peers = {key: peer for key, peer in present.peers.items() if key in BESIDE}
    about = facts.collect(options.threads, present.versions)
    print(facts.headline(about))
    print(f"float32, forward, {options.threads} thread(s), best of {effort.rounds} interleaved rounds")
    records = []
    patience = PATIENCE / 20 if options.quick else PATIENCE
    for one in map(_thinned, series()) if options.quick else series():
        points = measure(one, present, effort, patience)
        records.append(_record(one, points))
        print(f"\n{one.title}\n")
        print(_table(one, points), flush=True)
    return {
        "command": "growth",
        "facts": about,
        "options": {"threads": options.threads, "rounds": effort.rounds, "quick": options.quick},
        "names": {key: PEERS[key].name for key in present.peers},
        "missing": present.missing,
        "results": records,
    }


def measure(one: Series, present: Present, effort: Effort, patience: float) -> dict[int, dict[str, Timing]]:
    """Times along the series; a peer that gets too slow drops out."""
    points: dict[int, dict[str, Timing]] = {}
    running = dict(present.peers)
    for value, case in one.cases.items():
        x = case.data()
        prepared = {key: peer.prepare(case, x) for key, peer in running.items()}
        jobs = {key: Job(ready.call) for key, ready in prepared.items() if ready is not None}
        points[value] = interleave(jobs, effort)
        for key, timing in points[value].items():
            if timing.best > patience:
                del running[key]
    return points


def _thinned(one: Series) -> Series:
    """Every fourth point on little data, for ``--quick``."""
    return replace(one, cases={value: one.cases[value].shrunk() for value in list(one.cases)[::4]})


def _record(one: Series, points: dict[int, dict[str, Timing]]) -> dict[str, Any]:
    return {
        "series": one.name,
        "title": one.title,
        "axis": one.axis,
        "points": {
            str(value): {key: timing.record() for key, timing in times.items()} for value, times in points.items()
        },
    }


def _table(one: Series, points: dict[int, dict[str, Timing]]) -> str:
    """Times, and for cypool the growth over the first point (for windows, over k3) and the time per output."""
    keys = list(next(iter(points.values())))
    mark = 3 if one.axis == "window" and 3 in points else next(iter(points))
    leader = "cypool" if "cypool" in keys else keys[0] if keys else None
    rows = []
    for value, times in points.items():
        row = [str(value), *(milliseconds(times[key].best if key in times else None) for key in keys)]
        if leader in times and leader in points[mark]:
            case = one.cases[value]
            row += [report.ratio(times[leader].best / points[mark][leader].best)]
            row += [report.figures(1e9 * times[leader].best / max(1, _outputs(case)))]
        else:
            row += [report.NOTHING] * 2
        rows.append(row)
    name = PEERS[leader].name if leader else ""
    headers = [one.axis, *(PEERS[key].name for key in keys), f"{name} / at {mark}", "ns per output"]
    return report.table(headers, rows)


def _outputs(case: Case) -> int:
    total = case.shape[0] * case.shape[1]
    for size in case.outputs:
        total *= size
    return total
