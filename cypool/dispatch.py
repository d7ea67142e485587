"""Dispatch: which compiled build runs, on how many threads, on which view of the arrays."""

from __future__ import annotations

import importlib
import math
import os
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, Literal

import numpy as np

from cypool.windows import Axis, Windows, batch, counted_alike

try:
    from cypool._kernels import __path__ as _kernels_path
    from cypool._kernels import cpu
    from cypool._kernels.memory import Memory as Memory
    from cypool._kernels.memory import Ready as Ready
    from cypool._kernels.memory import outdate_plans
except ImportError as error:
    raise ImportError(
        "cypool's compiled modules cannot be loaded: this is either the source tree, which must be installed first "
        "(pip install . and then run from another folder), or a broken installation. " + str(error)
    ) from error

# Numbers shared with the kernels (rows/table.pxi, numbers/types.pxi).
POLICIES = {name: i for i, name in enumerate(("max", "sum", "arg_max", "omit_arg_max"))}
U8, I8, U16, I16, U32, I32, U64, I64, F16, BF16, F32, F64, WIDE = range(13)
_STORAGE = {"b1": U8, "u1": U8, "i1": I8, "u2": U16, "i2": I16, "u4": U32, "i4": I32, "u8": U64, "i8": I64,
            "f2": F16, "f4": F32, "f8": F64}

#: Elements below which a call stays on the calling thread: waking another one costs some 10 µs.
SMALL = 1 << 16

# ---------------------------------------------------------------------------- instruction sets

BUILDS = ("baseline", "avx2", "avx512")


@lru_cache
def available() -> tuple[str, ...]:
    """The builds that this machine can run, the plainest first."""
    features = cpu.features()
    found = []
    for name in BUILDS:
        if name == "baseline" or features[name]:
            if PathFinder.find_spec(f"cypool._kernels.{name}", _kernels_path) is not None:
                found.append(name)
    return tuple(found)


def facts() -> dict[str, object]:
    """The compiler, OpenMP (year and month of its version) and instruction sets of this installation."""
    return {"compiler": cpu.compiler(), "openmp": cpu.openmp() or "none: one thread", "instruction_set": in_use(),
            "instruction_sets": list(available())}


def use(name: str) -> None:
    """Run on another build from now on.

    Raises
    ------
    ValueError
        If there is no such build, or this machine cannot run it.
    """
    global _kernels
    if name not in available():
        raise ValueError(f"instruction set must be one of {', '.join(available())} on this machine, got {name!r}")
    _kernels = importlib.import_module(f"cypool._kernels.{name}")
    outdate_plans()


def in_use() -> str:
    """The name of the build in use."""
    return _kernels.__name__.rpartition(".")[2]


def rank_kernels() -> ModuleType:
    """The module that finds ranks, of the build in use."""
    return _beside("ranks", in_use())


def tap_kernels() -> ModuleType:
    """The module of weighted sums, of the build in use."""
    return _beside("taps", in_use())


def irregular_kernels() -> ModuleType:
    """The module of segments, regions and unpooling, of the build in use."""
    keep_memory()
    return _beside("irregular", in_use())


@lru_cache
def _beside(what: str, build: str) -> ModuleType:
    return importlib.import_module(f"cypool._kernels.{what}_{build}")


_kernels: ModuleType
_forced = os.environ.get("CYPOOL_ISA")
if _forced and _forced not in available():
    raise ImportError(f"CYPOOL_ISA must be one of {', '.join(available())} on this machine, got {_forced!r}")
use(_forced or available()[-1])

# ---------------------------------------------------------------------------- threads

_threads: int | None = None
_forked = False


