# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""A channel: its blocks of registers (TRCA and EVCA), commands and states, interrupt, and the outcome of its TREs.

A register access moves no data: the engine (`engine.py`) does, when the arbiter (`arbiter.py`) gives the channel its
turn, in an event of the clock. A channel notifies its :class:`Server` when it has work and when it has none any more.

The watcher of register pages in shared memory (`watch.py`), which serves no accesses, calls the same methods that the
register writes call: :meth:`ChannelBlock.execute`, :meth:`Channel.ring_doorbell`, :meth:`Channel.event_doorbell`,
:meth:`Channel.clear`, :meth:`Channel.drive`, and :meth:`Channel.restore` for the words that software cannot write;
``watched`` of a block makes a command vanish from CTRLSTS once it was taken.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from typing import NamedTuple

import cython

from hidma.hw.block import NO_REGISTERS, RegisterBlock
from hidma.hw.bus import Bus
from hidma.hw.clock import Event
from hidma.hw.faults import FaultRule
from hidma.hw.line import Line
from hidma.hw.registers import EVCA, TRCA
from hidma.hw.smmu import Stream

if not cython.compiled:
    from hidma.hw.cmem import words_of
    from hidma.hw.faults import (
        DISABLE_STUCK_TRCA,
        ENABLE_STUCK_TRCA,
        IRQ_DUP,
        IRQ_LATE,
        IRQ_LOST,
        RESET_STUCK_TRCA,
        SUSPEND_STUCK_TRCA,
    )
    from hidma.hw.registers import (
        ALL_ONES,
        CAUSE_RESET_DONE,
        CHIDX,
        COMMAND_MASK,
        COMMAND_SHIFT,
        CTRLSTS,
        DELIVER_LINE,
        DISABLE,
        DISABLED,
        ENABLE,
        ENABLED,
        ERROR,
        EVRE_SIZE,
        HOOK_CLEAR,
        HOOK_COMMAND,
        HOOK_DOORBELL,
        IN_RESET,
        INTCTRL,
        IRQ_CLR,
        IRQ_EN,
        IRQ_STAT,
        PAGE,
        READ_PTR,
        RESET,
        RING_HIGH,
        RING_LEN,
        RING_LOW,
        RUNNING,
        STATE_SHIFT,
        STOPPED,
        SUSPEND,
        SUSPENDED,
        TRE_MEMCPY,
        TRE_MEMSET,
        TRE_SIZE,
        WRITE_PTR,
    )

    NO_STATE = -1
    RESET_CYCLES = 64
    CYCLE_NS = 10

    # How far the TRE that was fetched last has come.
    IDLE = 0
    DATA = 1
    EVENT = 2

    HISTORY_KEPT = 65536


class Outcome(NamedTuple):
    """The outcome of one TRE.

    ``end`` is one of

    - ``"completed"``: its data was moved and its event written (with ``code`` and ``info``, which an injected fault may
      have changed: then ``cause`` names it)
    - ``"waiting"``: accepted by a doorbell, not fetched yet
    - ``"moving"``: fetched, its event not yet written
    - ``"failed"``: a fault; the channel went to ERROR, there is no event; ``cause`` is the reason
    - ``"dropped"``: a RESET took it before its event was written; ``cause`` is how far it had come
    - ``"unknown"``: no doorbell accepted a TRE of this number yet, or it is too long ago that it did not end well
    """

    end: str
    cause: str = ""
    code: int = 0
    info: int = 0


class Server(Event):
    """The arbiter, as channels see it: it gives them their turns."""

    def ready(self, channel: Channel) -> None:
        """``channel`` has something to do."""

    def leave(self, channel: Channel) -> None:
        """``channel`` has nothing to do any more; the step that is on the bus for it is cancelled."""


class ResetDone(Event):
    """The end of a reset."""

    def __init__(self, block: ChannelBlock) -> None:
        Event.__init__(self)
        self.block = block

    def fire(self) -> int:
        self.block.reset_done()
        return 0


