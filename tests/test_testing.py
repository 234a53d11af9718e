"""The kit for other people's tests: true to the server, and it covers all of the client's API.

Each scenario is a test of its own. Another test plays all of them and compares what they used
and were told with the public names of :mod:`twisted_chat.client`: a new name without a scenario
fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

import twisted_chat.client
from twisted_chat.client import (
    Announced,
    ChatClient,
    ClientStopped,
    Connected,
    Disconnected,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    HistoryShown,
    Invited,
    Joined,
    Left,
    LogReplaced,
    Marked,
    MemoryState,
    MessageKept,
    NotDelivered,
    NotSent,
    PeopleListed,
    PresenceSummary,
    Receipt,
    Refused,
    Renamed,
    Replaced,
    RequestRefused,
    RoomLeft,
    RoomSettings,
    RoomsListed,
    SearchShown,
    ServerStopping,
    Slowed,
    TakenBack,
    TakenOver,
    Told,
    TopicShown,
    Welcomed,
)
from twisted_chat.client.protocol import Receiver
from twisted_chat.client.requests import Requests
from twisted_chat.core.errors import Refusal
from twisted_chat.core.flood import Rate
from twisted_chat.core.requests import Ping, Say
from twisted_chat.testing import ChatServer, SteppedClock

T = TypeVar("T")


class Watched:
    """A client whose public names are noted as they are used, with all that it is told."""

    def __init__(self, kit: Kit, client: ChatClient) -> None:
        self._kit = kit
        self._client = client
        self.heard: list[Event] = []
        client.listen(self.hear)

    def hear(self, event: Event) -> None:
        self._kit.seen.add(type(event))
        self.heard.append(event)

    def __getattr__(self, name: str) -> Any:
        self._kit.used.add(name)
        return getattr(self._client, name)

    def all(self, kind: type[T]) -> list[T]:
        return [event for event in self.heard if isinstance(event, kind)]

    def texts(self, room: str = "lobby") -> list[str]:
        return [entry.text for entry in self.all(Entry) if entry.room == room]


class Kit:
    """A server, and the clients of one scenario."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.seen: set[type] = set()
        self.server = ChatServer()

    def client(self, nickname: str | None = "Bot", **options: Any) -> Watched:
        """A client that is not started."""
        server = options.pop("server", self.server)
        return Watched(self, ChatClient(server.clock, server.endpoint(), nickname, **options))

    def online(self, nickname: str = "Bot", **options: Any) -> Watched:
        client = self.client(nickname, **options)
        client.startService()
        self.server.settle()
        return client

    def answer(self, asked: Deferred[T]) -> T:
        """What a request is answered with."""
        self.server.settle()
        (result,) = _results(asked)
        assert not isinstance(result, Failure), result
        return result

    def refusal(self, asked: Deferred[Any]) -> Refusal:
        """Why it is refused."""
        self.server.settle()
        (result,) = _results(asked)
        assert isinstance(result, Failure), result
        assert isinstance(result.value, Refusal)
        self.seen.add(type(result.value))
        return result.value


def _results(asked: Deferred[T]) -> list[T | Failure]:
    results: list[T | Failure] = []
    asked.addBoth(results.append)
    return results


def texts(server: ChatServer, room: str = "lobby") -> list[str]:
    return [entry.text for entry in server.log(room)]


#: All that is played.
SCENARIOS: list[Callable[[Kit], None]] = []


def scenario(play: Callable[[Kit], None]) -> Callable[[Kit], None]:
    SCENARIOS.append(play)
    return play


# -- as it is documented ------------------------------------------------------------------------


