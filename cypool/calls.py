"""Calls of the operators that are made of several passes: what all of them check, and what they return."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cypool import arguments
from cypool.pieces import cut_planes, planes
from cypool.windowed import Array, Fit
from cypool.windows import Windows


@dataclass
class Operands:
    """A call's arrays, checked, with a batch axis; and where its windows lie.

    Attributes
    ----------
    x : ndarray
        With a batch axis.
    given : tuple of int
        x's shape as it was passed.
    windows : Windows
    last : bool
    full : tuple of int
        The result's shape, with a batch axis.
    policy : str
        What to do about NaN.
    threads : int or None
    drops : bool
        Whether callers may leave spatial axes of the result out.
    """

    x: Array
    given: tuple[int, ...]
    windows: Windows
    last: bool
    full: tuple[int, ...]
    policy: str
    threads: int | None
    drops: bool = False

    @property
    def channels(self) -> int:
        return int(self.x.shape[-1 if self.last else 1])

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(axis.kernel for axis in self.windows.axes)

    @property
    def ndim(self) -> int:
        return self.x.ndim - 2

    def out(self, out: Any, *inputs: Array, keepdims: bool = True) -> tuple[Array, Array]:
        """The array to return, and the same with a batch axis and all spatial axes."""
        shape = self.full[len(self.full) - len(self.given):]
        if not keepdims:
            shape = arguments.with_spatial(self.full, (), self.last)
        y = arguments.out_array(out, shape, arguments.native(self.x.dtype), self.x, *inputs)
        return y, y if y.shape == self.full else y.reshape(self.full)

    def grad(self, grad_output: Any) -> Array:
        """The gradient of the result, checked, with a batch axis and all spatial axes."""
        grad = arguments.array("grad_output", grad_output)
        arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
        expected = self.full[len(self.full) - len(self.given):]
        dropped = arguments.with_spatial(self.full, (), self.last)
        if grad.shape == expected or self.drops and grad.shape == dropped:
            return grad.reshape(self.full)
        raise ValueError(f"grad_output must have the shape of the forward's output {expected}, got {grad.shape}")

    def grad_out(self, out: Any, *inputs: Array) -> tuple[Array, Array]:
        """The gradient of x to return, and the same with a batch axis."""
        result = arguments.out_array(out, self.given, arguments.native(self.x.dtype), self.x, *inputs)
        return result, result.reshape(self.x.shape)

    def parts(self) -> list[Part]:
        """The call cut into planes that a cache holds: what they are follows from the shape alone."""
        return [Part(self, batch, channels) for batch, channels in planes(self.x.shape, self.last)]

    def per_channel(self, values: Array) -> Array:
        """Numbers for every channel, ready to broadcast to x."""
        return values.reshape((1,) * (self.ndim + 1) + (-1,) if self.last else (1, -1) + (1,) * self.ndim)


@dataclass
class Part:
    """Some planes of a call."""

    whole: Operands
    batch: slice
    channels: slice

    def cut(self, a: Array) -> Array:
        """The planes of an array; where that has one for all, that one."""
        return cut_planes(a, self.batch, self.channels, self.whole.last)

    def weights(self, w: Array) -> Array:
        """Weights of a window, or of each channel's."""
        return w if w.ndim == self.whole.ndim else w[self.channels]

    def call(self, threads: int | None) -> Operands:
        x = self.cut(self.whole.x)
        full = arguments.with_spatial(x.shape, self.whole.windows.shape, self.whole.last)
        return replace(self.whole, x=x, given=x.shape, full=full, threads=threads)


def operands(ndim: int, x: Any, windows_for: Fit, data_format: Any, nan_policy: Any = "propagate",
             num_threads: Any = None, drops: bool = False) -> Operands:
    """A call over x, of floats."""
    given = arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.FLOATS)
    policy = arguments.nan_policy(nan_policy, given.dtype)
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched("x", given, ndim)
    windows = windows_for(arguments.spatial("x", batch.shape, last))
    threads = arguments.threads(num_threads)
    if policy == "raise":
        arguments.refuse_nan(given)
    return Operands(batch, given.shape, windows, last, arguments.with_spatial(batch.shape, windows.shape, last), policy,
                    threads, drops)


def cast(a: Array, dtype: np.dtype[Any]) -> Array:
    """As another type, numbers beyond it as infinities."""
    with np.errstate(all="ignore"):
        return a.astype(dtype, copy=False)


def learned(made: Any, given: Any) -> Any:
    """A parameter's gradient, shaped like the parameter and, if that holds floats, of its type."""
    array = arguments.array("parameter", given)
    floats = arguments.dtype_name(array.dtype) in arguments.FLOATS
    dtype = arguments.native(array.dtype) if floats else np.dtype(np.float64)
    return cast(np.asarray(made), dtype).reshape(array.shape)[()]
