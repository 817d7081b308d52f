# SPDX-License-Identifier: GPL-2.0-only
"""A channel: its blocks of registers (TRCA and EVCA), commands and states, interrupt, and what became of its TREs.

Registers only say what software wants and see what comes of it: data is moved by the engine (`engine.py`) when the
arbiter (`arbiter.py`) gives the channel its turn, in an event of the clock, never inside a register access. A channel
tells its :class:`Server` when it has something to do and when it has not.

Whoever watches register pages in shared memory instead of serving accesses calls the same methods that the register
writes call: :meth:`ChannelBlock.take`, :meth:`Channel.ring_doorbell`, :meth:`Channel.event_doorbell`,
:meth:`Channel.clear`, :meth:`Channel.drive`, and :meth:`Channel.restore` for the words that software cannot write;
``watched`` of a block makes a command vanish from CTRLSTS once it was taken.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from typing import NamedTuple

import cython

from hidma.hw.block import RegisterBlock
from hidma.hw.bus import Bus
from hidma.hw.clock import Event
from hidma.hw.faults import FaultRule
from hidma.hw.line import Line
from hidma.hw.registers import EVCA, TRCA
from hidma.hw.smmu import Stream

if not cython.compiled:
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
    """What the hardware did with one TRE.

    ``end`` is one of

    - ``"completed"``: its data was moved and its event written (with ``code`` and ``info``, which an injected fault may
      have changed: then ``cause`` says so)
    - ``"waiting"``: accepted by a doorbell, not fetched yet
    - ``"moving"``: fetched, its event not yet written
    - ``"failed"``: a fault; the channel went to ERROR, there is no event; ``cause`` says why
    - ``"dropped"``: a RESET took it before its event was written; ``cause`` says how far it had come
    - ``"unknown"``: no doorbell accepted a TRE of this number yet, or it is too long ago that it did not end well
    """

    end: str
    cause: str = ""
    code: int = 0
    info: int = 0


class Server(Event):
    """Whoever gives channels their turns."""

    def ready(self, channel: Channel) -> int:
        """``channel`` has something to do."""
        return 0

    def leave(self, channel: Channel) -> int:
        """``channel`` has nothing to do any more; what the bus does for it right now is called off."""
        return 0


class ResetDone(Event):
    """The end of a reset."""

    def __init__(self, block: ChannelBlock) -> None:
        Event.__init__(self)
        self.block = block

    def fire(self) -> int:
        return self.block.reset_done()


class LateLine(Event):
    """An interrupt that an injected fault has delayed."""

    def __init__(self, channel: Channel) -> None:
        Event.__init__(self)
        self.channel = channel

    def fire(self) -> int:
        return self.channel.line.set(self.channel.level)


class ChannelBlock(RegisterBlock):
    """What TRCA and EVCA have in common: commands and states.

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

    def wrote(self, code: int, offset: int, value: int) -> int:
        if code == HOOK_DOORBELL:
            if self.is_event:
                return self.channel.event_doorbell(value)
            return self.channel.ring_doorbell(value)
        if code == HOOK_CLEAR:
            return self.channel.clear(value)
        if code == HOOK_COMMAND:
            return self.take((value >> COMMAND_SHIFT) & COMMAND_MASK)
        return self.channel.drive()

    def show(self, state: int) -> int:
        """The state field becomes ``state``."""
        if state != self.state:
            if self.trace.on:
                self.tell_state(state)
            self.state = state
        return self.publish()

    def tell_state(self, state: int) -> int:
        """Trace that the state field becomes ``state``."""
        self.trace.emit(("state", self.name, self.state, state))
        return 0

    def tell_doorbell(self, value: int, taken: int) -> int:
        """Trace a doorbell and whether it was taken."""
        self.trace.emit(("doorbell", self.name, value, taken))
        return 0

    def publish(self) -> int:
        """Put CTRLSTS where software reads it."""
        word = self.state << STATE_SHIFT
        if not self.watched:
            word |= self.command << COMMAND_SHIFT
        self.w[CTRLSTS >> 2] = word
        return 0

    def take(self, command: int) -> int:
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
            elif not (channel.armed and channel.struck(ENABLE_STUCK_TRCA + self.is_event) is not None):
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
                self.stuck = 1 if channel.armed and channel.struck(place + self.is_event) is not None else 0
        else:
            taken = 0
        if not taken:
            self.commands_ignored += 1
        if self.trace.on:
            self.trace.emit(("command", self.name, command, taken))
        self.show(state)
        channel.update()
        return taken

    def reset(self) -> int:
        """From now on nothing leaves the block; it is DISABLED and clean when the time of a reset is over."""
        channel = self.channel
        self.resets += 1
        self.pending = NO_STATE
        self.stuck = 0
        self.show(IN_RESET)
        if self.is_event:
            channel.drop_event()
        else:
            channel.drop_transfers()
        limit = channel.reset_limit
        if (channel.armed and channel.struck(RESET_STUCK_TRCA + self.is_event) is not None) or 0 < limit < RESET_CYCLES:
            self.clock.cancel(self.done)
        else:
            self.clock.schedule(self.done, self.clock.now + RESET_CYCLES * CYCLE_NS)
        return 0

    def reset_done(self) -> int:
        """The reset is over."""
        channel = self.channel
        self.clear_registers()
        self.dead = 0
        self.show(DISABLED)
        if self.is_event:
            channel.event_next = 0
            channel.event_read = 0
            channel.event_bell = 0
            channel.wrong_at = -1
            channel.status = 0
            channel.drive()
            channel.cause(CAUSE_RESET_DONE)
        else:
            channel.tre_next = 0
            channel.tre_end = 0
            channel.bell_taken = 0
        channel.update()
        return 0

    def settle(self) -> int:
        """No TRE is being moved: the state that was asked for is reached."""
        if self.pending != NO_STATE and not self.stuck:
            state = self.pending
            self.pending = NO_STATE
            self.show(state)
        return 0


