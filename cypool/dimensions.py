"""Public functions: one for every number of dimensions becomes three, and calls are remembered."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from cypool import arguments
from cypool.dispatch import Memory

P = ParamSpec("P")
R = TypeVar("R")

SHAPES = {1: "L", 2: "H, W", 3: "D, H, W"}


def plain(function: Callable[..., R]) -> Callable[..., R]:
    """The public function of one that is called anew each time."""
    def call(*args: Any, **kwargs: Any) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            check_names(call, args, kwargs)
            raise

    return call


def check_names(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A TypeError that names the public function, if the arguments do not fit its signature."""
    try:
        inspect.signature(call).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{call.__name__}() {error}") from None


def remembered(prepare: Callable[..., R]) -> Callable[..., R]:
    """The public function of one that makes a call ready.

    `prepare` gets the array and what the caller passed, but `out` and `num_threads`; what it returns is remembered,
    and called with the array and these two. It has them in its signature, and is annotated with what that call
    returns, for these become the public function's.
    """
    memory = Memory(prepare)

    def call(x: Any, *args: Any, out: Any = None, num_threads: Any = None, **kwargs: Any) -> Any:
        x = x if type(x) is np.ndarray else arguments.array("x", x)
        try:
            return memory.run(x, args, kwargs, out, num_threads)
        except TypeError:
            check_names(call, (x, *args), kwargs)
            raise

    return call


def public(prepare: Callable[P, R]) -> Callable[P, R]:
    """The public function of one that makes a call ready and is for any number of dimensions."""
    call = remembered(prepare)
    _describe(call, prepare, prepare.__name__, inspect.signature(prepare), prepare.__doc__ or "")
    return call


def dimensions(function: Callable[Concatenate[int, P], R], make: Callable[..., Callable[..., R]],
               examples: tuple[str, str, str] | str) -> tuple[Callable[P, R], Callable[P, R], Callable[P, R]]:
    """The 1D, 2D and 3D functions, each with its own name, documentation and example.

    In the docstring `{n}` stands for the dimension, `{spatial}` for the letters of the spatial axes and `{example}`
    for the example; in the function's name, a leading underscore goes and the dimension is put in. One example for all
    is about rows: `{row}` begins the shape of an array that is one row, and `{pair}` is a window of two along it.
    """
    signature = inspect.signature(function)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    family, pool, rest = re.split("(pool|unpool)", function.__name__.removeprefix("_"), maxsplit=1)
    text = inspect.cleandoc(function.__doc__ or "")

    def of(n: int) -> Callable[P, R]:
        call = make(partial(function, n))
        _describe(call, function, f"{family}{pool}{n}d{rest}", signature,
                  text.format(n=n, spatial=SHAPES[n], example=inspect.cleandoc(shown(n))))
        return call

    def shown(n: int) -> str:
        if isinstance(examples, str):
            return examples.format(n=n, row="1, " * (n + 1), pair="2" if n == 1 else f"({'1, ' * (n - 1)}2)")
        return examples[n - 1]

    return of(1), of(2), of(3)


def _describe(call: Callable[..., Any], function: Callable[..., Any], name: str, signature: inspect.Signature,
              text: str) -> None:
    call.__name__ = call.__qualname__ = name
    call.__module__ = function.__module__
    call.__signature__ = signature                                          # type: ignore[attr-defined]
    call.__annotations__ = {key: value for key, value in function.__annotations__.items()
                            if key == "return" or key in signature.parameters}
    call.__doc__ = text
