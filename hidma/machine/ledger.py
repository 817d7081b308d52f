# SPDX-License-Identifier: GPL-2.0-only
"""What the rooms of the client know in common about one copy: what is asked of the driver, and the words for how it ended.
It stands for no C file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from hidma.hw.channel import Outcome
from hidma.linux.dmaengine import DmaAsyncTxDescriptor

#: From a cookie and what the hardware did: end, row of docs/quirks, what to say about the hardware.
Verdict = Callable[[int, Outcome], tuple[str, int | None, str]]

PENDING = "pending"
COMPLETED = "completed"
FAILED = "failed"
TERMINATED = "terminated"
LOST = "lost by V14"

FLAGS = 3  # DMA_PREP_INTERRUPT | DMA_CTRL_ACK
CODE_COMPLETE = 1
MAX_LENGTH = 0xFFFFFFFF

UNDER_WAY = ("waiting", "moving", "unknown")
NEVER_ANNOUNCED = Outcome("dropped", "the channel was reset before its doorbell")


class Client(Protocol):
    """The channel that a batch is moved on. :class:`hidma.machine.client.Channel` is one, and says what each of these does."""

    name: str
    _chan: Any
    _hw: Any
    _ledger: Counter[str]
    _machine: Any
    open: dict[Any, None]

    def _at_rest(self) -> bool: ...

    def _complaint(self, item: Any) -> Exception: ...

    def _count(self, end: str, number: int) -> None: ...

    def _forget(self, batch: Any) -> None: ...

    def _holds_any(self, low: int, high: int) -> bool: ...

    def _look_now(self, settled: Callable[[], bool]) -> bool: ...

    def _make_room(self, batch: Any, refused: int) -> None: ...

    def _numbers(self, tx: DmaAsyncTxDescriptor, count: int, before: int) -> list[tuple[int, int, int]]: ...

    def _odd_in(self, first: int, count: int, epoch: int) -> list[tuple[int, int, Outcome]]: ...

    def _outcome(self, sequence: int, epoch: int) -> Outcome: ...

    def _standstill(self, outcome: Outcome) -> str: ...

    def _wait(self, settled: Callable[[], bool], timeout: float | None) -> None: ...


def named(end: str, row: int | None) -> str:
    """An end as the ledger counts it; ``row`` is that of docs/quirks, for what V14 has lost."""
    return f"{end} (row {row})" if row is not None else end


def text_of(outcome: Outcome) -> str:
    """What the hardware did, in words."""
    return outcome.end + (f": {outcome.cause}" if outcome.cause else "")
