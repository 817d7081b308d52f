# SPDX-License-Identifier: GPL-2.0-only
"""Real time and shared words, for a CPU outside of this process: a monotonic clock, a short sleep, and an atomic exchange of a
word that the other side may be writing. realtime.pxd is the C side; no other module of `hidma.hw` reads real time.
"""

from __future__ import annotations

import time


def monotonic_ns() -> int:
    """Real nanoseconds since some point in the past."""
    return time.monotonic_ns()


def sleep_ns(ns: int) -> int:
    """Sleep ``ns`` nanoseconds; other threads of Python may run."""
    time.sleep(ns / 1e9)
    return 0


def exchange(words: memoryview, index: int, value: int) -> int:
    """Store ``value`` in word ``index`` and return the old value (atomically when compiled)."""
    before: int = words[index]
    words[index] = value
    return before


def fence() -> int:
    """Order the stores before this call before those after it, as others see them (when compiled)."""
    return 0
