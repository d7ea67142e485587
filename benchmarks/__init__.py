"""Benchmarks of cypool: ``python -m benchmarks`` from the root of the repository.

Run from there, Python puts the repository on ``sys.path``, where the folder ``cypool`` would hide an installed cypool.
That is right after an in-place build and wrong for a source tree without compiled modules, so in the second case
the root is taken off the path before anything imports cypool.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _built_in_place() -> bool:
    """Whether the source tree holds modules that this very Python could load."""
    kernels = ROOT / "cypool" / "_kernels"
    return any(f".{path.name.partition('.')[2]}" in EXTENSION_SUFFIXES for path in kernels.glob("*.*"))


def _leave_root() -> None:
    """Take every spelling of the root off ``sys.path``; our own submodules are found through ``__path__``."""
    __path__[:] = [str(Path(folder).resolve()) for folder in __path__]
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


if "cypool" not in sys.modules and not _built_in_place():
    _leave_root()
