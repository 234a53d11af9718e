"""The log as an operator reads it: verify, history and export, while a server runs or not.

What lives here opens a database, reads it once from one end to the other and writes nothing
to it nor beside it. Blocking and simple: it must know neither the reactor nor the chat.
"""
