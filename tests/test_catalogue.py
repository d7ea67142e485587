"""The one list of operators: nothing is left out of the tests, the layers, the documentation or the benchmarks."""

import inspect
import re
from pathlib import Path

import pytest
from formulas import FORMULAS
from irregular import IRREGULAR
from operators import OPERATORS as LISTED

import cypool
from cypool.catalogue import OPERATORS
from cypool.layers import Layer

ROOT = Path(__file__).parents[1]
IDS = [op.name for op in OPERATORS]
each_operator = pytest.mark.parametrize("op", OPERATORS, ids=IDS)
#: Operators that are neither in tests/operators.py nor a formula, and where they are tested.
ELSEWHERE = {
    "random_mixed_pool": "test_sampled.py", "stochastic_pool": "test_sampled.py",
    "fractional_max_pool": "test_sampled.py", "blur_pool": "test_blur.py",
    "spatial_pyramid_pool": "test_pyramids.py", "sppf": "test_pyramids.py", "global_lp_pool": "test_formulas.py",
    "global_gem_pool": "test_formulas.py", "global_attention_pool": "test_formulas.py",
    "median_pool": "test_ranks.py", "rank_pool": "test_ranks.py", "mode_pool": "test_ranks.py",
}
#: Their gradient is another operator's.
ANOTHERS = ("random_mixed_pool", "dynamic_k_max_pool")
OTHERS = {"output_shape", "receptive_field", "get_num_threads", "set_num_threads", "show_config"}


def test_every_function_is_listed():
    listed = {name for op in OPERATORS for name in op.functions}
    functions = {name for name in cypool.__all__ if inspect.isfunction(getattr(cypool, name))}
    assert functions - {name for name in functions if name.endswith("_backward")} - OTHERS == listed


def test_every_layer_is_listed():
    listed = {name for op in OPERATORS for name in op.layers}
    classes = {name for name in cypool.__all__ if inspect.isclass(getattr(cypool, name))} - {"Sequential"}
    assert classes == listed


@each_operator
def test_gradients_take_what_is_listed(op):
    for name in op.functions:
        layer = getattr(cypool, dict(zip(op.functions, op.layers, strict=True))[name])
        assert issubclass(layer, Layer) and layer.function.__name__ == name
        if op.needs == "nothing" or op.name in ANOTHERS:
            assert not hasattr(cypool, f"{name}_backward")
            continue
        names = list(inspect.signature(getattr(cypool, f"{name}_backward")).parameters)
        assert names[0] == "grad_output"
        second = {"indices": "indices", "shape": "input_shape", "input": "x"}.get(op.needs, op.needs)
        assert names[1] == second
        assert names[2 : 2 + len(op.parameters)] == list(op.parameters) or op.needs != "input"
        learned = tuple(p for p in op.parameters if p not in ("logits", "scores"))
        assert layer.learned == learned


@each_operator
def test_every_operator_is_tested(op):
    tested = {o.name.rstrip("d").rstrip("123") for o in LISTED} | {f.name for f in FORMULAS}
    tested |= {i.name.rstrip("d").rstrip("123") for i in IRREGULAR}
    if op.name in tested:
        return
    text = (ROOT / "tests" / ELSEWHERE[op.name]).read_text()
    assert op.name in text or op.name.removeprefix("global_") in text


@each_operator
def test_every_operator_is_timed(op):
    """In the text of the cases: the tests do not import the benchmarks."""
    text = "".join((ROOT / "benchmarks" / f"{name}.py").read_text() for name in ("cases", "irregular"))
    name = op.name.removesuffix("_pool")
    plain = {"global_max", "global_avg", "min", "sum"}              # by the cases of max and average
    named = [f'"{given}"' in text for given in (name, *op.functions)]
    assert name in plain or any(named), f"{op.name} has no case"


@each_operator
def test_every_operator_is_documented(op):
    page = (ROOT / "docs" / "operators" / f"{op.page}.md").read_text()
    assert re.search(rf"`{op.name}(\{{n\}}d|[123]d)?`", page), f"{op.name} is not on the page {op.page}"
    api = (ROOT / "docs" / "api.md").read_text().split()
    readme = (ROOT / "README.md").read_text()
    for name in (*op.functions, *op.layers):
        assert name in api, f"{name} is not in docs/api.md"
    assert f"`{op.functions[0]}`" in readme, f"{op.functions[0]} is not in the README's table"
    index = (ROOT / "docs" / "index.md").read_text().split()
    assert f"operators/{op.page}" in index
