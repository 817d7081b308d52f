# SPDX-License-Identifier: GPL-2.0-only
"""Runs a program where the files of a machine are those of the system: ``namespace.py DIRECTORY FD PROGRAM ARGUMENT...``. It
stands for no C file.

It goes into a mount namespace of its own (and, where it is not root, a user namespace in which it is), mounts a file system
of FUSE there, hands its descriptor through the socket FD to the process that answers for it, puts the machine's /sys, /proc
and /dev/kmsg over those of the computer, and becomes the program. Nothing of this is seen outside, and all of it ends with
the last process inside. It imports little, for it is part of every start.

What it sends: the descriptor of FUSE, or a sentence on what is not possible. It waits for a byte before it goes on.
"""

import array
import ctypes
import os
import signal
import socket
import sys

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
PR_SET_PDEATHSIG = 1
KMSG = "/dev/kmsg"

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A sentence."""


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    if libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode()) < 0:
        raise Refused(f"{target} cannot be mounted in a mount namespace: {os.strerror(ctypes.get_errno())}")


def unshare() -> None:
    """Into a mount namespace; with a user namespace around it where that is needed."""
    if libc.unshare(CLONE_NEWNS) < 0:
        user, group = os.geteuid(), os.getegid()
        if libc.unshare(CLONE_NEWNS | CLONE_NEWUSER) < 0:
            why = os.strerror(ctypes.get_errno())
            raise Refused("there are no mount namespaces here for who is not root: a user namespace is refused "
                          f"({why}); root may allow it with: sysctl -w kernel.unprivileged_userns_clone=1 "
                          "user.max_user_namespaces=10000 (a container needs --cap-add SYS_ADMIN)")
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            try:
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
            except OSError as error:
                raise Refused(f"a user namespace cannot be set up: /proc/self/{name}: {error.strerror}") from None
    mount("none", "/", "none", MS_REC | MS_PRIVATE)


def mount_fuse(directory: str) -> int:
    """Mount a file system of FUSE that nobody answers yet: its descriptor."""
    try:
        fd = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        raise Refused(f"/dev/fuse cannot be opened: {error.strerror}; a container has to be given it with "
                      "--device /dev/fuse, a user the permission to read and write it") from None
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    mount("hidma", directory, "fuse.hidma", MS_NOSUID | MS_NODEV, options)
    return fd


def main(directory: str, number: str, *words: str) -> int:
    parent = socket.socket(fileno=int(number))
    parent.set_inheritable(False)
    tree, proc = os.path.join(directory, "tree"), os.path.join(directory, "proc")
    try:
        unshare()
        fd = mount_fuse(tree)
        parent.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        os.close(fd)
        if not parent.recv(1):
            return 1
        mount("/proc", proc, "none", MS_BIND | MS_REC)
        for source, target in ((f"{tree}/sys", "/sys"), (f"{tree}/proc", "/proc")):
            mount(source, target, "none", MS_BIND)
        if os.path.exists(KMSG):
            mount(f"{tree}/dev/kmsg", KMSG, "none", MS_BIND)
    except Refused as error:
        parent.sendall(str(error).encode())
        return 1
    os.chdir(os.environ.pop("HIDMA_DIRECTORY", "/"))  # seen through the mounts
    # what the parent's Python ignores or has changed is not for the program
    for each in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    try:
        os.execvp(words[0], list(words))
    except OSError as error:
        if os.path.exists(words[0]) and error.errno == 8:  # ENOEXEC: a script without #!
            os.execvp("bash", ["bash", *words])
        sys.stderr.write(f"hidma: {words[0]} cannot be run: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except ConnectionError:
        sys.exit(1)  # the parent has ended, and has said why
