"""How the documentation is built: Sphinx, its pages in Markdown, the reference of the Python API from docstrings."""

from __future__ import annotations

from crawler.version import __version__

project = "crawler"
author = "the crawler team"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"crawler {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "literal"  # docstrings put code between single backquotes
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
nitpicky = False
# Files beside the site that pages link to, as they are in the repository.
myst_all_links_external = False
suppress_warnings: list[str] = []
