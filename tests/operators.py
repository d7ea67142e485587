"""The one list of operators. It drives every parametrised test, so a new operator is covered the day it is listed."""

from dataclasses import dataclass

import numpy as np
import reference
from cases import BOOL, DTYPES, random_geometry, random_shape

import cypool


@dataclass(frozen=True)
class Operator:
    """One operator in one dimension. A global one takes no window: it is tested as a window as large as the plane; an
    adaptive one takes the size that comes out."""

    kind: str
    ndim: int
    is_global: bool = False
    is_adaptive: bool = False

    @property
    def name(self):
        if self.is_global:
            return f"global_{self.kind}_pool"
        return f"adaptive_{self.kind}_pool{self.ndim}d" if self.is_adaptive else f"{self.kind}_pool{self.ndim}d"

    @property
    def id(self):
        return f"{self.name}-{self.ndim}d" if self.is_global else self.name

    @property
    def layer_name(self):
        title = self.kind.capitalize()
        if self.is_global:
            return f"Global{title}Pool"
        return f"Adaptive{title}Pool{self.ndim}d" if self.is_adaptive else f"{title}Pool{self.ndim}d"

    @property
    def forward(self):
        return getattr(cypool, self.name)

    @property
    def backward(self):
        return getattr(cypool, f"{self.name}_backward")

    @property
    def layer(self):
        return getattr(cypool, self.layer_name)

    @property
    def chooses(self):
        """Takes elements, and so has indices; the others are linear."""
        return self.kind in ("max", "min")

    @property
    def has_window(self):
        return not self.is_global and not self.is_adaptive

    @property
    def has_divisor(self):
        return self.kind == "avg" and self.has_window

    def setting(self, **window):
        """What a call takes that has this window, if it takes one."""
        return {} if self.is_global else {"output_size": 2} if self.is_adaptive else window

    @property
    def dtypes(self):
        return {**DTYPES, **BOOL} if self.chooses else DTYPES

    def random_call(self, rng, data_format, largest=11, batched=None):
        """An input shape and the keyword arguments of a valid call, without the data format."""
        if self.is_global:
            spatial = tuple(int(n) for n in rng.integers(1, largest + 1, self.ndim))
            return random_shape(rng, spatial, data_format, batched=True), {}
        if self.is_adaptive:
            most = (largest + 3, 8, 4)[self.ndim - 1]                   # the oracle takes one bin after the other
            spatial = tuple(int(n) for n in rng.integers(1, (largest, largest, 6)[self.ndim - 1] + 1, self.ndim))
            outputs = [None if rng.random() < 0.1 else int(o) for o in rng.integers(1, most + 1, self.ndim)]
            outputs = outputs[0] if len(set(outputs)) == 1 else outputs if rng.random() < 0.3 else tuple(outputs)
            return random_shape(rng, spatial, data_format, batched), {"output_size": outputs}
        spatial, window = random_geometry(rng, self.ndim, largest)
        if self.has_divisor:
            if rng.random() < 0.5:
                window["count_include_pad"] = bool(rng.random() < 0.5)
            if rng.random() < 0.25:
                window["divisor_override"] = int(rng.choice([-7, -1, 1, 3, 1000]))
        return random_shape(rng, spatial, data_format, batched), window

    def spatial(self, shape, data_format):
        """The spatial part of a batched or unbatched shape."""
        end = len(shape) - (data_format == "channels_last")
        return tuple(shape[end - self.ndim : end])

    def window(self, shape, window, data_format):
        return {"kernel_size": self.spatial(shape, data_format)} if self.is_global else window

    def expected(self, x, window, data_format="channels_first", **options):
        if self.is_adaptive:
            return reference.adaptive(self.kind, self.ndim, x, data_format=data_format, **window, **options)
        window = self.window(x.shape, window, data_format)
        return reference.pool(self.kind, self.ndim, x, data_format=data_format, **window, **options)

    def expected_backward(self, grad, shape, window, indices=None, data_format="channels_first"):
        if self.chooses:
            return reference.scatter(self.ndim, grad, indices, shape, data_format)
        if self.is_adaptive:
            return reference.adaptive_spread(self.ndim, grad, shape, data_format)
        window = self.window(shape, window, data_format)
        return reference.spread(self.kind, self.ndim, grad, shape, data_format=data_format, **window)

    def run(self, x, window, **options):
        """The forward call, with indices where the operator has them: ``(y, indices or None)``."""
        if self.chooses:
            return self.forward(x, **window, return_indices=True, **options)
        return self.forward(x, **window, **options), None

    def run_backward(self, grad, shape, window, indices=None, **options):
        if self.chooses:
            return self.backward(grad, indices, shape, **options)
        return self.backward(grad, shape, **({} if self.is_adaptive else window), **options)

    def random_indices(self, rng, x, window, data_format="channels_first"):
        """Indices that a forward call could have returned for ``x``, or None."""
        return self.expected(x, window, data_format).indices if self.chooses else None


KINDS = ("max", "min", "avg", "sum")
WINDOWED = [Operator(kind, ndim) for kind in KINDS for ndim in (1, 2, 3)]
GLOBAL = [Operator(kind, ndim, is_global=True) for kind in ("max", "avg") for ndim in (1, 2, 3)]
ADAPTIVE = [Operator(kind, ndim, is_adaptive=True) for kind in ("max", "avg") for ndim in (1, 2, 3)]
OPERATORS = WINDOWED + GLOBAL + ADAPTIVE
CHOOSING = [op for op in OPERATORS if op.chooses]
LINEAR = [op for op in OPERATORS if not op.chooses]


def ids(ops):
    return [op.id for op in ops]


def plain(op, n=6, dtype=np.float32):
    """A batch of ones with ``n`` elements on each spatial axis."""
    return np.ones((2, 3, *(n,) * op.ndim), dtype)
