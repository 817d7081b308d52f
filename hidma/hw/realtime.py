# SPDX-License-Identifier: GPL-2.0-only
"""Real time and shared words: what the model needs when the CPU is somebody else's: a monotonic clock, a short sleep, and an
exchange of a word that the other side may be writing. realtime.pxd is the C side; nothing else in `hidma.hw` knows real time.
"""

from __future__ import annotations

import time


def monotonic_ns() -> int:
    """Real nanoseconds since some moment."""
    return time.monotonic_ns()


def sleep_ns(ns: int) -> int:
    """Sleep ``ns`` nanoseconds; other threads of Python run meanwhile."""
    time.sleep(ns / 1e9)
    return 0


def exchange(words: memoryview, index: int, value: int) -> int:
    """Store ``value`` in word ``index`` and give what was there (in one step when compiled)."""
    before: int = words[index]
    words[index] = value
    return before


def fence() -> int:
    """What was stored before is visible to others before what is stored from now on (when compiled)."""
    return 0
