# SPDX-License-Identifier: GPL-2.0-only
"""tools/replay from outside, and what the format says that no recorded file shows."""

from __future__ import annotations

import gc
import json
import os
import pty
import random
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hidma.commands.replay import load, replay
from hidma.commands.replay import runner as replay_runner
from hidma.commands.replay.device import ScenarioError
from hidma.commands.replay.runner import Scenario
from hidma.linux.kernel import Kernel
from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "data" / "golden"
QUIRKS = ROOT / "tests" / "data" / "quirks"
COHERENT = ["0x80000000", "0x80010000", "0x90000000", "0x90010000"]
MGMT = {"dma-channels": 2, "channel-reset-timeout-cycles": 1280, "max-write-burst-bytes": 1024,
        "max-read-burst-bytes": 1024, "max-write-transactions": 31, "max-read-transactions": 31}
COPY = ["prep", "a", "0x300000000", "0x1000", 64, 3]


# --- the program ----------------------------------------------------------------------------------------------------


def program(*arguments: Any, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it; the checkout is on the path wherever it runs."""
    env = dict(os.environ, PYTHONPATH=str(ROOT), **environment)
    return subprocess.run([sys.executable, "-P", "-m", "hidma.commands.replay", *map(str, arguments)], cwd=cwd, env=env,
                          capture_output=True, text=True)


def write(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def altered(path: Path, source: str, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of a golden file with something changed."""
    data = json.loads((GOLDEN / f"{source}.json").read_text())
    change(data)
    return write(path, data)


def test_each_file_is_one_line_of_json_in_the_order_given(tmp_path: Path) -> None:
    names = ["mgmt_probe_channels_1", "ll_start_only", "channel_basic", "ll_start_only"]
    for name in set(names):
        shutil.copy(GOLDEN / f"{name}.json", tmp_path)
    done = program(*[f"{name}.json" for name in names], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [json.loads(line) for line in lines] == [load(GOLDEN / f"{name}.json").expected for name in names]


def test_check_sums_up_and_exits_0_when_all_agree() -> None:
    done = program("--check", GOLDEN / "ll_start_only.json", QUIRKS / "ll_hang_cleanup_overrun.json")
    mode = "compiled" if _mode.compiled() else "interpreted"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"2 of 2 agree with the recording ({mode})\n"


def test_check_shows_the_first_difference_with_five_events_before_it(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["expected"][9][3] = 77
        data["expected"][12] = ["log", "err", "later ones are not shown"]

    path = altered(tmp_path / "changed.json", "ll_start_only", change)
    right = load(GOLDEN / "ll_start_only.json").expected
    assert right is not None
    done = program("--check", path, GOLDEN / "ll_start_only.json")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{path}: the first difference, in step 0:"
    assert lines[1:6] == [f"  event {i}: {json.dumps(right[i])}" for i in range(4, 9)]
    assert lines[6] == f"  event 9: got    {json.dumps(right[9])}"
    assert lines[7] == f"  event 9: wanted {json.dumps([*right[9][:3], 77])}"
    assert lines[8].startswith("1 of 2 agree with the recording (") and lines[8].endswith("), 1 differs")
    assert len(lines) == 9


def test_check_shows_an_end_that_comes_too_early_or_too_late(tmp_path: Path) -> None:
    short = altered(tmp_path / "short.json", "ll_start_only", lambda data: data["expected"].pop())
    long = altered(tmp_path / "long.json", "ll_start_only", lambda data: data["expected"].append(["step", 9]))
    done = program("--check", short, long)
    assert done.returncode == 1
    assert 'wanted "nothing more"' in done.stdout and 'got    "nothing more"' in done.stdout


def test_check_tells_true_from_1(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        at = next(i for i, event in enumerate(data["expected"]) if event == ["ret", "init", True])
        data["expected"][at] = ["ret", "init", 1]

    assert program("--check", altered(tmp_path / "one.json", "ll_start_only", change)).returncode == 1


def test_check_wants_an_oops_where_the_native_runs_define_nothing(tmp_path: Path) -> None:
    data = json.loads((QUIRKS / "ll_hang_cleanup_overrun.json").read_text())
    data["scenario"]["steps"].pop()  # without the interrupt nothing hangs
    done = program("--check", write(tmp_path / "quiet.json", data))
    assert done.returncode == 1 and '["oops", "38"]' in done.stdout


def test_check_without_anything_recorded_is_a_sentence(tmp_path: Path) -> None:
    path = altered(tmp_path / "bare.json", "ll_start_only", lambda data: data.pop("expected"))
    done = program("--check", path)
    assert done.returncode == 2
    assert done.stderr == f"replay: {path}: nothing to compare with: it has neither 'expected' nor 'runs'\n"
    assert program(path).returncode == 0


BROKEN: dict[str, tuple[Any, str]] = {
    "not_json": ("{", "is not a scenario: Expecting property name"),
    "empty": ("", "is not a scenario: Expecting value"),
    "list": ([], "is not a scenario: it has no object named 'scenario'"),
    "no_steps": ({"scenario": {"layer": "ll"}}, "is not a scenario: it has no list named 'steps'"),
    "deep": ("[" * 100_000, "is not a scenario: it is nested too deeply"),
    "expected": ({"scenario": {"steps": []}, "expected": 5}, "what is expected is a list of events, not 5"),
    "runs": ({"scenario": {"steps": []}, "runs": {"O2": 3}}, "the native runs are objects"),
    "layer": ({"scenario": {"layer": "x", "steps": []}}, 'layer "x" is not one of channel, dbg, ll, mgmt, mgmt_sys'),
    "no_layer": ({"scenario": {"steps": []}}, "layer null is not one of"),
    "device": ({"scenario": {"layer": "ll", "steps": [], "device": 3}}, "device is an object, not 3"),
    "block": ({"scenario": {"layer": "ll", "steps": [], "device": {"regs": {"x": {"0": 1}}}}},
              '"x" is not one of the blocks trca, evca, mgmt'),
    "command": ({"scenario": {"layer": "ll", "steps": [], "device": {"latency": {"trca": {"STOP": 1}}}}},
                '"STOP" is not one of the commands DISABLE, ENABLE, SUSPEND, RESET'),
    "resources": ({"scenario": {"layer": "channel", "steps": [], "resources": [["trca", 1]]}},
                  'a resource is [block, start, size], not ["trca", 1]'),
    "one_block": ({"scenario": {"layer": "ll", "steps": [], "resources": []}}, "the low level has two blocks"),
    "node": ({"scenario": {"layer": "mgmt", "steps": [], "of": [3]}}, "a node is an object with a name, not 3"),
}

BROKEN_STEPS: dict[str, tuple[str, Any, str]] = {
    "no_list": ("ll", "irq", 'a step is a list that begins with its name, not "irq"'),
    "no_name": ("ll", [], "a step is a list that begins with its name, not []"),
    "unknown": ("ll", ["fly"], "the layer 'll' has no step 'fly'"),
    "other_layer": ("mgmt", ["prep", "a", 1, 2, 3, 4], "the layer 'mgmt' has no step 'prep'"),
    "few": ("ll", ["poke", "trca"], 'poke takes block offset value; this is ["poke", "trca"]'),
    "many": ("ll", ["now", 1], 'now takes nothing; this is ["now", 1]'),
    "number": ("ll", ["advance", "soon"], 'advance: "soon" is not a number'),
    "null": ("ll", ["advance", None], "advance: null is not a number"),
    "fraction": ("ll", ["advance", 1.5], "advance: 1.5 is not a number"),
    "past": ("ll", ["advance", -1], "advance: -1 is no span of time"),
    "block": ("ll", ["poke", "xyz", 0, 0], 'poke: "xyz" is not one of the blocks'),
    "name": ("ll", ["queue", "zz"], 'queue: "zz" is neither the name of a TRE that was requested nor a number'),
    "ring": ("ll", ["ring", "tree", 0], "ring: \"tree\" is neither 'tre' nor 'evre'"),
    "hook": ("ll", ["hook", "x", "trca", 0, 1, []], "hook: \"x\" is neither 'r' nor 'w'"),
    "hook_steps": ("ll", ["hook", "r", "trca", 0, 1, 5], "hook: what a hook does is a list, not 5"),
    "nested": ("ll", ["on_cb", "a", [["fly"]]], "request: the layer 'll' has no step 'fly'"),
    "endless": ("ll", ["complete", 10**12, 1, 0], "complete: 1000000000000 completions are more than"),
    "no_channel": ("channel", ["issue"], "issue: there is no channel before a probe that succeeds"),
    "no_desc": ("channel", ["corrupt_tre", "a", 1], 'corrupt_tre: "a" is no descriptor that was prepared'),
    "field": ("mgmt", ["set_field", "height", 1], 'set_field: ["height", 1] is no field with its value'),
    "module": ("mgmt", ["module_init", "other"], 'module_init: "other" is not one of hidma_mgmt_init'),
    "text": ("mgmt_sys", ["store", "weight", 5], "store: 5 is not a text"),
}


def check_sentences(done: subprocess.CompletedProcess[str], wanted: list[tuple[Path, str]]) -> None:
    """One sentence for each broken file, with its name and what is wrong, and the good one among them was run."""
    good = load(GOLDEN / "ll_start_only.json").expected
    assert [json.loads(line) for line in done.stdout.splitlines()] == [good]
    lines = done.stderr.splitlines()
    assert len(lines) == len(wanted), done.stderr
    for line, (path, text) in zip(lines, wanted, strict=True):
        assert line.startswith(f"replay: {path}") and text in line
        assert "Traceback" not in line
    assert done.returncode == 2


def test_malformed_files_are_sentences_and_the_others_still_run(tmp_path: Path) -> None:
    wanted = [(write(tmp_path / f"{name}.json", data), text) for name, (data, text) in BROKEN.items()]
    missing, latin = tmp_path / "missing.json", tmp_path / "latin.json"
    latin.write_bytes(b'{"scenario": "\xe9"}')
    wanted += [(missing, "cannot be read: No such file or directory"), (tmp_path, "cannot be read: Is a directory"),
               (latin, "is not a scenario: 'utf-8' codec can't decode")]
    paths = [path for path, _ in wanted]
    check_sentences(program(*paths[:3], GOLDEN / "ll_start_only.json", *paths[3:]), wanted)


def test_malformed_steps_are_sentences_and_the_others_still_run(tmp_path: Path) -> None:
    wanted = []
    for name, (layer, step, text) in BROKEN_STEPS.items():
        before = [["init", 4, 0]] if layer == "ll" else []
        after = [["request", "a"]] if name == "nested" else []
        data = {"scenario": {"layer": layer, "coherent": COHERENT, "steps": [*before, step, *after]}}
        index = len(before) + len(after)
        wanted.append((write(tmp_path / f"step_{name}.json", data), f": step {index}: {text}"))
    check_sentences(program(GOLDEN / "ll_start_only.json", *[path for path, _ in wanted]), wanted)


def test_broken_file_outweighs_a_difference(tmp_path: Path) -> None:
    differs = altered(tmp_path / "differs.json", "ll_start_only", lambda data: data["expected"].pop())
    done = program("--check", differs, tmp_path / "missing.json", GOLDEN / "ll_start_only.json")
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1].endswith("), 1 differs, 1 could not be run")


@pytest.mark.parametrize(("arguments", "text"), [
    ([], "replay: missing argument 'FILE...'"), (["--fast", "x.json"], "replay: no such option '--fast'"),
])
def test_wrong_call_is_one_sentence(arguments: list[str], text: str) -> None:
    done = program(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert text in done.stderr and len(done.stderr.splitlines()) == 1


def test_interpreted_runs_the_sources() -> None:
    done = program("--interpreted", "--check", GOLDEN / "ll_start_only.json", HIDMA_INTERPRETED="0")
    assert (done.returncode, done.stdout) == (0, "1 of 1 agree with the recording (interpreted)\n")


def test_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    files = [str(path) for path in sorted(GOLDEN.glob("ll_*.json"))]
    command = [sys.executable, "-P", "-m", "hidma.commands.replay", *files]
    with subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""


def test_progress_goes_to_the_terminal_and_never_to_the_standard_output() -> None:
    files = [str(path) for path in sorted(GOLDEN.glob("ll_*.json"))]
    main, other = pty.openpty()
    try:
        command = [sys.executable, "-P", "-m", "hidma.commands.replay", *files]
        environment = dict(os.environ, PYTHONPATH=str(ROOT), TERM="xterm")
        done = subprocess.run(command, stderr=other, stdout=subprocess.PIPE, env=environment)
        drawn = b""
        while select.select([main], [], [], 0)[0]:
            drawn += os.read(main, 65536)
    finally:
        os.close(main)
        os.close(other)
    assert done.returncode == 0
    assert f"{len(files)}/{len(files)}".encode() in drawn
    assert all(line.startswith(b"[[") for line in done.stdout.splitlines())


def test_script_starts_the_program_with_its_arguments(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("replay", "_env.sh"):
        shutil.copy(ROOT / "tools" / name, tools)
    write(tools / "_env.py", "import sys; print(sys.argv[1:])\n")
    done = subprocess.run([tools / "replay", "--check", "a b.json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "['replay', '--check', 'a b.json']\n", done.stderr


# --- the format: what no recorded file shows --------------------------------------------------------------------------


def play(layer: str, steps: list[Any], **more: Any) -> list[Any]:
    """The events of a scenario made here."""
    scenario = {"layer": layer, "coherent": COHERENT, "steps": steps, **more}
    if layer in ("channel", "dbg"):
        scenario.setdefault("properties", {"desc-count": 4})
    if layer in ("mgmt", "mgmt_sys"):
        scenario.setdefault("properties", MGMT)
    return replay(Scenario("here", scenario, None, None))


def only(events: list[Any], *kinds: str) -> list[Any]:
    """The events of some kinds."""
    return [event for event in events if event[0] in kinds]


def returned(events: list[Any], op: str) -> list[Any]:
    """What each ``op`` returned."""
    return [event[2:] for event in events if event[:2] == ["ret", op]]


def test_numbers_may_be_strings_anywhere() -> None:
    plain = [["init", 5, 3], ["request", "a", {"sig": 7}], ["set", 0, 4096, 8192, 64, 1], ["queue", 0],
             ["poke", "trca", 0x18, 0], ["complete", 1, 1, 5], ["raise", 1], ["irq"], ["status", 0], ["advance", 20],
             ["now"], ["ring", "tre", 0], ["latency", "trca", "SUSPEND", 2], ["access_ns", 10], ["set_pending", 0],
             ["cleanup", 1, 4], ["peek", "evca", 0x100], ["dump", "full"]]

    def text(value: Any) -> Any:
        return hex(value) if isinstance(value, int) else value

    strings = [[step[0], *[{"sig": "0b111"} if isinstance(arg, dict) else text(arg) for arg in step[1:]]]
               for step in plain]
    device = {"access_ns": 5, "latency": {"trca": {"ENABLE": 1}}, "regs": {"trca": {"0x28": 9}}}
    as_text = {"access_ns": "5", "latency": {"trca": {"ENABLE": "0x1"}}, "regs": {"trca": {"40": "0x9"}}}
    assert play("ll", strings, device=as_text, irq="0x5") == play("ll", plain, device=device)


def test_value_wider_than_its_field_is_cut_as_c_cuts_it() -> None:
    wide = ["set", 0, -1, 1 << 64, (1 << 32) + 5, -1]
    events = play("ll", [["init", 4, 0x1FF], ["request", "a"], wide, ["dump", "full"]])
    dump = events[-1][1]
    assert dump["chidx"] == 0xFF
    assert dump["pool"][0]["tre_local"][1:6] == [5, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0]
    assert dump["pool"][0]["int_flags"] == 0xFFFFFFFF
    status = play("channel", [["probe"], ["tx_status", 0x80000001], ["tx_status", "1"], ["set_cookie", 1 << 32, -1]])
    assert returned(status, "tx_status") == [["DMA_COMPLETE", [1, 1, 0]], ["DMA_COMPLETE", [1, 1, 0]]]


@pytest.mark.parametrize(("option", "called"), [
    ({}, ["b"]), ({"cb": "other"}, ["other"]), ({"cb": None}, []), ({"cb": False}, []), ({"cb": "keep"}, ["a"]),
])
def test_callback_of_prep(option: dict[str, Any], called: list[str]) -> None:
    def copy(name: str, *options: Any) -> list[Any]:
        return [["prep", name, 0, 0, 64, 3, *options], ["submit", name], ["issue"], ["complete", 1, 1, 0], ["irq"],
                ["tasklet"]]

    # three more and the descriptor of the first comes round again
    rounds = [step for name in ("c", "d", "e") for step in copy(name, {"cb": None})]
    events = play("channel", [["probe"], ["alloc"], *copy("a"), *rounds, *copy("b", *([option] if option else []))])
    assert only(events, "cb") == [["cb", "a"], *[["cb", name] for name in called]]


def test_callback_may_be_set_and_taken_away() -> None:
    done = [["submit", "a"], ["issue"], ["complete", 1, 1, 0], ["irq"], ["tasklet"]]
    events = play("channel", [["probe"], ["alloc"], COPY, ["set_callback", "a", None], *done])
    assert only(events, "cb") == []


@pytest.mark.parametrize("cb", [False, None])
def test_request_without_a_callback(cb: Any) -> None:
    assert only(play("ll", [["init", 4, 0], ["request", "a", {"cb": cb}]]), "cb") == []


def test_fault_may_be_added_by_a_step() -> None:
    events = play("channel", [["probe"], ["fault", "alloc", 12], ["alloc"], ["dump"], ["alloc"]])
    assert only(events, "alloc_fail") == [["alloc_fail", "kzalloc", 12]]  # nine in the probe, then two descriptors
    assert returned(events, "alloc") == [[-12], [1]]


def test_fault_that_counts_calls_counts_from_the_start() -> None:
    events = play("mgmt", [["fault", "kobject_create", 3], ["probe"]])
    assert only(events, "kobject") == [["kobject", "chanops"], ["kobject", "chanops/chan0"]]
    assert returned(events, "probe") == [[-12]]


@pytest.mark.parametrize("nth", range(1, 10))
def test_every_allocation_of_a_channel_probe_in_the_order_of_c(nth: int) -> None:
    kinds = ["devm_kzalloc", "devm_kzalloc", "devm_kcalloc", "devm_kcalloc", "devm_kcalloc", "kfifo", "devm_kzalloc",
             "devm_kmalloc", "devm_kstrdup"]
    events = play("channel", [["probe"]], faults={"alloc": nth})
    assert only(events, "alloc_fail") == [["alloc_fail", kinds[nth - 1], nth]]
    rc = {1: -12, 7: -12, 8: 0, 9: 0}.get(nth, -517)
    assert returned(events, "probe") == [[rc]]
    assert ["sysfs", "chid", 292] not in events


@pytest.mark.parametrize("nth", range(1, 30))
def test_every_allocation_of_a_management_probe_in_the_order_of_c(nth: int) -> None:
    # the device, priority, weight, chroots; then attribute and name of each of 8 + 2 * 2 files
    kinds = ["devm_kzalloc", "devm_kcalloc", "devm_kcalloc", "devm_kmalloc", *["devm_kmalloc", "devm_kstrdup"] * 12]
    events = play("mgmt", [["probe"]], faults={"alloc": nth})
    if nth > len(kinds):
        assert returned(events, "probe") == [[0]]
        return
    assert only(events, "alloc_fail") == [["alloc_fail", kinds[nth - 1], nth]]
    assert returned(events, "probe") == [[-12]]
    assert len(only(events, "sysfs")) == max(0, nth - 5) // 2


def test_memory_that_no_kernel_would_give_is_refused_and_not_tried() -> None:
    assert returned(play("channel", [["probe"]], properties={"desc-count": 0xFFFFFFFE}), "probe") == [[-517]]
    assert returned(play("mgmt", [["probe"]], properties={**MGMT, "dma-channels": 0xFFFFFFFF}), "probe") == [[-12]]
    assert returned(play("ll", [["init", 0xFFFFFFFF, 0]]), "init") == [[False]]


def test_both_dma_masks_refused_is_what_the_second_call_returned() -> None:
    events = play("channel", [["probe"]], faults={"dma_set_mask_64": -5, "dma_set_mask_32": -6})
    assert only(events, "dma_mask") == [["dma_mask", 64, -5], ["dma_mask", 32, -6]]
    assert returned(events, "probe") == [[-6]]


@pytest.mark.parametrize(("irq", "rc"), [(0, 0), (1, 0), (-6, -19), (-517, -19)])
def test_interrupt_0_is_one_and_a_negative_one_none(irq: int, rc: int) -> None:
    events = play("channel", [["probe"], ["irq"]], irq=irq)
    assert returned(events, "probe") == [[rc]]
    assert returned(events, "irq") == [[None if rc else 1]]
    assert only(events, "request_irq") == ([] if rc else [["request_irq", irq, "qcom-hidma", 0]])


@pytest.mark.parametrize(("nth", "made"), [
    (1, []), (2, ["QCOM8061:00"]), (3, ["QCOM8061:00", "QCOM8061:00/chan0"]),
    (4, ["QCOM8061:00", "QCOM8061:00/chan0", "QCOM8061:00/chan0/stats"]),
])
def test_debugfs_call_that_fails_undoes_the_others_and_the_probe_goes_on(nth: int, made: list[str]) -> None:
    events = play("channel", [["probe"], ["debugfs", "QCOM8061:00/chan0/stats"]], faults={"debugfs": nth})
    assert [event[1] for event in only(events, "debugfs")] == made
    removed = [] if nth == 1 else [["debugfs_remove", "QCOM8061:00"], ["debugfs_remove", None]]
    assert only(events, "debugfs_remove") == removed
    assert returned(events, "probe") == [[0]]
    assert only(events, "text") == [["text", "QCOM8061:00/chan0/stats", None]]


def test_tasklets_run_after_the_interrupt_in_every_layer() -> None:
    queue = [["request", "a"], ["queue", "a"], ["start"], ["complete", 1, 1, 0], ["irq"]]
    low = play("ll", [["init", 4, 0], *queue], tasklet="after_irq")
    assert low[-2:] == [["ret", "irq", 1], ["cb", "a"]]
    # also where nobody handles the interrupt: the issue task of a removed channel still runs
    steps = [["probe"], ["alloc"], ["pm_get_rc", -13], COPY, ["submit", "a"], ["issue"], ["remove"], ["irq"]]
    events = play("channel", steps, tasklet="after_irq")
    after = events[events.index(["ret", "irq", None]):]
    assert [event[:3] for event in after[1:]] == [["pm", "get_sync", 3], ["w", "trca", 0x400]]


def test_tasklets_of_a_step_in_a_callback_run_there() -> None:
    inner = [["complete", 1, 1, 0], ["irq"], ["tasklet"]]
    steps = [["init", 6, 0], ["request", "a"], ["request", "b"], ["queue", "a"], ["queue", "b"], ["start"],
             ["on_cb", "a", [["hook", "w", "evca", "0x108", 1, []], *inner, ["now"]]], ["access_ns", 100_000_000],
             ["complete", 1, 1, 0], ["irq"], ["tasklet"]]
    events = play("ll", steps)
    last = events[events.index(["step", 10]) + 1 :]
    assert last[0] == ["cb", "a"]
    # b is called back by the inner step: before the inner "now", the last thing that the callback of a does
    kinds = [event[:2] for event in last if event[0] in ("cb", "ret")]
    assert kinds == [["cb", "a"], ["ret", "irq"], ["cb", "b"], ["ret", "now"]]


def test_hook_waits_for_its_access_and_fires_once_and_may_set_another() -> None:
    inner = [["hook", "r", "evca", "0x100", 1, [["now"]]], ["peek", "evca", "0x110"]]
    steps = [["init", 4, 0], ["hook", "r", "evca", "0x100", 2, inner], ["irq"], ["irq"], ["irq"], ["irq"]]
    events = play("ll", steps)
    fired = [index for index, event in enumerate(events) if event[:2] in (["ret", "peek"], ["ret", "now"])]
    reads = [index for index, event in enumerate(events) if event[:3] == ["r", "evca", 0x100]]
    # two reads in the setup came before; the second and the third after the step fire
    assert fired == [reads[3] + 1, reads[4] + 1]


def test_time_advances_and_accesses_take_theirs() -> None:
    events = play("ll", [["advance", 7], ["now"], ["access_ns", 10], ["init", 4, 0], ["now"]])
    accesses = len(only(events, "r", "w"))
    assert returned(events, "now") == [[7000], [7000 + 10 * accesses]]


def test_ring_beyond_its_memory_is_null() -> None:
    steps = [["ring", "tre", 0], ["init", 4, 0], ["ring", "tre", 4], ["ring", "tre", 7], ["ring", "evre", 1 << 40],
             ["ring", "tre", -1]]
    assert [event[3] for event in only(play("ll", steps), "ring")] == [None, [0] * 8, None, None, None]


def test_rings_next_to_each_other_are_kept_apart() -> None:
    steps = [["init", 4, 0], ["request", "a"], ["queue", "a"], ["complete", 1, 1, 9], ["ring", "evre", 0]]
    events = play("ll", steps, coherent=["0x80000000", "0x80000100"])
    assert events[-1] == ["ring", "evre", 0, [0x23 | 9 << 24 | 1 << 28, 0, 0, 0]]


def test_completions_may_be_more_than_were_queued() -> None:
    events = play("ll", [["init", 4, 0], ["complete", 7, 1, 0], ["peek", "evca", "0x20"], ["peek", "trca", "0x18"]])
    assert returned(events, "peek") == [[7 * 16 % 80], [7 * 32 % 160]]


def test_second_init_makes_a_second_object() -> None:
    steps = [["init", 4, 0], ["request", "a"], ["init", 8, 1], ["dump"], ["request", "b"], ["init", 2, 0], ["dump"],
             ["irq"]]
    events = play("ll", steps)
    assert [event[1]["nr_tres"] for event in only(events, "dump")] == [9]
    assert returned(events, "request") == [[0, 0], [0, 0]]
    assert returned(events, "init") == [[True], [True], [False]]
    assert events[-1] == ["oops", None]  # C follows a NULL pointer


def test_steps_after_uninit_do_what_c_does() -> None:
    low = [["init", 4, 0], ["request", "a"], ["queue", "a"], ["uninit"]]
    for step in (["queue", 0], ["request", "b"], ["free", 0], ["set", 0, 1, 2, 3, 4]):
        assert play("ll", [*low, step])[-1] == ["oops", 65]
    fine = play("ll", [*low, ["status", "a"], ["setup"], ["isenabled"], ["pause"], ["resume"], ["start"], ["dump"]])
    assert [event[1] for event in only(fine, "ret")][-5:] == ["status", "setup", "isenabled", "pause", "resume"]
    # the entry stays behind, the counter does not
    assert fine[-1][1]["pending"][0] == 0 and fine[-1][1]["pending_tre_count"] == 0


def test_step_without_an_object_is_an_oops() -> None:
    for step in (["start"], ["set", 0, 1, 2, 3, 4], ["dump"], ["free", 0], ["isenabled"], ["set_pending", 1]):
        events = play("ll", [["init", 3, 0], step])
        assert events[-1] == (["step", 1] if step == ["dump"] else ["oops", None])
    assert returned(play("ll", [["uninit"]]), "uninit") == [[-19]]


def test_probe_after_remove_and_probe_after_probe() -> None:
    copy = [["alloc"], COPY, ["submit", "a"], ["issue"], ["complete", 1, 1, 0], ["irq"], ["tasklet"]]
    for between in ([["remove"]], []):
        events = play("channel", [["probe"], *between, ["probe"], *copy, ["show", "chid"]])
        assert returned(events, "probe") == [[0], [0]]
        assert only(events, "cb") == [["cb", "a"]]
        assert returned(events, "show") == [["0\n"]]
        assert only(events, "sysfs") == [["sysfs", "chid", 292]] * 2


def test_channel_that_is_removed_still_answers_as_in_c() -> None:
    steps = [["probe"], ["alloc"], COPY, ["submit", "a"], ["remove"], ["tx_status", "a"], ["issue"], ["pause"], ["irq"],
             ["submit", "a"], ["dump"]]
    events = play("channel", steps)
    assert returned(events, "tx_status") == [["DMA_IN_PROGRESS", [1, 2, 0]]]
    assert returned(events, "submit") == [[2], [-19]]
    assert returned(events, "irq") == [[None]]
    assert "lists" not in events[-1][1] and events[-1][1]["ll"]["initialized"] == 0


def test_get_of_power_management_returns_what_the_scenario_says_even_when_it_is_disabled() -> None:
    events = play("channel", [["probe"], ["remove"], ["issue"], ["pm_get_rc", -13], ["issue"], ["tasklet"]])
    doorbells = [index for index, event in enumerate(events) if event[:3] == ["w", "trca", 0x400]]
    assert [events[index - 1][:2] for index in doorbells] == [["pm", "get"], ["pm", "get_sync"]]


def test_attribute_is_found_by_its_path_only() -> None:
    paths = ["chanops", "chanops/chan2/weight", "chanops/chan0", "", "weight", "chanops/chan0/weight/x"]
    stores = [[op, path, "1"] for op in ("store", "store_raw") for path in paths]
    events = play("mgmt_sys", [["probe"], *[["show", path] for path in paths], *stores])
    for op in ("show", "store", "store_raw"):
        assert returned(events, op) == [[-2]] * len(paths)


def test_store_without_the_mode_test_is_the_drivers_own() -> None:
    version, weight = "hw_version_major", "chanops/chan1/weight"
    steps = [["probe"], ["store", version, "3"], ["store_raw", version, "259\n"], ["show", version],
             ["store_raw", weight, "0x7"], ["show", weight], ["store", weight, "é"],
             ["store", weight, "5", {"as": "priority"}]]
    events = play("mgmt_sys", steps)
    assert returned(events, "store") == [[-13], [-22], [-22]]
    assert returned(events, "store_raw") == [[4], [3]]
    assert returned(events, "show") == [["0\n"], ["7\n"]]  # hidma_mgmt_setup() reads the version again


def test_field_is_as_wide_as_in_c() -> None:
    fields = [["hw_version_major", 0x1FF], ["max_wr_xactions", 1 << 32], ["addrsize", 1 << 63]]
    steps = [["probe"], *[["set_field", *field] for field in fields], ["set_field", "weight", 1, -1], ["dump"]]
    dump = play("mgmt", steps)[-1][1]
    assert (dump["hw_version_major"], dump["max_wr_xactions"], dump["addrsize"]) == (0xFF, 0, 1 << 63)
    assert dump["weight"] == [1, 0xFFFFFFFF]


def test_property_that_is_a_string_is_no_number() -> None:
    events = play("mgmt", [["probe"]], properties={**MGMT, "max-write-burst-bytes": "1024"})
    assert returned(events, "probe")[0][0] < 0
    assert ["log", "err", "max-write-burst-bytes missing"] in events
    assert returned(play("channel", [["probe"]], properties={"desc-count": None}), "probe") == [[0]]


def test_management_nodes_anywhere_in_the_tree_are_found_in_its_order() -> None:
    def channel(name: str, base: int, **more: Any) -> dict[str, Any]:
        return {"name": name, "reg": [0, base, 0, 4096], "irq": base, **more}

    inner = {"name": "inner", "compatible": "qcom,hidma-mgmt-1.0", "children": [channel("b", 2)]}
    tree = [{"name": "soc", "children": [
        {"name": "outer", "compatible": ["other", "qcom,hidma-mgmt-1.0"], "children": [channel("a", 1), inner]},
    ]}, {"name": "last", "compatible": "qcom,hidma-mgmt-1.0",
         "children": [channel("c", 3), channel("hidma-mgmt", 4, compatible="x")]}]
    events = play("mgmt", [["module_init", "hidma_mgmt_init"], ["of_refs"]], of=tree)
    # the second child of the node outer has no reg: its loop ends there
    made = [event[1:3] for event in only(events, "platform_device")]
    assert made == [["a", 0], ["b", 1], ["c", 2], ["hidma-mgmt", 3]]
    assert [event[1] for event in only(events, "of_refs")] == [
        "soc", "outer", "a", "inner", "b", "last", "c", "hidma-mgmt"]
    assert not only(events, "kobject")  # a device of the driver's own name is not bound here
    assert returned(events, "module_init") == [[0]]


def test_counter_of_devices_goes_on_with_a_second_init() -> None:
    tree = [{"name": "m", "compatible": "qcom,hidma-mgmt-1.0", "children": [{"name": "a", "reg": [1, 2], "irq": 3,
                                                                           "addr_cells": 1, "size_cells": 1}]}]
    init = ["module_init", "hidma_mgmt_init"]
    events = play("mgmt", [init, init], of=tree)
    assert [event[2] for event in only(events, "platform_device")] == [0, 1]
    assert only(events, "platform_device")[0][5] == [[1, 2, 512, None], [3, 0, 1024, "hidma event irq"]]


def test_allocation_of_resources_may_fail() -> None:
    child = {"name": "a", "reg": [0, 1, 0, 2], "irq": 3}
    tree = [{"name": "m", "compatible": "qcom,hidma-mgmt-1.0", "children": [child, {**child, "name": "b"}]}]
    events = play("mgmt", [["module_init", "hidma_mgmt_init"]], of=tree, faults={"alloc": 2})
    assert only(events, "alloc_fail") == [["alloc_fail", "kcalloc", 2]]
    assert [event[1] for event in only(events, "platform_device")] == ["a"]


def test_resources_and_parameters_are_taken_from_the_scenario() -> None:
    resources = [["trca", "0x1000", 256], ["evca", "0x8000", "0x200"]]
    events = play("channel", [["probe"], ["dump"], ["debugfs", "QCOM8061:00/stats"]], resources=resources,
                  properties={}, params={"nr_desc_prm": "0x6"})
    text = only(events, "text")[0][2]
    assert "dev_trca_phys=0x0000000000001000\n" in text and "dev_evca_size=0x0000000000000200\n" in text
    assert only(events, "dump")[0][1]["nr_descriptors"] == 6


def test_scenario_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_runner, "MOST_EVENTS", 500)
    with pytest.raises(ScenarioError, match=r"step 1: now: it does not end: more than 500 events|it does not end"):
        play("ll", [["init", 4, 0], *[["now"]] * 500])


def test_oops_ends_the_list_and_undoes_nothing() -> None:
    low = play("ll", [["init", 4, 0], ["on_cb", "a", [["queue", 99]]], ["request", "a"], ["now"]])
    assert low[-1] == ["oops", None] and ["step", 3] not in low
    # C goes is_kernel_fault in the callback of a terminated descriptor: the reference that the function took is not dropped
    inner = [["poke", "trca", 0, 256], ["poke", "evca", 0, 256], ["corrupt_tre", "a", 99], ["submit", "a"]]
    steps = [["probe"], ["alloc"], COPY, ["submit", "a"], ["on_cb", "a", inner], ["terminate_all"]]
    events = play("channel", steps)
    assert events[-1] == ["oops", None]
    assert events[-2][0] == "r"


# --- the rules of C for every value -----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", ["trca", "evca"])
@pytest.mark.parametrize("command", ["RESET", "ENABLE", "SUSPEND"])
def test_poll_takes_as_many_reads_as_the_latency_and_gives_up_after_13(block: str, command: str) -> None:
    code = {"RESET": 9, "ENABLE": 1, "SUSPEND": 2}[command]
    for latency in range(-1, 16):
        if command == "SUSPEND":
            steps = [["init", 4, 0], ["latency", block, command, latency], ["pause"], ["now"]]
            device = {}
        else:
            steps = [["init", 4, 0], ["now"]]
            before = 0x0300 if command == "RESET" else 0
            device = {"latency": {block: {command: latency}}, "regs": {block: {"0": before}}}
        events = play("ll", steps, device=device)
        done = 0 <= latency <= 12
        written = next(i for i, event in enumerate(events)
                       if event[:3] == ["w", block, 0] and event[3] >> 16 & 0xFF == code)
        reads = 0
        while events[written + 1 + reads][:3] == ["r", block, 0]:
            reads += 1
        # the other block is read between the two where it comes second
        assert reads == (latency + 1 if done else 13), latency
        assert returned(events, "now") == [[1_000_000 * min(latency, 11) if done else 11_000_000]]
        if command == "SUSPEND":
            assert returned(events, "pause") == [[0 if done else -110]]
        else:
            assert returned(events, "init") == [[done]]


def test_state_of_either_side_decides_what_pause_does() -> None:
    for trca in range(10):
        for evca in range(10):
            states = [["poke", "trca", 0, trca << 8], ["poke", "evca", 0, evca << 8]]
            events = play("ll", [["init", 4, 0], *states, ["isenabled"], ["pause"]])
            assert returned(events, "isenabled") == [[trca in (1, 2) and evca in (1, 2)]]
            writes = only(events[events.index(["step", 4]):], "w")
            at_rest = 3 in (trca, evca) or 4 in (trca, evca)
            assert [event[1] for event in writes] == ([] if at_rest else ["trca", "evca"])


def test_every_completion_code_and_info() -> None:
    for code in range(16):
        info = 15 - code
        low = play("ll", [["init", 4, 0], ["request", "a"], ["queue", "a"], ["complete", 1, code, info], ["irq"],
                          ["status", "a"], ["dump"]])
        status = "DMA_COMPLETE" if code & 1 else "DMA_ERROR" if code & 4 else "DMA_IN_PROGRESS"
        assert returned(low, "status") == [[status]]
        assert low[-1][1]["tx_status"][0] == [info, code]
        steps = [["probe"], ["alloc"], COPY, ["submit", "a"], ["issue"], ["complete", 1, code, info], ["irq"],
                 ["tasklet"], ["tx_status", "a"]]
        high = play("channel", steps)
        assert only(high, "cb") == ([["cb", "a"]] if code & 1 else [])
        assert returned(high, "tx_status") == [["DMA_COMPLETE", [2, 2, 0]]]


def test_every_number_of_tres() -> None:
    for count in [*range(70), 127, 128, 1000]:
        events = play("ll", [["init", count, 0], ["dump"]])
        entries = count + 1
        if count < 4:
            assert events == [["step", 0], ["ret", "init", False], ["step", 1]]
            continue
        assert only(events, "coherent") == [["coherent", 33 * entries, 1 << 31], ["coherent", 17 * entries, 0x80010000]]
        dump = events[-1][1]
        assert (dump["nr_tres"], dump["tre_ring_size"], dump["evre_ring_size"]) == (entries, 32 * entries, 16 * entries)
        assert dump["fifo_size"] == 1 << (8 * entries - 1).bit_length()
        assert len(dump["pending"]) == len(dump["tx_status"]) == entries


def test_rings_are_aligned_upwards_wherever_their_memory_lies() -> None:
    for off in range(64):
        steps = [["init", 4, 0], ["request", "a"], ["set", "a", 1, 2, 3, 0], ["queue", "a"], ["complete", 1, 1, 0],
                 ["irq"], ["status", "a"], ["dump"]]
        events = play("ll", steps, coherent=[0x80000000 + off, 0x80010000 + off])
        dump = events[-1][1]
        assert dump["tre_ring_handle"] == 0x80000000 + (off + 31) // 32 * 32
        assert dump["evre_ring_handle"] == 0x80010000 + (off + 15) // 16 * 16
        assert only(events, "ring") == [["ring", "tre", 0, [0x10003, 3, 1, 0, 2, 0, 0, 0]]]
        assert returned(events, "status") == [["DMA_COMPLETE"]]


def test_ring_at_the_end_of_all_addresses_wraps_as_in_c() -> None:
    events = play("ll", [["init", 4, 0], ["dump"]], coherent=[(1 << 64) - 1, (1 << 64) - 1])
    assert (events[-1][1]["tre_ring_handle"], events[-1][1]["evre_ring_handle"]) == (0, 0)


def test_every_limit_of_the_management_parameters() -> None:
    for name, field in (("max-write-burst-bytes", "write"), ("max-read-burst-bytes", "read")):
        for value in [*range(0, 1100, 7), 127, 128, 129, 256, 512, 1024, 1025, 2048, 1 << 31, (1 << 32) - 1]:
            events = play("mgmt", [["probe"]], properties={**MGMT, name: value})
            good = value in (128, 256, 512, 1024)
            assert returned(events, "probe") == [[0 if good else -22]]
            signed = value - (1 << 32) if value >> 31 else value
            assert (["log", "err", f"invalid {field} request {signed}"] in events) != good
    for name in ("max-write-transactions", "max-read-transactions"):
        for value in (0, 1, 30, 31, 32, 33, 63, 64, (1 << 32) - 1):
            assert returned(play("mgmt", [["probe"]], properties={**MGMT, name: value}), "probe") == [
                [0 if value <= 31 else -22]]
    for name in MGMT:
        missing = {other: value for other, value in MGMT.items() if other != name}
        assert returned(play("mgmt", [["probe"]], properties=missing), "probe") == [[-22]]


# --- scenarios at random ----------------------------------------------------------------------------------------------

NAMES = "abcde"
RUBBISH: list[Any] = [None, True, -1, 0, 5, 1 << 32, 1 << 64, 1.5, "a", "zz", "0x10", "trca", "RESET", "tre", "r", [],
                      [["irq"]], {}, {"null": ["lldev"]}, {"cb": None}]


def any_step(r: random.Random, layer: str, depth: int = 0) -> list[Any]:
    """A step that makes sense, most of the time."""
    name, block, number = r.choice(NAMES), r.choice(["trca", "evca"]), r.randrange
    nested = [any_step(r, layer, 1) for _ in range(number(3))] if not depth else []
    common = [["irq"], ["tasklet"], ["irq"], ["tasklet"], ["complete", number(4), r.choice([1, 1, 4, 5]), number(16)],
              ["raise", r.choice([1, 1, 2, 512, 0x4E03])], ["dump", "full"], ["pause"], ["resume"],
              ["poke", block, r.choice([0, 0x18, 0x20, 0x100, 0x110]), r.choice([0, 16, 32, 80, 96, 256, 512])],
              ["latency", block, r.choice(["RESET", "ENABLE", "SUSPEND"]), r.choice([-1, 0, 1, 5])],
              ["advance", number(9999)], ["ring", r.choice(["tre", "evre"]), number(12)],
              ["fault", "alloc", number(40)],
              ["hook", r.choice("rw"), block, r.choice([0, 0x20, 0x100, 0x108]), 1 + number(3), nested],
              ["on_cb", name, nested]]
    low = [["set", name, number(1 << 33), number(1 << 40), number(9999), 0], ["queue", name], ["queue", name],
           ["start"], ["free", name], ["cleanup", number(256), number(256)], ["status", name], ["isenabled"], ["setup"],
           ["set_pending", number(4)], ["request", name], ["init", 4, 1], ["uninit"]]
    high = [["prep", name, number(1 << 40), number(1 << 40), number(1 << 33), 3], ["submit", name], ["submit", name],
            ["issue"], ["issue"], ["tx_status", name], ["tx_status", number(9)], ["terminate_all"], ["free_chan"],
            ["alloc"], ["pm_get_rc", r.choice([-13, 0, 1])], ["set_cookie", (1 << 31) - 1, (1 << 31) - 2],
            ["ll_request", name], ["debugfs", "QCOM8061:00/chan0/stats"], ["show", "chid"],
            ["corrupt_tre", name, 9], ["probe"], ["remove"]]
    step: list[Any] = r.choice([*common, *2 * (low if layer == "ll" else high)])
    if r.random() < 0.01:
        step = [step[0], *r.choices(RUBBISH, k=number(5))]
    return step


def any_scenario(seed: int) -> dict[str, Any]:
    """A scenario, the same for the same seed."""
    r = random.Random(seed)
    layer = r.choice(["ll", "channel"])
    start = [["init", 4, 1], *[["request", name] for name in NAMES[:4]]] if layer == "ll" else [["probe"], ["alloc"]]
    steps = [*start, *[any_step(r, layer) for _ in range(r.randrange(5, 60))]]
    device = {"access_ns": 10**8, "reset_ptrs": r.random() < 0.5}
    return {"layer": layer, "seed": seed, "coherent": COHERENT, "device": device, "properties": {"desc-count": 4},
            "tasklet": r.choice([None, "after_irq"]), "steps": steps}


@pytest.mark.slow
@pytest.mark.both_modes
def test_both_modes_do_the_same_whatever_the_scenario(tmp_path: Path) -> None:
    count = int(os.environ.get("HIDMA_SCENARIOS", "300"))
    files = [write(tmp_path / f"{seed:05}.json", {"scenario": any_scenario(seed)}) for seed in range(count)]
    interpreted = program(*files, HIDMA_INTERPRETED="1")
    compiled = program(*files, HIDMA_INTERPRETED="0")
    for done in (interpreted, compiled):
        assert "Traceback" not in done.stderr and "does not understand" not in done.stderr
        assert done.returncode in (0, 2)
        assert len(done.stdout.splitlines()) + len(done.stderr.splitlines()) == count
    assert interpreted.stderr == compiled.stderr
    for path, one, other in zip(files, interpreted.stdout.splitlines(), compiled.stdout.splitlines(), strict=False):
        assert one == other, path.read_text()


def test_nothing_of_a_replay_stays() -> None:
    """Its kernel, that is, which holds all the rest."""
    def kernels() -> int:
        gc.collect()
        return sum(isinstance(thing, Kernel) for thing in gc.get_objects())

    before = kernels()
    for name in ("ll_random_6", "channel_random_3", "mgmt_dt_one_channel", "vfio_ioctls"):
        replay(load(GOLDEN / f"{name}.json"))
    assert kernels() <= before
