from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

@disjoint_base
class Plan:
    def __init__(
        self,
        axes: Sequence[Sequence[int]],
        roles: Sequence[int],
        keys: tuple[bool, bool, int, int, int],
        what: tuple[bool, bool, int, int, int | None],
        way: str,
        sorts: NDArray[np.int64],
        across: NDArray[np.int64],
        networks: list[tuple[NDArray[np.int32], int, int, int] | None],
        smallest: NDArray[np.int64],
        sizes: Sequence[int],
    ) -> None: ...
    def run(self, x: NDArray[Any], y: NDArray[Any], threads: int) -> None: ...

def k_largest(
    x: NDArray[Any],
    y: NDArray[Any],
    index: NDArray[np.int64] | None,
    keys: tuple[bool, bool, int, int, int],
    threads: int,
) -> None: ...