def _quota() -> int | None:
    """CPUs that a Linux control group grants, where it limits them."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            limit, period = file.read().split()
        return None if limit == "max" else max(1, -(-int(limit) // int(period)))
    except (OSError, ValueError):
        return None


_granted = _quota()


def _cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:                          # not on this system
        return os.cpu_count() or 1


#: Threads of one call at most: more than cores would wait for one another. Tests raise it.
most_threads = _cores()


def _in_child() -> None:
    global _forked
    _forked = True          # libgomp's threads did not survive the fork, and it would wait for them for ever


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def default_threads() -> int:
    """Threads of a call that does not say: those set, else OpenMP's number within the control group's quota."""
    if _forked:
        return 1
    if _threads is not None:
        return _threads
    threads: int = cpu.max_threads()
    return threads if _granted is None else min(threads, _granted)


def set_threads(threads: int | None) -> None:
    global _threads
    _threads = threads


def threads_for(work: int, asked: int | None) -> int:
    """Threads of a call that touches so many elements, and was asked to take so many."""
    if work < SMALL or _forked:
        return 1
    return min(asked if asked is not None else default_threads(), most_threads)


# ---------------------------------------------------------------------------- arrays

#: What sums are divided by: nothing, a number, each window's valid taps, or those on padding as well. No bool: as a
#: key of a cache it would be taken for a number.
Divide = int | Literal["valid", "padded"] | None


@lru_cache
def storage(dtype: np.dtype[Any]) -> int:
    """The code of a dtype that `arguments` let through."""
    return _STORAGE[dtype.str[1:]] if dtype.str[1:] in _STORAGE else BF16


@lru_cache
def _computed_in(code: int, reduction: str, taps: int, wide_result: bool) -> int:
    """The element that the loops compute in.

    Max and min: floats (float16 and bfloat16: float32), or unsigned integers of the stored width; with ordinals,
    which lie beside them in the same type, of eight bytes. Sums: float, or the smallest integer that no sum can
    overflow.
    """
    if reduction == "sum":
        if code in (F16, BF16, F32, F64):
            return F64 if wide_result or code == F64 else F32
        bits = {U8: 8, I8: 7, U16: 16, I16: 15, U32: 32, I32: 31}.get(code)
        if bits is None:
            return WIDE
        return I32 if taps <= 2 ** (31 - bits) - 1 else I64
    if code in (F16, BF16, F32):                    # maxima with positions stand by where values alone are asked for
        return F32 if taps <= 2**23 else F64
    if "arg" in reduction and code != F64:
        return U64
    return {I8: U8, I16: U16, I32: U32, I64: U64}.get(code, code)


def _policy(reduction: str, element: int) -> str:
    """The policy of the loops, and of floats the careful one: see reductions.pxi."""
    if reduction == "sum":
        return "sum"
    if element in (F32, F64):
        return "omit_arg_max" if reduction.startswith("omit") else "arg_max"
    return "arg_max" if "arg" in reduction else "max"


def _axis_fields(axis: Axis, repeats: bool) -> tuple[Any, ...]:
    first, count = axis.table or (None, None)
    return (axis.size, axis.out, axis.kernel, axis.stride, axis.padding, axis.dilation, axis.phases,
            np.array(axis.links(repeats), np.int64).reshape(-1, 2), first, count)


def _divisor_fields(axis: Axis, padded: bool) -> tuple[Any, ...]:
    return (axis.size, axis.kernel, axis.stride, axis.padding, axis.after, axis.dilation, padded,
            axis.table and axis.table[1])


# Places of an array's axes in the engine's (a, b, d, h, w, c): see pooling.pyx. Batch axes stand in for missing
# spatial ones, so that small planes share a tile; whole planes and scattered gradients keep theirs apart.
_SHARED = {("first", 1): (0, 2, 4), ("first", 2): (0, 2, 3, 4), ("first", 3): (0, 1, 2, 3, 4),
           ("last", 1): (2, 4, 5), ("last", 2): (2, 3, 4, 5), ("last", 3): (0, 2, 3, 4, 5)}
_APART = {("first", 1): (0, 1, 4), ("first", 2): (0, 1, 3, 4), ("first", 3): (0, 1, 2, 3, 4),
          ("last", 1): (0, 4, 5), ("last", 2): (0, 3, 4, 5), ("last", 3): (0, 2, 3, 4, 5)}


def _roles(last: bool, ndim: int, apart: bool) -> tuple[int, ...]:
    return (_APART if apart else _SHARED)["last" if last else "first", ndim]


@lru_cache(maxsize=1024)
def _plan(kernels: ModuleType, windows: Windows, lead: int, apart: bool, divide: Divide, forward: Windows | None,
          roles: tuple[int, ...], codes: tuple[int, ...], reduction: str, nan: int) -> Any:
    """A compiled plan: `lead` batch elements in an unused place, divisors of the windows or of the gradient."""
    ndim = len(windows.axes)
    axes = [batch(1)] * (3 - ndim) + list(windows.axes)
    if ndim < 3 and not apart:
        axes[0] = batch(lead)
    divisor: Any = divide
    padded = divide == "padded"
    if isinstance(divide, str) and all(counted_alike(axis, padded) for axis in (forward or windows).axes):
        divisor = (forward or windows).taps
    elif isinstance(divide, str):
        counted = [batch(1)] * (3 - ndim) + list((forward or windows).axes)
        if ndim < 3 and not apart:
            counted[0] = batch(lead)
        divisor = [_divisor_fields(axis, padded) for axis in counted]
    height, width = axes[1].size, axes[2].size
    plane_d = height * width if ndim == 3 else 0
    # what a gradient's elements are divided by, if it is one number, may divide their sums, unless those are more
    source = forward is not None and not (isinstance(divisor, int) and all(axis.phases == 1 for axis in axes))
    return kernels.Plan([_axis_fields(axis, reduction != "sum") for axis in axes], divisor, source,
                        apart and windows.whole and forward is None, (plane_d, width), roles, codes,
                        POLICIES[_policy(reduction, codes[3])], reduction.endswith("min"), nan)


def _lead(shape: tuple[int, ...], last: bool, ndim: int, apart: bool) -> int:
    """The size of the batch axis that stands in for a missing one."""
    return 1 if apart or ndim == 3 else shape[0] if last else shape[1]


@cache
def keep_memory() -> None:
    """Free a block of almost 32 MiB, once, that nobody has touched, as every program does that frees an array so large.

    From then on glibc keeps what is freed for the arrays that follow. It would hand every MiB back to the system, and
    new pages take longer than pooling (8×96×55×55 k3 s1 0.86 → 0.37 ms; backward of SoftPool 69 → 19).
    """
    np.empty(31 << 20, np.uint8)


class Pooling:
    """The reduction of an array's windows, made ready for arrays of one shape.

    Parameters
    ----------
    x_shape, x_dtype, y_shape, y_dtype : with a batch axis
    windows : of x; `adjoint` ones where x is a gradient
    reduction : "sum", or "max" or "min" with "arg_", "omit_" or "omit_arg_" before it
    last : channels last
    divide : what to divide by
    forward : with a divisor for x's elements instead of y's: the windows it belongs to
    nan : 0 as it is; 1 for NaN as 0; 2 for NaN as 1 and all else as 0
    """

    __slots__ = ("kernels", "made", "plan", "work")

    def __init__(self, x_shape: tuple[int, ...], x_dtype: np.dtype[Any], y_shape: tuple[int, ...],
                 y_dtype: np.dtype[Any], windows: Windows, reduction: str, last: bool, *, divide: Divide = None,
                 forward: Windows | None = None, nan: int = 0) -> None:
        keep_memory()
        ndim = len(windows.axes)
        apart = windows.whole and forward is None
        code, result = storage(x_dtype), storage(y_dtype)
        element = _computed_in(code, reduction, windows.taps, result == F64 or result < F16)
        self.made = (windows, _lead(x_shape, last, ndim, apart), apart, divide, forward, _roles(last, ndim, apart),
                     (code, not x_dtype.isnative, result, element), reduction, nan)
        self.work = max(math.prod(x_shape), math.prod(y_shape))
        self.kernels: ModuleType | None = None

    def __call__(self, x: np.ndarray, y: np.ndarray, index: np.ndarray | None, used: bool,
                 num_threads: int | None) -> None:
        """Reduce the windows of x into y; index: C-contiguous int64 (flat positions), int32 or uint8 (ordinals), of as
        many elements as y, for the ``arg_`` reductions; used: y is not a new array."""
        if self.kernels is not _kernels:
            self.plan = _plan(_kernels, *self.made)
            self.kernels = _kernels
        self.plan.run(x, y, index, used, threads_for(self.work, num_threads))

    def shorten(self, ready: Ready, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Let a call do without this one, if it stays on one thread."""
        if self.work < SMALL:
            ready.shorten(self.plan, shape, dtype)


