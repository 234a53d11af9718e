"""A client of the chat, as a library; ``twisted-chat connect`` is a thin terminal on top.

A program gives :class:`ChatClientService` an object with the three methods of
:class:`Receiver`, and sends through the :class:`ChatClientProtocol` that it is handed. This
one greets whoever comes in, and leaves when somebody says "bye"::

    from twisted.internet import reactor
    from twisted_chat.client import ChatClientProtocol, ChatClientService, host_endpoint

    class Greeter:
        def connected(self, client: ChatClientProtocol) -> None:
            self.client = client
            client.send_line("Greeter")  # the first line is the name

        def line_received(self, text: str) -> None:
            if text.endswith("joined the chat."):
                self.client.send_line("Hello!")
            elif text.endswith("bye"):
                self.client.leave()

        def disconnected(self, reason: str, clean: bool) -> None:
            print(reason)

    service = ChatClientService(reactor, host_endpoint(reactor, "127.0.0.1", 50000), Greeter())
    service.when_ended().addCallback(lambda _: reactor.stop())
    service.startService()  # an application of twistd uses service.setServiceParent instead
    reactor.run()

What is here runs on the reactor's thread. The library knows neither terminal nor language:
the reasons that it gives are in English and marked for the catalogues.
"""

from twisted_chat.client.protocol import ChatClientProtocol, Receiver
from twisted_chat.client.service import ChatClientService, host_endpoint

__all__ = ["ChatClientProtocol", "ChatClientService", "Receiver", "host_endpoint"]
