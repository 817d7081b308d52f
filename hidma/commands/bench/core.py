# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""The ring core as the bench drives it: the low level alone, compiled, with a completion that only counts."""

from __future__ import annotations

from typing import Any

import cython

from hidma.hidma_h import HidmaLldev

if not cython.compiled:
    from hidma.linux.types import function
    from hidma.ll import hidma_ll_queue_request, hidma_ll_request, hidma_ll_set_transfer_params, hidma_ll_start

    def count_one(ring: Ring) -> int:
        """One completion more."""
        ring.completed += 1
        return 0


def ring_done(data: Any) -> int:
    """A TRE is complete."""
    return count_one(data)


class Ring:
    """A channel's low level with ``count`` TREs taken from its pool; ``completed`` counts callbacks."""

    def __init__(self, lldev: Any, count: int) -> None:
        self.lldev = lldev
        self.completed = 0
        for i in range(count):
            rc = hidma_ll_request(lldev, 0, "bench", function(ring_done), self, lambda n: None)
            assert rc == 0, i

    def run(self, dest: int, src: int, length: int, batch: int, rounds: int, slots: int) -> int:
        """``rounds`` times ``batch`` copies of ``length`` bytes, a doorbell after each batch; how many completed."""
        self.completed = 0
        push(self.lldev, dest, src, length, batch, rounds, slots)
        return self.completed


def push(lldev: HidmaLldev, dest: int, src: int, length: int, batch: int, rounds: int, slots: int) -> int:
    """What :meth:`Ring.run` does."""
    first = 0
    i = 0
    while i < rounds:
        k = 0
        while k < batch:
            n = first + k
            hidma_ll_set_transfer_params(lldev, n, src + n * length, dest + n * length, length, 0)
            hidma_ll_queue_request(lldev, n)
            k += 1
        hidma_ll_start(lldev)
        first += batch
        if first + batch > slots:
            first = 0
        i += 1
    return 0
