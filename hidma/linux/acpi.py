# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/acpi.h>``: devices of the ACPI namespace, and matching a device by its IDs.

How they become devices of a bus, and platform devices, is ``acpi_bus``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hidma.linux.ioport import Resource

ACPI_STA_DEVICE_PRESENT = 1
ACPI_STA_DEVICE_FUNCTIONING = 8
ACPI_STA_DEFAULT = 0xF
ACPI_DT_NAMESPACE_HID = "PRP0001"


@dataclass(frozen=True)
class AcpiDeviceId:
    """``struct acpi_device_id``."""

    id: str
    driver_data: Any = None


@dataclass(eq=False)
class AcpiDevice:
    """``struct acpi_device``: what firmware says of one device.

    :ivar path: full path, every name with four characters (``\\_SB_.DMA0``)
    :ivar hid: the first ID, None for a device without _HID
    :ivar uid: _UID as text, None without
    :ivar properties: those of _DSD
    :ivar status: the value of _STA; 0xF without one, and then ``has_status`` is false
    :ivar platform_id: a platform device is made of it
    :ivar cca: _CCA, None without
    :ivar description: _STR, None without
    :ivar resources: _CRS: memory and interrupts, in its order
    :ivar cca_seen: it, or a device above, has _CCA
    :ivar dev: its device on the bus ``acpi``, once it was scanned
    :ivar physical_nodes: devices that it is the companion of
    """

    path: str
    hid: str | None
    uid: str | None = None
    cids: list[str] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    status: int = ACPI_STA_DEFAULT
    has_status: bool = False
    platform_id: bool = False
    cca: int | None = None
    description: str | None = None
    resources: list[Resource] = field(default_factory=list)
    parent: AcpiDevice | None = None
    children: list[AcpiDevice] = field(default_factory=list)
    cca_seen: bool = False
    coherent_dma: bool = False
    dev: Any = None
    physical_nodes: list[Any] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """``pnp.ids``: _HID, then _CID."""
        return ([self.hid] if self.hid is not None else []) + self.cids

    @property
    def of_compatible(self) -> list[str]:
        """Strings of the property ``compatible``, for a device that has the ID PRP0001."""
        if ACPI_DT_NAMESPACE_HID not in self.ids:
            return []
        value = self.properties.get("compatible", [])
        strings = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        return list(strings) if all(isinstance(text, str) for text in strings) else []

    def walk(self) -> Iterator[AcpiDevice]:
        """This device and all below, in the order of the namespace."""
        yield self
        for child in self.children:
            yield from child.walk()


def acpi_device_is_present(adev: AcpiDevice) -> bool:
    """Whether the device is there, or at least functioning."""
    return bool(adev.status & (ACPI_STA_DEVICE_PRESENT | ACPI_STA_DEVICE_FUNCTIONING))


def acpi_companion_match(dev: Any) -> AcpiDevice | None:
    """The companion of ``dev``, if it has an ID and ``dev`` is the first device that it is the companion of."""
    adev: AcpiDevice | None = dev.acpi_companion
    if adev is None or not adev.ids or (adev.physical_nodes and adev.physical_nodes[0] is not dev):
        return None
    return adev


def acpi_match_device(ids: list[AcpiDeviceId], dev: Any) -> AcpiDeviceId | None:
    """The entry of ``ids`` that is the _HID, or one of the _CIDs, of ``dev``'s companion."""
    companion = acpi_companion_match(dev)
    if companion is None or not companion.status & ACPI_STA_DEVICE_PRESENT:
        return None
    for name in companion.ids:
        for entry in ids:
            if entry.id == name:
                return entry
    return None


def acpi_of_match_device(adev: AcpiDevice | None, ids: list[Any]) -> bool:
    """Whether one of ``compatible`` of a device with the ID PRP0001 is in a table for device trees."""
    if adev is None:
        return False
    strings = [text.lower() for text in adev.of_compatible]
    return any(entry.compatible.lower() in strings for entry in ids if entry.compatible)


def acpi_driver_match_device(dev: Any, driver: Any) -> bool:
    """Whether ``driver`` matches the companion of ``dev``: by ID, or what is PRP0001 by ``compatible``."""
    if not driver.acpi_match_table:
        return acpi_of_match_device(dev.acpi_companion, driver.of_match_table)
    if acpi_match_device(driver.acpi_match_table, dev) is not None:
        return True
    companion = acpi_companion_match(dev)
    return companion is not None and bool(companion.status & ACPI_STA_DEVICE_PRESENT) and acpi_of_match_device(
        companion, driver.of_match_table)


def acpi_bind_one(dev: Any, adev: AcpiDevice) -> None:
    """``dev`` gets ``adev`` as its companion."""
    dev.acpi_companion = adev
    adev.physical_nodes.append(dev)


def acpi_unbind_one(dev: Any) -> None:
    """Undo :func:`acpi_bind_one`."""
    adev = dev.acpi_companion
    if adev is not None and dev in adev.physical_nodes:
        adev.physical_nodes.remove(dev)


def create_pnp_modalias(adev: AcpiDevice) -> str:
    """``acpi:`` and the IDs; empty for a device that is not present, or has no ID but PRP0001."""
    names = [name for name in adev.ids if name != ACPI_DT_NAMESPACE_HID]
    if not names or not acpi_device_is_present(adev):
        return ""
    return "acpi:" + "".join(f"{name}:" for name in names)


def create_of_modalias(adev: AcpiDevice) -> str:
    """``of:N``, the name in the namespace, and the strings of ``compatible``; empty without them."""
    strings = adev.of_compatible
    if not strings:
        return ""
    return f"of:N{adev.path.rpartition('.')[2].lstrip(chr(92)).lower()}T" + "".join(f"C{text}" for text in strings)


def ACPI_COMPANION(dev: Any) -> AcpiDevice | None:
    """The ACPI device that ``dev`` stands for; None where firmware is a device tree."""
    companion: AcpiDevice | None = dev.acpi_companion
    return companion


def acpi_device_hid(adev: AcpiDevice) -> str | None:
    """The _HID of ``adev``; None when it has none."""
    return adev.hid
