# SPDX-License-Identifier: GPL-2.0-only
"""Bad input: what each writable attribute gives for it, by the rules of the kernel, and that the hardware does not
notice what was refused. What V14 itself does with numbers is in the golden runs of mgmt_sys; here it comes through the
files."""

from __future__ import annotations

import pytest

import hidma
from hidma.linux import sched
from hidma.linux.base import mount_root
from hidma.linux.errno import EACCES, EINVAL, EIO, ENODEV, ENOENT, ERANGE
from hidma.linux.fs import O_RDWR, O_WRONLY, Dir, File, Link, OpenFile, Vfs
from hidma.linux.kthread import kthread_run

MGMT = "/sys/devices/platform/f9984000.hidma-mgmt"
MGMT_BASE = 0xF9984000
DRIVERS = "/sys/bus/platform/drivers"

INPUTS = {
    "empty": b"",
    "newline": b"\n",
    "abc": b"abc\n",
    "-1": b"-1\n",
    "0x10": b"0x10\n",
    "010": b"010\n",
    "no newline": b"8",
    "2^32": b"4294967296\n",
    "2^32+8": b"4294967304\n",
    "2^64": b"18446744073709551616\n",
    "5000 ones": b"1" * 5000,
    "5000 zeros": b"0" * 5000,
    "NUL": b"8\0abc",
    "two newlines": b"8\n\n",
    "plus": b"+8\n",
    "blank before": b" 8\n",
    "blank behind": b"8 \n",
    "0x": b"0x\n",
    "no text": b"\xff\xfe",
}
EVERY = tuple(INPUTS)
NO_NUMBER = ("newline", "abc", "-1", "two newlines", "blank before", "blank behind", "0x", "no text")
TOO_LARGE = ("2^64", "5000 ones")
EIGHT = ("010", "no newline", "2^32+8", "NUL", "plus")

#: By attribute: errno by input, and the text after an input that is taken. Everything else must be taken, and not read.
Rules = tuple[dict[int, tuple[str, ...]], dict[str, str]]


def numbers(errors: tuple[str, ...], **taken: tuple[str, ...]) -> Rules:
    """An attribute of V14: kstrtoul() in base 0, then the checks of hidma_mgmt_setup()."""
    return (
        {EINVAL: (*NO_NUMBER, *errors), ERANGE: TOO_LARGE},
        {name: f"{value[1:]}\n" for value, names in taken.items() for name in names},
    )


NOTHING: Rules = ({EINVAL: tuple(n for n in EVERY if n != "empty")}, {})
NO_DEVICE: Rules = ({ENODEV: tuple(n for n in EVERY if n != "empty")}, {})
READ_ONLY: Rules = ({EACCES: EVERY}, {})
RULES: dict[str, Rules] = {
    f"{MGMT}/max_wr_xactions": numbers((), _8=EIGHT, _16=("0x10",), _0=("2^32", "5000 zeros"), _31=("empty",)),
    f"{MGMT}/max_rd_xactions": numbers((), _8=EIGHT, _16=("0x10",), _0=("2^32", "5000 zeros"), _31=("empty",)),
    f"{MGMT}/max_write_request": numbers((*EIGHT, "0x10", "2^32", "5000 zeros"), _1024=("empty",)),
    f"{MGMT}/max_read_request": numbers((*EIGHT, "0x10", "2^32", "5000 zeros"), _1024=("empty",)),
    # 16 is too much, and 0 becomes 1 (row 26)
    f"{MGMT}/chanops/chan0/weight": numbers(("0x10",), _8=EIGHT, _1=("2^32", "5000 zeros", "empty")),
    f"{MGMT}/chanops/chan5/weight": numbers(("0x10",), _8=EIGHT, _1=("2^32", "5000 zeros", "empty")),
    f"{MGMT}/chanops/chan0/priority": numbers((*EIGHT, "0x10"), _0=("2^32", "5000 zeros", "empty")),
    f"{MGMT}/hw_version_major": READ_ONLY,
    f"{MGMT}/hw_version_minor": READ_ONLY,
    f"{MGMT}/dma_channels": READ_ONLY,
    f"{MGMT}/chreset_timeout_cycles": READ_ONLY,
    f"{MGMT}/hidma.0/chid": READ_ONLY,
    f"{MGMT}/modalias": READ_ONLY,
    f"{MGMT}/power/runtime_status": READ_ONLY,
    f"{MGMT}/hidma.0/dma/dma0chan0/in_use": READ_ONLY,
    f"{MGMT}/power/control": NOTHING,
    f"{MGMT}/power/async": NOTHING,
    # kstrtol() in base 10, then an int
    f"{MGMT}/power/autosuspend_delay_ms": (
        {EINVAL: tuple(n for n in (*NO_NUMBER, *TOO_LARGE, "0x10", "2^32", "2^32+8") if n != "-1")},
        {"-1": "-1\n", "010": "10\n", "no newline": "8\n", "NUL": "8\n", "plus": "8\n", "5000 zeros": "0\n"},
    ),
    f"{DRIVERS}/hidma/bind": NO_DEVICE,
    f"{DRIVERS}/hidma/unbind": NO_DEVICE,
    "/sys/bus/platform/drivers_probe": NO_DEVICE,
    # kstrtouint() in base 0
    "/sys/module/hdma/parameters/nr_desc_prm": (
        {EINVAL: NO_NUMBER, ERANGE: (*TOO_LARGE, "2^32", "2^32+8")},
        {
            "0x10": "16\n",
            "010": "8\n",
            "no newline": "8\n",
            "NUL": "8\n",
            "plus": "8\n",
            "5000 zeros": "0\n",
            "empty": "0\n",
        },
    ),
    # a write of a page or more is too long: the rest of 5000 bytes is never asked for
    f"{MGMT}/driver_override": (
        {EINVAL: ("5000 ones", "5000 zeros")},
        {"empty": "(null)\n", "newline": "(null)\n", "abc": "abc\n", "two newlines": "8\n", "NUL": "8\n", "-1": "-1\n"},
    ),
    f"{MGMT}/uevent": ({}, {}),
    "/sys/bus/platform/drivers_autoprobe": ({}, {"0x10": "0\n", "abc": "1\n"}),
}


