"""The same bits from any number of threads, on any build, in any process; and the switches that choose them."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pytest
from cases import DATA_FORMATS, check_values, every_build, full_range, same_bits, shaped, ties
from operators import OPERATORS, WINDOWED, ids

import cypool
from cypool import dispatch

THREADS = (1, 2, 3, 5, 8)

# More than a million elements each, so that threads and tiles are really used: many planes, and one large plane.
MANY = {1: (4, 8, (40_000,)), 2: (4, 16, (130, 131)), 3: (2, 4, (33, 64, 65))}
ONE = {1: (1, 1, (1_100_003,)), 2: (1, 1, (1025, 1100)), 3: (1, 1, (70, 120, 131))}
WINDOWS = [
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 2},
    {"kernel_size": 5, "stride": 3, "padding": 2, "ceil_mode": True},
]


def settings(op):
    if not op.has_window:
        return [{} if op.is_global else {"output_size": 7}]
    return WINDOWS[:2] if op.ndim == 3 else WINDOWS


@lru_cache(maxsize=4)
def large_input(op, where, data_format):
    n, c, spatial = (MANY if where == "many" else ONE)[op.ndim]
    rng = np.random.default_rng(op.ndim)
    x = (ties if op.chooses else full_range)(rng, shaped(n, c, spatial, data_format), np.float32)
    if not op.is_global:  # where one NaN would be all there is to see
        x.flat[rng.integers(x.size, size=20)] = np.nan
    return x


def results(op, x, window, grad=None, **options):
    """Forward, forward with indices and backward: everything that threads compute."""
    y, indices = op.run(x, window, **options)
    if grad is None:
        grad = np.cos(np.arange(y.size, dtype=x.dtype)).reshape(y.shape)
    back = op.run_backward(grad, x.shape, window, indices, **options)
    value = op.forward(x, **window, **options)
    return [y, value, back] if indices is None else [y, value, back, indices]


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("where", ["many", "one"])
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_threads_do_not_change_a_bit(op, where, data_format, isa):
    x = large_input(op, where, data_format)
    for window in settings(op):
        wanted = results(op, x, window, data_format=data_format, num_threads=1)
        for threads in THREADS:
            got = results(op, x, window, data_format=data_format, num_threads=threads)
            for a, b in zip(got, wanted, strict=True):
                assert same_bits(a, b), f"{window} with {threads} threads"


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("where", ["many", "one"])
@pytest.mark.parametrize("op", OPERATORS, ids=ids(OPERATORS))
def test_builds_agree_in_every_bit(op, where, data_format):
    x = large_input(op, where, data_format)
    window = settings(op)[0]
    seen = [results(op, x, window, data_format=data_format, num_threads=2) for _ in every_build()]
    for other in seen[1:]:
        assert all(same_bits(a, b) for a, b in zip(other, seen[0], strict=True))


# Wide along every axis: windows are made of blocks that begin at the same place in every tile.
WIDE = {1: {"kernel_size": 27}, 2: {"kernel_size": (11, 29), "padding": (5, 0)}, 3: {"kernel_size": (8, 9, 26)}}


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("where", ["many", "one"])
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_wide_windows_agree_in_every_bit(op, where, data_format):
    x = large_input(op, where, data_format)
    window = {"stride": 1, **WIDE[op.ndim]}
    seen = [results(op, x, window, data_format=data_format, num_threads=threads)
            for _ in every_build() for threads in (1, 3)]
    for got in seen[1:]:
        for a, b in zip(got, seen[0], strict=True):
            assert same_bits(a, b)


@pytest.mark.parametrize("where", ["many", "one"])
@pytest.mark.parametrize("op", [op for op in OPERATORS if op.ndim < 3], ids=lambda op: op.id)
def test_large_results_are_right(op, where):
    """Threads that agree could be wrong together."""
    x = large_input(op, where, "channels_first")
    for window in settings(op)[:1]:
        y, indices = op.run(x, window, num_threads=3)
        if op.is_global:
            planes, wide = tuple(range(2, x.ndim)), x.astype(np.float64)
            wanted = wide.max(planes, keepdims=True) if op.chooses else wide.mean(planes, keepdims=True)
            np.testing.assert_allclose(y, wanted, rtol=0, atol=0 if op.chooses else 2e-6)
            continue
        expected = op.expected(x, window)
        check_values(y, expected)
        if op.chooses:
            assert np.array_equal(indices, expected.indices)


@pytest.mark.parametrize("name", ["float16", "float64", "uint8", "int64"])
@pytest.mark.parametrize("op", [op for op in WINDOWED if op.ndim == 2], ids=lambda op: op.id)
def test_threads_with_other_dtypes_and_strides(op, name, isa):
    x = np.random.default_rng(1).integers(0, 50, (1, 2, 800, 700)).astype(name)
    for view in (x, x.swapaxes(2, 3), x[..., ::-1], x.astype(x.dtype.newbyteorder("S"))):
        for window in WINDOWS[:2]:
            wanted = op.run(view, window, num_threads=1)
            for threads in THREADS[1:]:
                got = op.run(view, window, num_threads=threads)
                assert same_bits(got[0], wanted[0])
                assert wanted[1] is None or same_bits(got[1], wanted[1])


@pytest.mark.parametrize("op", [op for op in WINDOWED if op.ndim == 2], ids=lambda op: op.id)
def test_repeated_runs(op, isa):
    x = large_input(op, "one", "channels_first")
    first = results(op, x, WINDOWS[0], num_threads=3)
    for _ in range(5):
        assert all(same_bits(a, b) for a, b in zip(results(op, x, WINDOWS[0], num_threads=3), first, strict=True))


def test_eight_python_threads_at_once(isa):
    """Different shapes, operators and layouts at the same time, each right every time."""
    rng = np.random.default_rng(2)
    jobs = []
    for i, op in enumerate(op for op in WINDOWED if op.ndim < 3):
        data_format = DATA_FORMATS[i % 2]
        x = rng.normal(size=shaped(2, 3, (301,) * op.ndim, data_format)).astype(np.float32)
        window = WINDOWS[i % 3]
        jobs.append((op, x, window, data_format, results(op, x, window, data_format=data_format, num_threads=1)))

    def work(number):
        for turn in range(12):
            op, x, window, data_format, wanted = jobs[(number + turn) % len(jobs)]
            got = results(op, x, window, data_format=data_format, num_threads=1 + turn % 3)
            assert all(same_bits(a, b) for a, b in zip(got, wanted, strict=True))
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


@pytest.fixture
def thread_setting():
    before = cypool.get_num_threads()
    yield
    cypool.set_num_threads(before)


def test_set_num_threads(thread_setting):
    x = np.random.default_rng(3).normal(size=(2, 3, 200, 200))
    wanted = cypool.max_pool2d(x, 3, 1, num_threads=1)
    for threads in (1, 2, 5, np.int64(3)):
        cypool.set_num_threads(threads)
        assert cypool.get_num_threads() == threads
        assert same_bits(cypool.max_pool2d(x, 3, 1), wanted)
    for bad in (0, -1, -(2**70)):
        with pytest.raises(ValueError, match="-?\\d"):
            cypool.set_num_threads(bad)
    for bad in (1.0, True, "2", (1,)):
        with pytest.raises(TypeError):
            cypool.set_num_threads(bad)
    assert cypool.get_num_threads() == 3


def test_dispatch():
    builds = dispatch.available()
    assert "baseline" in builds and set(builds) <= {"baseline", "avx2", "avx512"} and len(set(builds)) == len(builds)
    assert dispatch.in_use() in builds
    before = dispatch.in_use()
    for bad in ("", "AVX2", "sse9", None, 2):
        with pytest.raises((ValueError, TypeError)):
            dispatch.use(bad)
        assert dispatch.in_use() == before
    for name in builds:
        dispatch.use(name)
        assert dispatch.in_use() == name
        shown = cypool.show_config(mode="dicts")
        assert name in str(shown)
    dispatch.use(before)


def test_show_config(capsys):
    assert cypool.show_config() is None
    printed = capsys.readouterr().out
    for fact in (cypool.__version__, dispatch.in_use(), str(cypool.get_num_threads())):
        assert fact in printed
    shown = cypool.show_config(mode="dicts")
    assert isinstance(shown, dict)
    assert cypool.__version__ in str(shown) and all(name in str(shown) for name in dispatch.available())
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="mode"):
        cypool.show_config(mode="json")


POOL = """
import hashlib, sys
import numpy as np
import cypool

