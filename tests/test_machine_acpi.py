# SPDX-License-Identifier: GPL-2.0-only
"""A machine booted from ACPI: the drivers of the series on it, their files, the same work as on the device tree's."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aml_tools import crs, device, dsd, interrupt, memory, name, scope, table

import hidma
from hidma import firmware
from hidma.commands.main import main

MGMT = "/sys/devices/platform/QCOM8060:00"


@pytest.fixture(scope="module")
def machine() -> Iterator[hidma.Machine]:
    with hidma.boot("acpi") as machine:
        yield machine


def test_the_drivers_bind_by_acpi_id(machine: hidma.Machine) -> None:
    assert list(machine.devices()) == [
        ("PRP0001:00", ""), ("QCOM8060:00", "hidma-mgmt"), *((f"QCOM8061:0{n}", "hidma") for n in range(6))]
    log = machine.dmesg()
    assert log.count("HI-DMA engine driver registration complete") == 6
    assert "hidma-mgmt QCOM8060:00: HW rev: 1.0 @ 0x00000000f9984000 with 6 physical channels" in log
    assert re.search(r"ACPI: DSDT 0006BC \(v02 HIDMA  HOST     00000001 INTL [0-9A-F]{8}\)", log)
    assert "Machine model" not in log and machine.notes == []


def test_the_files_are_where_the_series_documents_them(machine: hidma.Machine) -> None:
    sysfs = machine.sysfs
    for index in range(6):
        assert sysfs[f"{MGMT}/chanops/chan{index}/priority"] == "0\n"
        assert sysfs[f"{MGMT}/QCOM8061:0{index}/chid"] == f"{index}\n"
    assert {key: sysfs[f"{MGMT}/firmware_node/{key}"] for key in ("hid", "uid", "path", "status", "modalias")} == {
        "hid": "QCOM8060\n", "uid": "0\n", "path": "\\_SB_.DMA0\n", "status": "15\n", "modalias": "acpi:QCOM8060:\n"}
    assert sysfs[f"{MGMT}/QCOM8061:03/firmware_node/path"] == "\\_SB_.DMA0.CH03\n"
    assert sysfs[f"{MGMT}/firmware_node/description"] == "HIDMA management\n"
    assert "status" not in sysfs.listdir(f"{MGMT}/QCOM8061:03/firmware_node")
    assert "devicetree" not in sysfs.listdir("/sys/firmware")
    with machine.running():
        assert machine.sysfs._vfs.read("/sys/firmware/acpi/tables/DSDT") == firmware.bundled("acpi").read_bytes()


def test_priority_and_weight_reach_the_hardware() -> None:
    with hidma.boot("acpi") as machine:
        machine.sysfs[f"{MGMT}/chanops/chan2/weight"] = "15"
        machine.sysfs[f"{MGMT}/chanops/chan2/priority"] = "1"
        block = machine.bus.find(0xF9984000)
        assert block.peek(0x300 + 8) == 1 << 15 | 15 << 8
        with pytest.raises(OSError, match="max value of weight can be 15"):
            machine.sysfs[f"{MGMT}/chanops/chan2/weight"] = "16"


def test_unbind_and_bind_by_the_acpi_name() -> None:
    with hidma.boot("acpi") as machine:
        machine.sysfs["/sys/bus/platform/drivers/hidma/unbind"] = "QCOM8061:05"
        assert dict(machine.devices())["QCOM8061:05"] == "" and len(machine.dma.names()) == 5
        assert machine.sysfs["/sys/bus/platform/devices/QCOM8061:05/firmware_node/hid"] == "QCOM8061\n"


def test_the_same_work_gives_the_same_trace_as_on_the_device_tree() -> None:
    """Nothing of the hardware's behaviour depends on which firmware described it."""
    def traced(board: str) -> tuple[list[object], bytes]:
        events: list[object] = []
        with hidma.boot(board, trace=lambda e: events.append(e) if e[0] in ("tre", "evre", "burst") else None) as machine:
            source, target = machine.alloc(1 << 16), machine.alloc(1 << 16)
            source[:] = bytes(i * 7 & 0xFF for i in range(1 << 16))
            channel = machine.dma.request_channel()
            channel.memcpy(target, source, 1 << 16).wait()
            return [e[:1] + e[2:] for e in events], bytes(target)

    (tree, first), (acpi, second) = traced("host"), traced("acpi")
    assert first == second and [e[:-2] for e in tree if e[0] == "burst"] == [e[:-2] for e in acpi if e[0] == "burst"]  # type: ignore[index]
    assert len(tree) == len(acpi) > 4


@pytest.mark.parametrize("board", ["acpi", "acpi-guest"])
def test_dmatest_passes_on_every_channel(board: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("dmatest", "--board", board, "--iterations", "20")) == 0
    count = {"acpi": 6, "acpi-guest": 1}[board]
    assert len(re.findall(r"summary 20 tests, 0 failures", capsys.readouterr().out)) == count


def test_a_file_and_the_bytes_of_a_table_boot(tmp_path: Path) -> None:
    raw = firmware.bundled("acpi-guest").read_bytes()
    (tmp_path / "dsdt.aml").write_bytes(raw)
    (tmp_path / "without a suffix").write_bytes(raw)
    for board in (raw, tmp_path / "dsdt.aml", str(tmp_path / "without a suffix")):
        with hidma.boot(board) as machine:
            assert machine.dma.request_channel().name == "dma0chan0"
            assert machine.kernel.name == "guest"


def test_a_bad_table_is_an_os_error_with_one_sentence() -> None:
    raw = firmware.bundled("acpi").read_bytes()
    with pytest.raises(OSError, match=r"offset 0x9: the checksum is 0x[0-9a-f]{2} where 0x[0-9a-f]{2} is right") as caught:
        hidma.boot(raw[:100] + b"\1" + raw[101:])
    assert caught.value.errno == errno.EINVAL


def test_a_channel_without_cca_fails_its_probe_as_v14_does() -> None:
    raw = table(scope("\\_SB", device("DMA0", name("_HID", "QCOM8061"), dsd(desc_count=8), crs(
        memory(0x5C000000, 0x1000), memory(0x5C001000, 0x1000), interrupt(40)))))
    with hidma.boot(raw) as machine:
        assert list(machine.devices()) == [("QCOM8061:00", "")]
        assert "WARNING: at hidma_probe: !pdev->dev.dma_mask" in machine.dmesg()
        with pytest.raises(OSError, match="_CCA: it is missing here and above"):
            machine.dma.request_channel()


def test_the_command_line_takes_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        try:
            code = main(arguments)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return out

    shown = run("boards", str(firmware.bundled("acpi")))
    assert ": HIDMA HOST\n" in shown and "management: \\_SB.DMA0\n" in shown and "iommus: \\_SB.SMMU\n" in shown
    assert run("shell", "--board", "acpi", "-c", f"cat {MGMT.replace(':00', ':*')}/dma_channels") == "6\n"
    run("qos", "--board", "acpi", "--time", "1ms", "--set", "t=0ms chan0 weight 15")


def test_a_bad_table_on_the_command_line_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.aml"
    bad.write_bytes(firmware.bundled("acpi").read_bytes()[:-5])
    assert main(("dmatest", "--board", str(bad))) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "the table is truncated" in err
