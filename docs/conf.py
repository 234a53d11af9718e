"""Sphinx: how the documentation is built."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for what stands beside this file

project = "twisted-chat"
author = "The twisted-chat developers"
extensions = ["command_table"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
