"""One function for every number of dimensions becomes the three public ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

SHAPES = {1: "L", 2: "H, W", 3: "D, H, W"}


def dimensions(function: Callable[Concatenate[int, P], R],
               examples: tuple[str, str, str]) -> tuple[Callable[P, R], Callable[P, R], Callable[P, R]]:
    """The 1D, 2D and 3D functions, each with its own name, documentation and example.

    In the docstring `{n}` stands for the dimension, `{spatial}` for the letters of the spatial axes and `{example}`
    for the example; in the function's name, a leading underscore goes and the dimension is put in.
    """
    signature = inspect.signature(function)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    annotations = {key: value for key, value in function.__annotations__.items() if key != "ndim"}
    text = inspect.cleandoc(function.__doc__ or "")

    def public(n: int) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(n, *args, **kwargs)

        family, _, rest = function.__name__.removeprefix("_").partition("_pool")
        call.__name__ = call.__qualname__ = f"{family}_pool{n}d{rest}"
        call.__signature__ = signature                                      # type: ignore[attr-defined]
        call.__annotations__ = annotations
        call.__doc__ = text.format(n=n, spatial=SHAPES[n], example=inspect.cleandoc(examples[n - 1]))
        del call.__wrapped__
        return call

    return public(1), public(2), public(3)
