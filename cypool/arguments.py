"""Arguments: normalise and check what callers pass. Nothing else in cypool raises for bad input.

Every message names the argument, the rule and the value received.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, SupportsIndex

import numpy as np

#: The largest size, stride, dilation or padding: products of two fit in 62 bits.
LARGEST = 2**31 - 1
#: Bins along an axis: each has an entry in a table.
MOST_BINS = 2**26
FLOATS = ("float16", "bfloat16", "float32", "float64")
NESTED = (list, tuple, range, np.ndarray)
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

LABELS = (*INTEGERS, "bool")
NUMBERS = (*FLOATS, *INTEGERS)
ORDERED = (*NUMBERS, "bool")

IntOrInts = SupportsIndex | Sequence[SupportsIndex]
Padding = IntOrInts | Sequence[Sequence[SupportsIndex]] | str


def show(value: object) -> str:
    """A value as it stands in a message, long ones cut."""
    text = f"<array of shape {value.shape}, dtype {value.dtype}>" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


# ---------------------------------------------------------------------------- arrays

def array(name: str, value: Any) -> np.ndarray:
    """A view of anything NumPy can view, or the array that a nested sequence describes."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array: its mask would be lost; use NaN and nan_policy='omit'")
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.asarray(value)
    except Exception as error:
        kind = ValueError if isinstance(error, ValueError) and isinstance(value, (list, tuple)) else TypeError
        raise kind(f"{name} must be something NumPy can view as an array, "
                   f"got {type(value).__name__}: {error}") from error


@lru_cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """NumPy works a dtype's name out anew each time."""
    return dtype.name


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in native byte order."""
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def check_dtype(name: str, dtype: np.dtype[Any], allowed: Sequence[str]) -> None:
    if dtype_name(dtype) not in allowed:
        raise TypeError(f"{name} must have one of the dtypes {', '.join(allowed)}, got {dtype}")


#: The frameworks' names of the two layouts, by the number of spatial axes: (channels first, channels last).
LAYOUTS = {1: ("NCL", "NLC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


def channels_last(data_format: str, ndim: int) -> bool:
    if data_format == "channels_first":
        return False
    if data_format == "channels_last":
        return True
    names = LAYOUTS.get(ndim)
    if names and isinstance(data_format, str) and data_format in names:
        return data_format == names[1]
    kind = ValueError if isinstance(data_format, str) else TypeError
    raise kind("data_format must be 'channels_first' or 'channels_last'"
               + (f", or {names[0]!r} or {names[1]!r} for {ndim} spatial axes" if names else "")
               + f", got {show(data_format)}")


def batched_shape(name: str, shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """A shape with the batch axis that the caller may have left out."""
    if len(shape) == ndim + 2:
        return shape
    if len(shape) == ndim + 1:
        return (1, *shape)
    raise ValueError(f"{name} must have {ndim} spatial axes, a channel axis and perhaps a batch axis "
                     f"({ndim + 1} or {ndim + 2} in all), got shape {shape}")


def batched(name: str, x: np.ndarray, ndim: int) -> np.ndarray:
    """x with a batch axis, which the caller may have left out."""
    return x if batched_shape(name, x.shape, ndim) == x.shape else x[None]


def spatial(name: str, shape: tuple[int, ...], last: bool) -> tuple[int, ...]:
    """The spatial part of a shape with a batch axis; no axis of it may be empty."""
    sizes = shape[1:-1] if last else shape[2:]
    if 0 in sizes:
        raise ValueError(f"{name} must have at least one element on every spatial axis, got spatial shape {sizes}")
    return sizes


def with_spatial(shape: tuple[int, ...], sizes: tuple[int, ...], last: bool) -> tuple[int, ...]:
    """A shape with a batch axis, its spatial part replaced."""
    return (shape[0], *sizes, shape[-1]) if last else (*shape[:2], *sizes)


def out_array(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *inputs: np.ndarray) -> np.ndarray:
    """The caller's output, checked, or a new one."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy.ndarray or None, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise ValueError(f"out must have dtype {dtype} in native byte order, got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out must be writable, got a read-only array")
    for x in inputs:
        if overlap(out, x):
            raise ValueError("out must not overlap an input in memory, got an overlapping array")
    if out.size > 1 and any(step == 0 for step, n in zip(out.strides, out.shape, strict=True) if n > 1):
        raise ValueError("out must have its own memory for every element, got a broadcast array")
    return out


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays share memory; when that is too hard to tell, they do."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=100_000))      # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def nan_policy(policy: Any, dtype: np.dtype[Any]) -> str:
    """The policy, checked; where there can be no NaN, all are one."""
    if not isinstance(policy, str) or policy not in ("propagate", "omit", "raise"):
        kind = ValueError if isinstance(policy, str) else TypeError
        raise kind(f"nan_policy must be 'propagate', 'omit' or 'raise', got {show(policy)}")
    return str(policy) if dtype_name(dtype) in FLOATS else "propagate"


