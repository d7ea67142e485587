"""Regions: ONNX's node tests, ONNX Runtime and PyTorch as witnesses; golden values; boxes from outside."""

import numpy as np
import pytest
from cases import refused, same_bits

import cypool
from cypool import dispatch

X = np.arange(1.0, 36.0).reshape(1, 1, 5, 7)


@pytest.mark.parametrize(("box", "values"), [
    ((1, 1, 4, 3), (17, 19, 24, 26)), ((1.5, 0.5, 2.5, 2.5), (17, 18, 24, 25)), ((70, 50, 90, 60), (0, 0, 0, 0)),
    ((4, 4, 2, 2), (33, 33, 33, 33)), ((-90, -50, -70, -40), (0, 0, 0, 0))])
def test_roi_pool_golden(box, values, isa):
    y, indices = cypool.roi_pool(X, [[0, *box]], 2, return_indices=True)
    assert y.ravel().tolist() == list(values)
    assert indices.ravel().tolist() == [int(v) - 1 for v in values]         # 0 becomes -1: nothing there


@pytest.mark.parametrize(("box", "given", "values"), [
    ((1, 1, 4, 3), {"sampling_ratio": 2, "aligned": True}, (9.25, 10.75, 16.25, 17.75)),
    ((1, 1, 4, 3), {"sampling_ratio": 2}, (13.25, 14.75, 20.25, 21.75)),
    ((1, 1, 5, 4), {"aligned": True}, (11.25, 13.25, 21.75, 23.75)),
    ((2, 2, 2, 3), {"aligned": True}, (0, 0, 0, 0)),                        # no size, no samples
    ((3, 3, 1, 1), {"aligned": True}, (0, 0, 0, 0)),
    ((60, 60, 70, 70), {}, (0, 0, 0, 0))])
def test_roi_align_golden(box, given, values, isa):
    assert np.allclose(cypool.roi_align(X, [[0, *box]], 2, **given).ravel(), values)


def test_a_ramp_is_read_at_the_middles_of_bins(isa):
    """Averages of samples of a linear ramp are its value in the middle, whatever the grid."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:20, :30].astype(float)
    boxes = np.concatenate([np.zeros((20, 1)), np.sort(rng.uniform(1, 18, (20, 2, 2)), 1).reshape(20, 4)], 1)
    for given in ({}, {"sampling_ratio": 3}, {"aligned": True, "sampling_ratio": 1}):
        made = cypool.roi_align(np.stack([y, x])[None], boxes, (2, 3), **given)
        for k, (_, x1, y1, x2, y2) in enumerate(boxes):
            if not given.get("aligned"):
                x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
            off = 0.5 if given.get("aligned") else 0
            middle_y = [y1 + (p + 0.5) * (y2 - y1) / 2 - off for p in range(2)]
            middle_x = [x1 + (q + 0.5) * (x2 - x1) / 3 - off for q in range(3)]
            assert np.allclose(made[k, 0], np.repeat([middle_y], 3, 0).T)
            assert np.allclose(made[k, 1], np.repeat([middle_x], 2, 0))


def test_position_sensitive_pooling_reads_the_last_row(isa):
    """Where torchvision's forward leaves the last row and column out."""
    x = np.zeros((1, 1, 3, 3))
    x[..., 2, 2] = 9
    assert cypool.ps_roi_pool(x, [[0, 2, 2, 3, 3]], 1).item() == 9
    assert cypool.ps_roi_pool(x, [[0, 0, 0, 3, 3]], 1).item() == 1


def test_a_constant_map_stays_constant(isa):
    rng = np.random.default_rng(1)
    for dtype in (np.float32, np.float64, np.float16):
        x = np.full((2, 6, 9, 8), 0.7, dtype)
        boxes = [np.array([[1.3, 2.1, 6.2, 7.7]]), rng.uniform([0, 0, 4, 4], [3, 3, 7, 7], (3, 4))]
        for y in (cypool.roi_pool(x, boxes, (2, 3)), cypool.roi_align(x, boxes, (2, 3), sampling_ratio=2),
                  cypool.roi_align(x, boxes, (2, 3), mode="max"), cypool.ps_roi_pool(x, boxes, (2, 3)),
                  cypool.ps_roi_align(x, boxes, (2, 3))):
            assert np.allclose(y, x.flat[0], rtol=4 * np.finfo(dtype).eps)


