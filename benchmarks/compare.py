"""``peers``: cypool beside every library that pools, and beside a plain copy."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from . import facts, report
from .cases import Timed
from .peers import OWN, PEERS, Prepared, Present, Settings, load
from .report import geometric_mean, milliseconds, percent, ratio
from .timing import Effort, Job, Timing, interleave

HEADERS = ["case", "shape and window", "cypool", "ch.-last", "copy", "of copy"]
HEADERS += ["best peer", "", "× best", "× torch", "noise"]
WIDTHS = [9, 9, 9, 7, 21, 9, 7, 7, 5]  # behind the first two


@dataclass
class Result:
    """One case: times, layouts, and what went wrong, by the peers' keys."""

    case: Timed
    times: dict[str, Timing]
    layouts: dict[str, str] = field(default_factory=dict)
    tried: dict[str, dict[str, float]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @cached_property
    def best_peer(self) -> str | None:
        """The quickest rival that computes the right thing."""
        rivals = [key for key in self.times if key not in OWN and key not in self.wrong]
        return min(rivals, key=lambda key: self.times[key].best, default=None)

    def seconds(self, key: str | None) -> float | None:
        return self.times[key].best if key in self.times else None

    def versus(self, key: str | None) -> float | None:
        """How many times as long as cypool that peer takes."""
        ours, theirs = self.seconds("cypool"), self.seconds(key)
        return None if ours is None or theirs is None or key in self.wrong else theirs / ours

    def record(self) -> dict[str, Any]:
        """For the JSON file."""
        case = self.case
        return {
            "case": case.name,
            "title": case.title,
            "family": case.family,
            "call": case.call(),
            "window": case.describe(),
            "shape": case.shape,
            "bytes": case.bytes,
            "best_peer": self.best_peer,
            "versus_best_peer": self.versus(self.best_peer),
            "versus_pytorch": self.versus("torch"),
            "copy_rate": self.versus("copy"),
            "times": {key: timing.record() | {"layout": self.layouts[key], "tried": self.tried[key]}
                      for key, timing in self.times.items()},
            "wrong": self.wrong,
            "refused": self.refused,
        }


def run(options: argparse.Namespace, cases: list[Timed], effort: Effort) -> dict[str, Any]:
    """Measure, print while measuring, and give the document for the JSON file."""
    settings = Settings(options.threads, options.reuse, options.backward)
    present = load(settings, options.peers)
    about = facts.collect(options.threads, present.versions)
    print(facts.headline(about))
    print(_explanation(options, effort), end="\n\n")
    widths = [*report.widths([case.name, case.describe()] for case in cases), *WIDTHS]
    print(report.line(HEADERS, widths, 2), report.rule(widths), sep="\n")
    results = []
    for case in cases:
        results.append(measure(case, present, settings, effort))
        print(report.line(_row(results[-1]), widths, 2), flush=True)
    summary = summarise(results)
    _print_end(results, summary, present, options.threads)
    return {
        "command": "peers",
        "facts": about,
        "options": {"threads": options.threads, "rounds": effort.rounds, "quick": options.quick}
        | {"reuse_out": options.reuse, "backward": options.backward},
        "names": {key: peer.name for key, peer in present.peers.items()},
        "missing": present.missing,
        "summary": summary,
        "results": [result.record() for result in results],
    }


def measure(case: Timed, present: Present, settings: Settings, effort: Effort) -> Result:
    """Prepare every peer, check it against cypool once, then time those that can."""
    x, ready, refused = case.data(), {}, {}
    for key, peer in present.peers.items():
        try:
            if settings.backward:
                prepared = peer.prepare_backward(case, x) if case.plain else peer.operator_backward(case, x)
            else:
                prepared = peer.prepare(case, x) if case.plain else peer.operator(case, x)
        except Exception as error:  # a library's own refusal; the report tells
            refused[key] = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]
            continue
        if prepared is not None:
            ready[key] = prepared
    wrong = _disagreements(case, ready)
    times = interleave({key: Job(prepared.call) for key, prepared in ready.items()}, effort)
    layouts = {key: prepared.layout for key, prepared in ready.items()}
    return Result(case, times, layouts, {key: prepared.tried for key, prepared in ready.items()}, wrong, refused)


def summarise(results: list[Result]) -> list[dict[str, Any]]:
    """Per family and over all: cases won, means, and the worst case."""
    rivals = [result for result in results if result.versus(result.best_peer) is not None]
    families = sorted({result.case.family for result in rivals})
    groups = [(name, [r for r in rivals if r.case.family == name]) for name in families] + [("all", rivals)]
    return [_group(name, members) for name, members in groups if members]


def _group(name: str, members: list[Result]) -> dict[str, Any]:
    best = [(result.versus(result.best_peer), result.case.name) for result in members]
    torch = [(versus, r.case.name) for r in members if (versus := r.versus("torch")) is not None]
    last = [(versus, r.case.name) for r in members if (versus := r.versus("cypool-cl")) is not None]
    return {
        "family": name,
        "cases": len(members),
        "won": sum(versus >= 1 for versus, _ in best),
        "versus_best_peer": geometric_mean(versus for versus, _ in best),
        "least_versus_best_peer": min(best),
        "versus_pytorch": geometric_mean(versus for versus, _ in torch),
        "least_versus_pytorch": min(torch, default=None),
        "copy_rate": geometric_mean(result.versus("copy") for result in members),
        "channels_last": geometric_mean(versus for versus, _ in last),
    }


