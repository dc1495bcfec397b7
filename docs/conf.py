"""How Sphinx makes a site of these pages: `make docs`."""

from importlib import metadata

project = "digits"
author = "the digits authors"
release = metadata.version("digits")
extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings, by the names that forges give them
html_theme = "furo"
html_title = f"digits {release}"
html_static_path: list[str] = []
templates_path: list[str] = []
