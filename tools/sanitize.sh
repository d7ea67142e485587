#!/usr/bin/env bash
# Build the extensions with AddressSanitizer and UndefinedBehaviorSanitizer and run the tests on them.
#
#     tools/sanitize.sh                       every test
#     tools/sanitize.sh -x tests/test_nan.py  pytest's own arguments, for a short form
#
# PYTHON names the interpreter (default: python). SANITIZE_DIR keeps the environment from one run to the next; without it
# everything is made afresh in a temporary folder. Needs gcc with its sanitizer libraries.
set -euo pipefail

python=$(command -v "${PYTHON:-python}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -n "${SANITIZE_DIR:-}" ]; then
    mkdir -p "$SANITIZE_DIR"
    work=$(cd "$SANITIZE_DIR" && pwd)
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi

say() { printf '\n== %s\n' "$*"; }

# The sanitizers must be loaded before Python is. libstdc++ goes with them, or AddressSanitizer would not find the
# exception handling of the C++ libraries that other packages load later.
preload=
for library in libasan.so libubsan.so libstdc++.so; do
    path=$(gcc -print-file-name="$library")
    [ -e "$path" ] || { echo "gcc has no $library" >&2; exit 1; }
    preload="$preload${preload:+:}$(readlink -f "$path")"
done

say "build"
[ -x "$work/venv/bin/python" ] || "$python" -m venv "$work/venv"
# From a copy: an extension with sanitizers must not be left behind in the checkout.
rm -rf "$work/source" "$work/run"
mkdir -p "$work/source" "$work/run"
tar -C "$root" --exclude=./.git --exclude='*.so' --exclude=./build --exclude=./dist --exclude='./docs/_build' \
    --exclude='__pycache__' --exclude='./.venv' --exclude='./venv' -cf - . | tar -C "$work/source" -xf -
rm -rf "$work/wheel"
CYPOOL_SANITIZE=1 "$work/venv/bin/python" -m pip wheel --quiet --no-deps --no-cache-dir --wheel-dir "$work/wheel" "$work/source"
wheel=$(echo "$work"/wheel/cypool-*.whl)
"$work/venv/bin/python" -m pip install --quiet --force-reinstall --no-deps "$wheel"
"$work/venv/bin/python" -m pip install --quiet "$wheel[test]"

say "instrumented?"
# Without cypool/ beside them the tests cannot import anything but the installed build.
for name in tests benchmarks docs pyproject.toml README.md; do
    if [ -e "$work/source/$name" ]; then cp -R "$work/source/$name" "$work/run/"; fi
done
cd "$work/run"
for extension in "$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')"/cypool/_kernels/*.so; do
    # grep reads to the end: with -q it would stop early and nm would fail on the closed pipe.
    nm -D "$extension" | grep __asan_ > /dev/null || { echo "no sanitizer in $extension" >&2; exit 1; }
    echo "$(basename "$extension"): instrumented"
done

say "tests"
# Leaks are not looked for: Python itself keeps memory until the end. A huge allocation must return NULL, as it does without
# sanitizers, since the tests expect a MemoryError there. OMP_NUM_THREADS makes threads even on a small machine.
LD_PRELOAD="$preload" \
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:abort_on_error=0 \
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
OMP_NUM_THREADS="${OMP_NUM_THREADS:-4}" \
PYTHONMALLOC=malloc PYTHONFAULTHANDLER=1 \
    "$work/venv/bin/python" -m pytest -p no:cacheprovider "$@"
say "no report: the sanitizers found nothing"
