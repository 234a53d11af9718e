"""``python -m benchmarks``: how much a chat server delivers, how soon, at what cost, and whether
nothing is missing.

It speaks to servers over sockets only, ours like any other one, and imports no reactor.
"""