def refuse_nan(x: np.ndarray) -> None:
    if x.size:
        with np.errstate(invalid="ignore"):
            if np.isnan(np.min(x)):
                raise ValueError("x must not contain NaN with nan_policy='raise', got an array that does")


def indices(value: Any, expected: tuple[int, ...], as_they_are: bool) -> np.ndarray:
    """Indices as C-contiguous int64; or as they are, where cypool made them itself."""
    if as_they_are:
        kept: np.ndarray = value
        return kept
    index = array("indices", value)
    check_dtype("indices", index.dtype, INTEGERS)
    if index.shape != expected:
        raise ValueError(f"indices must have the shape of grad_output {expected}, got {index.shape}")
    if index.dtype == np.uint64 and index.size and index.max() >= 2**63:
        raise ValueError(f"indices must be at least 0 and less than the input's spatial volume, got {index.max()}")
    return np.ascontiguousarray(index, np.int64).reshape(expected)


def arrays(*values: Any) -> list[np.ndarray]:
    """The arrays among some values, and in lists of them: what `out` must not overlap."""
    return [part for value in values for part in (value if isinstance(value, (list, tuple)) else [value])
            if isinstance(part, np.ndarray)]


def integers(name: str, value: Any) -> np.ndarray:
    """An array of integers, as they are; an empty list is one."""
    given = array(name, value)
    if given.size == 0 and isinstance(value, (list, tuple)):
        given = given.astype(np.int64)
    check_dtype(name, given.dtype, INTEGERS)
    return given


def refuse_indices(index: np.ndarray, volume: int, what: str) -> None:
    """Say which index is neither -1 nor one of so many positions."""
    wrong = index[(index < -1) | (index >= volume)]
    raise ValueError(f"indices must be at least 0 and less than {volume}, the {what}, or -1 for none, "
                     f"got {wrong[0] if wrong.size else index.flat[0]}")


def chosen(value: Any, expected: tuple[int, ...]) -> np.ndarray:
    """Indices of the shape of a gradient, as they are."""
    index = integers("indices", value)
    if index.shape != expected:
        raise ValueError(f"indices must have the shape of grad_output {expected}, got {index.shape}")
    if index.dtype.kind == "u" and index.dtype.itemsize == 8 and index.size and index.max() >= 2**63:
        raise ValueError(f"indices must be positions or -1 for none, got {index.max()}")
    return index


