from typing import Any

import numpy as np
from numpy.typing import NDArray

def reduce_runs(
    x: NDArray[Any],
    codes: tuple[int, bool],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    mask: NDArray[np.uint8] | None,
    which: str,
    out: NDArray[Any],
    index: NDArray[np.int64] | None,
    count: NDArray[np.int64] | None,
    empty: float,
    threads: int,
) -> None: ...
def reduce_listed(
    x: NDArray[Any],
    codes: tuple[int, bool],
    ids: NDArray[Any],
    id_codes: tuple[int, bool],
    which: str,
    out: NDArray[Any],
    index: NDArray[np.int64] | None,
    count: NDArray[np.int64] | None,
    empty: float,
    share: int,
    wide: int,
    threads: int,
) -> bool: ...
def examine(
    integers: NDArray[Any], codes: tuple[int, bool], begin: NDArray[np.int64] | None, threads: int
) -> tuple[int, int, bool]: ...
def place(
    whole: NDArray[Any],
    items: NDArray[Any],
    index: NDArray[Any],
    base: NDArray[np.int64] | None,
    offset: NDArray[np.int64] | None,
    threads: int,
) -> bool: ...
def pick(
    whole: NDArray[Any],
    items: NDArray[Any],
    index: NDArray[Any],
    base: NDArray[np.int64] | None,
    offset: NDArray[np.int64] | None,
    threads: int,
) -> bool: ...
def take_rows(
    x: NDArray[np.uint8], ids: NDArray[Any], codes: tuple[int, bool], y: NDArray[np.uint8], threads: int
) -> None: ...
def pool_regions(
    x: NDArray[Any],
    width: int,
    image: NDArray[np.int64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    y: NDArray[Any],
    index: NDArray[np.int64] | None,
    threads: int,
) -> None: ...
def spread_regions(
    x: NDArray[Any],
    order: NDArray[np.int64],
    begin: NDArray[np.int64],
    grad: NDArray[Any],
    index: NDArray[np.int64],
    threads: int,
) -> bool: ...
def work_areas(
    x: NDArray[Any] | None,
    width: int,
    image: NDArray[np.int64],
    edges: NDArray[np.float64] | None,
    grid: NDArray[np.int64] | None,
    rows: NDArray[np.int64] | None,
    columns: NDArray[np.int64] | None,
    broad: int,
    area: str,
    single: bool,
    y: NDArray[Any],
    grad_x: NDArray[Any] | None,
    threads: int,
) -> None: ...
