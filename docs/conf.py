"""How the documentation is made: sphinx-build -W -n -b html docs docs/_build/html, with cypool[docs] installed."""

import sys
from importlib.metadata import metadata
from pathlib import Path

# `python -m sphinx` puts the checkout first on the path. Where its cypool/ is not compiled, the installed one is meant.
_root = Path(__file__).resolve().parent.parent
if not any(_root.glob("cypool/_kernels/*.so")) and not any(_root.glob("cypool/_kernels/*.pyd")):
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _root]

_package = metadata("cypool")

project = "cypool"
author = "The cypool developers"
copyright = f"2026, {author}"
release = version = _package["Version"]

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "pictures"]        # pictures/SOURCES.md is for readers of that folder
templates_path = ["_templates"]
root_doc = "index"
nitpicky = True

# Markdown
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Docstrings: NumPy's format, checked and typeset by numpydoc; types are told in words there, not in signatures.
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_use_plots = False
numpydoc_class_members_toctree = False

# Copied examples leave prompts and results behind.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"cypool {version}"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2f6fde", "color-brand-content": "#2f6fde"},
    "dark_css_variables": {"color-brand-primary": "#7fa9f5", "color-brand-content": "#7fa9f5"},
}
