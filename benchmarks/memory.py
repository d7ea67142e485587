"""``memory``: what a call takes beside its inputs and its result, at most.

Every figure comes from a process of its own. A call on little data loads what is loaded once; then the kernel's mark of
the most memory used is set back, and read after one call.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from . import facts, report
from .cases import Timed
from .peers import Peer, Prepared, Settings, load

MOST = 16e6  # bytes that cypool should not exceed


def run(options: argparse.Namespace, cases: list[Timed]) -> dict[str, Any]:
    """Measure, print, and give the document for the JSON file."""
    settings = Settings(options.threads, backward=options.backward)
    keys = options.peers or ["cypool"]
    what = "the backward call" if options.backward else "the forward call"
    print(f"Most megabytes of {what} beside inputs and result, {options.threads} thread(s)\n")
    headers = ["case", "shape and window", *keys]
    widths = report.widths([headers, *([case.name, case.describe(), *["1000.0"] * len(keys)] for case in cases)])
    print(report.line(headers, widths, 2), report.rule(widths), sep="\n")
    records = []
    for case in cases:
        found = {key: _alone(case, key, settings) for key in keys}
        records.append({"case": case.name, "call": case.call(), "window": case.describe(), "bytes": found})
        print(report.line([case.name, case.describe(), *map(_megabytes, found.values())], widths, 2), flush=True)
    above = [record["case"] for record in records if (record["bytes"].get("cypool") or 0) > MOST]
    print(f"\ncypool takes more than {MOST / 1e6:.0f} MB in {', '.join(above) or 'no case'}.")
    return {"command": "memory", "facts": facts.collect(options.threads, {}), "results": records,
            "options": {"threads": options.threads, "backward": options.backward, "quick": options.quick}}


def _megabytes(value: int | None) -> str:
    return report.NOTHING if value is None else f"{value / 1e6:.1f}"


def _alone(case: Timed, key: str, settings: Settings) -> int | None:
    """`beyond` in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(beyond, case, key, settings).result()


def beyond(case: Timed, key: str, settings: Settings) -> int | None:
    """Bytes that one call needs beside what it is given and what it gives; None if the peer does not do it.

    Of backward calls the result is the gradient; what the forward kept is given.
    """
    peer = load(settings, [key]).peers[key]
    little = _prepared(peer, case.shrunk())
    if little is None:
        return None
    little()
    prepared = _prepared(peer, case)
    if prepared is None:
        return None
    call = prepared.call
    if settings.backward:
        forward, backward = prepared.halves
        y = forward()
        call = lambda: backward(y)  # noqa: E731
    ctypes.CDLL(None).malloc_trim(0)  # else the call could use what was freed before
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    result = call()
    return max(0, _status("VmHWM") - before - _size(result, prepared))


def _prepared(peer: Peer, case: Timed) -> Prepared | None:
    x = case.data()
    if peer.settings.backward:
        return None if case.plain else peer.operator_backward(case, x)
    return peer.prepare(case, x) if case.plain else peer.operator(case, x)


def _size(result: Any, prepared: Prepared) -> int:
    parts = result if isinstance(result, tuple) else (result,)
    sizes = [part.nbytes for part in parts if hasattr(part, "nbytes")]
    return sum(sizes) if sizes else np.asarray(prepared.to_numpy(result)).nbytes


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {name}")
