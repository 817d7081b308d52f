# SPDX-License-Identifier: GPL-2.0-only
"""ACPI firmware: tables read, evaluated as ACPICA does, described as the device tree is, refused with one sentence."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aml_tools import (
    END_TAG,
    FAILED,
    UUID,
    Reference,
    crs,
    device,
    dsd,
    evaluated,
    integer,
    interrupt,
    memory,
    method,
    name,
    needs,
    path,
    raw_name,
    rechecked,
    resources,
    scope,
    spanned,
    table,
    term,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hidma import firmware
from hidma.firmware import FirmwareError, Namespace, Object, Region, amlterms
from hidma.firmware import resources as templates
from hidma.firmware.acpi import eisa_id

DATA = Path(__file__).resolve().parent / "data" / "firmware"
FILES = {"acpi": firmware.bundled("acpi"), "acpi-guest": firmware.bundled("acpi-guest"), "eval": DATA / "eval.aml"}
SOURCES = {file: file.with_suffix(".asl") for file in FILES.values()}


def sentence(function: Callable[[], Any]) -> str:
    """The one sentence of a refusal."""
    with pytest.raises(FirmwareError) as caught:
        function()
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said
    return said


def parse(raw: bytes) -> Namespace:
    namespace = firmware.parse(raw, "board.aml")
    assert isinstance(namespace, Namespace)
    return namespace


def refused(raw: bytes) -> str:
    """The sentence with which a file is refused, without its name."""
    return sentence(lambda: firmware.describe(parse(raw))).removeprefix("board.aml: ")


def namespace_of(file: Path) -> Namespace:
    return parse(file.read_bytes())


# --- the same values as ACPICA ------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A value of ours as acpiexec's are written down."""
    if isinstance(value, Object):
        return Reference(value.name)
    return [plain(element) for element in value] if isinstance(value, list) else value


@needs("acpiexec")
@pytest.mark.parametrize("which", FILES)
def test_every_object_has_the_value_that_acpiexec_gives(which: str, tmp_path: Path) -> None:
    namespace = namespace_of(FILES[which])
    objects = [node for node in namespace.root.walk() if node.offset and (
        node.kind == "name" or (node.kind == "method" and not node.value.arguments))]
    paths = [node.full_path for node in objects]
    theirs = evaluated(FILES[which], paths, tmp_path)
    assert list(theirs) == paths and len(paths) > 10
    for node in objects:
        ours = plain(namespace.evaluate(node))
        if theirs[node.full_path] is FAILED:
            # acpiexec cannot hand a device out; that is its limit
            assert isinstance(ours, Reference), node.path
        else:
            assert ours == theirs[node.full_path], node.path


@needs("acpiexec")
@pytest.mark.parametrize("which", FILES)
def test_every_resource_is_decoded_as_acpiexec_decodes_it(which: str, tmp_path: Path) -> None:
    seen = 0
    for part in firmware.devices(namespace_of(FILES[which])).walk():
        if part.object.child("_CRS") is None:
            continue
        theirs = resources(FILES[which], part.object.full_path, tmp_path)
        assert theirs.pop()[0] == "EndTag" and len(theirs) == len(part.descriptors)
        for ours, (kind, said) in zip(part.descriptors, theirs, strict=True):
            seen += 1
            if ours.irqs:
                numbers = (said["Interrupt List"].split() if "Interrupt List" in said else
                           [str(int(word, 16)) for key, word in said.items() if key.startswith("Dword")])
                assert [str(irq) for irq in ours.irqs] == numbers
                assert (ours.edge, ours.low, ours.shared) == (
                    said["Triggering"] == "Edge", said["Polarity"] == "ActiveLow", said["Sharing"] == "Shared")
            elif ours.memory is not None:
                base = int(said.get("Address Minimum", said.get("Address", "")), 16)
                unit = 256 if kind.startswith("24-Bit") else 1
                assert ours.memory == (base * unit, int(said["Address Length"], 16) * unit)
            else:
                assert "Memory" not in kind and said.get("Resource Type") != "Memory Range"
    assert seen > 2


@needs("iasl")
@pytest.mark.parametrize("which", FILES)
def test_each_table_is_what_iasl_makes_of_its_source(which: str, tmp_path: Path) -> None:
    file = FILES[which]
    subprocess.run(["iasl", "-vs", "-vi", "-p", tmp_path / "made", SOURCES[file]], check=True, capture_output=True)
    made, kept = (tmp_path / "made.aml").read_bytes(), file.read_bytes()
    # another version of the compiler may write the same in another way, and signs with its number
    if made[28:36] == kept[28:36]:
        assert made == kept
    ours, theirs = parse(made), parse(kept)
    assert [node.path for node in ours.root.walk()] == [node.path for node in theirs.root.walk()]


@needs("iasl")
def test_a_source_is_compiled_and_what_iasl_says_is_one_sentence(tmp_path: Path) -> None:
    text = firmware.bundled("acpi", ".asl").read_text()
    good = tmp_path / "-board.asl"
    good.write_text(text)
    assert firmware.describe(firmware.load(good)).cores == firmware.describe(firmware.load("acpi")).cores
    bad = tmp_path / "bad.asl"
    bad.write_text(text.replace('Name (_HID, "QCOM8060")', 'Name (_HID "QCOM8060")'))
    said = sentence(lambda: firmware.load(bad))
    assert said.startswith(f"{bad}: line ") and "iasl says: syntax error" in said
    bad.write_text("no source at all")
    assert sentence(lambda: firmware.load(bad)) == f"{bad}: this is no ACPI source; an .asl contains DefinitionBlock."
    bad.write_text('DefinitionBlock ("", "DSDT", 2, "HIDMA ", "X       ", 1) { Include ("nope.asl") }')
    assert sentence(lambda: firmware.load(bad)).startswith(f"{bad}: ")


