# SPDX-License-Identifier: GPL-2.0-only
"""The files of a booted machine's kernel as a file system of the computer that it runs on, through FUSE: ``hidma mount`` and
``hidma shell``. It stands for no C file.

``server`` makes the calls of all other threads in the thread that the machine runs in; ``tree`` answers what FUSE asks;
``fuse`` runs libfuse; ``cli`` mounts on a directory; ``namespace`` mounts over /sys and /proc for one program, in a namespace.
"""