def test_a_bot_that_answers() -> None:
    server = ChatServer()
    bot = ChatClient(server.clock, server.endpoint(), "Echo")

    def answer(event: Event) -> None:
        if isinstance(event, Entry) and event.nickname != "Echo":
            bot.say(event.text, event.room)

    bot.listen(answer)
    bot.startService()
    server.settle()
    assert server.people == ("Echo",)

    server.say("lobby", "Ana", "oi")
    assert [entry.text for entry in server.log("lobby")] == ["oi", "oi"]

    server.cut("Echo")
    server.say("lobby", "Ana", "are you there?")
    server.clock.advance(5)  # by then, it has come back
    assert [entry.nickname for entry in server.log("lobby")] == ["Ana", "Echo"] * 2


# -- scenarios ----------------------------------------------------------------------------------


@scenario
def what_is_said_reaches_everybody_and_is_acknowledged(kit: Kit) -> None:
    bot = kit.online()
    receipt = kit.answer(bot.say("oi", "lobby"))
    assert isinstance(receipt, Receipt)
    assert receipt.number == 1
    kit.answer(bot.say("waves", "lobby", act=True))
    kit.answer(kit.server.say("lobby", "Ana", "olá"))
    assert bot.texts() == texts(kit.server) == ["oi", "waves", "olá"]
    assert [entry.kind for entry in kit.server.log("lobby")] == ["say", "act", "say"]
    assert kit.server.people == ("Bot", "Ana")
    assert bot.nickname == "Bot"


@scenario
def a_private_message_reaches_one_person(kit: Kit) -> None:
    bot, other = kit.online(), kit.online("Other")
    ana = kit.server.enter("Ana")
    told = kit.answer(bot.tell("Ana", "psst"))
    assert told.own
    kit.answer(ana.tell("Bot", "hm?"))
    assert [(one.sender, one.text) for one in bot.all(Told) if not one.own] == [("Ana", "hm?")]
    assert other.all(Told) == []


@scenario
def a_topic_is_set_and_asked_for(kit: Kit) -> None:
    bot = kit.online()
    kit.answer(bot.set_topic("lobby", "news"))
    shown = kit.answer(bot.topic("lobby"))
    assert isinstance(shown, TopicShown)
    assert shown.topic == "news"


@scenario
def one_moves_between_rooms(kit: Kit) -> None:
    bot = kit.online(rooms=["cinema"])
    entered = kit.answer(bot.join("Garden"))
    assert isinstance(entered, Entered)
    assert list(bot.rooms) == ["cinema", "lobby", "garden"]
    left = kit.answer(bot.leave("cinema"))
    assert isinstance(left, RoomLeft)
    kit.server.say("cinema", "Ana", "unheard")
    kit.server.say("garden", "Ana", "heard")
    assert bot.texts("cinema") == []
    assert bot.texts("garden") == ["heard"]
    listed = kit.answer(bot.list_rooms())
    assert isinstance(listed, RoomsListed)
    assert {room.room: room.people for room in listed.rooms} == {
        "lobby": 2,
        "garden": 2,
        "cinema": 1,
    }
    people = kit.answer(bot.list_people("garden"))
    assert isinstance(people, PeopleListed)
    assert people.people == ("Bot", "Ana")


@scenario
def a_room_gets_rules(kit: Kit) -> None:
    bot = kit.online()
    kit.answer(bot.register("a long password"))
    kit.answer(bot.join("den"))
    shown = kit.answer(bot.set_rules("den", join="password", password="of the den", slow=5))
    assert isinstance(shown, RoomSettings)
    assert (shown.join, shown.slow, shown.changed) == ("password", 5, ("join", "password", "slow"))
    assert kit.answer(bot.rules("den")).owner == "Bot"
    ana = kit.server.enter("Ana")
    invited = kit.answer(bot.invite("Ana", "den"))
    assert isinstance(invited, Invited)
    kit.answer(bot.give_role("Ana", "none", "den"))
    refused = kit.refusal(ana.join("den"))
    assert refused.code == "cannot-join"
    assert isinstance(kit.answer(ana.join("den", "of the den")), Entered)
    kit.answer(bot.set_rules("den", keep_days="default", hidden=True, speak="all"))
    assert [one.hidden for one in bot.all(RoomSettings)][-1]


