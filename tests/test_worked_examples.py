"""The worked examples run, print what docs/examples.md shows, and measure what it says."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import cypool

pytest.importorskip("matplotlib").use("Agg")
pytest.importorskip("PIL")

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def load(name):
    """An example as a module: they are no part of the package."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(text):
    """What was printed, but for what only SciPy brings."""
    return " ".join(line for line in text.splitlines() if "SciPy" not in line)


@pytest.fixture(autouse=True)
def one_thread():
    """Tests run side by side: two threads that wait for each other on a busy machine take ten times as long."""
    cypool.set_num_threads(1)
    yield
    cypool.set_num_threads(None)


@pytest.fixture
def run(tmp_path, capsys):
    """Run an example, and hold what it prints and draws against the page."""

    def run(name):
        results = load(name).main(tmp_path)
        printed = lines(capsys.readouterr().out)
        shown = lines(re.search(rf"^\$ python examples/{name}\.py\n(.*?)^```", PAGE, re.M | re.S)[1])
        assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", shown).split()
        numbers = [[float(number) for number in NUMBER.findall(text)] for text in (printed, shown)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.05, abs=0.02)      # JPEG decoders differ a little
        assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]
        assert f"](pictures/{name}.png)" in PAGE
        assert (ROOT / "docs" / "pictures" / f"{name}.png").stat().st_size < 250_000
        return results

    return run


def test_autoencoder(run):
    for levels, measured in run("autoencoder").items():
        averages, adjoint, maxima = measured["decibels"]
        assert averages > 2 * adjoint and averages > 2 * maxima
        flat, sharp, learned_flat, learned_sharp = measured["kept"]
        assert sharp > flat and learned_sharp > 1.2 * sharp and learned_flat < 1.1 * flat
        assert sharp > 20 * flat or levels < 4
        ordinals, int64 = measured["bytes"]
        assert int64 == 8 * ordinals


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["Averages", "Maxima"])
def test_round_trips(name, levels):
    """What comes back is a projection: its energy and the error's make up the whole. The gradient is the slope."""
    example, rng = load("autoencoder"), np.random.default_rng(levels)
    trip, details, way = getattr(example, name)(levels), *rng.standard_normal((2, 1, 1, 32, 32))
    got = example.merge(trip(example.split(details)))
    assert example.kept(got, details) == pytest.approx((got**2).sum() / (details**2).sum())

    def error(x):
        return ((trip(x) - 1) ** 2).sum() / 2

    slope = (trip.backward(trip(details) - 1) * way).sum()
    step = 1e-6
    assert slope == pytest.approx((error(details + step * way) - error(details - step * way)) / (2 * step), rel=1e-5)


def test_round_trip_by_functions():
    """The layers' ordinals say what the functions' flat indices say."""
    example = load("autoencoder")
    x = example.photograph()
    trip = example.Maxima(2)
    first, where = cypool.max_pool2d(x, 2, return_indices=True)
    second, there = cypool.max_pool2d(first, 2, return_indices=True)
    wanted = cypool.max_unpool2d(cypool.max_unpool2d(second, there, 2), where, 2)
    np.testing.assert_array_equal(trip(x), wanted)
    assert [pool.indices.dtype for pool in trip.pools] == [np.uint8, np.uint8]


def test_crops(run):
    results = run("crops")
    rounded, shifted, aligned = results.values()
    assert rounded["different"] < 10 and shifted["different"] == aligned["different"] == 49
    assert np.ptp(rounded["off"]) > 10 and rounded["step"].max() == pytest.approx(8)
    assert np.allclose(shifted["off"], 8) and np.allclose(aligned["off"], 0)
    assert np.allclose(shifted["step"], 1) and np.allclose(aligned["step"], 1)
    assert rounded["change"].max() > 10 * aligned["change"].max()
    assert np.count_nonzero(rounded["change"]) == rounded["different"] - 1
    assert aligned["change"].min() > 0.5 * aligned["change"].max()
    assert aligned["error"].mean() < shifted["error"].mean() < rounded["error"].mean()


def test_sentences(run):
    results = run("sentences")
    for name, measured in results.items():
        assert measured["differ"] <= (1e-13 if name == "attention" else 0)
    clear = {name: measured["pairs"] - measured["others"] for name, measured in results.items()}
    assert clear["attention"] > clear["mean"] > clear["maximum"] > clear["3-max"]
    assert [results[name]["found"] for name in ("mean", "maximum", "attention")] == [12, 12, 12]
    assert results["3-max"]["found"] < 12


def test_weights_of_words():
    """How much of the attention the longest word of pair 4 gets."""
    example = load("sentences")
    _, logits, offsets = example.embed([sentence for pair in example.PAIRS for sentence in pair])
    for begin, end in zip(offsets[6:8], offsets[7:9], strict=True):
        weights = np.exp(logits[begin:end])
        assert weights.max() / weights.sum() == pytest.approx(0.5, abs=0.08)


def test_graphs(run):
    results = run("graphs")
    right = results["right"]
    assert right["mean"] == right["maximum"] == 24 and right["sum"] < 18
    assert results["pieces"] == {"before": 1, "pooled": 13, "two steps": 1}
    kept = np.isfinite(results["back"])
    assert set(np.flatnonzero(kept)) == set(results["idx"]) and kept.sum() == 30
    assert np.isfinite(results["filled"]).all() and max(results["errors"]) < 0.25 * results["signal"].mean()


def test_graphs_by_other_means():
    """Degrees, triangles and pieces of graphs that are known; a sparse adjacency where SciPy is there."""
    example = load("graphs")
    edges, ids, families = example.batch()
    x = example.describe(edges, len(ids))
    of_nodes = np.array(list(example.FAMILIES))[families[ids]]
    assert (x[of_nodes == "rings"] == [2, 2, 0]).all()
    assert example.pieces(edges, len(ids)) == len(families)
    hub = np.flatnonzero(of_nodes == "wheels")[0]
    n = example.SIZES[0]
    assert x[hub].tolist() == [n - 1, 3, 2 / (n - 2)]
    sparse = pytest.importorskip("scipy.sparse")
    adjacency = sparse.csr_array(example.neighbours(edges, len(ids)))
    _, idx, listed = cypool.topk_pool(x, x[:, 0], 0.5, ids, edges=edges)
    _, same, matrix = cypool.topk_pool(x, x[:, 0], 0.5, ids, edges=adjacency)
    assert (idx == same).all() and (matrix.toarray() == example.neighbours(listed, len(idx))).all()
