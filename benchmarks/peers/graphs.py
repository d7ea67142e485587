"""Engines that compile a graph first: ONNX Runtime and OpenVINO, each with a model of one node."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ..cases import Case, Timed
from .base import Peer, Prepared, Settings


class OnnxRuntime(Peer):
    """A model of one node, with bound inputs so that nothing but the node runs."""

    key, name, module = "onnxruntime", "ONNX Runtime", "onnxruntime"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import onnx
        import onnxruntime

        self.onnx, self.runtime = onnx, onnxruntime
        self.version = onnxruntime.__version__
        onnxruntime.set_default_logger_severity(3)

    def operator(self, case: Timed, x: np.ndarray) -> Prepared | None:
        if case.op in ("lp", "sppf", "global_lp"):
            return self.prepare(case, x)
        found = self._regions(case) if case.family == "regions" else self._unpooling(case)
        if found is None:
            return None
        node, beside = found
        return self._run(case.name, [node], {"x": x, **beside}, case.result)

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        outputs = (1,) * case.ndim if case.kernel is None else case.outputs
        shape = (*case.shape[:2], *outputs)
        nodes = [self._node(case)] if case.op != "sppf" else self._sppf()
        if case.op == "sppf":
            shape = (case.shape[0], 4 * case.shape[1], *case.spatial)
        return self._run(case.name, nodes, {"x": x}, shape)

    def _run(self, name: str, nodes: list[Any], inputs: dict[str, np.ndarray], shape: tuple[int, ...]) -> Prepared:
        """A session of a model with these inputs and one output y."""
        helper = self.onnx.helper
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
             for key, value in inputs.items()],
            [helper.make_tensor_value_info("y", self.onnx.TensorProto.FLOAT, shape)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self.settings.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = self.runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        values = {key: self.runtime.OrtValue.ortvalue_from_numpy(value) for key, value in inputs.items()}
        for key, value in values.items():
            binding.bind_ortvalue_input(key, value)
        binding.bind_output("y", "cpu")

        def result(_: Any, alive: Any = values) -> np.ndarray:  # the binding does not keep its inputs
            return binding.copy_outputs_to_cpu()[0]

        return Prepared(partial(session.run_with_iobinding, binding), result)

    def _regions(self, case: Timed) -> tuple[Any, dict[str, np.ndarray]] | None:
        """The node, and its inputs beside x."""
        given, make = dict(case.given), self.onnx.helper.make_node
        boxes, size, scale = given["boxes"], given["output_size"], given["spatial_scale"]
        if case.op == "roi_pool" and given.get("rounding") == "onnx":
            return make("MaxRoiPool", ["x", "boxes"], ["y"], pooled_shape=[size] * 2, spatial_scale=scale), {
                "boxes": boxes}
        if case.op != "roi_align":
            return None
        node = make("RoiAlign", ["x", "boxes", "image"], ["y"], output_height=size, output_width=size,
                    spatial_scale=scale, sampling_ratio=given.get("sampling_ratio", 0),
                    mode={"onnx_max": "max"}.get(given.get("mode"), "avg"),
                    coordinate_transformation_mode="output_half_pixel")
        return node, {"boxes": np.ascontiguousarray(boxes[:, 1:]), "image": boxes[:, 0].astype(np.int64)}

    def _unpooling(self, case: Timed) -> tuple[Any, dict[str, np.ndarray]] | None:
        """Places count from the first image's first plane on."""
        if not case.op.startswith("max_unpool"):
            return None
        given, kernel = dict(case.given), [case.kernel] * len(case.shape[2:])
        planes = np.arange(math.prod(case.shape[:2])).reshape(*case.shape[:2], *[1] * len(kernel))
        places = given["indices"] + planes * math.prod(case.result[2:])
        return self.onnx.helper.make_node("MaxUnpool", ["x", "places"], ["y"], kernel_shape=kernel, strides=kernel), {
            "places": places}

    def _sppf(self):
        """Three maxima of five taps, and all beside each other."""
        make = self.onnx.helper.make_node
        names = ["x", "once", "twice", "thrice"]
        pools = [make("MaxPool", [a], [b], kernel_shape=[5, 5], pads=[2] * 4)
                 for a, b in zip(names, names[1:], strict=False)]
        return [*pools, make("Concat", names, ["y"], axis=1)]

    def _node(self, case: Case):
        if case.op in ("lp", "global_lp"):
            p = int(dict(case.given)["norm_type"])
            if case.op == "global_lp":
                return self.onnx.helper.make_node("GlobalLpPool", ["x"], ["y"], p=p)
            return self.onnx.helper.make_node("LpPool", ["x"], ["y"], p=p, kernel_shape=case.kernels,
                                              strides=case.strides, pads=case.paddings * 2)
        kind = {"max": "Max", "avg": "Average"}[case.op]
        if case.is_global:
            return self.onnx.helper.make_node(f"Global{kind}Pool", ["x"], ["y"])
        given = {
            "kernel_shape": case.kernels,
            "strides": case.strides,
            "pads": case.paddings * 2,
            "dilations": case.dilations,
            "ceil_mode": int(case.ceil),
        }
        if case.op == "avg":
            given["count_include_pad"] = int(case.include_pad)
        return self.onnx.helper.make_node(f"{kind}Pool", ["x"], ["y"], **given)


