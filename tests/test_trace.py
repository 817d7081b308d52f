# SPDX-License-Identifier: GPL-2.0-only
"""`hidma trace`: what is seen, in which order, in every format, the same in both modes; filters; what is not a trace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.dom.minidom
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hidma
from hidma import channel, ll, mgmt_sys
from hidma.commands.main import main
from hidma.commands.trace import KINDS, Filter, Recorder, formats, svg, vcd
from hidma.commands.trace.events import HARDWARE, Decoder, Event
from hidma.commands.trace.functions import Entries, wanted
from hidma.commands.trace.recorder import FilterError, squeeze
from hidma.hw import trace as hw_trace
from hidma.hw.events import EVENTS
from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "data" / "golden"

ONE = """\
import hidma
with hidma.boot() as machine:
    chan = machine.dma.request_channel()
    src, dest = machine.alloc(4096), machine.alloc(4096)
    chan.memcpy(dest, src, 1000).wait()
"""


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A script that copies once."""
    path = tmp_path / "one.py"
    path.write_text(ONE)
    return path


def copies(count: int = 1, faults: str | None = None) -> list[Event]:
    """The events of a machine that copies."""
    with Recorder() as recorder:
        with hidma.boot(faults=faults) as machine:
            chan = machine.dma.request_channel()
            src, dest = machine.alloc(4096), machine.alloc(4096)
            for _ in range(count):
                transfer = chan.memcpy(dest, src, 1000)
                try:
                    transfer.wait(1_000_000_000)
                except hidma.TransferError:
                    pass
            chan.release()
    [events] = recorder.machines()
    return events


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """`hidma trace ARGUMENTS`."""
    status = main(["trace", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


#: Only functions that run as Python report that they are entered; tests/test_modes.py runs these tests interpreted.
interpreted = pytest.mark.skipif(_mode.compiled(), reason="functions report when they run as Python")

# --- what is seen -----------------------------------------------------------------------------------------------------


@interpreted
def test_one_descriptor_from_the_client_to_its_callback() -> None:
    events = Filter(after="hidma_prep_dma_memcpy", until="hidma_free_chan_resources").apply(copies())
    way = [(e.kind, e.data.get("function") or e.data.get("register") or e.data.get("block")) for e in events]
    wanted_ = [
        ("function", "hidma_prep_dma_memcpy"), ("function", "hidma_ll_set_transfer_params"), ("function", "hidma_tx_submit"),
        ("function", "hidma_ll_isenabled"), ("read", "TRCA_CTRLSTS"), ("read", "EVCA_CTRLSTS"),
        ("function", "hidma_ll_queue_request"), ("function", "hidma_issue_pending"), ("function", "hidma_ll_start"),
        ("function", "hidma_ll_hw_start"), ("write", "TRCA_DOORBELL"), ("doorbell", "trca"), ("state", "trca"), ("tre", None),
        ("burst", None), ("evre", None), ("cause", None), ("line", None), ("interrupt", None),
        ("function", "hidma_chirq_handler"), ("function", "hidma_ll_inthandler"),
        ("function", "hidma_ll_int_handler_internal"), ("read", "EVCA_IRQ_STAT"), ("function", "hidma_handle_tre_completion"),
        ("write", "EVCA_DOORBELL"), ("write", "EVCA_IRQ_CLR"), ("line", None), ("tasklet", None),
        ("function", "hidma_ll_tre_complete"), ("function", "hidma_callback"), ("function", "hidma_process_completed"),
        ("callback", "Transfer._done"), ("tasklet", None),
    ]
    at = 0
    for item in wanted_:
        assert item in way[at:], (item, way[at:at + 5])
        at = way.index(item, at) + 1


def test_times_never_go_back_and_events_are_of_known_kinds() -> None:
    events = copies(3)
    assert [e.time for e in events] == sorted(e.time for e in events)
    for e in events:
        kind = KINDS[e.kind]
        assert set(e.data) == set(kind.fields), e
        assert "\n" not in e.text
        assert (e.cpu is None) == (e.context == "")
        if e.kind in HARDWARE and e.kind != "fault":
            assert e.cpu is None


@interpreted
def test_interrupts_and_tasklets_come_in_pairs_in_their_context() -> None:
    events = copies(3)
    for kind, context in (("interrupt", "hardirq"), ("tasklet", "softirq")):
        mine = [e for e in events if e.kind == kind]
        assert mine and {e.context for e in mine} == {context}
        assert [e.data["enter"] for e in mine] == [1, 0] * (len(mine) // 2)
    callbacks = [e for e in events if e.kind == "callback"]
    assert len(callbacks) == 3 and {e.context for e in callbacks} == {"softirq"}
    assert {e.channel for e in events if e.kind == "interrupt"} == {"hidma.chan0"}


def test_registers_have_names_fields_and_what_changed() -> None:
    events = copies()
    resets = [e for e in events if e.kind == "write" and e.data["register"] == "TRCA_CTRLSTS"]
    assert resets[0].data["fields"]["command"] == 9 and "command RESET" in resets[0].text
    polls = [e for e in events if e.kind == "read" and e.data["register"] == "TRCA_CTRLSTS" and e.data["changed"]]
    assert any("state DISABLED (was IN_RESET)" in e.text for e in polls)
    status = [e for e in events if e.kind == "read" and e.data["register"] == "EVCA_IRQ_STAT" and e.data["value"] == 1]
    assert status[0].data["changed"]["EOB"] == [0, 1] and status[0].text.endswith("EOB")


def test_descriptors_are_decoded() -> None:
    events = copies()
    [tre] = [e for e in events if e.kind == "tre"]
    [evre] = [e for e in events if e.kind == "evre"]
    assert (tre.data["type"], tre.data["ieob"], tre.data["length"]) == (3, 1, 1000)
    assert evre.data["code"] == 1 and evre.data["destination"] == tre.data["destination"]
    assert evre.text.startswith("#0 at 0x0: complete")


@interpreted
def test_faults_are_seen() -> None:
    events = copies(faults="read-burst:1")
    kinds = Counter(e.kind for e in events)
    assert kinds["inject"] == 1 and kinds["error"] == 1
    [error] = [e for e in events if e.kind == "error"]
    assert "DATA_READ" in error.text
    entered = {e.data["function"] for e in events if e.kind == "function"}
    assert "hidma_cleanup_pending_tre" in entered


def test_iommu_fault_is_seen() -> None:
    with Recorder() as recorder, hidma.boot() as machine:
        chan = machine.dma.request_channel()
        src = machine.alloc(4096)
        with pytest.raises(hidma.TransferError):
            chan.memcpy(1 << 47, src.address, 64).wait(1_000_000_000)
    [events] = recorder.machines()
    [fault] = [e for e in events if e.kind == "fault"]
    assert fault.data["address"] == 1 << 47 and fault.channel == "hidma.chan0"


@interpreted
def test_sysfs_functions_that_a_macro_makes_and_the_management_driver() -> None:
    with Recorder() as recorder, hidma.boot() as machine:
        path = next(f"/sys/devices/platform/{n}" for n in machine.sysfs.listdir("/sys/devices/platform") if "mgmt" in n)
        machine.sysfs[f"{path}/max_wr_xactions"] = "8"
        machine.sysfs[f"{path}/chanops/chan0/weight"] = "3"
    [events] = recorder.machines()
    entered = [e.data["function"] for e in events if e.kind == "function"]
    for name in ("hidma_mgmt_probe", "hidma_mgmt_setup", "set_max_wr_xactions", "set_values", "set_weight", "hidma_probe",
                 "hidma_ll_init", "hidma_debug_init"):
        assert name in entered
    weight = [e for e in events if e.kind == "write" and e.data["register"] == "HIDMA_QOS_0"]
    assert weight[-1].data["changed"] == {"weight": [weight[-2].data["fields"]["weight"], 3]}


def test_every_event_of_the_model_has_a_kind() -> None:
    decoder = Decoder()
    examples: dict[str, tuple[Any, ...]] = {
        "read": ("x.trca", 0, 0), "write": ("x.trca", 0, 0), "command": ("x.trca", 9, 0), "state": ("x.trca", 0, 1),
        "doorbell": ("x.trca", 32, 2), "tre": ("x", 1, 0, (0,) * 8), "burst": ("x", 1, "read", 0, 1, 1, 0, 1),
        "evre": ("x", 1, 0, (0,) * 4), "stall": ("x", 1), "irq": ("x", 1, 1), "line": ("x", 1), "pulse": ("x",),
        "error": ("x", 1, 2, "why"), "fault": ("x", "read", 0, 4, "bus"), "inject": ("x", "what"),
    }
    assert set(examples) == set(EVENTS)
    for name, rest in examples.items():
        event = decoder.decode(5, None, "", (name, *rest))
        assert event is not None and event.kind != "kernel", name
        assert set(event.data) == set(KINDS[event.kind].fields)
    unknown = decoder.decode(5, 0, "task", ("sysfs", "chid", 0o444))
    assert unknown is not None and (unknown.kind, unknown.text) == ("kernel", "sysfs chid 292")


# --- on and off -------------------------------------------------------------------------------------------------------


def test_functions_have_their_own_code_back_afterwards() -> None:
    functions = [mgmt_sys.get_max_wr_xactions, mgmt_sys.set_priority, channel.hidma_probe, ll.hidma_ll_init]
    before = [getattr(f, "__code__", None) for f in functions]
    with Entries(), Entries():
        assert mgmt_sys.set_priority.__code__ is not before[1]
        assert mgmt_sys.set_priority.__code__.co_firstlineno == before[1].co_firstlineno  # type: ignore[union-attr]
    assert [getattr(f, "__code__", None) for f in functions] == before
    assert not any(name.startswith("_ftrace") and callable(value) and Entries.depth
                   for name, value in vars(mgmt_sys).items())


def test_no_event_is_made_when_nobody_listens() -> None:
    with Recorder():
        pass
    with hidma.boot() as machine:
        assert machine.trace.on == 0 and machine.trace.taps == ()
        chan = machine.dma.request_channel()
        src, dest = machine.alloc(64), machine.alloc(64)
        chan.memcpy(dest, src, 64).wait()
    assert hw_trace.listener is None


@interpreted
def test_watch_and_a_recorder_do_not_hinder_each_other() -> None:
    mine: list[Any] = []
    with Recorder() as recorder, hidma.boot() as machine:
        machine.watch(mine.append)
        chan = machine.dma.request_channel()
        machine.watch(None)
        count = len(mine)
        src, dest = machine.alloc(64), machine.alloc(64)
        chan.memcpy(dest, src, 64).wait()
    assert count and len(mine) == count
    assert any(e.kind == "evre" for e in recorder.machines()[0])


def test_what_is_no_function_of_c_does_not_report() -> None:
    assert wanted("hidma_probe") and wanted("set_priority")
    assert not wanted("HIDMA_CH_STATE") and not wanted("to_hidma_dev") and not wanted("lldev_of")


def test_tracing_changes_nothing_of_the_run() -> None:
    def end() -> tuple[int, str]:
        with hidma.boot() as machine:
            chan = machine.dma.request_channel()
            src, dest = machine.alloc(4096), machine.alloc(4096)
            chan.memcpy(dest, src, 1000).wait()
            return machine.now, machine.dmesg()
    plain = end()
    with Recorder():
        traced = end()
    assert traced == plain


# --- both modes, and again --------------------------------------------------------------------------------------------


def test_same_bytes_again_and_in_the_other_mode(one: Path) -> None:
    def output(interpreted: str) -> bytes:
        done = subprocess.run([sys.executable, "-m", "hidma", "trace", "--", str(one)], capture_output=True,
                              env={**os.environ, "HIDMA_INTERPRETED": interpreted, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, done.stderr
        return done.stdout
    first = output("")
    assert first == output("") == output("1")
    assert first.count(b"\n") > 500


# --- filters ----------------------------------------------------------------------------------------------------------


@interpreted
def test_filters() -> None:
    events = copies(2)
    assert {e.kind for e in Filter(functions=("hidma_ll_*",)).apply(events)} == {"function"}
    assert all(e.data["register"].startswith("EVCA_IRQ") for e in Filter(registers=("evca_irq_*",)).apply(events))
    assert {e.kind for e in Filter(kinds=("tre", "evre")).apply(events)} == {"tre", "evre"}
    assert len(Filter(kinds=("tre",)).apply(events)) == 2
    one = Filter(channels=("1",)).apply(events)
    assert {e.channel for e in one} == {"", "hidma.chan1"}
    assert Filter(channels=("hidma.chan0",)).apply(events) == Filter(channels=("0",)).apply(events)
    middle = events[len(events) // 2].time
    early, late = Filter(end=middle).apply(events), Filter(start=middle + 1).apply(events)
    assert early + late == events
    after = Filter(after="hidma_tx_submit").apply(events)
    assert after[0].data == {"function": "hidma_tx_submit"} and after[-1] == events[-1]


def test_functions_and_registers_beside_kinds() -> None:
    found = Filter(kinds=("tre",), registers=("TRCA_DOORBELL",)).apply(copies())
    assert [e.kind for e in found] == ["write", "tre"]


@interpreted
def test_repetitions_are_squeezed() -> None:
    with Recorder() as recorder, hidma.boot() as machine:
        chan = machine.dma.request_channel()
        src, dest = machine.alloc(1 << 16), machine.alloc(1 << 16)
        chan.memcpy(dest, src, 64)
        chan.memcpy(dest, src, 1 << 16).wait()
    events = Filter(after="hidma_chirq_handler").apply(recorder.machines()[0])
    looks = sum(e.data.get("function") == "hidma_handle_tre_completion" for e in events)
    short = squeeze(events)
    told = [re.search(r"\(and (\d+) times more, until (\d+) ns\)", e.text) for e in short]
    more = sum(int(found[1]) for found in told if found is not None)
    left = sum(e.data.get("function") == "hidma_handle_tre_completion" for e in short)
    assert more > 30 and left + more == looks and len(short) < len(events) - more
    assert all(int(found[2]) > e.time for found, e in zip(told, short, strict=True) if found is not None)
    kept = Counter(e.kind for e in short)
    assert all(kept[kind] == count for kind, count in Counter(e.kind for e in events).items() if kind not in ("read", "function"))
    assert squeeze([]) == [] and squeeze(events[:3]) == events[:3]


@pytest.mark.parametrize(("wrong", "sentence"), [
    (Filter(kinds=("trees",)), "there is no kind of event called 'trees'; there are function, read"),
    (Filter(channels=("first",)), "'first' is no channel"),
    (Filter(start=5, end=4), "no time is from 5 ns to 4 ns"),
])
def test_filter_that_nothing_can_pass(wrong: Filter, sentence: str) -> None:
    with pytest.raises(FilterError, match=re.escape(sentence)):
        wrong.check()


# --- formats ----------------------------------------------------------------------------------------------------------


def test_text_is_one_line_an_event() -> None:
    events = copies()
    lines = formats.text([events]).splitlines()
    assert len(lines) == len(events)
    assert any(re.fullmatch(r" +0\.012\d{6} cpu0 task +hidma\.chan0 write +TRCA_DOORBELL = 0x00000020", line) for line in lines)
    assert formats.text([events, events]).count("# machine ") == 2


def test_json_has_all_of_it() -> None:
    events = copies()
    loaded = json.loads(formats.as_json([events]))
    assert len(loaded) == len(events)
    assert loaded[0].keys() == {"machine", "time", "kind", "cpu", "context", "channel", "text", "data"}


def test_chrome_has_a_track_for_each_channel_context_and_the_bus() -> None:
    events = copies(2)
    loaded = json.loads(formats.chrome([events]))
    rows = loaded["traceEvents"]
    names = {row["args"]["name"] for row in rows if row["name"] == "thread_name"}
    assert {"CPU 0 task", "CPU 1 hardirq", "CPU 1 softirq", "hidma.chan0 trca", "hidma.chan0 evca", "hidma.chan0"} <= names
    assert {row["args"]["name"] for row in rows if row["name"] == "process_name"} == {"CPUs", "channels", "bus"}
    slices = [row for row in rows if row["ph"] == "X"]
    assert all(row["dur"] >= 0 and row["ts"] >= 0 for row in slices)
    assert {"irq 421 hidma.chan0", "tasklet", "RUNNING", "ENABLED", "up"} <= {row["name"] for row in slices}
    assert sum(row["name"] == "read 1000 bytes" for row in slices) == 2
    begins = [row["id"] for row in rows if row["ph"] == "b"]
    assert begins == [row["id"] for row in rows if row["ph"] == "e"] and len(set(begins)) == 2
    # slices of one track lie inside each other or beside each other
    for track in {(row["pid"], row["tid"]) for row in slices}:
        mine = sorted((row["ts"], -row["dur"]) for row in slices if (row["pid"], row["tid"]) == track)
        ends: list[float] = []
        for start, minus in mine:
            while ends and ends[-1] <= start + 1e-9:
                ends.pop()
            assert not ends or start - minus <= ends[-1] + 1e-6, track
            ends.append(start - minus)


def test_vcd_can_be_read_back_and_is_grouped() -> None:
    events = copies()
    waves, groups = vcd.write([events], "x.vcd")
    signals = dict(re.findall(r"\$var \w+ \d+ (\S+) (\w+) \$end", waves))
    assert "date" not in waves
    by_name = {name: code for code, name in signals.items()}
    values: dict[str, list[int]] = {}
    last = -1
    for row in waves.partition("$enddefinitions $end\n")[2].splitlines():
        if row.startswith("#"):
            assert int(row[1:]) > last
            last = int(row[1:])
        elif row.startswith("b"):
            bits, code = row[1:].split()
            values.setdefault(code, []).append(int(bits, 2))
        elif row[:1] in "01" and row[1:]:
            values.setdefault(row[1:], []).append(int(row[0]))
    assert {"trca_state", "evca_state", "line", "irq_stat", "context", "tasklet"} <= set(by_name)
    assert any(found[-3:] == [0, 1, 0] for found in values.values())
    assert '[dumpfile] "x.vcd"' in groups
    for path in re.findall(r"^hidma\.\S+$", groups, re.MULTILINE):
        assert re.search(rf" {re.escape(path.rpartition('.')[2].partition('[')[0])} \$end", waves)
    assert groups.count("-hidma hidma.chan0") == 2


def test_management_block_is_no_channel() -> None:
    with Recorder() as recorder, hidma.boot():
        pass
    events = recorder.machines()[0]
    assert any(e.data.get("register") == "HIDMA_CFG" for e in events)
    waves, groups = vcd.write([events], "x.vcd")
    assert re.findall(r"^-hidma (hidma\S*)$", groups, re.MULTILINE)[::2] == [f"hidma.chan{n}" for n in range(6)]
    tracks = [e["args"]["name"] for e in json.loads(formats.chrome([events]))["traceEvents"] if e["name"] == "thread_name"]
    assert "hidma.chan0 trca" in tracks and "hidma trca" not in tracks


def test_gtkwave_opens_where_things_happen() -> None:
    events = copies()
    _, groups = vcd.write([events], "x.vcd")
    start = re.search(r"^\[timestart\] (\d+)$", groups, re.MULTILINE)
    zoom = re.search(r"^\*(-?[\d.]+) ", groups, re.MULTILINE)
    assert start is not None and int(start[1]) == events[0].time
    assert zoom is not None
    span = 5 * 2 ** -float(zoom[1])  # what five frames of 200 pixels show
    assert span == pytest.approx(events[-1].time - events[0].time, rel=0.1)


@interpreted
def test_svg_is_a_picture_of_the_descriptor() -> None:
    events = Filter(after="hidma_prep_dma_memcpy", until="hidma_free_chan_resources").apply(copies())
    picture = svg.draw([events])
    tree = xml.dom.minidom.parseString(picture)
    texts = [t.lastChild.data for t in tree.getElementsByTagName("text") if t.lastChild is not None]
    assert {"CPU 0", "CPU 1", "hidma.chan0", "hidma_tx_submit()", "TRCA_DOORBELL = 0x20"} <= set(texts)
    assert "prefers-color-scheme:dark" in picture and "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    width = float(tree.documentElement.getAttribute("width"))
    for t in tree.getElementsByTagName("text"):
        assert float(t.getAttribute("x")) + 7 * len(t.lastChild.data) < width  # type: ignore[union-attr]
    assert any(t.getElementsByTagName("title") for t in tree.getElementsByTagName("text"))  # a long one, whole


def test_svg_refuses_a_trace_that_is_too_long() -> None:
    events = copies()
    with pytest.raises(svg.TooMany, match=r"a diagram of \d+ events is too long \(600 at most\): filter with"):
        svg.draw([events * 2])
    with pytest.raises(svg.TooMany, match="a diagram shows one machine, and 2 had events"):
        svg.draw([events[:5], events[:5]])


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_command_of_hidma_prints_beside_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "--kind", "tre", "--", "dmatest", "--iterations", "3", "--channel", "dma0chan0")
    assert status == 0
    assert len(out.splitlines()) == 3
    assert "dmatest" in err


def test_names_of_dmatest_s_callback(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--kind", "callback", "--", "dmatest", "--iterations", "2", "--channel", "dma0chan0")
    assert [line.split()[-1] for line in out.splitlines()] == ["dmatest_callback()"] * 2


@pytest.mark.parametrize("name", ["channel_basic", "ll_error_wrap", "mgmt_sys_store_max_wr_xactions", "dbg_active"])
def test_a_recorded_scenario(capsys: pytest.CaptureFixture[str], name: str) -> None:
    status, out, err = run(capsys, "--format", "json", "--", str(GOLDEN / f"{name}.json"))
    assert (status, err) == (0, "")
    events = json.loads(out)
    recorded = json.loads((GOLDEN / f"{name}.json").read_text())
    accesses = [[e["kind"][0], e["data"]["offset"], e["data"]["value"]] for e in events if e["kind"] in ("read", "write")]
    assert accesses == [[e[0], *e[2:]] for e in recorded["expected"] if e[0] in ("r", "w")]
    steps = [e for e in events if e["kind"] == "scenario" and e["data"]["call"].startswith("step")]
    assert len(steps) == len(recorded["scenario"]["steps"])
    assert any(e["kind"] == "function" for e in events)


@pytest.mark.parametrize("kind", ["text", "chrome", "vcd", "svg", "json"])
def test_every_format_goes_to_a_file(capsys: pytest.CaptureFixture[str], one: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / f"trace.{kind}"
    arguments = ("--format", kind, "--after", "hidma_prep_dma_memcpy", "-o", str(out), "--", str(one))
    assert run(capsys, *arguments)[0] == 0
    first = out.read_bytes()
    assert len(first) > 1000
    assert (tmp_path / "trace.gtkw").exists() == (kind == "vcd")
    assert run(capsys, *arguments)[0] == 0
    assert out.read_bytes() == first


def test_vocabulary(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--kinds")
    assert status == 0 and all(re.search(rf"^{kind} ", out, re.MULTILINE) for kind in KINDS)


def test_status_is_that_of_what_was_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    script.write_text(ONE + "import sys\nsys.exit(7)\n")
    assert run(capsys, "--kind", "tre", "--", str(script))[0] == 7


def test_trace_of_a_run_that_is_stopped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "stopped.py"
    script.write_text(ONE + "raise KeyboardInterrupt\n")
    status, out, err = run(capsys, "--kind", "tre", "--", str(script))
    assert status == 130 and len(out.splitlines()) == 1
    assert err == "hidma: stopped; this is the trace up to here\n"


def test_script_gets_its_arguments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "says.py"
    script.write_text("import sys\nprint(sys.argv[1:])\n" + ONE)
    status, _, err = run(capsys, "--kind", "tre", "--", str(script), "a", "--kind")
    assert status == 0 and "['a', '--kind']" in err


# --- what is no trace -------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence."""
    status, out, err = run(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    return err


def test_trace_without_events(capsys: pytest.CaptureFixture[str], one: Path, tmp_path: Path) -> None:
    empty = tmp_path / "nothing.py"
    empty.write_text("")
    assert refused(capsys, "--", str(empty)) == f"hidma: the trace has no event: {empty} booted no machine\n"
    assert re.search(r"none of \d+ passes the filters", refused(capsys, "--channel", "5", "--kind", "tre", "--", str(one)))


def test_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str], one: Path, tmp_path: Path) -> None:
    assert "is a directory; -o names a file" in refused(capsys, "-o", str(tmp_path), "--", str(one))
    assert "cannot be written: No such file or directory" in refused(capsys, "-o", str(tmp_path / "no" / "x"), "--", str(one))
    assert "cannot be written" in refused(capsys, "-o", "/proc/x", "--", str(one))


def test_nothing_to_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "trace what?" in refused(capsys)
    assert "'dmatset' is neither a command of hidma nor a file" in refused(capsys, "--", "dmatset")
    assert "trace cannot be traced" in refused(capsys, "--", "trace", "--", "dmesg")
    (tmp_path / "x.json").write_text("{}")
    assert "is not a scenario" in refused(capsys, "--", str(tmp_path / "x.json"))
    assert "'soon' is no time" in refused(capsys, "--from", "soon", "--", "dmesg")
    assert "there is no kind of event called 'x'" in refused(capsys, "--kind", "x", "--", "dmesg")
    status, out, err = run(capsys, "--channel", "9", "--", "dmesg")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("hidma: the run has no channel 9; it has hidma.chan0, hidma.chan1")


def test_script_that_fails_is_told_as_python_would(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text(ONE + "raise KeyError('mine')\n")
    status, _, err = run(capsys, "--kind", "tre", "--", str(script))
    assert status == 1
    assert "KeyError: 'mine'" in err and "runpy" not in err and "hidma/trace" not in err


def test_vcd_without_its_extra(tmp_path: Path, one: Path) -> None:
    code = ("import sys; sys.modules['vcd'] = None\n"
            "from hidma.commands.main import main; sys.exit(main(sys.argv[1:]))")
    done = subprocess.run([sys.executable, "-c", code, "trace", "--format", "vcd", "--", str(one)], capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT), "HIDMA_INTERPRETED": "1"})
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("hidma: this needs the Python module vcd: pip install ") and "[trace]'" in done.stderr
