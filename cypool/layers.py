"""Layers: pooling with memory. Call one for the forward, then `backward` for the gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cypool import adaptive, arguments, dispatch, windowed
from cypool.windowed import Array


class Layer:
    """What all layers share. A layer's constructor takes its function's arguments, but the array and `out`.

    Attributes
    ----------
    settings : dict
        The arguments, defaults included.
    parameters, gradients : dict of str to ndarray
        Learned parameters, and their gradients after `backward`; empty where there are none.
    """

    #: The function that the layer applies, and the one of its gradient.
    function: ClassVar[Callable[..., Any]]
    gradient: ClassVar[Callable[..., Array]]
    ndim: ClassVar[int]
    _gradient_settings: ClassVar[frozenset[str]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            bound = inspect.signature(type(self)).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        self._shown = dict(bound.arguments)
        bound.apply_defaults()
        self.settings: dict[str, Any] = dict(bound.arguments)
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self._saved: Any = None

    def __init_subclass__(cls) -> None:
        if "function" in cls.__dict__:
            cls._gradient_settings = frozenset(inspect.signature(cls.gradient).parameters)
            signature = inspect.signature(cls.function)
            cls.__signature__ = signature.replace(                          # type: ignore[attr-defined]
                parameters=[p for name, p in signature.parameters.items() if name not in ("x", "out")],
                return_annotation=inspect.Signature.empty)
            first = next(iter(cls.__signature__.parameters.values()))     # type: ignore[attr-defined]
            example = "" if first.kind is first.KEYWORD_ONLY else "2"
            shown = f"{first.name}={example}" if example else ""
            cls.__doc__ = f"""{cls.__name__}: :func:`cypool.{cls.function.__name__}` as a layer.

    The constructor takes the function's arguments, but the array and `out`; ``layer(x)`` pools, and
    ``layer.backward(grad_output)`` gives the gradient of the last x.

    Examples
    --------
    >>> import cypool
    >>> layer = cypool.{cls.__name__}({example})
    >>> layer
    {cls.__name__}({shown})
    """

    def __call__(self, x: ArrayLike) -> Any:
        """Pool x, and keep what `backward` needs.

        Parameters
        ----------
        x : array_like

        Returns
        -------
        ndarray, or a tuple with the indices where the layer was asked for them
        """
        raise NotImplementedError

    def backward(self, grad_output: ArrayLike) -> Array:
        """The gradient of the last input.

        Parameters
        ----------
        grad_output : array_like of float
            The gradient of the last output.

        Returns
        -------
        ndarray

        Raises
        ------
        RuntimeError
            If there was no forward call.
        """
        raise NotImplementedError

    def _recall(self) -> Any:
        if self._saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a forward call before it")
        return self._saved

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._shown.items())})"


_choose = dispatch.Memory(windowed.choose)
_choose_whole = dispatch.Memory(adaptive.choose_whole)
_choose_bins = dispatch.Memory(adaptive.choose_bins)


class _Choice(Layer):
    """Max and min pooling. What `backward` needs is one byte per output for windows of up to 256 taps."""

    which: ClassVar[str]

    def __call__(self, x: ArrayLike) -> Any:
        s = self.settings
        given = arguments.array("x", x)
        flat = arguments.flag("return_indices", s["return_indices"])
        form = np.int64 if flat else np.uint8
        if "kernel_size" in s:
            call = _choose.find(given, (self.ndim, self.which, s["kernel_size"], s["stride"], s["padding"],
                                        s["dilation"], s["ceil_mode"], s["data_format"], s["nan_policy"], form), {})
        elif "output_size" in s:
            call = _choose_bins.find(given, (self.ndim, self.which, s["output_size"], s["data_format"], s["nan_policy"],
                                             form), {})
        else:
            call = _choose_whole.find(given, (self.which, s["data_format"], s["nan_policy"], form, s["keepdims"]), {})
        y, index = call(given, None, s["num_threads"])
        self._saved = index, None if index.dtype == np.int64 else call.windows, given.shape
        return (y, index) if flat else y

    def backward(self, grad_output: ArrayLike) -> Array:
        index, windows, shape = self._recall()
        s = self.settings
        ndim = self.ndim or len(shape) - 2
        grad = arguments.array("grad_output", grad_output)
        if not self.ndim:
            grad = adaptive.kept("grad_output", grad, ndim, s["data_format"])
            index = adaptive.kept("indices", index, ndim, s["data_format"], arguments.INTEGERS)
        if grad.shape != index.shape:
            raise ValueError(f"grad_output must have the shape of the last output {index.shape}, got {grad.shape}")
        return windowed.scatter(ndim, grad, index, shape, s["data_format"], None, s["num_threads"], windows)


class _Total(Layer):
    """Average and sum pooling. What `backward` needs is the input's shape."""

    def __call__(self, x: ArrayLike) -> Any:
        given = arguments.array("x", x)
        y = type(self).function(given, **self.settings)
        self._saved = given.shape
        return y

    def backward(self, grad_output: ArrayLike) -> Array:
        settings = {name: value for name, value in self.settings.items() if name in self._gradient_settings}
        return type(self).gradient(grad_output, self._recall(), **settings)


