from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

def gather(x: NDArray[Any], weights: NDArray[Any], y: NDArray[Any], axes: Sequence[Sequence[Any]]) -> None: ...
def sums(x: NDArray[Any], d: NDArray[Any], made: NDArray[Any], axes: Sequence[Sequence[Any]]) -> None: ...
