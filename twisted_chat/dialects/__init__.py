"""Dialects: pure functions that parse lines to requests and render events to bytes.

A dialect does no I/O, and must not know sessions or connections.
"""
