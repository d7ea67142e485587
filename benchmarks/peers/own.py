"""cypool itself, in both layouts."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..cases import Case
from .base import Peer, Prepared, Settings, from_last, to_last


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

    def prepare_backward(self, case: Case, x: np.ndarray, grad: np.ndarray) -> Prepared:
        layer = getattr(self.cypool, case.layer)(**self.arguments(case))
        x, grad = self.arrange(x), self.arrange(grad)

        def call() -> np.ndarray:
            layer(x)
            return layer.backward(grad)

        return Prepared(call, self.restore, self.data_format)

    def arguments(self, case: Case) -> dict[str, Any]:
        return case.arguments()

    def arrange(self, x: np.ndarray) -> np.ndarray:
        return x

    def restore(self, y: np.ndarray) -> np.ndarray:
        return y


class CypoolChannelsLast(Cypool):
    """cypool on ``(N, *spatial, C)``."""

    key, name = "cypool-cl", "cypool channels-last"
    data_format = "channels_last"

    def arguments(self, case: Case) -> dict[str, Any]:
        return case.arguments() | {"data_format": self.data_format}

    def arrange(self, x: np.ndarray) -> np.ndarray:
        return to_last(x)

    def restore(self, y: np.ndarray) -> np.ndarray:
        return from_last(y)
