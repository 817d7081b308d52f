# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/errno.h>``: error numbers, those that only the kernel knows included."""

from __future__ import annotations

import errno as _errno
import os
from errno import *  # noqa: F403

ERESTARTSYS = 512
ENOIOCTLCMD = 515
EPROBE_DEFER = 517
ENOTSUPP = 524

MAX_ERRNO = 4095

_KERNEL_ONLY = {
    ERESTARTSYS: ("ERESTARTSYS", "the call is to be restarted"),
    ENOIOCTLCMD: ("ENOIOCTLCMD", "no such ioctl"),
    EPROBE_DEFER: ("EPROBE_DEFER", "the driver asks to be probed again later"),
    ENOTSUPP: ("ENOTSUPP", "the operation is not supported"),
}


def errname(value: int) -> str:
    """Name of the errno ``value`` (of either sign): ``EINVAL``, ``EPROBE_DEFER``."""
    value = abs(value)
    if value in _KERNEL_ONLY:
        return _KERNEL_ONLY[value][0]
    return _errno.errorcode.get(value, f"errno {value}")


def strerror(value: int) -> str:
    """What the errno ``value`` (of either sign) means."""
    value = abs(value)
    if value in _KERNEL_ONLY:
        return _KERNEL_ONLY[value][1]
    return os.strerror(value)
