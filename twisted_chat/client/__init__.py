"""A client of the chat, as a library; ``twisted-chat connect`` is a terminal on top of it.

A :class:`ChatClient` is one nickname on one server. It reconnects by itself, misses no entry and
sends no message twice. This bot repeats every message, except for its own::

    from twisted_chat.client import ChatClient, Entry, run_bot

    async def main(reactor):
        client = ChatClient(reactor, "tcp:127.0.0.1:50000", "Echo")
        events = client.events()
        client.startService()
        async for event in events:
            if isinstance(event, Entry) and event.nickname != client.nickname:
                await client.say(event.text, event.room)

    run_bot(main)

``docs/bots.rst`` has more. The client runs on the reactor's thread, and must not know terminals.
"""

from twisted_chat.client.client import ChatClient
from twisted_chat.client.event_stream import Events
from twisted_chat.client.events import (
    ClientStopped,
    Connected,
    Disconnected,
    LogReplaced,
    NotDelivered,
    Receipt,
    RequestRefused,
    TakenBack,
    TakenOver,
)
from twisted_chat.client.program import run_bot
from twisted_chat.client.state import MemoryState, State
from twisted_chat.client.state_file import FileState
from twisted_chat.client.trust import Trust
from twisted_chat.core.events import (
    Announced,
    CodeMade,
    DevicesListed,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    HistoryShown,
    Joined,
    Left,
    Marked,
    MessageKept,
    NotSent,
    PasswordSet,
    PeopleListed,
    PresenceSummary,
    Refused,
    Registered,
    Renamed,
    Replaced,
    RoomLeft,
    RoomsListed,
    SearchShown,
    ServerStopping,
    Slowed,
    TokenMade,
    TokenRevoked,
    Told,
    TopicShown,
    Unregistered,
    Welcomed,
)
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings

__all__ = [
    "Announced",
    "ChatClient",
    "ClientStopped",
    "CodeMade",
    "Connected",
    "DevicesListed",
    "Disconnected",
    "Entered",
    "EntriesRemoved",
    "Entry",
    "Event",
    "Events",
    "FileState",
    "HistoryShown",
    "Invited",
    "Joined",
    "Left",
    "LogReplaced",
    "Marked",
    "MemoryState",
    "MessageKept",
    "NotDelivered",
    "NotSent",
    "PasswordSet",
    "PeopleListed",
    "PresenceSummary",
    "Receipt",
    "Refused",
    "Registered",
    "Renamed",
    "Replaced",
    "RequestRefused",
    "RoleSet",
    "RoomLeft",
    "RoomSettings",
    "RoomsListed",
    "SearchShown",
    "ServerStopping",
    "Slowed",
    "State",
    "TakenBack",
    "TakenOver",
    "TokenMade",
    "TokenRevoked",
    "Told",
    "TopicShown",
    "Trust",
    "Unregistered",
    "Welcomed",
    "run_bot",
]