class LateLine(Event):
    """An interrupt that an injected fault has delayed."""

    def __init__(self, channel: Channel) -> None:
        Event.__init__(self)
        self.channel = channel

    def fire(self) -> int:
        self.channel.line.set(self.channel.level)
        return 0


class ChannelBlock(RegisterBlock):
    """A TRCA or an EVCA: commands and states.

    :param channel: whose block it is
    :param is_event: 1 for the EVCA

    ``state`` is the state field, ``pending`` the state that a SUSPEND or DISABLE waits to reach (-1: none), ``dead`` is
    1 from a fault until the RESET that ends it, whatever ``state`` shows. ``commands_ignored`` and ``resets`` count.
    """

    def __init__(
        self,
        name: str,
        bus: Bus,
        base: int,
        size: int,
        is_event: int,
        channel: Channel,
        buffer: memoryview | bytearray | mmap.mmap | None,
    ) -> None:
        RegisterBlock.__init__(self, name, bus, base, size, EVCA if is_event else TRCA, buffer)
        self.channel = channel
        self.is_event = is_event
        self.state = DISABLED
        self.command = DISABLE
        self.pending = NO_STATE
        self.stuck = 0
        self.dead = 0
        self.watched = 0
        self.commands_ignored = 0
        self.resets = 0
        self.done = ResetDone(self)

    def wrote(self, code: int, offset: int, value: int) -> None:
        if code == HOOK_DOORBELL:
            if self.is_event:
                self.channel.event_doorbell(value)
            else:
                self.channel.ring_doorbell(value)
        elif code == HOOK_CLEAR:
            self.channel.clear(value)
        elif code == HOOK_COMMAND:
            self.execute((value >> COMMAND_SHIFT) & COMMAND_MASK)
        else:
            self.channel.drive()

    def set_state(self, state: int) -> None:
        """The state field becomes ``state``."""
        if state != self.state:
            self.enter(state)
        self.publish()

    def enter(self, state: int) -> None:
        """The state field becomes ``state``, which it is not."""
        if self.trace.on:
            self.trace_state(state)
        self.state = state

    def trace_state(self, state: int) -> None:
        """Trace that the state field becomes ``state``."""
        self.trace.emit(("state", self.name, self.state, state))

    def trace_doorbell(self, value: int, taken: int) -> None:
        """Trace a doorbell and whether it was taken."""
        self.trace.emit(("doorbell", self.name, value, taken))

    def publish(self) -> None:
        """Put CTRLSTS where software reads it."""
        word = self.state << STATE_SHIFT
        if not self.watched:
            word |= self.command << COMMAND_SHIFT
        self.w[CTRLSTS >> 2] = word

    def execute(self, command: int) -> int:
        """Do what software asks with ``command`` (CTRLSTS[23:16]); 1 if it made sense, 0 if it was ignored."""
        channel = self.channel
        state = self.state
        taken = 1
        self.command = command
        if command == RESET:
            if self.trace.on:
                self.trace.emit(("command", self.name, command, 1))
            self.reset()
            channel.update()
            return 1
        if state == IN_RESET:
            taken = 0
        elif command == ENABLE:
            if state == STOPPED and not channel.runs:
                taken = 0
            elif not (channel.armed and channel.fault_at(ENABLE_STUCK_TRCA + self.is_event) is not None):
                self.pending = NO_STATE
                self.stuck = 0
                if state != RUNNING:
                    state = ENABLED
        elif command == SUSPEND or command == DISABLE:
            target = SUSPENDED if command == SUSPEND else DISABLED
            if state == ERROR or (state == STOPPED and command == SUSPEND):
                taken = 0
            elif state != target:
                place = SUSPEND_STUCK_TRCA if command == SUSPEND else DISABLE_STUCK_TRCA
                self.pending = target
                self.stuck = 1 if channel.armed and channel.fault_at(place + self.is_event) is not None else 0
        else:
            taken = 0
        if not taken:
            self.commands_ignored += 1
        if self.trace.on:
            self.trace.emit(("command", self.name, command, taken))
        self.set_state(state)
        channel.update()
        return taken

    def reset(self) -> None:
        """From now on nothing leaves the block; it is DISABLED and clean when the time of a reset is over."""
        channel = self.channel
        self.resets += 1
        self.pending = NO_STATE
        self.stuck = 0
        self.set_state(IN_RESET)
        if self.is_event:
            channel.drop_event()
        else:
            channel.drop_transfers()
        limit = channel.reset_limit
        if (
            channel.armed and channel.fault_at(RESET_STUCK_TRCA + self.is_event) is not None
        ) or 0 < limit < RESET_CYCLES:
            self.clock.cancel(self.done)
        else:
            self.clock.schedule(self.done, self.clock.now + RESET_CYCLES * CYCLE_NS)

    def reset_done(self) -> None:
        """The reset is over."""
        channel = self.channel
        self.clear_registers()
        self.dead = 0
        self.set_state(DISABLED)
        if self.is_event:
            channel.event_next = 0
            channel.event_read = 0
            channel.event_doorbell_taken = 0
            channel.wrong_at = -1
            channel.status = 0
            channel.drive()
            channel.cause(CAUSE_RESET_DONE)
        else:
            channel.tre_next = 0
            channel.tre_end = 0
            channel.doorbell_taken = 0
        channel.update()

    def settle(self) -> None:
        """No TRE is being moved: the state that was asked for is reached."""
        if self.pending != NO_STATE and not self.stuck:
            state = self.pending
            self.pending = NO_STATE
            self.set_state(state)