def test_lists_of_boxes(isa):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 4, 9, 9))
    parts = [rng.uniform(0, 9, (2, 4)), np.empty((0, 4)), rng.uniform(0, 9, (1, 4))]
    rows = np.concatenate([np.insert(part, 0, i, 1) for i, part in enumerate(parts)])
    for f in (cypool.roi_pool, cypool.roi_align):
        assert same_bits(f(x, parts, 2), f(x, rows, 2))
        assert same_bits(f(x, tuple(map(np.ndarray.tolist, parts)), 2), f(x, rows, 2))
        assert f(x, [np.empty((0, 4))] * 3, 2).shape == (0, 4, 2, 2)
        assert f(x, [[], [], []], 2).shape == f(x, np.empty((0, 5)), 2).shape == (0, 4, 2, 2)
    with refused(ValueError, "boxes", 3, 2):
        cypool.roi_pool(x, parts[:2], 2)


def test_unsigned_and_wide_integers(isa):
    for dtype in (np.uint64, np.int64):
        x = np.array([[[[2**63 - 1, 5], [7, np.iinfo(dtype).max]]]], dtype)
        y, index = cypool.roi_pool(x, [[0, 0, 0, 1, 1], [0, 9, 9, 9, 9]], 1, return_indices=True)
        assert y.ravel().tolist() == [np.iinfo(dtype).max, 0] and index.ravel()[1] == -1


def test_the_first_of_the_zeros(isa):
    """Whichever of 0.0 and -0.0 comes first in a bin, row by row; in both layouts, with and without indices."""
    rng = np.random.default_rng(5)
    for dtype in (np.float32, np.float64):
        x = np.where(rng.random((1, 20, 4, 4)) < 0.5, -0.0, 0.0).astype(dtype)
        x[rng.random(x.shape) < 0.4] = -1
        x[..., 3, 3] = -0.0
        wanted = np.array([[plane[np.argmax(plane == 0)] for plane in x[0].reshape(20, -1)]], dtype)
        for data_format in ("channels_first", "channels_last"):
            given = np.moveaxis(x, 1, -1) if data_format == "channels_last" else x
            for indices in (False, True):
                y = cypool.roi_pool(given, [[0, 0, 0, 3, 3]], 1, return_indices=indices, data_format=data_format)
                assert same_bits((y[0] if indices else y).reshape(1, 20), wanted)


def test_many_samples_beside_the_map_cost_nothing(isa, no_hang):
    """A box a million times as large as the map: the samples that lie outside are not looked at one by one."""
    x = np.ones((1, 1, 4, 4))
    far = [[0, -(2.0**23), -(2.0**23), 2.0**23, 2.0**23]]
    for mode in ("avg", "max", "onnx_max"):
        y = cypool.roi_align(x, far * 50, 2, mode=mode)
        assert (y >= 0).all() and (y < 1e-6 if mode == "avg" else y <= 1).all()
    assert cypool.roi_align_backward(np.ones((50, 1, 2, 2)), x, far * 50, 2).sum() < 1
    assert cypool.roi_pool(x, far, 3).max() == 1
    assert cypool.ps_roi_align(x, far, 1).item() < 1e-6


def test_a_single_box_uses_all_threads(monkeypatch):
    """On one large map: work is dealt out over channels; for one channel over boxes."""
    seen = []
    kernels = dispatch.irregular_kernels()

    class Watching:
        def work_areas(self, *given):
            seen.append(given[-1])
            return kernels.work_areas(*given)

    monkeypatch.setattr(dispatch, "irregular_kernels", Watching)
    x = np.ones((1, 64, 300, 300), np.float32)
    cypool.roi_align(x, [[0, 1, 1, 280.5, 290.5]], 64, num_threads=8)
    assert seen == [8]


