"""The servers that are measured: the command that starts each, and its dialects.

A server runs in a temporary folder, on a free port of this machine, on one core, with its flood
limits off. Our server can have flood control on, at a rate so high that no line waits. This module
must not know works or measurements.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import twisted_chat
from benchmarks.delivery import usage
from benchmarks.delivery.errors import CannotMeasure, NotInstalled
from benchmarks.delivery.speech import Irc, JsonLines, Nats, Plain, Speech, Text

#: Seconds that a server has to begin to listen, and to end.
PATIENCE = 20.0

#: The folder that contains the package.
_ROOT = Path(twisted_chat.__file__).resolve().parent.parent

#: A rate so high that no line waits. It has to be enough for all clients, which are one source.
_HIGH_RATE = "1000000000:1000000000"

#: The limits of clients in the other servers' settings: more than a work has.
_PLENTY = 60_000


@dataclass(frozen=True)
class Options:
    """The options of our server, and the folder of the baselines."""

    durability: str = "full"
    #: The folder whose ``twisted_chat`` is measured, in this checkout or another one.
    package: Path = _ROOT
    baselines: Path = Path(__file__).resolve().parent.parent / "baselines"
    #: Whether our server has flood control on.
    flood_control: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of server."""

    name: str
    #: Makes the command that starts it, from the server's own folder and its port.
    command: Callable[[Path, int, Options], Sequence[str]]
    speech: Sequence[Speech]
    #: Whether all clients in a room receive the messages in the same order.
    ordered: bool = True
    #: Connections that may wait for the server to accept them.
    burst: int = 256
    #: Seconds for which the server may coalesce notices of joins in a large room.
    gathering: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)
    #: The program that is asked for its version with ``--version``; empty for the baselines.
    program: str = ""


@dataclass(frozen=True)
class Running:
    """A server that listens; ``process``, its process id, is None if we did not start it."""

    name: str
    address: tuple[str, int]
    speech: Sequence[Speech]
    ordered: bool
    burst: int
    gathering: float
    process: int | None
    #: The core that only the server should use; None if no core is reserved.
    core: int | None

    def cpu(self) -> float:
        """Seconds of CPU time that the server has used; 0 if ``process`` is None."""
        return 0.0 if self.process is None else usage.cpu(self.process)

    def memory(self) -> usage.Memory:
        return usage.Memory(0, 0) if self.process is None else usage.memory(self.process)


# -- the command of each server ---------------------------------------------------------------


def find_program(server: str, name: str) -> str:
    """The path of the program ``name`` of ``server``.

    :raises NotInstalled: the program was not found.
    """
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NotInstalled(server, name)
    return path


def _ours(folder: Path, port: int, options: Options) -> Sequence[str]:
    return [
        *(sys.executable, "-c", "from twisted.scripts.twistd import run; run()"),
        *("-n", "--pidfile=", "chat"),
        f"--listen=tcp:{port}:interface=127.0.0.1:backlog=1024",
        f"--database={folder / 'chat.db'}",
        f"--durability={options.durability}",
        f"--rate={_HIGH_RATE if options.flood_control else 'off'}",
        "--rooms-per-hour=0",
        "--write-timeout=0",
        "--language=en",
    ]


def _ngircd(folder: Path, port: int, options: Options) -> Sequence[str]:
    program = find_program("ngircd", "ngircd")
    config = folder / "ngircd.conf"
    # Started as root, ngircd switches to ServerUID, which has to be able to read this file.
    config.write_text(
        f"[Global]\nName = bench.local\nInfo = bench\nListen = 127.0.0.1\nPorts = {port}\n"
        f"MotdPhrase = hello\nServerUID = 65534\nServerGID = 65534\n"
        f"[Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxNickLength = 16\n"
        f"MaxPenaltyTime = 0\nPingTimeout = 86400\nPongTimeout = 86400\n"
        f"[Options]\nDNS = no\nIdent = no\nPAM = no\nSyslogFacility = local0\n"
        f"ConnectIPv6 = no\nIncludeDir = {folder}\n"
    )
    return [program, "-n", "-f", str(config)]


