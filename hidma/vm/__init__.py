# SPDX-License-Identifier: GPL-2.0-only
"""Virtualization: a hypervisor on the host that owns devices through VFIO, and the guests that it gives them to::

    with hidma.boot() as machine:
        vm.assign(machine, "hidma.0")
        with vm.Guest(machine, memory=64 << 20, channels=["hidma.0"]) as guest:
            chan = guest.dma.request_channel()

It stands for no C file.
"""

from hidma.vm.guest import Guest
from hidma.vm.process import GuestProcess, Status
from hidma.vm.vfio import Container, Device, Group, Hypervisor, Mapping, assign, release, reset_function

__all__ = ["Container", "Device", "Group", "Guest", "GuestProcess", "Hypervisor", "Mapping", "Status", "assign", "release",
           "reset_function"]
