# SPDX-License-Identifier: GPL-2.0-only
"""What the rooms of the client know in common about one copy: what is asked of the driver, and the words for how it ended.
It stands for no C file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hidma.hw.channel import Outcome

if TYPE_CHECKING:
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


def named(end: str, row: int | None) -> str:
    """An end as the ledger counts it; ``row`` is that of docs/quirks, for what V14 has lost."""
    return f"{end} (row {row})" if row is not None else end


def text_of(outcome: Outcome) -> str:
    """What the hardware did, in words."""
    return outcome.end + (f": {outcome.cause}" if outcome.cause else "")
