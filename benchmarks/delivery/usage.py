"""The CPU time and memory that processes use, from Linux's ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Resident memory in bytes: now, and the peak so far."""

    now: int
    peak: int


def cpu(process: int) -> float:
    """Seconds of CPU time, user and system, of all threads of the process with id ``process``."""
    # The program's name, in parentheses, may contain spaces: split only the text after it.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Core(NamedTuple):
    """The time that one core has spent, in seconds."""

    #: For all processes.
    processes: float
    #: For interrupts, mostly of the network.
    interrupts: float
    #: For other virtual machines.
    stolen: float


def core(number: int) -> Core:
    for line in Path("/proc/stat").read_text().splitlines():
        name, *times = line.split()
        if name == f"cpu{number}":
            user, nice, system, _, _, hard, soft, stolen = (int(t) / _TICKS for t in times[:8])
            return Core(user + nice + system, hard + soft, stolen)
    return Core(0, 0, 0)


def memory(process: int) -> Memory:
    values = {}
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            values[name] = int(value.split()[0]) * 1024
    return Memory(values["VmRSS"], values["VmHWM"])
