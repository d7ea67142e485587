"""The oracle of operators that weigh and mix: each by its formula, from the taps of every window, slowly, in NumPy.

A formula gets the taps ``w``, an array (taps, N, C, *windows) of long doubles, and ``valid``, which of them are
elements; and parameters as they were passed. It gives the values (N, C, *windows).
"""

from dataclasses import dataclass, field

import numpy as np
import reference
from cases import random_geometry, random_shape

import cypool

LONG = np.longdouble


def taps(x, ndim, window, data_format, fill=0.0):
    """The taps of each window and which are elements, of x in either layout."""
    planes = reference.planes(np.asarray(x), ndim, data_format)
    axes = reference.geometry(planes.shape[2:], **window)
    wide = reference.extended(planes.astype(LONG), axes, fill)
    inside = reference.extended(np.ones((1, 1, *planes.shape[2:]), bool), axes, False)
    parts = list(reference.scan(axes))
    return np.stack([wide[p] for p in parts]), np.stack([inside[p] for p in parts])


def by_channel(p, w):
    """A parameter for every channel, ready to broadcast to ``w[0]``."""
    p = np.asarray(p, LONG)
    if p.ndim == 2:
        return p.reshape(*p.shape, *(1,) * (w.ndim - 3))
    return p.reshape(-1, *(1,) * (w.ndim - 3)) if p.ndim else p


def lp(w, valid, norm_type, torch_compat=False):
    p = LONG(norm_type)
    if torch_compat:
        return (np.where(valid, w**p, 0).sum(0) * len(w) / valid.sum(0)) ** (1 / p)
    if np.isinf(p):
        return np.where(valid, abs(w), -p).max(0) if p > 0 else np.where(valid, abs(w), -p).min(0)
    scale = np.where(valid, abs(w), 0).max(0)
    scale = np.where((scale == 0) | ~np.isfinite(scale), 1, scale)
    return scale * np.where(valid, (abs(w) / scale) ** p, 0).sum(0) ** (1 / p)


def gem(w, valid, p, eps=1e-6):
    p, xc = by_channel(p, w), np.maximum(w, eps)
    scale = np.where(valid, xc, 0).max(0)
    return scale * (np.where(valid, (xc / scale) ** p, 0).sum(0) / valid.sum(0)) ** (1 / p)


def lse(w, valid, r):
    z = by_channel(r, w) * w
    top = np.where(valid, z, -np.inf).max(0)
    return (np.log(np.where(valid, np.exp(z - top), 0).sum(0) / valid.sum(0)) + top) / by_channel(r, w)


def attention(w, valid, logits):
    z = np.where(valid, logits, -np.inf)
    top = z.max(0)
    weight = np.exp(z - np.where(np.isfinite(top), top, 0))
    total = weight.sum(0)
    return np.where(total == 0, 0, (weight * np.where(weight == 0, 0, w)).sum(0) / np.where(total == 0, 1, total))


def soft(w, valid):
    return attention(w, valid, w)


def most(w, valid):
    return np.where(valid, w, -np.inf).max(0)


def mean(w, valid):
    return np.where(valid, w, 0).sum(0) / valid.sum(0)


def mixed(w, valid, alpha):
    a = by_channel(alpha, w)
    return a * most(w, valid) + (1 - a) * mean(w, valid)


