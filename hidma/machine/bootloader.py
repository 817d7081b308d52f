# SPDX-License-Identifier: GPL-2.0-only
"""What firmware and boot loader hand to the kernel: the device tree as ``struct device_node``, or the ACPI namespace as
``struct acpi_device``. Addresses are translated and interrupts resolved already. It stands for no C file.
"""

from __future__ import annotations

from hidma import firmware
from hidma.firmware import FirmwareError
from hidma.firmware.board import interrupt_lines
from hidma.linux.acpi import AcpiDevice
from hidma.linux.errno import EINVAL
from hidma.linux.ioport import IORESOURCE_IRQ, IORESOURCE_MEM, Resource
from hidma.linux.of import DeviceNode


def device_nodes(tree: firmware.Tree, controller: firmware.Device | None = None) -> DeviceNode:
    """The root of the nodes of ``tree``. A malformed ``reg`` counts as none; malformed interrupts are -EINVAL for their reader.

    Interrupts are those that reach ``controller``, without it all: a controller behind another one has no driver here, and its
    interrupts are not mapped.
    """
    first = None if controller is None else controller.node

    def node_of(spec: firmware.Node, parent: DeviceNode | None) -> DeviceNode:
        name, _, unit = spec.name.partition("@")
        node = DeviceNode(name, parent, unit)
        node.name = spec.basename
        node.properties = dict(spec.properties)
        try:
            node.regs = [(region.base, region.size) for region in spec.reg()]
        except FirmwareError:
            node.regs = []
        try:
            interrupts = spec.interrupts()
            node.irqs = [i.line for i in interrupts] if first is None else interrupt_lines(spec, first)
        except FirmwareError:
            node.irq_rc = -EINVAL
        for child in spec.children:
            node_of(child, node)
        return node

    return node_of(tree.root, None)


def acpi_devices(namespace: firmware.Namespace) -> AcpiDevice:
    """The root of the devices of ``namespace``. Interrupts that a GIC does not have are not mapped."""

    def device_of(spec: firmware.DeviceObject, parent: AcpiDevice | None) -> AcpiDevice:
        adev = AcpiDevice(spec.object.full_path, spec.hid, spec.uid, list(spec.cids), dict(spec.properties), spec.status,
                          spec.sta is not None, spec.platform, spec.cca, spec.description, parent=parent)
        for part in spec.descriptors:
            if part.memory is not None and part.memory[1]:
                base, size = part.memory
                adev.resources.append(Resource(base, base + size - 1, IORESOURCE_MEM))
            adev.resources.extend(Resource(irq, irq, IORESOURCE_IRQ) for irq in part.irqs)
        adev.children.extend(device_of(child, adev) for child in spec.children)
        return adev

    return device_of(firmware.devices(namespace), None)
