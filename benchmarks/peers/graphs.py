"""Engines that compile a graph first: ONNX Runtime and OpenVINO, each with a model of one node."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..cases import Case
from .base import Peer, Prepared, Settings


class OnnxRuntime(Peer):
    """A model of one node, with bound input so that nothing but the node runs."""

    key, name, module = "onnxruntime", "ONNX Runtime", "onnxruntime"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        import onnx
        import onnxruntime

        self.onnx, self.runtime = onnx, onnxruntime
        self.version = onnxruntime.__version__

    def operator(self, case: Case, x: np.ndarray) -> Prepared | None:
        return self.prepare(case, x) if case.op in ("lp", "sppf", "global_lp") else None

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self.settings.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        model = self._model(case).SerializeToString()
        session = self.runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", self.runtime.OrtValue.ortvalue_from_numpy(x))
        binding.bind_output("y", "cpu")
        run = partial(session.run_with_iobinding, binding)
        return Prepared(run, lambda _: binding.copy_outputs_to_cpu()[0])

    def _model(self, case: Case):
        helper, float32 = self.onnx.helper, self.onnx.TensorProto.FLOAT
        outputs = (1,) * case.ndim if case.kernel is None else case.outputs
        shape = (*case.shape[:2], *outputs)
        nodes = [self._node(case)] if case.op != "sppf" else self._sppf()
        if case.op == "sppf":
            shape = (case.shape[0], 4 * case.shape[1], *case.spatial)
        graph = helper.make_graph(
            nodes,
            case.name,
            [helper.make_tensor_value_info("x", float32, case.shape)],
            [helper.make_tensor_value_info("y", float32, shape)],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)

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
        from openvino import opset8, opset14

        self.openvino, self.opset8, self.opset14 = openvino, opset8, opset14
        self.version = openvino.__version__.split("-")[0]
        self.core = openvino.Core()

    def prepare(self, case: Case, x: np.ndarray) -> Prepared | None:
        parameter = self.opset8.parameter(list(case.shape), dtype=np.float32, name="x")
        model = self.openvino.Model([self._node(case, parameter).output(0)], [parameter], case.name)
        request = self.core.compile_model(model, "CPU", self._options()).create_infer_request()
        request.set_input_tensor(self.openvino.Tensor(x, shared_memory=True))
        run = partial(request.infer, share_outputs=True)
        return Prepared(run, lambda _: request.get_output_tensor().data.copy())

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
