"""The client at a terminal, on top of the library :mod:`twisted_chat.client`."""