def hardware(machine: hidma.Machine) -> dict[str, list[int]]:
    """Every register of the core that a write could change."""
    block = machine.bus.find(MGMT_BASE)
    offsets = [0x400, 0x418, 0x41C, 0x420, 0x424, *range(0x300, 0x300 + 4 * 6, 4)]
    return {"mgmt": [block.peek(offset) for offset in offsets]}


@pytest.fixture(scope="module")
def machine() -> hidma.Machine:
    with hidma.boot() as machine:
        yield machine


@pytest.mark.parametrize("path", RULES)
def test_each_input_gives_what_the_kernels_rules_say(path: str) -> None:
    errors, texts = RULES[path]
    expected = {name: -rc for rc, names in errors.items() for name in names}
    machine = hidma.boot()
    for name, data in INPUTS.items():
        before = hardware(machine)
        with machine.running() as kernel:
            vfs = mount_root(kernel)
            text = vfs.read(path)
            rc = vfs.write(path, data)
            after = vfs.read(path)
        assert rc == expected.get(name, len(data)), name
        if rc < 0:
            assert hardware(machine) == before, f"{name} was refused, and changed the hardware"
            assert after == text, f"{name} was refused, and changed the file"
        elif name in texts:
            assert after == texts[name].encode(), name
        if rc > 0:
            machine.close()
            machine = hidma.boot()
    machine.close()


def test_value_that_is_taken_reaches_the_register(machine: hidma.Machine) -> None:
    block = machine.bus.find(MGMT_BASE)
    with machine.running() as kernel:
        vfs = mount_root(kernel)
        assert vfs.write(f"{MGMT}/chanops/chan2/weight", b"0xb") == 3
        assert vfs.write(f"{MGMT}/chanops/chan2/priority", b"1\n") == 2
        assert vfs.write(f"{MGMT}/max_wr_xactions", b"5") == 1
    assert block.peek(0x308) >> 8 & 0x7F == 11
    assert block.peek(0x308) >> 15 & 1 == 1
    assert block.peek(0x420) >> 16 & 0x1F == 5


def test_world_writable_files_take_what_anybody_writes_and_others_do_not() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        assert vfs.write(f"{MGMT}/chanops/chan0/weight", b"7", root=False) == 1
        assert vfs.write(f"{MGMT}/max_rd_xactions", b"7", root=False) == 1
        assert vfs.write(f"{MGMT}/power/control", b"on", root=False) == -EACCES
        assert vfs.write(f"{DRIVERS}/hidma/unbind", b"hidma.0", root=False) == -EACCES
        assert vfs.read("/sys/kernel/debug/hidma.0/stats", root=False) == -EACCES
        assert vfs.listdir("/sys/kernel/debug", root=False) == -EACCES
        assert vfs.listdir("/sys/kernel/debug/hidma.0", root=False) == -EACCES


