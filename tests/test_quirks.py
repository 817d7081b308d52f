# SPDX-License-Identifier: GPL-2.0-only
"""The rows of hidma.quirks: complete, marked where they stand, in the documentation, and named by an Oops."""

from __future__ import annotations

import ast
import fnmatch
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hidma
from hidma import quirks
from hidma.commands.replay import compare, load, replay
from hidma.commands.replay.layers import PLAYERS
from hidma.commands.replay.runner import UNDEFINED, Scenario, quirk_expectation
from hidma.linux import dmatest
from hidma.linux.module import load_module
from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
QUIRKS = sorted((DATA / "quirks").glob("*.json"))
PORT = tuple(f"hidma/{name}.py" for name in (
    "hidma_h", "ll", "channel", "dbg", "hidma_mgmt_h", "mgmt", "mgmt_sys", "vfio_platform/private", "vfio_platform/irq",
    "vfio_platform/common", "vfio_platform/platform"
)) + tuple(f"reset_plugins/{name}.py" for name in ("amdxgbe", "calxedaxgmac", "qcomhidma"))

#: How each recorded quirk ends here: with an Oops that names the row, or (None) as V14 itself ends it.
ENDS: dict[str, int | None] = {
    "channel_bug_free_chan_in_flight": None,
    "channel_errors_reported_complete": None,
    "channel_h1_ub_alloc_rollback_freed": 61,
    "channel_h1_ub_dead_frame": 40,
    "channel_h1_ub_prep_after_remove": 65,
    "channel_h1_ub_resubmit_in_callback": 64,
    "channel_h1_ub_row37_wrong": 6,
    "channel_h1_ub_running_freed": 62,
    "channel_h1_ub_submit_freed_disabled": 66,
    "channel_h1_ub_submit_freed_enabled": 66,
    "channel_h1_ub_terminate_meets_tasklet": 63,
    "channel_hang_free_chan_in_flight": 36,
    "channel_remove_twice_debugfs": None,
    "channel_terminate_free_tasklet": 36,
    "channel_terminate_then_complete": None,
    "channel_terminate_timeout_callback": 40,
    "ll_h1_ub_queue_after_uninit": 65,
    "ll_h1_ub_request_after_uninit": 65,
    "ll_hang_cleanup_overrun": 38,
    "ll_hang_isr_stopped_clock": 1,
    "ll_hang_write_ptr_eq_ring": 37,
    "mgmt_dt_first_child_no_reg": 48,
    "mgmt_dt_no_children": 48,
    "mgmt_dt_reg_short": 48,
    "mgmt_dt_reg_zero": None,
    "mgmt_dt_register_err_ptr": 48,
    "mgmt_sys_dma_channels_grow": None,
}

COHERENT = ["0x80000000", "0x80010000"]


def run(layer: str, steps: list[Any], **more: Any) -> list[Any]:
    """The events of a scenario made here."""
    return replay(Scenario("here", {"layer": layer, "coherent": COHERENT, "steps": steps, **more}, None, None))


def row_of(events: list[Any]) -> int | None:
    """The row that an Oops at the end names."""
    assert events[-1][0] == "oops", events[-3:]
    row: int | None = events[-1][1]
    return row


# --- the runs -------------------------------------------------------------------------------------------------------


def test_every_recorded_quirk_is_listed() -> None:
    assert [path.stem for path in QUIRKS] == sorted(ENDS)


@pytest.mark.parametrize("path", QUIRKS, ids=lambda path: path.stem)
def test_quirk_ends_as_v14_or_in_the_oops_of_its_row(path: Path) -> None:
    scenario = load(path)
    events = replay(scenario)
    assert compare(scenario, events) is None
    defined, _ = quirk_expectation(scenario.runs or {}, scenario.sanitizer)
    assert (ENDS[path.stem] is None) == defined or ENDS[path.stem] in UNDEFINED
    end = events[-1][1] if events[-1][0] == "oops" else None
    assert end == ENDS[path.stem]


def test_a_wrong_row_is_a_difference() -> None:
    scenario = load(DATA / "quirks" / "channel_h1_ub_row37_wrong.json")
    events = replay(scenario)
    assert compare(scenario, events) is None
    difference = compare(scenario, [*events[:-1], ["oops", 37]])
    assert difference is not None and difference.wanted == ["oops", "6"]


def test_tasklet_kill_lets_every_tasklet_run_that_is_scheduled_on_its_cpu() -> None:
    """The recorder ran the killed one alone. A kernel yields to ksoftirqd, which runs the whole list: also the issue task."""
    scenario = load(DATA / "ambiguous" / "channel_h1_ambiguous_tasklet_kill.json")
    events = replay(scenario)
    difference = compare(scenario, events)
    assert difference is not None and difference.got == ["pm", "get_sync", 3]
    doorbell = ["w", "trca", 1024, 32]
    at = events.index(["cb", "a"])
    assert doorbell in events[at:] and events[-1] == scenario.expected[-1]