@scenario
def a_name_is_changed(kit: Kit) -> None:
    bot = kit.online()
    renamed = kit.answer(bot.rename("Robot"))
    assert isinstance(renamed, Renamed)
    assert bot.nickname == "Robot"
    assert kit.server.people == ("Robot",)


@scenario
def the_past_is_read_and_searched(kit: Kit) -> None:
    bot = kit.online()
    for text in ("one fish", "two fish", "red"):
        kit.server.say("lobby", "Ana", text)
    shown = kit.answer(bot.history("lobby", 2, after=1))
    assert isinstance(shown, HistoryShown)
    assert [entry.text for entry in shown.entries] == ["two fish", "red"]
    found = kit.answer(bot.search("fish"))
    assert isinstance(found, SearchShown)
    assert [entry.text for entry in found.entries] == ["two fish", "one fish"]


@scenario
def any_request_can_be_made(kit: Kit) -> None:
    bot = kit.online()
    kit.answer(bot.ask(Ping()))
    kit.answer(bot.ask(Say("oi", "lobby", id="1")))
    assert [entry.message_id for entry in kit.server.log("lobby")] == ["1"]


@scenario
def others_come_and_go(kit: Kit) -> None:
    bot = kit.online()
    kit.server.enter("Ana")
    kit.server.leave("Ana")
    assert [event.nickname for event in bot.all(Joined)] == ["Ana"]
    assert [event.nickname for event in bot.all(Left)] == ["Ana"]
    assert kit.server.people == ("Bot",)
    with pytest.raises(KeyError):
        kit.server.leave("Ana")


@scenario
def a_crowd_comes(kit: Kit) -> None:
    bot = kit.online()
    for number in range(40):
        kit.server.enter(f"guest{number}")
    kit.server.clock.advance(1)
    assert len(bot.all(Joined)) + sum(event.count for event in bot.all(PresenceSummary)) == 40
    assert bot.all(PresenceSummary)


@scenario
def the_operator_speaks(kit: Kit) -> None:
    bot = kit.online()
    kit.server.announce("to all")
    kit.server.announce("to a room", "lobby")
    kit.server.announce("elsewhere", "cinema")
    assert [event.text for event in bot.all(Announced)] == ["to all", "to a room"]
    with pytest.raises(Refusal):
        kit.server.announce("\x1b")


@scenario
def a_lost_connection_loses_nothing_and_others_notice_nothing(kit: Kit) -> None:
    bot = kit.online()
    kit.answer(kit.server.say("lobby", "Ana", "before"))
    ana = Watched(kit, kit.server.enter("Ana"))
    kit.server.cut("Bot")
    assert not bot.is_in
    saying = bot.say("typed meanwhile", "lobby", id="m")
    assert [request.text for request in bot.waiting] == ["typed meanwhile"]
    assert bot.asked("m") == bot.waiting[0]
    kit.server.say("lobby", "Ana", "missed")
    assert kit.server.people == ("Bot", "Ana")
    kit.server.clock.advance(5)
    assert bot.is_in
    assert kit.answer(saying).number == 3
    assert bot.waiting == []
    assert bot.texts() == texts(kit.server) == ["before", "missed", "typed meanwhile"]
    assert len(bot.all(Connected)) == len(bot.all(Welcomed)) == 2
    (lost,) = bot.all(Disconnected)
    assert lost.retry is not None
    assert [event for event in ana.heard if isinstance(event, (Joined, Left))] == []


@scenario
def who_stays_away_has_left(kit: Kit) -> None:
    bot = kit.online()
    kit.server.enter("Ana")
    kit.server.accepts_connections = False
    kit.server.cut("Bot")
    kit.server.clock.advance(11)
    assert list(kit.server.people) == ["Ana"]
    kit.server.accepts_connections = True
    kit.server.clock.advance(60)
    assert bot.is_in
    assert list(kit.server.people) == ["Ana", "Bot"]


