"""Layers: pooling with memory. Call one for the forward, then `backward` for the gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cypool import (
    adaptive,
    arguments,
    dispatch,
    graphs,
    mixed,
    norms,
    pyramids,
    ranks,
    regions,
    sampled,
    segments,
    sequences,
    soft,
    unpooling,
    weighted,
    windowed,
)
from cypool.catalogue import layer_name
from cypool.windowed import Array

#: Arguments of functions that are no settings of their layers.
NOT_SETTINGS = ("x", "logits", "mask", "out", "boxes", "offsets", "segment_ids", "scores", "edges", "indices")
#: What stands for an argument in a layer's example; {n} is the number of dimensions.
EXAMPLES = {"norm_type": "2", "p": "3.0", "r": "1.0", "alpha": "0.5", "rank": "0", "weights": "np.ones((2,) * {n})",
            "gate_weights": "np.zeros((2,) * {n})", "leaf_weights": "np.ones((2,) * ({n} + 1))", "ratio": "0.5"}


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
    gradient: ClassVar[Callable[..., Any]]
    ndim: ClassVar[int]
    #: Settings that are learned parameters.
    learned: ClassVar[tuple[str, ...]] = ()
    _gradient_settings: ClassVar[frozenset[str]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            bound = inspect.signature(type(self)).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        self._shown = dict(bound.arguments)
        bound.apply_defaults()
        self.settings: dict[str, Any] = dict(bound.arguments)
        self.parameters: dict[str, Array] = {name: self._copied(name) for name in self.learned}
        self.gradients: dict[str, Array] = {}
        self._saved: Any = None

    def _copied(self, name: str) -> Array:
        """A setting as an array of floats that is the layer's own."""
        given = arguments.array(name, self.settings.pop(name))
        if given.dtype.kind not in "fiuV" or given.dtype.names:
            raise TypeError(f"{name} must hold numbers, got {arguments.show(given)}")
        floats = arguments.dtype_name(given.dtype) in arguments.FLOATS
        return np.array(given, arguments.native(given.dtype) if floats else np.float64)

    def _for_gradient(self) -> dict[str, Any]:
        """The settings and parameters that the gradient's function takes."""
        return {**{name: value for name, value in self.settings.items() if name in self._gradient_settings},
                **self.parameters}

    def _learn(self, grads: Any) -> Any:
        """Keep the parameters' gradients; x's is left."""
        if not self.learned:
            return grads
        grad_x, *made = grads
        self.gradients = {name: np.asarray(grad) for name, grad in zip(self.learned, made, strict=True)}
        return grad_x

    def __init_subclass__(cls) -> None:
        if "function" in cls.__dict__:
            if cls.gradient is not None:
                cls._gradient_settings = frozenset(inspect.signature(cls.gradient).parameters)
            signature = inspect.signature(cls.function)
            cls.__signature__ = signature.replace(                          # type: ignore[attr-defined]
                parameters=[p for name, p in signature.parameters.items() if name not in NOT_SETTINGS],
                return_annotation=inspect.Signature.empty)
            needed = {name: EXAMPLES.get(name, "2").format(n=cls.ndim) for name, p in
                      cls.__signature__.parameters.items() if p.default is p.empty}       # type: ignore[attr-defined]
            example = ", ".join(needed.values())
            head = "    >>> import numpy as np\n" if "np." in example else ""
            cls.__doc__ = f"""{cls.__name__}: :func:`cypool.{cls.function.__name__}` as a layer.

    The constructor takes the function's arguments, but the arrays and `out`; ``layer(x)`` pools, and
    ``layer.backward(grad_output)`` gives the gradient of the last x.

    Examples
    --------
{head}    >>> import cypool
    >>> layer = cypool.{cls.__name__}({example})
    >>> layer.settings["num_threads"] is None, sorted(layer.parameters)
    (True, {sorted(cls.learned)})
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

    def backward(self, grad_output: ArrayLike) -> Any:
        """The gradient of the last input; parameters' gradients are put into `gradients`.

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
        return f"{type(self).__name__}({', '.join(f'{name}={_spelled(value)}' for name, value in self._shown.items())})"


