# SPDX-License-Identifier: GPL-2.0-only
"""Virtual time: one clock per machine, an event queue, and the timelines (CPUs) that spend the time.

Every timeline has a time of its own. The one furthest behind runs; it hands over when it has become the one ahead,
which it notices at a tick (a register access, a delay) or when it goes idle. Hardware events run when the time of
the running timeline reaches them. With one timeline at work nothing switches: a tick is an addition and a
comparison with the *horizon*, the next moment at which anything else could happen.

Nothing here looks at a wall clock. Equal times are resolved by rank, which the seed of the machine decides.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any

import cython

if not cython.compiled:
    FOREVER = 0x7FFFFFFFFFFFFFFF
    STALE_KEPT = 256

    def earliest(timelines: list[Timeline], me: Timeline | None) -> int:
        """The smallest time of a runnable timeline other than ``me``, in ns; FOREVER without one."""
        return min((line.time for line in timelines if line.runnable and line is not me), default=FOREVER)


class Event:
    """Something that the hardware will do at a moment. Subclasses override :meth:`fire`.

    ``armed`` is the sequence number of the pending appointment, 0 when there is none: an appointment that was
    cancelled or moved stays in the queue and is passed over when its turn comes.
    """

    def __init__(self) -> None:
        self.armed = 0
        self.time = 0

    def fire(self) -> int:
        """Do it; ``clock.now`` is the event's own time meanwhile."""
        return 0


class Timeline:
    """Somebody who spends time: a CPU. ``greenlet`` is where it goes on when it is resumed, ``gone`` is set when it was
    taken out of its clock.
    """

    def __init__(self, clock: Clock, rank: int) -> None:
        self.clock = clock
        self.rank = rank
        self.time = clock.now
        self.runnable = 0
        self.gone = 0
        self.greenlet: Any = None

    def resumed(self) -> int:
        """Called whenever this timeline becomes the running one."""
        return 0


