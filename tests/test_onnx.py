"""Every node test that ONNX publishes for its pooling operators."""

import numpy as np
import pytest

import cypool

onnx = pytest.importorskip("onnx")

# How many there are in ONNX 1.23: a test run that finds fewer has looked in the wrong place.
PUBLISHED = {"MaxPool": 19, "AveragePool": 20, "GlobalMaxPool": 2, "GlobalAveragePool": 2, "LpPool": 8}

# Its expected values are written to four decimals.
ROUNDED = "test_averagepool_2d_ceil_last_window_starts_on_pad"


@pytest.fixture(scope="module")
def cases():
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):
        every = [case for case in collect_testcases(None) if len(case.model.graph.node) == 1]
    return {name: [case for case in every if case.model.graph.node[0].op_type == name] for name in PUBLISHED}


def settings(node, ndim):
    """An ONNX pooling node's attributes as cypool's arguments; ONNX's stride defaults to 1 and it counts no padding."""
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    pads = given.get("pads", [0] * (2 * ndim))
    auto = given.get("auto_pad", b"NOTSET").decode()
    padding = list(zip(pads[:ndim], pads[ndim:], strict=True)) if auto == "NOTSET" else auto.lower()
    window = {
        "kernel_size": tuple(given["kernel_shape"]),
        "stride": tuple(given.get("strides", [1] * ndim)),
        "padding": padding,
        "dilation": tuple(given.get("dilations", [1] * ndim)),
        "ceil_mode": bool(given.get("ceil_mode", 0)),
    }
    if node.op_type == "AveragePool":
        window["count_include_pad"] = bool(given.get("count_include_pad", 0))
    return window, given.get("storage_order", 0)


def tensor_wide(indices, shape, storage_order):
    """ONNX numbers the whole tensor, cypool a plane; with storage_order 1 the first spatial axis runs fastest."""
    n, c, *spatial = shape
    if storage_order:
        indices = np.ravel_multi_index(np.unravel_index(indices, spatial), spatial, order="F")
    plane = np.arange(n * c).reshape(n, c, *[1] * len(spatial))
    return indices + plane * np.prod(spatial)


def outputs(node, x):
    """What cypool makes of a node: its outputs in ONNX's terms."""
    if node.op_type.startswith("Global"):
        return [cypool.global_max_pool(x) if node.op_type == "GlobalMaxPool" else cypool.global_avg_pool(x)]
    ndim = x.ndim - 2
    if node.op_type == "LpPool":
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        return [getattr(cypool, f"lp_pool{ndim}d")(x, given.get("p", 2), **settings(node, ndim)[0])]
    window, storage_order = settings(node, ndim)
    if node.op_type == "AveragePool":
        return [getattr(cypool, f"avg_pool{ndim}d")(x, **window)]
    y, indices = getattr(cypool, f"max_pool{ndim}d")(x, **window, return_indices=True)
    return [y, tensor_wide(indices, x.shape, storage_order)]


@pytest.mark.parametrize("op_type", PUBLISHED)
def test_node_tests(op_type, cases, isa):
    assert len(cases[op_type]) >= PUBLISHED[op_type]
    for case in cases[op_type]:
        node = case.model.graph.node[0]
        for inputs, expected in case.data_sets:
            actual = outputs(node, inputs[0])
            for got, wanted in zip(actual, expected, strict=False):
                rtol = 1e-3 if case.name == ROUNDED else 1e-6
                np.testing.assert_allclose(got, wanted, rtol=rtol, atol=1e-6, err_msg=case.name)


def test_an_index_output_is_among_the_node_tests(cases):
    assert sum(len(case.data_sets[0][1]) == 2 for case in cases["MaxPool"]) >= 2
