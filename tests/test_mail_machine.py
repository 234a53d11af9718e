"""Whatever happens, a message that was reported as kept is shown, and is gone only afterwards."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.accounts import make_account
from tests.support.fakes import Visitor, World
from twisted_chat.core.events import MessageKept, Told
from twisted_chat.core.mailboxes import KIND
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import Tell


class Mail(RuleBasedStateMachine):
    """Bia, a guest, writes to the account Ana, whose devices come and go; the server is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        make_account(self.world)
        self.texts = 0
        self.kept: set[str] = set()
        #: Of all connections of Ana there have been.
        self.connections: list[Visitor] = []
        self.devices: list[Visitor] = []
        self._begin()

    def _begin(self) -> None:
        (self.bia,) = self.world.enter("Bia")

    def _shown(self) -> set[str]:
        return {
            event.text
            for visitor in self.connections
            for event in visitor.connection.events
            if isinstance(event, Told)
        }

    @rule()
    def tell(self) -> None:
        text = f"text {self.texts}"
        self.texts += 1
        before = len(self.bia.connection.events)
        self.bia.ask(Tell("Ana", text))
        if any(isinstance(event, MessageKept) for event in self.bia.connection.events[before:]):
            self.kept.add(text)

    @rule(arrives=st.booleans(), ready=st.booleans())
    def come_in(self, arrives: bool, ready: bool) -> None:
        visitor = Visitor(self.world)
        visitor.connection.arrives = arrives
        visitor.enter_as(Proof(1, nickname("Ana"), "", ""))
        visitor.connection.ready = ready
        self.connections.append(visitor)
        self.devices.append(visitor)

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        device = data.draw(st.sampled_from(self.devices))
        device.connection.ready = data.draw(st.booleans())
        device.connection.arrives = data.draw(st.booleans())

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        device = data.draw(st.sampled_from(self.devices))
        self.devices.remove(device)
        device.breaks_off()

    @rule(seconds=st.sampled_from([0.01, 1, 20]))
    def wait(self, seconds: float) -> None:
        for _ in range(2):
            self.world.clock.advance(seconds)
            self.world.journal.run()

    @rule()
    def kill(self) -> None:
        self.world.journal.end()
        self.world = World(store=self.world.journal.log.store.copy())
        self.devices = []
        self._begin()

    @invariant()
    def the_state_is_what_is_on_disk(self) -> None:
        keys = self.world.journal.log.store.record_keys(KIND)
        assert len(self.world.chat.mail._boxes) == len(keys)

    def teardown(self) -> None:
        for device in tuple(self.devices):
            self.devices.remove(device)
            device.breaks_off()
        self.come_in(True, True)
        for _ in range(12):  # a message may have to be shown again, and then to be confirmed
            self.wait(20)
        assert self.kept - self._shown() == set()
        assert self.world.journal.log.store.record_keys(KIND) == []


TestMail = Mail.TestCase
TestMail.settings = settings(stateful_step_count=25, deadline=None)
