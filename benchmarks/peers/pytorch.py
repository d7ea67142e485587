"""PyTorch on contiguous tensors, on channels-last tensors, and through oneDNN."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..cases import Case, Timed
from .base import LIKE_X, Peer, Prepared, Settings, both, random_gradient
from .compositions import COMPOSED
from .irregular import WAYS

#: Arguments that no gradient is asked for.
CONSTANT = ("random_samples", "boxes")


class PyTorch(Peer):
    """``torch.nn.functional`` on ``(N, C, *spatial)``."""

    key, name, module = "torch", "PyTorch", "torch"
    layout = "contiguous"
    gradients = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import torch

        self.torch, self.version = torch, torch.__version__
        torch.set_grad_enabled(settings.backward)
        self.set_threads(settings.threads)

    def set_threads(self, threads: int) -> None:
        self.torch.set_num_threads(threads)

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        return Prepared(self._forward(case, self._arrange(x)), _array, self.layout)

    def prepare_backward(self, case: Case, x: np.ndarray) -> Prepared | None:
        grad = random_gradient((*case.shape[:2], *case.outputs))
        return self._both(case, self._arrange(x), self._arrange(grad), self.layout)

    def ways(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        tensor = self._arrange(x)
        return [Prepared(partial(way, tensor), _array, name) for name, way in self._composed(case, self._given(case))]

    def ways_backward(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        given = self._given(case)
        ways = self._composed(case, given)
        if not ways:
            return []
        tensor = self._arrange(x).requires_grad_(True)
        inputs = [tensor, *(given[name] for name in ("scores",) if name in given)]
        grad = random_gradient(tuple(ways[0][1](tensor).shape))
        grad = self._arrange(grad) if grad.ndim == x.ndim else self.torch.from_numpy(grad)

        def backward(y: Any) -> Any:
            return self.torch.autograd.grad(y, inputs, grad)[0]

        return [both(partial(way, tensor), backward, _array, name) for name, way in ways]

    def _given(self, case: Timed) -> dict[str, Any]:
        """The other arguments, arrays as tensors; parameters want gradients too."""
        given = {name: self._arrange(value) if name in LIKE_X else self.torch.from_numpy(value)
                 if isinstance(value, np.ndarray) else value for name, value in case.given}
        if self.settings.backward:
            for name, value in given.items():
                if self.torch.is_tensor(value) and value.is_floating_point() and name not in CONSTANT:
                    value.requires_grad_(True)
        return given

    def _composed(self, case: Timed, given: dict[str, Any]) -> list[tuple[str, Callable[[Any], Any]]]:
        """What makes up an operator that PyTorch does not have, in one way or several."""
        if case.op in COMPOSED:
            return [(self.layout, partial(COMPOSED[case.op], self.torch, case, **given))]
        return list(WAYS[case.op](self.torch, case, **given)) if case.op in WAYS else []

    def _arrange(self, x: np.ndarray) -> Any:
        return self.torch.from_numpy(x)

    def _forward(self, case: Case, x: Any) -> Callable[[], Any]:
        """The pooling of a tensor; 2D for a series that came with a unit axis in front."""
        functional = self.torch.nn.functional
        spatial = x.ndim - 2
        if case.is_global:
            return partial(getattr(functional, f"adaptive_{case.op}_pool{spatial}d"), x, 1)
        given = case.arguments()
        if spatial > case.ndim:
            given |= {"kernel_size": (1, *case.kernels), "stride": (1, *case.strides), "padding": (0, *case.paddings)}
        return partial(getattr(functional, f"{case.op}_pool{spatial}d"), x, **given)

    def _both(self, case: Case, x: Any, grad: Any, layout: str) -> Prepared:
        x = x.detach().requires_grad_(True)
        forward, backward = self._forward(case, x), self.torch.autograd.grad

        def call() -> Any:
            return backward(forward(), x, grad)[0]

        return Prepared(call, partial(_like, case.shape), layout)


class PyTorchChannelsLast(PyTorch):
    """The same functions on channels-last memory, a series as an image of height 1."""

    key, name = "torch-cl", "PyTorch channels-last"
    layout = "channels-last"

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        shape = (*case.shape[:2], *((1,) * case.ndim if case.is_global else case.outputs))
        return Prepared(self._forward(case, self._arrange(x)), partial(_like, shape), self.layout)

    def ways(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        return super().ways(case, x) if x.ndim > 3 else []

    def ways_backward(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        return super().ways_backward(case, x) if x.ndim > 3 else []

    def _arrange(self, x: np.ndarray) -> Any:
        torch = self.torch
        tensor = torch.from_numpy(x)
        tensor = tensor.unsqueeze(2) if tensor.ndim == 3 else tensor
        layout = torch.channels_last if tensor.ndim == 4 else torch.channels_last_3d
        return tensor.contiguous(memory_format=layout)


class OneDNN(PyTorch):
    """oneDNN through ``to_mkldnn``, which keeps the channels-first order."""

    key, name = "onednn", "oneDNN"
    gradients = False

    def ways(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        return []

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if not self.torch.backends.mkldnn.is_available():
            raise ImportError("this PyTorch was built without oneDNN")

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        if case.dilation != 1 or (case.is_global and case.op == "max"):
            return None  # PyTorch hands neither to oneDNN
        tensor = self.torch.from_numpy(x)
        tensor = tensor.unsqueeze(2) if tensor.ndim == 3 else tensor
        return self._pooling(case, tensor.to_mkldnn(), "channels-first")

    def _pooling(self, case: Case, data: Any, layout: str) -> Prepared:
        shape = (*case.shape[:2], *((1,) * case.ndim if case.is_global else case.outputs))
        return Prepared(self._forward(case, data), partial(_dense, shape), layout)


class OneDNNBlocked(OneDNN):
    """oneDNN in its blocks of 16 channels, the layout that its own convolutions take and hand on."""

    key, name = "onednn-blocked", "oneDNN blocked"

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        return super().prepare(case, x) if case.shape[1] % 16 == 0 else None

    def _pooling(self, case: Case, data: Any, layout: str) -> Prepared:
        """A depthwise convolution with weight 1 leaves the values as they are and puts them into blocks."""
        channels, spatial = case.shape[1], data.ndim - 2
        weight = self.torch.ones(channels, 1, *(1,) * spatial)
        zeros, ones = (0,) * spatial, (1,) * spatial
        blocked = self.torch.mkldnn_convolution(data, weight, None, zeros, ones, ones, channels)
        return super()._pooling(case, blocked, "blocked")


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().numpy()


def _like(shape: tuple[int, ...], tensor: Any) -> np.ndarray:
    return _array(tensor).reshape(shape)


def _dense(shape: tuple[int, ...], tensor: Any) -> np.ndarray:
    return _array(tensor.to_dense()).reshape(shape)