def _spelled(value: Any) -> str:
    return arguments.show(value) if isinstance(value, np.ndarray) else repr(value)


_choose = dispatch.Memory(windowed.choose)
_choose_whole = dispatch.Memory(adaptive.choose_whole)
_choose_bins = dispatch.Memory(adaptive.choose_bins)


class _Choice(Layer):
    """Max and min pooling. What `backward` needs is one byte per output for windows of up to 256 taps."""

    which: ClassVar[str]

    @property
    def indices(self) -> Array:
        """What the last forward chose, as :func:`cypool.max_unpool2d` takes it: ordinals of one byte, where these tell
        it, or flat positions."""
        index, windows, _ = self._recall()
        return index if windows is None else unpooling.portable(index, windows, self.settings["data_format"])

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
        self._saved = index, call.counted_in, given.shape
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

    def backward(self, grad_output: ArrayLike) -> Any:
        return type(self).gradient(grad_output, self._recall(), **self._for_gradient())


class _Saving(Layer):
    """Operators whose gradient needs x. It is kept as it is, not copied: change it after `backward`."""

    def __call__(self, x: ArrayLike) -> Any:
        given = arguments.array("x", x)
        y = type(self).function(given, **self.settings, **self.parameters)
        self._saved = given
        return y

    def backward(self, grad_output: ArrayLike) -> Any:
        return self._learn(type(self).gradient(grad_output, self._recall(), **self._for_gradient()))


class _Attention(Layer):
    """Attention: called with x and logits, and where there can be one a mask; `backward` gives both gradients."""

    def __call__(self, x: ArrayLike, logits: ArrayLike, **mask: Any) -> Any:           # type: ignore[override]
        given, scores = arguments.array("x", x), arguments.array("logits", logits)
        y = type(self).function(given, scores, **mask, **self.settings)
        self._saved = given, scores, mask
        return y

    def backward(self, grad_output: ArrayLike) -> Any:
        given, scores, mask = self._recall()
        return type(self).gradient(grad_output, given, scores, **mask, **self._for_gradient())