class Clock:
    """The machine's clock; times are virtual nanoseconds since power-on.

    ``soon`` is an event that comes before all others; those are in the heap ``events``. Most appointments are made for the
    present moment and kept there: they never see the heap. Of its first entry the time, the event and the number of its
    appointment are ``later``, ``first`` and ``first_armed`` (FOREVER and None, when the heap is empty).
    """

    def __init__(self) -> None:
        self.now = 0
        self.horizon = FOREVER
        self.sequence = 0
        self.soon: Event | None = None
        self.later = FOREVER
        self.first: Event | None = None
        self.first_armed = 0
        self.events: list[tuple[int, int, Event]] = []
        self._timelines: list[Timeline] = []
        self.current: Timeline | None = None
        self.main: Timeline | None = None
        self.stalled = 0
        self.firing = 0
        self.stale = 0

    # --- events -----------------------------------------------------------------------------------------------

    def schedule(self, event: Event, time: int) -> int:
        """Let ``event`` fire at ``time`` ns (now, if that is past); an earlier appointment of it is dropped."""
        if time < self.now:
            time = self.now
        if event.armed:
            self.cancel(event)
        self.sequence += 1
        event.armed = self.sequence
        event.time = time
        if self.soon is None:
            if time < self.later:
                self.soon = event
            else:
                self.push(event)
        elif time < self.soon.time:
            self.push(self.soon)
            self.soon = event
        else:
            self.push(event)
        if time < self.horizon:
            self.horizon = time
        return 0

    def cancel(self, event: Event) -> int:
        """Drop the appointment of ``event``, if there is one."""
        if event.armed:
            event.armed = 0
            if event is self.soon:
                self.soon = None
            else:
                self.stale += 1
        return 0

    def push(self, event: Event) -> int:
        """``event`` goes to the heap."""
        heappush(self.events, (event.time, event.armed, event))
        if event.time <= self.later:
            self.note_first()
        if self.stale > STALE_KEPT and self.stale > len(self.events) >> 1:
            self.compact()
        return 0

    def pop(self) -> Event:
        """The first of the heap leaves it."""
        entry = heappop(self.events)
        self.note_first()
        return entry[2]

    def note_first(self) -> int:
        """Another entry is the first of the heap."""
        if self.events:
            self.later, self.first_armed, self.first = self.events[0]
        else:
            self.later = FOREVER
            self.first_armed = 0
            self.first = None
        return 0

    def compact(self) -> int:
        """Drop the appointments that were cancelled or moved: time-outs that never happen would fill the queue."""
        live = []
        for entry in self.events:
            event = entry[2]
            if event.armed == entry[1]:
                live.append(entry)
        heapify(live)
        self.events = live
        self.note_first()
        self.stale = 0
        return 0

    def next_event(self) -> int:
        """Time of the next event in ns, FOREVER without one."""
        if self.soon is not None:
            return self.soon.time
        while self.first is not None and self.first.armed != self.first_armed:
            self.pop()
            self.stale -= 1
        return self.later

    def fire_next(self) -> int:
        """Fire the next event, which :meth:`next_event` has told of; ``now`` is its time while it runs."""
        if self.soon is not None:
            event = self.soon
            self.soon = None
        else:
            event = self.pop()
        event.armed = 0
        self.now = event.time
        self.firing += 1
        try:
            event.fire()
        finally:
            self.firing -= 1
        return 0

    # --- timelines --------------------------------------------------------------------------------------------

    @property
    def timelines(self) -> tuple[Timeline, ...]:
        """The timelines that take part."""
        return tuple(self._timelines)

    def add(self, timeline: Timeline) -> int:
        """Let ``timeline`` take part."""
        timeline.gone = 0
        self._timelines.append(timeline)
        return 0

    def remove(self, timeline: Timeline) -> int:
        """Take ``timeline`` out: it runs no more, unless it is added again."""
        timeline.gone = 1
        timeline.runnable = 0
        if timeline in self._timelines:
            self._timelines.remove(timeline)
        return 0

    def kick(self, timeline: Timeline) -> int:
        """Make an idle ``timeline`` runnable; its time is now, if it was behind."""
        if not timeline.runnable and not timeline.gone:
            timeline.runnable = 1
            if timeline.time < self.now:
                timeline.time = self.now
            if timeline is not self.current and timeline.time + 1 < self.horizon:
                self.horizon = timeline.time + 1
        return 0

    def behind(self, me: Timeline | None) -> Timeline | None:
        """The runnable timeline, other than ``me``, that is furthest behind."""
        best = None
        for timeline in self._timelines:
            if timeline.runnable and timeline is not me:
                if best is None or timeline.time < best.time:
                    best = timeline
                elif timeline.time == best.time and timeline.rank < best.rank:
                    best = timeline
        return best

    def tick(self, ns: int) -> int:
        """The running timeline spends ``ns`` nanoseconds; whatever falls due happens."""
        self.now += ns
        if self.now >= self.horizon:
            self.sync()
        return 0

    def sync(self) -> int:
        """Bring the world up to the running timeline's time; hand over to those who are behind it."""
        if self.firing:
            return 0  # the hardware itself moved the clock: nothing may run inside an event
        me = self.current
        if me is None:
            return self.advance(self.now)
        me.time = self.now
        while True:
            event_time = self.next_event()
            other_time = earliest(self._timelines, me)
            if event_time <= me.time and event_time <= other_time:
                self.fire_next()
            elif other_time < me.time:
                other = self.behind(me)
                assert other is not None
                self.switch(other)
            else:
                break
        self.now = me.time
        self.horizon = event_time
        if other_time < FOREVER and other_time + 1 < event_time:
            self.horizon = other_time + 1
        return 0

    def idle(self, me: Timeline) -> int:
        """``me``, the running timeline, has nothing to do: let time pass until somebody kicks it.

        Returns 0, or -1 when nothing is left that could ever wake anybody (only the main timeline is told). It does not
        return while ``me`` is taken out.
        """
        me.time = self.now
        me.runnable = 0
        while not me.runnable:
            event_time = self.next_event()
            other = self.behind(me)
            if other is not None and other.time < event_time:
                self.switch(other)
            elif event_time < FOREVER:
                self.fire_next()
            elif self.main is not None and self.main is not me and not self.main.gone:
                self.stalled = 1
                self.kick(self.main)
            elif me.gone:
                raise RuntimeError("the last timeline was taken out of its clock while it ran")
            else:
                self.stalled = 1
                me.runnable = 1
        if self.now > me.time:
            me.time = self.now
        self.now = me.time
        self.horizon = 0
        self.sync()
        if self.stalled and (self.main is None or self.main is me):
            self.stalled = 0
            return -1
        return 0

    def switch(self, other: Timeline) -> int:
        """Run ``other`` instead of the current timeline; returns when this one is resumed, be it by an exception."""
        me = self.current
        self.current = other
        self.now = other.time
        self.horizon = 0
        other.resumed()
        try:
            other.greenlet.switch()
        finally:
            if me is not None:
                self.current = me
                if me.time < self.now:
                    me.time = self.now
                self.now = me.time
                me.resumed()
        return 0

    def advance(self, time: int) -> int:
        """Without a timeline (hardware alone): let everything up to ``time`` ns happen."""
        while self.next_event() <= time:
            self.fire_next()
        self.now = time
        self.horizon = self.next_event()
        return 0
