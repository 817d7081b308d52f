# SPDX-License-Identifier: GPL-2.0-only
# cython: boundscheck=False, annotation_typing=False, nonecheck=True
"""Many copies with one completion: how a channel's client hands them to the driver, as many at a time as it has descriptors
for, and the books of what became of each. It stands for no C file. What is done for each copy, and for each round of them,
is compiled; what is rare is the channel's (:mod:`hidma.machine.client`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import cython

from hidma.hidma_h import HidmaChan
from hidma.hw.channel import Channel as HwChannel
from hidma.linux import sched
from hidma.linux.dmaengine import DmaAsyncTxDescriptor, DmaChan, dma_async_is_tx_complete
from hidma.linux.errno import EINVAL
from hidma.machine.ledger import (
    COMPLETED,
    FAILED,
    LOST,
    MAX_LENGTH,
    NEVER_ANNOUNCED,
    PENDING,
    TERMINATED,
    UNDER_WAY,
    Client,
    Verdict,
    named,
    text_of,
)

if not cython.compiled:
    from hidma.hw.registers import ENABLED, RUNNING
    from hidma.linux.dmaengine import (
        DMA_COMPLETE,
        NO_TX,
        data_of,
        dma_async_issue_pending,
        dmaengine_prep_dma_memcpy,
        dmaengine_submit,
        face,
        set_callback,
    )
    from hidma.linux.types import function
    from hidma.machine.ledger import CODE_COMPLETE, FLAGS

    FAILURES_KEPT = 100
    NONE_BEFORE = -2  # neither it nor what follows it is a cookie


class BatchCounter:
    """What the callbacks of a batch count.

    It is apart from the batch: V14 leaves it in the descriptors, until somebody else uses them (row 46).
    """

    def __init__(self) -> None:
        self.called = 0


def no_counter(data: Any) -> int:
    """The descriptor of a batch has another parameter than its counter.

    :raises TypeError: always
    """
    raise TypeError(f"the callback of a batch counts on a BatchCounter, not on {data!r}")


if not cython.compiled:

    def count_one(counter: Any) -> int:
        """One callback more."""
        if not isinstance(counter, BatchCounter):
            return no_counter(counter)
        counter.called += 1
        return 0


def batch_done(data: Any) -> int:
    """The callback of every descriptor of a batch."""
    return count_one(data)


on_done = function(batch_done)


def takes(hw: HwChannel) -> int:
    """Whether both sides of a channel are enabled or running, and no error has stopped them."""
    trca = hw.trca
    evca = hw.evca
    if trca.state != ENABLED and trca.state != RUNNING or evca.state != ENABLED and evca.state != RUNNING:
        return 0
    return not trca.dead and not evca.dead


def has_descriptor(mchan: HidmaChan) -> int:
    """Whether the driver has a descriptor that is free."""
    return mchan.free.next is not mchan.free


class BatchPart:
    """Copies of a batch that follow each other in the ring, with cookies that follow each other.

    :ivar offset: number of the first one in the batch
    :ivar cookie: cookie of the first one
    :ivar sequence: number that the hardware gives to the first one; -1: a reset came before their doorbell
    :ivar last: how many were submitted together last
    """

    def __init__(self, offset: int, count: int, cookie: int, sequence: int, epoch: int) -> None:
        self.offset = offset
        self.count = count
        self.cookie = cookie
        self.sequence = sequence
        self.epoch = epoch
        self.last = count

    def drop(self, count: int) -> int:
        """The first ``count`` copies have ended."""
        self.offset += count
        self.count -= count
        self.cookie += count
        if self.sequence >= 0:
            self.sequence += count
        return 0


class Batch:
    """Many copies with one completion.

    :ivar total: how many copies were asked for
    :ivar accepted: how many of them the driver took
    :ivar ends: how many of the accepted ones ended how
    :ivar failures: number in the batch and what happened, for the first copies that did not complete (100 at most)
    """

    def __init__(self, channel: Client, dests: memoryview, srcs: memoryview, lengths: memoryview) -> None:
        total = len(lengths)
        if not len(dests) == len(srcs) == total:
            raise OSError(EINVAL, f"dests, srcs and lengths are equally long, not {len(dests)}, {len(srcs)} and {total}")
        self.channel = channel
        self.total = total
        self.accepted = 0
        self.ends: Counter[str] = Counter()
        self.failures: list[tuple[int, str]] = []
        self.counter = BatchCounter()
        self._dests = dests
        self._srcs = srcs
        self._lengths = lengths
        self._chan: DmaChan = channel._chan
        self._mchan: HidmaChan = channel._chan.container
        self._hw: HwChannel = channel._hw
        self._open: list[BatchPart] = []
        self._known = 0
        self._oops = False
        self._error = 0
        self._apart = 0
        self._first: Any = None
        self._last: Any = None
        self._cookie = 0
        self._last_cookie = 0
        wrong = self._wrong_length()
        if wrong >= 0:
            raise OSError(EINVAL, f"lengths[{wrong}]: a copy has 1 to {MAX_LENGTH} bytes, not {lengths[wrong]}")

    def _wrong_length(self) -> int:
        """Number of the first copy that has no bytes or too many; -1 when there is none."""
        bits = 0
        for i in range(self.total):  # without a branch: the compiler does several at once
            bits |= self._lengths[i] | (self._lengths[i] - 1)
        if not bits >> 32:
            return -1
        return next(i for i in range(self.total) if not 1 <= self._lengths[i] <= MAX_LENGTH)

    @property
    def end(self) -> str:
        """How the batch as a whole ended: the worst of its copies."""
        if self._open:
            return PENDING
        for end in self.ends:
            if end.startswith(LOST):
                return end
        for end in (TERMINATED, FAILED):
            if self.ends[end]:
                return end
        return COMPLETED

    def done(self) -> bool:
        """Whether all accepted copies have ended, as far as can be known without letting time pass."""
        return not self._open or self.channel._look_now(self._settle)

    def wait(self, timeout: float | None = None) -> Batch:
        """Let the machine run until all copies have ended; as :meth:`hidma.machine.client.Transfer.wait`."""
        self.channel._wait(self._settle, timeout)
        if self.end == COMPLETED and self.accepted == self.total:
            return self
        raise self.channel._complaint(self)

    # --- into the ring ----------------------------------------------------------------------------------------

    def _submit(self) -> int:
        """Hand the copies to the driver, round by round, until it has all of them or somebody interrupts."""
        channel = self.channel
        machine = channel._machine
        interrupts = machine.interrupts
        settle = machine.settle
        handle_signals = machine.kernel.handle_signals
        try:
            while self.accepted < self.total:
                handle_signals()
                if interrupts.wanted():
                    break
                if takes(self._hw):
                    self._round(settle)
                    if self.accepted == self.total:
                        break
                if (sched.in_interrupt(sched.this_cpu) or self._error or not takes(self._hw)
                        or not has_descriptor(self._mchan)):
                    channel._make_room(self, self._error)
        finally:
            self._tell()
        return 0

    def _round(self, settle: Callable[[], Any]) -> int:
        """As many copies as there are descriptors for, and a doorbell."""
        before = len(self._hw.epochs)
        taken = queue_batch(self)
        if taken:
            if not self._goes_on(taken, before):
                self._begin(taken, before)
            self.accepted += taken
            dma_async_issue_pending(data_of(self._chan))
            settle()
        return 0

    def _goes_on(self, taken: int, before: int) -> int:
        """Whether the copies of this round come right after those before, nobody else's and no reset in between: then
        they are part of the same part.
        """
        if self._apart or not self._open:
            return 0
        part = self._open[len(self._open) - 1]
        if part.sequence < 0 or part.cookie + part.count != self._cookie:
            return 0
        if part.epoch != before or len(self._hw.epochs) != before:
            return 0
        part.count += taken
        part.last = taken
        return 1

    def _begin(self, taken: int, before: int) -> int:
        """The copies of this round are parts of their own; the last one, when somebody else's came in before it."""
        channel = self.channel
        if self._apart:
            parts = [(taken - 1, self._cookie, *self._number(self._first, before)),
                     (1, self._last_cookie, *self._number(self._last, before))]
        else:
            parts = []
            cookie = self._cookie
            for count, sequence, epoch in channel._numbers(self._last, taken, before):
                parts.append((count, cookie, sequence, epoch))
                cookie += count
        if not self._open:
            channel.open[self] = None
        offset = self.accepted
        for count, cookie, sequence, epoch in parts:
            self._open.append(BatchPart(offset, count, cookie, sequence, epoch))
            offset += count
        return 0

    def _number(self, tx: DmaAsyncTxDescriptor, before: int) -> tuple[int, int]:
        """Number of one TRE, submitted since there were ``before`` resets, and resets then."""
        ((_, sequence, epoch),) = self.channel._numbers(tx, 1, before)
        return sequence, epoch

    def _tell(self) -> int:
        """Let the channel's ledger know of the copies that it does not know of yet: it is not told of each round."""
        new = self.accepted - self._known
        if new:
            self._known += new
            self.channel._ledger[PENDING] += new
        return 0

    # --- how they end -----------------------------------------------------------------------------------------

    def _uses(self, low: int, high: int) -> bool:
        """Whether a copy that has not ended reaches into RAM from ``low`` to below ``high``."""
        for part in self._open:
            for i in range(part.offset, part.offset + part.count):
                length = self._lengths[i]
                if reaches(self._dests[i], length, low, high) or reaches(self._srcs[i], length, low, high):
                    return True
        return False

    def _settle(self) -> bool:
        """Look at the driver and the hardware; whether all copies have ended."""
        self._tell()
        channel = self.channel
        while self._open:
            part = self._open[0]
            count = part.count
            if dma_async_is_tx_complete(self._chan, part.cookie + count - 1) != DMA_COMPLETE:
                # of those that were submitted together none has ended before all have
                count = min(max(self._chan.completed_cookie - part.cookie + 1, 0), count - part.last)
            if not count or channel._holds_any(part.cookie, part.cookie + count):
                return False
            if not self._by_outcome(part, count, False):
                return False
            if count < part.count:
                part.drop(count)
                return False
            self._open.pop(0)
        channel._forget(self)
        return True

    def _by_outcome(self, part: BatchPart, count: int, final: bool) -> bool:
        """The driver has completed the first ``count`` copies of ``part``: the hardware tells how they ended.

        False when it has not ended them itself yet, unless it is ``final``: it never will.
        """
        channel = self.channel
        if part.sequence < 0:
            self._count(FAILED, part.offset, count, text_of(NEVER_ANNOUNCED))
            return True
        odd = channel._odd_in(part.sequence, count, part.epoch)
        if not final and any(outcome.end in UNDER_WAY for _, _, outcome in odd) and not channel._at_rest():
            return False
        good = count
        for sequence, number, outcome in odd:
            if outcome.end != "completed" or outcome.code != CODE_COMPLETE:
                good -= number
                self._count(FAILED, part.offset + sequence - part.sequence, number, channel._standstill(outcome))
        self._count(COMPLETED, part.offset, good, "")
        return True

    def _count(self, end: str, first: int, number: int, text: str) -> int:
        """``number`` copies from number ``first`` on have ended."""
        if number <= 0:
            return 0
        self.ends[end] += number
        self.channel._count(end, number)
        if end != COMPLETED:
            room = FAILURES_KEPT - len(self.failures)
            self.failures += [(first + i, f"{end}: {text}") for i in range(min(number, room))]
        return 0

    def _give_up(self, verdict: Verdict) -> None:
        """No more will come: what the driver has completed is judged by the hardware, the rest by ``verdict``."""
        self._tell()
        channel = self.channel
        complete = self._chan.completed_cookie
        for part in self._open:
            finished = min(max(complete - part.cookie + 1, 0), part.count)
            while finished and channel._holds_any(part.cookie, part.cookie + finished):
                finished -= 1
            if finished:
                self._by_outcome(part, finished, True)
            for i in range(finished, part.count):
                sequence = part.sequence + i if part.sequence >= 0 else -1
                end, row, text = verdict(part.cookie + i, channel._outcome(sequence, part.epoch))
                self._count(named(end, row), part.offset + i, 1, text)
        self._open.clear()
        channel._forget(self)

    def __repr__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.items() if count)
        return f"<Batch of {self.total} on {self.channel.name}: {ends or PENDING}>"


