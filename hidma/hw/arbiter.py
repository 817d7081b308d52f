# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""The arbiter of a core: it decides which channel gets the bus next.

Channels with work stand in two queues, one for each priority: priority 1 goes before priority 0. Inside a queue the
arbiter does weighted round robin: the turn of a channel is ``weight`` grants, a grant is MAX_XACTIONS bursts back to
back. Channels without work are in no queue and cost nothing.

The arbiter is one event of the clock. While no other event can come before the next step lands, it continues inside that
event; otherwise it schedules itself for the time at which the step lands.
"""

from __future__ import annotations

import cython

from hidma.hw.bus import Bus
from hidma.hw.channel import Channel, Server
from hidma.hw.engine import Engine

if not cython.compiled:
    from hidma.hw.block import ACCESS_NS
    from hidma.hw.clock import earliest
    from hidma.hw.engine import OVER

    # Work that costs no time and never ends must not stop the clock: after so many grants at one time the arbiter pauses
    # for as long as a register access takes.
    GRANTS_AT_ONCE = 256
    GRANTS_ALONE = 64


class Queue:
    """Channels in the order of their turns, linked through themselves."""

    def __init__(self) -> None:
        self.first: Channel | None = None
        self.last: Channel | None = None

    def append(self, channel: Channel) -> None:
        """``channel`` becomes the last of the queue."""
        if self.last is None:
            self.first = channel
        else:
            channel.before = self.last
            self.last.after = channel
        self.last = channel

    def remove(self, channel: Channel) -> int:
        """``channel`` leaves the queue."""
        if self.first is self.last:
            self.first = None
            self.last = None
            return 0
        if channel.before is None:
            self.first = channel.after
        else:
            channel.before.after = channel.after
        if channel.after is None:
            self.last = channel.before
        else:
            channel.after.before = channel.before
        channel.before = None
        channel.after = None
        return 0


class Arbiter(Server):
    """The arbiter in front of ``engine``."""

    def __init__(self, bus: Bus, engine: Engine) -> None:
        Server.__init__(self)
        self.clock = bus.clock
        self.engine = engine
        self.low = Queue()
        self.high = Queue()
        self.busy: Channel | None = None

    def ready(self, channel: Channel) -> None:
        channel.queued = 1
        channel.credits = 0
        if channel.priority:
            self.high.append(channel)
        else:
            self.low.append(channel)
        if self.busy is None and not (self.armed and self.time <= self.clock.now):
            self.clock.schedule(self, self.clock.now)

    def leave(self, channel: Channel) -> None:
        self.unlink(channel)
        if self.busy is channel:
            self.busy = None
            channel.flight = 0
            if self.high.first is not None or self.low.first is not None:
                self.clock.schedule(self, self.clock.now)
            else:
                self.clock.cancel(self)

    def unlink(self, channel: Channel) -> None:
        """Remove ``channel`` from its queue."""
        if channel.priority:
            self.high.remove(channel)
        else:
            self.low.remove(channel)
        channel.queued = 0
        channel.credits = 0

    def set_share(self, channel: Channel, priority: int, weight: int) -> None:
        """Give ``channel`` this priority (0 or 1) and weight (0 counts as 1), from the next grant on."""
        if weight < 1:
            weight = 1
        if priority != channel.priority and channel.queued:
            queue = self.high if channel.priority else self.low
            queue.remove(channel)
            channel.priority = priority
            channel.credits = 0
            queue = self.high if priority else self.low
            queue.append(channel)
        channel.priority = priority
        channel.weight = weight
        if channel.credits > weight:
            channel.credits = weight

    def fire(self) -> int:
        return self.serve()

    def serve(self) -> int:
        """Grant the bus until no channel has work, or until a step has to be waited for."""
        engine = self.engine
        turns = 0
        while True:
            channel = self.busy
            if channel is None:
                if self.high.first is not None:
                    channel = self.high.first
                elif self.low.first is not None:
                    channel = self.low.first
                else:
                    return 0
                if turns >= GRANTS_AT_ONCE:
                    self.clock.schedule(self, self.clock.now + ACCESS_NS)
                    return 0
                if channel.credits <= 0:
                    channel.credits = channel.weight
                # no other channel waits and no time passes: the result of many grants at once is the same
                grants = GRANTS_ALONE if channel.after is None and not engine.timed else 1
                engine.grant(grants)
                turns += grants
                self.busy = channel
            cost = engine.run(channel)
            if cost > 0:
                time = self.clock.now + cost
                if not self.nothing_before(time):
                    self.clock.schedule(self, time)
                    return 0
                self.clock.now = time
                turns = 0
                continue
            self.busy = None
            if cost == OVER:
                channel.credits -= 1
                if channel.credits <= 0:
                    queue = self.high if channel.priority else self.low
                    if channel.after is not None:
                        queue.remove(channel)
                        queue.append(channel)
            else:
                self.unlink(channel)
                if channel.may_begin:
                    channel.look_for_work()
                else:
                    channel.update()

    def nothing_before(self, time: int) -> int:
        """Whether there is no other event up to ``time``, and no CPU that is behind it."""
        clock = self.clock
        if clock.current is None or time >= clock.next_event():
            return 0
        return 1 if time <= earliest(clock, None) else 0