class OpenVINO(Peer):
    """A compiled model of one operation in full float32, tuned for latency."""

    key, name, module = "openvino", "OpenVINO", "openvino"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import openvino
        from openvino import opset8, opset9, opset14

        self.openvino, self.opset8, self.opset9, self.opset14 = openvino, opset8, opset9, opset14
        self.version = openvino.__version__.split("-")[0]
        self.core = openvino.Core()

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        return self._run(case.name, partial(self._node, case), [x])

    def operator(self, case: Timed, x: np.ndarray) -> Prepared | None:
        """RoIAlign."""
        given = dict(case.given)
        if case.op != "roi_align" or given.get("mode"):
            return None
        boxes, size = given["boxes"], given["output_size"]

        def node(x: Any, corners: Any, image: Any) -> Any:
            return self.opset9.roi_align(x, corners, image, size, size, given.get("sampling_ratio", 0),
                                         given["spatial_scale"], "avg", "asymmetric")

        return self._run(case.name, node, [x, np.ascontiguousarray(boxes[:, 1:]), boxes[:, 0].astype(np.int32)])

    def _run(self, name: str, node: Any, inputs: list[np.ndarray]) -> Prepared:
        parameters = [self.opset8.parameter(list(value.shape), dtype=value.dtype.type) for value in inputs]
        model = self.openvino.Model([node(*parameters).output(0)], parameters, name)
        request = self.core.compile_model(model, "CPU", self._options()).create_infer_request()
        for place, value in enumerate(inputs):
            request.set_input_tensor(place, self.openvino.Tensor(value, shared_memory=True))

        def result(_: Any, alive: Any = inputs) -> np.ndarray:  # the request does not keep its inputs
            return request.get_output_tensor().data.copy()

        return Prepared(partial(request.infer, share_outputs=True), result)

    def _options(self) -> dict[str, object]:
        return {
            "INFERENCE_NUM_THREADS": self.settings.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def _node(self, case: Case, parameter):
        axes = list(range(2, 2 + case.ndim))
        if case.is_global:
            reduce = self.opset8.reduce_max if case.op == "max" else self.opset8.reduce_mean
            return reduce(parameter, axes, keep_dims=True)
        window = {
            "strides": list(case.strides),
            "pads_begin": list(case.paddings),
            "pads_end": list(case.paddings),
            "kernel_shape": list(case.kernels),
            "rounding_type": "ceil" if case.ceil else "floor",
        }
        if case.op == "max":
            return self.opset8.max_pool(parameter, dilations=list(case.dilations), **window)
        return self.opset14.avg_pool(parameter, exclude_pad=not case.include_pad, **window)
