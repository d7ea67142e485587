"""cypool itself, in both layouts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from ..cases import Case, Timed
from .base import LIKE_X, Peer, Prepared, Settings, both, from_last, random_gradient, to_last


class Cypool(Peer):
    """cypool on ``(N, C, *spatial)``."""

    key, name, module = "cypool", "cypool", "cypool"
    gradients = True
    data_format = "channels_first"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import cypool

        self.cypool = cypool
        self.version = cypool.__version__
        self.set_threads(settings.threads)

    def set_threads(self, threads: int) -> None:
        self.cypool.set_num_threads(threads)

    def prepare(self, case: Case, x: np.ndarray) -> Prepared:
        call = partial(getattr(self.cypool, case.function), self.arrange(x), **self.arguments(case))
        if self.settings.reuse:
            call = partial(call, out=call())
        return Prepared(call, self.restore, self.data_format)

    def prepare_backward(self, case: Case, x: np.ndarray) -> Prepared:
        layer = getattr(self.cypool, case.layer)(**self.arguments(case))
        x, grad = self.arrange(x), self.arrange(random_gradient((*case.shape[:2], *case.outputs)))

        def call() -> np.ndarray:
            layer(x)
            return layer.backward(grad)

        return Prepared(call, self.restore, self.data_format)

    def operator(self, case: Timed, x: np.ndarray) -> Prepared | None:
        function = getattr(self.cypool, case.function)
        if not self.takes(function):
            return None
        given = {name: self.arranged(name, value) for name, value in self.arguments(case).items()}
        call = partial(function, self.arrange(x), **given)
        return Prepared(call, lambda y: self.restored(y, x), self.data_format)

    def restored(self, y: Any, x: np.ndarray) -> np.ndarray:
        y = y[0] if isinstance(y, tuple) else y
        return self.restore(y) if y.ndim == x.ndim else y

    def operator_backward(self, case: Timed, x: np.ndarray) -> Prepared | None:
        kind = getattr(self.cypool, case.layer)
        if kind.gradient is None or not self.takes(kind.function):
            return None
        given = {name: self.arranged(name, value) for name, value in self.arguments(case).items()}
        settings = {name: value for name, value in given.items() if name in signature(kind).parameters}
        beside = {name: value for name, value in given.items() if name not in settings}
        layer = kind(**settings)
        forward = partial(layer, self.arrange(x), **beside)
        grad = random_gradient(self.restored(forward(), x).shape)
        grad = self.arrange(grad) if grad.ndim == x.ndim else grad

        def backward(_: Any) -> np.ndarray:
            back = layer.backward(grad)
            return back[0] if isinstance(back, tuple) else back

        return both(forward, backward, self.restore, self.data_format)

    def takes(self, function: Callable[..., Any]) -> bool:
        """Whether a function knows this order of axes."""
        return True

    def arranged(self, name: str, value: Any) -> Any:
        return self.arrange(value) if name in LIKE_X else value

    def arguments(self, case: Timed) -> dict[str, Any]:
        return case.arguments()

    def arrange(self, x: np.ndarray) -> np.ndarray:
        return x

    def restore(self, y: np.ndarray) -> np.ndarray:
        return y


class CypoolChannelsLast(Cypool):
    """cypool on ``(N, *spatial, C)``."""

    key, name = "cypool-cl", "cypool channels-last"
    data_format = "channels_last"

    def takes(self, function: Callable[..., Any]) -> bool:
        return "data_format" in signature(function).parameters

    def arguments(self, case: Timed) -> dict[str, Any]:
        return case.arguments() | {"data_format": self.data_format}

    def arrange(self, x: np.ndarray) -> np.ndarray:
        return to_last(x)

    def restore(self, y: np.ndarray) -> np.ndarray:
        return from_last(y)
