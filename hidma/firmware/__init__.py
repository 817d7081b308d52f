# SPDX-License-Identifier: GPL-2.0-only
"""Firmware: a device tree (.dts, .dtb) or ACPI tables (.asl, .aml) or a bundled board, read, checked, and turned into the
hardware it describes.

:func:`load` reads it, :func:`describe` says what hardware must be built for it, :func:`check` and :func:`explain_unbound`
say in sentences what the drivers will meet there, :func:`devices` gives the devices of an ACPI namespace, :func:`dump`
writes a tree as a blob, :func:`guest_tree` generates that of a guest. It builds nothing itself and imports neither the
hardware model nor the Linux slice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hidma.firmware.board import Board, Channel, Core, Device, Management, RamRequest, explain_unbound, ram_request
from hidma.firmware.fdt import FirmwareError, Interrupt, Node, Reference, Region, Tree, dump, text, u32, u64
from hidma.firmware.guest import GuestDevice, PlatformBus, guest_blob, guest_tree
from hidma.firmware.source import BOARDS, bundled, check, describe, load, model, parse

if TYPE_CHECKING:
    from hidma.firmware.acpi import DeviceObject, devices
    from hidma.firmware.aml import Namespace
    from hidma.firmware.amlobjects import Object, Table
    from hidma.firmware.resources import Descriptor

_ACPI = {"DeviceObject": "acpi", "devices": "acpi", "Namespace": "aml", "Object": "amlobjects", "Table": "amlobjects",
         "Descriptor": "resources"}


def __getattr__(name: str) -> Any:
    """What only ACPI boards need is imported when it is asked for."""
    if name not in _ACPI:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ACPI[name]}"), name)


__all__ = ["BOARDS", "Board", "Channel", "Core", "Descriptor", "Device", "DeviceObject", "FirmwareError",
           "GuestDevice", "Interrupt", "Management", "Namespace", "Node", "Object", "PlatformBus", "RamRequest",
           "Reference", "Region", "Table", "Tree", "bundled", "check", "describe", "devices", "dump",
           "explain_unbound", "guest_blob", "guest_tree", "load", "model", "parse", "ram_request", "text", "u32",
           "u64"]
