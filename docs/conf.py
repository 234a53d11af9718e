"""Sphinx: how the documentation is built."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for what stands beside this file

project = "twisted-chat"
author = "The twisted-chat developers"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosectionlabel", "command_table"]
exclude_patterns = ["_build"]

# The label of a heading is its page and its text: :ref:`operations:Backups`.
autosectionlabel_prefix_document = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
python_maximum_signature_line_length = 80

html_theme = "alabaster"
html_theme_options = {"page_width": "1300px", "sidebar_width": "200px"}
html_static_path = ["_static"]
html_css_files = ["page.css"]