@scenario
def everybody_loses_the_connection(kit: Kit) -> None:
    bot = kit.online()
    ana = kit.server.enter("Ana")
    kit.server.cut()
    assert (bot.is_in, ana.is_in) == (False, False)
    kit.server.clock.advance(5)
    assert (bot.is_in, ana.is_in) == (True, True)


@scenario
def an_acknowledgement_that_got_lost_is_asked_for_again(kit: Kit) -> None:
    """The message is committed, and nobody was told: it must not be said twice."""
    bot = kit.online()
    kit.server.commits_at_once = False
    saying = bot.say("once", "lobby")
    kit.server.settle()
    assert texts(kit.server) == []
    kit.server.cut("Bot")
    kit.server.commit()
    assert texts(kit.server) == ["once"]
    kit.server.commits_at_once = True
    kit.server.clock.advance(5)
    assert kit.answer(saying).number == 1
    assert bot.texts() == texts(kit.server) == ["once"]


@scenario
def what_a_killed_server_had_not_committed_is_sent_again(kit: Kit) -> None:
    bot = kit.online()
    kit.answer(bot.say("saved", "lobby"))
    kit.server.commits_at_once = False
    saying = bot.say("not saved", "lobby")
    kit.server.settle()
    kit.server.kill()
    assert (kit.server.is_running, kit.server.people) == (False, ())
    kit.server.clock.advance(5)
    assert texts(kit.server) == ["saved"]
    kit.server.commits_at_once = True
    kit.server.start()
    kit.server.clock.advance(30)
    assert kit.answer(saying).number == 2
    assert bot.texts() == texts(kit.server) == ["saved", "not saved"]


@scenario
def a_server_stops_in_good_order(kit: Kit) -> None:
    """What was said before is saved, and everybody is told."""
    bot = kit.online()
    kit.server.commits_at_once = False
    bot.say("last words", "lobby")
    kit.server.settle()
    kit.server.stop()
    assert bot.all(ServerStopping)
    assert texts(kit.server) == ["last words"]
    kit.server.commits_at_once = True
    kit.server.start()
    kit.server.clock.advance(5)
    assert bot.is_in
    assert bot.texts() == ["last words"]


@scenario
def a_server_comes_back_with_another_log(kit: Kit) -> None:
    bot = kit.online()
    kit.answer(bot.say("old", "lobby"))
    kit.server.stop()
    kit.server.start(new_log=True)
    kit.server.clock.advance(5)
    assert [event.room for event in bot.all(LogReplaced)] == ["lobby"]
    assert kit.answer(bot.say("new", "lobby")).number == 1
    assert texts(kit.server) == ["new"]


@scenario
def a_backup_is_put_back(kit: Kit) -> None:
    """The bot is told, and sees what has the numbers now that it saw: but not what both have."""
    bot = kit.online()
    kit.server.say("lobby", "Ana", "one")
    backup = kit.server.back_up()
    kit.server.say("lobby", "Ana", "two")
    kit.server.say("lobby", "Ana", "three")
    for text in ("TWO", "DEUX"):
        kit.server.stop()
        kit.server.start(backup=backup)
        kit.server.say("lobby", "Bia", text)
        kit.server.clock.advance(5)
    assert [e.text for e in bot.all(Entry)] == ["one", "two", "three", "TWO", "DEUX"]
    assert [event.room for event in bot.all(LogReplaced)] == ["lobby", "lobby"]


@scenario
def old_entries_are_removed(kit: Kit) -> None:
    kit.server = ChatServer(keep_days=0.1)
    kit.server.say("lobby", "Ana", "old")
    kit.server.say("lobby", "Ana", "old too")
    kit.server.clock.advance(4 * 3600)  # the last one stays, as it carries the numbering on
    kit.answer(kit.server.say("lobby", "Ana", "new"))
    bot = kit.online(rooms={"lobby": 0})
    assert [(event.room, event.first) for event in bot.all(EntriesRemoved)] == [("lobby", 2)]
    assert bot.texts() == texts(kit.server) == ["old too", "new"]


