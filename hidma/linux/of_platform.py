# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/of_platform.h>``: platform devices for the nodes of the device tree, as the architecture's boot code makes them.

The channel nodes below a management node are not touched here: the management driver makes their devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hidma.linux import sched
from hidma.linux.device import BusType, Device, device_add
from hidma.linux.ioport import IORESOURCE_IRQ, IORESOURCE_MEM, Resource
from hidma.linux.of import DeviceNode, OfDeviceId, of_device_is_available, of_get_property, of_match_node
from hidma.linux.platform_device import PLATFORM_DEVID_NONE, PlatformDevice, platform_device_add, platform_root

if TYPE_CHECKING:
    from hidma.linux.kernel import Kernel

of_default_bus_match_table = (OfDeviceId("simple-bus"), OfDeviceId("simple-mfd"), OfDeviceId("isa"), OfDeviceId("arm,amba-bus"))
"""Nodes whose children become devices, too."""
PRIMECELL = (OfDeviceId("arm,primecell"),)


def of_device_make_bus_id(np: DeviceNode) -> str:
    """The name of the device of ``np``: address and name. Without an address it is the name of the node in its path, behind the
    same for the nodes above."""
    if np.regs:
        return f"{np.regs[0][0]:x}.{np.name}"
    if np.parent is None or np.parent.parent is None:
        return np.node_name
    return f"{of_device_make_bus_id(np.parent)}:{np.node_name}"


def of_platform_device_create(np: DeviceNode, parent: Device | None) -> PlatformDevice:
    """Make and register the platform device of ``np``: named by its address, of_node set, 32-bit DMA mask."""
    pdev = PlatformDevice(of_device_make_bus_id(np), PLATFORM_DEVID_NONE, parent)
    pdev.dev.of_node = np
    pdev.dev.fwnode = np
    pdev.dev.coherent_dma_mask = 0xFFFFFFFF
    pdev.dev.dma_mask = 0xFFFFFFFF
    pdev.resource = [Resource(start, start + size - 1, IORESOURCE_MEM, np.full_name) for start, size in np.regs]
    pdev.resource += [Resource(irq, irq, IORESOURCE_IRQ, np.full_name) for irq in np.irqs]
    np.device = pdev
    platform_device_add(pdev)
    return pdev


def amba_bustype(kernel: Kernel) -> BusType:
    """``amba_bustype`` of ``kernel``: the bus ``amba``. It has no drivers here."""
    bus = kernel.buses.get("amba")
    if bus is None:
        bus = BusType(kernel, "amba", lambda dev, driver: False, lambda dev: 0, lambda dev: 0)
        kernel.buses["amba"] = bus
    return bus


def of_amba_device_create(np: DeviceNode, parent: Device | None) -> Device:
    """Make and register the device of ``np`` on the AMBA bus: named and with resources as a platform device is."""
    dev = Device(of_device_make_bus_id(np), parent)
    dev.of_node = np
    dev.fwnode = np
    dev.bus = amba_bustype(sched.running_cpu().kernel)
    if parent is None:
        dev.kobj.parent = platform_root(sched.running_cpu().kernel)
    device_add(dev)
    return dev


def of_platform_bus_create(bus: DeviceNode, parent: Device | None) -> None:
    """The device of ``bus``, and those of its children if it is a bus. A node needs a ``compatible`` property.

    An interrupt controller is left out unless it is one of GPIOs: by a declared difference, since 4.5 makes a device of it that
    no driver binds.
    """
    if of_get_property(bus, "compatible")[0] is None or not of_device_is_available(bus):
        return
    if "interrupt-controller" in bus.properties and "gpio-controller" not in bus.properties:
        return
    if of_match_node(list(PRIMECELL), bus) is not None:
        of_amba_device_create(bus, parent)
        return
    dev = of_platform_device_create(bus, parent).dev
    if of_match_node(list(of_default_bus_match_table), bus) is not None:
        for child in bus.children:
            of_platform_bus_create(child, dev)


def of_platform_populate(root: DeviceNode) -> None:
    """Make a platform device of every child of ``root`` that has a ``compatible`` property, and of the children of simple buses.

    arch_initcall of arm64 in 4.5; later kernels call it of_platform_default_populate().
    """
    for child in root.children:
        of_platform_bus_create(child, None)
