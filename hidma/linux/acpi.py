# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/acpi.h>``: matching a device by its hardware ID."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class AcpiDeviceId:
    """``struct acpi_device_id``."""

    id: str
    driver_data: Any = None


@dataclass
class AcpiDevice:
    """``struct acpi_device``: what firmware says of one device.

    ``hid`` may be None (a device without _HID); ``properties`` are those of _DSD.
    """

    path: str
    hid: str | None
    uid: str = "0"
    cids: list[str] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)


def acpi_match_device(ids: list[AcpiDeviceId], dev: Any) -> AcpiDeviceId | None:
    """The entry of ``ids`` that is the _HID, or one of the _CIDs, of ``dev``'s companion."""
    companion = dev.acpi_companion
    if companion is None:
        return None
    for name in [companion.hid, *companion.cids]:
        for entry in ids:
            if entry.id == name:
                return entry
    return None


def acpi_driver_match_device(dev: Any, driver: Any) -> bool:
    """Whether ``driver`` matches the companion of ``dev``."""
    return bool(driver.acpi_match_table) and acpi_match_device(driver.acpi_match_table, dev) is not None
