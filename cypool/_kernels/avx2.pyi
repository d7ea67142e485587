from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

@disjoint_base
class Plan:
    def __init__(
        self,
        axes: Sequence[Sequence[Any]],
        divisor: Sequence[Sequence[int]] | float | None,
        divide_source: bool,
        whole: bool,
        plane_steps: tuple[int, int],
        roles: Sequence[int],
        codes: tuple[int, bool, int, int],
        reduction: int,
        falling: bool,
        nan: int,
    ) -> None: ...
    def run(self, x: NDArray[Any], y: NDArray[Any], index: NDArray[Any] | None, used: bool, threads: int) -> None: ...

def scatter(
    plan: Plan | None,
    grad: NDArray[np.floating[Any]],
    index: NDArray[np.integer[Any]] | None,
    out: NDArray[np.floating[Any]],
    roles: tuple[int, ...],
    codes: tuple[int, bool, int, int],
    used: bool,
    threads: int,
) -> bool: ...
def pool_mean(
    plan: Plan,
    kinds: tuple[Any, ...],
    x: NDArray[np.floating[Any]],
    z: NDArray[np.floating[Any]] | None,
    y: NDArray[np.floating[Any]],
    s: NDArray[np.floating[Any]] | None,
    t: NDArray[np.floating[Any]] | None,
    threads: int,
) -> bool: ...
def spread_mean(
    plan: Plan,
    kinds: tuple[Any, ...],
    a: NDArray[np.floating[Any]],
    b: NDArray[np.floating[Any]] | None,
    x: NDArray[np.floating[Any]],
    z: NDArray[np.floating[Any]] | None,
    y: NDArray[np.floating[Any]],
    for_z: NDArray[np.floating[Any]] | None,
    threads: int,
) -> None: ...