def test_root_cannot_open_a_sysfs_file_for_what_its_mode_has_no_bit_for() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        assert vfs.open(f"{DRIVERS}/hidma/bind") == -EACCES
        assert vfs.open(f"{MGMT}/dma_channels", O_RDWR) == -EACCES
        assert isinstance(vfs.open("/sys/kernel/debug/hidma.0/stats", O_WRONLY), OpenFile)
        assert vfs.write("/sys/kernel/debug/hidma.0/stats", b"x") == -EINVAL


def test_reader_gets_a_page_less_one_byte_at_most() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        assert vfs.write(f"{MGMT}/driver_override", b"x" * 4094) == 4094
        assert vfs.read(f"{MGMT}/driver_override") == b"x" * 4094 + b"\n"
        assert vfs.write(f"{MGMT}/driver_override", b"y" * 4095) == 4095
        assert vfs.read(f"{MGMT}/driver_override") == b"y" * 4095
        assert "fill_read_buffer: driver_override_show returned bad count" in machine.dmesg()


def opened(vfs: Vfs, *paths: str) -> list[OpenFile]:
    files = [vfs.open(path) for path in paths]
    assert all(isinstance(file, OpenFile) for file in files), files
    return [file for file in files if isinstance(file, OpenFile)]


def test_files_that_go_with_the_driver_are_enodev_for_who_holds_them() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        held = opened(
            vfs,
            f"{MGMT}/hidma.0/dma/dma0chan0/in_use",
            "/sys/kernel/debug/hidma.0/stats",
            "/sys/kernel/debug/hidma.0/chan0/stats",
        )
        assert [file.read(100) for file in held][0] == b"0\n"
        assert vfs.write(f"{DRIVERS}/hidma/unbind", b"hidma.0\n") == 8
        assert [file.read(100, 0) for file in held] == [-ENODEV] * 3
        assert vfs.lookup(f"{MGMT}/hidma.0/dma")[0] < 0
        assert vfs.write(f"{DRIVERS}/hidma/bind", b"hidma.0\n") == 8
        assert [file.read(100, 0) for file in held] == [-ENODEV] * 3
        assert vfs.read(f"{MGMT}/hidma.0/dma/dma0chan0/in_use") == b"0\n"


def test_files_of_a_module_and_of_its_driver_are_enodev_after_rmmod() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        held = opened(vfs, "/sys/module/hdma/parameters/nr_desc_prm", "/sys/module/hdma/initstate")
        writer = vfs.open(f"{DRIVERS}/hidma/unbind", O_WRONLY)
        machine.rmmod("hidma")
        assert [file.read(100) for file in held] == [-ENODEV] * 2
        assert isinstance(writer, OpenFile)
        assert writer.write(b"hidma.0") == -ENODEV


def test_chid_that_stays_behind_is_warned_of_once_and_does_not_stop_a_rebind() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        assert vfs.read(f"{MGMT}/hidma.3/chid") == b"3\n"
        assert vfs.write(f"{DRIVERS}/hidma/unbind", b"hidma.3") == 7
        assert vfs.read(f"{MGMT}/hidma.3/chid") == -ENODEV
        assert vfs.read(f"{MGMT}/hidma.3/chid") == -ENODEV
        assert machine.dmesg().count("row 21)") == 1
        assert vfs.write(f"{DRIVERS}/hidma/bind", b"hidma.3") == 7
        assert (
            "cannot create duplicate filename '/devices/platform/f9984000.hidma-mgmt/hidma.3/chid'" in machine.dmesg()
        )
        assert "dma3chan0" in vfs.listdir("/sys/class/dma")  # type: ignore[operator]
        channel = machine.dma.request_channel("dma3chan0")
        source, dest = machine.alloc(4096), machine.alloc(4096)
        source[:] = bytes(range(256)) * 16
        channel.memcpy(dest, source, 4096).wait()
        assert dest[:] == source[:]


