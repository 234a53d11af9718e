"""Dialects: pure functions between bytes and messages.

A dialect does no I/O and knows no session: it reads a request from a line and renders
events in a style.
"""
