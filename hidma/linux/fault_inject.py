# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/fault-inject.h>``: kernel calls that are made to fail, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hidma.hw.trace import Trace


class FaultInject:
    """What is to fail in one kernel.

    ``alloc`` is the number of the allocation that fails, counted from 1; ``values`` holds return values by call;
    ``nth`` holds, by call, the number of the call that returns nothing.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.alloc_fails = 0
        self.allocations = 0
        self.values: dict[str, int] = {}
        self.nth: dict[str, int] = {}
        self.calls: dict[str, int] = {}

    def alloc(self, kind: str) -> bool:
        """Count one allocation of ``kind``; True when it is the one that fails."""
        self.allocations += 1
        if self.allocations != self.alloc_fails:
            return False
        if self.trace.on:
            self.trace.emit(("alloc_fail", kind, self.allocations))
        return True

    def value(self, call: str) -> int:
        """What ``call`` is to return at once; 0: let it go on."""
        return self.values.get(call, 0)

    def fails(self, call: str) -> bool:
        """Count one call of ``call``; True when it is the one that fails."""
        if call not in self.nth:
            return False
        self.calls[call] = self.calls.get(call, 0) + 1
        return self.calls[call] == self.nth[call]
