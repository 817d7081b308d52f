# SPDX-License-Identifier: GPL-2.0-only
"""Events as a diagram: a lane for each CPU and each channel, time goes down, one line an event. It is a picture for
a page: it names its colours for light and for dark, and takes no more than some hundred events. It stands for no C file.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hidma.commands.trace.events import CONTEXTS, Event
from hidma.commands.trace.formats import seconds
from hidma.hw.registers import State

MOST = 600
ROW = 20
HEAD = 46
LEFT = 112
LETTER = 7.3
LETTERS = 36

STYLE = """
.paper{fill:#fff}.t{fill:#1c2430;font:12px ui-monospace,monospace}.d{fill:#5b6675;font:11px ui-monospace,monospace}
.h{fill:#1c2430;font:600 13px system-ui,sans-serif}.lane{stroke:#c6ced8;stroke-width:1}.gap{stroke:#5b6675;stroke-dasharray:2 3}
.access{stroke:#0b5cad;fill:none}.up{stroke:#a03a00;fill:none}.irq{fill:#a03a00}.busy{fill:#0b5cad;opacity:.18}
.soft{fill:#1f6b33;opacity:.2}.hard{fill:#a03a00;opacity:.2}.on{fill:#1f6b33}.work{fill:#0b5cad}.off{fill:#c6ced8}
.err{fill:#b00020}.ink{fill:#0b5cad}
@media(prefers-color-scheme:dark){.paper{fill:#14181d}.t{fill:#dfe5ec}.d{fill:#96a2b0}.h{fill:#dfe5ec}.lane{stroke:#39434e}
.gap{stroke:#96a2b0}.access{stroke:#7db7f0}.up{stroke:#f0a36b}.irq{fill:#f0a36b}.busy{fill:#7db7f0}.soft{fill:#93d3a2}
.hard{fill:#f0a36b}.on{fill:#93d3a2}.work{fill:#7db7f0}.off{fill:#39434e}.err{fill:#ff8a9a}.ink{fill:#7db7f0}}
"""

_COLOUR = {State.RUNNING: "work", State.ENABLED: "on", State.ERROR: "err"}


class TooMany(Exception):
    """More events than a picture can hold; the message is one sentence."""


class _Diagram:
    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        # lanes in the order in which something happens in them: what is near in time is near on the page
        lanes: dict[object, list[Event]] = {}
        for e in events:
            lanes.setdefault(self.lane(e), []).append(e)
            if e.channel:
                lanes.setdefault(e.channel, [])
        self.out: list[str] = []
        self.x: dict[object, float] = {}
        self.heads: dict[object, tuple[str, str]] = {}
        at = float(LEFT)
        for lane, mine in lanes.items():
            if isinstance(lane, int):
                self.heads[lane] = (f"CPU {lane}", ", ".join(c for c in CONTEXTS if any(e.context == c for e in mine)))
            else:
                self.heads[lane] = (str(lane) or "bus", "hardware")
                at += 14
            self.x[lane] = at
            at += max([130, *(len(self.label(e)) * LETTER + 26 for e in mine)])
        self.width = at + 6

    @classmethod
    def label(cls, e: Event) -> str:
        text = cls.whole(e)
        return text if len(text) <= LETTERS else text[:LETTERS - 3] + "..."

    @staticmethod
    def whole(e: Event) -> str:
        if e.kind in ("read", "write"):
            arrow = "=" if e.kind == "write" else "is"
            told = e.text.partition("  ")[2]
            value = f"{e.data['value']:#x}"
            return f"{e.data['register']} {arrow} {value}" + (f"  {told}" if told and len(told) < 40 else "")
        if e.kind in ("function", "interrupt"):
            return e.text
        return f"{e.kind} {e.text}" if e.kind not in ("burst",) else e.text

    @staticmethod
    def lane(e: Event) -> object:
        return e.cpu if e.cpu is not None and e.context else e.channel

    def draw(self) -> str:
        rows: list[tuple[float, Event]] = []
        y = float(HEAD)
        before: int | None = None
        gaps: list[tuple[float, int]] = []
        for e in self.events:
            if before is not None and e.time - before > 2000:
                gaps.append((y + 9, e.time - before))
                y += 26
            rows.append((y + ROW / 2, e))
            y += ROW
            before = e.time
        height = y + 14
        self._lanes(height)
        self._bars(rows, height)
        for at, length in gaps:
            self.out.append(f'<line class="gap" x1="8" x2="{self.width - 8:.0f}" y1="{at:.0f}" y2="{at:.0f}"/>'
                            f'<text class="d" x="12" y="{at - 3:.0f}">+{length / 1000:g} us</text>')
        shown: int | None = None
        for at, e in rows:
            if e.time != shown:
                self.out.append(f'<text class="d" x="8" y="{at + 4:.0f}">{seconds(e.time)}</text>')
                shown = e.time
            self._event(at, e)
        body = "\n".join(self.out)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {height:.0f}" '
                f'width="{self.width:.0f}" height="{height:.0f}" role="img">\n<title>Events in the order of virtual time</title>'
                f'\n<style>{STYLE}</style>\n<rect class="paper" width="100%" height="100%"/>\n{body}\n</svg>\n')

    def _lanes(self, height: float) -> None:
        for lane, x in self.x.items():
            first, second = self.heads[lane]
            self.out.append(f'<text class="h" x="{x:.0f}" y="18">{escape(first)}</text>'
                            f'<text class="d" x="{x:.0f}" y="33">{second}</text>'
                            f'<line class="lane" x1="{x:.0f}" x2="{x:.0f}" y1="{HEAD - 6}" y2="{height - 6:.0f}"/>')

    def _bars(self, rows: Sequence[tuple[float, Event]], height: float) -> None:
        """What lasts: interrupts and tasklets on a CPU, the state of a channel."""
        open_: dict[tuple[int, str], float] = {}
        state: dict[str, tuple[float, int]] = {}
        for y, e in rows:
            if e.kind in ("interrupt", "tasklet") and e.cpu is not None:
                if e.data["enter"]:
                    open_[e.cpu, e.kind] = y
                else:
                    self._bar(e.cpu, e.kind, open_.pop((e.cpu, e.kind), HEAD - 6.0), y)
            elif e.kind == "state" and e.data["block"] == "trca" and e.channel:
                start, old = state.get(e.channel, (HEAD - 6.0, e.data["old"]))
                self._state(e.channel, old, start, y)
                state[e.channel] = (y, e.data["new"])
        for (cpu, kind), start in open_.items():
            self._bar(cpu, kind, start, height - 6)
        for channel, (start, now) in state.items():
            self._state(channel, now, start, height - 6)

    def _bar(self, cpu: int, kind: str, start: float, end: float) -> None:
        if cpu in self.x:
            css = "hard" if kind == "interrupt" else "soft"
            self.out.append(f'<rect class="{css}" x="{self.x[cpu] - 4:.0f}" y="{start - 8:.0f}" width="8" '
                            f'height="{end - start + 16:.0f}"/>')

    def _state(self, channel: str, state: int, start: float, end: float) -> None:
        css = _COLOUR.get(State(state), "off")
        self.out.append(f'<rect class="{css}" x="{self.x[channel] - 10:.0f}" y="{start:.0f}" width="6" '
                        f'height="{max(end - start, 2):.0f}"><title>{State(state).name}</title></rect>')

    def _event(self, y: float, e: Event) -> None:
        lane = self.lane(e)
        x = self.x.get(lane)
        if x is None:
            return
        label = escape(self.label(e))
        if self.label(e) != self.whole(e):
            label = f"<title>{escape(self.whole(e))}</title>{label}"
        css = "err" if e.kind in ("error", "fault", "inject") else "t"
        to = self.x.get(e.channel)
        if e.kind in ("read", "write") and to is not None and to != x:
            # the arrow runs along the foot of the row, under the text
            foot, (a, b) = y + 7, ((x, to) if e.kind == "write" else (to, x))
            head = 5 if a < b else -5
            self.out.append(f'<path class="access" d="M{a:.0f} {foot:.0f}H{b - head:.0f}m0 -3l{head} 3l{-head} 3"/>')
        if e.kind == "interrupt" and e.data["enter"] and to is not None:
            foot, head = y + 7, 5 if to < x else -5
            self.out.append(f'<path class="up" d="M{to:.0f} {foot:.0f}H{x - head:.0f}m0 -3l{head} 3l{-head} 3"/>')
        dot = {"function": "ink", "interrupt": "irq", "callback": "irq", "error": "err", "fault": "err"}.get(e.kind)
        if dot:
            self.out.append(f'<circle class="{dot}" cx="{x:.0f}" cy="{y:.0f}" r="3"/>')
        self.out.append(f'<text class="{css}" x="{x + 10:.0f}" y="{y + 4:.0f}" xml:space="preserve">{label}</text>')


def draw(machines: Sequence[Sequence[Event]]) -> str:
    """One diagram.

    :raises TooMany: more events than fit a picture, or more than one machine
    """
    if len(machines) > 1:
        raise TooMany(f"a diagram shows one machine, and {len(machines)} had events")
    events = machines[0]
    if len(events) > MOST:
        raise TooMany(f"a diagram of {len(events)} events is too long ({MOST} at most): filter with --channel, "
                      "--kind, --after, --until, --from or --to")
    return _Diagram(events).draw()