def test_a_source_without_iasl_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    source = firmware.bundled("acpi", ".asl")
    assert sentence(lambda: firmware.load(source)) == (
        f"{source}: an ACPI source needs the compiler iasl, which is not installed; install Debian's package acpica-tools "
        "(apt-get install acpica-tools), or give the board as an .aml, which needs no compiler.")


# --- the same board as the device tree ----------------------------------------------------------------------------


def test_the_acpi_host_is_the_machine_of_the_device_tree() -> None:
    tree, acpi = (firmware.describe(firmware.load(board)) for board in ("host", "acpi"))
    assert (acpi.memory, acpi.cpus) == (tree.memory, tree.cpus)
    (ours,), (theirs,) = acpi.managements, tree.managements
    assert (ours.reg, ours.irq, ours.dma_channels, ours.core) == (theirs.reg, theirs.irq, theirs.dma_channels, theirs.core)
    for key, raw in theirs.properties.items():
        if key in ours.properties:
            assert ours.properties[key] == int.from_bytes(raw, "big"), key
    assert set(ours.properties) == {
        "dma-channels", "max-write-burst-bytes", "max-read-burst-bytes", "max-write-transactions",
        "max-read-transactions", "channel-reset-timeout-cycles"}

    def facts(board: firmware.Board) -> list[Any]:
        return [(c.trca, c.evca, c.irq, c.stream, c.index, c.core, c.desc_count, c.iommu is not None)
                for c in board.channels]

    assert facts(acpi) == facts(tree) and len(facts(acpi)) == 6
    assert [d.regs for d in acpi.iommus] == [d.regs for d in tree.iommus]
    assert [d.irqs for d in acpi.iommus] == [d.irqs for d in tree.iommus]
    assert [core.size for core in acpi.cores] == [core.size for core in tree.cores]
    assert acpi.channels[0].path == "\\_SB.DMA0.CH00" and acpi.channels[0].management == "\\_SB.DMA0"


def test_the_acpi_guest_is_the_machine_of_the_device_tree() -> None:
    tree, acpi = (firmware.describe(firmware.load(board)) for board in ("guest", "acpi-guest"))
    assert (acpi.memory, acpi.cpus, acpi.managements) == (tree.memory, tree.cpus, ())
    (ours,), (theirs,) = acpi.channels, tree.channels
    assert (ours.trca, ours.evca, ours.irq, ours.desc_count) == (theirs.trca, theirs.evca, theirs.irq, theirs.desc_count)


def test_the_bundled_boards_have_nothing_remarkable() -> None:
    for board in ("acpi", "acpi-guest"):
        assert firmware.check(firmware.load(board)) == []
    assert firmware.model(firmware.load("acpi")) == "HIDMA HOST"


# --- devices ------------------------------------------------------------------------------------------------------


def test_devices_are_read_as_linux_reads_them() -> None:
    found = {part.path: part for part in firmware.devices(namespace_of(FILES["eval"])).walk()}
    dev0, dev1 = found["\\_SB.DEV0"], found["\\_SB.DEV1"]
    assert (dev0.hid, dev0.cids, dev0.uid, dev0.sta, dev0.platform) == ("PNP0A05", ["QCOM1234", "PNP0C02"], "one", 15, True)
    assert (dev1.hid, dev1.sta, dev1.present, dev1.descriptors) == ("QCOM0001", 0, False, [])
    assert [(found[p].hid, found[p].platform) for p in ("\\_SB.CPU0", "\\_SB.PWR0", "\\_SB.THZ0", "\\_SB", "\\_TZ", "\\")] == [
        ("LNXCPU", False), ("LNXPOWER", False), ("LNXTHERM", False), ("LNXSYBUS", False), ("LNXSYBUS", False),
        ("LNXSYSTM", False)]
    assert dev0.parent is found["\\_SB"] and found["\\_SB"].object.full_path == "\\_SB_"


@pytest.mark.parametrize(("number", "text"), [
    (0x0105D041, "PNP0501"), (0x800CD041, "PNP0C80"), (0, None), (1 << 32, None), (0xFFFFFFFF, None)])
def test_eisa_ids(number: int, text: str | None) -> None:
    assert eisa_id(number) == text


def board(*extra: bytes, channel: tuple[bytes, ...] | None = None, management: tuple[bytes, ...] | None = None) -> bytes:
    """A small board: a management device with one channel, or with what is given in their place."""
    inner = device("CH00", *(CHANNEL if channel is None else channel))
    outer = MANAGEMENT if management is None else management
    return table(scope("\\_SB", *extra, device("DMA0", *outer, inner)))


CHANNEL = (name("_HID", "QCOM8061"), name("_CCA", 1),
           crs(memory(0x5C000000, 0x1000), memory(0x5C001000, 0x1000), interrupt(40)), dsd(desc_count=8))
MANAGEMENT = (name("_HID", "QCOM8060"), crs(memory(0x5D000000, 0x1000), interrupt(39)), dsd(
    dma_channels=1, max_write_burst_bytes=1024, max_read_burst_bytes=1024, max_write_transactions=31,
    max_read_transactions=31, channel_reset_timeout_cycles=5))


def replaced(parts: tuple[bytes, ...], called: str, *new: bytes) -> tuple[bytes, ...]:
    """The objects of a device without one, and with others."""
    return tuple(part for part in parts if not part.startswith(b"\x08" + path(called))) + new