def test_files_that_the_management_driver_leaves_are_warned_of_and_stop_its_rebind() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        before = hardware(machine)
        assert vfs.write(f"{DRIVERS}/hidma-mgmt/unbind", b"f9984000.hidma-mgmt") == 19
        for name in ("max_rd_xactions", "chanops/chan1/weight"):
            assert vfs.read(f"{MGMT}/{name}") == -ENODEV
            assert vfs.write(f"{MGMT}/{name}", b"3") == -ENODEV
            assert machine.dmesg().count(f"{name} was left behind") == 1
        assert "(V14 row 54)" in machine.dmesg()
        assert hardware(machine) == before
        assert vfs.write(f"{DRIVERS}/hidma-mgmt/bind", b"f9984000.hidma-mgmt") == -ENODEV
        assert "kobject_add_internal failed for chanops with -EEXIST" in machine.dmesg()
        assert "probe of f9984000.hidma-mgmt failed with error -12" in machine.dmesg()


def test_driver_override_keeps_every_driver_away_but_one() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        assert vfs.write(f"{DRIVERS}/hidma/unbind", b"hidma.1") == 7
        assert vfs.write(f"{MGMT}/hidma.1/driver_override", b"other\n") == 6
        assert vfs.write(f"{DRIVERS}/hidma/bind", b"hidma.1") == -ENODEV
        assert vfs.write("/sys/bus/platform/drivers_probe", b"hidma.1") == -EINVAL
        assert vfs.write(f"{MGMT}/hidma.1/driver_override", b"\n") == 1
        assert vfs.write("/sys/bus/platform/drivers_probe", b"hidma.1") == 7
        assert vfs.readlink(f"{MGMT}/hidma.1/driver") == "../../../../bus/platform/drivers/hidma"


def files_below(vfs: Vfs, path: str) -> list[str]:
    found = []
    for name in vfs.listdir(path):  # type: ignore[union-attr]
        node = vfs.lookup(f"{path}/{name}", follow=False)[2]
        if isinstance(node, Dir):
            found += files_below(vfs, f"{path}/{name}")
        elif isinstance(node, File):
            found.append(f"{path}/{name}")
    return found


def test_no_input_crashes_any_file_of_the_tree() -> None:
    with hidma.boot() as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        paths = files_below(vfs, "/sys") + files_below(vfs, "/proc")
        assert len(paths) > 100
        for path in paths:
            for data in INPUTS.values():
                rc = vfs.write(path, data)
                assert rc in (len(data), -EACCES, -EINVAL, -EIO, -ENODEV, -ERANGE), f"{path} {data[:20]!r} {rc}"
            text = vfs.read(path)
            assert isinstance(text, bytes) or text in (-EACCES, -EIO, -ENODEV), f"{path} {text}"
        assert kernel.dead is None


def test_two_shells_write_and_unbind_at_the_same_time_and_lose_nothing() -> None:
    with hidma.boot(seed=5) as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        block = machine.bus.find(MGMT_BASE)
        running = {"writer", "reader", "binder"}
        refused: list[tuple[str, int]] = []
        seen: list[bytes | int] = []
        cpus: set[int] = set()

        def write(path: str, data: bytes) -> None:
            rc = vfs.write(path, data)
            if rc != len(data):
                refused.append((path, rc))

        def writer(_: object) -> int:
            for n in range(300):
                cpus.add(sched.running_cpu().number)
                write(f"{MGMT}/chanops/chan{n % 6}/weight", b"%d\n" % (n % 15 + 1))
                assert block.peek(0x300 + 4 * (n % 6)) >> 8 & 0x7F == n % 15 + 1
                write(f"{MGMT}/hidma.2/power/control", b"on" if n % 2 else b"auto")
                sched.schedule_timeout(1000)
            running.discard("writer")
            return 0

        def reader(_: object) -> int:
            while "binder" in running:
                cpus.add(sched.running_cpu().number)
                seen.append(vfs.read("/sys/kernel/debug/hidma.2/chan0/stats"))
                seen.append(vfs.read("/sys/class/dma/dma2chan0/in_use"))
                sched.schedule_timeout(100_000)
            running.discard("reader")
            return 0

        def binder(_: object) -> int:
            for n in range(60):
                cpus.add(sched.running_cpu().number)
                write(f"{DRIVERS}/hidma/{'bind' if n % 2 else 'unbind'}", b"hidma.2\n")
                sched.schedule_timeout(3000)
            running.discard("binder")
            return 0

        for function in (writer, reader, binder):
            kthread_run(function, None, function.__name__)
        for _ in range(1000):
            if not running:
                break
            sched.schedule_timeout(1_000_000)
        assert not running
        assert len(cpus) == 3
        assert refused == []
        assert kernel.dead is None
        text = [one for one in seen if isinstance(one, bytes)]
        assert {one for one in seen if isinstance(one, int)} <= {-ENODEV, -ENOENT}
        assert b"0\n" in text and any(one.startswith(b"paused=0\n") for one in text)
        assert vfs.readlink(f"{MGMT}/hidma.2/driver") == "../../../../bus/platform/drivers/hidma"
        channel = machine.dma.request_channel("dma2chan0")
        source, dest = machine.alloc(4096), machine.alloc(4096)
        source[:] = bytes(range(256)) * 16
        channel.memcpy(dest, source, 4096).wait()
        assert dest[:] == source[:]