@scenario
def the_newer_of_two_with_one_client_id_stays(kit: Kit) -> None:
    older = kit.online(state=MemoryState("a" * 32))
    newer = kit.online(state=MemoryState("a" * 32))
    kit.server.clock.advance(60)
    assert older.all(Replaced)
    assert (older.is_in, newer.is_in) == (False, True)
    assert older.all(Disconnected)[-1].retry is None
    assert isinstance(older.failure, TakenOver)
    kit.seen.add(TakenOver)


@scenario
def a_request_is_refused(kit: Kit) -> None:
    bot = kit.online()
    refusal = kit.refusal(bot.say("?", "cinema"))
    assert isinstance(refusal, RequestRefused)
    assert refusal.code == "not-in-room"
    assert [event.refusal.code for event in bot.all(Refused)] == ["not-in-room"]


@scenario
def a_private_message_may_not_have_been_delivered(kit: Kit) -> None:
    bot = kit.online()
    kit.server.enter("Ana")
    kit.server.commits_at_once = False
    telling = bot.tell("Ana", "psst")
    kit.server.settle()
    kit.server.cut("Bot")
    assert isinstance(kit.refusal(telling), NotDelivered)


@scenario
def a_client_is_stopped(kit: Kit) -> None:
    """It leaves, as others see at once; what has no answer fails, and so does what comes later."""
    bot = kit.online()
    kit.server.enter("Ana")
    bot.stopService()
    kit.server.settle()
    assert kit.server.people == ("Ana",)
    assert bot.all(Disconnected)[-1].retry is None
    assert isinstance(kit.refusal(bot.say("late", "lobby")), ClientStopped)


@scenario
def a_name_is_chosen_later_and_again_if_it_is_taken(kit: Kit) -> None:
    kit.server.enter("Ana")
    bot = kit.client(None, insist=False)
    bot.startService()
    kit.server.settle()
    assert [type(event) for event in bot.heard] == [Connected]
    bot.introduce("Ana")
    kit.server.settle()
    assert [event.refusal.code for event in bot.all(Refused)] == ["name-taken"]
    bot.introduce("Bia")
    kit.server.settle()
    assert kit.server.people == ("Ana", "Bia")


@scenario
def a_name_is_tried_again_when_it_is_free(kit: Kit) -> None:
    kit.server.enter("Ana")
    bot = kit.client("Ana", insist=False)
    bot.startService()
    kit.server.settle()
    bot.try_again(bot.all(Refused)[-1].refusal)
    kit.server.leave("Ana")
    kit.server.clock.advance(5)
    kit.server.settle()
    assert kit.server.people == ("Ana",)
    assert bot.all(Disconnected)[0].reason.startswith("The name Ana is taken")


@scenario
def a_guest_whose_name_is_taken_is_not_let_in(kit: Kit) -> None:
    kit.online("Ana")
    with pytest.raises(RequestRefused, match="taken"):
        kit.server.enter("Ana")
    kit.server.clock.advance(60)
    assert kit.server.people == ("Ana",)


@scenario
def another_process_goes_on_with_the_same_state(kit: Kit) -> None:
    """It is told what it has not dealt with, and sends what was not sent."""
    state = MemoryState()
    bot = kit.client(state=state)
    bot.listen(bot.hear, dealt_with=False)
    bot.startService()
    kit.server.settle()
    kit.server.say("lobby", "Ana", "dealt with")
    kit.server.say("lobby", "Ana", "not dealt with")
    bot.dealt_with(bot.all(Entry)[0])
    kit.server.kill()
    waiting = bot.say("unsent", "lobby")
    bot.stopService()
    kit.server.settle()
    assert isinstance(kit.refusal(waiting), ClientStopped)
    kit.server.start()
    again = kit.client(state=state)
    kept = kit.answer(again.open())
    assert kept == again.kept
    assert kept.rooms == {"lobby": 1}
    again.startService()
    kit.server.clock.advance(30)
    assert again.texts() == ["not dealt with", "unsent"]
    assert texts(kit.server) == ["dealt with", "not dealt with", "unsent"]