def filtered(w, weights, ndim):
    """Sums over taps with weights for all channels or for each."""
    weights = np.asarray(weights, LONG)
    each = weights.reshape(-1, len(w)).T if weights.ndim > ndim else weights.reshape(1, -1).T
    return (w * each.reshape(len(w), 1, -1, *(1,) * ndim)).sum(0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gated(w, valid, gate_weights):
    g = sigmoid(filtered(w, gate_weights, w.ndim - 3))
    return g * most(w, valid) + (1 - g) * mean(w, valid)


def tree(w, valid, leaf_weights, gate_weights):
    ndim = w.ndim - 3
    level = [filtered(w, leaf, ndim) for leaf in leaf_weights]
    gates = [sigmoid(filtered(w, gate, ndim)) for gate in gate_weights]
    while len(level) > 1:
        here = gates[len(level) // 2 - 1 : len(level) - 1]
        level = [g * a + (1 - g) * b for g, a, b in zip(here, level[::2], level[1::2], strict=True)]
    return level[0]


def stochastic_mean(w, valid):
    w = np.where(valid, w, 0)
    total = w.sum(0)
    return np.where(total == 0, 0, (w * w).sum(0) / np.where(total == 0, 1, total))


def weighted(w, valid, weights):
    return filtered(w, weights, w.ndim - 3)


@dataclass(frozen=True)
class Formula:
    """An operator with windows and how to test it.

    ``draw(rng, kernel, channels, n)`` gives its arguments by name.
    """

    name: str
    value: object
    draw: object = staticmethod(lambda rng, kernel, channels, n: {})
    learned: tuple = ()
    positive: bool = False
    fixed: dict = field(default_factory=dict)
    own_window: bool = False
    omits: bool = True

    def forward(self, ndim):
        return getattr(cypool, f"{self.name}{ndim}d")

    def backward(self, ndim):
        between = "_inference" if self.name == "stochastic_pool" else ""
        return getattr(cypool, f"{self.name}{ndim}d{between}_backward")

    def layer(self, ndim):
        return getattr(cypool, "".join(p.capitalize() for p in f"{self.name}{ndim}d".split("_")))

    def random_call(self, rng, ndim, data_format, largest=9):
        """An input's shape, a window, and the other arguments by name."""
        while True:
            spatial, window = random_geometry(rng, ndim, largest)
            shape = random_shape(rng, spatial, data_format, batched=True)
            kernel = reference.per_axis(window["kernel_size"], ndim)
            channels = shape[-1] if data_format == "channels_last" else shape[1]
            if channels <= 5:
                return shape, window, self.draw(rng, tuple(kernel), channels, shape[0])

    def run(self, x, window, given, ndim, **options):
        if self.own_window:
            window = {k: v for k, v in window.items() if k != "kernel_size"}
        return self.forward(ndim)(x, **given, **window, **self.fixed, **options)

    def run_backward(self, grad, x, window, given, ndim, **options):
        if self.own_window:
            window = {k: v for k, v in window.items() if k != "kernel_size"}
        fixed = {k: v for k, v in self.fixed.items() if k != "training"}
        made = self.backward(ndim)(grad, x, **given, **window, **fixed, **options)
        return made if isinstance(made, tuple) else (made,)

    def expected(self, x, window, given, ndim, data_format):
        """The values in the layout of the call."""
        w, valid = taps(x, ndim, window, data_format)
        given = dict(given)
        if "logits" in given:
            given["logits"] = taps(given["logits"], ndim, window, data_format)[0]
        with np.errstate(all="ignore"):
            y = self.value(w, valid, **given)
        return np.moveaxis(y, 1, -1) if data_format == "channels_last" else y

    def logits(self, rng, x, given, data_format):
        """Logits are drawn when x's shape is known."""
        if self.name == "attention_pool":
            shape = list(x.shape)
            if rng.random() < 0.5:
                shape[-1 if data_format == "channels_last" else 1] = 1
            given = {"logits": rng.normal(size=shape).astype(x.dtype), **given}
        return given


def exponents(rng, channels):
    values = rng.choice([-2, -1, 0.5, 1, 2, 3, 4.5], channels)
    return values if rng.random() < 0.5 else float(values[0])


FORMULAS = [
    Formula("lp_pool", lp, lambda rng, k, c, n: {"norm_type": float(rng.choice([0.5, 1, 2, 2, 3, 2.5, np.inf]))}),
    Formula("gem_pool", gem, lambda rng, k, c, n: {"p": exponents(rng, c), "eps": 0.05}, learned=("p",)),
    Formula("lse_pool", lse, lambda rng, k, c, n: {"r": exponents(rng, c)}, learned=("r",)),
    Formula("soft_pool", soft),
    Formula("attention_pool", attention, learned=("logits",)),
    Formula("mixed_pool", mixed, lambda rng, k, c, n: {
        "alpha": [0.3, rng.random(c), rng.random((n, c))][rng.integers(3)]}, learned=("alpha",)),
    Formula("gated_pool", gated, lambda rng, k, c, n: {
        "gate_weights": rng.normal(size=k if rng.random() < 0.5 else (c, *k))}, learned=("gate_weights",),
        omits=False),
    Formula("tree_pool", tree, lambda rng, k, c, n: {
        "leaf_weights": rng.normal(size=(4, *k)), "gate_weights": rng.normal(size=(3, *k))},
        learned=("leaf_weights", "gate_weights"), omits=False),
    Formula("stochastic_pool", stochastic_mean, positive=True, fixed={"training": False}, omits=False),
    Formula("weighted_pool", weighted, lambda rng, k, c, n: {
        "weights": rng.normal(size=k if rng.random() < 0.5 else (c, *k))}, learned=("weights",), own_window=True,
        omits=False),
]


def data(rng, formula, shape, dtype, scale=1.0):
    x = rng.normal(size=shape) * scale
    return (abs(x) if formula.positive else x).astype(dtype)

