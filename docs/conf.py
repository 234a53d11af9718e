"""Sphinx: how the documentation is built."""

project = "twisted-chat"
author = "The twisted-chat developers"
extensions: list[str] = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
