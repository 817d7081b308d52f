# SPDX-License-Identifier: GPL-2.0-only
"""The Qualcomm HIDMA driver series of Linux (V14) as a Python package: the driver, ported function by function, runs on
a model of the hardware and moves real bytes. This module is the public face: it only says which names there are and
brings each from its module when it is first asked for. It stands for no C file.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hidma.machine import _mode

if TYPE_CHECKING:
    from hidma.firmware import FirmwareError
    from hidma.hw.engine import Timing
    from hidma.machine.batch import Batch
    from hidma.machine.boot import KernelOops, Machine, boot
    from hidma.machine.buffer import Buffer
    from hidma.machine.client import Channel, Transfer, TransferError

__version__ = "0.1.0"

_mode.install()

_PUBLIC = {
    "Batch": "hidma.machine.batch",
    "Buffer": "hidma.machine.buffer",
    "Channel": "hidma.machine.client",
    "FirmwareError": "hidma.firmware",
    "KernelOops": "hidma.machine.boot",
    "Machine": "hidma.machine.boot",
    "Timing": "hidma.hw.engine",
    "Transfer": "hidma.machine.client",
    "TransferError": "hidma.machine.client",
    "boot": "hidma.machine.boot",
}

__all__ = ["Batch", "Buffer", "Channel", "FirmwareError", "KernelOops", "Machine", "Timing", "Transfer",
           "TransferError", "__version__", "boot"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hidma' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