# --- the directories as the kernel makes them -------------------------------------------------------------------------


def test_links_climb_to_the_lowest_common_directory() -> None:
    with hidma.boot("acpi") as machine, machine.running() as kernel:
        vfs = mount_root(kernel)
        top = "/sys/devices/platform/QCOM8060:00"
        assert {path: vfs.readlink(f"{top}/{path}") for path in (
            "firmware_node", "QCOM8061:00/firmware_node", "QCOM8061:00/firmware_node/physical_node", "driver",
            "QCOM8061:00/iommu_group", "QCOM8061:00/dma/dma0chan0/device", "QCOM8061:00/dma/dma0chan0/subsystem",
        )} == {
            "firmware_node": "../../LNXSYSTM:00/LNXSYBUS:00/QCOM8060:00",
            "QCOM8061:00/firmware_node": "../../../LNXSYSTM:00/LNXSYBUS:00/QCOM8060:00/QCOM8061:00",
            "QCOM8061:00/firmware_node/physical_node": "../../../../platform/QCOM8060:00/QCOM8061:00",
            "driver": "../../../bus/platform/drivers/hidma-mgmt",
            "QCOM8061:00/iommu_group": "../../../../kernel/iommu_groups/0",
            "QCOM8061:00/dma/dma0chan0/device": "../../../QCOM8061:00",
            "QCOM8061:00/dma/dma0chan0/subsystem": "../../../../../../class/dma",
        }


def test_every_link_of_the_tree_leads_somewhere() -> None:
    def walk(vfs: Vfs, node: Dir, path: str) -> int:
        count = 0
        for name, child in node.entries().items():
            if isinstance(child, Dir):
                count += walk(vfs, child, f"{path}/{name}")
            elif isinstance(child, Link):
                assert vfs.lookup(f"{path}/{name}")[0] == 0, (path, name, child.target)
                count += 1
        return count

    for board in ("host", "acpi"):
        with hidma.boot(board) as machine, machine.running() as kernel:
            vfs = mount_root(kernel)
            assert walk(vfs, vfs.root, "") > 60


def test_negative_autosuspend_delay_holds_a_reference_until_it_is_positive_again(machine: hidma.Machine) -> None:
    power = f"{MGMT}/hidma.0/power"
    before = int(machine.sysfs[f"{power}/runtime_usage"])
    for delay, more in (("-1", 1), ("-5", 1), ("100", 0), ("-1", 1), ("0", 0)):
        machine.sysfs[f"{power}/autosuspend_delay_ms"] = delay
        assert int(machine.sysfs[f"{power}/runtime_usage"]) == before + more
    machine.sysfs[f"{power}/autosuspend_delay_ms"] = "-1"
    machine.run(10_000_000_000)
    assert machine.sysfs[f"{power}/runtime_status"] == "active\n"


def test_channel_of_the_class_dma_has_power_files_of_its_own(machine: hidma.Machine) -> None:
    power = "/sys/class/dma/dma0chan0/power"
    assert machine.sysfs[f"{power}/runtime_status"] == "unsupported\n"
    machine.sysfs[f"{power}/control"] = "on"
    assert machine.sysfs[f"{power}/control"] == "on\n"
    assert machine.sysfs["/sys/class/dma/dma1chan0/power/control"] == "auto\n"
    assert machine.sysfs[f"{MGMT}/hidma.0/power/control"] == "auto\n"
