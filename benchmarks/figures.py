"""Figures, drawn from the JSON documents alone so that they can be drawn again later."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .report import figures, geometric_mean

OURS, RIVAL, TORCH, FAINT, INK = "#d1495b", "#4a6fa5", "#b4bcc8", "#d9dde3", "#2b2f36"
LOOKS = {
    "cypool": {"color": OURS, "linewidth": 2.4, "zorder": 5},
    "cypool-cl": {"color": OURS, "linewidth": 1.6, "linestyle": (0, (4, 1.5)), "zorder": 4},
    "torch": {"color": RIVAL, "linewidth": 1.6},
    "torch-cl": {"color": RIVAL, "linewidth": 1.4, "linestyle": (0, (4, 1.5))},
}


def draw_peers(document: dict[str, Any], path: Path) -> None:
    """For each case three bars from the copy's time outwards: cypool, the best peer, PyTorch."""
    drawable = [record for record in document["results"] if "copy" in record["times"]]
    titles = {"max": "maximum pooling", "avg": "average pooling"}
    titles |= dict.fromkeys(("regions", "sequences", "segments", "unpooling"), "without windows")
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in drawable:
        groups.setdefault(titles.get(record["family"].split()[-2:][0], "other operators"), []).append(record)
    panels = sorted(groups.items(), key=lambda group: [*titles.values(), "other operators"].index(group[0]))
    rows = max((len(group) for _, group in panels), default=1)
    figure = Figure(figsize=(9.2 * len(panels), 1.7 + 0.54 * rows), layout="constrained")
    limits = _limits(drawable)
    for place, (title, group) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        _panel(axes, group, document["names"], limits, rows)
        axes.set_title(title, loc="left", fontsize=13, color=INK, fontweight="bold")
    _caption(figure, document, "Time of pooling as a multiple of a plain copy of the same bytes (shorter is better)")
    figure.savefig(path, dpi=130)


def draw_threads(document: dict[str, Any], path: Path) -> None:
    """Speed-up of each case with the number of threads, one row a case."""
    records, counts = document["results"], [str(count) for count in document["options"]["counts"]]
    shown = counts[1:] or counts
    keys = [key for key in ("cypool", "torch", "copy") if key in document["names"]]
    figure = Figure(figsize=(1 + 4.4 * len(shown), 1.6 + 0.36 * max(1, len(records))), layout="constrained")
    colors = {"cypool": OURS, "torch": RIVAL, "copy": TORCH}
    for place, count in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), place + 1)
        for row, record in enumerate(records):
            axes.axhline(-row, color=FAINT, linewidth=0.8, zorder=0)
            for key in reversed(keys):
                speedup = record["speedup"][key][count]
                axes.plot(speedup, -row, "o", color=colors[key], markersize=9 if key == "cypool" else 6)
                if key == "cypool":
                    axes.annotate(f"{speedup:.2f}×", (speedup, -row), (0, 7), textcoords="offset points", ha="center",
                                  fontsize=7.5, color=OURS)  # fmt: skip
        bound = min(int(count), document["facts"]["cores"])
        axes.axvline(bound, color=INK, linewidth=1, linestyle=":")
        axes.axvline(1, color=INK, linewidth=0.8)
        axes.set_title(f"{count} threads, {document['facts']['cores']} cores", loc="left", fontsize=11, color=INK)
        axes.set_yticks([-row for row in range(len(records))])
        axes.set_yticklabels([record["title"] for record in records] if place == 0 else [], fontsize=9, color=INK)
        axes.set_xlim(0, max(bound * 1.15, axes.get_xlim()[1]))
        axes.set_ylim(-len(records) + 0.4, 0.8)
        axes.set_xlabel("times as fast as one thread (dotted: ideal)")
        _bare(axes)
    handles = [_dot(colors[key]) for key in keys]
    figure.legend(handles, [document["names"][key] for key in keys], loc="outside lower right", ncols=3, frameon=False)
    _caption(figure, document, "Speed-up with threads")
    figure.savefig(path, dpi=130)


def draw_growth(document: dict[str, Any], path: Path) -> None:
    """One panel a series, maximum above average, logarithmic in time."""
    records = document["results"]
    columns = math.ceil(len(records) / 2)
    figure = Figure(figsize=(4.3 * columns, 7.6), layout="constrained")
    for place, record in enumerate(records):
        axes = figure.add_subplot(2, columns, place + 1)
        _curves(axes, record, document["names"])
    _caption(figure, document, "How the time of pooling grows")
    figure.savefig(path, dpi=130)


def _dot(color: str) -> Any:
    """A dot for the legend."""
    return Line2D([], [], marker="o", linestyle="", color=color, markersize=8)


