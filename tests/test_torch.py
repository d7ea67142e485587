"""Against PyTorch, in the same process: values, indices and gradients of thousands of random calls."""

from functools import cache

import numpy as np
import pytest
import reference
from cases import DATA, DATA_FORMATS, DTYPES, FLOATS, full_range, random_shape, shaped, specials
from operators import ADAPTIVE, GLOBAL, WINDOWED, ids

torch = pytest.importorskip("torch")

CALLS = 60  # for each operator and layout, on every build
CHOSEN = [*FLOATS, "uint8", "int8", "int16", "int32", "int64"]
AVERAGED = {1: list(FLOATS), 2: list(FLOATS), 3: ["float32", "float64"]}


def to_torch(x):
    x = np.array(x)
    return (
        torch.from_numpy(x.view(np.int16)).view(torch.bfloat16) if x.dtype.name == "bfloat16" else torch.from_numpy(x)
    )


def to_numpy(t):
    return (t.float() if t.dtype == torch.bfloat16 else t).detach().numpy()


def draw(rng, op):
    """A geometry that PyTorch accepts: padding up to half the plain kernel, no dilation in averages."""
    while True:
        spatial = tuple(int(n) for n in rng.integers(1, 12, op.ndim))
        kernel, stride, dilation = (tuple(int(v) for v in rng.integers(1, top, op.ndim)) for top in (5, 5, 4))
        window = {"kernel_size": kernel, "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)}
        window["stride"] = stride if rng.random() < 0.8 else kernel
        window["ceil_mode"] = bool(rng.integers(2))
        if op.chooses:
            window["dilation"] = dilation
        elif op.ndim == 3 and any(n < k for n, k in zip(spatial, kernel, strict=True)):
            continue  # avg_pool3d alone refuses these
        try:
            reference.geometry(spatial, **window)
        except ValueError:
            continue
        if op.kind == "avg":
            window["count_include_pad"] = bool(rng.integers(2))
            if op.ndim > 1 and rng.random() < 0.3:
                window["divisor_override"] = int(rng.choice([-3, 1, 2, 9]))
        return spatial, window


def in_torch(op, x, window):
    """The same call in PyTorch: ``(y, indices or None)``."""
    pools = torch.nn.functional
    if op.chooses:
        sign = 1 if op.kind == "max" else -1
        y, indices = getattr(pools, f"max_pool{op.ndim}d")(sign * x, **window, return_indices=True)
        return sign * y, indices
    if op.kind == "avg":
        return getattr(pools, f"avg_pool{op.ndim}d")(x, **window), None
    if op.ndim == 3:
        return pools.avg_pool3d(x, **window, divisor_override=1), None
    # A sum is an average over 1, which 1D lacks: a row is a plane of width one.
    lift = {"kernel_size": 1, "stride": 1, "padding": 0} if op.ndim == 1 else {}
    planes = {name: (*window[name], unit) for name, unit in lift.items()}
    y = pools.avg_pool2d(x[..., None] if lift else x, **{**window, **planes}, divisor_override=1)
    return (y[..., 0] if lift else y), None


@cache
def random_calls(op, data_format):
    """Input, settings, PyTorch's results channels first, and the rounding that a correct sum may differ by."""
    rng = np.random.default_rng([op.ndim, len(op.name), len(data_format)])
    calls = []
    for i in range(CALLS):
        spatial, window = draw(rng, op)
        name = str(
            rng.choice(CHOSEN if op.chooses and op.kind == "max" else CHOSEN[:4] if op.chooses else AVERAGED[op.ndim])
        )
        x = DATA[i % len(DATA)](rng, random_shape(rng, spatial, "channels_first"), DTYPES[name])
        there = to_torch(x)
        differentiable = name in ("float32", "float64")
        there.requires_grad_(differentiable)
        y, indices = in_torch(op, there, window)
        grad = full_range(rng, tuple(y.shape), np.float64 if name == "float64" else np.float32)
        if differentiable:
            y.backward(to_torch(grad))
        back = to_numpy(there.grad) if differentiable else None
        calls.append((x, window, to_numpy(y), indices if indices is None else indices.numpy(), grad, back))
    return calls


def into(x, ndim, data_format):
    """Channels first to the layout of the call."""
    return np.ascontiguousarray(np.moveaxis(x, x.ndim - 1 - ndim, -1)) if data_format == "channels_last" else x


def agree(got, wanted, allowed, note):
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        assert (same | (np.abs(got - wanted) <= 2 * allowed)).all(), note


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_random_calls(op, data_format, isa):
    for x, window, y, indices, grad, back in random_calls(op, data_format):
        note = f"{op.id} {x.dtype} {x.shape} {window}"
        here = into(x, op.ndim, data_format)
        got, got_indices = op.run(here, window, data_format=data_format)
        allowed = op.expected(here, window, data_format).tolerance
        agree(got, into(y, op.ndim, data_format), allowed, note)
        if op.chooses:
            np.testing.assert_array_equal(got_indices, into(indices, op.ndim, data_format), note)
        if back is not None:
            delta = into(grad, op.ndim, data_format)
            gradient = op.run_backward(delta, here.shape, window, got_indices, data_format=data_format)
            allowed = op.expected_backward(delta, here.shape, window, got_indices, data_format).tolerance
            agree(gradient, into(back, op.ndim, data_format), allowed, f"backward {note}")


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", GLOBAL, ids=ids(GLOBAL))
def test_global(op, data_format, isa):
    rng = np.random.default_rng(op.ndim)
    for _ in range(CALLS):
        x = specials(rng, shaped(2, 3, tuple(rng.integers(1, 12, op.ndim)), "channels_first"), np.float32)
        here = into(x, op.ndim, data_format)
        got, indices = op.run(here, {}, data_format=data_format)
        adaptive = getattr(torch.nn.functional, f"adaptive_{op.kind}_pool{op.ndim}d")
        options = {"return_indices": True} if op.chooses else {}
        there = adaptive(to_torch(x), 1, **options)
        y, chosen = there if op.chooses else (there, None)
        allowed = op.expected(here, {}, data_format).tolerance
        agree(got, into(to_numpy(y), op.ndim, data_format), allowed, x.shape)
        if op.chooses:
            np.testing.assert_array_equal(indices, into(chosen.numpy(), op.ndim, data_format))


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", ADAPTIVE, ids=ids(ADAPTIVE))
def test_adaptive(op, data_format, isa):
    rng = np.random.default_rng(op.ndim)
    for i in range(CALLS):
        outputs = tuple(rng.integers(1, (14, 10, 5)[op.ndim - 1], op.ndim).tolist())
        shape = shaped(2, 3, tuple(rng.integers(1, 12, op.ndim)), "channels_first")
        x = DATA[i % len(DATA)](rng, shape, np.float32)
        here, there = into(x, op.ndim, data_format), to_torch(x).requires_grad_()
        got, indices = op.run(here, {"output_size": outputs}, data_format=data_format)
        options = {"return_indices": True} if op.chooses else {}
        pooled = getattr(torch.nn.functional, f"adaptive_{op.kind}_pool{op.ndim}d")(there, outputs, **options)
        y, chosen = pooled if op.chooses else (pooled, None)
        agree(got, into(to_numpy(y), op.ndim, data_format),
              op.expected(here, {"output_size": outputs}, data_format).tolerance, (shape, outputs))
        if op.chooses:
            np.testing.assert_array_equal(indices, into(chosen.numpy(), op.ndim, data_format))
        grad = full_range(rng, tuple(y.shape), np.float32)
        y.backward(to_torch(grad))
        delta = into(grad, op.ndim, data_format)
        back = op.run_backward(delta, here.shape, {"output_size": outputs}, indices, data_format=data_format)
        allowed = op.expected_backward(delta, here.shape, {}, indices, data_format).tolerance
        agree(back, into(to_numpy(there.grad), op.ndim, data_format), allowed, (shape, outputs))


@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_tensors_come_in_without_a_copy(op):
    """A CPU tensor is an array like any other, in either memory format; a result goes back with from_numpy."""
    x = np.random.default_rng(1).normal(size=(2, 3, *(8,) * op.ndim)).astype(np.float32)
    tensor = torch.from_numpy(x.copy())
    y, indices = op.run(tensor, {"kernel_size": 2})
    wanted, wanted_indices = op.run(x, {"kernel_size": 2})
    assert isinstance(y, np.ndarray) and np.array_equal(y, wanted)
    assert torch.from_numpy(y).shape == y.shape
    back = op.run_backward(
        torch.from_numpy(y), x.shape, {"kernel_size": 2}, None if indices is None else torch.from_numpy(indices)
    )
    assert np.array_equal(back, op.run_backward(wanted, x.shape, {"kernel_size": 2}, wanted_indices))
    assert torch.equal(tensor, torch.from_numpy(x))
    permuted = tensor.movedim(1, -1)
    y = op.forward(permuted, 2, data_format="channels_last")
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), wanted, rtol=1e-6, atol=1e-6)
    if op.ndim == 2:
        y = op.forward(tensor.to(memory_format=torch.channels_last), 2)
        np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)


def test_threads_of_both_in_one_process(isa):
    """Both use OpenMP; each must leave the other's results and thread count alone."""
    x = np.random.default_rng(2).normal(size=(4, 8, 300, 300)).astype(np.float32)
    op = next(op for op in WINDOWED if op.name == "max_pool2d")
    threads = torch.get_num_threads()
    for turn in range(4):
        window = {"kernel_size": 3, "stride": 1 + turn % 2, "padding": 1}
        y, indices = op.run(x, window, num_threads=1 + turn)
        there, chosen = torch.nn.functional.max_pool2d(torch.from_numpy(x), **window, return_indices=True)
        np.testing.assert_array_equal(y, there.numpy())
        np.testing.assert_array_equal(indices, chosen.numpy())
        assert torch.get_num_threads() == threads
