# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/dma/qcom/hidma_mgmt.h: Qualcomm Technologies HIDMA Management common header
# Copyright (c) 2015, The Linux Foundation. All rights reserved.
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/dma/qcom/hidma_mgmt.h``: the state of a management device. Its fields are u32 but for
``hw_version_major`` and ``hw_version_minor`` (u8), ``virtaddr`` and ``addrsize`` (u64).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class HidmaMgmtDev:
    """``struct hidma_mgmt_dev``."""

    def __init__(self) -> None:
        self.hw_version_major = 0
        self.hw_version_minor = 0
        self.max_wr_xactions = 0
        self.max_rd_xactions = 0
        self.max_write_request = 0
        self.max_read_request = 0
        self.dma_channels = 0
        self.chreset_timeout_cycles = 0
        self.hw_version = 0
        self.priority: Any = None
        self.weight: Any = None
        self.virtaddr = 0
        self.addrsize = 0
        self.chroots: Any = None
        self.pdev: Any = None
        # hidma_mgmt_setup(), for mgmt_sys: the two C files call each other, Python modules import downward only
        self.setup: Callable[[HidmaMgmtDev], int] = lambda mgmtdev: 0