def test_ram_and_cpus_that_no_object_names_are_the_usual_ones() -> None:
    described = firmware.describe(parse(board()))
    assert described.memory == (Region(0x80000000, 0x10000000),) and described.cpus == 8
    assert firmware.check(parse(board())) == []
    lonely = table(scope("\\_SB", device("CH00", *CHANNEL)))
    assert firmware.describe(parse(lonely)).cpus == 1


def test_properties_in_a_method_and_ids_in_a_cid_are_found() -> None:
    pack = term([UUID, [["desc-count", 16]]])
    body = (*replaced(CHANNEL, "_DSD", method("_DSD", b"\xa4" + pack)), )
    body = (*replaced(body, "_HID", name("_HID", "ABCD0001"), name("_CID", ["QCOM8061"])),)
    (channel,) = firmware.describe(parse(board(channel=body))).channels
    assert channel.desc_count == 16 and firmware.check(parse(board(channel=body))) == []


def test_a_channel_by_its_compatible_string() -> None:
    body = (*replaced(replaced(CHANNEL, "_HID", name("_HID", "PRP0001")), "_DSD", dsd(compatible="qcom,hidma-1.0")),)
    assert len(firmware.describe(parse(board(channel=body))).channels) == 1


def test_what_is_not_present_is_not_built_and_keeps_its_place() -> None:
    off = device("CH0A", *CHANNEL, name("_STA", 0))
    raw = board(management=(*MANAGEMENT, off))
    (channel,) = firmware.describe(parse(raw)).channels
    assert (channel.index, channel.path) == (1, "\\_SB.DMA0.CH00")
    assert firmware.describe(parse(board(management=(*MANAGEMENT, name("_STA", 0))))).cores == ()


def test_several_tables_in_one_file() -> None:
    first = table(scope("\\_SB", device("DMA0", *MANAGEMENT)))
    second = table(b"\x15" + path("\\_SB.DMA0") + b"\x06\0", scope("\\_SB.DMA0", device("CH00", *CHANNEL)), signature=b"SSDT")
    described = firmware.describe(parse(first + second))
    assert [channel.path for channel in described.channels] == ["\\_SB.DMA0.CH00"]
    assert [t.signature for t in parse(first + second).tables] == ["DSDT", "SSDT"]
    assert refused(second) == (
        "offset 0x31: Scope (\\_SB.DMA0) opens what is declared nowhere; load the table that declares it first.")


# --- what is evaluated late, and what is left out ------------------------------------------------------------------


def region(called: str, base: bytes, size: bytes | None = None) -> bytes:
    """``OperationRegion (called, SystemMemory, base, size)``."""
    return b"\x5b\x80" + path(called) + b"\0" + base + (integer(0x10) if size is None else size)


def field(of: str, *names: str) -> bytes:
    """``Field (of, DWordAcc) { names }``."""
    return b"\x5b\x81" + spanned(path(of) + b"\x03" + b"".join(n.encode() + b"\x20" for n in names))


def test_an_argument_of_a_region_is_evaluated_late_and_loses_the_region_only() -> None:
    raw = board(region("NVS_", integer(0x1000)), field("NVS_", "BASE"),
                device("KEYB", name("_HID", "ACME0009"), region("KEYS", path("BASE")), field("KEYS", "KPWR")),
                device("PIN0", name("_HID", "ACME0010"), method("ADDR", b"\xa0" + spanned(b"\x00" + b"\xa4\x01")),
                       region("PINS", path("ADDR")), field("PINS", "PIN1")),
                region("LATE", path("LNUM"), b"\x72" + path("LNUM") + b"\x01\x00"), name("LNUM", 0x2000))
    namespace = parse(raw)
    assert len(firmware.describe(namespace).channels) == 1
    said = firmware.check(namespace)
    assert [sentence.partition(": ")[2].partition(": ")[2] for sentence in said] == [
        "\\_SB.BASE is part of an operation region, and there is no hardware behind it here; only what firmware computes by itself "
        "can be evaluated; Linux goes on from here, and \\_SB.KEYB.KEYS is left out.",
        "nothing stands where an integer is needed; Linux goes on from here, and \\_SB.PIN0.PINS is left out."]
    assert namespace.node("\\_SB.PIN0.PIN1") is not None


@pytest.mark.parametrize("argument", [
    b"\x79" + integer(1) + integer(12) + b"\0", b"\x0dAB\0", b"\x11" + spanned(integer(2) + b"ab"), b"\x92\x01",
    b"\x8e" + path("HERE"), b"\x5b\x12" + path("HERE") + b"\x00", b"\x89" + b"\x12" + spanned(b"\1\1") + b"\1\1\0\0\0",
    path("CALL") + b"\1" + b"\1",
], ids=["shift", "string", "buffer", "not", "type", "reference", "match", "call"])
def test_any_argument_of_a_region_is_passed_over(argument: bytes) -> None:
    call = method("CALL", b"\xa4\x68", arguments=2)
    namespace = parse(board(name("HERE", 1), call, region("REGS", argument), name("LAST", 5)))
    assert namespace.evaluate(namespace.node("\\_SB"), "LAST") == 5 and namespace.remarks == []


