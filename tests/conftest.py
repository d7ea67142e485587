"""Which cypool is tested, the fixture that runs a test on every build, and hypothesis profiles."""

import faulthandler
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def skip_uncompiled_sources():
    """Keep a clean clone's ``cypool`` folder, which has no compiled modules, from hiding the installed package."""
    kernels = ROOT / "cypool" / "_kernels"
    if any(kernels.glob("*.so")) or any(kernels.glob("*.pyd")):
        return
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


skip_uncompiled_sources()

import cypool  # noqa: E402
from cypool import dispatch  # noqa: E402

dispatch.most_threads = 1024  # else a small machine would test two threads and no more

try:
    from hypothesis import HealthCheck, settings

    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True, suppress_health_check=slow)
    settings.register_profile("thorough", max_examples=3000, deadline=None, suppress_health_check=slow)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
except ImportError:
    pass


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="run each test on every build, not on one of them by turns")


def pytest_collection_modifyitems(config, items):
    """Of a test that is there once for each build the short form runs one, chosen by its name."""
    if config.getoption("--full"):
        return
    builds, kept, left_out = dispatch.available(), [], []
    for item in items:
        build = getattr(item, "callspec", None) and item.callspec.params.get("isa")
        name = item.nodeid.replace(str(build), "isa", 1)
        chosen = build is None or build == builds[zlib.crc32(name.encode()) % len(builds)]
        (kept if chosen else left_out).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(params=dispatch.available())
def isa(request):
    """The name of the build in use: with --full the test runs once on each one that this machine has."""
    before = dispatch.in_use()
    dispatch.use(request.param)
    yield request.param
    dispatch.use(before)


@pytest.fixture
def no_hang():
    """End the whole run with a traceback where a test takes two minutes."""
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def run_script(tmp_path):
    """Run a script in a fresh interpreter, away from the source tree, with the cypool that is tested here."""

    def run(source, *, timeout=120, check=True, **environment):
        script = tmp_path / "script.py"
        script.write_text(source)
        env = {**os.environ, **environment}
        if Path(cypool.__file__).resolve().is_relative_to(ROOT):
            env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        done = subprocess.run(
            [sys.executable, str(script)], cwd=tmp_path, env=env, timeout=timeout, capture_output=True, text=True
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run
