#!/usr/bin/env bash
# Do what a new reader of the README does: clone, and run its two commands, each in an empty environment.
#
#     tools/fresh.sh [COMMIT]         default: HEAD; what is not committed is not seen
#
# The commands are read out of README.md, so that they are tried as they are written there. PYTHON names the interpreter.
set -euo pipefail

python=$(command -v "${PYTHON:-python}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n== %s\n' "$*"; }

say "clone"
git clone --quiet "$root" "$work/cypool"
cd "$work/cypool"
git checkout --quiet --detach "$(git -C "$root" rev-parse "${1:-HEAD}")"
git log -1 --oneline

# Lines such as:  pip install ".[cli]" && cypool pool ...
mapfile -t commands < <(sed -n 's/^[[:space:]]*\$\{0,1\}[[:space:]]*\(pip install "\?\.\[.*&&.*\)$/\1/p' README.md | head -2)
[ "${#commands[@]}" -eq 2 ] || { echo "README.md should show two commands, found ${#commands[@]}" >&2; exit 1; }

# PYTHONPATH and a virtual environment around this one would hide what is missing.
unset PYTHONPATH VIRTUAL_ENV
for number in 0 1; do
    say "${commands[$number]}"
    "$python" -m venv "$work/venv$number"
    (
        export PATH="$work/venv$number/bin:$PATH"
        started=$SECONDS
        bash -euo pipefail -c "${commands[$number]}"
        echo "took $((SECONDS - started)) s"
    )
done

say "what the commands left behind"
git status --short --ignored | grep -v -e __pycache__ -e .pytest_cache || true
for picture in pooled.png steps.png; do
    case ${commands[0]} in
        *"$picture"*) [ -s "$picture" ] || { echo "$picture was not written" >&2; exit 1; } ;;
    esac
done
say "both commands work"