def _panel(axes: Axes, records: list[dict[str, Any]], names: dict[str, str], limits: tuple, rows: int) -> None:
    for row, record in enumerate(records):
        bars = _bars(record, names)
        offsets = [0.27 * (place - (len(bars) - 1) / 2) for place in range(len(bars))]
        for (label, value, color), offset in zip(bars, offsets, strict=True):
            axes.barh(row + offset, value - 1, 0.24, left=1, color=color, zorder=2)
            weight = "bold" if color == OURS else "normal"
            axes.annotate(f"{figures(value)}×  {label}", (max(value, 1), row + offset), (5, 0), va="center",
                          textcoords="offset points", fontsize=7.5, color=OURS if color == OURS else INK,
                          fontweight=weight)  # fmt: skip
    axes.axvline(1, color=INK, linewidth=1.2, zorder=3)
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_yticks(range(len(records)))
    axes.set_yticklabels([f"{record['title']}\n{record['window']}" for record in records], fontsize=8, color=INK)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if limits[1] / limits[0] < 300 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("times the copy (line: as fast as the copy)", color=INK)
    axes.grid(axis="x", color=FAINT, linewidth=0.6, zorder=0)
    _bare(axes)


def _bars(record: dict[str, Any], names: dict[str, str]) -> list[tuple[str, float, str]]:
    """Label, time relative to the copy, colour."""
    times, best = record["times"], record["best_peer"]
    chosen = [("cypool", OURS), (best, RIVAL)] + ([("torch", TORCH)] if best != "torch" else [])
    copy = times["copy"]["best"]
    return [(names[key], times[key]["best"] / copy, color) for key, color in chosen if key in times]


def _limits(records: list[dict[str, Any]]) -> tuple[float, float]:
    """A scale that both panels share, with room for labels on the right."""
    times = [record["times"][key]["best"] / record["times"]["copy"]["best"] for record in records
             for key in ("cypool", record["best_peer"], "torch") if key in record["times"]]  # fmt: skip
    low, high = min([0.8, *times]), max([2.0, *times])
    return low * 0.85, high * (high / low) ** 0.3


def _curves(axes: Axes, record: dict[str, Any], names: dict[str, str]) -> None:
    """Every peer's line, named where it ends."""
    ends = []
    for key in names:
        points = [(int(x), 1e3 * times[key]["best"]) for x, times in record["points"].items() if key in times]
        if points:
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, marker="o", markersize=3, **LOOKS[key])
            ends.append((xs[-1], ys[-1], key))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.12)
    _room_for_names(axes, [int(x) for x in record["points"]])
    for x, y, place, key in _spread(axes, ends):
        axes.annotate(names[key], (x, y), (x * 1.09, place), fontsize=8, va="center", color=LOOKS[key]["color"])
    axes.set_title(record["title"], fontsize=9.5, loc="left", color=INK)
    axes.set_xlabel(record["axis"], color=INK)
    axes.set_ylabel("ms", color=INK)
    axes.grid(color=FAINT, linewidth=0.6)
    _bare(axes)


def _room_for_names(axes: Axes, xs: list[int]) -> None:
    """Ticks at powers of two where there are points, and space to their right."""
    low, high = min(xs), max(xs)
    steps = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
    axes.set_xticks([2**step for step in steps if len(steps) < 8 or step % 2 == steps[0] % 2])
    span = high / low if high > low else 2
    axes.set_xlim(low / span**0.06, high * span**0.62)


def _spread(axes: Axes, ends: list[tuple[float, float, str]]) -> list[tuple[float, float, float, str]]:
    """Heights for the names, pushed apart where lines end close together."""
    low, high = axes.get_ylim()
    step, floor = (high / low) ** 0.065, 0.0
    placed: list[tuple[float, float, float, str]] = []
    for x, y, key in sorted(ends, key=lambda end: end[1]):
        floor = max(y, floor * step)
        placed.append((x, y, floor, key))
    sink = min(1.0, high / floor) if floor else 1.0
    return [(x, y, place * sink, key) for x, y, place, key in placed]


def _bare(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, which="both")


def _caption(figure: Figure, document: dict[str, Any], title: str) -> None:
    facts, options = document["facts"], document["options"]
    threads = f", {options['threads']} thread{'s' if options['threads'] > 1 else ''}" if "threads" in options else ""
    what = ", forward and backward" if options.get("backward") else ""
    mean = geometric_mean(r.get("versus_best_peer") for r in document["results"])
    ahead = f"; cypool {figures(mean)}× as fast as the best peer (geometric mean)" if mean else ""
    quick = "  QUICK RUN ON CUT-DOWN SHAPES" if options["quick"] else ""
    version = facts["cypool"]["version"] if facts["cypool"] else "not installed"
    lines = f"{title}{ahead}{quick}\nfloat32{threads}{what} · {facts['cpu']} · cypool {version} · {facts['date'][:10]}"
    figure.suptitle(lines, x=0.01, ha="left", fontsize=11, color=INK)


DRAW: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "peers": draw_peers,
    "threads": draw_threads,
    "growth": draw_growth,
}
