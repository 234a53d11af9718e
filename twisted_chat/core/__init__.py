"""The chat itself: no bytes, no disk, no reactor and no clock.

:mod:`~twisted_chat.core.journal` is the interface to the log that the chat needs; the packages
below implement it.
"""
