"""Timing: every call in turn, round after round, so that a noisy moment hits all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, the least seconds of one turn, and where a call counts as slow."""

    rounds: int = 5
    turn: float = 0.02
    slow: float = 1.0
    pause: float = 0.0


@dataclass
class Job:
    """A call to be timed, and what has to be set before its turn."""

    call: Callable[[], Any]
    before: Callable[[], None] | None = None


@dataclass
class Timing:
    """Seconds per call, one figure for each round."""

    seconds: list[float] = field(default_factory=list)
    repeats: int = 1
    busy: float = 0.0
    elapsed: float = 0.0

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Median over best: 1.0 on a quiet machine."""
        return self.median / self.best

    @property
    def cores(self) -> float:
        """Processor time over wall time: a peer that takes more threads than it was given shows here."""
        return self.busy / self.elapsed if self.elapsed else 0.0

    def add(self, call: Callable[[], Any], repeats: int) -> None:
        """Time one turn of so many calls."""
        turns = range(repeats)
        busy, start = time.process_time(), time.perf_counter()
        for _ in turns:
            call()
        elapsed = time.perf_counter() - start
        self.busy += time.process_time() - busy
        self.elapsed += elapsed
        self.repeats = repeats
        self.seconds.append(elapsed / repeats)

    def record(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "best": self.best,
            "median": self.median,
            "spread": round(self.spread, 4),
            "rounds": len(self.seconds),
            "repeats": self.repeats,
            "cores": round(self.cores, 2),
        }


def interleave(jobs: dict[Name, Job], effort: Effort) -> dict[Name, Timing]:
    """Time all jobs in turns. A slow one is called twice in all, and only the better time counts."""
    timings: dict[Name, Timing] = {}
    repeats: dict[Name, int] = {}
    with quiet():
        for name, job in jobs.items():
            timings[name], repeats[name] = _first(job, effort)
        for turn in range(effort.rounds):
            for name in _rotated(list(jobs), turn):
                if repeats[name] or turn == 0:
                    _turn(jobs[name], timings[name], max(1, repeats[name]), effort)
    return timings


def estimate(call: Callable[[], Any], calls: int = 3) -> float:
    """A quick best of a few calls after one warm call, or that one if it is slow: enough to choose between layouts."""
    warm, timing = Timing(), Timing()
    with quiet():
        warm.add(call, 1)
        if warm.elapsed > 0.5:
            return warm.best
        for _ in range(calls):
            timing.add(call, 1)
            if timing.elapsed > 0.5:
                break
    return timing.best


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection while the clock runs."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _first(job: Job, effort: Effort) -> tuple[Timing, int]:
    """The first call tells a slow job, which keeps this time and gets no repeats, from one to be measured properly."""
    if job.before is not None:
        job.before()
    first = Timing()
    first.add(job.call, 1)
    return (first, 0) if first.best > effort.slow else (Timing(), _repeats(job.call, effort.turn))


def _turn(job: Job, timing: Timing, repeats: int, effort: Effort) -> None:
    """One turn, after other peers' idle threads fell asleep and, unless calls take long, after one as warm-up."""
    if job.before is not None:
        job.before()
    if effort.pause:
        time.sleep(effort.pause)
    if not timing.seconds or timing.best < 0.1:
        job.call()
    timing.add(job.call, repeats)


def _repeats(call: Callable[[], Any], turn: float) -> int:
    """Calls that fill a turn, found by doubling."""
    repeats = 1
    while True:
        trial = Timing()
        trial.add(call, repeats)
        if trial.elapsed >= turn / 4:
            return max(1, round(repeats * turn / trial.elapsed))
        repeats *= 2


def _rotated(names: list[Name], turn: int) -> list[Name]:
    """Another first each round, so that nobody always follows the same neighbour."""
    shift = turn % max(1, len(names))
    return names[shift:] + names[:shift]