def reduce_windows(x: np.ndarray, y: np.ndarray, windows: Windows, reduction: str, *, last: bool,
                   divide: Divide = None, forward: Windows | None = None, nan: int = 0,
                   num_threads: int | None = None) -> None:
    """Reduce the windows of x, which has a batch axis, into y: see `Pooling`."""
    Pooling(x.shape, x.dtype, y.shape, y.dtype, windows, reduction, last, divide=divide, forward=forward,
            nan=nan)(x, y, None, False, num_threads)


def _sum_plan(x: np.ndarray, y: np.ndarray, windows: Windows, last: bool, divide: Divide, element: int) -> Any:
    """The plan of sums that are computed in an element type, whatever x and y hold."""
    ndim = x.ndim - 2
    return _plan(_kernels, windows, _lead(x.shape, last, ndim, False), False, divide, None, _roles(last, ndim, False),
                 (storage(x.dtype), not x.dtype.isnative, storage(y.dtype), element), "sum", 0)


def pool_mean(kinds: tuple[Any, ...], x: np.ndarray, z: np.ndarray | None, y: np.ndarray, s: np.ndarray | None,
              t: np.ndarray | None, windows: Windows, *, last: bool, counted: bool, wide: bool,
              num_threads: int | None = None) -> bool:
    """The means of x's windows into y, and their sums into s and t; False if windows are off the scale. x, and the
    logits z, are C-contiguous, with a batch axis; counted: sums are divided by the number of elements; wide: computed
    in float64. See `cypool/means.py`."""
    plan = _sum_plan(x, y, windows, last, "valid" if counted else None, F64 if wide else F32)
    return bool(_kernels.pool_mean(plan, kinds, x, z, y, s, t, threads_for(x.size, num_threads)))


