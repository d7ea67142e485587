"""``peers --store`` and ``peers --check``: the ratios of an earlier run, and whether cypool has lost against them.

Times depend on the machine and its mood; how many times as long as cypool the others take depends on them far less.
Of a case, the median over all peers that both runs had counts, the plain copy among them.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from . import ROOT, report
from .report import ratio

STORED = ROOT / "benchmarks" / "ratios.json"

#: A case that falls below this part of its stored ratio has lost.
LEAST = 0.85


def ratios(record: dict[str, Any]) -> dict[str, float]:
    """How many times as long as cypool each peer takes in a case, from a result's record."""
    ours = record["times"]["cypool"]["best"]
    return {
        key: float(f"{timing['best'] / ours:.4g}")
        for key, timing in record["times"].items()
        if not key.startswith("cypool") and key not in record["wrong"]
    }


def kind(document: dict[str, Any]) -> str:
    """The key that a run is stored under: runs of another kind are not compared."""
    options = document["options"]
    return (f"{options['threads']} threads" + (", backward" if options["backward"] else "")
            + (", out=" if options["reuse_out"] else ""))


def store(document: dict[str, Any], path: Path = STORED) -> None:
    """Put a run's ratios beside those of other kinds; cases that it did not measure keep theirs."""
    stored = read(path)
    entry = stored.setdefault(kind(document), {"cases": {}})
    entry["facts"] = {key: document["facts"].get(key) for key in ("date", "cpu", "cores", "cypool", "peers")}
    entry["cases"] |= {record["case"]: ratios(record) for record in document["results"]}
    report.write(stored, path)


def read(path: Path = STORED) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def standing(record: dict[str, Any], stored: dict[str, float]) -> float | None:
    """The part of its stored ratio that a case has now; None without a common peer."""
    now = ratios(record)
    parts = [now[key] / stored[key] for key in now if key in stored]
    return statistics.median(parts) if parts else None


def standings(document: dict[str, Any], stored: dict[str, Any]) -> dict[str, float]:
    """The standing of every case that can be compared."""
    cases = stored.get(kind(document), {"cases": {}})["cases"]
    parts = {record["case"]: standing(record, cases.get(record["case"], {})) for record in document["results"]}
    return {name: part for name, part in parts.items() if part is not None}


def losses(document: dict[str, Any], stored: dict[str, Any]) -> dict[str, float]:
    """The cases that have lost, and the part of their ratio that is left."""
    return {name: part for name, part in standings(document, stored).items() if part < LEAST}


def show(document: dict[str, Any], lost: dict[str, float], stored: dict[str, Any]) -> None:
    """What the check found."""
    parts = standings(document, stored)
    print(f"\n{len(parts)} cases compared with the stored ratios of {kind(document)}; "
          f"on average {ratio(report.geometric_mean(parts.values()))} of them.")
    for name, part in lost.items():
        print(f"LOST: {name} has {ratio(part)} of its stored ratio, {ratio(LEAST)} is the least")
