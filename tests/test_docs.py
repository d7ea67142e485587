"""What is documented is there, and its examples do what they show."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import cypool

FUNCTIONS = [name for name in cypool.__all__ if inspect.isfunction(getattr(cypool, name))]
LAYERS = [name for name in cypool.__all__ if inspect.isclass(getattr(cypool, name))]
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", cypool.__all__)
def test_examples(name):
    finder = doctest.DocTestFinder(recurse=False)
    tests = [test for test in finder.find(getattr(cypool, name), name, module=False, globs={}) if test.examples]
    assert tests, f"{name} has no example"
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0


OPERATORS = ("max", "min", "average", "sum", "adaptive", "global", "rank")
PAGES = ["guide.md", *(f"operators/{name}.md" for name in OPERATORS)]


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


@pytest.mark.parametrize("name", FUNCTIONS + LAYERS)
def test_readme_lists_everything(name):
    text = (ROOT / "README.md").read_text()
    family = re.sub(r"_backward$", "", name)
    assert f"`{family}`" in text or re.sub(r"\dd$", "1d", family) in text or name in text, name
