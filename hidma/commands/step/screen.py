# SPDX-License-Identifier: GPL-2.0-only
"""The stepper on the whole terminal, with Textual (extra ``step``): source, registers with what just changed, rings, what
the driver keeps, and the events. It stands for no C file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, Input, Static
from textual.worker import Worker

from hidma.commands.step import show
from hidma.commands.step.engine import Session
from hidma.commands.step.plain import HELP, STEPS, Dialogue

CHANGED = "bold black on yellow"


class Pane(VerticalScroll):
    """A titled box of lines."""

    def __init__(self, title: str, name: str) -> None:
        super().__init__(id=name)
        self.border_title = title
        self.body = Static(id=f"{name}-text")

    def compose(self) -> ComposeResult:
        yield self.body

    def put(self, lines: Iterable[Text | str]) -> None:
        whole = Text(no_wrap=self.id in ("source", "events"), overflow="ellipsis")
        for number, line in enumerate(lines):
            if number:
                whole.append("\n")
            whole.append_text(line if isinstance(line, Text) else Text(line))
        self.body.update(whole)


class Screen(App[int]):
    """The whole screen of one session."""

    TITLE = "hidma step"
    AUTO_FOCUS = ""  # keys are commands until a line is asked for
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #top { height: 3fr; }
    #bottom { height: 1fr; }
    #left { width: 3fr; }
    #right { width: 2fr; }
    Pane { border: round $primary; padding: 0 1; height: 1fr; }
    #source { height: 2fr; }
    #registers { height: 2fr; }
    #events { height: 1fr; }
    #said { height: 1; padding: 0 1; color: $text-muted; }
    #ask { display: none; }
    #ask.shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s,space", "step('s')", "step"), Binding("a", "step('a')", "access"), Binding("i", "step('i')", "interrupt"),
        Binding("t", "step('t')", "tasklet"), Binding("h", "step('h')", "hardware"), Binding("f", "step('f')", "function"),
        Binding("c", "go_on", "continue"), Binding("r", "backward", "back"), Binding("b", "ask('b ')", "break"),
        Binding("u", "ask('u ')", "until"), Binding("g", "ask('g ')", "go to"), Binding("k", "next_channel", "channel"),
        Binding("colon", "ask('')", "command"), Binding("question_mark", "help", "help"), Binding("q", "leave", "quit"),
        Binding("escape", "forget", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.answers: list[str] = []
        self.dialogue = Dialogue(session, self.answers.append)
        self.busy = False

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            with Vertical(id="left"):
                yield Pane("source", "source")
                yield Pane("rings", "rings")
            with Vertical(id="right"):
                yield Pane("registers", "registers")
                yield Pane("driver", "driver")
        with Vertical(id="bottom"):
            yield Pane("events", "events")
        yield Static(id="said")
        yield Input(id="ask", disabled=True, select_on_focus=False)  # typing goes on behind the letter
        yield Footer()

    def on_mount(self) -> None:
        self.move(self.session.step)

    # --- moving: in a thread, so that the screen stays alive ----------------------------------------------------

    def move(self, what: Callable[[], object]) -> Worker[None] | None:
        """Run the job on; the screen is drawn again when it stops."""
        if self.busy:
            self.say("still running; the key was not taken")
            return None
        self.busy = True
        self.say("running")

        def work() -> None:
            what()
            self.call_from_thread(self.stopped)

        return self.run_worker(work, thread=True, exclusive=True)

    def stopped(self) -> None:
        self.busy = False
        answers, self.answers[:] = list(self.answers), []
        self.draw()
        known = (*STEPS, "c", "g", "r")
        said = answers[-1] if answers and self.dialogue.last.split()[0] not in known else ""
        if self.session.ended:
            self.say(said if len(answers) == 1 else show.end(self.session)[0])
        else:
            self.say(said or show.event(self.session.at.number, self.session.at.event))

    def say(self, text: str) -> None:
        self.query_one("#said", Static).update(Text(text))

    def draw(self) -> None:
        session, stop = self.session, self.session.at
        source = show.source(stop, max(1, (self.pane("source").size.height - 3) // 2))
        self.pane("source").put([Text(text, style="reverse") if text.startswith(">") else text for text in source])
        name = show.channel_of(session, self.dialogue.pinned)
        channel = stop.state.channels.get(name)
        self.pane("registers").border_title = f"registers of {name}" if name else "registers"
        self.pane("registers").put([Text(text, style=CHANGED if changed else "") for text, changed in
                                    show.registers(session, name)])
        if channel is not None:
            self.pane("rings").put(["TRE", *show.ring(channel.tre), "", "EVRE", *show.ring(channel.evre)])
            self.pane("driver").put([*show.driver(channel), "", *stop.state.cpus])
        else:
            self.pane("rings").put(["no channel yet"])
            self.pane("driver").put(stop.state.cpus)
        first = stop.number - len(stop.recent) + 1
        rows: list[Text | str] = [show.event(first + n, event) for n, event in enumerate(stop.recent)]
        if rows:
            rows[-1] = Text(str(rows[-1]), style="reverse")
        self.pane("events").put(rows)
        self.pane("events").scroll_end(animate=False)

    def pane(self, name: str) -> Pane:
        return self.query_one(f"#{name}", Pane)

    # --- keys -------------------------------------------------------------------------------------------------

    def action_step(self, letter: str) -> None:
        if self.session.ended:
            self.say("the run is over; r goes back, q quits")
            return
        self.dialogue.last = letter
        self.move(lambda: self.session.step(STEPS[letter]))

    def action_go_on(self) -> None:
        self.dialogue.last = "c"
        self.move(self.session.go_on)

    def action_backward(self) -> None:
        self.dialogue.last = "r"
        self.move(self.session.back)

    def action_next_channel(self) -> None:
        names = list(self.session.at.state.channels)
        if names and not self.busy:
            here = show.channel_of(self.session, self.dialogue.pinned)
            self.dialogue.pinned = names[(names.index(here) + 1) % len(names)] if here in names else names[0]
            self.draw()

    def action_ask(self, text: str) -> None:
        ask = self.query_one("#ask", Input)
        ask.disabled = False
        ask.add_class("shown")
        ask.value = text
        ask.cursor_position = len(text)
        ask.focus()

    def action_forget(self) -> None:
        ask = self.query_one("#ask", Input)
        ask.remove_class("shown")
        ask.disabled = True
        self.set_focus(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_forget()
        text = event.value.strip()
        if text in ("q", "quit"):
            self.action_leave()
        elif text:
            self.move(lambda: self.dialogue.command(text))

    def action_help(self) -> None:
        self.notify(HELP, title="commands (after :)", timeout=20)

    def action_leave(self) -> None:
        self.exit((self.session.status or 0) if self.session.ended else 0)


def run(session: Session) -> int:
    """The whole screen; returns the exit status."""
    return Screen(session).run() or 0
