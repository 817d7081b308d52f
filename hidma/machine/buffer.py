# SPDX-License-Identifier: GPL-2.0-only
"""What a client of the public face is given: its machine, as far as it asks for it (:class:`Host`), and pieces of its RAM
(:class:`Buffer`); and how what a caller passes becomes bytes and numbers. It stands for no C file.
"""

from __future__ import annotations

import operator
import sys
from array import array
from contextlib import AbstractContextManager
from typing import Any, Protocol

from hidma.hw.clock import Clock
from hidma.hw.memory import Memory
from hidma.linux.errno import EBUSY, EINVAL
from hidma.linux.kernel import Kernel
from hidma.machine.running import Interrupts

MAX_ADDRESS = 0xFFFFFFFFFFFFFFFF


class Host(Protocol):
    """The machine of a client. :class:`hidma.machine.boot.Machine` is one, and says what each of these does."""

    clock: Clock
    closed: bool
    dma: Any
    hw_channels: dict[int, Any]
    interrupts: Interrupts
    kernel: Kernel
    memory: Memory

    def alloc(self, size: int) -> Buffer: ...

    def calling(self) -> AbstractContextManager[Any]: ...

    def check_open(self) -> None: ...

    def forwarding(self) -> bool: ...

    def interrupt(self, error: BaseException) -> None: ...

    def interrupted(self) -> bool: ...

    def quiet(self) -> bool: ...

    def settle(self) -> int: ...

    def why_no_channel(self) -> str: ...


class Buffer:
    """RAM of a machine that channels can reach. Made by :meth:`hidma.machine.boot.Machine.alloc`.

    :ivar address: bus address of the first byte, u64
    :ivar size: bytes
    """

    def __init__(self, machine: Host, address: int, size: int) -> None:
        self._machine = machine
        self.address = address
        self.size = size
        self._view: memoryview | None = machine.memory.slice(address, size)

    @property
    def view(self) -> memoryview:
        """The bytes, as a writable memoryview; ``numpy.asarray(buffer)`` gives them as an array.

        :raises OSError: EINVAL, the buffer was freed
        """
        if self._view is None:
            raise OSError(EINVAL, f"the buffer at 0x{self.address:x} was freed; alloc() gives another one")
        return self._view

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> Any:
        part = self.view[key]
        return bytes(part) if isinstance(part, memoryview) else part

    def __setitem__(self, key: Any, value: Any) -> None:
        self.view[key] = value

    def __bytes__(self) -> bytes:
        return bytes(self.view)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy

        array = numpy.frombuffer(self.view, dtype=numpy.uint8)
        if copy or (dtype is not None and numpy.dtype(dtype) != array.dtype):
            return array.astype(dtype or array.dtype)
        return array

    def __buffer__(self, flags: int) -> memoryview:
        return self.view

    def fill(self, data: Any) -> None:
        """Copy the bytes of ``data`` (any buffer) to the beginning.

        :raises OSError: EINVAL (no bytes, or too many)
        """
        source = bytes_of(data, "what the buffer is filled with")
        if len(source) > self.size:
            raise OSError(EINVAL, f"{len(source)} bytes do not fit into a buffer of {self.size}")
        self.view[: len(source)] = source

    def free(self) -> None:
        """Give the memory back; the buffer is of no use afterwards, and freeing it twice does nothing.

        Views and arrays of it that are still there see what others make of the memory.

        :raises OSError: EBUSY (a transfer uses it)
        """
        if self._view is None:
            return
        user = self._machine.dma.user_of(self.address, self.size)
        if user is not None:
            raise OSError(EBUSY, f"the buffer at 0x{self.address:x} is in use by {user}; wait for it, or terminate it")
        self._view = None
        self._machine.kernel.dma_ops.pages.release(self.address)

    def __repr__(self) -> str:
        freed = ", freed" if self._view is None else ""
        return f"<Buffer of {self.size} bytes at 0x{self.address:x}{freed}>"


def whole(value: Any, what: str) -> int:
    """``value`` as an int."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise OSError(EINVAL, f"{what} is a whole number, not {value!r}") from None


def bytes_of(thing: Any, what: str, writable: bool = False) -> memoryview:
    """The bytes of a buffer.

    :raises OSError: EINVAL with a sentence
    """
    try:
        view = memoryview(thing)
    except (TypeError, ValueError, BufferError):
        raise OSError(EINVAL, f"{what} is a Buffer, a bus address or an object with a buffer (bytes, bytearray, a "
                              f"numpy array), not {type(thing).__name__}") from None
    if "O" in view.format or "P" in view.format:
        raise OSError(EINVAL, f"{what} holds Python objects or pointers, and those cannot be copied")
    if writable and view.readonly:
        raise OSError(EINVAL, f"{what} is read-only; a bytearray or an array can be written")
    if not view.nbytes:
        raise OSError(EINVAL, f"{what} is empty; a copy has at least 1 byte")
    if not view.c_contiguous:
        if writable:
            raise OSError(EINVAL, f"{what} is not contiguous in memory; copy into a contiguous array and assign that")
        return memoryview(view.tobytes())
    return view.cast("B")


def u64(values: Any, what: str) -> memoryview:
    """An array of u64 as a :class:`hidma.machine.batch.Batch` takes it.

    :raises OSError: EINVAL with a sentence
    """
    try:
        view = memoryview(values)
    except (TypeError, ValueError):
        view = None
    if view is not None and view.ndim != 1:
        raise OSError(EINVAL, f"{what} is a list of numbers, not an array of {view.ndim} dimensions")
    if view is not None and view.nbytes and view.itemsize == 8 and view.c_contiguous:
        if view.format == "Q":
            return view
        order = view.format[:-1]
        if view.format[-1:] in ("Q", "L", "N") and order in ("", "@", "=", "<" if sys.byteorder == "little" else ">"):
            return view.cast("B").cast("Q")
    numbers = array("Q")
    try:
        for i, value in enumerate(values):
            number = whole(value.address if isinstance(value, Buffer) else value, f"{what}[{i}]")
            if not 0 <= number <= MAX_ADDRESS:
                raise OSError(EINVAL, f"{what}[{i}] is a number of 64 bits, not {number}")
            numbers.append(number)
    except TypeError:
        raise OSError(EINVAL, f"{what} is a list of numbers, not {type(values).__name__}") from None
    return memoryview(numbers)
