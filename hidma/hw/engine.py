# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""The copy engine: it fetches a TRE, moves its data in bursts, and writes the event.

The arbiter runs it for one channel and one grant at a time. The work is done in steps. A step begins: the TRE is fetched,
or the next portion of its data planned, which fits the rest of the grant. It takes its time on the bus. It lands: the
data is moved, and after the last portion the event, WRITE_PTR and IRQ_STAT follow, in this order. A step that takes no
time lands at once; ``instant`` changes nothing else.

A portion is one `memmove` where source and destination each lie in RAM in one piece. Where they do not, where a fault is
to be injected or where a forward copy overlaps itself, it is moved burst by burst: read, then write.
"""

from __future__ import annotations

from dataclasses import dataclass

import cython

from hidma.hw.bus import Bus
from hidma.hw.channel import Channel, Outcome

if not cython.compiled:
    from hidma.hw.channel import DATA, EVENT, IDLE
    from hidma.hw.cmem import bytes_of, carry, move, pair, set_pair
    from hidma.hw.faults import (
        BURST,
        EVRE_WORD,
        EVRE_WRITE,
        IRQ_SPURIOUS,
        READ_BURST,
        TRE_FETCH,
        WRITE_BURST,
        WRITE_POINTER,
    )
    from hidma.hw.registers import (
        ALL_ONES,
        CAUSE_DATA_READ,
        CAUSE_DATA_WRITE,
        CAUSE_EOB,
        CAUSE_EVENT_WRITE,
        CAUSE_INVALID_TRE,
        CAUSE_TRE_READ,
        CODE_COMPLETE,
        EVRE_CODE_SHIFT,
        EVRE_DMA_COMPLETE,
        EVRE_INFO_SHIFT,
        EVRE_SIZE,
        READ_PTR,
        TRE_IEOB,
        TRE_MEMCPY,
        TRE_MEMSET,
        TRE_SIZE,
        WRITE_PTR,
    )
    from hidma.hw.smmu import GRANULE, READ, TRANSLATED, WRITE

    OVER = 0
    NOTHING = -2

    ALL_BITS = 0xFFFFFFFFFFFFFFFF
    SMALLEST_BURST = 128
    STAGING = 131072


@dataclass(frozen=True)
class Timing:
    """How long the hardware works.

    :param tre_ns: fetching a TRE, ns
    :param burst_ns: one burst, ns, beside the time of its bytes
    :param bytes_per_ns: bandwidth of the bus in each direction
    """

    tre_ns: int = 150
    burst_ns: int = 40
    bytes_per_ns: float = 12.8


class Engine:
    """The engine of a core.

    :param bus: RAM, clock, trace
    :param timing: how long the work takes
    :param instant: 1 to let it take no time
    """

    def __init__(self, bus: Bus, timing: Timing, instant: int = 0) -> None:
        if bus.memory.base & 31:
            raise ValueError(f"RAM at 0x{bus.memory.base:x} does not begin on a multiple of 32")
        self.clock = bus.clock
        self.trace = bus.trace
        self.memory = bus.memory
        self.ram = self.memory.b
        self.ram_words = self.memory.w
        self.staging_of = bytearray(STAGING)
        self.staging = bytes_of(memoryview(self.staging_of))
        # from the management block
        self.read_len = SMALLEST_BURST
        self.write_len = SMALLEST_BURST
        self.read_count = 1
        self.write_count = 1
        self.single = SMALLEST_BURST
        # what is left of the grant
        self.reads = 0
        self.writes = 0
        # of the channel that runs: see locate_rings()
        self.checked = 0
        self.plain = 0
        self.data_base = 0
        self.data_size = 0
        self.tre_at = 0
        self.tre_all = 0
        self.tre_stop = 0
        self.event_at = 0
        self.event_all = 0
        self.event_stop = 0
        self.event_usable = 0
        self.injected = 0
        self.set_timing(timing, instant)

    def set_timing(self, timing: Timing, instant: int = 0) -> None:
        """Let the work take the times of ``timing``, or none if ``instant``."""
        if timing.tre_ns < 0 or timing.burst_ns < 0 or timing.bytes_per_ns <= 0:
            raise ValueError(f"times cannot be negative and a bus needs a bandwidth: {timing}")
        self.timing = timing
        self.tre_ns = 0 if instant else timing.tre_ns
        self.burst_ns = 0 if instant else timing.burst_ns
        self.byte_fs = 0 if instant else round(1000000 / timing.bytes_per_ns)
        self.timed = 1 if self.tre_ns or self.burst_ns or self.byte_fs else 0

    def set_bus(self, read_len: int, write_len: int, read_count: int, write_count: int) -> None:
        """Bytes of a burst and bursts of a grant, for reads and writes; 0 counts as the smallest legal value."""
        self.read_len = read_len if read_len else SMALLEST_BURST
        self.write_len = write_len if write_len else SMALLEST_BURST
        self.read_count = read_count if read_count else 1
        self.write_count = write_count if write_count else 1
        self.single = self.read_len if self.read_len < self.write_len else self.write_len

    def grant(self, count: int) -> None:
        """Begin ``count`` grants, one after the other."""
        self.reads = self.read_count * count
        self.writes = self.write_count * count

    def run(self, channel: Channel) -> int:
        """Continue with ``channel``: begin the next step, or land the one that is on the bus and go on.

        :returns: ns until the step that was begun lands; OVER when the grant is used up; NOTHING when the channel has
            nothing to do or cannot go on
        """
        self.locate_rings(channel)
        while True:
            if channel.stage == IDLE:
                if not channel.may_begin or channel.doorbell_bad or channel.tre_next == channel.tre_end:
                    break
                if self.reads <= 0 or self.writes <= 0:
                    return OVER
                # the last TRE before the doorbell is not worth the search for others like it
                if self.plain and channel.tre_next + TRE_SIZE != channel.tre_end and self.copy_plain(channel):
                    continue
                if self.fetch(channel):
                    break
                ns = self.begin_portion(channel, self.tre_ns)
                if ns > 0:
                    return ns
            elif channel.stage == DATA and not channel.flight:
                if not channel.may_continue:
                    break
                if self.reads <= 0 or self.writes <= 0:
                    return OVER
                ns = self.begin_portion(channel, 0)
                if ns > 0:
                    return ns
            channel.flight = 0
            if channel.stage == DATA:
                if self.move_portion(channel):
                    break
                if channel.moved < channel.length:
                    continue
                channel.stage = EVENT
            if not self.write_event(channel):
                break
        if channel.stage == IDLE and channel.doorbell_bad and channel.may_begin:
            self.fail_doorbell(channel)
        elif channel.stage == EVENT:
            self.stall(channel)
        return NOTHING

    def locate_rings(self, channel: Channel) -> None:
        """Note where the rings and the data of ``channel`` are in RAM.

        ``tre_at`` and ``event_at`` are the RAM offsets of the rings, which hold for ring offsets below ``tre_stop`` and
        ``event_stop``: the whole ring for a stream in bypass, up to a page once a translated address was looked up. An
        access beyond, and every access of a channel that is traced, has a fault injected or an unusable event ring, is
        checked on its own. ``data_size`` is the part of RAM that a bus address less ``data_base`` may lie in.
        """
        base = channel.stream.base
        size = channel.stream.size
        if channel.armed or self.trace.on:
            self.checked = 1
            size = 0
        else:
            self.checked = 0
        self.data_base = base
        self.data_size = size
        self.plain = not self.checked and not self.timed and size >= self.single
        at = (channel.tre_base - base) & ALL_BITS
        self.tre_at = at
        self.tre_all = channel.tre_len if at < size and channel.tre_len <= size - at else 0
        self.tre_stop = self.tre_all
        self.event_usable = channel.event_len >= 2 * EVRE_SIZE and channel.event_next < channel.event_len
        at = (channel.event_base - base) & ALL_BITS
        self.event_at = at
        self.event_all = channel.event_len if self.event_usable and at < size and channel.event_len <= size - at else 0
        self.event_stop = self.event_all

    def fetch(self, channel: Channel) -> int:
        """Fetch the next TRE of ``channel``; 1 if that fails."""
        m = self.ram_words
        tre_next = channel.tre_next
        at = self.tre_at + tre_next
        if tre_next >= self.tre_stop:
            at = channel.stream.reach(channel.tre_base + tre_next, TRE_SIZE, READ)
            if (at < 0 or self.checked) and self.check_fetch(channel, channel.tre_base + tre_next, at):
                return 1
            if channel.stream.mode == TRANSLATED and not self.checked:
                self.tre_at = (at - tre_next) & ALL_BITS
                self.tre_stop = tre_next + GRANULE - (at & (GRANULE - 1))
        i = at >> 2
        channel.config = m[i]
        channel.length = m[i + 1]
        channel.source = pair(m, i + 2)
        channel.dest = pair(m, i + 4)
        channel.moved = 0
        channel.stage = DATA
        self.advance_tre(channel, 1)
        return 0

    def advance_tre(self, channel: Channel, count: int) -> None:
        """``count`` TREs were fetched."""
        tre_next = channel.tre_next + count * TRE_SIZE
        if tre_next >= channel.tre_len:
            tre_next = 0
            self.tre_stop = self.tre_all
            if channel.tre_end >= channel.tre_len:  # a doorbell may name the end of the ring by its length
                channel.tre_end = 0
        channel.tre_next = tre_next
        channel.tw[READ_PTR >> 2] = tre_next
        channel.sequence += count

    def advance_event(self, channel: Channel, count: int) -> None:
        """``count`` events were written."""
        event_next = channel.event_next + count * EVRE_SIZE
        if event_next >= channel.event_len:
            event_next = 0
            self.event_stop = self.event_all
        channel.event_next = event_next
        channel.ew[WRITE_PTR >> 2] = event_next
        channel.evres += count

    def write_event(self, channel: Channel) -> int:
        """Write the event of the TRE whose data was moved; 0 when the event ring is full or the write fails."""
        m = self.ram_words
        event_next = channel.event_next
        following = event_next + EVRE_SIZE
        if following >= channel.event_len:
            following = 0
        if following == channel.event_read and self.event_usable:
            return 0
        at = self.event_at + event_next
        if event_next >= self.event_stop:
            at = channel.stream.reach(channel.event_base + event_next, EVRE_SIZE, WRITE)
            if at < 0 or self.checked or not self.event_usable:
                if self.check_event(channel, channel.event_base + event_next, at):
                    return 0
            if channel.stream.mode == TRANSLATED and not self.checked:
                self.event_at = (at - event_next) & ALL_BITS
                self.event_stop = event_next + GRANULE - (at & (GRANULE - 1))
        i = at >> 2
        m[i] = EVRE_DMA_COMPLETE | CODE_COMPLETE << EVRE_CODE_SHIFT
        m[i + 1] = channel.length
        set_pair(m, i + 2, channel.dest)
        channel.stage = IDLE
        self.advance_event(channel, 1)
        if self.checked:
            self.after_event(channel, event_next, i)
        if channel.config & TRE_IEOB and (self.checked or self.raises_eob(channel)):
            channel.cause(CAUSE_EOB)
        return 1

    def plain_in_row(self, channel: Channel) -> int:
        """How many TREs and events lie one after the other in RAM, and fit what is left of ring, doorbell and grant."""
        tre_next = channel.tre_next
        event_next = channel.event_next
        if tre_next >= self.tre_stop or event_next >= self.event_stop:
            return 0
        stop = self.tre_stop if self.tre_stop < channel.tre_len else channel.tre_len
        if tre_next < channel.tre_end < stop:
            stop = channel.tre_end
        n = (stop - tre_next) // TRE_SIZE
        stop = self.event_stop if self.event_stop < channel.event_len else channel.event_len
        # one slot of the event ring stays free
        if event_next < channel.event_read <= stop:
            stop = channel.event_read - EVRE_SIZE
        elif channel.event_read == 0 and stop == channel.event_len:
            stop = channel.event_len - EVRE_SIZE
        if (stop - event_next) // EVRE_SIZE < n:
            n = (stop - event_next) // EVRE_SIZE
        if self.reads < n:
            n = self.reads
        if self.writes < n:
            n = self.writes
        return n

    def copy_plain(self, channel: Channel) -> int:
        """Complete plain TREs in a row: copies of one burst inside RAM that raise no new cause.

        :returns: how many there were before the first that is none of these
        """
        m = self.ram_words
        b = self.ram
        base = self.data_base
        single = self.single
        last_start = self.data_size - single
        first = (self.tre_at + channel.tre_next) >> 2
        mask = 0xFFFF
        if self.raises_eob(channel):
            if m[first] & TRE_IEOB:
                return 0
            mask = 0xFFFF | TRE_IEOB
        copying = channel.copy_config
        last = first + self.plain_in_row(channel) * (TRE_SIZE >> 2)
        i = first
        k = (self.event_at + channel.event_next) >> 2
        bytes_moved = 0
        while i < last:
            length = m[i + 1]
            # a length of 0 becomes the largest there is
            if m[i] & mask != copying or (length - 1) & ALL_ONES >= single:
                break
            at = (pair(m, i + 2) - base) & ALL_BITS
            dest = pair(m, i + 4)
            to = (dest - base) & ALL_BITS
            if at > last_start or to > last_start:
                break
            move(b, to, at, length)
            m[k] = EVRE_DMA_COMPLETE | CODE_COMPLETE << EVRE_CODE_SHIFT
            m[k + 1] = length
            set_pair(m, k + 2, dest)
            bytes_moved += length
            i += TRE_SIZE >> 2
            k += EVRE_SIZE >> 2
        n = (i - first) // (TRE_SIZE >> 2)
        if n:
            self.reads -= n
            self.writes -= n
            channel.bytes_moved += bytes_moved
            channel.read_bursts += n
            channel.write_bursts += n
            self.advance_tre(channel, n)
            self.advance_event(channel, n)
        return n

    def raises_eob(self, channel: Channel) -> int:
        """Whether an end of block changes IRQ_STAT or the line: not if EOB is pending, unless its interrupt was lost."""
        return not channel.status & CAUSE_EOB or channel.swallowed

    def fail_doorbell(self, channel: Channel) -> None:
        """Fail because the doorbell does not fit the ring."""
        text = f"doorbell 0x{channel.doorbell:x} does not fit a ring of {channel.tre_len} bytes"
        channel.fail(-1, CAUSE_INVALID_TRE, text)

    def check_fetch(self, channel: Channel, address: int, at: int) -> int:
        """Check a TRE fetch before it is made: 1 if it fails. ``at`` is -1 when there is no memory at bus ``address``."""
        injected = ""
        if channel.armed:
            if channel.fault_at(IRQ_SPURIOUS) is not None:
                channel.spurious()
            if channel.fault_at(TRE_FETCH) is not None:
                injected = " (injected)"
        if at < 0:
            channel.stream.refuse(address, READ)
        elif not injected:
            if self.trace.on:
                m = self.ram_words
                i = at >> 2
                words = (m[i], m[i + 1], m[i + 2], m[i + 3], m[i + 4], m[i + 5], m[i + 6], m[i + 7])
                self.trace.emit(("tre", channel.name, channel.sequence, channel.tre_next, words))
            return 0
        channel.fail(channel.sequence, CAUSE_TRE_READ, f"TRE at 0x{address:x} could not be fetched{injected}")
        return 1

    def stall(self, channel: Channel) -> None:
        """Count that the event ring is full."""
        channel.stalls += 1
        if self.trace.on:
            self.trace.emit(("stall", channel.name, channel.sequence - 1))

    def check_event(self, channel: Channel, address: int, at: int) -> int:
        """Check an event before it is written: 1 if it fails. ``at`` is -1 when there is no memory at bus ``address``."""
        text = ""
        if channel.event_len < 2 * EVRE_SIZE or channel.event_next >= channel.event_len:
            text = f"no room for an event at 0x{channel.event_next:x} in a ring of {channel.event_len} bytes"
        elif channel.armed and channel.fault_at(EVRE_WRITE) is not None:
            text = f"event at 0x{address:x} could not be written (injected)"
        elif at < 0:
            channel.stream.refuse(address, WRITE)
            text = f"event at 0x{address:x} could not be written"
        else:
            return 0
        channel.fail(channel.sequence - 1, CAUSE_EVENT_WRITE, text)
        return 1

    def after_event(self, channel: Channel, offset: int, i: int) -> None:
        """Apply injected faults to the event that was written at ring ``offset``, word ``i`` of RAM, and trace it."""
        m = self.ram_words
        if channel.armed:
            rule = channel.fault_at(EVRE_WORD)
            if rule is not None:
                code = rule.value >> 4
                info = rule.value & 15
                text = f"its event says code {code}, info {info} (injected)"
                channel.remember(channel.sequence - 1, 1, Outcome("completed", text, code, info))
                m[i] = EVRE_DMA_COMPLETE | code << EVRE_CODE_SHIFT | info << EVRE_INFO_SHIFT
            rule = channel.fault_at(WRITE_POINTER)
            if rule is not None:
                channel.wrong_pointer = rule.value
                channel.wrong_at = channel.evres
                channel.ew[WRITE_PTR >> 2] = rule.value
        if self.trace.on:
            words = (m[i], m[i + 1], m[i + 2], m[i + 3])
            self.trace.emit(("evre", channel.name, channel.sequence - 1, offset, words))

    def plan_portion(self, channel: Channel) -> None:
        """Plan the next portion: the data that fits the rest of the grant, in whole bursts unless it is the end.

        An invalid TRE has a portion of 0 bytes.
        """
        left = channel.length - channel.moved
        kind = channel.config & 0xFFFF
        n = left
        reads = 0
        writes = 0
        if kind == channel.copy_config and 0 < left <= self.single:
            reads = 1
            writes = 1
        elif kind == channel.copy_config and left > 0:
            unit = self.read_len if self.read_len > self.write_len else self.write_len
            most = self.writes * self.write_len
            if most > self.reads * self.read_len:
                most = self.reads * self.read_len
            if left > most:
                n = most if most < unit else most - most % unit
            writes = (n + self.write_len - 1) // self.write_len
            reads = (n + self.read_len - 1) // self.read_len
        elif kind == channel.fill_config and left > 0:
            most = self.writes * self.write_len
            if left > most:
                n = most
            writes = (n + self.write_len - 1) // self.write_len
        else:
            n = 0
        channel.portion = n
        channel.portion_reads = reads
        channel.portion_writes = writes
        self.reads -= reads
        self.writes -= writes

    def begin_portion(self, channel: Channel, ns: int) -> int:
        """Plan the next portion and put it on the bus: the ns until it lands, ``ns`` of them before it.

        Reads and writes go side by side.
        """
        self.plan_portion(channel)
        if not self.timed:
            return 0
        channel.flight = 1
        channel.started = self.clock.now
        bursts = channel.portion_writes
        if channel.portion_reads > bursts:
            bursts = channel.portion_reads
        return ns + bursts * self.burst_ns + (channel.portion * self.byte_fs + 999999) // 1000000

    def fill(self, pattern: int, moved: int, to: int, count: int) -> None:
        """Write ``count`` bytes of the pattern at RAM offset ``to``, beginning with its byte ``moved`` % 8."""
        done = 0
        while done < 8 and done < count:
            self.ram[to + done] = (pattern >> (8 * ((moved + done) & 7))) & 0xFF
            done += 1
        while done < count:
            piece = done if done < count - done else count - done
            move(self.ram, to + done, to, piece)
            done += piece

    def move_portion(self, channel: Channel) -> int:
        """Move the portion that lands; 1 after a fault."""
        n = channel.portion
        size = self.data_size
        to = (channel.dest + channel.moved - self.data_base) & ALL_BITS
        at = (channel.source + channel.moved - self.data_base) & ALL_BITS
        if (
            channel.portion_reads
            and to < size
            and at < size
            and n <= size - to
            and n <= size - at
            and (n <= self.single or to <= at or to - at >= n)
        ):
            move(self.ram, to, at, n)
        elif self.move_checked(channel):
            return 1
        channel.moved += n
        channel.bytes_moved += n
        channel.read_bursts += channel.portion_reads
        channel.write_bursts += channel.portion_writes
        return 0

    def move_checked(self, channel: Channel) -> int:
        """Move a portion that is not simply a copy inside RAM; 1 after a fault.

        A fill, or a copy with source and destination each in RAM in one piece, is done at once; any other one burst by
        burst.
        """
        count = channel.portion
        if count == 0:
            channel.fail(channel.sequence - 1, CAUSE_INVALID_TRE, self.describe_invalid(channel))
            return 1
        filling = channel.portion_reads == 0
        to = channel.stream.reach(channel.dest + channel.moved, count, WRITE)
        at = 0
        if not filling:
            at = channel.stream.reach(channel.source + channel.moved, count, READ)
        overlaps = not filling and channel.portion_reads + channel.portion_writes > 2 and to > at and to - at < count
        if channel.armed or at < 0 or to < 0 or overlaps:
            if self.move_by_bursts(channel, count, filling):
                return 1
        elif filling:
            self.fill(channel.source, channel.moved, to, count)
        else:
            move(self.ram, to, at, count)
        if self.trace.on:
            self.trace_bursts(channel, count)
        return 0

    def move_by_bursts(self, channel: Channel, count: int, filling: int) -> int:
        """Move a portion burst by burst: the read bursts that the next write burst needs, then that; 1 after a fault."""
        got = 0
        put = 0
        reads = 0
        writes = 0
        while put < count:
            want = self.write_len
            if want > count - put:
                want = count - put
            if filling:
                pattern = channel.source
                for k in range(want):
                    self.staging[k] = (pattern >> (8 * ((channel.moved + put + k) & 7))) & 0xFF
            elif got - put < want:
                n = self.read_len
                if n > count - got:
                    n = count - got
                if self.burst(channel, channel.source + channel.moved + got, n, got - put, READ):
                    injected = self.injected
                    address = channel.source + channel.moved + got
                    # what was read before the faulting burst is still written
                    if got > put and not self.burst(channel, channel.dest + channel.moved + put, got - put, 0, WRITE):
                        writes += 1
                        put = got
                    self.injected = injected
                    return self.fail_burst(channel, put, reads, writes, CAUSE_DATA_READ, address)
                reads += 1
                got += n
                continue
            if self.burst(channel, channel.dest + channel.moved + put, want, 0, WRITE):
                return self.fail_burst(
                    channel, put, reads, writes, CAUSE_DATA_WRITE, channel.dest + channel.moved + put
                )
            writes += 1
            put += want
            if not filling and got > put:
                move(self.staging, 0, want, got - put)
        return 0

    def burst(self, channel: Channel, address: int, count: int, at: int, need: int) -> int:
        """One burst between bus ``address`` and byte ``at`` of the staging buffer, all or nothing; 1 after a fault."""
        stream = channel.stream
        if channel.armed:
            first = channel.fault_at(BURST)
            second = channel.fault_at(READ_BURST if need == READ else WRITE_BURST)
            if first is not None or second is not None:
                self.injected = 1
                return 1
        good = stream.first_fault(address, count, need)
        if good < count:
            self.injected = 0
            stream.refuse(address + good, need)
            return 1
        done = 0
        while done < count:
            piece = GRANULE - ((address + done) & (GRANULE - 1))
            if piece > count - done:
                piece = count - done
            where = stream.reach(address + done, piece, need)
            if need == READ:
                carry(self.staging, at + done, self.ram, where, piece)
            else:
                carry(self.ram, where, self.staging, at + done, piece)
            done += piece
        return 0

    def fail_burst(self, channel: Channel, put: int, reads: int, writes: int, cause: int, address: int) -> int:
        """Fail because of a burst, after ``put`` bytes of this portion were written."""
        channel.moved += put
        channel.bytes_moved += put
        channel.read_bursts += reads
        channel.write_bursts += writes
        what = "could not be read" if cause == CAUSE_DATA_READ else "could not be written"
        injected = " (injected)" if self.injected else ""
        text = f"burst at 0x{address:x} {what}{injected}, after {channel.moved} of {channel.length} bytes"
        channel.fail(channel.sequence - 1, cause, text)
        return 1

    def describe_invalid(self, channel: Channel) -> str:
        """The reason why the TRE is invalid."""
        kind = channel.config & 0xFF
        target = (channel.config >> 8) & 0xFF
        if kind != TRE_MEMCPY and kind != TRE_MEMSET:
            return f"TRE of type {kind}"
        if target != channel.index:
            return f"TRE for event channel {target}"
        return "TRE of length 0"

    def trace_bursts(self, channel: Channel, count: int) -> None:
        """Trace the bursts of a portion that lands."""
        now = self.clock.now
        start = channel.started if self.timed else now
        number = channel.sequence - 1
        moved = channel.moved
        if channel.portion_reads:
            address = channel.source + moved
            self.trace.emit(("burst", channel.name, number, "read", address, count, channel.portion_reads, start, now))
        address = channel.dest + moved
        self.trace.emit(("burst", channel.name, number, "write", address, count, channel.portion_writes, start, now))
