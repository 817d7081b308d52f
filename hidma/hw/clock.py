# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""Virtual time: one clock per machine, an event queue, and the timelines (CPUs) that spend the time.

Every timeline has its own time. The timeline with the smallest time runs; it hands over when another one is behind it,
which it checks at a tick (a register access, a delay) and when it becomes idle. Hardware events run when the time of
the running timeline reaches them. With one busy timeline nothing switches: a tick is an addition and a comparison with
the *horizon*, the earliest time at which anything else can happen.

The clock never reads real time. Timelines with equal times run in the order of their ranks, which come from the seed.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any

import cython

if not cython.compiled:
    FOREVER = 0x7FFFFFFFFFFFFFFF
    STALE_KEPT = 256

    def earliest(clock: Clock, me: Timeline | None) -> int:
        """The smallest time of a runnable timeline of ``clock`` other than ``me``, in ns; FOREVER without one."""
        return min((line.time for line in clock._timelines if line.runnable and line is not me), default=FOREVER)


class Event:
    """An action of the hardware at a time to come. Subclasses override :meth:`fire`.

    ``armed`` is the number of the pending entry in the queue, 0 when there is none. An entry whose event was cancelled
    or moved stays in the queue and is skipped when its time comes.
    """

    def __init__(self) -> None:
        self.armed = 0
        self.time = 0

    def fire(self) -> int:
        """Do it; ``clock.now`` is the time of the event."""
        return 0


class Timeline:
    """A CPU, which spends time. ``greenlet`` continues it when it is resumed; ``gone`` is set when it was removed from
    its clock.
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

    ``soon`` is the earliest event, the others are in the heap ``events``: most events are scheduled for the present time
    and never enter the heap. ``later``, ``first`` and ``first_armed`` are time, event and number of the first entry of
    the heap (FOREVER, None and 0 when it is empty).
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

    def schedule(self, event: Event, time: int) -> None:
        """Let ``event`` fire at ``time`` ns (now, if that is past) and not at the time it was scheduled for before."""
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

    def cancel(self, event: Event) -> None:
        """Let ``event`` not fire, if it is scheduled."""
        if event.armed:
            event.armed = 0
            if event is self.soon:
                self.soon = None
            else:
                self.stale += 1

    def push(self, event: Event) -> None:
        """Put ``event`` into the heap."""
        heappush(self.events, (event.time, event.armed, event))
        if event.time <= self.later:
            self.note_first()
        if self.stale > STALE_KEPT and self.stale > len(self.events) >> 1:
            self.compact()

    def pop(self) -> Event:
        """Take the first event out of the heap."""
        entry = heappop(self.events)
        self.note_first()
        return entry[2]

    def note_first(self) -> None:
        """Note the first entry of the heap, which has changed."""
        if self.events:
            self.later, self.first_armed, self.first = self.events[0]
        else:
            self.later = FOREVER
            self.first_armed = 0
            self.first = None

    def compact(self) -> None:
        """Drop the entries of events that were cancelled or moved: time-outs that never expire would fill the queue."""
        live = []
        for entry in self.events:
            event = entry[2]
            if event.armed == entry[1]:
                live.append(entry)
        heapify(live)
        self.events = live
        self.note_first()
        self.stale = 0

    def next_event(self) -> int:
        """Time of the next event in ns, FOREVER without one."""
        return self.upcoming()

    def upcoming(self) -> int:
        """:meth:`next_event`."""
        if self.soon is not None:
            return self.soon.time
        if self.first is not None and self.first.armed != self.first_armed:
            self.drop_stale()
        return self.later

    def drop_stale(self) -> None:
        """Take out of the heap what stands before the first entry whose event was neither cancelled nor moved."""
        while self.first is not None and self.first.armed != self.first_armed:
            self.pop()
            self.stale -= 1

    def fire_next(self) -> None:
        """Fire the event whose time :meth:`next_event` has returned; ``now`` is that time while it runs."""
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

    # --- timelines --------------------------------------------------------------------------------------------

    @property
    def timelines(self) -> tuple[Timeline, ...]:
        """The timelines that were added and not removed."""
        return tuple(self._timelines)

    def add(self, timeline: Timeline) -> None:
        """Add ``timeline``."""
        timeline.gone = 0
        self._timelines.append(timeline)

    def remove(self, timeline: Timeline) -> int:
        """Remove ``timeline``: it does not run unless it is added again."""
        timeline.gone = 1
        timeline.runnable = 0
        if timeline in self._timelines:
            self._timelines.remove(timeline)
        return 0

    def kick(self, timeline: Timeline) -> None:
        """Make an idle ``timeline`` runnable; its time is now, if it was behind."""
        if not timeline.runnable and not timeline.gone:
            timeline.runnable = 1
            if timeline.time < self.now:
                timeline.time = self.now
            if timeline is not self.current and timeline.time + 1 < self.horizon:
                self.horizon = timeline.time + 1

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

    def tick(self, ns: int) -> None:
        """The running timeline spends ``ns`` nanoseconds; events that fall due fire."""
        self.now += ns
        if self.now >= self.horizon:
            self.sync()

    def sync(self) -> int:
        """Fire the events up to the running timeline's time, and hand over to the timelines that are behind it."""
        if self.firing:
            return 0  # an event itself moved the clock: no other one runs inside it
        me = self.current
        if me is None:
            return self.advance(self.now)
        me.time = self.now
        while True:
            event_time = self.upcoming()
            other_time = earliest(self, me)
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
        """``me``, the running timeline, has nothing to do: let time pass until it is kicked.

        Returns 0, or to the main timeline -1 when no event is left that could wake a timeline. It does not return while
        ``me`` is removed.
        """
        me.time = self.now
        me.runnable = 0
        while not me.runnable:
            event_time = self.upcoming()
            other = self.behind(me)
            if other is not None and other.time < event_time:
                self.switch(other)
            elif event_time < FOREVER:
                self.fire_next()
            elif self.main is not None and self.main is not me and not self.main.gone:
                self.stalled = 1
                self.kick(self.main)
            elif me.gone:
                raise RuntimeError("the last timeline was removed from its clock while it ran")
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

    def switch(self, other: Timeline) -> None:
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

    def advance(self, time: int) -> int:
        """Without a timeline (hardware alone): let everything up to ``time`` ns happen."""
        while self.upcoming() <= time:
            self.fire_next()
        self.now = time
        self.horizon = self.upcoming()
        return 0