def test_a_buffer_or_package_waits_for_what_a_later_table_declares() -> None:
    first = table(scope("\\_SB", raw_name("BUF_", b"\x11" + spanned(path("\\SIZE") + b"ab")),
                        raw_name("NONE", b"\x11" + spanned(path("\\GONE") + b"ab")), name("LAST", 5)))
    namespace = parse(first + table(name("\\SIZE", 4), signature=b"SSDT"))
    scope_ = namespace.node("\\_SB")
    assert scope_ is not None
    assert namespace.evaluate(scope_, "BUF") == b"ab\0\0" and namespace.evaluate(scope_, "LAST") == 5
    (said,) = namespace.remarks
    assert "\\GONE is named and declared nowhere; Linux goes on from here, and \\_SB.NONE is left out." in said
    assert "\\GONE is named and declared nowhere" in sentence(lambda: namespace.evaluate(scope_, "NONE"))


@pytest.mark.parametrize(("code", "said"), [
    (b"\x08AAAA\x12\x04\x01\x01\x01", "a package says 1 elements and has more"),
    (raw_name("AAAA", b"\x11" + spanned(integer(1 << 30))), "an object of 1073741824 bytes is larger than the 65536"),
], ids=["package", "huge buffer"])
def test_a_buffer_or_package_that_is_none_is_lost_alone(code: bytes, said: str) -> None:
    namespace = parse(table(code, name("LAST", 5)))
    assert namespace.evaluate(namespace.root, "LAST") == 5
    assert namespace.remarks[0].partition(": ")[2].partition(": ")[2].startswith(said)


def test_an_ssdt_that_cannot_be_loaded_is_left_out_with_all_that_it_declared() -> None:
    bad = table(scope("\\_SB", device("BAD0", name("_HID", "ACME0001"))), scope("\\_SB.GONE", name("A000", 1)),
                signature=b"SSDT")
    good = table(scope("\\_SB.DMA0", device("CH01", *replaced(CHANNEL, "_CRS", crs(
        memory(0x5C002000, 0x1000), memory(0x5C003000, 0x1000), interrupt(41))))), signature=b"SSDT")
    namespace = parse(board() + bad + good)
    assert [channel.path for channel in firmware.describe(namespace).channels] == ["\\_SB.DMA0.CH00", "\\_SB.DMA0.CH01"]
    assert namespace.node("\\_SB.BAD0") is None
    said = firmware.check(namespace)[0]
    assert "Scope (\\_SB.GONE) opens what is declared nowhere" in said
    assert said.endswith(f"the table SSDT TEST at offset {len(board()):#x} cannot be loaded and is left out.")


# --- devices beside HIDMA ---------------------------------------------------------------------------------------------


SMMU = (name("_HID", "PRP0001"), crs(memory(0x5A000000, 0x1000)), dsd(compatible="arm,mmu-500"))
NET = (name("_HID", "ACME0001"), name("_CCA", 1), crs(memory(0x5E000000, 0x1000), interrupt(50)))


def device_at(raw: bytes, where: str) -> firmware.Device:
    """A device beside HIDMA."""
    return next(device for device in firmware.describe(parse(raw)).other if device.path == where)


def iort(named: str, stream: int, kind: int = 3) -> bytes:
    """A table IORT with one SMMU at 0x5a000000 and a named component."""
    smmu = bytes([kind]) + (76).to_bytes(2, "little") + b"\0" + bytes(12) + (0x5A000000).to_bytes(8, "little") + bytes(52)
    label = named.encode() + b"\0"
    label += bytes(-len(label) % 4 + 3)
    at = 16 + 13 + len(label)
    component = (b"\x01" + (at + 20).to_bytes(2, "little") + bytes(5) + (1).to_bytes(4, "little") + at.to_bytes(4, "little")
                 + bytes(13) + label + b"".join(n.to_bytes(4, "little") for n in (0, 0, stream, 48, 1)))
    body = (2).to_bytes(4, "little") + (48).to_bytes(4, "little") + bytes(4) + smmu + component
    return table(body, signature=b"IORT", revision=0)


def test_a_group_is_what_iommus_or_iort_says_or_the_smmu_above() -> None:
    named = board(device("SMMU", *SMMU), device("NET0", *NET, dsd(iommus=[Reference("\\_SB.SMMU"), 7])), device("NET1", *NET))
    assert (device_at(named, "\\_SB.NET0").iommu, device_at(named, "\\_SB.NET1").stream) == ("\\_SB.SMMU", None)
    below = board(device("SMMU", *SMMU, device("NET0", *NET), device("NET1", *NET)))
    first, second = device_at(below, "\\_SB.SMMU.NET0"), device_at(below, "\\_SB.SMMU.NET1")
    assert first.iommu == second.iommu == "\\_SB.SMMU" and first.stream != second.stream
    by_iort = board(device("NET0", *NET), device("NET1", *NET)) + iort("\\_SB_.NET0", 7)
    assert (device_at(by_iort, "\\_SB.NET0").iommu, device_at(by_iort, "\\_SB.NET1").iommu) == (
        "the SMMU at 0x5a000000 (IORT)", None)
    assert device_at(by_iort, "\\_SB.NET0").names == ("ACME0001",) and device_at(by_iort, "\\_SB.NET0").irqs == (50,)


def test_a_channel_may_stand_in_iort() -> None:
    (channel,) = firmware.describe(parse(board() + iort("\\_SB.DMA0.CH00", 9))).channels
    assert (channel.iommu, channel.stream) == ("the SMMU at 0x5a000000 (IORT)", 9)


def test_an_iort_that_cannot_be_read_is_a_note() -> None:
    raw = bytearray(iort("\\_SB.NET0", 7))
    raw[36] = 200
    raw[51] = 0xFF
    said = firmware.check(parse(board(device("NET0", *NET)) + rechecked(bytes(raw))))
    assert len(said) == 1 and said[0].endswith("the nodes of IORT do not lie inside it, so that no device has a stream by it.")