# ---------------------------------------------------------------------------- witnesses

def attributes(node):
    import onnx

    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in given.items()}


def as_roi_align(given, x, rois, images, opset=16):
    default = "half_pixel" if opset >= 16 else "output_half_pixel"
    return cypool.roi_align(
        x, np.concatenate([images[:, None].astype(rois.dtype), rois], 1),
        (given.get("output_height", 1), given.get("output_width", 1)), given.get("spatial_scale", 1.0),
        given.get("sampling_ratio", 0), given.get("coordinate_transformation_mode", default) == "half_pixel",
        mode={"avg": "avg", "max": "onnx_max"}[given.get("mode", "avg")])


def test_onnx_node_tests(isa):
    pytest.importorskip("onnx")
    from onnx import numpy_helper  # noqa: F401
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):
        every = [case for case in collect_testcases(None) if len(case.model.graph.node) == 1]
    aligned = [case for case in every if case.model.graph.node[0].op_type == "RoiAlign"]
    pooled = [case for case in every if case.model.graph.node[0].op_type == "MaxRoiPool"]
    assert len(aligned) >= 3
    for case in aligned:
        for (x, rois, images), (wanted,) in case.data_sets:
            made = as_roi_align(attributes(case.model.graph.node[0]), x, rois, images)
            assert made.dtype == wanted.dtype
            assert np.allclose(made.astype(float), wanted.astype(float), atol=1e-4), case.name       # four decimals
    for case in pooled:
        given = attributes(case.model.graph.node[0])
        for (x, rois), (wanted,) in case.data_sets:
            made = cypool.roi_pool(x, rois, tuple(given["pooled_shape"]), given.get("spatial_scale", 1.0),
                                   rounding="onnx")
            assert np.array_equal(made, wanted)


def random_boxes(rng, count, reach):
    """Whole, fractional, outside, reversed, without size."""
    corner = rng.uniform(-reach / 2, reach * 1.2, (count, 2))
    rows = np.concatenate([corner, corner + rng.uniform(-reach / 4, reach, (count, 2))], 1)
    rows[::4] = np.round(rows[::4])
    rows[1::7, 2:] = rows[1::7, :2]
    return rows.astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_onnx_runtime(seed, isa):
    ort, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, 13, 17)).astype(np.float32)
    rois, images = random_boxes(rng, 40, 30), rng.integers(0, 2, 40)
    scale = float(rng.choice([0.25, 0.5, 1.0, 1 / 3]))

    def session(op, opset, inputs, **given):
        node = onnx.helper.make_node(op, [name for name, _, _ in inputs], ["y"], **given)
        info = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph([node], "g", [info(*i) for i in inputs], [info("y", 1, None)])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=9)
        return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    for mode in ("avg", "max"):
        for transform in ("half_pixel", "output_half_pixel"):
            for ratio in (0, 2):
                given = {"output_height": 3, "output_width": 2, "spatial_scale": scale, "sampling_ratio": ratio,
                         "mode": mode, "coordinate_transformation_mode": transform}
                run = session("RoiAlign", 16, [("x", 1, x.shape), ("rois", 1, ["k", 4]), ("i", 7, ["k"])],
                              **given)
                usual = (rois[:, 2:] > rois[:, :2]).all(1) | (transform != "half_pixel")       # or it refuses
                wanted = run.run(None, {"x": x, "rois": rois[usual], "i": images[usual]})[0]
                made = as_roi_align(given, x, rois[usual], images[usual])
                assert np.allclose(made, wanted, rtol=1e-4, atol=1e-5), (mode, transform, ratio)
    rows = np.concatenate([images[:, None].astype(np.float32), rois], 1)
    run = session("MaxRoiPool", 16, [("x", 1, x.shape), ("rois", 1, rows.shape)], pooled_shape=[3, 7],
                  spatial_scale=scale)
    assert np.array_equal(cypool.roi_pool(x, rows, (3, 7), scale, rounding="onnx"),
                          run.run(None, {"x": x, "rois": rows})[0])


