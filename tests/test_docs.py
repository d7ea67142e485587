"""What is documented is there, and its examples do what they show."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import cypool
from cypool.catalogue import OPERATORS

FUNCTIONS = [name for name in cypool.__all__ if inspect.isfunction(getattr(cypool, name))]
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", cypool.__all__)
def test_examples(name):
    finder = doctest.DocTestFinder(recurse=False)
    tests = [test for test in finder.find(getattr(cypool, name), name, module=False, globs={}) if test.examples]
    assert tests, f"{name} has no example"
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0


PAGES = ["guide.md", *(f"operators/{name}.md" for name in sorted({op.page for op in OPERATORS}))]


@pytest.mark.parametrize("page", PAGES)
def test_pages(page):
    result = doctest.testfile(str(ROOT / "docs" / page), module_relative=False)
    assert result.attempted and not result.failed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sections(name):
    text = inspect.getdoc(getattr(cypool, name))
    assert "{" not in re.sub(r"\{\"[^}]*\}", "", text), "a placeholder was left"
    wanted = ["Examples"]
    if "pool" in name:
        wanted += ["Parameters", "Returns", "Raises", "See Also", "References"]
    for section in wanted:
        assert re.search(rf"^{section}\n-+$", text, re.M), f"{name} has no section {section}"
    documented = set(re.findall(r"^(\w+(?:, \w+)*)(?: :|$)", text, re.M))
    named = {part for group in documented for part in group.split(", ")}
    assert set(inspect.signature(getattr(cypool, name)).parameters) <= named


@pytest.mark.parametrize("name", FUNCTIONS)
def test_readme_lists_everything(name):
    """Operators are held against the catalogue; this is about all else."""
    if name not in {f for op in OPERATORS for f in op.functions} and not name.endswith("_backward"):
        assert f"`{name}`" in (ROOT / "README.md").read_text()
