# SPDX-License-Identifier: GPL-2.0-only
"""``hidma assign``: the story of a channel and of other devices, with what is true of each step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hidma.commands.main import main

Capture = pytest.CaptureFixture[str]
BOARDS = Path(__file__).parent / "data" / "firmware"


def steps(capsys: Capture, *arguments: str) -> list[dict[str, Any]]:
    """The steps as JSON."""
    assert main(["assign", "--json", *arguments]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_story_goes_from_the_host_through_two_guests_and_back(capsys: Capture) -> None:
    told = steps(capsys)
    assert [step["step"] for step in told] == list(range(1, len(told) + 1))
    titles = " ".join(step["title"] for step in told)
    for part in ("The host has the channel", "leaves the driver of the host", "vfio-platform binds it", "opens a container",
                 "maps the memory", "A guest is started", "killed in the middle of a transfer", "what is left of the first",
                 "The host has the channel back"):
        assert part in titles
        titles = titles[titles.index(part):]


def test_each_step_says_what_it_did(capsys: Capture) -> None:
    told = {step["title"].split(" ")[0] + " " + step["title"].split(" ")[1]: step for step in steps(capsys, "hidma.2")}
    unbind = told["The channel"]
    assert "/sys/class/dma/dma2chan0" in unbind["gone"]
    assert "hidma.chan2.trca 0x000 <- 0x00090100" in unbind["registers"]
    bind = told["vfio-platform binds"]
    assert bind["modules"] == ["asked for vfio-reset:qcom,hidma-1.0", "get vfio_platform_qcomhidma"]
    assert bind["stream"].startswith("blocked")
    assert told["It maps"]["stream"] == "translated: 4096 pages of 4 KiB are mapped"
    assert told["It opens"]["log"] == ["vfio-platform hidma.2: reset", "HIDMA channel reset"]
    assert told["It copies"]["facts"] == ["The data are right; exits: 0, interrupts forwarded: 200, unmasked: 200."]
    assert told["The guest"]["log"] == ["vfio-platform hidma.2: reset", "HIDMA channel reset"]
    assert "data of the first guest in its memory: none; interrupts: 0" in told["The next"]["facts"][0]
    assert "Ring registers and pointers: 0x0, 0x0, 0x0, 0x0, 0x0" in told["The next"]["facts"][0]


def test_terminal_has_the_steps(capsys: Capture) -> None:
    assert main(["assign"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1. The host has the channel.\n")
    assert "   $ echo hidma.0 > /sys/bus/platform/drivers/hidma/unbind\n" in out
    assert max(len(line) for line in out.splitlines()) <= 110


def test_same_seed_tells_the_same_story(capsys: Capture) -> None:
    assert steps(capsys, "--seed", "3") == steps(capsys, "--seed", "3")


def test_on_acpi_the_plugin_is_loaded_before_and_it_says_why(capsys: Capture) -> None:
    told = steps(capsys, "--board", "acpi")
    bind, again = told[4], told[5]
    assert bind["modules"] == ["asked for vfio-reset:(null)"]
    assert any("row 32" in fact for fact in bind["facts"])
    assert again["command"] == (
        "echo QCOM8061:00 > /sys/bus/platform/drivers/vfio-platform/unbind\nmodprobe QCOM8061\n"
        "echo QCOM8061:00 > /sys/bus/platform/drivers/vfio-platform/bind")
    assert again["modules"] == ["get vfio_platform_qcomhidma"]
    copies = next(step for step in told if step["title"].startswith("It copies"))
    assert copies["facts"] == ["The data are right; exits: 0, interrupts forwarded: 200, unmasked: 200."]
    assert told[-1]["log"][-1] == "hidma QCOM8061:00: HI-DMA engine driver registration complete"


@pytest.mark.parametrize(("arguments", "status", "sentence"), [
    (("hidma.9",), 2, "there is no device 'hidma.9' on this board; there are psci"),
    (("--board", "nosuch"), 2, "nosuch"),
])
def test_what_is_not_there(capsys: Capture, arguments: tuple[str, ...], status: int, sentence: str) -> None:
    assert main(["assign", *arguments]) == status
    _, err = capsys.readouterr()
    assert sentence in err and "Traceback" not in err


def test_board_without_a_channel_says_why(capsys: Capture) -> None:
    assert main(["assign", "--board", "binding-example"]) != 0
    assert "no channel of this board is bound" in capsys.readouterr().err


# --- other devices ----------------------------------------------------------------------------------------------------------


def facts(told: list[dict[str, Any]]) -> str:
    return "\n".join(fact for step in told for fact in step["facts"])


def test_the_controller_of_the_amd_board_walks_as_a_channel_does(capsys: Capture) -> None:
    told = steps(capsys, "--board", str(BOARDS / "overdrive.dts"), "e0900000.xgmac")
    said = facts(told)
    assert "driver none, behind /smb/iommu@e0800000, bypass" in said
    assert [said.count(f"Region {index}: ") for index in range(6)] == [1, 1, 1, 1, 1, 0]
    assert "Its device tree has /platform-bus@c000000/e0900000.xgmac@0, from memory and interrupts only." in said
    assert "Bursts of the device: 100; its data in the guest's memory: there; exits: 0, interrupts forwarded: 1, accesses" in said
    assert "The device stands still in the next millisecond." in said
    assert "Bursts of the device: 0; data of the first guest in its memory: none; interrupts: 0." in said
    assert [module for step in told for module in step["modules"] if "amdxgbe" in module] == [
        "get vfio_platform_amdxgbe", "put vfio_platform_amdxgbe"]


def test_by_acpi_the_series_has_no_reset_function_for_it_and_that_shows(capsys: Capture) -> None:
    told = steps(capsys, "--board", str(BOARDS / "overdrive.asl"), "AMDI8001:00")
    said = facts(told)
    assert "behind \\_SB.SMM0" in said and "and no plugin is called AMDI8001" in said
    assert "its data in the guest's memory: there; exits: 0, interrupts forwarded: 1" in said
    assert "The device GOES ON in the next millisecond." in said and "data of the first guest in its memory: FOUND" in said
    assert {line for step in told for line in step["log"]} == {
        "VFIO - User Level meta-driver version: 0.3", "vfio-platform AMDI8001:00: no reset function found!"}


def test_a_device_without_a_model_or_a_reset_function_goes_and_comes_back(capsys: Capture) -> None:
    told = steps(capsys, "--board", str(BOARDS / "cases" / "06-own-device-no-group.dts"), "a000000.frobnicator")
    assert "No plugin has a model of a000000.frobnicator: its registers read as zero." in facts(told)
    titles = [step["title"] for step in told]
    assert "It opens the device, which no function resets." in titles and "The guest is killed: VFIO keeps it." in titles
    assert titles[-1] == "The host has the device back."