@scenario
def who_is_slow_makes_the_server_wait(kit: Kit) -> None:
    """Also when far more comes than fits on the way; nothing is lost, and all is in order."""
    bot = kit.online()
    bot.pause()
    said = [f"{number} {'x' * 1000}" for number in range(400)]
    for text in said:
        kit.server.say("lobby", "Ana", text)
    kit.server.clock.advance(50)  # after a minute it would have to come back
    assert bot.texts() == []
    assert bot.is_in
    assert kit.refusal(kit.server.enter("Ana").tell("Bot", "psst")).code == "not-reading"
    bot.resume()
    kit.server.settle()
    assert bot.texts() == said
    told = kit.answer(kit.server.enter("Ana").tell("Bot", "psst"))
    assert isinstance(told, Told)
    assert told.own


@scenario
def who_asks_much_is_asked_for_patience(kit: Kit) -> None:
    kit.server.commits_at_once = False
    bot = kit.online()
    assert bot.ready().called
    for number in range(300):
        bot.say(str(number), "lobby")
    ready = bot.ready()
    assert not ready.called
    kit.server.commits_at_once = True
    kit.server.commit()
    assert ready.called
    assert texts(kit.server) == [str(number) for number in range(300)]


@scenario
def the_delay_is_known(kit: Kit) -> None:
    bot = kit.client()
    assert bot.delay is None
    bot.startService()
    kit.server.settle()
    assert bot.delay == 0


@scenario
def events_can_be_iterated_over(kit: Kit) -> None:
    bot = kit.client()
    heard: list[str] = []

    async def main() -> None:
        async for event in bot.events():
            kit.seen.add(type(event))
            if isinstance(event, Entry) and event.nickname != bot.nickname:
                heard.append(event.text)
                await bot.say(f"{event.text} too", event.room)

    running = ensureDeferred(main())
    bot.startService()
    kit.server.settle()
    for text in ("one", "two"):
        kit.server.say("lobby", "Ana", text)
    bot.stopService()
    kit.server.settle()
    assert running.called
    assert heard == ["one", "two"]
    assert texts(kit.server) == ["one", "one too", "two", "two too"]


@scenario
def who_waits_for_each_answer_keeps_up_with_many_events(kit: Kit) -> None:
    """The answer comes behind more events than are read in advance."""
    bot = kit.client(rooms={"lobby": 0})
    said = [str(number) for number in range(1200)]
    for text in said:
        kit.server.say("lobby", "Ana", text)

    async def main() -> None:
        async for event in bot.events():
            if isinstance(event, Entry) and event.nickname != bot.nickname:
                await bot.say(f"{event.text}!", event.room)

    ensureDeferred(main())
    bot.startService()
    kit.server.settle()
    assert texts(kit.server) == [*said, *(f"{text}!" for text in said)]


@scenario
def a_full_disk_is_no_loss(kit: Kit) -> None:
    bot = kit.online()
    kit.server.disk_error = "database or disk is full"
    saying = bot.say("oi", "lobby")
    kit.server.settle()
    assert [event.refusal.code for event in bot.all(Refused)] == ["not-saved"]
    refusal = kit.refusal(bot.history("lobby"))
    assert refusal.code == "history-unavailable"
    kit.server.disk_error = None
    kit.server.clock.advance(10)
    assert kit.answer(saying).number == 1


