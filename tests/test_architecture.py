"""The one-way flow: public functions, arguments, windows, dispatch, kernels, and no arrow back up."""

import ast
import sys
from pathlib import Path

import pytest

import cypool

PACKAGE = Path(cypool.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
PICTURES = {"__main__", "plotting", "pictures"}

# What each layer may import of cypool itself; "errors" is open to all of them.
ALLOWED = {"arguments": set(), "windows": set(), "errors": set(), "dispatch": {"windows", "_kernels"}}
ENGINE = {"arguments", "windows", "dispatch"}


def imports(module):
    """Top-level names that a module imports, as ``(within cypool, from elsewhere)``, inside functions too."""
    own, other = set(), set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [f"cypool.{node.module}"] if node.module else [f"cypool.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module != "cypool" else [f"cypool.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "cypool":
                own.add(parts[1] if len(parts) > 1 else "cypool")
            else:
                other.add(parts[0])
    return own, other


def test_the_layers_are_there():
    assert {"arguments", "windows", "dispatch", "windowed", "layers"} <= set(MODULES)
    assert "numpy" in imports("arguments")[1]
    assert ENGINE & imports("windowed")[0]


@pytest.mark.parametrize("module", ALLOWED)
def test_lower_layers_do_not_look_up(module):
    if module in MODULES:
        assert imports(module)[0] <= ALLOWED[module] | {"errors"}


@pytest.mark.parametrize("module", [m for m in MODULES if m not in {*ALLOWED, *PICTURES, "__init__"}])
def test_operators_do_not_import_layers_or_pictures(module):
    own, _ = imports(module)
    assert not own & (PICTURES | {"_kernels", "cypool"})
    if module != "layers":
        assert "layers" not in own


@pytest.mark.parametrize("module", [m for m in MODULES if m not in PICTURES])
def test_only_pictures_need_more_than_numpy(module):
    _, other = imports(module)
    assert other - set(sys.stdlib_module_names) <= {"numpy", "ml_dtypes"}


def test_importing_cypool_imports_no_extras(run_script):
    extras = "{'matplotlib', 'PIL', 'torch', 'onnx', 'scipy', 'tqdm', 'rich'}"
    run_script(f"import sys\nimport cypool\nassert not {extras} & set(sys.modules), sorted(sys.modules)")


def test_public_names():
    assert len(set(cypool.__all__)) == len(cypool.__all__)
    for name in cypool.__all__:
        if not name.startswith("__"):
            assert getattr(cypool, name).__doc__, name
    assert (PACKAGE / "py.typed").exists()
