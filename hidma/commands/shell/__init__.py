# SPDX-License-Identifier: GPL-2.0-only
"""``hidma shell``: the system's own shell on the files of a booted machine. It stands for no C file.

``cli`` boots the machine and starts the shell in a mount namespace (``hidma.commands.mount.namespace``); ``client`` is what
stands for modprobe, dmesg, sleep and the others there, and asks ``programs`` and ``kmod`` in the machine's process; ``prompt``
serves where there is no FUSE or no namespace.
"""
