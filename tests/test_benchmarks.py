"""The benchmarks' own arithmetic: a check that could not fail would be no check."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import cypool

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def find():
    """Finds a module of the benchmarks, though the repository's root is not where modules are looked for."""
    spec = importlib.util.spec_from_file_location("benchmarks", FOLDER / "__init__.py",
                                                  submodule_search_locations=[str(FOLDER)])
    sys.modules["benchmarks"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def check(find):
    return find("check")


def document(threads=1, **milliseconds):
    """A run of one case; times by peer."""
    times = {key: {"best": value / 1e3} for key, value in milliseconds.items()}
    return {"options": {"threads": threads, "backward": False, "reuse_out": False}, "facts": {"cpu": "some"},
            "results": [{"case": "vgg-max", "times": times, "wrong": {"liar": "values"}}]}


def test_a_slower_machine_has_lost_nothing(check, tmp_path):
    check.store(document(cypool=2, copy=2, torch=20, liar=1), tmp_path / "r.json")
    stored = check.read(tmp_path / "r.json")
    assert stored["1 threads"]["cases"] == {"vgg-max": {"copy": 1.0, "torch": 10.0}}
    assert check.losses(document(cypool=6, copy=6, torch=60, jax=3), stored) == {}


def test_a_loss(check, tmp_path):
    check.store(document(cypool=2, copy=2, torch=20), tmp_path / "r.json")
    stored = check.read(tmp_path / "r.json")
    assert check.losses(document(cypool=2.3, copy=2, torch=20), stored) == {}
    assert check.losses(document(cypool=2.5, copy=2, torch=20), stored) == pytest.approx({"vgg-max": 0.8})
    assert check.losses(document(cypool=9, copy=2, torch=20, threads=2), stored) == {}


def test_runs_of_other_kinds_stay(check, tmp_path):
    check.store(document(cypool=2, copy=2), tmp_path / "r.json")
    check.store(document(cypool=1, copy=2, threads=2), tmp_path / "r.json")
    stored = check.read(tmp_path / "r.json")
    assert stored["1 threads"]["cases"]["vgg-max"] == {"copy": 1.0}
    assert stored["2 threads"]["cases"]["vgg-max"] == {"copy": 2.0}


@pytest.fixture
def threads():
    """What peers set is set back."""
    before = cypool.get_num_threads()
    yield
    cypool.set_num_threads(before)
    if "torch" in sys.modules:
        sys.modules["torch"].set_grad_enabled(True)


@pytest.mark.parametrize("key, backward", [("numpy", False), ("torch", False), ("torch", True), ("torch-cl", False),
                                           ("scipy", False), ("onnxruntime", False)])
def test_every_way_gives_the_same(find, threads, key, backward):
    """The fastest way counts, so that all of them must be right."""
    kinds = find("peers").PEERS
    for module in (kinds[key].module, *(["onnx"] if key == "onnxruntime" else [])):
        pytest.importorskip(module)
    settings = find("peers").Settings(cypool.get_num_threads(), backward=backward)
    ours, peer = kinds["cypool"](settings), kinds[key](settings)
    compared = 0
    for case in [case.shrunk() for case in find("irregular").IRREGULAR_CASES]:
        x = case.data()
        expected = (ours.operator_backward if backward else ours.operator)(case, x)()
        ways = peer.ways_backward(case, x) if backward else peer.ways(case, x) or [peer.operator(case, x)]
        for prepared in filter(None, ways):
            value = prepared()
            assert value.shape == expected.shape, (case.name, prepared.layout)
            assert np.allclose(value, expected, rtol=1e-5, atol=case.tolerance), (case.name, prepared.layout)
            compared += 1
    assert compared > 4