class Channel:
    """One channel pair.

    :param name: what a person calls it
    :param index: which channel of the core, 0..63; CHIDX
    :param bus: RAM, clock, trace
    :param server: who gives it its turns
    :param line: its interrupt line
    :param stream: what its bus addresses mean
    :param trca_base: physical address of the transfer channel's registers, u64
    :param evca_base: the same of the event channel's

    What a client may want to know (all since power-on): ``tre_fetched``; ``tre_done``, TREs whose event was written;
    ``bytes_moved``; ``read_bursts`` and ``write_bursts``; ``evres``; ``irqs``, rises of the line; ``errors``;
    ``doorbells_dropped``; ``stalls``, waits for room in the event ring; and of each block ``resets``,
    ``commands_ignored``, ``reads``, ``writes``.

    TREs are numbered in the order in which doorbells accept them, from 0, for ever: ``accepted`` is the number of the
    next one. Note it before a doorbell, and the TREs of that doorbell are those from there to ``accepted`` after it
    (none, when the doorbell was dropped); or take :meth:`sequence_at` for the slot of the ring. :meth:`outcome` tells
    what the hardware did with a number. ``epochs`` has, for each RESET of the TRCA, the number of the first TRE after
    it.
    """

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
        # the server's own notes
        self.queued = 0
        self.credits = 0
        self.before: Channel | None = None
        self.after: Channel | None = None
        # may TREs be begun; may a begun one go on
        self.open = 0
        self.able = 0
        # the rings
        self.tre_base = 0
        self.tre_len = 0
        self.tre_next = 0
        self.tre_end = 0
        self.event_base = 0
        self.event_len = 0
        self.event_next = 0
        self.event_read = 0
        self.bell = 0
        self.rung = 0
        # what read-only registers say and nothing else does
        self.bell_taken = 0
        self.event_bell = 0
        self.wrong_pointer = 0
        self.wrong_at = -1
        self.bad = 0
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
        # truth
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

    def latch(self) -> int:
        """Take over what the ring registers say, and judge a doorbell that waits for it."""
        high = self.tw[RING_HIGH >> 2]
        low = self.tw[RING_LOW >> 2] & -TRE_SIZE
        if high == ALL_ONES:
            low = 0  # nothing is there; an offset must not lead around the end of the address space
        self.tre_base = (high << 32) | low
        self.tre_len = self.tw[RING_LEN >> 2] & -TRE_SIZE
        high = self.ew[RING_HIGH >> 2]
        low = self.ew[RING_LOW >> 2] & -EVRE_SIZE
        if high == ALL_ONES:
            low = 0
        self.event_base = (high << 32) | low
        self.event_len = self.ew[RING_LEN >> 2] & -EVRE_SIZE
        self.bad = 0
        if self.rung:
            if self.bell & (TRE_SIZE - 1) == 0 and self.bell <= self.tre_len:
                self.rung = 0
                self.tre_end = self.bell
                self.bell_taken = self.bell
                self.tw[WRITE_PTR >> 2] = self.bell
            else:
                self.bad = 1
        if self.tre_next != self.tre_end and (self.tre_next >= self.tre_len or self.tre_end > self.tre_len):
            self.bad = 1
        return 0

    def ring_doorbell(self, value: int) -> int:
        """Software has put TREs into the ring, up to byte offset ``value``; 1 accepted, 0 dropped, 2 remembered."""
        taken = 1
        if self.trca.state == IN_RESET or self.trca.dead:
            self.doorbells_dropped += 1
            taken = 0
        else:
            self.bell = value
            self.rung = 1
            self.latch()
            if self.rung:
                taken = 2
        if self.trace.on:
            self.trca.tell_doorbell(value, taken)
        if self.open:
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
                self.event_bell = value
                self.ew[READ_PTR >> 2] = value
        if not taken:
            self.doorbells_dropped += 1
        if self.trace.on:
            self.evca.tell_doorbell(value, taken)
        if self.stage == EVENT:
            self.update()
        return taken

    def clear(self, causes: int) -> int:
        """Software clears ``causes`` in IRQ_STAT."""
        self.status &= ~causes
        self.ew[IRQ_STAT >> 2] = self.status
        return self.drive()

    def stop(self) -> int:
        """The manager takes the channel away: what is enabled becomes STOPPED when the TRE being moved is done."""
        for block in (self.trca, self.evca):
            if block.state == ENABLED or block.state == RUNNING:
                block.pending = STOPPED
                block.stuck = 0
        return self.update()

    def restore(self) -> int:
        """Put back what the read-only registers say, from the channel's own copies (for a watched page)."""
        self.trca.publish()
        self.tw[READ_PTR >> 2] = self.tre_next
        self.tw[WRITE_PTR >> 2] = self.bell_taken
        self.tw[CHIDX >> 2] = self.index
        self.evca.publish()
        self.ew[READ_PTR >> 2] = self.event_bell
        self.ew[WRITE_PTR >> 2] = self.wrong_pointer if self.wrong_at == self.evres else self.event_next
        self.ew[IRQ_STAT >> 2] = self.status
        self.ew[IRQ_CLR >> 2] = 0
        return 0

    # --- what follows from it ---------------------------------------------------------------------------------

    def update(self) -> int:
        """Something has changed that may decide whether there is work to do, and whether a command can be completed."""
        able = 0
        if (
            (self.trca.state == ENABLED or self.trca.state == RUNNING)
            and (self.evca.state == ENABLED or self.evca.state == RUNNING)
            and not self.trca.dead
            and not self.evca.dead
        ):
            able = 1
        self.able = able
        may_begin = able and self.trca.pending == NO_STATE and self.evca.pending == NO_STATE and self.runs
        if may_begin and not self.open:
            self.latch()
        self.open = may_begin
        return self.look_for_work()

    def look_for_work(self) -> int:
        """What there is to do has changed; what the channel may do has not."""
        if self.stage == IDLE:
            wants = self.open and (self.bad or self.tre_next != self.tre_end)
        elif self.stage == DATA:
            wants = self.able
        else:
            wants = self.able and not self.full()
        if wants:
            if not self.queued:
                self.work(1)
                self.server.ready(self)
        else:
            if self.queued:
                self.server.leave(self)
            if self.stage == IDLE:
                self.rest()
        return 0

    def full(self) -> int:
        """Whether the event ring has no room: the slot before the one that software reads next stays free."""
        if self.event_len < 2 * EVRE_SIZE or self.event_next >= self.event_len:
            return 0  # not full but unusable: writing the event will fail
        following = self.event_next + EVRE_SIZE
        if following >= self.event_len:
            following = 0
        return 1 if following == self.event_read else 0

    def work(self, running: int) -> int:
        """The state field says RUNNING while TREs are being worked on, ENABLED otherwise."""
        before = ENABLED if running else RUNNING
        after = RUNNING if running else ENABLED
        if self.trca.state == before:
            self.trca.show(after)
        if self.evca.state == before:
            self.evca.show(after)
        return 0

    def rest(self) -> int:
        """No TRE is being moved."""
        self.work(0)
        self.trca.settle()
        self.evca.settle()
        return 0

    def keep(
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
    ) -> int:
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
        return 0

    def fail(self, sequence: int, cause: int, text: str) -> int:
        """A fault: the pair goes to ERROR until both blocks are reset; TRE ``sequence`` (-1: none) gets no event."""
        self.errors += 1
        self.stage = IDLE
        self.flight = 0
        self.open = 0
        self.able = 0
        self.bad = 0
        self.rung = 0
        if sequence >= 0:
            self.remember(sequence, 1, Outcome("failed", text))
        if self.trace.on:
            self.trace.emit(("error", self.name, sequence, cause, text))
        for block in (self.trca, self.evca):
            block.dead = 1
            block.pending = NO_STATE
            block.stuck = 0
            block.show(ERROR)
        return self.cause(cause)

    def drop_transfers(self) -> int:
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
        self.bad = 0
        self.rung = 0
        self.tre_next = 0
        self.tre_end = 0
        return 0

    def drop_event(self) -> int:
        """RESET of EVCA: an event not written yet is dropped; a TRE in the middle of its data waits for ENABLE."""
        if self.stage == EVENT:
            if self.queued:
                self.server.leave(self)
            self.remember(
                self.sequence - 1, 1, Outcome("dropped", "data moved, RESET of EVCA before its event was written")
            )
            self.stage = IDLE
            self.flight = 0
        return 0

    # --- interrupt --------------------------------------------------------------------------------------------

    def cause(self, causes: int) -> int:
        """Raise ``causes`` in IRQ_STAT."""
        self.status |= causes
        self.ew[IRQ_STAT >> 2] = self.status
        if self.trace.on:
            self.tell_causes(causes)
        if self.swallowed:
            self.swallowed = 0
            self.level = 0
        return self.drive()

    def tell_causes(self, causes: int) -> int:
        """Trace that ``causes`` were raised."""
        self.trace.emit(("irq", self.name, causes, self.status))
        return 0

    def drive(self) -> int:
        """The line follows IRQ_STAT, IRQ_EN and INTCTRL."""
        level = 0
        if self.status & self.ew[IRQ_EN >> 2] and (self.ew[INTCTRL >> 2] & 15) == DELIVER_LINE:
            level = 1
        if level == self.level:
            return 0
        self.level = level
        if level:
            if self.armed and self.withheld():
                return 0
            self.irqs += 1
        else:
            if self.late.armed:
                self.clock.cancel(self.late)
            self.swallowed = 0
        if level != self.line.level:
            if self.trace.on:
                self.tell_line()
            self.line.set(level)
            if not level and self.again:
                self.again = 0
                self.spurious()
        return 0

    def withheld(self) -> int:
        """The interrupt goes up: 1 if an injected fault keeps the line from following now."""
        if self.struck(IRQ_LOST) is not None:
            self.swallowed = 1
            return 1
        if self.struck(IRQ_DUP) is not None:
            self.again = 1
        rule = self.struck(IRQ_LATE)
        if rule is not None:
            self.irqs += 1
            self.clock.schedule(self.late, self.clock.now + rule.value)
            return 1
        return 0

    def tell_line(self) -> int:
        """Trace that the line follows."""
        self.trace.emit(("line", self.line.name, self.level))
        return 0

    def spurious(self) -> int:
        """An interrupt with nothing behind it: a pulse on the line."""
        if self.trace.on:
            self.trace.emit(("pulse", self.line.name))
        return self.line.pulse()

    # --- injected faults --------------------------------------------------------------------------------------

    def inject(self, rule: FaultRule) -> int:
        """Let ``rule`` strike this channel from now on."""
        if rule not in self.rules:
            self.rules.append(rule)
        self.armed = 1
        return 0

    def heal(self, rule: FaultRule) -> int:
        """Forget ``rule``."""
        if rule in self.rules:
            self.rules.remove(rule)
        self.armed = 1 if self.rules else 0
        return 0

    def struck(self, place: int) -> FaultRule | None:
        """One more occurrence at ``place``: the rule that strikes it, if one does. Call it only if ``armed``."""
        found = None
        for rule in list(self.rules):
            if rule.place == place:
                if rule.strikes() and found is None:
                    found = rule
                    if self.trace.on:
                        self.trace.emit(("inject", self.name, rule.text))
                if rule.seen >= rule.last:
                    self.heal(rule)
        return found

    # --- truth ------------------------------------------------------------------------------------------------

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
            return 0  # the ring was made shorter than its pointers say
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

    def remember(self, sequence: int, count: int, outcome: Outcome) -> int:
        """``count`` TREs from ``sequence`` on did not end as TREs do."""
        history = self.history
        if history:
            last, length, _ = history[len(history) - 1]
            known = last + length
            if sequence < known:  # what happened to a TRE first is what happened to it
                count -= known - sequence
                sequence = known
        if count > 0:
            history.append((sequence, count, outcome))
            if len(history) > HISTORY_KEPT:
                del history[: HISTORY_KEPT // 2]
                self.forgotten = history[0][0]
        return 0

    def outcome(self, sequence: int) -> Outcome:
        """What the hardware did with TRE ``sequence``."""
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