def _inspircd(folder: Path, port: int, options: Options) -> Sequence[str]:
    program = find_program("inspircd", "inspircd")
    config = folder / "inspircd.conf"
    config.write_text(
        f'<server name="bench.local" description="bench" network="bench" id="001">\n'
        f'<admin name="bench" nick="bench" email="bench@bench.local">\n'
        f'<bind address="127.0.0.1" port="{port}" type="clients">\n'
        f'<connect allow="*" timeout="600" pingfreq="86400" resolvehostnames="no" useident="no"\n'
        f'  localmax="{_PLENTY}" globalmax="{_PLENTY}" maxconnwarn="no" fakelag="no"\n'
        f'  threshold="1000000000" commandrate="1000000000" recvq="1000000000"\n'
        f'  softsendq="1000000000" hardsendq="2000000000" limit="{_PLENTY}">\n'
        f'<performance netbuffersize="65534" somaxconn="1024" softlimit="{_PLENTY}"\n'
        f'  quietbursts="yes" nouserdns="yes">\n'
        f'<options splitwhois="no" defaultmodes="n">\n<limits maxnick="16">\n'
        f'<log method="file" type="*" level="error" target="{folder / "inspircd.log"}">\n'
        f'<class name="none"><type name="none" classes="none">\n'
    )
    as_root = ["--runasroot"] if os.geteuid() == 0 else []
    return [program, "--nofork", "--nopid", *as_root, "--config", str(config)]


def _nats(folder: Path, port: int, options: Options) -> Sequence[str]:
    program = find_program("nats", "nats-server")
    config = folder / "nats.conf"
    config.write_text(
        f'host: "127.0.0.1"\nport: {port}\nmax_connections: {_PLENTY}\nmax_pending: 4GB\n'
        f'write_deadline: "600s"\nping_interval: "24h"\nlogtime: false\n'
    )
    return [program, "-c", str(config)]


def _baseline(server: str, name: str, options: Options) -> str:
    path = options.baselines / name
    if not path.is_file():
        raise NotInstalled(server, str(path))
    return str(path)


def _limit(folder: Path, port: int, options: Options) -> Sequence[str]:
    source = _baseline("limit", "limit.c", options)
    program = folder / "limit"
    compiler = find_program("limit", "cc")
    done = subprocess.run([compiler, "-O2", "-o", program, source], capture_output=True, text=True)
    if done.returncode:
        raise CannotMeasure(f"limit was not compiled: {done.stderr.strip() or compiler}")
    return [str(program), str(port)]


def _threads(folder: Path, port: int, options: Options) -> Sequence[str]:
    return [sys.executable, _baseline("threads", "thread_per_client.py", options), str(port)]


def _line_receiver(folder: Path, port: int, options: Options) -> Sequence[str]:
    return [sys.executable, _baseline("linereceiver", "line_receiver.py", options), str(port)]


OURS = Kind("twisted-chat", _ours, (Text("en"), Text("pt_BR"), JsonLines()), gathering=2.0)

OTHERS = {
    kind.name: kind
    for kind in (
        Kind("ngircd", _ngircd, (Irc(),), burst=8, program="ngircd"),
        Kind("inspircd", _inspircd, (Irc(),), burst=1024, program="inspircd"),
        Kind(
            "nats",
            _nats,
            (Nats(),),
            ordered=False,
            environment={"GOMAXPROCS": "1"},
            program="nats-server",
        ),
        Kind("limit", _limit, (Plain(),)),
        Kind("threads", _threads, (Plain(),)),
        Kind("linereceiver", _line_receiver, (Plain(),)),
    )
}

#: The servers of other projects, without the baselines.
PEERS = ("ngircd", "inspircd", "nats")


def visited(kind: Kind, address: tuple[str, int]) -> Running:
    """A server at ``address`` that runs already, here or on another machine."""
    return Running(
        kind.name, address, kind.speech, kind.ordered, kind.burst, kind.gathering, None, None
    )


# -- starting and ending ----------------------------------------------------------------------


@contextlib.contextmanager
def started(kind: Kind, folder: Path, options: Options, core: int | None) -> Iterator[Running]:
    """Run a server for as long as the context lasts.

    :param kind: the kind of server.
    :param folder: the folder in which the server gets its own folder, which is removed at the end.
    :param options: the options of our server, and the folder of the baselines.
    :param core: the core that the server runs on; None for any.
    :raises CannotMeasure: the server is not installed, or does not begin to listen.
    """
    own_folder = folder / kind.name
    own_folder.mkdir(mode=0o755, exist_ok=True)
    port = _free_port()
    command = kind.command(own_folder, port, options)
    log = own_folder / "output.log"
    with log.open("wb") as output, _on_core(core):
        process = subprocess.Popen(
            command,
            cwd=own_folder,
            env=_environment(kind, options),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_listening(kind.name, process, port, log)
        yield Running(
            kind.name,
            ("127.0.0.1", port),
            kind.speech,
            kind.ordered,
            kind.burst,
            kind.gathering,
            process.pid,
            core,
        )
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(own_folder, ignore_errors=True)


def _environment(kind: Kind, options: Options) -> dict[str, str]:
    path = [str(options.package), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        **kind.environment,
    }


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Start processes on ``core`` for as long as the context lasts."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _await_listening(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").split("\n")
            said = [line.strip() for line in lines if line.strip()]
            raise CannotMeasure(f"{name} did not start: {said[-1] if said else 'it says nothing'}")
        time.sleep(0.02)
