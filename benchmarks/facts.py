"""Facts about the machine and the software, without which a time means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np


def collect(threads: int | list[int], versions: dict[str, str]) -> dict[str, Any]:
    """Everything that goes to the head of a report."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "cores": usable_cores(),
        "caches": caches(),
        "memory_gib": memory_gib(),
        "os": os_name(),
        "platform": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "cypool": cypool_facts(),
        "peers": versions,
        "threads": threads,
        "load": load(),
    }


def headline(facts: dict[str, Any]) -> str:
    """The same in a few lines for people."""
    cypool = facts["cypool"]
    caches = ", ".join(f"{name} {size}" for name, size in facts["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in facts["peers"].items())
    lines = [
        f"{facts['cpu']}, {facts['cores']} usable cores" + (f", {caches}" if caches else ""),
        f"{facts['os']}, {facts['python']}, NumPy {facts['numpy']}, {facts['date']}",
        f"cypool {cypool['version']}" if cypool else "cypool is not installed",
        f"peers: {versions or 'none'}",
    ]
    if facts["load"] is not None and facts["load"] > 0.5:
        lines.append(f"BUSY: {facts['load']:.1f} cores' worth of other work in the last minute; figures will suffer")
    return "\n".join(lines)


def cpu_model() -> str:
    """The processor's own name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        ).stdout.strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def caches() -> dict[str, str]:
    """Cache sizes of the first core, ``{"L1d": "48K", ...}``, where Linux tells."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found[f"L{level}" + {"Data": "d", "Instruction": "i"}.get(kind, "")] = size
    return found


def memory_gib() -> float | None:
    """Physical memory."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def load() -> float | None:
    """Average number of running processes in the last minute, before we add to it."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def os_name() -> str:
    """Distribution or system, without the machine's name."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def cypool_facts() -> dict[str, Any] | None:
    """Version and build of cypool, or None."""
    try:
        import cypool
    except ImportError:
        return None
    return {"version": cypool.__version__, "config": cypool.show_config(mode="dicts")}
