# SPDX-License-Identifier: GPL-2.0-only
"""Stops acme,scatter-2.0, a scatter engine with a page of control registers and a page of interrupt registers.

The engine must not be reset with bursts on their way: it is told to stop, drains, and is reset then.
"""

from __future__ import annotations

from hidma.hookspecs import hookimpl
from hidma.linux.errno import ENODEV, ENOMEM
from hidma.linux.io import readl, writel
from hidma.linux.iomap import ioremap_nocache
from hidma.linux.iopoll import readl_poll_timeout
from hidma.linux.printk import pr_warn
from hidma.vfio_platform import ResetModule, VfioPlatformDevice, module_vfio_reset_handler

# first region
CONTROL = 0x00
CONTROL_RUN = 0x1
CONTROL_RESET = 0x2
STATUS = 0x04
STATUS_DRAINED = 0x1

# second region
IRQ_STATUS = 0x00
IRQ_ENABLE = 0x04


def acme_reset_reset(vdev: VfioPlatformDevice) -> int:
    """Stop the engine.

    :param vdev: the device: control registers, interrupt registers
    :returns: 0, -ENODEV (not two regions), -ENOMEM (no mapping), -ETIMEDOUT (it does not end its reset)
    """
    if vdev.num_regions != 2:
        return -ENODEV

    for reg in (vdev.regions[0], vdev.regions[1]):
        if not reg.ioaddr:
            reg.ioaddr = ioremap_nocache(reg.addr, reg.size)
            if not reg.ioaddr:
                return -ENOMEM
    control, irq = vdev.regions[0].ioaddr, vdev.regions[1].ioaddr

    writel(0, irq + IRQ_ENABLE)
    writel(readl(control + CONTROL) & ~CONTROL_RUN, control + CONTROL)
    ret, _ = readl_poll_timeout(control + STATUS, lambda value: bool(value & STATUS_DRAINED), 100, 5000)
    if ret:
        pr_warn("acme_reset: the engine does not drain, resetting it all the same\n")

    writel(CONTROL_RESET, control + CONTROL)
    ret, _ = readl_poll_timeout(control + CONTROL, lambda value: not value & CONTROL_RESET, 1000, 10000)
    return ret


module = module_vfio_reset_handler("acme,scatter-2.0", "ACME0042", acme_reset_reset)


@hookimpl
def hidma_reset_module() -> ResetModule:
    """What is loaded when the device is bound to vfio-platform."""
    return module


@hookimpl
def hidma_hookspec_version() -> int:
    """The version of the hooks that this was written for."""
    return 1


@hookimpl
def hidma_device_model(stuck: bool):
    """The device, as a model."""
    from acme_reset.model import ScatterEngine

    return ScatterEngine(stuck)
