"""The journal: it numbers entries, commits them in groups, and hands each group back in order.

Its interface is :mod:`twisted_chat.core.journal`. It must not know sessions or connections.
"""
