# SPDX-License-Identifier: GPL-2.0-only
"""VFIO platform, one module per C file of ``drivers/vfio/platform/``. Exported here is what a reset module of C gets by including
``vfio_platform_private.h``: the structures, the macros and the exported functions.
"""

from hidma.vfio_platform.common import (
    __vfio_platform_register_reset,
    reset_list,
    vfio_platform_probe_common,
    vfio_platform_remove_common,
    vfio_platform_unregister_reset,
)
from hidma.vfio_platform.private import (
    VFIO_PLATFORM_INDEX_TO_OFFSET,
    VFIO_PLATFORM_OFFSET_MASK,
    VFIO_PLATFORM_OFFSET_SHIFT,
    VFIO_PLATFORM_OFFSET_TO_INDEX,
    VFIO_PLATFORM_REGION_TYPE_MMIO,
    VFIO_PLATFORM_REGION_TYPE_PIO,
    ResetModule,
    VfioPlatformDevice,
    VfioPlatformIrq,
    VfioPlatformRegion,
    VfioPlatformResetNode,
    module_vfio_reset_handler,
    vfio_platform_register_reset,
    vfio_platform_reset_fn_t,
)

__all__ = ["VFIO_PLATFORM_INDEX_TO_OFFSET", "VFIO_PLATFORM_OFFSET_MASK", "VFIO_PLATFORM_OFFSET_SHIFT",
           "VFIO_PLATFORM_OFFSET_TO_INDEX", "VFIO_PLATFORM_REGION_TYPE_MMIO", "VFIO_PLATFORM_REGION_TYPE_PIO",
           "ResetModule", "VfioPlatformDevice", "VfioPlatformIrq", "VfioPlatformRegion", "VfioPlatformResetNode",
           "__vfio_platform_register_reset", "module_vfio_reset_handler", "reset_list", "vfio_platform_probe_common",
           "vfio_platform_register_reset", "vfio_platform_remove_common", "vfio_platform_reset_fn_t",
           "vfio_platform_unregister_reset"]
