# SPDX-License-Identifier: GPL-2.0-only
"""One machine for many callers: threads of FUSE, clients on a Unix socket. A machine runs in the thread that booted it, so
their calls are queued and made there one after the other, as system calls on CPU 0. It stands for no C file.
"""

from __future__ import annotations

import errno
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hidma.machine.boot import KernelOops, Machine

STDOUT, STDERR, STATUS, EXECUTE = b"1", b"2", b"s", b"x"
LONGEST_REQUEST = 1 << 20
STATUS_INTERRUPTED = 130
GONE = "the kernel of the machine has stopped"


class Interrupted(Exception):
    """The caller does not wait for the end of its call any longer."""


class Job:
    """A call that another thread waits for."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.done = threading.Event()
        self.cancelled = False
        self.result: Any = None
        self.error: BaseException | None = None


class Output:
    """What a program prints, on its way to the client; the machine does not wait for a client that does not read."""

    def __init__(self) -> None:
        self.frames: queue.SimpleQueue[tuple[bytes, bytes] | None] = queue.SimpleQueue()

    def print(self, text: str) -> None:
        self.frames.put((STDOUT, text.encode("utf-8", "surrogateescape") + b"\n"))

    def error(self, text: str) -> None:
        self.frames.put((STDERR, text.encode("utf-8", "surrogateescape") + b"\n"))

    def execute(self, words: list[str]) -> None:
        """Let the client become another program."""
        self.frames.put((EXECUTE, b"\0".join(word.encode("utf-8", "surrogateescape") for word in words)))


#: A program: its words, where it prints, and the machine's server. Returns the exit status, or a function that goes on in
#: the thread of the client and returns the status; it is given a function that says whether the client has gone.
Program = Callable[["Server", list[str], Output], "int | Callable[[Callable[[], bool]], int]"]


class Server:
    """The machine's thread, and the calls that wait for it.

    :param machine: a booted machine; the server is made and served in its thread
    :param real: whether virtual time keeps pace with the clock on the wall
    :ivar oops: what stopped the kernel
    """

    def __init__(self, machine: Machine, real: bool = False) -> None:
        self.machine = machine
        self.real = real
        self.oops: KernelOops | None = None
        self.began = time.monotonic_ns()
        self.virtual_began = machine.now
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.current: Job | None = None
        self.lock = threading.RLock()  # a signal handler may interrupt who holds it
        self.closed = False
        self.message = threading.Condition()
        self.listening: socket.socket | None = None

    # --- calls ----------------------------------------------------------------------------------------------------

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Make a call in the machine's thread, from any thread, and wait for its result."""
        job = Job(function, args)
        if threading.get_ident() == self.machine.thread:
            self.execute(job)
        else:
            self.enqueue(job)
            job.done.wait()
        if job.error is not None:
            raise job.error
        return job.result

    def enqueue(self, job: Job) -> None:
        """Queue a call.

        :raises OSError: EIO, the server has ended
        """
        with self.lock:
            if self.closed:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self.jobs.put(job)

    def execute(self, job: Job) -> None:
        logged = len(self.machine.kernel.log)
        with self.lock:
            self.current = job
        try:
            job.result = job.function(*job.args) if not job.cancelled else None
        except BaseException as error:
            job.error = error
        with self.lock:
            self.current = None
            self.machine.interrupts.pending = None
        job.done.set()
        if len(self.machine.kernel.log) != logged:
            with self.message:
                self.message.notify_all()

    def interrupt(self, job: Job) -> None:
        """The caller of ``job`` has gone: what it waits for ends where the machine can stop."""
        with self.lock:
            job.cancelled = True
            if self.current is job:
                self.machine.interrupt(Interrupted())

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """A system call, in the machine's thread: ``function`` runs in the kernel.

        :raises OSError: for a negative errno, and EIO when the kernel has stopped
        """
        try:
            if self.real:
                behind = time.monotonic_ns() - self.began - (self.machine.now - self.virtual_began)
                if behind > 0:
                    self.machine.run(behind)
            with self.machine.calling():
                result = function(*args)
                self.machine.settle()
        except KernelOops as oops:
            if self.oops is None:
                self.oops = oops
                self.stop()
            raise OSError(errno.EIO, os.strerror(errno.EIO)) from None
        if isinstance(result, int) and result < 0:
            # errnos that only the kernel knows are not for user space
            number = -result if -result < 512 else errno.EIO
            raise OSError(number, os.strerror(number))
        return result

    def wait_for_message(self, seconds: float) -> None:
        """Until the kernel log grows, ``seconds`` at most."""
        with self.message:
            self.message.wait(seconds)

    # --- the loop -------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Make the calls of other threads until :meth:`stop`."""
        with self.woken_by_signals():
            while (job := self.jobs.get()) is not None:
                self.execute(job)
                if isinstance(job.error, KeyboardInterrupt):
                    raise job.error
        self.close()

    @contextmanager
    def woken_by_signals(self) -> Iterator[None]:
        """Let each signal queue a call without effect. Python runs a handler between two instructions of the main thread, and one
        whose signal comes just before the thread waits for the queue, or in another thread, would wait there as well.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        reader, writer = socket.socketpair()

        def wake() -> None:
            with reader:
                while reader.recv(1):
                    self.jobs.put(Job(lambda: None, ()))

        writer.setblocking(False)
        threading.Thread(target=wake, daemon=True).start()
        with writer:
            before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            try:
                yield
            finally:
                signal.set_wakeup_fd(before)

    def stop(self) -> None:
        """End :meth:`serve`; from any thread, and from a signal handler."""
        self.jobs.put(None)

    def close(self) -> None:
        """Take no more calls: those that wait fail."""
        with self.lock:
            self.closed = True
        if self.listening is not None:
            self.listening.close()
            self.listening = None
        with suppress(queue.Empty):
            while True:
                job = self.jobs.get_nowait()
                if job is not None:
                    job.error = OSError(errno.EIO, os.strerror(errno.EIO))
                    job.done.set()

    # --- clients --------------------------------------------------------------------------------------------------

    def listen(self, path: Path, program: Callable[[list[str]], Program]) -> None:
        """Accept clients on a Unix socket that only the owner reaches.

        :param program: finds what the words of a client ask for
        """
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        place = os.open(path.parent, os.O_PATH)  # the path of a socket has 107 bytes at most
        before = os.umask(0o177)
        try:
            self.listening.bind(f"/proc/self/fd/{place}/{path.name}")
        finally:
            os.umask(before)
            os.close(place)
        self.listening.listen(64)
        threading.Thread(target=self.accept, args=(self.listening, program), daemon=True).start()

    def accept(self, listening: socket.socket, program: Callable[[list[str]], Program]) -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                threading.Thread(target=self.converse, args=(client, program), daemon=True).start()

    def converse(self, client: socket.socket, program: Callable[[list[str]], Program]) -> None:
        """Read what a client wants, run it, send what it prints."""
        with client, suppress(OSError):
            words = read_request(client)
            if not words:
                return
            output = Output()
            job = Job(lambda: program(words)(self, words, output), ())
            threading.Thread(target=self.watch, args=(client, job), daemon=True).start()
            threading.Thread(target=self.finish, args=(job, output), daemon=True).start()
            self.enqueue(job)
            while (frame := output.frames.get()) is not None:
                client.sendall(frame[0] + len(frame[1]).to_bytes(4, "big") + frame[1])

    def watch(self, client: socket.socket, job: Job) -> None:
        """Wait for the client to end before its program does."""
        with suppress(OSError):
            client.recv(1)
        self.interrupt(job)

    def finish(self, job: Job, output: Output) -> None:
        """Send the exit status once the program has ended."""
        job.done.wait()
        status = job.result
        if isinstance(job.error, Interrupted):
            status = STATUS_INTERRUPTED
        elif job.error is not None:
            dead = self.oops is not None
            output.error(f"hidma: {GONE}" if dead else f"hidma: {getattr(job.error, 'strerror', None) or job.error}")
            status = 1
        elif callable(status):
            status = status(lambda: job.cancelled)
        output.frames.put((STATUS, str(status).encode()))
        output.frames.put(None)


def read_request(client: socket.socket) -> list[str]:
    """The words of a client: four bytes of length, then words that end with NUL; none when it has gone."""
    head = client.recv(4, socket.MSG_WAITALL)
    length = int.from_bytes(head, "big")
    if len(head) < 4 or length > LONGEST_REQUEST:
        return []
    data = client.recv(length, socket.MSG_WAITALL) if length else b""
    return [word.decode("utf-8", "surrogateescape") for word in data.split(b"\0")[:-1]] if len(data) == length else []