def test_the_watchdog_warns_once_of_a_long_interrupt_and_the_handler_goes_on() -> None:
    scenario = load(DATA / "golden" / "channel_h1_soft_lockup_slow_bus.json")
    player = PLAYERS["channel"](scenario.scenario)
    player.play()
    log = player.kernel.dmesg()
    assert log.count("BUG: soft lockup - CPU#0 stuck for 21s!") == 1
    assert log.count("V14: this is row 4 of docs/quirks") == 1
    assert player.kernel.dead is None


@pytest.mark.both_modes
def test_quirks_end_alike_in_the_other_mode() -> None:
    environment = dict(os.environ, HIDMA_INTERPRETED="1" if _mode.compiled() else "0")
    command = [sys.executable, "-m", "hidma.commands.replay", *map(str, QUIRKS)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lists = [json.loads(line) for line in done.stdout.splitlines()]
    assert {path.stem: events[-1][1] if events[-1][0] == "oops" else None
            for path, events in zip(QUIRKS, lists, strict=True)} == ENDS


def test_a_loop_is_cut_after_at_most_a_thousand_repeated_log_lines() -> None:
    for path in QUIRKS:
        lines = [json.dumps(event) for event in replay(load(path)) if event[0] == "log"]
        assert len(lines) - len(set(lines)) <= 1000


# --- which row ------------------------------------------------------------------------------------------------------

COPY = ["prep", "a", "0x300000000", "0x1000", 64, 3]


def test_overrun_by_a_client_that_submits_twice_is_row_38_not_36() -> None:
    submits = [["submit", "a"]] * 6
    events = run("channel", [["probe"], ["alloc"], COPY, *submits, ["raise", 1024], ["irq"]],
                 properties={"desc-count": 4})
    assert row_of(events) == 38


def test_overrun_after_descriptors_were_freed_at_rest_is_row_38() -> None:
    done = [COPY, ["submit", "a"], ["issue"], ["complete", 1, 1, 0], ["irq"], ["tasklet"], ["free_chan"], ["alloc"]]
    submits = [["submit", "a"]] * 6
    events = run("channel", [["probe"], ["alloc"], *done, COPY, *submits, ["raise", 1024], ["irq"]],
                 properties={"desc-count": 4})
    assert row_of(events) == 38


@pytest.mark.parametrize("count", [4, 5, 7])
def test_overrun_after_descriptors_were_freed_in_flight_is_row_36(count: int) -> None:
    names = [f"n{i}" for i in range(count)]
    each = [[["prep", name, 4096 * i, 0, 64, 3], ["submit", name]] for i, name in enumerate(names)]
    again = [step for pair in each for step in pair]
    steps = [["probe"], ["alloc"], *again[:4], ["free_chan"], ["alloc"], *again, ["raise", 512], ["irq"]]
    events = run("channel", steps, properties={"desc-count": count})
    assert row_of(events) == 36


def test_cleanup_called_directly_with_a_count_too_high_is_row_38_and_ends() -> None:
    assert row_of(run("ll", [["init", 4, 0], ["set_pending", 1], ["cleanup", 255, 4]])) == 38


def test_handler_that_only_spins_is_row_1_whatever_the_offset() -> None:
    spin = [["init", 4, 0], ["request", "a"], ["queue", "a"], ["raise", 1]]
    assert row_of(run("ll", [*spin, ["irq"]])) == 1
    assert row_of(run("ll", [*spin, ["poke", "evca", "0x20", 8], ["irq"]])) == 1


def test_repeated_log_lines_are_no_loop_while_time_passes() -> None:
    spin = [["init", 4, 0], ["request", "a"], ["queue", "a"], ["raise", 1], ["poke", "evca", "0x20", 8]]
    events = run("ll", [*spin, ["irq"]], device={"access_ns": 100_000})
    texts = [event[2] for event in events if event[0] == "log"]
    assert texts.count("HW reports invalid EVRE write offset") > 2000
    assert texts[-1].startswith("ISR timeout")
    assert events[-1] == ["ret", "irq", 1]


@pytest.mark.slow
def test_descriptors_that_two_threads_hold_after_a_termination_are_row_60() -> None:
    with hidma.boot() as machine:
        with pytest.raises(hidma.KernelOops) as oops, machine.running() as kernel:
            load_module(kernel, dmatest.module, {"threads_per_chan": "100", "iterations": "8"})
            dmatest.dmatest_run_set("1")
            dmatest.dmatest_wait_get()
        assert "tx->cookie < DMA_MIN_COOKIE" in str(oops.value)
        assert oops.value.row == 60
        machine.kernel.module("dmaengine").terminated = False
        assert quirks.oops_row(oops.value, machine.kernel) is None


def test_oops_that_is_not_of_v14_has_no_row() -> None:
    assert row_of(run("ll", [["queue", 0]])) is None


# --- the rows -------------------------------------------------------------------------------------------------------


def test_rows_are_numbered_without_a_gap() -> None:
    assert [row.number for row in quirks.ROWS] == list(range(1, 67))
    assert all(quirks.BY_NUMBER[row.number] is row for row in quirks.ROWS)


def test_every_row_says_where_and_what() -> None:
    for row in quirks.ROWS:
        assert row.where and row.v14.endswith(".") and row.later.endswith(".") and row.evidence, row.number


def test_every_place_is_a_name_of_the_series() -> None:
    inventory = json.loads((ROOT / "hidma" / "commands" / "portmap" / "inventory.json").read_text())
    names = {"hidma_mgmt_files", "hidma_mgmt_driver", "HidmaChan", "vfio_platform_amdxgbe_reset",
             "vfio_platform_set_irq_trigger", "vfio_platform_irq_cleanup"}
    for file in inventory["files"].values():
        names |= {function["name"] for function in file.get("functions", [])}
        names |= {macro.partition("(")[0] for macro in file.get("function_like_macros", [])}
    for row in quirks.ROWS:
        assert set(row.where) <= names, row.number


def test_every_recorded_run_that_is_named_as_evidence_is_there() -> None:
    runs = {path.stem for kind in ("golden", "quirks") for path in (DATA / kind).glob("*.json")}
    for row in quirks.ROWS:
        if row.evidence in (quirks.READ, "seen in a real kernel", "seen with dmatest"):
            continue
        for name in row.evidence.split(", "):
            assert fnmatch.filter(runs, name), f"row {row.number}: {name}"


def test_every_quirk_that_ends_in_an_oops_is_evidence_of_its_row() -> None:
    for name, number in ENDS.items():
        if number is not None:
            names = quirks.BY_NUMBER[number].evidence.split(", ")
            assert any(fnmatch.fnmatch(name, pattern) for pattern in names), name


def marks(text: str) -> set[int]:
    """The rows that the marks in ``text`` name."""
    comments = " ".join(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)
    found: set[int] = set()
    for mark in re.finditer(r"V14:.*?(?=V14:|$)", comments):
        for numbers in re.findall(r"\(rows? ([\d, and]+)\)", mark[0]):
            found |= {int(n) for n in re.findall(r"\d+", numbers)}
    return found


def places(name: str) -> dict[str, str]:
    """The source of everything at the top of a module of the port by its name, with the comment above it."""
    text = (ROOT / name).read_text()
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            continue
        first = node.lineno - 1
        while first and lines[first - 1].startswith("#"):
            first -= 1
        for each in names:
            found[each] = "\n".join(lines[first : node.end_lineno])
    return found


def test_every_mark_in_the_port_names_a_row() -> None:
    for path in [*(ROOT / "hidma").glob("*.py"), *(ROOT / "hidma" / "linux").glob("*.py"),
                 *(ROOT / "hidma" / "vfio_platform").glob("*.py"),
                 *(ROOT / "reset_plugins").glob("*.py")]:
        assert marks(path.read_text()) <= set(quirks.BY_NUMBER), path.name


def test_every_mark_in_the_port_has_its_row() -> None:
    for module in PORT:
        text = (ROOT / module).read_text()
        for block in re.findall(r"(?:^ *#[^\n]*\n)+", text, re.M):
            if "V14:" in block:
                assert marks(block), f"{module}: {block.strip()}"


def test_every_row_is_marked_where_it_stands() -> None:
    source: dict[str, str] = {}
    for module in PORT:
        for name, text in places(module).items():
            source[name] = source.get(name, "") + "\n" + text
    missing = [(row.number, name) for row in quirks.ROWS for name in row.where
               if row.number not in marks(source[name])]
    assert missing == []


def test_titles_are_short_and_their_own() -> None:
    titles = [row.title for row in quirks.ROWS]
    assert len(set(titles)) == len(titles)
    assert all(3 < len(title) <= 90 and not title.endswith(".") for title in titles)


def called_by(names: tuple[str, ...]) -> set[str]:
    """Names that the port's functions of these names use."""
    return {node.id for module in PORT for definition in ast.walk(ast.parse((ROOT / module).read_text()))
            if isinstance(definition, ast.FunctionDef) and definition.name in names
            for node in ast.walk(definition) if isinstance(node, ast.Name)}


@pytest.mark.slow
@pytest.mark.both_modes
def test_where_names_every_function_that_the_text_is_about() -> None:
    """A function that V14's column names as ``f()`` is in ``where``, or is called by one that is."""
    inventory = json.loads((ROOT / "hidma" / "commands" / "portmap" / "inventory.json").read_text())
    series = {function["name"] for file in inventory["files"].values() for function in file.get("functions", [])}
    for row in quirks.ROWS:
        named = set(re.findall(r"(\w+)\(\)", row.v14)) & series
        assert named <= set(row.where) | called_by(row.where), row.number
    assert "hidma_tx_status" in quirks.BY_NUMBER[18].where
