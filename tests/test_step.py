# SPDX-License-Identifier: GPL-2.0-only
"""`hidma step`: forward, breaks, back, what is shown, both modes, both faces, and what cannot be stepped."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hidma.commands.main import cli, main
from hidma.commands.portmap.series import v14
from hidma.commands.step import show
from hidma.commands.step.engine import Break, BreakError, Session
from hidma.commands.step.plain import HELP, Dialogue
from hidma.commands.trace.run import runner
from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "data" / "golden"

ONE = """\
import hidma
with hidma.boot() as machine:
    chan = machine.dma.request_channel()
    src, dest = machine.alloc(4096), machine.alloc(4096)
    for _ in range(2):
        chan.memcpy(dest, src, 1000).wait()
print("copied")
"""


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A script that copies twice."""
    path = tmp_path / "one.py"
    path.write_text(ONE)
    return path


def session_of(words: list[str]) -> Session:
    """A session, not yet begun."""
    if _mode.compiled():
        pytest.skip("only functions that run as Python can be stepped through; tests/test_modes.py runs this interpreted")
    return Session(lambda: runner(cli, words, words))  # type: ignore[arg-type]


@pytest.fixture
def session(one: Path) -> Iterator[Session]:
    """A session on the script."""
    made = session_of([str(one)])
    yield made
    made.close()


def function(session: Session) -> str:
    """The function that was just entered."""
    event = session.at.event
    assert event is not None and event.kind == "function"
    return str(event.data["function"])


# --- moving -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sort", "kinds"), [
    ("access", {"read", "write"}), ("interrupt", {"interrupt"}), ("tasklet", {"tasklet"}), ("function", {"function"}),
    ("hardware", {"command", "state", "doorbell", "tre", "burst", "evre", "cause", "line"}),
])
def test_a_step_of_a_sort_stops_at_such_an_event(session: Session, sort: str, kinds: set[str]) -> None:
    for _ in range(4):
        assert session.step(sort)
        assert session.at.event is not None and session.at.event.kind in kinds


def test_every_step_is_the_next_event(session: Session) -> None:
    numbers = []
    for _ in range(12):
        session.step()
        numbers.append(session.at.number)
    assert numbers == sorted(set(numbers))
    assert session.step("any", 5) and session.at.number > numbers[-1] + 4


def test_on_to_a_function_a_time_an_event_and_the_end(session: Session) -> None:
    assert session.to_function("hidma_ll_hw_start")
    assert function(session) == "hidma_ll_hw_start"
    number = session.at.number
    assert session.to_time(session.at.event.time + 100)  # type: ignore[union-attr]
    assert session.at.event.time >= 100 and session.at.number > number  # type: ignore[union-attr]
    assert session.to(number + 40) and session.at.number == number + 40
    assert not session.go_on()
    assert session.ended and session.status == 0 and session.output.getvalue() == "copied\n"
    assert not session.step()


def test_back_is_the_same_event_again(session: Session) -> None:
    session.to_function("hidma_tx_submit")
    there = (session.at.number, session.at.event, session.at.location, session.at.state)
    session.step("access", 3)
    after = (session.at.number, session.at.event, session.at.location, session.at.state)
    assert session.back(after[0] - there[0])
    assert (session.at.number, session.at.event, session.at.location, session.at.state) == there
    session.step("access", 3)
    assert (session.at.number, session.at.event, session.at.location, session.at.state) == after
    session.back(10000)
    assert session.at.number == 0
    assert session.step()


def test_back_from_the_end(session: Session) -> None:
    session.go_on()
    last = session.number
    assert session.to(last) and not session.ended and session.at.number == last


@pytest.mark.parametrize(("text", "kind"), [
    ("function hidma_ll_set*", "function"), ("register evca_irq_clr", "write"), ("state running", "state"),
])
def test_breaks(session: Session, text: str, kind: str) -> None:
    session.breaks.append(Break.parse(text.split()))
    assert session.go_on()
    event = session.at.event
    assert event is not None and session.breaks[0].met(event) and event.kind == kind
    first = session.at.number
    assert session.go_on() and session.at.number > first


def test_break_on_a_fault(tmp_path: Path) -> None:
    script = tmp_path / "faulty.py"
    script.write_text(ONE.replace("hidma.boot()", "hidma.boot(faults='read-burst:2')").replace(".wait()", ""
                      ).replace("print", "    machine.run(1000000)\nprint"))
    session = session_of([str(script)])
    session.breaks.append(Break("fault"))
    try:
        assert session.go_on()
        assert session.at.event is not None and session.at.event.kind in ("inject", "error")
    finally:
        session.close()


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "a break is: function PATTERN"), ("fault now", "a break is:"), ("state sleeping", "there is no state sleeping"),
    ("line 5", "a break is:"),
    ("function hidma_ll_stat", "the driver has no function hidma_ll_stat; did you mean hidma_ll_start?"),
    ("register EVCA_WRITE", "the driver has no register EVCA_WRITE; did you mean EVCA_WRITE_PTR?"),
])
def test_break_that_is_none(text: str, sentence: str) -> None:
    with pytest.raises(BreakError, match=re.escape(sentence)):
        Break.parse(text.split())


