# SPDX-License-Identifier: GPL-2.0-only
"""Real-time mode: the CPU is outside (an emulator, a guest in another process) and shares the pages of registers and the RAM.
Nothing traps: the watcher looks at the pages, does what was asked there, and lets the clock of the model follow real time.

It sees what a page says when it looks: last values, commands, doorbells, causes to be cleared; what was written and overwritten
between two looks it cannot know, nor who read what. Whatever software cannot write it puts back from the model's own copies.
It looks without a pause while there is something to see, then ever less often, so that an idle guest costs next to nothing.
"""

from __future__ import annotations

import cython

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

    # How long after the last thing seen it looks without a pause, how long with a short one and with a longer one; then the pause
    # is IDLE_NS. Where a look is dear the pauses are longer: looking takes no more than one part in SHARE of the time.
    SPIN_NS = 40000
    NEAR_NS = 3000000
    FAR_NS = 50000000
    PAUSE_NS = 15000
    WAIT_NS = 100000
    IDLE_NS = 500000
    SHARE = 30
    # The longest piece of hardware time between two looks, when the model is behind real time.
    PIECE_NS = 200000
    # An event that came while a clearing of EOB was on its way is announced again when it still waits after this time.
    GRACE_NS = 500000
    ERRORS = CAUSE_EVENT_WRITE | CAUSE_TRE_READ | CAUSE_DATA_READ | CAUSE_DATA_WRITE | CAUSE_INVALID_TRE

# Registers of a channel that software writes and that nothing follows from at once: seen for the trace.
QUIET_TRCA = (RING_LOW, RING_HIGH, RING_LEN)
QUIET_EVCA = (RING_LOW, RING_HIGH, RING_LEN)


