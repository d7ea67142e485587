"""What every peer offers: a name, a version, and calls prepared for a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..cases import Case, Timed
from ..timing import estimate

#: Arguments that are laid out as x is.
LIKE_X = ("logits", "indices")


@dataclass(frozen=True)
class Settings:
    """What a whole run holds fixed."""

    threads: int = 1
    reuse: bool = False
    backward: bool = False


@dataclass(frozen=True)
class Prepared:
    """A call ready for the clock, and the way from its result to an array laid out like the case's own.

    A call that is forward and backward keeps its `halves`; one that was chosen among several, what trials of them took.
    """

    call: Callable[[], Any]
    to_numpy: Callable[[Any], np.ndarray] = np.asarray
    layout: str = ""
    halves: tuple[Callable[[], Any], Callable[[Any], Any]] | None = None
    tried: dict[str, float] = field(default_factory=dict)

    def __call__(self) -> np.ndarray:
        return self.to_numpy(self.call())


class Peer:
    """One library in one way of using it. The constructor imports the library and sets its threads.

    ``prepare`` puts the data into the layout the library likes best, outside the clock. It returns None for a case
    that the library cannot do, and may raise where the library itself refuses.
    """

    key: ClassVar[str]
    name: ClassVar[str]
    module: ClassVar[str]
    gradients: ClassVar[bool] = False  # whether prepare_backward is worth asking
    version: str = ""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        """The forward call of this case."""
        raise NotImplementedError

    def prepare_backward(self, case: Case, x: np.ndarray) -> Prepared | None:
        """Forward and backward in one call, giving the gradient of the input."""
        return None

    def operator(self, case: Timed, x: np.ndarray) -> Prepared | None:
        """The forward call of a case that is neither max nor average: the fastest way."""
        return fastest(*self.ways(case, x))

    def operator_backward(self, case: Timed, x: np.ndarray) -> Prepared | None:
        """Forward and backward of such a case."""
        return fastest(*self.ways_backward(case, x))

    def ways(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        """All ways of calling such a case, each with its name as `layout`."""
        return []

    def ways_backward(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        """The same, forward and backward."""
        return []

    def set_threads(self, threads: int) -> None:
        """Change the number of threads between calls, for peers that can."""
        raise NotImplementedError


def random_gradient(shape: tuple[int, ...]) -> np.ndarray:
    """The same for all peers."""
    return np.random.default_rng(1).standard_normal(shape, dtype=np.float32)


def both(forward: Callable[[], Any], backward: Callable[[Any], Any], to_numpy: Callable[[Any], np.ndarray],
         layout: str) -> Prepared:
    """Forward, and backward of what it gave."""
    return Prepared(lambda: backward(forward()), to_numpy, layout, (forward, backward))


def fastest(*candidates: Prepared | None) -> Prepared | None:
    """The quickest of several layouts or ways, by a short trial before the real measurement."""
    ready = [candidate for candidate in candidates if candidate is not None]
    if len(ready) < 2:
        return ready[0] if ready else None
    seconds = [estimate(candidate.call) for candidate in ready]
    best = ready[seconds.index(min(seconds))]
    return replace(best, tried={candidate.layout: s for candidate, s in zip(ready, seconds, strict=True)})


def to_last(x: np.ndarray) -> np.ndarray:
    """A contiguous copy with channels last."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def from_last(y: Any) -> np.ndarray:
    """A view of a channels-last result with channels first."""
    return np.moveaxis(np.asarray(y), -1, 1)
