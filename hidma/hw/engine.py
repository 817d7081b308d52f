# SPDX-License-Identifier: GPL-2.0-only
"""The copy engine: fetches a TRE, cuts its data into bursts, moves them, writes the event.

It works on one channel at a time, for one grant, as the arbiter tells it. Work goes in steps: a step begins (the TRE
is fetched, a portion of its data is cut off that fits what is left of the grant), takes its time on the bus, and lands
(the data is moved, and after the last portion the event, WRITE_PTR and IRQ_STAT follow, in this order). A step that
takes no time lands at once; that is all that ``instant`` changes.

A portion is one `memmove` where source and destination each lie in RAM in one piece; where they do not, where a fault
waits or where a forward copy overlaps itself, the portion is made burst by burst: read, then write.
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
    """What the hardware's work costs.

    :param tre_ns: fetching a TRE, ns
    :param burst_ns: one burst, ns, beside what its bytes cost
    :param bytes_per_ns: bandwidth of the bus, each way
    """

    tre_ns: int = 150
    burst_ns: int = 40
    bytes_per_ns: float = 12.8


class Engine:
    """The engine of a core.

    :param bus: RAM, clock, trace
    :param timing: what the work costs
    :param instant: 1 to let it cost nothing
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
        # what is left of the grant
        self.reads = 0
        self.writes = 0
        self.injected = 0
        self.set_timing(timing, instant)

    def set_timing(self, timing: Timing, instant: int = 0) -> None:
        """Let the work cost what ``timing`` says, or nothing."""
        if timing.tre_ns < 0 or timing.burst_ns < 0 or timing.bytes_per_ns <= 0:
            raise ValueError(f"times cannot be negative and a bus needs a bandwidth: {timing}")
        self.timing = timing
        self.tre_ns = 0 if instant else timing.tre_ns
        self.burst_ns = 0 if instant else timing.burst_ns
        self.byte_fs = 0 if instant else round(1000000 / timing.bytes_per_ns)
        self.timed = 1 if self.tre_ns or self.burst_ns or self.byte_fs else 0

    def set_bus(self, read_len: int, write_len: int, read_count: int, write_count: int) -> int:
        """Bytes of a burst and bursts of a grant, each way; 0 counts as the smallest legal value."""
        self.read_len = read_len if read_len else SMALLEST_BURST
        self.write_len = write_len if write_len else SMALLEST_BURST
        self.read_count = read_count if read_count else 1
        self.write_count = write_count if write_count else 1
        return 0

    def grant(self, count: int) -> int:
        """``count`` grants begin, one after the other."""
        self.reads = self.read_count * count
        self.writes = self.write_count * count
        return 0

    def run(self, channel: Channel) -> int:
        """Go on with ``channel``: begin the next step, or land the one that is on the bus and go on.

        :returns: ns until the step that was begun is to land; OVER when the grant is used up; NOTHING when the channel
            has nothing to do or cannot go on
        """
        m = self.ram_words
        tw = channel.tw
        ew = channel.ew
        stream = channel.stream
        base = stream.base
        size = stream.size
        special = channel.armed or self.trace.on
        timed = self.timed
        tre_base = channel.tre_base
        tre_len = channel.tre_len
        tre_next = channel.tre_next
        tre_end = channel.tre_end
        if channel.bad or not channel.open:
            tre_end = tre_next
        event_base = channel.event_base
        event_next = channel.event_next
        event_len = channel.event_len
        event_read = channel.event_read
        event_good = event_len >= 2 * EVRE_SIZE and event_next < event_len
        # Where in RAM the rings are, and up to which offset that is known: in bypass all of it, else a page. Beyond, and
        # for a channel that is looked at or whose event ring is no good, each access is a case of its own.
        tre_at = (tre_base - base) & ALL_BITS
        tre_all = 0
        if tre_at < size and tre_len <= size - tre_at and not special:
            tre_all = tre_len
        tre_stop = tre_all
        event_at = (event_base - base) & ALL_BITS
        event_all = 0
        if event_at < size and event_len <= size - event_at and event_good and not special:
            event_all = event_len
        event_stop = event_all
        # the same for the data
        if special:
            size = 0
        copying = channel.copy_config
        single = self.read_len if self.read_len < self.write_len else self.write_len
        plain = not special and not timed and size >= single
        reads_left = self.reads
        writes_left = self.writes
        # the TRE that was fetched last; one that runs through is noted at the end only, together with the others
        stage = channel.stage
        config = 0
        length = 0
        source = 0
        dest = 0
        moved = 0
        n = 0
        reads = 0
        writes = 0
        if stage != IDLE:
            config = channel.config
            length = channel.length
            source = channel.source
            dest = channel.dest
            moved = channel.moved
            n = channel.portion
            reads = channel.portion_reads
            writes = channel.portion_writes
        done = 0
        bytes_moved = 0
        read_bursts = 0
        write_bursts = 0
        result = NOTHING
        while True:
            if stage == IDLE:
                if tre_next == tre_end:
                    break
                if reads_left <= 0 or writes_left <= 0:
                    result = OVER
                    break
                if (
                    plain
                    and tre_next + TRE_SIZE != tre_end
                    and tre_next < tre_stop
                    and event_next < event_stop
                    and not (m[(tre_at + tre_next) >> 2] & TRE_IEOB and self.rouses(channel))
                ):
                    # how many TREs and events lie in a row, up to where something else has to be thought of
                    following = tre_stop if tre_stop < tre_len else tre_len
                    if tre_next < tre_end < following:
                        following = tre_end
                    n = (following - tre_next) // TRE_SIZE
                    following = event_stop if event_stop < event_len else event_len
                    if event_next < event_read <= following:
                        following = event_read - EVRE_SIZE
                    elif event_read == 0 and following == event_len:
                        following = event_len - EVRE_SIZE
                    if (following - event_next) // EVRE_SIZE < n:
                        n = (following - event_next) // EVRE_SIZE
                    if reads_left < n:
                        n = reads_left
                    if writes_left < n:
                        n = writes_left
                    n = self.run_through(channel, tre_at + tre_next, event_at + event_next, n, single)
                    if n:
                        reads_left -= n
                        writes_left -= n
                        read_bursts += n
                        write_bursts += n
                        done += n
                        tre_next += n * TRE_SIZE
                        if tre_next >= tre_len:
                            tre_next = 0
                            tre_stop = tre_all
                            if tre_end >= tre_len:
                                tre_end = 0
                                channel.tre_end = 0
                        tw[READ_PTR >> 2] = tre_next
                        event_next += n * EVRE_SIZE
                        if event_next >= event_len:
                            event_next = 0
                            event_stop = event_all
                        ew[WRITE_PTR >> 2] = event_next
                        continue
                at = tre_at + tre_next
                if tre_next >= tre_stop:
                    at = stream.reach(tre_base + tre_next, TRE_SIZE, READ)
                    channel.tre_next = tre_next
                    if (at < 0 or special) and self.fetch_fails(channel, tre_base + tre_next, at):
                        break
                    if stream.mode == TRANSLATED and not special:
                        tre_at = (at - tre_next) & ALL_BITS
                        tre_stop = tre_next + GRANULE - (at & (GRANULE - 1))
                i = at >> 2
                config = m[i]
                length = m[i + 1]
                source = pair(m, i + 2)
                dest = pair(m, i + 4)
                moved = 0
                tre_next += TRE_SIZE
                if tre_next >= tre_len:
                    tre_next = 0
                    tre_stop = tre_all
                    if tre_end >= tre_len:  # a doorbell may call the end of the ring by its length
                        tre_end = 0
                        channel.tre_end = 0
                tw[READ_PTR >> 2] = tre_next
                channel.sequence += 1
                stage = DATA
                if config & 0xFFFF == copying and 0 < length <= single:
                    n = length
                    reads = 1
                    writes = 1
                    reads_left -= 1
                    writes_left -= 1
                    if timed:
                        channel.keep(stage, config, length, source, dest, moved, n, reads, writes)
                else:
                    channel.keep(stage, config, length, source, dest, moved, 0, 0, 0)
                    self.reads = reads_left
                    self.writes = writes_left
                    self.cut(channel)
                    n = channel.portion
                    reads = channel.portion_reads
                    writes = channel.portion_writes
                    reads_left = self.reads
                    writes_left = self.writes
                if timed:
                    cost = self.tre_ns + self.cost(channel)
                    if cost > 0:
                        result = cost
                        break
                    channel.flight = 0
            elif stage == DATA:
                if not channel.flight:
                    if not channel.able:
                        break
                    if reads_left <= 0 or writes_left <= 0:
                        result = OVER
                        break
                    channel.moved = moved
                    self.reads = reads_left
                    self.writes = writes_left
                    self.cut(channel)
                    n = channel.portion
                    reads = channel.portion_reads
                    writes = channel.portion_writes
                    reads_left = self.reads
                    writes_left = self.writes
                    if timed:
                        cost = self.cost(channel)
                        if cost > 0:
                            result = cost
                            break
                channel.flight = 0
            if stage == DATA:
                to = (dest + moved - base) & ALL_BITS
                at = (source + moved - base) & ALL_BITS
                if reads and to < size and at < size and n <= size - to and n <= size - at and (
                    n <= single or to <= at or to - at >= n
                ):
                    move(self.ram, to, at, n)
                else:
                    channel.tre_next = tre_next
                    channel.event_next = event_next
                    channel.keep(stage, config, length, source, dest, moved, n, reads, writes)
                    if self.carry_out(channel):
                        stage = IDLE
                        break
                moved += n
                bytes_moved += n
                read_bursts += reads
                write_bursts += writes
                if moved < length:
                    continue
                stage = EVENT
            # the event
            following = event_next + EVRE_SIZE
            if following >= event_len:
                following = 0
            if following == event_read and event_good:
                break
            at = event_at + event_next
            if event_next >= event_stop:
                at = stream.reach(event_base + event_next, EVRE_SIZE, WRITE)
                channel.tre_next = tre_next
                channel.event_next = event_next
                channel.keep(stage, config, length, source, dest, moved, n, reads, writes)
                if (at < 0 or special or not event_good) and self.event_fails(channel, event_base + event_next, at):
                    stage = IDLE
                    break
                if stream.mode == TRANSLATED and not special:
                    event_at = (at - event_next) & ALL_BITS
                    event_stop = event_next + GRANULE - (at & (GRANULE - 1))
            i = at >> 2
            m[i] = EVRE_DMA_COMPLETE | CODE_COMPLETE << EVRE_CODE_SHIFT
            m[i + 1] = length
            m[i + 2] = dest & ALL_ONES
            m[i + 3] = dest >> 32
            ew[WRITE_PTR >> 2] = following
            done += 1
            stage = IDLE
            if special:
                channel.evres += done
                done = 0
                channel.event_next = following
                channel.stage = stage
                self.event_written(channel, event_next, i)
            event_next = following
            if following == 0:
                event_stop = event_all
            if config & TRE_IEOB and (special or self.rouses(channel)):
                channel.tre_next = tre_next
                channel.event_next = event_next
                channel.stage = stage
                channel.cause(CAUSE_EOB)
        self.reads = reads_left
        self.writes = writes_left
        channel.tre_next = tre_next
        channel.event_next = event_next
        channel.evres += done
        channel.bytes_moved += bytes_moved
        channel.read_bursts += read_bursts
        channel.write_bursts += write_bursts
        if stage == IDLE:
            channel.stage = stage
            if channel.bad and channel.open:
                self.refuse_doorbell(channel)
        else:
            channel.keep(stage, config, length, source, dest, moved, n, reads, writes)
            if stage == EVENT:
                self.stall(channel)
        return result

    def run_through(self, channel: Channel, tre_at: int, event_at: int, count: int, single: int) -> int:
        """Work off ordinary TREs in a row, ``count`` at most: copies of one burst inside RAM that raise no new cause.

        :param tre_at: RAM offset of the first TRE; they lie one after the other, and so do the events
        :param event_at: RAM offset of the first event
        :param single: bytes that make a single burst, each way
        :returns: how many there were before the first that is none of these
        """
        m = self.ram_words
        b = self.ram
        base = channel.stream.base
        room = channel.stream.size - single
        mask = 0xFFFF
        if self.rouses(channel):
            mask = 0xFFFF | TRE_IEOB
        copying = channel.copy_config
        first = tre_at >> 2
        last = first + count * (TRE_SIZE >> 2)
        i = first
        k = event_at >> 2
        bytes_moved = 0
        while i < last:
            length = m[i + 1]
            # a length of 0 is the largest there is
            if m[i] & mask != copying or (length - 1) & ALL_ONES >= single:
                break
            at = (pair(m, i + 2) - base) & ALL_BITS
            dest = pair(m, i + 4)
            to = (dest - base) & ALL_BITS
            if at > room or to > room:
                break
            move(b, to, at, length)
            m[k] = EVRE_DMA_COMPLETE | CODE_COMPLETE << EVRE_CODE_SHIFT
            m[k + 1] = length
            set_pair(m, k + 2, dest)
            bytes_moved += length
            i += TRE_SIZE >> 2
            k += EVRE_SIZE >> 2
        done = (i - first) // (TRE_SIZE >> 2)
        channel.sequence += done
        channel.bytes_moved += bytes_moved
        return done

    def rouses(self, channel: Channel) -> int:
        """Whether an end of block would be news: a cause that is up already changes nothing, unless its interrupt was lost."""
        return not channel.status & CAUSE_EOB or channel.swallowed

    def refuse_doorbell(self, channel: Channel) -> int:
        """The doorbell does not fit the ring."""
        text = f"doorbell 0x{channel.bell:x} does not fit a ring of {channel.tre_len} bytes"
        return channel.fail(-1, CAUSE_INVALID_TRE, text)

    def fetch_fails(self, channel: Channel, address: int, at: int) -> int:
        """Look at a TRE fetch before it is made: 1 if it fails. ``at`` is -1 when nothing is at bus ``address``."""
        injected = ""
        if channel.armed:
            if channel.struck(IRQ_SPURIOUS) is not None:
                channel.spurious()
            if channel.struck(TRE_FETCH) is not None:
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

    def stall(self, channel: Channel) -> int:
        """The event ring is full."""
        channel.stalls += 1
        if self.trace.on:
            self.trace.emit(("stall", channel.name, channel.sequence - 1))
        return 0

    def event_fails(self, channel: Channel, address: int, at: int) -> int:
        """Look at an event before it is written: 1 if it fails. ``at`` is -1 when nothing is at bus ``address``."""
        text = ""
        if channel.event_len < 2 * EVRE_SIZE or channel.event_next >= channel.event_len:
            text = f"no room for an event at 0x{channel.event_next:x} in a ring of {channel.event_len} bytes"
        elif channel.armed and channel.struck(EVRE_WRITE) is not None:
            text = f"event at 0x{address:x} could not be written (injected)"
        elif at < 0:
            channel.stream.refuse(address, WRITE)
            text = f"event at 0x{address:x} could not be written"
        else:
            return 0
        channel.fail(channel.sequence - 1, CAUSE_EVENT_WRITE, text)
        return 1

    def event_written(self, channel: Channel, offset: int, i: int) -> int:
        """An event is in the ring at ``offset``, word ``i`` of RAM: what injected faults make of it, and the trace."""
        m = self.ram_words
        if channel.armed:
            rule = channel.struck(EVRE_WORD)
            if rule is not None:
                code = rule.value >> 4
                info = rule.value & 15
                text = f"its event says code {code}, info {info} (injected)"
                channel.remember(channel.sequence - 1, 1, Outcome("completed", text, code, info))
                m[i] = EVRE_DMA_COMPLETE | code << EVRE_CODE_SHIFT | info << EVRE_INFO_SHIFT
            rule = channel.struck(WRITE_POINTER)
            if rule is not None:
                channel.wrong_pointer = rule.value
                channel.wrong_at = channel.evres
                channel.ew[WRITE_PTR >> 2] = rule.value
        if self.trace.on:
            words = (m[i], m[i + 1], m[i + 2], m[i + 3])
            self.trace.emit(("evre", channel.name, channel.sequence - 1, offset, words))
        return 0

    def cut(self, channel: Channel) -> int:
        """Cut the next portion off the data: what fits the rest of the grant, in whole bursts unless it is the end.

        A TRE that makes no sense has a portion of 0 bytes.
        """
        left = channel.length - channel.moved
        kind = channel.config & 0xFFFF
        filling = kind == channel.fill_config
        n = left
        reads = 0
        writes = 0
        if left > 0 and (filling or kind == channel.copy_config):
            unit = self.write_len
            room = self.writes * self.write_len
            if not filling:
                if self.read_len > unit:
                    unit = self.read_len
                if room > self.reads * self.read_len:
                    room = self.reads * self.read_len
            if left > room:
                n = room if room < unit else room - room % unit
            writes = (n + self.write_len - 1) // self.write_len
            if not filling:
                reads = writes if self.read_len == self.write_len else (n + self.read_len - 1) // self.read_len
        else:
            n = 0
        channel.portion = n
        channel.portion_reads = reads
        channel.portion_writes = writes
        self.reads -= reads
        self.writes -= writes
        return 0

    def cost(self, channel: Channel) -> int:
        """The portion goes on the bus: what it needs there, ns. Reads and writes go side by side."""
        channel.flight = 1
        channel.started = self.clock.now
        bursts = channel.portion_writes
        if channel.portion_reads > bursts:
            bursts = channel.portion_reads
        return bursts * self.burst_ns + (channel.portion * self.byte_fs + 999999) // 1000000

    def fill(self, pattern: int, moved: int, to: int, count: int) -> int:
        """Write ``count`` bytes of the pattern at RAM offset ``to``, beginning with its byte ``moved`` % 8."""
        done = 0
        while done < 8 and done < count:
            self.ram[to + done] = (pattern >> (8 * ((moved + done) & 7))) & 0xFF
            done += 1
        while done < count:
            piece = done if done < count - done else count - done
            move(self.ram, to + done, to, piece)
            done += piece
        return 0

    def carry_out(self, channel: Channel) -> int:
        """Move a portion that is not simply a copy inside RAM. 1 after a fault.

        A fill, or a copy of which both ends are in RAM in one piece, is made at once. Where they are not, where a fault
        waits or where a forward copy overlaps itself, it goes burst by burst: as many read bursts as the next write burst
        needs, then that.
        """
        count = channel.portion
        if count == 0:
            channel.fail(channel.sequence - 1, CAUSE_INVALID_TRE, self.complaint(channel))
            return 1
        filling = channel.portion_reads == 0
        to = channel.stream.reach(channel.dest + channel.moved, count, WRITE)
        at = 0
        if not filling:
            at = channel.stream.reach(channel.source + channel.moved, count, READ)
        overlaps = not filling and channel.portion_reads + channel.portion_writes > 2 and to > at and to - at < count
        if channel.armed or at < 0 or to < 0 or overlaps:
            if self.one_by_one(channel, count, filling):
                return 1
        elif filling:
            self.fill(channel.source, channel.moved, to, count)
        else:
            move(self.ram, to, at, count)
        if self.trace.on:
            self.tell(channel, count)
        return 0

    def one_by_one(self, channel: Channel, count: int, filling: int) -> int:
        """Move a portion burst by burst. 1 after a fault."""
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
                    return self.broken(channel, put, reads, writes, CAUSE_DATA_READ, address)
                reads += 1
                got += n
                continue
            if self.burst(channel, channel.dest + channel.moved + put, want, 0, WRITE):
                return self.broken(channel, put, reads, writes, CAUSE_DATA_WRITE, channel.dest + channel.moved + put)
            writes += 1
            put += want
            if not filling and got > put:
                move(self.staging, 0, want, got - put)
        return 0

    def burst(self, channel: Channel, address: int, count: int, at: int, need: int) -> int:
        """One burst between bus ``address`` and byte ``at`` of the staging buffer, all or nothing. 1 after a fault."""
        stream = channel.stream
        if channel.armed:
            first = channel.struck(BURST)
            second = channel.struck(READ_BURST if need == READ else WRITE_BURST)
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

    def broken(self, channel: Channel, put: int, reads: int, writes: int, cause: int, address: int) -> int:
        """A burst of the TRE failed after ``put`` bytes of this portion were written."""
        channel.moved += put
        channel.bytes_moved += put
        channel.read_bursts += reads
        channel.write_bursts += writes
        what = "could not be read" if cause == CAUSE_DATA_READ else "could not be written"
        injected = " (injected)" if self.injected else ""
        text = f"burst at 0x{address:x} {what}{injected}, after {channel.moved} of {channel.length} bytes"
        channel.fail(channel.sequence - 1, cause, text)
        return 1

    def complaint(self, channel: Channel) -> str:
        """What is wrong with the TRE."""
        kind = channel.config & 0xFF
        target = (channel.config >> 8) & 0xFF
        if kind != TRE_MEMCPY and kind != TRE_MEMSET:
            return f"TRE of type {kind}"
        if target != channel.index:
            return f"TRE for event channel {target}"
        return "TRE of length 0"

    def tell(self, channel: Channel, count: int) -> int:
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
        return 0
