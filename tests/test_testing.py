# SPDX-License-Identifier: GPL-2.0-only
"""The kit for reset plugins: it passes the bundled ones, and notices what each check is there for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hidma.linux.errno import ENODEV, ENOMEM, ETIMEDOUT
from hidma.linux.io import readl, writel
from hidma.linux.iomap import ioread8, ioremap_nocache
from hidma.linux.printk import pr_warn
from hidma.linux.sched import local_irq_save
from hidma.plugin import testing
from hidma.plugin.sources import PluginError
from hidma.testing import Bench, DeviceModel, ResetPluginTests, Row, hookimpl
from hidma.vfio_platform import VfioPlatformDevice, module_vfio_reset_handler
from reset_plugins import amdxgbe, calxedaxgmac, qcomhidma


class Ticker(DeviceModel):
    """Writes to memory while bit 0 of CONTROL is set."""

    name = "ticker"
    registers = ((Row(0, "CONTROL"), Row(4, "TARGET"), Row(8, "STATUS", clear=1), Row(12, "IRQ_EN"), Row(16, "ID", 7, 0xFF)),)

    def running(self) -> bool:
        return bool(self.registers_of[0][0] & 1) or (self.stuck and bool(self.registers_of[0][4]))

    def target(self) -> int:
        return self.registers_of[0][4]

    def interrupts(self) -> bool:
        return bool(self.registers_of[0][8] & self.registers_of[0][12])

    def happened(self) -> None:
        self.registers_of[0][8] |= 1

    def start_traffic(self, address: int) -> None:
        self.write(0, 4, address)
        self.write(0, 12, 1)
        self.write(0, 0, 1)


def mapped(vdev: VfioPlatformDevice) -> int:
    """The registers, or a negative errno."""
    if vdev.num_regions != 1:
        return -ENODEV
    region = vdev.regions[0]
    if not region.ioaddr:
        region.ioaddr = ioremap_nocache(region.addr, region.size)
    return region.ioaddr or -ENOMEM


def good(vdev: VfioPlatformDevice) -> int:
    base = mapped(vdev)
    if base < 0:
        return base
    writel(0, base + 12)
    writel(0, base)
    writel(1, base + 8)
    return 0


def plugin(reset: Callable[[VfioPlatformDevice], Any], model: type[DeviceModel] = Ticker) -> Any:
    """A plugin of these two."""
    class Plugin:
        module = module_vfio_reset_handler("a,b", None, reset)

        @hookimpl
        def hidma_reset_module(self) -> Any:
            return self.module

        @hookimpl
        def hidma_device_model(self, stuck: bool) -> DeviceModel:
            return model(stuck)

    return Plugin()


def failures(reset: Callable[[VfioPlatformDevice], Any], model: type[DeviceModel] = Ticker) -> dict[str, str]:
    """The checks that fail, with what they say."""
    return {result.name: result.text for result in testing.check(plugin(reset, model)) if result.status == "failed"}


# --- plugins that are fine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [qcomhidma, amdxgbe, calxedaxgmac], ids=lambda thing: thing.__name__)
def test_bundled_plugins_hold(thing: Any) -> None:
    results = testing.check(thing)
    assert [result for result in results if result.status == "failed"] == []
    assert len(results) == len(testing.CHECKS)


def test_what_v14_leaves_open_is_a_note() -> None:
    notes = {(thing.__name__, result.name): result.text for thing in (qcomhidma, amdxgbe, calxedaxgmac)
             for result in testing.check(thing) if result.status == "note"}
    assert set(notes) == {
        ("reset_plugins.amdxgbe", "wrong number of regions is an error"),
        ("reset_plugins.amdxgbe", "stuck device is given up"),
        ("reset_plugins.calxedaxgmac", "wrong number of regions is an error"),
        ("reset_plugins.calxedaxgmac", "stuck device is given up"),
    }
    assert "XGBE PHY reset timeout" in notes["reset_plugins.amdxgbe", "stuck device is given up"]
    assert "goes on writing to memory" in notes["reset_plugins.calxedaxgmac", "stuck device is given up"]


def test_plugin_that_is_fine_holds() -> None:
    assert failures(good) == {}


class TestKitAsTests(ResetPluginTests):
    plugin = plugin(good)


def test_class_of_tests_has_every_check() -> None:
    names = {name for name in dir(ResetPluginTests) if name.startswith("test_")}
    assert names == {f"test_{function.__name__}" for function in testing.CHECKS}
    bad = type("Bad", (ResetPluginTests,), {"plugin": plugin(lambda vdev: 0)})()
    with pytest.raises(AssertionError, match="goes on writing to memory"):
        bad.test_traffic_is_stopped()


# --- and those that are not -----------------------------------------------------------------------------------------------


def test_reset_that_does_nothing() -> None:
    found = failures(lambda vdev: 0)
    assert "goes on writing to memory" in found["traffic is stopped"]
    assert "leaves no mapping" in found["regions are mapped when they are not"]
    assert "-ENOMEM" in found["mapping that fails is an error"]
    assert "look at vdev.num_regions" in found["wrong number of regions is an error"]


def test_reset_that_leaves_the_interrupt_on() -> None:
    def reset(vdev: VfioPlatformDevice) -> int:
        base = mapped(vdev)
        if base > 0:
            writel(0, base)
        return min(base, 0)

    assert "interrupt line is up" in failures(reset)["traffic is stopped"]


def test_reset_that_works_once() -> None:
    done: list[Any] = []

    def reset(vdev: VfioPlatformDevice) -> int:
        if vdev in done:
            return 0
        done.append(vdev)
        return good(vdev)

    assert list(failures(reset)) == ["second reset is as good"]


def test_reset_that_expects_a_mapping() -> None:
    def reset(vdev: VfioPlatformDevice) -> int:
        writel(0, vdev.regions[0].ioaddr)
        return 0

    assert "stops the kernel" in failures(reset)["regions are mapped when they are not"]


@pytest.mark.slow
def test_reset_that_waits_for_ever() -> None:
    def reset(vdev: VfioPlatformDevice) -> int:
        rc = good(vdev)
        while rc == 0 and readl(vdev.regions[0].ioaddr + 16) == 7:
            pass
        return rc

    assert "does not end" in failures(reset)["stuck device is given up"]


def test_stuck_device_is_a_time_out_or_a_line() -> None:
    def times_out(vdev: VfioPlatformDevice) -> int:
        return good(vdev) or (-ETIMEDOUT if vdev.name == "stuck" else 0)

    def says(vdev: VfioPlatformDevice) -> int:
        pr_warn("it is stuck")
        return good(vdev)

    results = {result.name: result for result in testing.check(plugin(says))}
    assert results["stuck device is given up"].status == "note"
    assert "it is stuck" in results["stuck device is given up"].text
    assert failures(times_out) == {}


def test_access_of_an_odd_width() -> None:
    def reset(vdev: VfioPlatformDevice) -> int:
        rc = good(vdev)
        if not rc:
            ioread8(vdev.regions[0].ioaddr + 1)
        return rc

    assert "the bus refuses an access" in failures(reset)["nothing is touched beside the device"]


def test_interrupts_left_disabled() -> None:
    def reset(vdev: VfioPlatformDevice) -> int:
        rc = good(vdev)
        local_irq_save()
        return rc

    assert "interrupts or softirqs disabled" in failures(reset)["kernel rules are kept"]


@pytest.mark.parametrize(("result", "text"), [(None, "returns None"), (True, "returns True"), ("0", "returns '0'")])
def test_result_that_is_no_number(result: Any, text: str) -> None:
    def reset(vdev: VfioPlatformDevice) -> Any:
        rc = good(vdev)
        return rc or result

    assert text in failures(reset)["traffic is stopped"]


def test_exception_is_told() -> None:
    def reset(vdev: VfioPlatformDevice) -> int:
        raise KeyError("register")

    assert "raises KeyError" in failures(reset)["traffic is stopped"]


def test_model_that_moves_nothing_proves_nothing() -> None:
    class Silent(Ticker):
        def running(self) -> bool:
            return False

    assert "nothing can be proved" in failures(good, Silent)["traffic is stopped"]


def test_plugin_without_a_model_is_refused() -> None:
    class Bare:
        module = module_vfio_reset_handler("a,b", None, good)

        @hookimpl
        def hidma_reset_module(self) -> Any:
            return self.module

    with pytest.raises(PluginError, match="implements no hook hidma_device_model"):
        testing.check(Bare())


def test_hook_that_returns_no_model() -> None:
    class Odd:
        module = module_vfio_reset_handler("a,b", None, good)

        @hookimpl
        def hidma_reset_module(self) -> Any:
            return self.module

        @hookimpl
        def hidma_device_model(self, stuck: bool) -> Any:
            return 3

    results = testing.check(Odd())
    assert any("returns 3, not a hidma.testing.DeviceModel" in result.text for result in results if result.status == "failed")


# --- the bench --------------------------------------------------------------------------------------------------------------


def test_register_rows_store_as_they_say() -> None:
    with Bench(Ticker()) as bench:
        base = ioremap_nocache(bench.vdev.regions[0].addr, 0x1000)
        writel(0xFFFFFFFF, base + 16)
        assert readl(base + 16) == 0xFFFFFF07
        bench.model.registers_of[0][8] = 1
        writel(0, base + 8)
        assert readl(base + 8) == 1
        writel(1, base + 8)
        assert readl(base + 8) == 0
        writel(0x55, base + 0x100)
        assert readl(base + 0x100) == 0x55


def test_row_outside_its_region_is_refused() -> None:
    class Odd(DeviceModel):
        registers = ((Row(0x1000, "BEYOND"),),)

    with pytest.raises(ValueError, match="BEYOND at 0x1000 is not in 4096 bytes"):
        Odd()


def test_dma_goes_through_the_stream() -> None:
    with Bench(Ticker()) as bench:
        bench.start_traffic()
        bench.stream.block()
        refused = bench.model.refused
        bench.run(100_000)
        assert bench.model.refused > refused
        assert bench.stream.faults == bench.model.refused