def test_closing_in_the_middle_ends_the_job(session: Session) -> None:
    session.to_function("hidma_ll_hw_start")
    thread = session.thread
    assert thread is not None and thread.is_alive()
    session.close()
    assert not thread.is_alive()
    import hidma
    with hidma.boot() as machine:  # nothing is held
        assert machine.dma.request_channel().name


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_line_of_the_port_and_its_c_function(session: Session) -> None:
    session.to_function("hidma_ll_hw_start")
    session.step("access")
    here = session.at.location
    assert here is not None and (here.path, here.function) == ("hidma/ll.py", "hidma_ll_hw_start")
    [(_, text)] = here.text()
    assert "writel(lldev.tre_write_offset, lldev.trca + TRCA_DOORBELL_OFFSET)" in text
    c = v14()["drivers/dma/qcom/hidma_ll.c"].function("hidma_ll_hw_start")
    assert c is not None
    assert f"C: drivers/dma/qcom/hidma_ll.c hidma_ll_hw_start(), lines {c.first}-{c.last}" == show.source(session.at)[1]


def test_lines_are_the_same_in_both_modes(one: Path) -> None:
    def lines(interpreted: str) -> str:
        done = subprocess.run([sys.executable, "-m", "hidma", "step", "--plain", "--", str(one)], capture_output=True,
                              text=True, input="u hidma_tx_submit\na\na\na\ni\na\na\np\nq\n",
                              env={**os.environ, "HIDMA_INTERPRETED": interpreted, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, done.stderr
        return done.stdout
    compiled = lines("")
    assert compiled == lines("1")
    assert "hidma/ll.py:" in compiled and "hidma_ll_int_handler_internal" in compiled


def test_registers_say_what_just_changed(session: Session) -> None:
    session.to_function("hidma_ll_hw_start")
    session.step("access")
    session.step("hardware")
    changed = [text for text, new in show.registers(session, "hidma.chan0") if new]
    assert changed == ["TRCA_WRITE_PTR 0x00000020  (was 0x0)", "TRCA_DOORBELL 0x00000020  (was 0x0)"]


def test_rings_pending_list_and_lists(session: Session) -> None:
    session.to_function("hidma_ll_hw_start")
    channel = session.at.state.channels["hidma.chan0"]
    assert channel.tre[0].text.startswith("1000 bytes") and "tre_processed_off" in channel.tre[0].marks
    assert channel.tre[1].marks == ("tre_write_offset",)
    assert channel.driver["pending_tre_list"] == "[0] TRE 0" and channel.driver["pending_tre_count"] == "1"
    assert channel.driver["active"] == "0" and channel.driver["prepared"] == "empty"
    assert channel.driver["running"] == "TRE 0"
    session.to_function("hidma_ll_tre_complete")
    channel = session.at.state.channels["hidma.chan0"]
    assert channel.driver["handoff_fifo"].startswith("1 of ") and channel.driver["handoff_fifo"].endswith(": TRE 0")
    assert channel.driver["tasklet"] == "runs" and channel.driver["pending_tre_list"] == "empty"
    assert channel.evre[0].text.startswith("code 1, info 0x0, 1000 bytes")
    assert any("softirq" in cpu for cpu in session.at.state.cpus)


def test_interrupt_state(session: Session) -> None:
    session.step("interrupt")
    driver = session.at.state.channels["hidma.chan0"].driver
    assert "IRQ_STAT & IRQ_EN = 0x1" in driver["interrupt"] and "line up" in driver["interrupt"]
    assert "in its handler" in driver["interrupt"]


def test_stepping_changes_nothing(one: Path, session: Session) -> None:
    from hidma.commands.trace import Recorder
    with Recorder() as recorder:
        assert runner(cli, [str(one)], [])() == 0  # type: ignore[arg-type]
    while session.step("any", 25):
        pass
    assert session.number == len(recorder.machines()[0])


@pytest.mark.parametrize("name", ["ll_basic_batch", "channel_basic", "mgmt_sys_store_max_wr_xactions"])
def test_a_recorded_scenario(name: str) -> None:
    session = session_of([str(GOLDEN / f"{name}.json")])
    try:
        assert session.step("access", 3)
        here = session.at.location
        assert here is not None and here.path.startswith("hidma/")
        assert not session.go_on() and session.status == 0
    finally:
        session.close()


# --- the dialogue -----------------------------------------------------------------------------------------------------


def talk(session: Session, *commands: str) -> list[str]:
    """What is said to the commands."""
    said: list[str] = []
    dialogue = Dialogue(session, said.append)
    for command in commands:
        assert dialogue.command(command)
    return said


def test_every_command_of_the_help(session: Session) -> None:
    for line in HELP.splitlines():
        for letter in re.findall(r"(?:^|\s{2,})([a-z?])\b", line):
            if letter != "q":
                assert not any("is no command" in said for said in talk(session, letter)), letter
    assert talk(session, "?") == [HELP]
    assert not Dialogue(session, lambda text: None).command("q")


@pytest.mark.parametrize(("command", "said"), [
    ("x", "'x' is no command; ? lists them"), ("s two", "'two' is no number"), ("g", "g takes the number of an event"),
    ("u", "u takes a time or a function"), ("u 5parsecs", "'5parsecs' is no time: 12.02ms, 300us and 12021500 (ns) are"),
    ("u zzz", "the driver has no function zzz"),
    ("b line", "a break is: function PATTERN, register PATTERN, state STATE, or fault"),
    ("d 1", "there is no break to delete"), ("k 99", "there is no channel 99; there are none yet"),
    ("s '", "that line is not finished: No closing quotation"), ("s \u0663", "'\u0663' is no number"),
])
def test_command_that_makes_no_sense(session: Session, command: str, said: str) -> None:
    assert talk(session, command) == [said]


def test_empty_line_does_the_last_again(session: Session) -> None:
    talk(session, "a", "")
    first = session.at.number
    assert session.at.event is not None and session.at.event.kind in ("read", "write")
    talk(session, "r")
    assert session.at.number == first - 1


def test_breaks_are_listed_and_deleted(session: Session) -> None:
    said = talk(session, "b fault", "b state ERROR", "b", "d 1", "b", "d 9")
    assert said == ["break 1: fault", "break 2: state ERROR", "1  fault", "2  state ERROR", "deleted: fault",
                    "1  state ERROR", "d takes the number of a break, 1 to 1"]


def test_channel_can_be_pinned(session: Session) -> None:
    session.to_function("hidma_tx_submit")
    said = talk(session, "k 3", "k")
    assert any(line == "hidma.chan3: registers" for line in said)
    assert said[-1].startswith("channels: hidma.chan0, hidma.chan1")


def test_end_tells_status_and_output(session: Session) -> None:
    said = talk(session, "c", "o", "s")
    assert re.match(r"the run is over after \d+ events, exit status 0", said[0]) and said[1] == "copied"
    assert said[-2:] == ["copied", "the run is over; r or g goes back, q quits"]


# --- the command ------------------------------------------------------------------------------------------------------


def plain(commands: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`hidma step` with commands on stdin."""
    return subprocess.run([sys.executable, "-m", "hidma", "step", *arguments], input=commands, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)


def test_dmatest_is_stepped_to_its_doorbells() -> None:
    done = plain("c\nc\nc\nc\n", "--break", "register TRCA_DOORBELL", "--", "dmatest", "--iterations", "2", "--channel",
                 "dma0chan0")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"write +TRCA_DOORBELL = (\S+)", done.stdout) == ["0x00000020", "0x00000040"]
    assert "the run is over" in done.stdout and "dmatest" in done.stdout and done.stderr == ""


def test_nothing_to_step(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, sentence in (([], "step through what?"), (["--", "nothing.py"], "is neither a command of hidma nor a file"),
                                (["--break", "x", "--", "dmesg"], "a break is:"), (["--", "step"], "step cannot be traced")):
        assert main(["step", *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and sentence in err


# --- the whole screen -------------------------------------------------------------------------------------------------


def test_screen_shows_steps_and_goes_back(session: Session) -> None:
    pytest.importorskip("textual", reason="not installed: textual (pip install hidma[step])")
    from textual.widgets import Static
    from textual.widgets._footer import FooterKey

    from hidma.commands.step.screen import Screen

    async def walk() -> None:
        app = Screen(session)

        def text(name: str) -> str:
            return str(app.query_one(f"#{name}-text", Static).render())

        async with app.run_test(size=(140, 50)) as pilot:
            async def press(*keys: str) -> None:
                await pilot.press(*keys)
                for _ in range(3):
                    await app.workers.wait_for_complete()
                    await pilot.pause()

            await press()
            assert "tasklet" in " ".join(str(key.description) for key in app.query(FooterKey))
            await press("a")
            assert session.at.event is not None and session.at.event.kind in ("read", "write")
            await press("u", *"hidma_ll_hw_start", "enter")
            assert "def hidma_ll_hw_start" in text("source") and "lines 559-566" in text("source")
            await press("a")
            assert "> " in text("source") and "TRCA_DOORBELL_OFFSET" in text("source")
            assert len(text("source").splitlines()) <= app.query_one("#source").size.height  # the line is in sight
            number = session.at.number
            await press("h")
            assert "TRCA_DOORBELL 0x00000020  (was 0x0)" in text("registers")
            assert "tre_write_offset" in text("rings") and "pending_tre_list: [0] TRE 0" in text("driver")
            await press("r")
            assert session.at.number <= number
            await press("k")
            assert "chan1" in str(app.query_one("#registers").border_title)
            await press("q")
        assert app.return_value == 0

    asyncio.run(walk())


def test_keys_are_typed_behind_the_letter_and_the_line_is_in_view(session: Session) -> None:
    pytest.importorskip("textual", reason="not installed: textual (pip install hidma[step])")
    from textual.widgets import Static

    from hidma.commands.step.screen import Screen

    async def walk() -> None:
        app = Screen(session)
        async with app.run_test(size=(80, 24)) as pilot:
            async def press(*keys: str) -> None:
                await pilot.press(*keys)
                for _ in range(3):
                    await app.workers.wait_for_complete()
                    await pilot.pause()

            def in_view() -> bool:
                lines = str(app.query_one("#source-text", Static).render()).splitlines()
                marked = [n for n, line in enumerate(lines) if line.startswith(">")]
                return len(marked) == 1 and marked[0] < app.query_one("#source").size.height

            await press()
            await press("u", *"hidma_tx_submit", "enter")
            assert function(session) == "hidma_tx_submit" and in_view()
            number = session.at.number
            await press("g", *str(number + 7), "enter")
            assert session.at.number == number + 7
            await press("g", *str(number), "enter")
            assert session.at.number == number and in_view()
            await press("b", *"register EVCA_DOORBELL", "enter")
            assert [str(b) for b in session.breaks] == ["register EVCA_DOORBELL"]
            await press("c")
            assert session.at.event is not None and session.at.event.data["register"] == "EVCA_DOORBELL" and in_view()
            await press("colon", *"d 1", "enter")
            assert session.breaks == []
            await press("u", *"12.1ms", "enter")
            assert session.at.event is not None and session.at.event.time >= 12_100_000 or session.ended
            await press("u", *"nothing_like_it", "enter")
            assert "the driver has no function nothing_like_it" in str(app.query_one("#said", Static).render())

    asyncio.run(walk())


def terminal(command: list[str], keys: list[tuple[str, str]], seconds: float = 60) -> str:
    """What a program writes to a terminal; each key is sent after its text has come up."""
    main_end, other = pty.openpty()
    process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, close_fds=True, env={
        **os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "50"})
    os.close(other)
    seen, written = "", ""
    waiting = list(keys)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ready, _, _ = select.select([main_end], [], [], 0.2)
        if ready:
            try:
                part = os.read(main_end, 65536).decode("utf-8", "replace")
            except OSError:
                break
            seen += part
            written += part
        plain_text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
        if waiting and waiting[0][0] in plain_text:
            os.write(main_end, waiting.pop(0)[1].encode())
            seen = ""
        if process.poll() is not None and not ready:
            break
    process.kill()
    process.wait()
    os.close(main_end)
    assert not waiting, f"never came up: {waiting[0][0]!r}\n{written[-3000:]}"
    return written


def test_on_a_real_terminal(one: Path) -> None:
    pytest.importorskip("textual", reason="not installed: textual (pip install hidma[step])")
    hidma_step = [sys.executable, "-m", "hidma", "step"]
    shown = terminal([*hidma_step, "--", str(one)], [("hidma_mgmt_init", "a"), ("hidma_mgmt_setup", "q")])
    assert "\x1b[?1049h" in shown and "\x1b[?1049l" in shown  # the other screen, and back


def test_plain_on_a_real_terminal(one: Path) -> None:
    shown = terminal([sys.executable, "-m", "hidma", "step", "--plain", "--", str(one)],
                     [("step> ", "u hidma_tx_submit\n"), ("hidma/channel.py", "q\n")])
    assert "\x1b[?1049h" not in shown


def test_full_screen_without_its_extra() -> None:
    code = ("import os, sys; os.environ['HIDMA_INTERPRETED'] = '1'; sys.modules['textual'] = sys.modules['textual.app'] = None\n"
            "from hidma.commands.main import main; sys.exit(main(sys.argv[1:]))")
    shown = terminal([sys.executable, "-c", code, "step", "--", "dmesg"], [("pip install", "")])
    assert "--plain works without it" in shown.replace("\r\n", " ")