class Channel:
    """One channel pair.

    :param name: its name in messages and traces
    :param index: which channel of the core, 0..63; CHIDX
    :param bus: RAM, clock, trace
    :param server: the arbiter that gives it its turns
    :param line: its interrupt line
    :param stream: translates its bus addresses
    :param trca_base: physical address of the transfer channel's registers, u64
    :param evca_base: the same of the event channel's

    Counters, all since power-on: ``tre_fetched``; ``tre_done``, TREs whose event was written;
    ``bytes_moved``; ``read_bursts`` and ``write_bursts``; ``evres``; ``irqs``, rises of the line; ``errors``;
    ``doorbells_dropped``; ``stalls``, waits for a free slot in the event ring; and of each block ``resets``,
    ``commands_ignored``, ``reads``, ``writes``.

    TREs are numbered in the order in which doorbells accept them, from 0, for ever: ``accepted`` is the number of the
    next one. Note it before a doorbell, and the TREs of that doorbell are those from there to ``accepted`` after it
    (none, when the doorbell was dropped); or take :meth:`sequence_at` for the slot of the ring. :meth:`outcome` gives
    the outcome of a number. ``epochs`` has, for each RESET of the TRCA, the number of the first TRE after
    it.
    """

    def __cinit__(self, *args: object, **options: object) -> None:
        """Compiled only: what was never initialised has a page of registers all the same."""
        self.tw = self.ew = words_of(NO_REGISTERS)

    def __init__(
        self,
        name: str,
        index: int,
        bus: Bus,
        server: Server,
        line: Line,
        stream: Stream,
        trca_base: int,
        evca_base: int,
        trca_size: int = PAGE,
        evca_size: int = PAGE,
        trca_buffer: memoryview | bytearray | mmap.mmap | None = None,
        evca_buffer: memoryview | bytearray | mmap.mmap | None = None,
    ) -> None:
        self.name = name
        self.index = index
        self.clock = bus.clock
        self.trace = bus.trace
        self.server = server
        self.line = line
        self.stream = stream
        self.trca = ChannelBlock(f"{name}.trca", bus, trca_base, trca_size, 0, self, trca_buffer)
        self.evca = ChannelBlock(f"{name}.evca", bus, evca_base, evca_size, 1, self, evca_buffer)
        self.tw = self.trca.w
        self.ew = self.evca.w
        self.tw[CHIDX >> 2] = index
        # from the management block
        self.runs = 0
        self.weight = 1
        self.priority = 0
        self.reset_limit = 0
        # used by the arbiter
        self.queued = 0
        self.credits = 0
        self.before: Channel | None = None
        self.after: Channel | None = None
        # may TREs be begun; may a begun one go on
        self.may_begin = 0
        self.may_continue = 0
        # the rings
        self.tre_base = 0
        self.tre_len = 0
        self.tre_next = 0
        self.tre_end = 0
        self.event_base = 0
        self.event_len = 0
        self.event_next = 0
        self.event_read = 0
        self.doorbell = 0
        self.doorbell_waits = 0
        # values that read-only registers show and the model itself does not use
        self.doorbell_taken = 0
        self.event_doorbell_taken = 0
        self.wrong_pointer = 0
        self.wrong_at = -1
        self.doorbell_bad = 0
        # the TRE that was fetched last
        self.stage = IDLE
        self.flight = 0
        self.config = 0
        self.length = 0
        self.source = 0
        self.dest = 0
        self.moved = 0
        self.portion = 0
        self.portion_reads = 0
        self.portion_writes = 0
        self.started = 0
        self.copy_config = index << 8 | TRE_MEMCPY
        self.fill_config = index << 8 | TRE_MEMSET
        # interrupt
        self.status = 0
        self.level = 0
        self.swallowed = 0
        self.again = 0
        self.late = LateLine(self)
        # faults
        self.armed = 0
        self.rules: list[FaultRule] = []
        # counters and outcomes
        self.sequence = 0
        self.first_since_reset = 0
        self.forgotten = 0
        self.history: list[tuple[int, int, Outcome]] = []
        self.epochs: list[int] = []
        self.dropped = 0
        self.bytes_moved = 0
        self.read_bursts = 0
        self.write_bursts = 0
        self.evres = 0
        self.irqs = 0
        self.errors = 0
        self.stalls = 0
        self.doorbells_dropped = 0

    # --- what software asks -----------------------------------------------------------------------------------

    def latch(self) -> None:
        """Take over the ring registers, and check a doorbell that was remembered until now."""
        high = self.tw[RING_HIGH >> 2]
        low = self.tw[RING_LOW >> 2] & -TRE_SIZE
        if high == ALL_ONES:
            low = 0  # there is no memory; base + offset must not wrap around the end of the address space
        self.tre_base = (high << 32) | low
        self.tre_len = self.tw[RING_LEN >> 2] & -TRE_SIZE
        high = self.ew[RING_HIGH >> 2]
        low = self.ew[RING_LOW >> 2] & -EVRE_SIZE
        if high == ALL_ONES:
            low = 0
        self.event_base = (high << 32) | low
        self.event_len = self.ew[RING_LEN >> 2] & -EVRE_SIZE
        self.doorbell_bad = 0
        if self.doorbell_waits:
            if self.doorbell & (TRE_SIZE - 1) == 0 and self.doorbell <= self.tre_len:
                self.doorbell_waits = 0
                self.tre_end = self.doorbell
                self.doorbell_taken = self.doorbell
                self.tw[WRITE_PTR >> 2] = self.doorbell
            else:
                self.doorbell_bad = 1
        if self.tre_next != self.tre_end and (self.tre_next >= self.tre_len or self.tre_end > self.tre_len):
            self.doorbell_bad = 1

    def ring_doorbell(self, value: int) -> int:
        """Software has put TREs into the ring, up to byte offset ``value``; 1 accepted, 0 dropped, 2 remembered."""
        taken = 1
        if self.trca.state == IN_RESET or self.trca.dead:
            self.doorbells_dropped += 1
            taken = 0
        else:
            self.doorbell = value
            self.doorbell_waits = 1
            self.latch()
            if self.doorbell_waits:
                taken = 2
        if self.trace.on:
            self.trca.trace_doorbell(value, taken)
        if self.may_begin:
            self.look_for_work()
        elif taken:
            self.update()
        return taken

    def event_doorbell(self, value: int) -> int:
        """Software has consumed events up to byte offset ``value``; 1 accepted, 0 dropped."""
        taken = 0
        if self.evca.state != IN_RESET and not self.evca.dead:
            length = self.ew[RING_LEN >> 2] & -EVRE_SIZE
            if value & (EVRE_SIZE - 1) == 0 and value <= length:
                taken = 1
                self.event_read = 0 if value == length else value
                self.event_doorbell_taken = value
                self.ew[READ_PTR >> 2] = value
        if not taken:
            self.doorbells_dropped += 1
        if self.trace.on:
            self.evca.trace_doorbell(value, taken)
        if self.stage == EVENT:
            self.update()
        return taken

    def clear(self, causes: int) -> None:
        """Software clears ``causes`` in IRQ_STAT."""
        self.status &= ~causes
        self.ew[IRQ_STAT >> 2] = self.status
        self.drive()

    def stop(self) -> None:
        """The manager takes the channel away: what is enabled becomes STOPPED when the TRE being moved is done."""
        for block in (self.trca, self.evca):
            if block.state == ENABLED or block.state == RUNNING:
                block.pending = STOPPED
                block.stuck = 0
        self.update()

    def restore(self) -> None:
        """Restore the read-only registers of a watched page from the channel's own copies."""
        self.trca.publish()
        self.tw[READ_PTR >> 2] = self.tre_next
        self.tw[WRITE_PTR >> 2] = self.doorbell_taken
        self.tw[CHIDX >> 2] = self.index
        self.evca.publish()
        self.ew[READ_PTR >> 2] = self.event_doorbell_taken
        self.ew[WRITE_PTR >> 2] = self.wrong_pointer if self.wrong_at == self.evres else self.event_next
        self.ew[IRQ_STAT >> 2] = self.status
        self.ew[IRQ_CLR >> 2] = 0

    # --- what follows from it ---------------------------------------------------------------------------------

    def update(self) -> None:
        """A state, a ring or a pointer has changed: see what the channel may do, and whether there is work."""
        able = 0
        if (
            (self.trca.state == ENABLED or self.trca.state == RUNNING)
            and (self.evca.state == ENABLED or self.evca.state == RUNNING)
            and not self.trca.dead
            and not self.evca.dead
        ):
            able = 1
        self.may_continue = able
        may_begin = able and self.trca.pending == NO_STATE and self.evca.pending == NO_STATE and self.runs
        if may_begin and not self.may_begin:
            self.latch()
        self.may_begin = may_begin
        self.look_for_work()

    def look_for_work(self) -> None:
        """There may be other work than before; whether the channel may do it has not changed."""
        if self.stage == IDLE:
            wants = self.may_begin and (self.doorbell_bad or self.tre_next != self.tre_end)
        elif self.stage == DATA:
            wants = self.may_continue
        else:
            wants = self.may_continue and not self.full()
        if wants:
            if not self.queued:
                self.change_state(ENABLED, RUNNING)
                self.server.ready(self)
        else:
            if self.queued:
                self.server.leave(self)
            if self.stage == IDLE:
                self.become_idle()

    def full(self) -> int:
        """Whether the event ring is full: the slot before the one that software reads next stays free."""
        if self.event_len < 2 * EVRE_SIZE or self.event_next >= self.event_len:
            return 0  # unusable rather than full: writing the event will fail
        following = self.event_next + EVRE_SIZE
        if following >= self.event_len:
            following = 0
        return 1 if following == self.event_read else 0

    def change_state(self, before: int, after: int) -> None:
        """Where the state is ``before`` it becomes ``after``: RUNNING while TREs are being worked on, ENABLED otherwise."""
        if self.trca.state == before:
            self.trca.enter(after)
            self.trca.publish()
        if self.evca.state == before:
            self.evca.enter(after)
            self.evca.publish()

    def become_idle(self) -> None:
        """No TRE is being moved: the states settle."""
        self.change_state(RUNNING, ENABLED)
        self.trca.settle()
        self.evca.settle()

    def save_progress(
        self,
        stage: int,
        config: int,
        length: int,
        source: int,
        dest: int,
        moved: int,
        portion: int,
        reads: int,
        writes: int,
    ) -> None:
        """Note how far the TRE that was fetched last has come."""
        self.stage = stage
        self.config = config
        self.length = length
        self.source = source
        self.dest = dest
        self.moved = moved
        self.portion = portion
        self.portion_reads = reads
        self.portion_writes = writes

    def fail(self, sequence: int, cause: int, text: str) -> None:
        """A fault: the pair goes to ERROR until both blocks are reset; TRE ``sequence`` (-1: none) gets no event."""
        self.errors += 1
        self.stage = IDLE
        self.flight = 0
        self.may_begin = 0
        self.may_continue = 0
        self.doorbell_bad = 0
        self.doorbell_waits = 0
        if sequence >= 0:
            self.remember(sequence, 1, Outcome("failed", text))
        if self.trace.on:
            self.trace.emit(("error", self.name, sequence, cause, text))
        for block in (self.trca, self.evca):
            block.dead = 1
            block.pending = NO_STATE
            block.stuck = 0
            block.set_state(ERROR)
        self.cause(cause)

    def drop_transfers(self) -> None:
        """RESET of TRCA: the TRE being moved and those that wait are forgotten."""
        if self.queued:
            self.server.leave(self)
        if self.stage == DATA:
            text = f"RESET of TRCA after {self.moved} of {self.length} bytes"
            self.remember(self.sequence - 1, 1, Outcome("dropped", text))
        elif self.stage == EVENT:
            self.remember(
                self.sequence - 1, 1, Outcome("dropped", "data moved, RESET of TRCA before its event was written")
            )
        waiting = self.waiting
        if waiting:
            self.remember(self.sequence, waiting, Outcome("dropped", "RESET of TRCA before it was fetched"))
            self.sequence += waiting
            self.dropped += waiting
        self.first_since_reset = self.sequence
        self.epochs.append(self.sequence)
        self.stage = IDLE
        self.flight = 0
        self.doorbell_bad = 0
        self.doorbell_waits = 0
        self.tre_next = 0
        self.tre_end = 0

    def drop_event(self) -> None:
        """RESET of EVCA: an event not written yet is dropped; a TRE in the middle of its data waits for ENABLE."""
        if self.stage == EVENT:
            if self.queued:
                self.server.leave(self)
            self.remember(
                self.sequence - 1, 1, Outcome("dropped", "data moved, RESET of EVCA before its event was written")
            )
            self.stage = IDLE
            self.flight = 0

    # --- interrupt --------------------------------------------------------------------------------------------

    def cause(self, causes: int) -> None:
        """Raise ``causes`` in IRQ_STAT."""
        self.status |= causes
        self.ew[IRQ_STAT >> 2] = self.status
        if self.trace.on:
            self.trace_causes(causes)
        if self.swallowed:
            self.swallowed = 0
            self.level = 0
        self.drive()

    def trace_causes(self, causes: int) -> None:
        """Trace that ``causes`` were raised."""
        self.trace.emit(("irq", self.name, causes, self.status))

    def drive(self) -> int:
        """The line follows IRQ_STAT, IRQ_EN and INTCTRL."""
        level = 0
        if self.status & self.ew[IRQ_EN >> 2] and (self.ew[INTCTRL >> 2] & 15) == DELIVER_LINE:
            level = 1
        if level == self.level:
            return 0
        self.level = level
        if level:
            if self.armed and self.line_fault():
                return 0
            self.irqs += 1
        else:
            if self.late.armed:
                self.clock.cancel(self.late)
            self.swallowed = 0
        if level != self.line.level:
            if self.trace.on:
                self.trace_line()
            self.line.set(level)
            if not level and self.again:
                self.again = 0
                self.spurious()
        return 0

    def line_fault(self) -> int:
        """The interrupt goes up: 1 if an injected fault keeps the line from following now."""
        if self.fault_at(IRQ_LOST) is not None:
            self.swallowed = 1
            return 1
        if self.fault_at(IRQ_DUP) is not None:
            self.again = 1
        rule = self.fault_at(IRQ_LATE)
        if rule is not None:
            self.irqs += 1
            self.clock.schedule(self.late, self.clock.now + rule.value)
            return 1
        return 0

    def trace_line(self) -> None:
        """Trace that the line follows."""
        self.trace.emit(("line", self.line.name, self.level))

    def spurious(self) -> None:
        """An interrupt with nothing behind it: a pulse on the line."""
        if self.trace.on:
            self.trace.emit(("pulse", self.line.name))
        self.line.pulse()

    # --- injected faults --------------------------------------------------------------------------------------

    def add_rule(self, rule: FaultRule) -> int:
        """Apply ``rule`` to this channel from now on."""
        if rule not in self.rules:
            self.rules.append(rule)
        self.armed = 1
        return 0

    def remove_rule(self, rule: FaultRule) -> int:
        """Apply ``rule`` no more."""
        if rule in self.rules:
            self.rules.remove(rule)
        self.armed = 1 if self.rules else 0
        return 0

    def fault_at(self, place: int) -> FaultRule | None:
        """Count one occurrence at ``place``; the rule that makes it fail, if there is one. Call it only if ``armed``."""
        found = None
        for rule in list(self.rules):
            if rule.place == place:
                if rule.matches() and found is None:
                    found = rule
                    if self.trace.on:
                        self.trace.emit(("inject", self.name, rule.text))
                if rule.seen >= rule.last:
                    self.remove_rule(rule)
        return found

    # --- counters and outcomes --------------------------------------------------------------------------------

    @property
    def tre_fetched(self) -> int:
        """How many TREs were fetched since power-on."""
        return self.sequence - self.dropped

    @property
    def tre_done(self) -> int:
        """How many TREs were worked off since power-on: their events were written."""
        return self.evres

    @property
    def waiting(self) -> int:
        """How many accepted TREs are not fetched yet."""
        if self.tre_next >= self.tre_len or self.tre_end > self.tre_len:
            return 0  # the ring was made shorter than its pointers need
        if self.tre_end >= self.tre_next:
            return (self.tre_end - self.tre_next) // TRE_SIZE
        return (self.tre_len - self.tre_next + self.tre_end) // TRE_SIZE

    @property
    def accepted(self) -> int:
        """How many TREs doorbells have announced since power-on: the number that the next one will have."""
        return self.sequence + self.waiting

    def sequence_at(self, offset: int) -> int:
        """The number of the TRE last accepted at byte ``offset`` of the ring; -1 if none was since the last RESET."""
        length = self.tre_len
        if offset % TRE_SIZE or not 0 <= offset < length:
            return -1
        ahead = (offset - self.tre_next) % length // TRE_SIZE
        number = self.sequence + ahead
        if ahead >= self.waiting:
            number -= length // TRE_SIZE
        return number if number >= self.first_since_reset else -1

    def remember(self, sequence: int, count: int, outcome: Outcome) -> None:
        """``count`` TREs from ``sequence`` on did not end as TREs do."""
        history = self.history
        if history:
            last, length, _ = history[len(history) - 1]
            known = last + length
            if sequence < known:  # the first outcome of a TRE stays
                count -= known - sequence
                sequence = known
        if count > 0:
            history.append((sequence, count, outcome))
            if len(history) > HISTORY_KEPT:
                del history[: HISTORY_KEPT // 2]
                self.forgotten = history[0][0]

    def outcome(self, sequence: int) -> Outcome:
        """The outcome of TRE ``sequence``."""
        history = self.history
        place = bisect_right(history, sequence, key=lambda entry: entry[0]) - 1
        if place >= 0 and sequence < history[place][0] + history[place][1]:
            return history[place][2]
        if sequence < self.forgotten or sequence >= self.accepted:
            return Outcome("unknown")
        if sequence >= self.sequence:
            return Outcome("waiting")
        if sequence == self.sequence - 1 and self.stage != IDLE:
            return Outcome("moving")
        return Outcome("completed", "", 1, 0)