def torch_align(torch, x, boxes, size, scale, ratio, aligned, mode):
    """The formula in PyTorch operations, for autograd: box by box."""
    h, w = x.shape[-2:]
    results = []
    for n, *corners in boxes.tolist():
        x1, y1, x2, y2 = (v * scale - 0.5 * aligned for v in corners)
        tall, broad = (y2 - y1, x2 - x1) if aligned else (max(y2 - y1, 1.0), max(x2 - x1, 1.0))
        grid = [ratio if ratio > 0 else max(0, int(np.ceil(a / b))) for a, b in zip((tall, broad), size, strict=True)]
        if 0 in grid:
            results.append(torch.zeros(x.shape[1], *size, dtype=x.dtype))
            continue
        weights = []
        for low, length, out, count, n_elements in ((y1, tall, size[0], grid[0], h), (x1, broad, size[1], grid[1], w)):
            at = low + (torch.arange(out * count, dtype=x.dtype) + 0.5) / count * (length / out)
            inside = (at >= -1) & (at <= n_elements)
            tent = torch.clamp(1 - (at.clamp(0, n_elements - 1)[:, None] - torch.arange(n_elements)).abs(), min=0)
            weights.append(tent * inside[:, None])
        samples = torch.einsum("ai,cij,bj->cab", weights[0], x[int(n)], weights[1])
        cells = samples.reshape(-1, size[0], grid[0], size[1], grid[1])
        results.append(cells.mean((2, 4)) if mode == "avg" else cells.amax((2, 4)))
    return torch.stack(results)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_torch_autograd_of_the_formula(mode, isa):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    for aligned in (False, True):
        for ratio in (-1, 2):
            x = rng.normal(size=(2, 3, 11, 9))
            boxes = np.concatenate([rng.integers(0, 2, (25, 1)), random_boxes(rng, 25, 20)], 1).astype(np.float64)
            t = torch.tensor(x, requires_grad=True)
            wanted = torch_align(torch, t, boxes, (3, 2), 0.5, ratio, aligned, mode)
            made = cypool.roi_align(x, boxes, (3, 2), 0.5, ratio, aligned, mode=mode)
            assert np.allclose(made, wanted.detach().numpy())
            g = rng.normal(size=made.shape)
            wanted.backward(torch.tensor(g))
            back = cypool.roi_align_backward(g, x, boxes, (3, 2), 0.5, ratio, aligned, mode=mode)
            assert np.allclose(back, t.grad.numpy()) or mode == "max"       # amax splits ties, as of samples beside
            if mode == "avg":
                assert same_bits(back, cypool.roi_align_backward(g, x.shape, boxes, (3, 2), 0.5, ratio, aligned))


# ---------------------------------------------------------------------------- from outside

HOSTILE = [
    (np.full((1, 5), np.nan), ValueError), ([[0, np.nan, 0, 1, 1]], ValueError), ([[0, 0, 0, np.inf, 1]], ValueError),
    ([[0, 0, 0, 1e30, 1]], ValueError), ([[0, -1e30, 0, 1, 1]], ValueError), ([[1, 0, 0, 1, 1]], ValueError),
    ([[-1, 0, 0, 1, 1]], ValueError), ([[0.5, 0, 0, 1, 1]], ValueError),
    ([[2**70, 0, 0, 1, 1]], (ValueError, TypeError)),
    ([[0, 0, 1, 1]], ValueError), ([0, 0, 0, 1, 1], ValueError), ("boxes", TypeError), (None, TypeError),
    (np.zeros((1, 5), complex), TypeError), (np.zeros((1, 5), bool), TypeError), ([np.zeros((1, 5))], ValueError),
    ([np.full((1, 4), np.inf)], ValueError), ([np.zeros((1, 4))] * 2, ValueError), (np.zeros((1, 1, 5)), ValueError),
]


