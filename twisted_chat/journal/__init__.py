"""The log: numbers entries, commits them in groups, hands each group back in order.

Its interface is :mod:`twisted_chat.core.journal`.
"""
