# SPDX-License-Identifier: GPL-2.0-only
"""Priority and weight: what is written to sysfs is what the channels get, at once."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

import hidma
from hidma.commands.qos import Setting, measure, qos

MS = 1_000_000


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(qos, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def story() -> object:
    settings = [
        Setting(0, 0, "weight", "15"),
        Setting(0, 1, "weight", "5"),
        Setting(2 * MS, 1, "priority", "1"),
        Setting(3 * MS, 1, "priority", "0"),
        Setting(4 * MS, 0, "weight", "5"),
    ]
    with hidma.boot() as machine:
        return measure(machine, [0, 1], 5 * MS, 50_000, settings)


def test_weights_15_and_5_give_three_to_one(story) -> None:  # type: ignore[no-untyped-def]
    ratio = story.share(0, 0, 2 * MS) / story.share(1, 0, 2 * MS)
    assert ratio == pytest.approx(3, rel=0.02)


def test_priority_1_starves_priority_0(story) -> None:  # type: ignore[no-untyped-def]
    assert story.share(1, 2 * MS + 100_000, 3 * MS) > 0.98


def test_priority_back_to_0_gives_three_to_one_again(story) -> None:  # type: ignore[no-untyped-def]
    ratio = story.share(0, 3 * MS + 100_000, 4 * MS) / story.share(1, 3 * MS + 100_000, 4 * MS)
    assert ratio == pytest.approx(3, rel=0.02)


def test_equal_weights_share_equally(story) -> None:  # type: ignore[no-untyped-def]
    assert story.share(0, 4 * MS + 100_000, 5 * MS) == pytest.approx(0.5, abs=0.01)


def test_a_write_changes_the_shares_within_one_round(story) -> None:  # type: ignore[no-untyped-def]
    # a round of 15 + 5 grants of 31 KiB at the full rate is less than 80 us
    assert story.share(1, 2 * MS + 80_000, 2 * MS + 180_000) > 0.98
    assert 0.2 < story.share(1, 3 * MS + 80_000, 3 * MS + 380_000) < 0.3


def test_the_bus_is_kept_busy(story) -> None:  # type: ignore[no-untyped-def]
    moved = sum(sum(rows) for rows in story.moved.values())
    assert moved / (5 * MS) > 8  # bytes in a nanosecond, of 12.8 less what each burst costs


def test_every_write_came_back_well(story) -> None:  # type: ignore[no-untyped-def]
    assert [rc for _, rc in story.settings] == ["ok"] * 5


def test_plot_and_table_and_json(tmp_path: Path) -> None:
    plot = tmp_path / "out.svg"
    code, out = run("--time", "1ms", "--set", "t=500us chan0 weight 15", "--plot", str(plot))
    assert code == 0
    assert "t=0.5ms chan0 weight 15: ok" in out and "GB/s" in out
    root = ET.fromstring(plot.read_text())
    text = " ".join("".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "chan0 weight 15" in text and "chan1" in text
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 2
    code, out = run("--time", "1ms", "--json")
    data = json.loads(out)
    assert code == 0 and data["channels"] == [0, 1] and len(data["times_ns"]) == 10


def test_a_write_at_the_beginning_is_in_the_table_and_a_late_one_inside_the_drawing(tmp_path: Path) -> None:
    plot = tmp_path / "out.svg"
    code, out = run("--time", "1ms", "--set", "t=0ms chan0 weight 3", "--set", "t=990us chan1 priority 1", "--plot", str(plot))
    assert code == 0
    assert out.splitlines()[1] == "  t=0ms chan0 weight 3: ok"
    root = ET.fromstring(plot.read_text())
    labels = {"".join(t.itertext()): t.attrib for t in root.iter("{http://www.w3.org/2000/svg}text")}
    assert labels["chan0 weight 3"]["text-anchor"] == "start"
    assert labels["chan1 priority 1"]["text-anchor"] == "end"
    assert {"0 ms", "0.2 ms", "1 ms", "0 GB/s", "2 GB/s"} <= set(labels)


def test_a_refused_write_is_shown_and_counts() -> None:
    code, out = run("--time", "1ms", "--set", "t=500us chan0 weight 16")
    assert code == 1 and "chan0 weight 16: EINVAL" in out


def test_same_seed_same_figures() -> None:
    assert run("--time", "1ms", "--json") == run("--time", "1ms", "--json")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--set", "weight 15"), "is no setting; write for example"),
        (("--set", "t=9ms chan0 weight 1"), "t=9ms is not before the end, 6ms"),
        (("--channels", "0,9"), "there is no channel 9; there are 0, 1, 2, 3, 4, 5"),
        (("--channels", "a"), "is no list of channels; write 0,1,2"),
        (("--channels", "1,1"), "names a channel twice"),
        (("--time", "soon"), "is no time; write 500us, 2ms or 1s"),
        (("--time", "99999999s"), "are 999999990000 intervals of 0.1ms; 100000 can be measured"),
        (("--board", "guest", "--channels", "0"), "this board has no management device"),
    ],
)
def test_bad_input_gets_a_sentence(args: tuple[str, ...], sentence: str) -> None:
    code, out = run(*args)
    assert code == 2 and sentence in out and "Traceback" not in out


def test_an_unwritable_plot_gets_a_sentence() -> None:
    code, out = run("--time", "1ms", "--plot", "/nowhere/out.svg")
    assert code == 2 and "/nowhere/out.svg cannot be written" in out