@pytest.mark.parametrize("body", [
    (*NET[:2], name("_CRS", 5)), (name("_HID", 5),), (*NET, name("_STA", "x")),
    (*NET, dsd(iommus=[Reference("\\_SB.DMA0"), 1])), (name("_HID", "ACPI0007"), name("_STA", "x")),
    (name("_HID", "PRP0001"), name("_CRS", 5)),
], ids=["_CRS", "_HID", "_STA", "iommus", "CPU", "PRP0001"])
def test_what_is_wrong_with_another_device_refuses_nothing(body: tuple[bytes, ...]) -> None:
    raw = board(device("ODD0", *body))
    assert len(firmware.describe(parse(raw)).channels) == 1
    assert len(firmware.check(parse(raw))) == 1


def test_integers_of_a_table_of_revision_1_have_32_bits() -> None:
    raw = table(method("TEST", b"\xa4\xff"), name("BIG_", 1 << 40), revision=1)
    namespace = parse(raw)
    assert [namespace.evaluate(namespace.root, n) for n in ("TEST", "BIG")] == [0xFFFFFFFF, 0]


def test_revision_is_that_of_linux_4_5() -> None:
    namespace = parse(table(raw_name("TEST", b"\x5b\x30")))
    assert namespace.evaluate(namespace.root, "TEST") == 0x20160108


def test_what_linux_could_pass_over_is_remarked_and_left_out() -> None:
    region = b"\x5b\x80" + path("REGS") + b"\0" + integer(0x1000) + integer(0x100)
    fields = b"\x5b\x81" + spanned(path("REGS") + b"\x03" + b"STAT" + b"\x20")
    broken = device("KBD0", name("_HID", "PNP0303"), method("_STA", b"\xa4STAT"))
    ini = method("_INI", b"\x70\x01STAT")
    said = firmware.check(parse(board(region, fields, broken, ini)))
    assert len(said) == 2
    assert said[0].startswith("board.aml: offset 0x") and "no hardware behind it" in said[0]
    assert said[0].endswith("Linux could go on from here, and the rest of \\_SB._INI is left out.")
    assert "\\_SB.STAT is part of an operation region" in said[1] and said[1].endswith("\\_SB.KBD0 is left out.")
    assert len(firmware.describe(parse(board(region, fields, broken, ini))).channels) == 1


# --- what V14 stumbles over ---------------------------------------------------------------------------------------


REMARKS = {
    "no _CCA": (board(channel=replaced(CHANNEL, "_CCA")),
                "\\_SB.DMA0.CH00._CCA: it is missing here and above, so Linux on ARM gives the device no DMA mask, and V14's "
                "probe warns and fails with -6 (ENXIO); give Name (_CCA, 1)."),
    "desc-count": (board(channel=replaced(CHANNEL, "_DSD", dsd(desc_count=3))),
                   "\\_SB.DMA0.CH00._DSD: desc-count: 3 is less than the 4 that a ring needs, and V14 defers its probe for "
                   "ever (row 51); give 4 or more."),
    "desc-count no number": (board(channel=replaced(CHANNEL, "_DSD", dsd(desc_count="many"))),
                             "\\_SB.DMA0.CH00._DSD: desc-count is no number of 32 bits, and V14 takes its default of 10; give "
                             "a number such as 64."),
    "edge": (board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), memory(0x5C001000, 0x1000),
                                                         interrupt(40, edge=True)))),
             "\\_SB.DMA0.CH00._CRS: it asks for an edge and the channel's line is a level; write Level."),
    "later": (board(channel=replaced(CHANNEL, "_HID", name("_HID", "QCOM8062"))),
              "\\_SB.DMA0.CH00._HID: V14 knows only QCOM8061, so no driver binds to QCOM8062; add Name (_CID, \"QCOM8061\") "
              "if the hardware is compatible with it."),
    "shared": (board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), memory(0x5C001000, 0x1000),
                                                           interrupt(39)))), None),
    "bad _DSD": (board(channel=replaced(CHANNEL, "_DSD", name("_DSD", [UUID]))),
                 "\\_SB.DMA0.CH00._DSD: it is not made of UUIDs and packages of named values, and Linux takes no property from "
                 "it; make it as ACPI's device properties (daffd814-6eba-4d8c-8a91-bc9bbf4aa301) are."),
    "burst": (board(management=replaced(MANAGEMENT, "_DSD", dsd(
        dma_channels=1, max_write_burst_bytes=1024, max_read_burst_bytes=96, max_write_transactions=31,
        max_read_transactions=31, channel_reset_timeout_cycles=5))),
              "\\_SB.DMA0._DSD: max-read-burst-bytes: 96 is refused by V14's probe; give a power of two from 128 to 1024."),
    "none": (table(), "\\: no device that is present has the ID QCOM8060 or QCOM8061, so the machine has no DMA channel; add "
                      "one."),
}


@pytest.mark.parametrize("case", REMARKS)
def test_what_v14_stumbles_over_is_said(case: str) -> None:
    raw, expected = REMARKS[case]
    said = firmware.check(parse(raw))
    if expected is None:
        assert said == []
    else:
        (only,) = said
        assert only.startswith("board.aml: offset 0x") and only.endswith(expected)


def test_a_missing_management_property_is_said_once_for_each() -> None:
    said = firmware.check(parse(board(management=replaced(MANAGEMENT, "_DSD", dsd(dma_channels=1)))))
    assert len(said) == 5 and all("is missing and V14's probe fails without it" in one for one in said)


# --- what is refused ----------------------------------------------------------------------------------------------