def _disagreements(case: Timed, ready: dict[str, Prepared]) -> dict[str, str]:
    """Results that differ from cypool's, or from the first peer's where cypool is not installed."""
    wrong: dict[str, str] = {}
    reference = None
    for key, prepared in ready.items():
        if key == "copy":
            continue
        value = prepared()
        if case.op in ("median", "rank"):                   # filters have their own ways at the edges
            value = value[(..., *(slice(k // 2, -(k // 2) or None) for k in case.kernels))]
        if reference is None:
            reference = value.copy()
        elif value.shape != reference.shape:
            wrong[key] = f"shape {value.shape} instead of {reference.shape}"
        elif not np.allclose(value, reference, rtol=1e-5, atol=case.tolerance):
            wrong[key] = f"values differ by up to {np.max(np.abs(value - reference)):.2g}"
    return wrong


def _explanation(options: argparse.Namespace, effort: Effort) -> str:
    what = "forward and backward" if options.backward else "forward"
    out = "cypool writes into out=" if options.reuse else "cypool makes a new output"
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    text = f"{threads}, float32, {what}, best of {effort.rounds} interleaved rounds; {out}."
    if options.quick:
        text += "\nQUICK: shapes are cut down and rounds are few, so these figures only show that everything runs."
    return text


def _row(result: Result) -> list[str]:
    best = result.best_peer
    return [
        result.case.name,
        result.case.describe(),
        *(milliseconds(result.seconds(key)) for key in OWN),
        percent(result.versus("copy")),
        PEERS[best].name if best else report.NOTHING,
        milliseconds(result.seconds(best)),
        ratio(result.versus(best)),
        ratio(result.versus("torch")),
        f"{result.times['cypool'].spread:.2f}" if "cypool" in result.times else report.NOTHING,
    ]


def _print_end(results: list[Result], summary: list[dict[str, Any]], present: Present, threads: int) -> None:
    print("\nEvery peer, milliseconds (! gives another result and does not count, – cannot or was not asked)\n")
    print(_matrix(results, list(present.peers)))
    if summary:
        print("\nRatios above 1 mean that cypool is ahead; means are geometric; least is the worst single case\n")
        print(_summary_table(summary))
        total = summary[-1]
        print(f"\ncypool is ahead of the best peer in {total['won']} of {total['cases']} cases.")
    noise = geometric_mean(timing.spread for result in results for timing in result.times.values())
    if noise:
        print(f"Noise: the median round took {100 * noise - 100:.0f} % longer than the best one, on average.")
    _print_notes(results, present, threads)


def _matrix(results: list[Result], keys: list[str]) -> str:
    def cell(result: Result, key: str) -> str:
        if key not in result.times:
            return report.NOTHING
        return report.figures(1e3 * result.times[key].best) + ("!" if key in result.wrong else "")

    rows = [[result.case.name, *(cell(result, key) for key in keys)] for result in results]
    return report.table(["case", *keys], rows)


def _summary_table(summary: list[dict[str, Any]]) -> str:
    def least(pair: tuple[float, str] | None) -> str:
        return report.NOTHING if pair is None else f"{ratio(pair[0])} {pair[1]}"

    headers = ["family", "won", "× best", "least", "× torch", "least", "of copy", "ch.-last"]
    rows = [
        [
            group["family"],
            f"{group['won']}/{group['cases']}",
            ratio(group["versus_best_peer"]),
            least(group["least_versus_best_peer"]),
            ratio(group["versus_pytorch"]),
            least(group["least_versus_pytorch"]),
            percent(group["copy_rate"]),
            ratio(group["channels_last"]),
        ]
        for group in summary
    ]
    return report.table(headers, rows)


def _print_notes(results: list[Result], present: Present, threads: int) -> None:
    for key, reason in present.missing.items():
        print(f"Missing: {PEERS[key].name} ({reason})")
    _print_cases("Another result", results, lambda result: result.wrong)
    _print_cases("Refused", results, lambda result: result.refused)
    _print_cases("Fastest way", results, _ways)
    greedy = _greedy(results, threads)
    if greedy:
        print(f"More processor time than {threads} thread{'s' if threads > 1 else ''}: {', '.join(greedy)}")


def _print_cases(title: str, results: list[Result], pick: Callable[[Result], dict[str, str]]) -> None:
    for result in results:
        for key, reason in pick(result).items():
            print(f"{title}: {PEERS[key].name}, {result.case.name}: {reason}")


def _ways(result: Result) -> dict[str, str]:
    """Which of the ways to compose an operator was taken, and what trials of the others took."""
    if result.case.plain:
        return {}
    return {
        key: f"{result.layouts[key]}; tried " + ", ".join(f"{name} {milliseconds(s)}" for name, s in tried.items())
        for key, tried in result.tried.items() if tried
    }


def _greedy(results: list[Result], threads: int) -> Iterable[str]:
    """Peers that burn more cores than they were given, with the most they took in one case."""
    most: dict[str, float] = {}
    for result in results:
        for key, timing in result.times.items():
            if timing.elapsed > 0.01 and timing.cores > threads + 0.3:
                most[key] = max(most.get(key, 0.0), timing.cores)
    return [f"{PEERS[key].name} (up to {cores:.1f} cores)" for key, cores in most.items()]