def reaches(start: int, length: int, low: int, high: int) -> int:
    """Whether ``length`` bytes from ``start`` on reach into what is from ``low`` to below ``high``."""
    return start < high and (start >= low or low - start < length)


def queue_batch(batch: Batch) -> int:
    """Prepare and submit copies of ``batch``, from the first that the driver does not have, as long as it has descriptors.

    Returns how many were accepted. The batch is told the rest: ``_error``, why the driver refused the next one; ``_first``
    and ``_last``, the first and last descriptor; ``_cookie``, that of the first; ``_apart``, 1 when somebody else's copy came
    in between before the last one, which then ends the round and has the cookie ``_last_cookie``.
    """
    chan = data_of(batch._chan)
    dests = batch._dests
    srcs = batch._srcs
    lengths = batch._lengths
    done = on_done
    counter = batch.counter
    first = batch.accepted
    end = batch.total
    batch._error = 0
    batch._apart = 0
    cookie = before = NONE_BEFORE
    last = NO_TX
    i = first
    while i < end:
        tx = dmaengine_prep_dma_memcpy(chan, dests[i], srcs[i], lengths[i], FLAGS)
        if not tx:
            break
        # from the second time on a descriptor has both: V14 leaves them there (row 46)
        set_callback(tx, done, counter)
        cookie = dmaengine_submit(tx)
        if cookie < 0:
            set_callback(tx, None, counter)
            batch._error = cookie
            break
        last = tx
        i += 1
        if cookie != before + 1:
            if before != NONE_BEFORE:
                batch._apart = 1
                batch._last_cookie = cookie
                break
            batch._first = face(tx)
            batch._cookie = cookie
        before = cookie
    batch._last = face(last) if last else None
    return i - first
