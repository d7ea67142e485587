"""Pooling into ``out=`` takes next to no memory, whatever the strides of the input."""

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory from /proc")

# Prints the peak memory of pooling 512 MiB beyond what the process held before, in MiB.
SCRIPT = """
import numpy as np
import cypool

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

base = np.empty({shape}, {dtype!r})
base.reshape(-1)[:] = 1
assert base.nbytes == 2**29
x = base{view}
out = np.empty(cypool.output_shape(x.shape, **{window}), x.dtype.newbyteorder("="))
out.fill(0)
pool = cypool.{name}
pool(x[..., : x.shape[-1] // 4], **{window})        # threads and their stacks exist before the measurement
with open("/proc/self/clear_refs", "w") as file:    # the peak so far is forgotten
    file.write("5")
before = status("VmRSS")
pool(x, **{window}, out=out)
print(status("VmHWM") - before)
assert out.min() == 1
"""

PLANES = (8, 16, 1024, 1024)
WHOLE, TRANSPOSED, REVERSED, BOTH = "", ".swapaxes(-1, -2)", "[..., ::-1]", "[..., ::-1, :].swapaxes(-1, -2)"
K2 = {"kernel_size": 2}
K3 = {"kernel_size": 3, "stride": 1, "padding": 1}
CASES = [
    ("max_pool2d", PLANES, "f4", WHOLE, K2),
    ("max_pool2d", PLANES, "f4", TRANSPOSED, K2),
    ("max_pool2d", PLANES, "f4", REVERSED, K2),
    ("max_pool2d", PLANES, ">f4", WHOLE, K2),
    ("max_pool2d", (16, 16, 1024, 1024), "f2", WHOLE, K2),
    ("max_pool2d", PLANES, "f4", WHOLE, K3),
    ("max_pool2d", PLANES, "f4", BOTH, K3),
    ("max_pool2d", (1, 1, 8192, 16384), "f4", TRANSPOSED, K3),
    ("max_pool2d", (128, 1024, 1024, 1), "f4", "", {**K2, "data_format": "channels_last"}),
    ("avg_pool2d", PLANES, "f4", TRANSPOSED, K2),
    ("max_pool1d", (64, 1, 2**21), "f4", WHOLE, K2),
    ("max_pool1d", (64, 1, 2**21), "f4", REVERSED, K3),
]


def available_mib():
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1024


@pytest.mark.parametrize(("name", "shape", "dtype", "view", "window"), CASES)
def test_512_mib(name, shape, dtype, view, window, run_script):
    if available_mib() < 2000:
        pytest.skip("needs 2 GiB of free memory")
    done = run_script(SCRIPT.format(name=name, shape=shape, dtype=dtype, view=view, window=window), timeout=300)
    assert float(done.stdout) < 16