@scenario
def flood_control_makes_it_slow_and_loses_nothing(kit: Kit) -> None:
    kit.server = ChatServer(rate=Rate(5, 1))
    bot = kit.online()
    for number in range(20):
        bot.say(str(number), "lobby")
    kit.server.settle()
    assert len(texts(kit.server)) < 10
    kit.server.clock.advance(30)
    assert [(told.burst, told.per_second) for told in bot.all(Slowed)] == [(5, 1)]
    assert texts(kit.server) == [str(number) for number in range(20)]


@scenario
def what_waited_at_the_server_when_the_connection_broke_is_sent_again(kit: Kit) -> None:
    kit.server = ChatServer(rate=Rate(5, 1))
    bot = kit.online()
    for number in range(20):
        bot.say(str(number), "lobby")
    kit.server.settle()
    kit.server.cut("Bot")
    kit.server.clock.advance(60)
    assert [told.count > 0 for told in bot.all(NotSent)] == [True]
    assert texts(kit.server) == [str(number) for number in range(20)]


@scenario
def what_was_never_sent_is_taken_back(kit: Kit) -> None:
    bot = kit.online()
    kit.server.kill()
    kit.answer(bot.open())
    state = bot.state
    saying = [bot.say(text, "lobby") for text in ("one", "two")]
    assert bot.take_back() == 2
    assert [type(kit.refusal(one)) for one in saying] == [TakenBack, TakenBack]
    assert bot.take_back() == 0
    assert not bot.waiting
    kit.server.start()
    kit.server.clock.advance(60)
    assert texts(kit.server) == []
    assert isinstance(state, MemoryState)


@scenario
def what_may_have_arrived_is_not_taken_back(kit: Kit) -> None:
    bot = kit.online()
    kit.server.commits_at_once = False
    saying = bot.say("one", "lobby")
    kit.server.settle()
    assert bot.take_back() == 0
    kit.server.kill()
    assert bot.take_back() == 0
    kit.server.commits_at_once = True
    kit.server.start()
    kit.server.clock.advance(60)
    assert kit.answer(saying).number == 1


@scenario
def a_killed_server_does_nothing_more(kit: Kit) -> None:
    """Also not with the lines that flood control let wait."""
    kit.server = ChatServer(rate=Rate(5, 1))
    bot = kit.online()
    for number in range(20):
        bot.say(str(number), "lobby")
    kit.server.settle()
    kit.server.kill()
    before = texts(kit.server)
    kit.server.clock.advance(30)
    assert texts(kit.server) == before
    kit.server.start()
    kit.server.clock.advance(60)
    assert texts(kit.server) == [str(number) for number in range(20)]


@scenario
def two_servers_share_a_clock(kit: Kit) -> None:
    other = ChatServer(kit.server.clock, room="cinema", motd=["Hello."], language="pt_BR")
    bot = kit.online(server=other)
    assert list(bot.rooms) == ["cinema"]
    assert bot.all(Welcomed)[0].motd == ("Hello.",)
    assert (kit.server.people, other.people) == ((), ("Bot",))
    assert "#" in str(kit.refusal(bot.say("?", "lobby")))
    assert "Você" in str(bot.all(Refused)[0].refusal)