@pytest.mark.parametrize("f", [cypool.roi_pool, cypool.roi_align, cypool.ps_roi_pool, cypool.ps_roi_align])
def test_hostile_boxes(f):
    for boxes, error in HOSTILE:
        with pytest.raises(error, match="boxes"):
            f(X, boxes, 1)


def test_hostile_settings():
    box = [[0, 1, 1, 3, 3]]
    for f in (cypool.roi_pool, cypool.roi_align):
        for size, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), ((1, 2, 3), ValueError),
                            (2**40, ValueError), (2**20, ValueError), (None, TypeError)):
            with pytest.raises(error, match="output_size"):
                f(X, box, size)
        for scale, error in ((0, ValueError), (-1, ValueError), (np.nan, ValueError), (np.inf, ValueError),
                             ("1", TypeError)):
            with pytest.raises(error, match="spatial_scale"):
                f(X, box, 2, scale)
        with refused(ValueError, "x", (1, 5, 7)):
            f(X[0], box, 2)
        with refused(ValueError, "x"):
            f(np.ones((1, 1, 0, 3)), box, 2)
        assert f(np.ones((1, 0, 3, 3)), box, 2).shape == (1, 0, 2, 2)
    with refused(ValueError, "boxes", "spatial_scale"):
        cypool.roi_align(X, box, 2, 1e30)
    for ratio, error in ((2.5, TypeError), (True, TypeError), (2**40, ValueError)):
        with pytest.raises(error, match="sampling_ratio"):
            cypool.roi_align(X, box, 2, 1.0, ratio)
    for mode, error in (("mean", ValueError), (3, TypeError)):
        with pytest.raises(error, match="mode"):
            cypool.roi_align(X, box, 2, mode=mode)
    for rounding, error in (("caffe", ValueError), (None, TypeError)):
        with pytest.raises(error, match="rounding"):
            cypool.roi_pool(X, box, 2, rounding=rounding)
    with refused(ValueError, "x", 6):
        cypool.ps_roi_pool(np.ones((1, 6, 3, 3)), box, 2)
    with refused(TypeError, "x"):
        cypool.roi_align_backward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 5, 7), int), box, 2)
    with refused(TypeError, "x"):
        cypool.roi_align_backward(np.ones((1, 1, 2, 2)), (1, 1, 5, 7), box, 2, mode="max")
    y, index = cypool.roi_pool(X, box, 2, return_indices=True)
    for wrong in (35, -2, 2**62):
        bad = index.copy()
        bad.flat[2] = wrong
        with refused(ValueError, "indices", wrong):
            cypool.roi_pool_backward(y, bad, box, X.shape)
    with refused(ValueError, "boxes"):
        cypool.roi_pool_backward(y, index, [[3, 1, 1, 3, 3]], X.shape)
    with refused(ValueError, "grad_output"):
        cypool.roi_pool_backward(y, index, box * 2, X.shape)


def test_nothing_at_all(isa):
    none = np.empty((0, 5))
    for shape in ((1, 4, 5, 7), (0, 4, 5, 7)):
        x = np.ones(shape)
        for f, back in ((cypool.roi_align, lambda g, x: cypool.roi_align_backward(g, x, none, 2)),
                        (cypool.ps_roi_align, lambda g, x: cypool.ps_roi_align_backward(g, none, x.shape, 2)),
                        (cypool.ps_roi_pool, lambda g, x: cypool.ps_roi_pool_backward(g, none, x.shape, 2))):
            y = f(x, none, 2)
            assert y.shape[0] == 0 and np.array_equal(back(y, x), np.zeros(shape))
        y, index = cypool.roi_pool(x, none, 2, return_indices=True)
        assert np.array_equal(cypool.roi_pool_backward(y, index, none, shape), np.zeros(shape))
