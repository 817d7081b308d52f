# SPDX-License-Identifier: GPL-2.0-only
"""The arbiter of a core: which channel has the bus next.

Channels with work stand in two queues: all of priority 1 goes before any of priority 0, and inside one priority the
round is weighted: a channel's turn is ``weight`` grants, a grant is as many bursts back to back as MAX_XACTIONS says.
Channels without work are in no queue and cost nothing.

The arbiter is one event of the clock. It goes on inside that event as long as nothing else could happen before the next
step lands, and makes an appointment otherwise.
"""

from __future__ import annotations

import cython

from hidma.hw.bus import Bus
from hidma.hw.channel import Channel, Server
from hidma.hw.engine import Engine

if not cython.compiled:
    from hidma.hw.clock import earliest
    from hidma.hw.engine import OVER

    # An endless ring of work that costs no time must not hold up the clock for ever: after so many grants at one moment
    # the rest follows one register access later.
    GRANTS_AT_ONCE = 256
    ALONE = 64
    PAUSE_NS = 100


class Queue:
    """Channels in the order of their turns, linked through themselves."""

    def __init__(self) -> None:
        self.first: Channel | None = None
        self.last: Channel | None = None

    def append(self, channel: Channel) -> int:
        """``channel`` is the last of the round."""
        if self.last is None:
            self.first = channel
        else:
            channel.before = self.last
            self.last.after = channel
        self.last = channel
        return 0

    def remove(self, channel: Channel) -> int:
        """``channel`` is out of the round."""
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

    def ready(self, channel: Channel) -> int:
        channel.queued = 1
        channel.credits = 0
        if channel.priority:
            self.high.append(channel)
        else:
            self.low.append(channel)
        if self.busy is None and not (self.armed and self.time <= self.clock.now):
            self.clock.schedule(self, self.clock.now)
        return 0

    def leave(self, channel: Channel) -> int:
        self.unlink(channel)
        if self.busy is channel:
            self.busy = None
            channel.flight = 0
            if self.high.first is not None or self.low.first is not None:
                self.clock.schedule(self, self.clock.now)
            else:
                self.clock.cancel(self)
        return 0

    def unlink(self, channel: Channel) -> int:
        """Out of its queue."""
        if channel.priority:
            self.high.remove(channel)
        else:
            self.low.remove(channel)
        channel.queued = 0
        channel.credits = 0
        return 0

    def set_share(self, channel: Channel, priority: int, weight: int) -> int:
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
        return 0

    def fire(self) -> int:
        return self.serve()

    def serve(self) -> int:
        """Give turns until nobody has work, or until the next step lands."""
        clock = self.clock
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
                    clock.schedule(self, clock.now + PAUSE_NS)
                    return 0
                if channel.credits <= 0:
                    channel.credits = channel.weight
                # nobody else has a turn and no time passes: many grants in one piece make no difference
                grants = ALONE if channel.after is None and not engine.timed else 1
                engine.grant(grants)
                turns += grants
                self.busy = channel
            cost = engine.run(channel)
            if cost > 0:
                time = clock.now + cost
                if not self.undisturbed(time):
                    clock.schedule(self, time)
                    return 0
                clock.now = time
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
                if channel.open:
                    channel.look_for_work()
                else:
                    channel.update()

    def undisturbed(self, time: int) -> int:
        """Whether nothing but this arbiter can do anything up to ``time``: no other event, and no CPU is behind it."""
        clock = self.clock
        if clock.current is None or time >= clock.next_event():
            return 0
        return 1 if time <= earliest(clock._timelines, None) else 0
