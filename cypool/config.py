"""Threads, and what this installation is made of."""

from __future__ import annotations

import platform
from typing import Any, Literal

import numpy as np

from cypool import arguments, dispatch
from cypool._version import __version__


def set_num_threads(n: int | None) -> None:
    """Set how many threads a call uses that does not say so itself.

    Without it, `OMP_NUM_THREADS` and otherwise the CPUs this process may use (affinity, control group) decide. Small
    calls run on one thread in any case, and so does everything in a forked child. No result depends on the number.

    Parameters
    ----------
    n : int or None
        At least 1; None goes back to the default.

    Raises
    ------
    TypeError, ValueError
        If n is no integer, or below 1.

    Examples
    --------
    >>> import cypool
    >>> cypool.set_num_threads(2)
    >>> cypool.get_num_threads()
    2
    >>> cypool.set_num_threads(None)
    """
    dispatch.set_threads(None if n is None else arguments.integer("n", n, 1))


def get_num_threads() -> int:
    """How many threads a large call uses that does not say so itself.

    Returns
    -------
    int

    Examples
    --------
    >>> import cypool
    >>> cypool.get_num_threads() >= 1
    True
    """
    return dispatch.default_threads()


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show version, compiler, OpenMP, instruction sets and threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Whether to print, or to return a dictionary.

    Returns
    -------
    dict, only with mode="dicts"

    Raises
    ------
    ValueError
        If mode is neither.

    Examples
    --------
    >>> import cypool
    >>> sorted(cypool.show_config(mode="dicts"))
    ['compiler', 'cypool', 'instruction_set', 'instruction_sets', 'numpy', 'openmp', 'platform', 'python', 'threads']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {arguments.show(mode)}")
    facts: dict[str, Any] = {
        "cypool": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        **dispatch.facts(),
        "threads": get_num_threads(),
    }
    if mode == "dicts":
        return facts
    for name, value in facts.items():
        print(f"{name:17} {', '.join(value) if isinstance(value, list) else value}")
    return None
