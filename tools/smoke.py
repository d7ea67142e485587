"""A short proof that an installed cypool works, with NumPy and nothing else.

    python tools/smoke.py [VERSION] [--openmp]      also that it is this version, and that it was built with threads

It runs wherever a wheel is tried (tools/wheel.sh, the wheel builds of the continuous integration). Run it from outside
the source tree, or the tree's own `cypool/` would be imported.
"""

import argparse
import sys
import sysconfig

import numpy as np

import cypool
from cypool._kernels import cpu

TEXTBOOK = np.array([[1, 3, 2, 4], [5, 2, 3, 1], [4, 6, 2, 7], [8, 3, 1, 5]], np.float32)[None, None]
RAMP = np.arange(1, 17, dtype=np.float64).reshape(1, 1, 4, 4)


def check(name, got, wanted):
    np.testing.assert_array_equal(got, wanted, err_msg=name)
    print(f"  {name}: ok")


def main():
    parser = argparse.ArgumentParser(description="Check that the installed cypool works.")
    parser.add_argument("version", nargs="?", help="the version that it must be")
    parser.add_argument("--openmp", action="store_true", help="fail if it was built without OpenMP")
    options = parser.parse_args()

    cypool.show_config()
    if options.version:
        check("version", cypool.__version__, options.version)
    if options.openmp:
        check("OpenMP", cpu.openmp() > 0, True)

    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        check("the GIL stays off", sys._is_gil_enabled(), False)

    y, indices = cypool.max_pool2d(TEXTBOOK, 2, return_indices=True)
    check("max", y[0, 0], [[5, 4], [8, 7]])
    check("max, indices", indices[0, 0], [[4, 3], [12, 11]])
    check("max, backward", cypool.max_pool2d_backward(y, indices, TEXTBOOK.shape),
          np.where(np.isin(np.arange(16), indices), TEXTBOOK.ravel(), 0).reshape(TEXTBOOK.shape))
    check("min", cypool.min_pool2d(TEXTBOOK, 2)[0, 0], [[1, 1], [3, 1]])
    check("average", cypool.avg_pool2d(RAMP, 2)[0, 0], [[3.5, 5.5], [11.5, 13.5]])
    check("average, backward", cypool.avg_pool2d_backward(np.ones((1, 1, 2, 2)), RAMP.shape, 2),
          np.full(RAMP.shape, 0.25))
    check("sum", cypool.sum_pool2d(RAMP, 2)[0, 0], [[14, 22], [46, 54]])
    check("global", cypool.global_avg_pool(RAMP), [[[[8.5]]]])

    # Large enough for every thread and every loop; the same bits whatever their number.
    x = np.random.default_rng(0).standard_normal((2, 16, 67, 71), np.float32)
    for axes, n in ((x, 2), (x[:, :, None], 3), (x.reshape(2, 16, -1), 1)):
        pool = getattr(cypool, f"avg_pool{n}d")
        kernel = (1, 3, 3)[-n:]
        check(f"threads, {n}D", pool(axes, kernel, 2, num_threads=8), pool(axes, kernel, 2, num_threads=1))
    print("cypool works")


if __name__ == "__main__":
    main()