def work(seed):
    x = np.random.default_rng(seed).normal(size=(2, 4, 400, 400))
    y, indices = cypool.max_pool2d(x, 3, 1, 1, return_indices=True, num_threads=4)
    back = cypool.max_pool2d_backward(y, indices, x.shape, num_threads=4)
    average = cypool.avg_pool2d(x, 5, 2, num_threads=4)
    return hashlib.sha256(b"".join(a.tobytes() for a in (y, indices, back, average))).hexdigest()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_started_after_use(method, run_script):
    """A child forked from a process whose OpenMP threads exist must not wait for them for ever."""
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    run_script(
        POOL
        + f"""
if __name__ == "__main__":
    import multiprocessing
    here = [work(0), work(1)]
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        there = pool.map_async(work, [0, 1, 0, 1]).get(60)
    assert there == here * 2, "other bits in a child"
    assert [work(0), work(1)] == here, "other bits after the children"
"""
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_within_fork(run_script):
    run_script(
        POOL
        + """
import os
wanted = work(0)
child = os.fork()
if child == 0:
    grandchild = os.fork()
    ok = work(0) == wanted
    if grandchild == 0:
        os._exit(0 if ok else 3)
    status = os.waitpid(grandchild, 0)[1]
    os._exit(0 if ok and status == 0 else 4)
assert os.waitpid(child, 0)[1] == 0
assert work(0) == wanted
"""
    )


SHOW = "import cypool\nfrom cypool import dispatch\nprint(dispatch.in_use(), cypool.get_num_threads())"


def test_environment_forces_a_build(run_script):
    for name in dispatch.available():
        assert run_script(SHOW, CYPOOL_ISA=name).stdout.split()[0] == name
    for bad in ("sse9", "AVX-2"):
        done = run_script(SHOW, check=False, CYPOOL_ISA=bad)
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert "CYPOOL_ISA" in last and bad in last and last.startswith(("ImportError", "ValueError"))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_threads_follow_the_environment(run_script):
    clear = {"OMP_NUM_THREADS": ""}
    usable = len(os.sched_getaffinity(0))
    assert 1 <= int(run_script(SHOW, **clear).stdout.split()[1]) <= usable
    pinned = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + SHOW
    assert run_script(pinned, **clear).stdout.split()[1] == "1"
    assert run_script(SHOW, OMP_NUM_THREADS="1").stdout.split()[1] == "1"
    if "OpenMP" in str(cypool.show_config(mode="dicts")) and usable > 1:
        assert run_script(SHOW, OMP_NUM_THREADS="2").stdout.split()[1] == "2"


def test_no_more_threads_than_cores(run_script):
    """More would wait for one another, however many were asked for."""
    source = """
import os
import numpy as np
import cypool

x = np.ones((64, 64, 32, 32), np.float32)
before = len(os.listdir("/proc/self/task"))
cypool.max_pool2d(x, 3, 1, num_threads=16)
print(len(os.listdir("/proc/self/task")) - before, len(os.sched_getaffinity(0)))
"""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("no threads to count here")
    started, cores = map(int, run_script(source).stdout.split())
    assert started < cores


def test_threadpoolctl_sees_the_pool():
    """threadpoolctl finds the OpenMP library and limits it; the result does not change."""
    control = pytest.importorskip("threadpoolctl")
    x = np.random.default_rng(4).normal(size=(2, 3, 300, 300))
    wanted = cypool.max_pool2d(x, 3, 1)
    with control.threadpool_limits(1, user_api="openmp"):
        assert same_bits(cypool.max_pool2d(x, 3, 1), wanted)
    done = subprocess.run(
        [sys.executable, "-m", "threadpoolctl", "-i", "cypool"], capture_output=True, text=True, timeout=60, cwd="/"
    )
    if sys.platform == "linux" and done.returncode == 0:
        assert "openmp" in done.stdout
