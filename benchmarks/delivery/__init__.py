"""``python -m benchmarks``: measures how much a chat server delivers, how soon and at what cost.

It checks that no line is missing. It uses sockets only, with our server as with any other, and
must not import a reactor.
"""
