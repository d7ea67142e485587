"""Second witnesses for the operators that weigh, mix and draw: PyTorch, also as autograd of the papers' formulas."""

import numpy as np
import pytest
from formulas import FORMULAS, data
from reference import geometry

import cypool

torch = pytest.importorskip("torch")
F = torch.nn.functional


def unfolded(x, ndim, window):
    """Taps of every window as a last axis, and which are elements; differentiable."""
    axes = geometry(tuple(x.shape[2:]), **window)
    index, inside = torch.zeros((), dtype=torch.long), torch.ones((), dtype=torch.bool)
    for i, ax in enumerate(axes):
        place = (torch.arange(ax.o) * ax.s - ax.p0)[:, None] + torch.arange(ax.k) * ax.d
        shape = [1] * (2 * ndim)
        shape[i], shape[ndim + i] = ax.o, ax.k
        place = place.reshape(shape)
        index, inside = index * ax.n + place.clamp(0, ax.n - 1), inside & (place >= 0) & (place < ax.n)
    outs = tuple(ax.o for ax in axes)
    index = index.expand(*outs, *(ax.k for ax in axes)).reshape(*outs, -1)
    inside = inside.expand(*outs, *(ax.k for ax in axes)).reshape(*outs, -1)
    return x.flatten(2)[:, :, index], inside


def by_channel(p, w):
    return p.reshape(*p.shape, *(1,) * (w.ndim - p.ndim - (1 if p.ndim == 1 else 0))) if p.ndim else p


def taps_of(weights, w, ndim):
    """Weights as they multiply w."""
    return weights.reshape(-1, *(1,) * ndim, w.shape[-1]) if weights.ndim > ndim else weights.reshape(-1)


def averaged(w, inside):
    return torch.where(inside, w, 0).sum(-1) / inside.sum(-1)


def highest(w, inside):
    return torch.where(inside, w, -np.inf).amax(-1)


def attention(w, inside, z):
    return (torch.softmax(torch.where(inside, z, -np.inf), -1) * w).sum(-1)


def tree(w, inside, ndim, leaf_weights, gate_weights):
    zero = torch.where(inside, w, 0)
    level = [(zero * leaf.reshape(-1)).sum(-1) for leaf in leaf_weights]
    while len(level) > 1:
        n = len(level) // 2
        g = [torch.sigmoid((zero * gate_weights[n - 1 + i].reshape(-1)).sum(-1)) for i in range(n)]
        level = [g[i] * level[2 * i] + (1 - g[i]) * level[2 * i + 1] for i in range(n)]
    return level[0]


def gated(w, inside, ndim, gate_weights):
    g = torch.sigmoid((torch.where(inside, w, 0) * taps_of(gate_weights, w, ndim)).sum(-1))
    return g * highest(w, inside) + (1 - g) * averaged(w, inside)


def lse(w, inside, ndim, r):
    r = by_channel(r, w)
    z = torch.where(inside, r * w, -np.inf)
    return (torch.logsumexp(z, -1) - torch.log(inside.sum(-1).double())) / (r[..., 0] if r.ndim else r)


def gem(w, inside, ndim, p, eps):
    p = by_channel(p, w)
    return averaged(torch.where(inside, w, 1).clamp(min=float(eps)) ** p, inside) ** (1 / (p[..., 0] if p.ndim else p))


def mixed(w, inside, ndim, alpha):
    a = by_channel(alpha, w)[..., 0] if alpha.ndim else alpha
    return a * highest(w, inside) + (1 - a) * averaged(w, inside)