def spread_mean(kinds: tuple[Any, ...], a: np.ndarray, b: np.ndarray | None, x: np.ndarray, z: np.ndarray | None,
                y: np.ndarray, for_z: np.ndarray | None, windows: Windows, *, last: bool, wide: bool,
                num_threads: int | None = None) -> None:
    """The gradients of means, of x into y and of z into for_z, from sums of a and b over the adjoint windows."""
    plan = _sum_plan(a, y, windows, last, None, F64 if wide else F32)
    _kernels.spread_mean(plan, kinds, a, b, x, z, y, for_z, threads_for(y.size, num_threads))


def add_chosen(grad: np.ndarray, index: np.ndarray | None, out: np.ndarray, windows: Windows | None, *, last: bool,
               divide: Divide = None, used: bool = False, num_threads: int | None = None) -> bool:
    """Add each gradient to the element that was chosen; False if an index lies outside its plane. Without an index: add
    it, divided, to every element of its window; False, and nothing done, if windows are too many at an element. used:
    out is not a new array."""
    ndim = grad.ndim - 2
    code, result = storage(grad.dtype), storage(out.dtype)
    roles, codes = _roles(last, ndim, True), (code, not grad.dtype.isnative, result, F64 if code == F64 else F32)
    plan = None if windows is None else _plan(_kernels, windows, 1, True, divide, None, roles, codes, "sum", 0)
    return bool(_kernels.scatter(plan, grad, index, out, roles, codes, used,
                                 threads_for(max(grad.size, out.size), num_threads)))