GOOD = board()
HOSTILE = {
    "nothing": (b"", "offset 0x0: this is no ACPI table, it begins with nothing; one that is read begins with DSDT or SSDT."),
    "text": (b"#!/bin/sh", "offset 0x0: this is no ACPI table, it begins with 23 21 2f 62; one that is read begins with DSDT "
                           "or SSDT."),
    "another table": (b"FACP" + bytes(40), "offset 0x0: the table FACP is not read; give the DSDT, then SSDT "
                                                "and IORT."),
    "short header": (GOOD[:20], "offset 0x14: the file ends inside a table's header, which has 36 bytes."),
    "truncated": (GOOD[:-1], f"offset 0x4: the header says {len(GOOD)} bytes and {len(GOOD) - 1} are there; the table is "
                             "truncated."),
    "trailing": (GOOD + b"\0\0\0\0more", f"offset {len(GOOD):#x}: this is no ACPI table, it begins with 00 00 00 00; one that "
                                         "is read begins with DSDT or SSDT."),
    "length": (table(length=35), "offset 0x4: a length of 35 bytes is less than the header's 36."),
    "checksum": (table(checksum=0xFF), "offset 0x9: the checksum is 0xff where 0x26 is right; the table is damaged."),
    "revision": (table(revision=0), "offset 0x8: revision 0 is none of a DSDT or SSDT; it is 1 (32-bit integers) or 2."),
    "opcode": (table(b"\x02"), "offset 0x24: 0x02 is no opcode of AML."),
    "extended opcode": (table(b"\x5b\x99"), "offset 0x24: 0x5b99 is no opcode of AML."),
    "unsupported": (table(b"\x5b\x20AAAABBBB"), "offset 0x24: Load (opcode 0x5b20) is not supported."),
    "else": (table(b"\xa1\x02\xa3"), "offset 0x24: Else without If (opcode 0xa1) is not supported."),
    "package length": (table(b"\x10\x3f_SB_"), "offset 0x25: a length of 63 bytes does not fit: the block around it ends at "
                                               "0x2a."),
    "no length": (table(b"\x10\x00_SB_"), "offset 0x25: a length of 0 bytes does not fit: the block around it ends at 0x2a."),
    "cut": (table(b"\x08TEST\x0c\x01"), "offset 0x2a: 4 bytes are needed here and 1 are left in the block."),
    "name": (table(b"\x08te:t\x00"), "offset 0x25: 74 65 3a 74 is no name; one has four of A to Z, 0 to 9 and _, and begins "
                                     "with no digit."),
    "name begins with a digit": (table(b"\x081ABC\x00"), "offset 0x25: 31 41 42 43 is no name; one has four of A to Z, 0 to 9 "
                                                         "and _, and begins with no digit."),
    "twice": (table(name("TEST", 1), name("TEST", 2)), "offset 0x2b: \\TEST is declared a second time; it was at 0x24."),
    "predefined": (table(name("_REV", 1)), "offset 0x24: \\_REV is declared and every namespace has it already."),
    "no parent": (table(name("\\AAAA.BBBB", 1)), "offset 0x24: \\AAAA.BBBB is declared and what stands above it is not."),
    "unknown scope": (table(scope("AAAA")), "offset 0x24: Scope (AAAA) opens what is declared nowhere; load the table that "
                                            "declares it first."),
    "scope of a name": (table(name("AAAA", 1), scope("AAAA")), "offset 0x2b: Scope (AAAA) opens a name, which has nothing "
                                                               "below it."),
    "unknown name": (table(raw_name("AAAA", b"BBBB")), "offset 0x29: BBBB is named and declared nowhere."),
    "string": (table(b"\x08AAAA\x0dabc"), "offset 0x29: a string has no end within its block."),
    "string not ASCII": (table(b"\x08AAAA\x0d\xffx\0"), "offset 0x2a: a character of a string is not ASCII."),
    "return": (table(b"\xa4\x01"), "offset 0x24: Return stands outside every method."),
    "local": (table(b"\x70\x01\x60"), "offset 0x26: a local or an argument is named outside every method."),
    "endless": (table(b"\xa2\x02\x01"), None),
    "endless in a method": (table(scope("\\_SB", device("DMA0", *replaced(MANAGEMENT, "_CRS", method("_CRS", b"\xa2\x02\x01"))))),
                            None),
    "recursion": (table(method("AAAA", b"AAAA"), b"AAAA"), None),
    "alias of its own scope": (table(scope("\\_SB", b"\x06" + path("\\_SB") + b"SELF")), None),
    "deep": (table(b"\xa0\x7f" * 30), None),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_table_is_refused_with_one_sentence_and_its_offset(case: str) -> None:
    raw, expected = HOSTILE[case]
    if case == "alias of its own scope":
        assert firmware.describe(parse(raw)).cores == ()
        return
    said = refused(raw)
    assert expected is None or said == expected
    assert said.startswith("offset 0x")


def test_depth_has_a_limit_that_is_no_traceback() -> None:
    code = b"\x01"
    for _ in range(200):
        code = b"\xa0" + spanned(b"\x01" + code)
    assert "terms lie more than 120 deep" in refused(table(code))
    nested = b""
    for _ in range(100):
        nested = device("AAAA", nested)
    assert "terms lie more than 120 deep" in refused(table(nested))


def test_a_package_in_itself_has_an_end() -> None:
    raw = table(raw_name("AAAA", term([Reference("AAAA")])), scope("\\_SB", device("DMA0", name("_HID", "QCOM8060"), raw_name(
        "_DSD", term([Reference("AAAA")])))))
    assert "packages lie more than 120 deep, or in themselves" in refused(raw)


def test_a_reference_to_itself_has_an_end() -> None:
    code = b"\x70\x71\x68\x68" + b"\x70\x01\x68"
    assert "a reference leads to itself" in refused(table(method("AAAA", code, arguments=1), b"AAAA\x01"))


def test_a_field_of_64_bits_in_a_table_of_32_bit_integers_is_a_buffer() -> None:
    code = b"\x08BUF0" + term(bytes(range(8))) + b"\x8fBUF0\x00FLD0" + b"\xa4FLD0"
    namespace = parse(table(method("TEST", code), revision=1))
    assert namespace.evaluate(namespace.root, "TEST") == bytes(range(8))


BOARDS = {
    "no _CRS": (board(channel=replaced(CHANNEL, "_CRS")),
                "\\_SB.DMA0.CH00._CRS: it is missing; it says at which address the registers stand."),
    "no interrupt": (board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), memory(0x5C001000, 0x1000)))),
                     "\\_SB.DMA0.CH00._CRS: it gives no interrupt and the driver asks for one; add Interrupt "
                     "(ResourceConsumer, Level, ActiveHigh, Exclusive) { 421 }, say."),
    "one region": (board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), interrupt(40)))),
                   "\\_SB.DMA0.CH00._CRS: it gives one region of memory; a channel has two, its transfer channel and its event "
                   "channel."),
    "no pages": (board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), memory(0x5C001000, 0x800),
                                                             interrupt(40)))),
                 "\\_SB.DMA0.CH00._CRS: 0x5c001000 with 0x800 bytes is not made of whole 4 KiB pages; give a base and a size "
                 "that are multiples of 0x1000."),
    "overlap": (board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), memory(0x5C000000, 0x1000),
                                                            interrupt(40)))),
                "\\_SB.DMA0.CH00._CRS: 0x5c000000 to 0x5c000fff overlaps 0x5c000000 to 0x5c000fff of the same _CRS; give every "
                "register block addresses of its own."),
    "overlap of two": (board(management=replaced(MANAGEMENT, "_CRS", crs(memory(0x5C001000, 0x1000), interrupt(39)))),
                       "overlaps 0x5c001000 to 0x5c001fff of \\_SB.DMA0; give every register block addresses of its own."),
    "RAM": (board(device("MEM0", name("_HID", 0x800CD041), crs(memory(0x80000000, 0x10000000))),
                  channel=replaced(CHANNEL, "_CRS", crs(memory(0x80000000, 0x1000), memory(0x5C001000, 0x1000),
                                                        interrupt(40)))),
            "\\_SB.DMA0.CH00._CRS: 0x80000000 to 0x80000fff overlaps the RAM at 0x80000000 to 0x8fffffff; give the registers "
            "addresses outside every memory device."),
    "RAM twice": (board(device("MEM0", name("_HID", 0x800CD041), crs(memory(0x10000000, 0x2000))),
                        device("MEM1", name("_HID", 0x800CD041), crs(memory(0x10001000, 0x2000)))),
                  "\\_SB.MEM1._CRS: 0x10001000 to 0x10002fff overlaps 0x10000000 to 0x10001fff of \\_SB.MEM0; RAM stands at an "
                  "address once."),
    "private interrupt": (board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), memory(0x5C001000, 0x1000),
                                                                      interrupt(30)))),
                          "\\_SB.DMA0.CH00._CRS: interrupt 30 belongs to one CPU; a GIC has shared interrupts 32 to 1019."),
    "no such interrupt": (board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), memory(0x5C001000, 0x1000),
                                                                      interrupt(5000)))),
                          "\\_SB.DMA0.CH00._CRS: interrupt 5000 does not exist; a GIC has shared interrupts 32 to 1019."),
    "channels": (board(management=replaced(MANAGEMENT, "_DSD", dsd(dma_channels=65))),
                 "\\_SB.DMA0._DSD: dma-channels: 65 channels are more than the hardware has; a core has 1 to 64."),
    "hardware ID": (board(device("ODD0", name("_HID", "PRP0001"), name("_CID", 5))),
                    None),
    "kind of _CRS": (board(channel=replaced(CHANNEL, "_CRS", name("_CRS", 5))),
                     "\\_SB.DMA0.CH00._CRS: it gives an integer; right is a buffer, as ResourceTemplate () makes it."),
    "kind of _STA": (board(channel=(*CHANNEL, name("_STA", "yes"))),
                     "\\_SB.DMA0.CH00._STA: it gives a string; right is an integer such as 0x0F."),
    "iommus": (board(channel=replaced(CHANNEL, "_DSD", dsd(iommus=24))),
               "\\_SB.DMA0.CH00._DSD: iommus: it names one IOMMU and one stream, such as Package () { \\_SB.SMMU, 24 }."),
    "no IOMMU": (board(channel=replaced(CHANNEL, "_DSD", dsd(iommus=[Reference("\\_SB.DMA0"), 1]))),
                 "\\_SB.DMA0.CH00._DSD: iommus: \\_SB.DMA0 is no IOMMU that is known here; one has _HID PRP0001 and, in _DSD, "
                 "compatible arm,smmu-v1, arm,smmu-v2, arm,mmu-400, arm,mmu-401, arm,mmu-500, arm,smmu-v3, qcom,smmu-v2."),
}


