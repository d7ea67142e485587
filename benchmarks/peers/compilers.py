"""TensorFlow and JAX, which work with channels last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..cases import Case, Timed
from .base import Peer, Prepared, Settings, fastest, from_last, to_last


class TensorFlow(Peer):
    """Eager ``tf.nn`` pooling on channels-last tensors, a series as an image of height 1."""

    key, name, module = "tensorflow", "TensorFlow", "tensorflow"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import tensorflow

        self.tf, self.version = tensorflow, tensorflow.__version__
        tensorflow.config.threading.set_intra_op_parallelism_threads(settings.threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        tensorflow.config.set_visible_devices([], "GPU")

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        if set(case.dilations) != {1}:
            return None
        if case.is_global:
            return self._global(case, x)
        data, lift = self.tf.constant(to_last(x)), case.ndim == 1
        data = data[:, None] if lift else data
        call = self._pooling(case, data, lift)
        return Prepared(call, lambda y: from_last(y[:, 0] if lift else y), "channels-last")

    def ways(self, case: Timed, x: np.ndarray) -> list[Prepared]:
        """Segments, of which those without rows are 0 here as well."""
        if not case.op.startswith("segment_"):
            return []
        math, kind = self.tf.math, case.op.removeprefix("segment_")
        data, ids = self.tf.constant(x), self.tf.constant(dict(case.given)["segment_ids"])
        most = self.tf.constant(case.segments)

        def any_order() -> Any:
            y = getattr(math, f"unsorted_segment_{kind}")(data, ids, most)
            return y if kind in ("sum", "mean") else self.tf.where(math.abs(y) < data.dtype.max, y, 0)

        def rising() -> Any:
            y = getattr(math, case.op)(data, ids)
            return self.tf.pad(y, [(0, most - self.tf.shape(y)[0]), (0, 0)])

        ways = {"unsorted_segment": any_order, **({"segment": rising} if case.rising else {})}
        return [Prepared(way, layout=name) for name, way in ways.items()]

    def _pooling(self, case: Case, data: Any, lift: bool) -> Callable[[], Any]:
        """Padding by its name where TensorFlow has one, explicitly where the operator takes it, else by ``tf.pad``."""
        front, spatial = ((1,), 2) if lift else ((), case.ndim)
        pool = getattr(self.tf.nn, f"{case.op}_pool{spatial}d")
        kernel, stride = (*front, *case.kernels), (*front, *case.strides)
        pads = [(0, 0), *[(0, 0) for _ in front], *case.pads, (0, 0)]
        named = _named_padding(case)
        if named is not None:
            return lambda: pool(data, kernel, stride, named)
        if case.op == "max" and spatial == 2:
            return lambda: pool(data, kernel, stride, pads)
        if not case.include_pad:
            return None
        fill = float("-inf") if case.op == "max" else 0.0
        return lambda: pool(self.tf.pad(data, pads, constant_values=fill), kernel, stride, "VALID")

    def _global(self, case: Case, x: np.ndarray) -> Prepared | None:
        reduce = self.tf.reduce_max if case.op == "max" else self.tf.reduce_mean
        axes = list(range(1, 1 + case.ndim))
        first, last = self.tf.constant(x), self.tf.constant(to_last(x))
        return fastest(
            Prepared(lambda: reduce(last, axes, keepdims=True), from_last, "channels-last"),
            Prepared(lambda: reduce(first, [axis + 1 for axis in axes], keepdims=True), layout="channels-first"),
        )


class Jax(Peer):
    """``lax.reduce_window`` compiled by XLA, in the better of both layouts."""

    key, name, module = "jax", "JAX", "jax"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import jax

        self.jax, self.version = jax, jax.__version__

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        last = Prepared(self._compiled(case, to_last(x), slice(1, -1)), from_last, "channels-last")
        return fastest(Prepared(self._compiled(case, x, slice(2, None)), layout="channels-first"), last)

    def operator(self, case: Timed, x: np.ndarray) -> Prepared | None:
        """Segments, of which those without rows are 0 here as well."""
        if not case.op.startswith("segment_"):
            return None
        ops, jnp, kind = self.jax.ops, self.jax.numpy, case.op.removeprefix("segment_")
        reduce = getattr(ops, "segment_sum" if kind == "mean" else case.op)
        settings = {"num_segments": case.segments, "indices_are_sorted": case.rising}

        def segments(x: Any, ids: Any) -> Any:
            y = reduce(x, ids, **settings)
            if kind == "mean":
                return y / jnp.maximum(ops.segment_sum(jnp.ones_like(ids), ids, **settings), 1)[:, None]
            return y if kind == "sum" else jnp.where(jnp.isinf(y), 0, y)

        ids = dict(case.given)["segment_ids"].astype(np.int32)  # it has no others unless told to
        return Prepared(self._ready(segments, x, ids), layout="jax.ops")

    def _compiled(self, case: Case, x: np.ndarray, spatial: slice) -> Callable[[], Any]:
        return self._ready(self._global(case, spatial) if case.is_global else self._windowed(case, spatial), x)

    def _ready(self, function: Callable[..., Any], *arrays: np.ndarray) -> Callable[[], Any]:
        compiled = partial(self.jax.jit(function), *map(self.jax.device_put, arrays))
        compiled().block_until_ready()
        return lambda: compiled().block_until_ready()

    def _global(self, case: Case, spatial: slice) -> Callable[[Any], Any]:
        axes = tuple(range(2 + case.ndim))[spatial]
        reduce = self.jax.numpy.max if case.op == "max" else self.jax.numpy.mean
        return lambda x: reduce(x, axis=axes, keepdims=True)

    def _windowed(self, case: Case, spatial: slice) -> Callable[[Any], Any]:
        lax = self.jax.lax

        def full(values: Any, filler: Any) -> tuple:
            whole = [filler] * (2 + case.ndim)
            whole[spatial] = values
            return tuple(whole)

        window = full(case.kernels, 1), full(case.strides, 1), full(case.pads, (0, 0))
        dilation = full(case.dilations, 1)
        if case.op == "max":
            return lambda x: lax.reduce_window(x, -np.inf, lax.max, *window, window_dilation=dilation)
        shape = full(case.outputs, 1) if isinstance(case.divisors(), np.ndarray) else (1,) * (2 + case.ndim)
        scale = np.reshape(1 / np.float32(case.divisors()), shape)
        return lambda x: lax.reduce_window(x, 0.0, lax.add, *window) * scale


def _named_padding(case: Case) -> str | None:
    """``VALID`` or ``SAME`` where it means the case's own padding."""
    if not any(map(any, case.pads)):
        return "VALID"
    for n, k, s, pads, o in zip(case.spatial, case.kernels, case.strides, case.pads, case.outputs, strict=True):
        total = max(0, (-(-n // s) - 1) * s + k - n)
        if o != -(-n // s) or pads != (total // 2, total - total // 2):
            return None
    return "SAME" if case.op == "max" or not case.include_pad else None
