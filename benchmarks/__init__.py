"""How fast everything is. For development: in the source checkout, and not in the wheel.

``delivery/`` measures servers, ``journal.py`` the log, and ``client.py`` the client's terminal.
Nothing of ``twisted_chat`` imports them.
"""
