# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""Real-time mode: the CPU is outside (an emulator, a guest in another process) and shares the pages of registers and the RAM.
Accesses do not trap: the watcher polls the pages, acts on the changes, and lets the clock of the model follow real time.

It sees the values at the time of a poll: commands, doorbells, causes to be cleared. It misses a value that is overwritten between
two polls, and all reads. It restores the words that software cannot write from the model's own copies. It polls without a pause
while there are changes, then less and less often, so that an idle guest costs next to nothing.
"""

from __future__ import annotations

import cython

from hidma.hw.block import NO_REGISTERS
from hidma.hw.channel import Channel, ChannelBlock
from hidma.hw.core import HidmaCore
from hidma.hw.management import ManagementBlock

if not cython.compiled:
    from hidma.hw.channel import NO_STATE
    from hidma.hw.clock import FOREVER
    from hidma.hw.cmem import words_of
    from hidma.hw.faults import RESET_STUCK_TRCA
    from hidma.hw.realtime import exchange, fence, monotonic_ns, sleep_ns
    from hidma.hw.registers import (
        CAUSE_DATA_READ,
        CAUSE_DATA_WRITE,
        CAUSE_EOB,
        CAUSE_EVENT_WRITE,
        CAUSE_INVALID_TRE,
        CAUSE_TRE_READ,
        CFG,
        CHIDX,
        CHRESET_TIMEOUT,
        COMMAND_MASK,
        COMMAND_SHIFT,
        CTRLSTS,
        DISABLED,
        DOORBELL,
        HOOK_BUS,
        HOOK_CORE,
        HOOK_LIMIT,
        HOOK_QOS,
        HW_VERSION,
        IN_RESET,
        INTCTRL,
        IRQ_CLR,
        IRQ_EN,
        IRQ_STAT,
        MAX_BUS_REQ_LEN,
        MAX_CHANNELS,
        MAX_XACTIONS,
        QOS_N,
        QOS_N_ALIAS,
        READ_PTR,
        RESET,
        RING_HIGH,
        RING_LEN,
        RING_LOW,
        STATE_SHIFT,
        WRITE_PTR,
    )

    # After the last change it polls without a pause for SPIN_NS, then with pauses of PAUSE_NS until NEAR_NS, of WAIT_NS until
    # FAR_NS, and of IDLE_NS. Where a poll is slow the pauses are longer: polls take no more than 1 / SHARE of the time.
    SPIN_NS = 40000
    NEAR_NS = 3000000
    FAR_NS = 50000000
    PAUSE_NS = 15000
    WAIT_NS = 100000
    IDLE_NS = 500000
    SHARE = 30
    # The longest time that the hardware advances between two polls while the model is behind real time.
    PIECE_NS = 200000
    # EOB is raised again for an event that still waits this long after EOB was cleared.
    GRACE_NS = 500000
    ERRORS = CAUSE_EVENT_WRITE | CAUSE_TRE_READ | CAUSE_DATA_READ | CAUSE_DATA_WRITE | CAUSE_INVALID_TRE

# Registers of a channel without an effect of their own: their changes are traced.
QUIET_TRCA = (RING_LOW, RING_HIGH, RING_LEN)
QUIET_EVCA = (RING_LOW, RING_HIGH, RING_LEN)


class WatchedChannel:
    """A channel whose pages are watched: the values of the last poll, and counters.

    ``commands`` counts those of TRCA and EVCA by command, ``doorbells`` and ``event_doorbells`` the changes of the doorbells,
    ``clears`` the writes of IRQ_CLR, ``reminders`` how often EOB was raised again, ``repaired`` the polls that found
    a read-only word overwritten, ``idle_resets`` the RESETs of a block that was DISABLED already.
    """

    def __cinit__(self, *args: object) -> None:
        """Compiled only: what was never initialised has a page of registers all the same."""
        self.tw = self.ew = words_of(NO_REGISTERS)

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.trca = channel.trca
        self.evca = channel.evca
        self.trca.watched = 1
        self.evca.watched = 1
        self.tw = words_of(self.trca.view)
        self.ew = words_of(self.evca.view)
        self.doorbell_seen = 0
        self.event_doorbell_seen = 0
        self.enabled = 0
        self.delivery = 0
        self.trca_resets = 0
        self.evca_resets = 0
        self.remind_at = 0
        self.reminded = -1
        self.quiet = [0] * (len(QUIET_TRCA) + len(QUIET_EVCA))
        self.commands: dict[tuple[str, int], int] = {}
        self.doorbells = 0
        self.event_doorbells = 0
        self.clears = 0
        self.reminders = 0
        self.repaired = 0
        self.idle_resets = 0
        channel.restore()

    def look(self, now: int) -> int:
        """Poll the pages and act on the changes; returns their number. ``now`` is real time, ns."""
        channel = self.channel
        trca = self.trca
        evca = self.evca
        tw = self.tw
        ew = self.ew
        seen = 0
        if channel.trace.on and trca.state != IN_RESET and evca.state != IN_RESET:
            self.trace_ring_registers()
        if tw[CTRLSTS >> 2] != trca.state << STATE_SHIFT:
            seen += self.command(trca)
        if ew[CTRLSTS >> 2] != evca.state << STATE_SHIFT:
            seen += self.command(evca)
        if trca.resets != self.trca_resets and trca.state != IN_RESET:
            self.trca_resets = trca.resets
            self.doorbell_seen = 0
        if evca.resets != self.evca_resets and evca.state != IN_RESET:
            self.evca_resets = evca.resets
            self.event_doorbell_seen = 0
            self.enabled = 0
            self.delivery = 0
        if ew[IRQ_CLR >> 2]:
            seen += 1
            self.clear(exchange(ew, IRQ_CLR >> 2, 0), now)
        word = ew[DOORBELL >> 2]
        if word != self.event_doorbell_seen:
            seen += 1
            self.event_doorbell_seen = word
            self.event_doorbells += 1
            self.trace_write(evca, DOORBELL, word)
            channel.event_doorbell(word)
        word = ew[IRQ_EN >> 2]
        if word != self.enabled:
            seen += 1
            self.enabled = word
            self.trace_write(evca, IRQ_EN, word)
            channel.drive()
        word = ew[INTCTRL >> 2]
        if word != self.delivery:
            seen += 1
            self.delivery = word
            self.trace_write(evca, INTCTRL, word)
            channel.drive()
        word = tw[DOORBELL >> 2]
        if word != self.doorbell_seen:
            seen += 1
            self.doorbell_seen = word
            self.doorbells += 1
            self.trace_write(trca, DOORBELL, word)
            channel.ring_doorbell(word)
        if self.remind_at and now >= self.remind_at:
            self.remind_at = 0
            self.raise_eob_again()
        pointer = channel.wrong_pointer if channel.wrong_at == channel.evres else channel.event_next
        if (
            tw[READ_PTR >> 2] != channel.tre_next
            or tw[WRITE_PTR >> 2] != channel.doorbell_taken
            or tw[CHIDX >> 2] != channel.index
            or ew[READ_PTR >> 2] != channel.event_doorbell_taken
            or ew[WRITE_PTR >> 2] != pointer
            or ew[IRQ_STAT >> 2] != channel.status
        ):
            self.repaired += 1
            channel.restore()
        return seen

    def command(self, block: ChannelBlock) -> int:
        """CTRLSTS was written: a command, or an old state alone. Returns the number of commands."""
        w = self.ew if block.is_event else self.tw
        word = exchange(w, CTRLSTS >> 2, block.state << STATE_SHIFT)
        command = (word >> COMMAND_SHIFT) & COMMAND_MASK
        if not command:
            return 0
        key = ("evca" if block.is_event else "trca", command)
        self.commands[key] = self.commands.get(key, 0) + 1
        self.trace_write(block, CTRLSTS, word)
        if command == RESET and block.state == DISABLED and not block.dead and block.pending == NO_STATE:
            # The driver's first poll has passed by now and it is writing ring registers: a reset would clear them.
            self.idle_resets += 1
            if self.channel.armed and self.channel.fault_at(RESET_STUCK_TRCA + block.is_event) is not None:
                block.set_state(IN_RESET)
            elif block.trace.on:
                block.trace.emit(("command", block.name, command, 0))
            return 1
        block.execute(command)
        return 1

    def clear(self, causes: int, now: int) -> None:
        """Software clears ``causes``. The line goes down before IRQ_STAT changes, or the interrupt would be taken again.

        For an error IRQ_STAT changes first: the handler reports it each time that it finds it there.
        """
        channel = self.channel
        self.clears += 1
        self.trace_write(self.evca, IRQ_CLR, causes)
        channel.status &= ~causes
        if causes & ERRORS:
            self.ew[IRQ_STAT >> 2] = channel.status
            fence()
        channel.drive()
        fence()
        self.ew[IRQ_STAT >> 2] = channel.status
        if causes & CAUSE_EOB:
            self.remind_at = now + GRACE_NS

    def raise_eob_again(self) -> int:
        """Raise EOB again if events wait: one may have come between the guest's write of IRQ_CLR and the poll.

        Once for each last event: a driver that leaves events in the ring is not interrupted for ever.
        """
        channel = self.channel
        waiting = channel.event_next
        if self.evca.dead or channel.status & CAUSE_EOB or channel.evres == self.reminded:
            return 0
        if waiting != self.ew[DOORBELL >> 2] and not (waiting == 0 and self.ew[DOORBELL >> 2] == channel.event_len):
            self.reminded = channel.evres
            self.reminders += 1
            channel.cause(CAUSE_EOB)
        return 0

    def trace_ring_registers(self) -> None:
        """Trace the ring registers that have changed since the last poll."""
        for number in range(len(QUIET_TRCA) + len(QUIET_EVCA)):
            if number < len(QUIET_TRCA):
                block = self.trca
                offset = QUIET_TRCA[number]
                word = self.tw[offset >> 2]
            else:
                block = self.evca
                offset = QUIET_EVCA[number - len(QUIET_TRCA)]
                word = self.ew[offset >> 2]
            if word != self.quiet[number]:
                self.quiet[number] = word
                self.trace_write(block, offset, word)

    def trace_write(self, block: ChannelBlock, offset: int, word: int) -> None:
        """Trace a write that a poll has found."""
        if block.trace.on:
            block.trace.emit(("write", block.name, offset, word))


class WatchedManagement:
    """A management block whose page is watched. ``writes`` counts changes of its registers."""

    def __cinit__(self, *args: object) -> None:
        """Compiled only: what was never initialised has a page of registers all the same."""
        self.w = self.s = words_of(NO_REGISTERS)

    def __init__(self, block: ManagementBlock, channels: int) -> None:
        self.block = block
        self.channels = channels
        self.w = words_of(block.view)
        self.shadow = bytearray(block.size)
        self.shadow[:] = block.view[: block.size]
        self.s = words_of(memoryview(self.shadow))
        self.writes = 0

    def look(self) -> int:
        """Poll the page and act on the changes; returns the number of registers that have changed."""
        w = self.w
        s = self.s
        seen = 0
        for number in range(self.channels):
            index = (QOS_N >> 2) + number
            if w[index] != s[index]:
                seen += self.changed(HOOK_QOS, QOS_N + 4 * number)
            index = (QOS_N_ALIAS >> 2) + number
            if w[index] != s[index]:
                seen += self.changed(HOOK_QOS, QOS_N_ALIAS + 4 * number)
        if w[MAX_BUS_REQ_LEN >> 2] != s[MAX_BUS_REQ_LEN >> 2]:
            seen += self.changed(HOOK_BUS, MAX_BUS_REQ_LEN)
        if w[MAX_XACTIONS >> 2] != s[MAX_XACTIONS >> 2]:
            seen += self.changed(HOOK_BUS, MAX_XACTIONS)
        if w[CHRESET_TIMEOUT >> 2] != s[CHRESET_TIMEOUT >> 2]:
            seen += self.changed(HOOK_LIMIT, CHRESET_TIMEOUT)
        if w[CFG >> 2] != s[CFG >> 2]:
            seen += self.changed(HOOK_CORE, CFG)
        if w[HW_VERSION >> 2] != self.block.version:
            w[HW_VERSION >> 2] = self.block.version
        return seen

    def changed(self, hook: int, offset: int) -> int:
        """The register at ``offset`` has changed."""
        block = self.block
        value = self.w[offset >> 2]
        self.writes += 1
        if block.trace.on:
            block.trace.emit(("write", block.name, offset, value))
        self.s[offset >> 2] = value
        block.wrote(hook, offset, value)
        if hook == HOOK_QOS:  # one register at two offsets
            self.s[(offset ^ QOS_N ^ QOS_N_ALIAS) >> 2] = value
        return 1


class Watcher:
    """Watches the pages of ``core``, whose clock follows real time from now on.

    :param core: a core of which every block lies in shared memory; only the watcher advances its clock

    ``looks`` counts the polls, ``slept_ns`` the time slept, ``active_at`` is the real time of the last change.
    """

    def __init__(self, core: HidmaCore) -> None:
        self.core = core
        self.clock = core.bus.clock
        if core.size > MAX_CHANNELS:
            raise ValueError(f"{core.name}: {core.size} channels")
        self.management = WatchedManagement(core.management, core.size)
        self.channels = [WatchedChannel(core.channels[index]) for index in sorted(core.channels)]
        self.looks = 0
        self.slept_ns = 0
        self.cost_ns = 0
        self.active_at = monotonic_ns()
        self.start = self.active_at - self.clock.now

    def look(self, now: int) -> int:
        """Poll every page once, then fire the events that are due; returns the number of changes.

        :param now: real time, ns; ``start`` is the real time at which the hardware's clock stood at 0
        """
        self.looks += 1
        seen = self.management.look()
        for channel in self.channels:
            seen += channel.look(now)
        if self.advance(now - self.start):
            seen += 1
        if seen:
            self.active_at = now
        return seen

    def advance(self, time: int) -> int:
        """Advance the hardware to ``time``, by PIECE_NS at most; 1 if an event was due."""
        clock = self.clock
        due = clock.next_event()
        if due > time:
            if time > clock.now:
                clock.advance(time)
            return 0
        piece = due if due > clock.now else clock.now
        piece += PIECE_NS
        clock.advance(piece if piece < time else time)
        return 1

    def run(self, ns: int) -> int:
        """Watch for ``ns`` nanoseconds of real time; returns the number of changes."""
        seen = 0
        now = monotonic_ns()
        end = now + ns
        while now < end:
            seen += self.look(now)
            after = monotonic_ns()
            idle = after - self.active_at
            self.cost_ns += (after - now - self.cost_ns) >> 3 if idle > SPIN_NS else 0
            if idle > SPIN_NS:
                pause = PAUSE_NS
                if idle > NEAR_NS:
                    pause = WAIT_NS if idle < FAR_NS else IDLE_NS
                    if pause < SHARE * self.cost_ns:
                        pause = SHARE * self.cost_ns
                self.sleep(after, end, pause)
                after = monotonic_ns()
            now = after
        return seen

    def sleep(self, now: int, end: int, pause: int) -> None:
        """Sleep for ``pause`` ns, but not beyond ``end`` nor the next event of the hardware."""
        if pause > end - now:
            pause = end - now
        due = self.clock.next_event()
        if due < FOREVER and due + self.start - now < pause:
            pause = due + self.start - now
        for channel in self.channels:
            if channel.remind_at and channel.remind_at - now < pause:
                pause = channel.remind_at - now
        if pause > 0:
            self.slept_ns += pause
            sleep_ns(pause)
