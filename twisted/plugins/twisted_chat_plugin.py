"""The twistd drop-in: it names the service and imports nothing of it.

Every ``twistd`` run imports this file, other plugins' runs too, so it must stay light.
"""

from twisted.application.service import ServiceMaker

twisted_chat = ServiceMaker(
    "twisted-chat",
    "twisted_chat.server.tap",
    "A chat server for telnet, netcat and the bundled client.",
    "chat",
)
