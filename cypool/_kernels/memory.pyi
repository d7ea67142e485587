from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

def outdate_plans() -> None: ...
@disjoint_base
class Ready:
    def shorten(self, plan: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None: ...

@final
class Memory:
    def __init__(self, function: Callable[..., Any]) -> None: ...
    def find(self, x: NDArray[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...
    def run(
        self, x: NDArray[Any], args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, num_threads: Any
    ) -> Any: ...
