#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The client of a machine: asks for what it is called as (modprobe, dmesg, ...), prints what comes, ends with the status.

It stands for no C file, and imports little, for it is started often.
"""

import errno
import os
import signal
import socket
import sys

NO_MACHINE = "there is no machine here; this program works below `hidma shell` and `hidma mount DIR -- PROGRAM`"
DIED = "the machine has gone"


def ask(control: str, words: "list[str]") -> int:
    """Let the machine behind the socket ``control`` run ``words``: the exit status."""
    name = words[0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            place = os.open(os.path.dirname(control), os.O_PATH)  # the path of a socket has 107 bytes at most
            try:
                server.connect(f"/proc/self/fd/{place}/{os.path.basename(control)}")
            finally:
                os.close(place)
            request = b"".join(os.fsencode(word) + b"\0" for word in words)
            server.sendall(len(request).to_bytes(4, "big") + request)
        except OSError as error:
            gone = isinstance(error, (ConnectionError, FileNotFoundError)) or error.errno == errno.ENOTCONN
            sys.stderr.write(f"{name}: {DIED if gone else f'the machine cannot be reached: {error.strerror}'}\n")
            return 1
        with server.makefile("rb") as frames:
            while len(head := frames.read(5)) == 5:
                data = frames.read(int.from_bytes(head[1:], "big"))
                if head[:1] == b"s":
                    return int(data)
                if head[:1] == b"x":
                    become([os.fsdecode(word) for word in data.split(b"\0")])
                stream = sys.stdout if head[:1] == b"1" else sys.stderr
                stream.buffer.write(data)
                stream.buffer.flush()
    sys.stderr.write(f"{name}: {DIED}\n")
    return 1


def become(words: "list[str]") -> None:
    """Run the program that has this name outside of the directory of the clients."""
    here = os.path.dirname(os.path.abspath(sys.argv[0]))
    places = [place for place in os.get_exec_path() if os.path.realpath(place) != os.path.realpath(here)]
    for place in places:
        path = os.path.join(place, words[0])
        if os.access(path, os.X_OK):
            os.execv(path, words)
    sys.stderr.write(f"{words[0]}: this computer has no program of that name\n")
    os._exit(127)


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    name = os.path.basename(sys.argv[0])
    control = os.environ.get("HIDMA_CONTROL")
    if not control:
        sys.stderr.write(f"{name}: {NO_MACHINE}\n")
        return 1
    return ask(control, [name, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
