"""Calls drawn by hypothesis: geometry, dtype, layout, strides, NaN policy and threads together, against the oracle."""

import numpy as np
import pytest
import reference
from cases import DATA, DATA_FORMATS, FLOATS, assert_indices, assert_result, full_range
from operators import OPERATORS

pytest.importorskip("hypothesis")

from hypothesis import given, note  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


@st.composite
def windows(draw, ndim, has_divisor):
    """A spatial shape and valid settings. Lengths may exceed a vector; paddings are legal by construction."""
    spatial, kernel, stride, dilation, padding = [], [], [], [], []
    longest = {1: 200, 2: 40, 3: 9}[ndim]
    for _ in range(ndim):
        n, k = draw(st.integers(1, longest)), draw(st.integers(1, 14 if ndim < 3 else 4))
        d = draw(st.integers(1, min(3, n)))
        reach = (k - 1) * d + 1
        before, after = draw(st.integers(0, reach - 1)), draw(st.integers(0, reach - 1))
        if n + before + after < reach:
            before = after = reach - 1
        spatial.append(n)
        kernel.append(k)
        dilation.append(d)
        stride.append(draw(st.integers(1, 6)))
        padding.append((before, after))
    window = {"kernel_size": tuple(kernel), "stride": tuple(stride), "dilation": tuple(dilation)}
    window["padding"] = draw(st.sampled_from([padding, padding, padding, "same", "same_lower"]))
    window["ceil_mode"] = draw(st.booleans())
    if has_divisor:
        window["count_include_pad"] = draw(st.booleans())
        window["divisor_override"] = draw(st.sampled_from([None, None, None, 1, -3, 12]))
    return tuple(spatial), window


@st.composite
def calls(draw):
    op = draw(st.sampled_from(OPERATORS))
    if op.is_global:
        spatial, window = tuple(draw(st.lists(st.integers(1, 20), min_size=op.ndim, max_size=op.ndim))), {}
    elif op.is_adaptive:
        sizes = st.integers(1, 6 if op.ndim == 3 else 20)
        spatial = tuple(draw(st.lists(sizes, min_size=op.ndim, max_size=op.ndim)))
        outputs = st.one_of(st.none(), st.integers(1, (25, 9, 4)[op.ndim - 1]))
        window = {"output_size": tuple(draw(st.lists(outputs, min_size=op.ndim, max_size=op.ndim)))}
    else:
        spatial, window = draw(windows(op.ndim, op.has_divisor))
    data_format = draw(st.sampled_from(DATA_FORMATS))
    batch = (draw(st.integers(0, 2)),) if op.is_global or draw(st.booleans()) else ()
    channels = draw(st.sampled_from([1, 2, 3, 17]))
    shape = (*batch, channels, *spatial) if data_format == "channels_first" else (*batch, *spatial, channels)
    name = draw(st.sampled_from(sorted(op.dtypes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = draw(st.sampled_from(DATA))(rng, shape, op.dtypes[name])
    return op, x, window, data_format, rng


@st.composite
def strided(draw, x):
    """The same values behind other strides, and perhaps the other byte order."""
    order = draw(st.permutations(range(x.ndim)))
    steps = tuple(draw(st.sampled_from([1, 1, -1, 2])) for _ in range(x.ndim))
    base = np.zeros([n * abs(step) for n, step in zip((x.shape[a] for a in order), steps, strict=True)], x.dtype)
    view = base[tuple(slice(None, None, step) for step in steps)].transpose(np.argsort(order))
    view[...] = x
    return (
        view if x.dtype.name == "bfloat16" or draw(st.booleans()) else view.astype(x.dtype.newbyteorder("S"), order="K")
    )


@given(data=st.data(), call=calls(), threads=st.sampled_from([None, 1, 2, 5]))
def test_forward(isa, data, call, threads):
    op, x, window, data_format, _ = call
    nan_policy = data.draw(st.sampled_from(["propagate", "omit"]))
    try:
        expected = op.expected(x, window, data_format, nan_policy=nan_policy)
    except ValueError:
        with pytest.raises(ValueError):
            op.forward(x, **window, data_format=data_format)
        return
    view = data.draw(strided(x))
    note(f"{op.id} {x.dtype} {x.shape} {data_format} {window} {nan_policy}")
    options = {"data_format": data_format, "nan_policy": nan_policy, "num_threads": threads}
    y, indices = op.run(view, window, **options)
    assert_result(y, expected)
    if op.chooses:
        assert_indices(indices, expected)
        assert_result(op.forward(view, **window, **options), expected)


@given(data=st.data(), call=calls(), threads=st.sampled_from([None, 1, 2, 5]))
def test_backward(isa, data, call, threads):
    op, x, window, data_format, rng = call
    try:
        forward = op.expected(x, window, data_format)
    except ValueError:
        return
    name = data.draw(st.sampled_from(sorted(FLOATS)))
    grad = full_range(rng, forward.values.shape, FLOATS[name])
    note(f"{op.id} {name} {x.shape} {data_format} {window}")
    view = data.draw(strided(grad))
    got = op.run_backward(view, x.shape, window, forward.indices, data_format=data_format, num_threads=threads)
    assert_result(got, op.expected_backward(grad, x.shape, window, forward.indices, data_format))


@given(data=st.data())
def test_output_shape(data):
    import cypool

    ndim = data.draw(st.integers(1, 3))
    spatial, window = data.draw(windows(ndim, False))
    shape = (2, 3, *spatial)
    try:
        wanted = (2, 3, *(ax.o for ax in reference.geometry(spatial, **window)))
    except ValueError:
        with pytest.raises(ValueError):
            cypool.output_shape(shape, **window)
    else:
        assert cypool.output_shape(shape, **window) == wanted


@given(data=st.data(), threads=st.sampled_from([None, 1, 2, 5]))
def test_formulas(isa, data, threads):
    """The operators that weigh and mix, forward and, against the widest type, backward."""
    import formulas
    from test_formulas import EPS, agree

    formula, ndim = data.draw(st.sampled_from(formulas.FORMULAS)), data.draw(st.integers(1, 3))
    spatial, window = data.draw(windows(ndim, False))
    n, channels = data.draw(st.integers(1, 2)), data.draw(st.sampled_from([1, 2, 3, 17]))
    data_format = data.draw(st.sampled_from(DATA_FORMATS))
    shape = (n, channels, *spatial) if data_format == "channels_first" else (n, *spatial, channels)
    try:
        reference.geometry(spatial, **window)
    except ValueError:
        return
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    name = data.draw(st.sampled_from(sorted(FLOATS)))
    x = formulas.data(rng, formula, shape, FLOATS[name])
    given_ = formula.logits(rng, x, formula.draw(rng, window["kernel_size"], channels, n), data_format)
    note(f"{formula.name} {name} {shape} {data_format} {window} {given_}")
    options = {"data_format": data_format, "num_threads": threads}
    view = data.draw(strided(x))
    y = formula.run(view, window, given_, ndim, **options)
    agree(y, formula.expected(x, window, given_, ndim, data_format), EPS[name], "", least=1e-2)
    grad = full_range(rng, y.shape, FLOATS[name])
    made = formula.run_backward(grad, view, window, given_, ndim, **options)
    wide = {k: v.astype(np.float64) if k == "logits" else v for k, v in given_.items()}
    exact = formula.run_backward(grad.astype(np.float64), x.astype(np.float64), window, wide, ndim, **options)
    for back, wanted in zip(made, exact, strict=True):
        agree(np.asarray(back), np.asarray(wanted), 8 * EPS[name], "", least=1)