class MaxPool1d(_Choice):
    function, gradient, ndim, which = windowed.max_pool1d, windowed.max_pool1d_backward, 1, "max"


class MaxPool2d(_Choice):
    function, gradient, ndim, which = windowed.max_pool2d, windowed.max_pool2d_backward, 2, "max"


class MaxPool3d(_Choice):
    function, gradient, ndim, which = windowed.max_pool3d, windowed.max_pool3d_backward, 3, "max"


class MinPool1d(_Choice):
    function, gradient, ndim, which = windowed.min_pool1d, windowed.min_pool1d_backward, 1, "min"


class MinPool2d(_Choice):
    function, gradient, ndim, which = windowed.min_pool2d, windowed.min_pool2d_backward, 2, "min"


class MinPool3d(_Choice):
    function, gradient, ndim, which = windowed.min_pool3d, windowed.min_pool3d_backward, 3, "min"


class AvgPool1d(_Total):
    function, gradient, ndim = windowed.avg_pool1d, windowed.avg_pool1d_backward, 1


class AvgPool2d(_Total):
    function, gradient, ndim = windowed.avg_pool2d, windowed.avg_pool2d_backward, 2


class AvgPool3d(_Total):
    function, gradient, ndim = windowed.avg_pool3d, windowed.avg_pool3d_backward, 3


class SumPool1d(_Total):
    function, gradient, ndim = windowed.sum_pool1d, windowed.sum_pool1d_backward, 1


class SumPool2d(_Total):
    function, gradient, ndim = windowed.sum_pool2d, windowed.sum_pool2d_backward, 2


class SumPool3d(_Total):
    function, gradient, ndim = windowed.sum_pool3d, windowed.sum_pool3d_backward, 3


class AdaptiveMaxPool1d(_Choice):
    function, gradient = adaptive.adaptive_max_pool1d, adaptive.adaptive_max_pool1d_backward
    ndim, which = 1, "max"


class AdaptiveMaxPool2d(_Choice):
    function, gradient = adaptive.adaptive_max_pool2d, adaptive.adaptive_max_pool2d_backward
    ndim, which = 2, "max"


class AdaptiveMaxPool3d(_Choice):
    function, gradient = adaptive.adaptive_max_pool3d, adaptive.adaptive_max_pool3d_backward
    ndim, which = 3, "max"


class AdaptiveAvgPool1d(_Total):
    function, gradient, ndim = adaptive.adaptive_avg_pool1d, adaptive.adaptive_avg_pool1d_backward, 1


class AdaptiveAvgPool2d(_Total):
    function, gradient, ndim = adaptive.adaptive_avg_pool2d, adaptive.adaptive_avg_pool2d_backward, 2


class AdaptiveAvgPool3d(_Total):
    function, gradient, ndim = adaptive.adaptive_avg_pool3d, adaptive.adaptive_avg_pool3d_backward, 3


class GlobalMaxPool(_Choice):
    function, gradient, ndim, which = adaptive.global_max_pool, adaptive.global_max_pool_backward, 0, "max"


class GlobalAvgPool(_Total):
    function, gradient, ndim = adaptive.global_avg_pool, adaptive.global_avg_pool_backward, 0


class Sequential:
    """Layers one after the other.

    Parameters
    ----------
    *layers : Layer

    Attributes
    ----------
    parameters, gradients : dict of str to ndarray
        Those of the layers, each name preceded by its layer's place.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> net = cypool.Sequential(cypool.MaxPool2d(2), cypool.GlobalAvgPool(keepdims=False))
    >>> net(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[10.]])
    >>> net.backward(np.array([[4.0]]))[0, 0, 1]
    array([0., 1., 0., 1.])
    """

    def __init__(self, *layers: Any) -> None:
        for layer in layers:
            if isinstance(layer, type) or not callable(layer) or not hasattr(layer, "backward"):
                raise TypeError(f"layers must be callable and have a backward method, got {arguments.show(layer)}")
        self.layers = layers

    def __call__(self, x: ArrayLike) -> Any:
        """Apply every layer in turn."""
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, grad_output: ArrayLike) -> Any:
        """The gradient of the last input."""
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        return grad_output

    @property
    def parameters(self) -> dict[str, Array]:
        return {f"{i}.{name}": a for i, layer in enumerate(self.layers) for name, a in layer.parameters.items()}

    @property
    def gradients(self) -> dict[str, Array]:
        return {f"{i}.{name}": a for i, layer in enumerate(self.layers) for name, a in layer.gradients.items()}

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"