class _Drawing(Layer):
    """Operators that draw: a seed makes one generator for all calls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings["rng"] = arguments.generator(self.settings["rng"])


class _DrawnElements(_Drawing):
    """Stochastic and fractional pooling."""

    inference: ClassVar[Callable[..., Array] | None] = None

    def __call__(self, x: ArrayLike) -> Any:
        given, s = arguments.array("x", x), dict(self.settings)
        wanted = arguments.flag("return_indices", s.pop("return_indices"))
        if not s.get("training", True):
            y = type(self).function(given, return_indices=wanted, **s)
            self._saved = given, None
            return y
        y, indices = type(self).function(given, return_indices=True, **s)
        self._saved = given.shape, indices
        return (y, indices) if wanted else y

    def backward(self, grad_output: ArrayLike) -> Any:
        given, indices = self._recall()
        if indices is not None:
            return type(self).gradient(grad_output, indices, given, **self._for_gradient())
        inference = type(self).inference
        assert inference is not None
        names = inspect.signature(inference).parameters
        return inference(grad_output, given, **{k: v for k, v in self.settings.items() if k in names})


class _DrawnMixture(_Drawing):
    """Max or average, drawn."""

    def __call__(self, x: ArrayLike) -> Any:
        given = arguments.array("x", x)
        y, alpha = type(self).function(given, **self.settings)
        self._saved = given, alpha
        return y

    def backward(self, grad_output: ArrayLike) -> Any:
        given, alpha = self._recall()
        settings = {**self._for_gradient(), "alpha": alpha}
        return type(self).gradient(grad_output, given, **settings)[0]


class _Forward(Layer):
    """Operators without a gradient."""

    def __call__(self, x: ArrayLike) -> Any:
        return type(self).function(x, **self.settings)

    def backward(self, grad_output: ArrayLike) -> Any:
        raise TypeError(f"{type(self).__name__} has no gradient: its result does not follow its input smoothly")


class _Beside(Layer):
    """Operators that take other arrays beside x, or whose indices are positions; `also` names the arrays.

    What the gradient takes is kept as it is, not copied; indices in the smallest integers that hold them.
    """

    also: ClassVar[tuple[str, ...]] = ()
    #: What the function gives beside y.
    gives: ClassVar[str] = "indices"

    def __call__(self, x: ArrayLike, *arrays: Any, **named: Any) -> Any:
        given, s = arguments.array("x", x), dict(self.settings)
        if len(arrays) > len(self.also) or not set(named) <= set(self.also[len(arrays):]):
            raise TypeError(f"{type(self).__name__} must be called with x, {', '.join(self.also) or 'and no more'}, "
                            f"got {len(arrays) + 1} arrays and {sorted(named)}")
        beside = {**dict(zip(self.also, arrays, strict=False)), **named}
        wanted = arguments.flag("return_indices", s.pop("return_indices", False))
        asked = "return_indices" in self.settings and not (s.get("op") == "avg" and not wanted)
        made = type(self).function(given, **beside, **s, **({"return_indices": True} if asked else {}))
        y, *more = made if isinstance(made, tuple) else (made,)
        kept = {"x": given, "input_shape": given.shape, **dict.fromkeys(self.also), **beside}
        if "input_size" in self._gradient_settings:
            end = given.ndim - arguments.channels_last(s["data_format"], self.ndim)
            kept["input_size"] = given.shape[end - self.ndim:end]
        if more:
            kept[self.gives] = _smallest(more[0], given.size) if asked else more[0]
        self._saved = {name: value for name, value in kept.items() if name in self._gradient_settings}
        return y if asked and not wanted else made

    def backward(self, grad_output: ArrayLike) -> Any:
        return type(self).gradient(grad_output, **{"indices": None} if self.settings.get("op") == "avg" else {},
                                   **{**self._for_gradient(), **self._recall()})


def _smallest(index: Array, most: int) -> Array:
    """Indices of less than `most`, or -1, in few bytes."""
    return index.astype(np.int16 if most <= 2**15 else np.int32 if most <= 2**31 else np.int64, copy=False)


def _layer(base: type[Layer], module: Any, name: str, gradient: str, ndim: int, **more: Any) -> type[Layer]:
    """The layer of one function."""
    title = layer_name(name)
    backward: Any = getattr(module, gradient, None)
    return type(title, (base,), {"function": staticmethod(getattr(module, name)), "gradient": staticmethod(backward),
                                 "ndim": ndim, "__module__": __name__, "__qualname__": title, **more})


def _global(base: type[Layer], module: Any, name: str, **more: Any) -> type[Layer]:
    """The layer of an operator that is one function for all dimensions."""
    return _layer(base, module, name, f"{name}_backward", 0, **more)


def _each(base: type[Layer], module: Any, name: str, gradient: str = "",
          **more: Any) -> tuple[type[Layer], type[Layer], type[Layer]]:
    """The layers of an operator in one, two and three dimensions."""
    one, two, three = (_layer(base, module, f"{name}{n}d", f"{gradient or name}{n}d_backward", n, **more)
                       if hasattr(module, f"{name}{n}d") else Layer for n in (1, 2, 3))
    return one, two, three


MaxPool1d, MaxPool2d, MaxPool3d = _each(_Choice, windowed, "max_pool", which="max")
MinPool1d, MinPool2d, MinPool3d = _each(_Choice, windowed, "min_pool", which="min")
AvgPool1d, AvgPool2d, AvgPool3d = _each(_Total, windowed, "avg_pool")
SumPool1d, SumPool2d, SumPool3d = _each(_Total, windowed, "sum_pool")
LpPool1d, LpPool2d, LpPool3d = _each(_Saving, norms, "lp_pool")
GemPool1d, GemPool2d, GemPool3d = _each(_Saving, norms, "gem_pool", learned=("p",))
LsePool1d, LsePool2d, LsePool3d = _each(_Saving, norms, "lse_pool", learned=("r",))
SoftPool1d, SoftPool2d, SoftPool3d = _each(_Saving, soft, "soft_pool")
AttentionPool1d, AttentionPool2d, AttentionPool3d = _each(_Attention, soft, "attention_pool")
MixedPool1d, MixedPool2d, MixedPool3d = _each(_Saving, mixed, "mixed_pool", learned=("alpha",))
GatedPool1d, GatedPool2d, GatedPool3d = _each(_Saving, mixed, "gated_pool", learned=("gate_weights",))
TreePool1d, TreePool2d, TreePool3d = _each(_Saving, mixed, "tree_pool", learned=("leaf_weights", "gate_weights"))
RandomMixedPool1d, RandomMixedPool2d, RandomMixedPool3d = _each(_DrawnMixture, mixed, "random_mixed_pool",
                                                                "mixed_pool")
StochasticPool1d, StochasticPool2d, StochasticPool3d = (
    _layer(_DrawnElements, sampled, f"stochastic_pool{n}d", f"stochastic_pool{n}d_backward", n,
           inference=staticmethod(getattr(sampled, f"stochastic_pool{n}d_inference_backward"))) for n in (1, 2, 3))
_, FractionalMaxPool2d, FractionalMaxPool3d = _each(_DrawnElements, sampled, "fractional_max_pool")
WeightedPool1d, WeightedPool2d, WeightedPool3d = _each(_Saving, weighted, "weighted_pool", learned=("weights",))
BlurPool1d, BlurPool2d, BlurPool3d = _each(_Total, weighted, "blur_pool")
MedianPool1d, MedianPool2d, MedianPool3d = _each(_Forward, ranks, "median_pool")
RankPool1d, RankPool2d, RankPool3d = _each(_Forward, ranks, "rank_pool")
ModePool1d, ModePool2d, ModePool3d = _each(_Forward, ranks, "mode_pool")
AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d = _each(_Choice, adaptive, "adaptive_max_pool", which="max")
AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d = _each(_Total, adaptive, "adaptive_avg_pool")
GlobalMaxPool = _global(_Choice, adaptive, "global_max_pool", which="max")
GlobalAvgPool = _global(_Total, adaptive, "global_avg_pool")
GlobalLpPool = _global(_Saving, norms, "global_lp_pool")
GlobalGemPool = _global(_Saving, norms, "global_gem_pool", learned=("p",))
GlobalAttentionPool = _global(_Attention, soft, "global_attention_pool")
SpatialPyramidPool = _global(_Saving, pyramids, "spatial_pyramid_pool")
Sppf = _global(_Saving, pyramids, "sppf")
RoiPool = _global(_Beside, regions, "roi_pool", also=("boxes",))
RoiAlign = _global(_Beside, regions, "roi_align", also=("boxes",))
PsRoiPool = _global(_Beside, regions, "ps_roi_pool", also=("boxes",))
PsRoiAlign = _global(_Beside, regions, "ps_roi_align", also=("boxes",))
MaskedAvgPool = _global(_Beside, sequences, "masked_avg_pool", also=("mask", "offsets"))
MaskedMaxPool = _global(_Beside, sequences, "masked_max_pool", also=("mask", "offsets"))
KMaxPool1d = _layer(_Beside, sequences, "k_max_pool1d", "k_max_pool1d_backward", 1)
DynamicKMaxPool1d = _layer(_Beside, sequences, "dynamic_k_max_pool1d", "k_max_pool1d_backward", 1)
DynamicPool2d = _layer(_Beside, sequences, "dynamic_pool2d", "dynamic_pool2d_backward", 2)
SegmentSum = _global(_Beside, segments, "segment_sum", also=("segment_ids",))
SegmentMean = _global(_Beside, segments, "segment_mean", also=("segment_ids",))
SegmentMax = _global(_Beside, segments, "segment_max", also=("segment_ids",))
SegmentMin = _global(_Beside, segments, "segment_min", also=("segment_ids",))
TopkPool = _global(_Beside, graphs, "topk_pool", also=("scores", "segment_ids", "edges"), gives="idx")
MaxUnpool1d, MaxUnpool2d, MaxUnpool3d = _each(_Beside, unpooling, "max_unpool", also=("indices",))
AvgUnpool1d, AvgUnpool2d, AvgUnpool3d = _each(_Beside, unpooling, "avg_unpool")


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