@scenario
def a_name_is_registered(kit: Kit) -> None:
    bot = kit.online()
    assert kit.refusal(bot.add_device()).code == "no-account"
    registered = kit.answer(bot.register("correct horse"))
    assert (registered.nickname, bot.account) == ("Bot", registered.account)
    kit.answer(bot.set_password("battery staple"))
    made = kit.answer(bot.new_token("phone"))
    assert kit.answer(bot.add_device()).nickname == "Bot"
    phone = kit.online(token=made.token)
    tablet = kit.online(token=kit.answer(bot.new_token("tablet")).token)
    assert phone.account == tablet.account == bot.account
    labels = {device.label for device in kit.answer(bot.list_devices()).devices}
    assert "phone" in labels
    bot.say("one", "lobby")
    kit.server.settle()
    bot.mark("lobby", 1)
    kit.server.settle()
    assert [(marked.room, marked.number) for marked in phone.all(Marked)] == [("lobby", 1)]
    kit.answer(bot.revoke_token("phone"))
    tablet.log_out()
    kit.server.settle()
    assert kit.server.people == ("Bot",)
    ana = kit.online("Ana")
    bot.stopService()
    kit.server.settle()
    assert isinstance(kit.answer(ana.tell("Bot", "psst")), MessageKept)
    again = kit.online(password="battery staple")
    assert [told.text for told in again.all(Told)] == ["psst"]
    kit.answer(again.unregister("Bot"))
    assert kit.refusal(ana.rename("Bot")).code == "name-reserved"


@pytest.mark.parametrize("play", SCENARIOS, ids=lambda play: play.__name__)
def test_the_kit_is_true(play: Callable[[Kit], None]) -> None:
    play(Kit())


# -- the whole API ------------------------------------------------------------------------------


def public_methods() -> set[str]:
    """What a program can call, without what only the connection calls."""
    names = {name for name in vars(ChatClient) | vars(Requests) if not name.startswith("_")}
    return names - {name for name in vars(Receiver) if not name.startswith("_")}


def public_events_and_refusals() -> set[type]:
    exported = [getattr(twisted_chat.client, name) for name in twisted_chat.client.__all__]
    classes = {one for one in exported if inspect.isclass(one)}
    return {one for one in classes if issubclass(one, (Event, Refusal))} - {Event}


def without_cover(
    scenarios: Iterable[Callable[[Kit], None]], methods: set[str], kinds: set[type]
) -> tuple[set[str], set[type]]:
    """What of it no scenario has used, or been told."""
    for play in scenarios:
        kit = Kit()
        play(kit)
        methods, kinds = methods - kit.used, kinds - kit.seen
    return methods, kinds


def test_the_kit_covers_the_whole_api() -> None:
    assert without_cover(SCENARIOS, public_methods(), public_events_and_refusals()) == (
        set(),
        set(),
    )


def test_what_is_not_covered_is_found() -> None:
    """As a new method or event without a scenario would be."""
    found = without_cover([a_name_is_changed], {"rename", "new_method"}, {Renamed, PresenceSummary})
    assert found == ({"new_method"}, {PresenceSummary})


def test_the_names_that_are_compared_are_those_there_are() -> None:
    assert {"say", "events", "is_in", "startService", "dealt_with"} <= public_methods()
    assert "received" not in public_methods()
    assert {Entry, Disconnected, RequestRefused} <= public_events_and_refusals()


# -- the clock ----------------------------------------------------------------------------------


def test_everything_happens_at_its_own_time() -> None:
    clock = SteppedClock()
    happened: list[float] = []

    def happen() -> None:
        happened.append(clock.seconds())
        clock.callLater(10, happen)

    clock.callLater(5, happen)
    clock.advance(30)
    assert happened == [5, 15, 25]
    assert clock.seconds() == 30
    clock.advance(0)
    assert happened == [5, 15, 25]


def test_a_long_silence_is_none_where_both_sides_are_there() -> None:
    kit = Kit()
    bot = kit.online()
    kit.server.clock.advance(3600)
    assert bot.is_in
    assert bot.all(Disconnected) == []


def test_a_server_runs_once() -> None:
    server = ChatServer()
    with pytest.raises(RuntimeError):
        server.start()
    server.kill()
    for impossible in (server.kill, server.stop, server.commit):
        with pytest.raises(RuntimeError):
            impossible()


@pytest.mark.parametrize("end", [ChatServer.stop, ChatServer.kill])
def test_a_server_leaves_nothing_on_the_clock(end: Callable[[ChatServer], None]) -> None:
    server = ChatServer()
    end(server)
    assert server.clock.getDelayedCalls() == []
