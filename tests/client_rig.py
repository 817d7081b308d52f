# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of the client's rooms share: loads, and what is said of them."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from hidma import Channel, Machine, TransferError

numpy: Any = None
try:
    import numpy
except ImportError:
    pass
needs_numpy = pytest.mark.skipif(numpy is None, reason="numpy is not installed (pip install hidma[numpy])")

BIG = 65536
ENDS = ("completed", "failed", "terminated")


class Load:
    """Transfers that are in flight at the same time: the first one is long enough for the others to be accepted."""

    def __init__(self, chan: Channel, count: int) -> None:
        machine = chan._machine
        self.chan = chan
        self.src = machine.alloc(BIG)
        self.src.fill(random.Random(count).randbytes(BIG))
        self.dests = [machine.alloc(BIG if i == 0 else 64) for i in range(count)]
        self.transfers = [chan.memcpy(dest, self.src) for dest in self.dests]

    def ends(self) -> list[str]:
        """How each ended, after it was waited for; what completed has its bytes."""
        for transfer, dest in zip(self.transfers, self.dests, strict=True):
            outcome(transfer)
            if transfer.end == "completed":
                assert bytes(dest) == self.src[: len(dest)]
        return [transfer.end for transfer in self.transfers]


def slow_registers(machine: Any, ns: int = 10_000) -> None:
    """Let reading a register take ``ns``, 100 times as long: a handler that spins for half a second reads so many fewer."""
    for window in machine.kernel.windows:
        window.access_ns = ns


def outcome(item: Any, timeout: float | None = None) -> str:
    """What waiting for it says; '' when it has completed."""
    try:
        item.wait(timeout)
    except TransferError as error:
        assert error.transfer is item
        return str(error.strerror)
    assert item.end == "completed"
    return ""


def sentence(act: Callable[[], object], code: int) -> str:
    """What an OSError says."""
    with pytest.raises(OSError) as caught:
        act()
    assert caught.value.errno == code
    said = str(caught.value.strerror)
    assert "\n" not in said
    return said


def counts(chan: Channel) -> dict[str, int]:
    """The ledger without zeros."""
    return {end: count for end, count in chan.ledger.items() if count}


class Pieces:
    """Copies of a batch: source and destination of each, with their own contents."""

    def __init__(self, machine: Machine, count: int, size: int = 64) -> None:
        self.src, self.dest = machine.alloc(count * size), machine.alloc(count * size)
        self.src.fill(random.Random(count).randbytes(count * size))
        self.size = size
        self.args = (
            array("Q", [self.dest.address + i * size for i in range(count)]),
            array("Q", [self.src.address + i * size for i in range(count)]),
            array("Q", [size] * count))

    def arrived(self) -> list[int]:
        """Numbers of the pieces that have arrived."""
        size = self.size
        return [i for i in range(len(self.args[0])) if self.dest[i * size : (i + 1) * size] == self.src[i * size : (i + 1) * size]]
