"""``threads``: the large cases on 1, 2, ... threads, cypool beside PyTorch and a plain copy."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from . import facts, report
from .cases import Case
from .peers import PEERS, Present, Settings, load
from .peers.arrays import Copy
from .report import geometric_mean, milliseconds, percent
from .timing import Effort, Job, Timing, interleave

BESIDE = ["torch"]


def default_counts(cores: int) -> list[int]:
    """1, 2, 4, ... up to the cores, and twice as many, which must not cost anything."""
    counts = {1, cores, 2 * cores}
    power = 2
    while power < cores:
        counts.add(power)
        power *= 2
    return sorted(counts)


def run(options: argparse.Namespace, cases: list[Case], effort: Effort) -> dict[str, Any]:
    """Measure, print, and give the document for the JSON file."""
    counts = options.counts
    present = load(Settings(max(counts)), BESIDE)
    about = facts.collect(counts, present.versions)
    print(facts.headline(about))
    print(f"float32, forward, best of {effort.rounds} interleaved rounds; speed-up and efficiency against 1 thread\n")
    copies = {count: Copy(Settings(count)) for count in counts}
    headers, widths = _columns(counts)
    print(report.line(headers, widths, 2), report.rule(widths), sep="\n")
    records = []
    for case in cases:
        times = measure(case, present, copies, effort)
        records.append(_record(case, times))
        for key, seconds in times.items():
            print(report.line(_row(case, key, seconds), widths, 2), flush=True)
    summary = summarise(records, counts)
    for key, means in summary.items():
        shown = ", ".join(f"{means[str(count)]:.2f}× on {count}" for count in counts[1:])
        print(f"{PEERS[key].name}: mean speed-up {shown}")
    return {
        "command": "threads",
        "facts": about,
        "options": {"counts": counts, "rounds": effort.rounds, "quick": options.quick},
        "names": {key: PEERS[key].name for key in summary},
        "missing": present.missing,
        "summary": summary,
        "results": records,
    }


def measure(case: Case, present: Present, copies: dict[int, Copy], effort: Effort) -> dict[str, dict[int, Timing]]:
    """Times of each peer by the number of threads, all interleaved."""
    x = case.data()
    jobs: dict[tuple[str, int], Job] = {}
    for key in ("cypool", *BESIDE):
        if key in present.peers:
            peer = present.peers[key]
            call = peer.prepare(case, x).call
            jobs |= {(key, count): Job(call, partial(peer.set_threads, count)) for count in copies}
    jobs |= {("copy", count): Job(copy.prepare(case, x).call) for count, copy in copies.items()}
    timings = interleave(jobs, effort)
    keys = dict.fromkeys(key for key, _ in jobs)
    return {key: {count: timings[key, count] for count in copies} for key in keys}


def summarise(records: list[dict[str, Any]], counts: list[int]) -> dict[str, dict[str, float]]:
    """Geometric mean speed-up of each peer at each count."""
    keys = dict.fromkeys(key for record in records for key in record["times"])
    return {
        key: {str(n): geometric_mean(record["speedup"][key][str(n)] for record in records) for n in counts}
        for key in keys
    }


def _record(case: Case, times: dict[str, dict[int, Timing]]) -> dict[str, Any]:
    def speedups(by_count: dict[int, Timing]) -> dict[str, float]:
        return {str(count): by_count[1].best / timing.best for count, timing in by_count.items()}

    return {
        "case": case.name,
        "title": case.title,
        "window": case.describe(),
        "times": {key: {str(n): t.record() for n, t in by_count.items()} for key, by_count in times.items()},
        "speedup": {key: speedups(by_count) for key, by_count in times.items()},
    }


def _columns(counts: list[int]) -> tuple[list[str], list[int]]:
    headers, widths = ["case", "shape and window", "", "1 thread"], [18, 40, 10, 9]
    for count in counts[1:]:
        headers += [f"{count} threads", "speed-up", "effic."]
        widths += [10, 8, 6]
    return headers, widths


def _row(case: Case, key: str, times: dict[int, Timing]) -> list[str]:
    cells = [case.name, case.describe(), PEERS[key].name, milliseconds(times[1].best)]
    for count in list(times)[1:]:
        speedup = times[1].best / times[count].best
        cells += [milliseconds(times[count].best), f"{speedup:.2f}×", percent(speedup / count)]
    return cells