@pytest.mark.parametrize("case", BOARDS)
def test_what_is_no_machine_is_refused_with_path_and_offset(case: str) -> None:
    raw, expected = BOARDS[case]
    if expected is None:
        assert len(firmware.check(parse(raw))) == 1
        return
    said = refused(raw)
    assert said.startswith("offset 0x") and said.endswith(expected)


def test_the_offset_is_that_of_the_object() -> None:
    raw = board(channel=replaced(CHANNEL, "_CRS", crs(memory(0x5C000000, 0x1000), interrupt(40))))
    at = raw.index(b"\x08_CRS", raw.index(b"QCOM8061"))
    assert refused(raw).startswith(f"offset {at:#x}, \\_SB.DMA0.CH00._CRS: ")
    assert firmware.check(parse(raw)) == [f"board.aml: {refused(raw)}"]


TEMPLATES = {
    "no end tag": (memory(0x5C000000, 0x1000), 12, "it has no end tag"),
    "cut": (memory(0x5C000000, 0x1000)[:8], 0, "a descriptor (Memory32Fixed) has 9 bytes and 5 are there"),
    "cut large": (b"\x86", 0, "it ends inside a descriptor"),
    "unknown": (b"\x0a\0" + END_TAG, 0, "0x0a begins no descriptor"),
    "unknown large": (b"\xff\0\0" + END_TAG, 0, "0xff begins no descriptor"),
    "short": (b"\x86\x02\0\0\0" + END_TAG, 0, "a descriptor (Memory32Fixed) has 2 bytes where 9 are right"),
    "interrupts": (b"\x89\x06\0\x01\x05\0\0\0\0" + END_TAG, 0, "a descriptor (Interrupt) says 5 interrupts and has 6 bytes"),
    "checksum": (memory(0, 0x1000) + b"\x79\x01", 12, "the checksum of its end tag is wrong (0x01)"),
    "open": (b"\x85\x11\0\x01" + bytes([0, 0, 0, 1]) + bytes([0, 0, 0, 2]) + bytes(8) + END_TAG, 0,
             "a descriptor (Memory32) leaves its address open (0x1000000 to 0x2000000); current resources have one"),
}


