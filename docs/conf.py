# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx configuration. The pages are built from the sources of this checkout, without a network: tables come from the
model's rows, examples are run, and what they print is what the pages show.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

# compiled modules have neither signatures nor line numbers for autodoc
os.environ["HIDMA_INTERPRETED"] = "1"

import hidma  # noqa: E402

project = "hidma"
author = "the hidma project"
project_copyright = "GPL-2.0-only"
version = release = hidma.__version__

extensions = [
    "sphinx.ext.autodoc",
    "hidma.commands.abi.sphinx_ext",
    "hidma_names",
    "hidma_project",
    "hidma_rows",
    "hidma_run",
    "hidma_sidebyside",
]
abi_row_role = "row"
templates_path: list[str] = []
exclude_patterns = ["_build", "_ext", "examples"]
root_doc = "index"
highlight_language = "none"
nitpicky = True
# what the standard library has is named without a link: the pages need no other site
nitpick_ignore_regex = [
    (r"py:.*", r"(typing|collections|os|types|pathlib|enum|greenlet|importlib|json|mmap)\..*"),
    (r"py:(class|exc|obj)", r"(Any|Callable|Iterator|Iterable|Sequence|Counter|PathLike|Path|memoryview)"),
    (r"py:(class|exc|obj)", r"(int|str|bytes|bool|float|list|dict|tuple|set|frozenset|object|None|optional)"),
    (r"py:class", r"dict\[str"),  # what Sphinx makes of a parameter's dict[str, ...]
    (r"py:(class|exc|obj)", r"(OSError|ValueError|TypeError|FileNotFoundError|PermissionError|AttributeError)"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "hidma"
html_static_path = ["_static"]
html_css_files = ["hidma.css"]
html_favicon = "_static/favicon.svg"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c8a", "color-brand-content": "#0b5c8a"},
    "dark_css_variables": {"color-brand-primary": "#6cc0ee", "color-brand-content": "#6cc0ee"},
}
