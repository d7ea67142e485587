"""The benchmarks' own arithmetic: a check that could not fail would be no check."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def check():
    """``benchmarks.check``, though the repository's root is not where modules are looked for."""
    spec = importlib.util.spec_from_file_location("benchmarks", FOLDER / "__init__.py",
                                                  submodule_search_locations=[str(FOLDER)])
    sys.modules["benchmarks"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return importlib.import_module("benchmarks.check")


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