AUTOGRAD = {
    "lp_pool": lambda w, i, n, norm_type: (torch.where(i, w.abs(), 0) ** norm_type).sum(-1) ** (1 / norm_type),
    "gem_pool": gem,
    "lse_pool": lse,
    "soft_pool": lambda w, i, n: attention(w, i, w),
    "attention_pool": lambda w, i, n, logits: attention(w, i, logits),
    "mixed_pool": mixed,
    "gated_pool": gated,
    "tree_pool": tree,
    "stochastic_pool": lambda w, i, n: torch.where(i, w * w, 0).sum(-1) / torch.where(i, w, 0).sum(-1),
    "weighted_pool": lambda w, i, n, weights: (torch.where(i, w, 0) * taps_of(weights, w, n)).sum(-1),
}


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("formula", FORMULAS, ids=[f.name for f in FORMULAS])
def test_autograd_of_the_formula(formula, ndim):
    rng = np.random.default_rng(20 + ndim)
    for _ in range(6):
        shape, window, given = formula.random_call(rng, ndim, "channels_first", largest=8)
        x = data(rng, formula, shape, np.float64)
        if formula.name == "lp_pool":
            given["norm_type"] = float(rng.choice([1, 2, 3, 2.5]))
        given = formula.logits(rng, x, given, "channels_first")
        t = torch.tensor(x, requires_grad=True)
        parameters = {name: torch.tensor(np.asarray(value, np.float64), requires_grad=True)
                      for name, value in given.items()}
        w, inside = unfolded(t, ndim, window)
        passed = dict(parameters)
        if "logits" in passed:
            passed["logits"] = unfolded(passed["logits"].expand(shape), ndim, window)[0]
        if "norm_type" in passed:
            passed["norm_type"] = given["norm_type"]
        if "eps" in passed:
            passed["eps"] = given["eps"]
        wanted = AUTOGRAD[formula.name](w, inside, ndim, **passed)
        y = formula.run(x, window, given, ndim)
        np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=1e-10, atol=1e-12)
        grad = rng.normal(size=y.shape)
        wanted.backward(torch.tensor(grad))
        made = formula.run_backward(grad, x, window, given, ndim)
        np.testing.assert_allclose(made[0], t.grad.numpy(), rtol=1e-8, atol=1e-9, err_msg=f"{shape} {window} {given}")
        for name, back in zip(formula.learned, made[1:], strict=True):
            np.testing.assert_allclose(back, parameters[name].grad.numpy(), rtol=1e-7, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_lp_pool_like_pytorch(ndim):
    rng = np.random.default_rng(ndim)
    for p in (1.0, 2.0, 3.0, 2.5):
        for ceil_mode in (False, True):
            x = rng.normal(size=(2, 3, *(7,) * ndim))
            if p not in (1, 2):
                x = abs(x)
            t = torch.tensor(x, requires_grad=True)
            wanted = getattr(F, f"lp_pool{ndim}d")(t, p, 3, 2, ceil_mode)
            options = {"ceil_mode": ceil_mode, "torch_compat": True}
            y = getattr(cypool, f"lp_pool{ndim}d")(x, p, 3, 2, **options)
            np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=1e-10)
            grad = rng.normal(size=y.shape)
            wanted.backward(torch.tensor(grad))
            back = getattr(cypool, f"lp_pool{ndim}d_backward")(grad, x, p, 3, 2, **options)
            np.testing.assert_allclose(back, t.grad.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("ndim", [2, 3])
def test_fractional_max_pool_like_pytorch(ndim):
    rng = np.random.default_rng(ndim)
    for _ in range(10):
        sizes = rng.integers(6, 12, ndim)
        kernel = int(rng.integers(1, 4))
        outputs = [int(rng.integers(2, n - kernel)) for n in sizes]
        x, samples = rng.normal(size=(2, 3, *sizes)), rng.random((2, 3, ndim))
        theirs = samples[..., ::-1].copy() if ndim == 2 else samples                # in 2D they go W, H
        wanted, chosen = getattr(F, f"fractional_max_pool{ndim}d")(
            torch.tensor(x), kernel, outputs, return_indices=True, _random_samples=torch.tensor(theirs))
        y, indices = getattr(cypool, f"fractional_max_pool{ndim}d")(x, kernel, outputs, return_indices=True,
                                                                    random_samples=samples)
        assert np.array_equal(y, wanted.numpy()) and np.array_equal(indices, chosen.numpy())


def test_weighted_pool_is_a_depthwise_correlation():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, 4, 9, 10)), rng.normal(size=(4, 3, 2))
    wanted = F.conv2d(torch.tensor(x), torch.tensor(weights)[:, None], stride=(2, 1), padding=(1, 1), dilation=(1, 2),
                      groups=4)
    y = cypool.weighted_pool2d(x, weights, (2, 1), 1, (1, 2))
    np.testing.assert_allclose(y, wanted.numpy(), rtol=1e-12, atol=1e-13)
