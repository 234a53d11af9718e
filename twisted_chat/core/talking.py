"""Requests to send messages, and to join and leave rooms.

Each becomes a change that is submitted to the chat, and is answered at the change's place in the
one order. This module must not know how a person joins the chat or leaves it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import structs

from twisted_chat.core.callbacks import nothing
from twisted_chat.core.chat import Answer, Chat
from twisted_chat.core.errors import BadRequest, NobodyToAnswer, NoSuchPerson, Refusal
from twisted_chat.core.link import Link
from twisted_chat.core.questions import Asker
from twisted_chat.core.requests import Join, Leave, Reply, Request, Say, Tell, Topic
from twisted_chat.core.room import Room


class Speaker(Asker):
    """The part of a session that sends messages, and joins and leaves rooms."""

    def __init__(self, chat: Chat, connection: Link, language: str) -> None:
        super().__init__(chat, connection, language)
        self._correspondent: tuple[int, str] | None = None
        #: The number of requests that wait for an answer, and callbacks postponed until then.
        self._under_way = 0
        self._postponed: list[Callable[[], None]] = []  # a deque takes ten times the memory

    # -- talking -------------------------------------------------------------------------------

    def _say(self, request: Say) -> None:
        if not request.text.strip():
            if not self.profile.ignores_blank_lines:
                raise BadRequest(reason="text is blank")
        else:
            room = self._own_room(request.room)
            self._chat.say(self, room, request.text, request.kind, self._message_id(request))
            self._put_drafts(room)

    def _tell(self, request: Tell) -> None:
        if not request.text.strip():
            raise BadRequest(reason="text is blank")

        self._ask_chat(
            partial(self._chat.telling.tell, self, request.name, request.text), request.id
        )

    def _reply(self, request: Reply) -> None:
        if self._correspondent is None:
            raise NobodyToAnswer()
        author, name = self._correspondent
        present = self._chat.telling.name_of(author)
        if present is None:
            raise NoSuchPerson(name=name)  # a person who holds that nickname now is another one
        self._tell(Tell(present, request.text))

    def on_private_message(self, author: int, name: str) -> None:
        self._correspondent = author, name

    # -- rooms ---------------------------------------------------------------------------------

    def _join(self, request: Join) -> None:
        changed = partial(self._chat.keeper.changed, self)
        self._ask_chat(partial(self._chat.join, self, request.room), request.id, changed)

    def _leave_room(self, request: Leave) -> None:
        room = self._own_room(request.room)
        changed = partial(self._chat.keeper.changed, self)
        self._ask_chat(partial(self._chat.leave_room, self, room), request.id, changed)

    def _topic(self, request: Topic) -> None:
        room = self._own_room(request.room)
        may_change = request.text != room.topic or self._unsaved > 0
        if request.text is None or not (may_change or self.profile.receives_acknowledgements):
            # Setting the topic that the room has already is shown to this person only.
            self.show(structs.replace(self._chat.reading.topic(self, room), id=request.id))
        else:
            self._chat.set_topic(self, room, request.text, self._message_id(request))
            self._put_drafts(room)

    # -- helpers -------------------------------------------------------------------------------

    def _ask_chat(
        self,
        ask: Callable[[Answer, str | None], None],
        id: str | None,
        done: Callable[[], None] = nothing,
        refused: Callable[[], None] = nothing,
    ) -> None:
        """Ask the chat for a change, and handle nothing else until it is answered.

        :param ask: submits the change, given the callback for the answer and the request's id.
        :param id: the id of the request.
        :param done: called when the change is applied.
        :param refused: called when the change is refused; the person is told why before.
        :raises Refusal: the change is refused before it is submitted; neither is called.
        """
        end = self._begin()

        def answer(refusal: Refusal | None) -> None:
            try:
                if refusal is None:
                    done()
                else:
                    self.refuse(refusal, id)
                    refused()
            finally:
                end()

        try:
            ask(answer, id)
        except Refusal:
            end()
            raise

    def _begin(self) -> Callable[[], None]:
        """Hold requests and other happenings, such as the loss of the connection.

        Returns the function that ends this and handles them.
        """
        release = self._connection.hold()
        self._under_way += 1

        def end() -> None:
            self._under_way -= 1
            try:
                while self._postponed and not self._under_way:
                    self._postponed.pop(0)()
            finally:
                release()

        return end

    def _put_drafts(self, room: Room, count: int = 1) -> None:
        """Count ``count`` drafts for ``room`` that were put in the journal's queue.

        If the queue is full, or most readers of the room lag, the next request waits.
        """
        self._unsaved += count
        if self._chat.full:
            self._chat.when_space(self._connection.hold())
        elif room.readers_lagging:
            self._chat.when_caught_up(room, self._connection.hold())

    def _message_id(self, request: Request) -> str | None:
        """The message id of ``request``, if the client sends unacknowledged messages again."""
        return request.id if self.profile.deduplicates else None

    def _own_room(self, name: str | None) -> Room:
        return self._current_room() if name is None else self._chat.reading.own_room(self, name)