def reduced_dtype(kind: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Of a "sum", "mean", "max" or "min", as NumPy has it."""
    plain = native(dtype)
    if kind in ("max", "min") or dtype_name(plain) in FLOATS:
        return plain
    return np.dtype(np.float64 if kind == "mean" else np.int64 if plain.kind == "i" else np.uint64)


def fill(name: str, value: Any, dtype: np.dtype[Any]) -> float:
    """A number that stands where there is nothing: of floats any, NaN as well."""
    if dtype_name(dtype) not in FLOATS:
        plain = dtype.kind == "b" and isinstance(value, (int, np.integer)) and value in (0, 1)
        found = label(name, bool(value) if plain else value, dtype)
        if found is None:
            raise TypeError(f"{name} must be an integer, got None")
        return found
    if isinstance(value, (float, np.floating)):
        return float(value)
    return number(name, value)


# ---------------------------------------------------------------------------- windows

def check_windows(windows: Any, ceil_mode: bool) -> None:
    """Say what is wrong with windows that are not valid."""
    for i, axis in enumerate(windows.axes):
        got = (f"got kernel_size={axis.kernel}, stride={axis.stride}, padding=({axis.padding}, {axis.after}), "
               f"dilation={axis.dilation}, ceil_mode={ceil_mode} on spatial axis {i} of size {axis.size}")
        if max(axis.padding, axis.after) >= axis.extent:
            raise ValueError("padding must leave every window at least one input element: less than "
                             f"(kernel_size - 1) * dilation + 1 = {axis.extent} on each side, {got}")
        if axis.out < 1:
            raise ValueError(f"kernel_size must not reach beyond the padded input (at least one window), {got}")
        if axis.empty:
            raise ValueError(f"dilation must leave every window at least one input element, {got}")
    raise ValueError(f"kernel_size must make windows of less than 2**53 taps, got {windows.taps}")


# ---------------------------------------------------------------------------- numbers

def integer(name: str, value: Any, least: int, whole: Any = None) -> int:
    """One integer of at least `least`; whole is what the caller passed, for the message."""
    shown = show(value if whole is None else whole)
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {shown}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {shown} of type {type(value).__name__}") from None
    if not least <= number <= LARGEST:
        raise ValueError(f"{name} must be at least {least} and at most {LARGEST}, got {shown}")
    return number


def index(name: str, value: Any) -> int:
    """An integer of either sign."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {show(value)}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {show(value)} of type {type(value).__name__}") from None


def per_axis(name: str, value: Any, ndim: int, least: int) -> tuple[int, ...]:
    """An integer for every axis, or one for each."""
    if type(value) is int and least <= value <= LARGEST:
        return (value,) * ndim
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    items = list(value) if isinstance(value, NESTED) else [value] * ndim
    if len(items) != ndim:
        raise ValueError(f"{name} must be an integer or {ndim} of them, one per spatial axis, got {show(value)}")
    return tuple(integer(name, item, least, value) for item in items)


def bins(name: str, value: Any, ndim: int, most: int = MOST_BINS) -> tuple[int, ...]:
    """So many bins along each axis."""
    counts = per_axis(name, value, ndim, 1)
    if max(counts) > most:
        raise ValueError(f"{name} must be at most {most}, got {show(value)}")
    return counts


def output_size(value: Any, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The size asked for along each axis; None is the axis's own."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    items = list(value) if isinstance(value, NESTED) else [value] * len(sizes)
    if len(items) != len(sizes):
        raise ValueError(f"output_size must be an integer or None, or {len(sizes)} of these, one per spatial axis, "
                         f"got {show(value)}")
    outputs = tuple(size if item is None else integer("output_size", item, 0, value)
                    for item, size in zip(items, sizes, strict=True))
    if any(out > MOST_BINS and size != out for size, out in zip(sizes, outputs, strict=True)):
        raise ValueError(f"output_size must be at most {MOST_BINS} where it is not the axis's own, got {show(value)}")
    return outputs


def pads(padding: Any, ndim: int) -> tuple[tuple[int, int], ...] | str:
    """``(before, after)`` for every axis; or "same_upper", "same_lower"."""
    if isinstance(padding, str):
        if padding in ("same", "same_upper"):
            return "same_upper"
        if padding == "same_lower":
            return padding
        if padding != "valid":
            raise ValueError("padding must be 'valid', 'same', 'same_upper', 'same_lower' or integers, "
                             f"got {show(padding)}")
        padding = 0
    if (not isinstance(padding, NESTED) or np.ndim(padding) == 0 and isinstance(padding, np.ndarray)
            or not any(isinstance(item, NESTED) and np.shape(item) for item in padding)):
        return tuple((p, p) for p in per_axis("padding", padding, ndim, 0))
    if len(padding) != ndim:
        raise ValueError(f"padding must have one (before, after) pair for each of {ndim} axes, got {show(padding)}")
    if not all(isinstance(item, NESTED) and len(item) == 2 for item in padding):
        raise ValueError("padding must be an integer, one integer per axis or one (before, after) pair per axis, "
                         f"got {show(padding)}")
    pairs: list[Any] = list(padding)
    return tuple((integer("padding", before, 0, padding), integer("padding", after, 0, padding))
                 for before, after in pairs)


def rank(value: Any, taps: int) -> int:
    """A rank among so many taps, from 0 on; negative ones count from the largest."""
    number = index("rank", value)
    if not -taps <= number < taps:
        raise ValueError(f"rank must be at least {-taps} and less than {taps}, the taps of a window, got {show(value)}")
    return number + taps if number < 0 else number


def label(name: str, value: Any, dtype: np.dtype[Any]) -> int | None:
    """None, or a label that an array of this dtype can hold."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) and dtype.kind == "b":
        return int(value)
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} must be an integer or None, got {show(value)} of type {type(value).__name__}")
    if not low <= number <= high:
        raise ValueError(f"{name} must be a value of x's dtype {dtype}, {low} to {high}, got {show(value)}")
    return number


def flag(name: str, value: Any) -> bool:
    if value is True or value is False or isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (int, np.integer)) and value in (0, 1):
        return bool(value)
    raise TypeError(f"{name} must be a bool, got {show(value)}")


def divisor(value: Any) -> int | None:
    """divisor_override: any integer but zero that a double holds exactly."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"divisor_override must be an integer or None, got {show(value)}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"divisor_override must be an integer or None, got {show(value)}") from None
    if number == 0 or abs(number) > 2**53:
        raise ValueError(f"divisor_override must not be 0 and at most 2**53 in size, got {number}")
    return number


