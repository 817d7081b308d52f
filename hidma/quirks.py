# SPDX-License-Identifier: GPL-2.0-only
"""placeholder"""
from __future__ import annotations
from typing import Any


def oops_row(oops: Any, kernel: Any) -> int | None:
    names = set(oops.backtrace)
    if "hidma_callback" in names:
        return 36
    for name, row in (("hidma_mgmt_of_populate_channels", 48), ("hidma_cleanup_pending_tre", 38), ("hidma_handle_tre_completion", 37), ("hidma_ll_int_handler_internal", 1)):
        if name in names:
            return row
    return None
