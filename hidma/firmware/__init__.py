# SPDX-License-Identifier: GPL-2.0-only
"""Firmware: a device tree (.dts, .dtb or a bundled board) read, checked, and turned into the hardware it describes.

:func:`load` reads a tree, :func:`describe` says what hardware must be built for it, :func:`check` and
:func:`explain_unbound` say in sentences what the drivers will meet there, :func:`dump` writes a tree as a blob.
It builds nothing itself and imports neither the hardware model nor the Linux slice.
"""

from hidma.firmware.board import (
    Board,
    Channel,
    Core,
    Device,
    Management,
    check,
    describe,
    explain_unbound,
)
from hidma.firmware.fdt import (
    BOARDS,
    FirmwareError,
    Interrupt,
    Node,
    Reference,
    Region,
    Tree,
    bundled,
    dump,
    load,
    parse,
    text,
    u32,
    u64,
)

__all__ = [
    "BOARDS",
    "Board",
    "Channel",
    "Core",
    "Device",
    "FirmwareError",
    "Interrupt",
    "Management",
    "Node",
    "Reference",
    "Region",
    "Tree",
    "bundled",
    "check",
    "describe",
    "dump",
    "explain_unbound",
    "load",
    "parse",
    "text",
    "u32",
    "u64",
]