@pytest.mark.parametrize("case", TEMPLATES)
def test_a_bad_template_is_refused_with_its_offset_in_the_file(case: str) -> None:
    raw, at, what = TEMPLATES[case]
    with pytest.raises(ValueError) as caught:
        templates.decode(raw)
    assert caught.value.args == (at, what)
    whole = board(channel=replaced(CHANNEL, "_CRS", name("_CRS", raw)))
    start = whole.index(raw, whole.index(b"QCOM8061"))
    assert refused(whole).endswith(f"\\_SB.DMA0.CH00._CRS: offset {start + at:#x} of the file: {what}.")


# --- damage -------------------------------------------------------------------------------------------------------

SEEDS = {name: file.read_bytes() for name, file in FILES.items()}


def survive(raw: bytes) -> None:
    """A table is described, or refused with one sentence, and in reasonable time."""
    start = time.process_time()
    try:
        namespace = firmware.parse(raw, "board.aml")
        firmware.describe(namespace)
        firmware.check(namespace)
    except FirmwareError as error:
        assert str(error).endswith(".") and "\n" not in str(error) and "board.aml: " in str(error)
    assert time.process_time() - start < 20


@pytest.mark.parametrize("which", SEEDS)
def test_a_mutated_table_is_never_a_traceback(which: str) -> None:
    rng = random.Random(f"aml {which}")
    seed = SEEDS[which]
    for _ in range(400):
        raw = bytearray(seed)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(36, len(raw))
            kind = rng.randrange(4)
            if kind == 0:
                raw[at] = rng.randrange(256)
            elif kind == 1:
                raw[at] ^= 1 << rng.randrange(8)
            elif kind == 2:
                del raw[at:at + rng.randrange(1, 8)]
            else:
                raw[at:at] = rng.randbytes(rng.randrange(1, 8))
            if len(raw) <= 37:
                break
        raw[4:8] = len(raw).to_bytes(4, "little")
        raw[8] = rng.randrange(1, 3)
        survive(rechecked(bytes(raw)))


@pytest.mark.parametrize("which", ["acpi-guest"])
def test_a_table_cut_anywhere_is_never_a_traceback(which: str) -> None:
    seed = SEEDS[which]
    for size in range(len(seed)):
        survive(seed[:size])
        raw = bytearray(seed[:size])
        if size >= 36:
            raw[4:8] = size.to_bytes(4, "little")
            survive(rechecked(bytes(raw)))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_any_bytes_as_terms_are_never_a_traceback(code: bytes) -> None:
    survive(table(code))
    survive(table(method("TEST", code), scope("\\_SB", device("DMA0", name("_HID", "QCOM8060"), method("_CRS", code)))))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_as_a_template_are_never_a_traceback(raw: bytes) -> None:
    survive(board(channel=replaced(CHANNEL, "_CRS", name("_CRS", raw))))


OPCODES = sorted(op for op in amlterms.HANDLERS)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(
    st.sampled_from(OPCODES).map(lambda op: op.to_bytes(2, "big") if op > 0xFF else bytes([op])),
    st.sampled_from([b"BUF0", b"PKG0", b"STR0", b"INT0", b"MTH1", b"DEV0", b"\\_SB_", b"^BUF0", b"\x60", b"\x68", b"\0"]),
    st.integers(0, 255).map(lambda n: bytes([n])), st.binary(max_size=3)), max_size=40).map(b"".join))
def test_any_sequence_of_terms_is_never_a_traceback(code: bytes) -> None:
    survive(table(name("BUF0", b"abcdefgh"), name("PKG0", [1, "x", [2]]), name("STR0", "text"), name("INT0", 5),
                  method("MTH1", b"\xa4\x68", arguments=1), device("DEV0", name("_HID", "PRP0001"), method("_CRS", code)),
                  method("TEST", code), code, revision=1 + len(code) % 2))