class WatchedChannel:
    """A channel whose pages are watched: what they said at the last look, and what was seen in all.

    ``commands`` counts those of TRCA and EVCA by command, ``doorbells`` and ``event_doorbells`` the changes of the doorbells,
    ``clears`` the writes of IRQ_CLR, ``reminders`` how often EOB was raised again, ``repaired`` the looks that found
    a read-only word overwritten, ``idle_resets`` the RESETs of a block that was DISABLED already.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.trca = channel.trca
        self.evca = channel.evca
        self.trca.watched = 1
        self.evca.watched = 1
        self.tw = words_of(self.trca.view)
        self.ew = words_of(self.evca.view)
        self.bell = 0
        self.event_bell = 0
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
        """Do what the pages ask for; how many things there were. ``now`` is real time, ns."""
        channel = self.channel
        trca = self.trca
        evca = self.evca
        tw = self.tw
        ew = self.ew
        seen = 0
        if channel.trace.on and trca.state != IN_RESET and evca.state != IN_RESET:
            self.quietly()
        if tw[CTRLSTS >> 2] != trca.state << STATE_SHIFT:
            seen += self.command(trca)
        if ew[CTRLSTS >> 2] != evca.state << STATE_SHIFT:
            seen += self.command(evca)
        if trca.resets != self.trca_resets and trca.state != IN_RESET:
            self.trca_resets = trca.resets
            self.bell = 0
        if evca.resets != self.evca_resets and evca.state != IN_RESET:
            self.evca_resets = evca.resets
            self.event_bell = 0
            self.enabled = 0
            self.delivery = 0
        if ew[IRQ_CLR >> 2]:
            seen += 1
            self.clear(exchange(ew, IRQ_CLR >> 2, 0), now)
        word = ew[DOORBELL >> 2]
        if word != self.event_bell:
            seen += 1
            self.event_bell = word
            self.event_doorbells += 1
            self.tell(evca, DOORBELL, word)
            channel.event_doorbell(word)
        word = ew[IRQ_EN >> 2]
        if word != self.enabled:
            seen += 1
            self.enabled = word
            self.tell(evca, IRQ_EN, word)
            channel.drive()
        word = ew[INTCTRL >> 2]
        if word != self.delivery:
            seen += 1
            self.delivery = word
            self.tell(evca, INTCTRL, word)
            channel.drive()
        word = tw[DOORBELL >> 2]
        if word != self.bell:
            seen += 1
            self.bell = word
            self.doorbells += 1
            self.tell(trca, DOORBELL, word)
            channel.ring_doorbell(word)
        if self.remind_at and now >= self.remind_at:
            self.remind_at = 0
            self.remind()
        pointer = channel.wrong_pointer if channel.wrong_at == channel.evres else channel.event_next
        if (
            tw[READ_PTR >> 2] != channel.tre_next
            or tw[WRITE_PTR >> 2] != channel.bell_taken
            or tw[CHIDX >> 2] != channel.index
            or ew[READ_PTR >> 2] != channel.event_bell
            or ew[WRITE_PTR >> 2] != pointer
            or ew[IRQ_STAT >> 2] != channel.status
        ):
            self.repaired += 1
            channel.restore()
        return seen

    def command(self, block: ChannelBlock) -> int:
        """CTRLSTS is not what it should be: a command, or software wrote back an old state with it."""
        w = self.ew if block.is_event else self.tw
        word = exchange(w, CTRLSTS >> 2, block.state << STATE_SHIFT)
        command = (word >> COMMAND_SHIFT) & COMMAND_MASK
        if not command:
            return 0
        key = ("evca" if block.is_event else "trca", command)
        self.commands[key] = self.commands.get(key, 0) + 1
        self.tell(block, CTRLSTS, word)
        if command == RESET and block.state == DISABLED and not block.dead and block.pending == NO_STATE:
            # The driver's first poll has passed by now and it is writing ring registers: there is nothing to reset anyway.
            self.idle_resets += 1
            if self.channel.armed and self.channel.struck(RESET_STUCK_TRCA + block.is_event) is not None:
                block.show(IN_RESET)
            elif block.trace.on:
                block.trace.emit(("command", block.name, command, 0))
            return 1
        block.take(command)
        return 1

    def clear(self, causes: int, now: int) -> int:
        """Software clears ``causes``: the line goes down before the page says so, or the interrupt would be taken again.

        Not so for an error: a handler that reports it for as long as it sees it must not see it for longer than it takes.
        """
        channel = self.channel
        self.clears += 1
        self.tell(self.evca, IRQ_CLR, causes)
        channel.status &= ~causes
        if causes & ERRORS:
            self.ew[IRQ_STAT >> 2] = channel.status
            fence()
        channel.drive()
        fence()
        self.ew[IRQ_STAT >> 2] = channel.status
        if causes & CAUSE_EOB:
            self.remind_at = now + GRACE_NS
        return 0

    def remind(self) -> int:
        """Raise EOB again if events wait: one may have come between the guest's write of IRQ_CLR and the look at it.

        Once for each last event: a driver that leaves events where they are is not told for ever.
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

    def quietly(self) -> int:
        """Tell the trace of ring registers that say something else than at the last look."""
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
                self.tell(block, offset, word)
        return 0

    def tell(self, block: ChannelBlock, offset: int, word: int) -> int:
        """The trace hears of a write that was seen."""
        if block.trace.on:
            block.trace.emit(("write", block.name, offset, word))
        return 0


class WatchedManagement:
    """A management block whose page is watched. ``writes`` counts changes of its registers."""

    def __init__(self, block: ManagementBlock, channels: int) -> None:
        self.block = block
        self.channels = channels
        self.w = words_of(block.view)
        self.shadow = bytearray(block.size)
        self.shadow[:] = block.view[: block.size]
        self.s = words_of(memoryview(self.shadow))
        self.writes = 0

    def look(self) -> int:
        """Do what the page asks for; how many registers have changed."""
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
        """The register at ``offset`` says something new."""
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

    :param core: a core of which every block lies in memory that is shared; nothing else makes its clock move

    ``looks`` counts the looks, ``slept_ns`` the time slept, ``active_at`` is the real time of the last thing that was seen.
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
        """Look at every page once, then let the hardware do what has fallen due; how many things were seen.

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
        """Let the hardware go on to ``time``, or a piece of the way; 1 if it did anything, or is behind."""
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
        """Watch for ``ns`` nanoseconds of real time; how many things were seen."""
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

    def sleep(self, now: int, end: int, pause: int) -> int:
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
        return 0