def number(name: str, value: Any) -> float:
    """One real number that is not NaN."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"{name} must be a number, got {show(value)}")
    try:
        real = float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float64 can hold, got {show(value)}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {show(value)}") from None
    if real != real:
        raise ValueError(f"{name} must not be NaN, got {show(value)}")
    return real


def parameter(name: str, value: Any, *shapes: tuple[int, ...]) -> float | np.ndarray:
    """A learned parameter: a finite number, or finite float64 in an array of one of these shapes."""
    given = array(name, value)
    if given.dtype.kind == "b" or dtype_name(given.dtype) not in NUMBERS:
        raise TypeError(f"{name} must hold numbers, got {show(value)}")
    if given.ndim and given.shape not in shapes:
        allowed = " or ".join(map(str, shapes))
        raise ValueError(f"{name} must be a number or have shape {allowed}, got shape {given.shape}")
    numbers = given.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite, got {show(value)}")
    return numbers if given.ndim else float(numbers)


def generator(value: Any) -> np.random.Generator:
    """A random generator, or the one of a seed."""
    if isinstance(value, np.random.Generator):
        return value
    if value is None:
        return np.random.default_rng()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"rng must be a numpy.random.Generator, a seed or None, got {show(value)}")
    if value < 0:
        raise ValueError(f"rng must be a seed of at least 0, got {value}")
    return np.random.default_rng(int(value))


def threads(value: Any) -> int | None:
    return None if value is None else integer("num_threads", value, 1)


def result_dtype(dtype: Any, natural: np.dtype[Any], allowed: Sequence[str]) -> np.dtype[Any]:
    """The dtype asked for, or the natural one."""
    if dtype is None:
        return natural
    try:
        chosen: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be a NumPy dtype or None, got {show(dtype)}") from error
    check_dtype("dtype", chosen, allowed)
    return native(chosen)


def shape(name: str, value: Any, ndim: int | None = None) -> tuple[int, ...]:
    """A shape as a caller wrote it."""
    if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"{name} must be a sequence of integers, got {show(value)}")
    sizes = []
    for item in value:
        if isinstance(item, (bool, np.bool_)):
            raise TypeError(f"{name} must hold integers, got {show(value)}")
        try:
            sizes.append(operator.index(item))
        except TypeError:
            raise TypeError(f"{name} must hold integers, got {show(value)}") from None
        if not 0 <= sizes[-1] < 2**62:
            raise ValueError(f"{name} must hold sizes of at least 0 that memory can hold, got {show(value)}")
    if ndim is not None and len(sizes) != ndim:
        raise ValueError(f"{name} must have {ndim} entries, got {show(value)}")
    total = 1
    for size in sizes:
        total *= max(size, 1)
    if total >= 2**60:
        raise ValueError(f"{name} must be a shape that memory can hold, got {show(value)}")
    return tuple(sizes)
