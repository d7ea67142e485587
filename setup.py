"""The build of the compiled modules: tables of flags, and two questions to the compiler.

Environment: CYPOOL_NO_OPENMP=1 builds without threads, CYPOOL_DEBUG=1 with bounds checks and assertions,
CYPOOL_SANITIZE=1 with the address and undefined-behaviour sanitizers, CYPOOL_BUILDS=baseline,avx2 only those
instruction sets.
"""

import os
import platform
import sys
import tempfile
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

DEBUG = os.environ.get("CYPOOL_DEBUG") == "1"
SANITIZE = os.environ.get("CYPOOL_SANITIZE") == "1"
NO_OPENMP = os.environ.get("CYPOOL_NO_OPENMP") == "1"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "freethreading_compatible": True,
}

# No -ffast-math of any kind: NaN must survive. -ffp-contract=off: every build gives the same bits. The row loops count
# on being inlined with literal strides, and on gcc leaving loops over the lanes of a vector to its vectoriser instead
# of peeling them (clang knows no --param, says so and goes on). Where gcc finds a memcpy in such loops it takes vectors
# through memory by halves and reads them back whole, which stalls. Of what -O3 adds these loops need three things;
# without the rest they are as fast, and built in three quarters of the time.
FLAGS = {
    "unix": ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-fpeel-loops", "-funswitch-loops",
             "-fno-tree-pre", "-fno-gcse",
             "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-g0",
             "-DCYTHON_INLINE=__inline__ __attribute__((always_inline))", "--param=max-completely-peel-times=4",
             "-fno-inline-functions-called-once", "-fno-inline-functions", "-fno-inline-small-functions",
             "-fno-tree-loop-distribute-patterns"],
    "msvc": ["/O2", "/fp:precise"],
}
SANITIZER_FLAGS = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
                   "-fno-sanitize-recover=undefined"]

# Tried in this order; the first that compiles, links and reports _OPENMP is used: (compile, link).
OPENMP = {
    "unix": [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])],
    "msvc": [(["/openmp"], [])],
}

# One build of each text below, in a module of its own: the last part of its name says which instruction set it is for.
# `cypool.dispatch` chooses at import. On x86 hardly anyone needs the first: it is built in a hurry.
X86 = platform.machine().lower() in ("x86_64", "amd64") and "arm64" not in os.environ.get("ARCHFLAGS", "")
INSTRUCTION_SETS = {
    "baseline": {"unix": ["-O1"] if X86 else [], "msvc": []},
    "avx2": {"unix": ["-march=x86-64-v3"], "msvc": ["/arch:AVX2"]},
    "avx512": {"unix": ["-march=x86-64-v4", "-mprefer-vector-width=512"], "msvc": ["/arch:AVX512"]},
}
# Texts that are built for every instruction set, and the modules that come of them. Cython takes longer than the
# compiler, so it runs once for each: every module is the same C under another name.
TEXTS = {"pooling": "{}", "ranks": "ranks_{}", "taps": "taps_{}", "irregular": "irregular_{}"}

PROBE = """
#include <omp.h>
#ifndef _OPENMP
#error no OpenMP
#endif
int probe(void) { return omp_get_max_threads(); }
"""


def compiles(compiler, source: str, compile_args: list[str], link_args: list[str]) -> bool:
    """Whether a small program compiles and links with these flags."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.c")
        path.write_text(source)
        try:
            objects = compiler.compile([str(path)], output_dir=folder,
                                       extra_postargs=compile_args + (["-fPIC"] if os.name == "posix" else []))
            compiler.link_shared_object(objects, str(Path(folder, "probe.so")), extra_postargs=link_args)
        except (CompileError, LinkError):
            return False
    return True


class BuildExt(build_ext):
    """Adds the flags that depend on the compiler."""

    def build_extensions(self) -> None:
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        compile_openmp, link_openmp = self.find_openmp(kind)
        for extension in self.extensions:
            name = extension.name.rpartition(".")[2].rpartition("_")[2]
            extension.extra_compile_args += FLAGS[kind] + INSTRUCTION_SETS.get(name, {}).get(kind, [])
            extension.extra_compile_args += compile_openmp + (SANITIZER_FLAGS if SANITIZE else [])
            extension.extra_link_args += link_openmp + (SANITIZER_FLAGS if SANITIZE else [])
        self.parallel = self.parallel or len(self.extensions)       # of unequal size: the system deals them out
        super().build_extensions()

    def find_openmp(self, kind: str) -> tuple[list[str], list[str]]:
        if NO_OPENMP:
            print("cypool: CYPOOL_NO_OPENMP=1, building without threads", file=sys.stderr)
            return [], []
        for compile_args, link_args in OPENMP[kind]:
            if compiles(self.compiler, PROBE, compile_args, link_args):
                print(f"cypool: OpenMP found with {' '.join(compile_args)}", file=sys.stderr)
                return compile_args, link_args
        print("cypool: WARNING: this compiler has no OpenMP, so cypool will run on one thread. "
              "On macOS, `brew install libomp` and CPPFLAGS/LDFLAGS pointing at it help.", file=sys.stderr)
        return [], []


KERNELS = "cypool/_kernels"
OPTIONS = {"define_macros": [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")], "include_dirs": [numpy.get_include()]}


def cythonized(names: list[str]) -> list[Extension]:
    sources = [Extension(f"cypool._kernels.{name}", [f"{KERNELS}/{name}.pyx"], **OPTIONS) for name in names]
    return cythonize(sources, compiler_directives=DIRECTIVES, nthreads=0 if sys.platform == "win32" else len(names))


def extensions() -> list[Extension]:
    wanted = os.environ.get("CYPOOL_BUILDS", ",".join(INSTRUCTION_SETS)).split(",")
    builds = [name for name in INSTRUCTION_SETS if name == "baseline" or X86 and name in wanted]
    made = [e for e in cythonized(["cpu", "memory", *TEXTS]) if e.name.rpartition(".")[2] not in TEXTS]
    for text, pattern in TEXTS.items():
        for name in (pattern.format(build) for build in builds):
            source = Path(KERNELS, f"{name}.c")
            source.write_text(f'#define PyInit_{text} PyInit_{name}\n#include "{text}.c"\n')
            made.append(Extension(f"cypool._kernels.{name}", [str(source)], depends=[f"{KERNELS}/{text}.c"], **OPTIONS))
    return made


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
