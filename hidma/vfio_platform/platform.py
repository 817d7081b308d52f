# SPDX-License-Identifier: GPL-2.0-only
#
# drivers/vfio/platform/vfio_platform.c
# Copyright (C) 2013 - Virtual Open Systems
# Author: Antonios Motakis <a.motakis@virtualopensystems.com>
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/vfio/platform/vfio_platform.c``: the driver that gives devices of the platform bus to VFIO."""

from __future__ import annotations

from hidma.linux.errno import EINVAL, ENOMEM
from hidma.linux.ioport import IORESOURCE_IO, IORESOURCE_MEM, Resource, resource_type
from hidma.linux.module import Module
from hidma.linux.platform_device import (
    PlatformDevice,
    PlatformDriver,
    platform_driver_register,
    platform_driver_unregister,
    platform_get_irq,
)
from hidma.linux.slab import GFP_KERNEL, kfree, kzalloc
from hidma.linux.vfio import VFIO_DEVICE_FLAGS_PLATFORM
from hidma.vfio_platform.common import vfio_platform_probe_common, vfio_platform_remove_common
from hidma.vfio_platform.private import VfioPlatformDevice

DRIVER_VERSION = "0.10"
DRIVER_AUTHOR = "Antonios Motakis <a.motakis@virtualopensystems.com>"
DRIVER_DESC = "VFIO for platform devices - User Level meta-driver"

# probing devices from the platform bus

def get_platform_resource(vdev: VfioPlatformDevice, num: int) -> Resource | None:
    dev: PlatformDevice = vdev.opaque

    for r in dev.resource:
        if resource_type(r) & (IORESOURCE_MEM | IORESOURCE_IO):
            if not num:
                return r
            num -= 1
    return None


def get_platform_irq(vdev: VfioPlatformDevice, i: int) -> int:
    pdev: PlatformDevice = vdev.opaque

    return platform_get_irq(pdev, i)


def vfio_platform_probe(pdev: PlatformDevice) -> int:
    vdev = kzalloc(VfioPlatformDevice, GFP_KERNEL)
    if vdev is None:
        return -ENOMEM

    vdev.opaque = pdev
    vdev.name = pdev.name
    vdev.flags = VFIO_DEVICE_FLAGS_PLATFORM
    vdev.get_resource = get_platform_resource
    vdev.get_irq = get_platform_irq
    vdev.parent_module = module

    ret = vfio_platform_probe_common(vdev, pdev.dev)
    if ret:
        kfree(vdev)

    return ret


def vfio_platform_remove(pdev: PlatformDevice) -> int:
    vdev = vfio_platform_remove_common(pdev.dev)
    if vdev is not None:
        kfree(vdev)
        return 0

    return -EINVAL


vfio_platform_driver = PlatformDriver(
    name="vfio-platform",
    probe=vfio_platform_probe,
    remove=vfio_platform_remove,
    owner="vfio_platform",
)

# module_platform_driver(vfio_platform_driver)
module = Module(
    name="vfio_platform",
    init=lambda: platform_driver_register(vfio_platform_driver),
    exit=lambda: platform_driver_unregister(vfio_platform_driver),
    license="GPL v2",
    source="drivers/vfio/platform/vfio_platform.c",
    depends=("vfio", "vfio_platform_base"),
)
