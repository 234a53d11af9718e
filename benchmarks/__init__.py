"""Measurements of speed, for development: they are in the source checkout, and not in the wheel.

``delivery/`` measures servers, ``journal.py`` the log, and ``client.py`` the client's terminal.
No module of ``twisted_chat`` imports them.
"""
