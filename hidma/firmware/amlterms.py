# SPDX-License-Identifier: GPL-2.0-only
"""What executes each opcode of AML: one function for each kind of term.

It stands for ``drivers/acpi/acpica/{dsopcode,exoparg1,exoparg2,exoparg3,excreate}.c``. Every function gets the interpreter,
``at`` (offset of the term), ``behind`` (offset behind its opcode), ``end`` (of the block around it), the scope, the frame of
the method (None outside every method) and the opcode; it returns the value of the term and the offset behind it.
"""

from __future__ import annotations

from typing import Any

from hidma.firmware.amlinterp import HANDLERS, MAX_NESTING, Interpreter
from hidma.firmware.amlobjects import (
    NOWHERE,
    Buffer,
    BufferField,
    Code,
    Deferred,
    Frame,
    Name,
    Object,
    Package,
    Place,
    asl,
    is_name,
    opcode,
    what,
)
from hidma.firmware.fdt import FirmwareError

REVISION = 0x20160108
"""What Revision gives: the date of the ACPICA in Linux 4.5."""
TYPES = {"name": 0, "device": 6, "event": 7, "method": 8, "mutex": 9, "region": 10, "power": 11, "processor": 12,
         "thermal": 13, "buffer field": 14, "field": 5, "scope": 0}
"""What ObjectType says of each kind of object; of a name it says the type of its value."""


def constant(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    if op in (0x00, 0x01):
        return op, behind
    if op == 0xFF:
        return run.mask, behind
    if op == 0x5B30:
        return REVISION, behind
    size = {0x0A: 1, 0x0B: 2, 0x0C: 4, 0x0E: 8}[op]
    return run.number(behind, end, size) & run.mask, behind + size


def string(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    stop = run.data.find(b"\0", behind, end)
    if stop < 0:
        raise run.bad(at, "a string has no end within its block")
    raw = run.data[behind:stop]
    if not raw.isascii():
        raise run.bad(behind, "a character of a string is not ASCII")
    run.small(len(raw), at)
    return raw.decode("ascii"), stop + 1


def buffer(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    inner, stop = run.package_length(behind, end)
    size, inner = run.integer(inner, stop, scope, frame)
    raw = run.data[inner:stop]
    run.small(max(size, len(raw)), at)
    return Buffer(bytearray(raw.ljust(size, b"\0")), inner), stop


def package(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    inner, stop = run.package_length(behind, end)
    if op == 0x12:
        count, inner = run.number(inner, stop, 1), inner + 1
    else:
        count, inner = run.integer(inner, stop, scope, frame)
    run.small(count, at)
    elements = Package()
    while inner < stop:
        if len(elements) == count:
            raise run.bad(inner, f"a package says {count} elements and has more")
        if run.starts_name(run.number(inner, stop, 1)):
            start = inner
            text, inner = run.name(inner, stop)
            run.step(start)
            node = run.find(text, scope) if frame is not None else None
            # what a method has declared is gone when it has returned
            elements.append(Name(text, scope, start) if node is None else
                            run.value_of(node, start, []) if node.kind == "name" else node)
        else:
            value, inner = run.term(inner, stop, scope, frame)
            elements.append(value)
    elements.extend([None] * (count - len(elements)))
    return elements, stop


def local(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    place, behind = run.place(at, end, scope, frame)
    value = place.get()
    if value is None:
        raise run.bad(at, f"{'Local' if op <= 0x67 else 'Arg'}{op - (0x60 if op <= 0x67 else 0x68)} is used "
                           "before anything was stored in it")
    return value, behind


# Terms that are passed over


OPERANDS = {
    **dict.fromkeys((0x00, 0x01, 0xFF, 0x5B30, 0x5B31, 0x5B33, *range(0x60, 0x6F)), ""),
    0x0A: "b", 0x0B: "w", 0x0C: "d", 0x0E: "q", 0x0D: "z",
    **dict.fromkeys((0x11, 0x12, 0x13), "p"),
    **dict.fromkeys((0x71, 0x75, 0x76, 0x83, 0x87, 0x8E, 0x92), "t"),
    **dict.fromkeys((0x70, 0x9D, 0x80, 0x81, 0x82, 0x90, 0x91, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99), "tt"),
    **dict.fromkeys((0x5B12, 0x5B28, 0x5B29), "tt"),
    **dict.fromkeys((0x72, 0x73, 0x74, 0x77, 0x79, 0x7A, 0x7B, 0x7C, 0x7D, 0x7E, 0x7F, 0x84, 0x85, 0x88, 0x9C), "ttt"),
    **dict.fromkeys((0x78, 0x9E), "tttt"),
    0x89: "tbtbtt",
}
"""Operands of what may stand in an argument: bytes, strings, packages (``p``) and terms (``t``), of which a target is one."""


def skip(run: Interpreter, at: int, end: int, scope: Object, depth: int = 0) -> int:
    """The offset behind a term that is not executed now. A name that is no method yet counts as one without arguments, as in
    ACPICA."""
    run.step(at)
    if depth > MAX_NESTING:
        raise run.bad(at, f"terms lie more than {MAX_NESTING} deep")
    op = run.number(at, end, 1)
    if run.starts_name(op):
        text, behind = run.name(at, end)
        node = run.find(text, scope)
        for _ in range(node.value.arguments if node is not None and node.kind == "method" else 0):
            behind = skip(run, behind, end, scope, depth + 1)
        return behind
    behind = at + 1
    if op == 0x5B:
        op = 0x5B00 | run.number(behind, end, 1)
        behind += 1
    if op not in OPERANDS:
        raise run.bad(at, f"{opcode(op)} begins no term that has a value")
    for operand in OPERANDS[op]:
        if operand == "t":
            behind = skip(run, behind, end, scope, depth + 1)
        elif operand == "p":
            behind = run.package_length(behind, end)[1]
        elif operand == "z":
            stop = run.data.find(b"\0", behind, end)
            if stop < 0:
                raise run.bad(at, "a string has no end within its block")
            behind = stop + 1
        else:
            size = {"b": 1, "w": 2, "d": 4, "q": 8}[operand]
            run.number(behind, end, size)
            behind += size
    return behind


# Declarations


def scope_op(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    inner, stop = run.package_length(behind, end)
    text, inner = run.name(inner, stop)
    node = run.find(text, scope)
    if node is None:
        raise run.bad(at, f"Scope ({asl(text)}) opens what is declared nowhere; load the table that declares it "
                           "first")
    if node.kind not in ("scope", "device", "processor", "power", "thermal"):
        raise run.bad(at, f"Scope ({asl(text)}) opens a {node.kind}, which has nothing below it")
    run.block(inner, stop, node, frame)
    return None, stop


def device(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    inner, stop = run.package_length(behind, end)
    text, inner = run.name(inner, stop)
    kind, skip = {0x5B82: ("device", 0), 0x5B83: ("processor", 6), 0x5B84: ("power", 3), 0x5B85: ("thermal", 0)}[op]
    node = run.declare(at, text, scope, kind, run.number(inner, stop, 1) if skip else None)
    if skip:
        run.number(inner, stop, skip)
    run.block(inner + skip, stop, node, frame)
    return None, stop


def name_op(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    text, behind = run.name(behind, end)
    start = behind
    lead = run.number(start, end, 1)
    nesting = run.nesting
    try:
        value, behind = run.term(behind, end, scope, frame)
    except FirmwareError:
        if frame is not None or lead not in (0x11, 0x12, 0x13):
            raise
        # its elements or its size may name what a later table declares
        run.nesting = nesting
        node = run.declare(at, text, scope, "name")

        def evaluate(later: Interpreter) -> None:
            node.value = later.copy(later.term(start, end, scope, None)[0], start)

        node.value = Deferred(node, evaluate)
        run.waiting.append(node.value)
        return None, skip(run, start, end, scope)
    if not isinstance(value, (int, str, Buffer, Package)):
        raise run.bad(start, f"{what(value)} stands where the value of {asl(text)} is needed: an integer, a "
                              "string, a buffer or a package")
    run.declare(at, text, scope, "name", run.copy(value, at))
    return None, behind


def alias(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    old, behind = run.name(behind, end)
    new, behind = run.name(behind, end)
    node = run.find(old, scope)
    if node is None:
        raise run.bad(at, f"Alias names {asl(old)}, which is declared nowhere")
    run.declare(at, new, scope, "alias", node)
    return None, behind


def method(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    inner, stop = run.package_length(behind, end)
    text, inner = run.name(inner, stop)
    flags = run.number(inner, stop, 1)
    run.declare(at, text, scope, "method", Code(inner + 1, stop, flags & 7))
    return None, stop


def external(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    _, behind = run.name(behind, end)
    run.number(behind, end, 2)
    return None, behind + 2


def simple(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    """Mutex, Event, OperationRegion and DataTableRegion."""
    text, behind = run.name(behind, end)
    node = run.declare(at, text, scope, {0x5B01: "mutex", 0x5B02: "event"}.get(op, "region"))
    if op == 0x5B01:
        run.number(behind, end, 1)
        behind += 1
    elif op in (0x5B80, 0x5B88):
        if op == 0x5B80:
            run.number(behind, end, 1)
            behind += 1
        first = behind
        for _ in range(2 if op == 0x5B80 else 3):
            behind = skip(run, behind, end, scope)

        def evaluate(later: Interpreter) -> None:
            at = first
            for _ in range(2):
                _, at = later.integer(at, end, scope, frame)

        if op == 0x5B80 and frame is None:
            run.waiting.append(Deferred(node, evaluate))
        elif op == 0x5B80:
            evaluate(run)
    return None, behind


def fields(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    """Field, IndexField and BankField: the names, for what they stand for is hardware."""
    inner, stop = run.package_length(behind, end)
    for _ in range(1 if op == 0x5B81 else 2):
        start = inner
        text, inner = run.name(inner, stop)
        if run.find(text, scope) is None:
            raise run.bad(start, f"{asl(text)} is named and declared nowhere")
    if op == 0x5B87:
        inner = skip(run, inner, stop, scope)
    run.number(inner, stop, 1)
    inner += 1
    while inner < stop:
        run.step(inner)
        lead = run.data[inner]
        if lead == 0:
            inner = run.bits(inner + 1, stop)[1]
        elif lead == 1:
            run.number(inner + 1, stop, 2)
            inner += 3
        elif lead == 3:
            run.number(inner + 1, stop, 3)
            inner += 4
        elif lead == 2:
            if run.number(inner + 1, stop, 1) == 0x11:
                _, inner = run.term(inner + 1, stop, scope, frame)
            else:
                _, inner = run.name(inner + 1, stop)
        else:
            raw = run.data[inner:min(inner + 4, stop)]
            if len(raw) < 4 or not is_name(raw):
                raise run.bad(inner, f"{raw.hex(' ')} is no name of a field")
            run.declare(inner, raw.decode("ascii"), scope, "field")
            inner = run.bits(inner + 4, stop)[1]
    return None, stop


def create_field(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None,
                 op: int) -> tuple[Any, int]:
    value, behind = run.fetched(behind, end, scope, frame)
    if not isinstance(value, Buffer):
        raise run.bad(at, f"a field is made of {what(value)}; it is part of a buffer")
    index, behind = run.integer(behind, end, scope, frame)
    if op == 0x5B13:
        size, behind = run.integer(behind, end, scope, frame)
    else:
        size = {0x8A: 32, 0x8B: 16, 0x8C: 8, 0x8D: 1, 0x8F: 64}[op]
    bit = index if op in (0x8D, 0x5B13) else 8 * index
    text, behind = run.name(behind, end)
    if not size or bit + size > 8 * len(value.data):
        raise run.bad(at, f"bits {bit} to {bit + size - 1} of a buffer of {len(value.data)} bytes do not exist")
    made = BufferField(value, bit, size, op == 0x5B13 or size > run.mask.bit_length())
    run.declare(at, text, scope, "buffer field", made)
    return None, behind


# Control


def flow(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    if op in (0xA3, 0xCC):
        return None, behind
    if frame is None:
        raise run.bad(at, f"{ {0xA4: 'Return', 0xA5: 'Break', 0x9F: 'Continue'}[op] } stands outside every method")
    if op == 0xA4:
        value, behind = run.term(behind, end, scope, frame)
        frame.result = value
        frame.state = "return"
    else:
        frame.state = "break" if op == 0xA5 else "continue"
    return None, behind


def if_op(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    inner, stop = run.package_length(behind, end)
    taken, inner = run.integer(inner, stop, scope, frame)
    if taken:
        run.block(inner, stop, scope, frame)
    if stop < end and run.data[stop] == 0xA1:
        inner, stop = run.package_length(stop + 1, end)
        if not taken:
            run.block(inner, stop, scope, frame)
    return None, stop


def while_op(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    inner, stop = run.package_length(behind, end)
    while True:
        go, body = run.integer(inner, stop, scope, frame)
        if not go:
            break
        run.block(body, stop, scope, frame)
        if frame is None:
            continue
        if frame.state == "continue":
            frame.state = ""
        elif frame.state:
            if frame.state == "break":
                frame.state = ""
            break
    return None, stop


# Operators


def store(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    value, behind = run.term(behind, end, scope, frame)
    if value is None:
        raise run.bad(at, "nothing is stored")
    target, behind = run.place(behind, end, scope, frame)
    if op == 0x9D and target.node is not None and target.node.kind == "name":
        target.node.value = run.copy(value, at)
    else:
        target.put(value)
    return value, behind


def binary(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    left, behind = run.integer(behind, end, scope, frame)
    right, behind = run.integer(behind, end, scope, frame)
    if op in (0x78, 0x85) and not right:
        raise run.bad(at, "it divides by zero")
    if op == 0x78:
        rest, behind = run.place(behind, end, scope, frame)
        rest.put(left % right)
    value = {
        0x72: lambda: left + right, 0x74: lambda: left - right, 0x77: lambda: left * right,
        0x78: lambda: left // right, 0x85: lambda: left % right,
        0x79: lambda: left << right if right < 64 else 0, 0x7A: lambda: left >> right if right < 64 else 0,
        0x7B: lambda: left & right, 0x7C: lambda: ~(left & right), 0x7D: lambda: left | right,
        0x7E: lambda: ~(left | right), 0x7F: lambda: left ^ right,
    }[op]() & run.mask
    return run.stored(value, behind, end, scope, frame)


def unary(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    value, behind = run.integer(behind, end, scope, frame)
    if op == 0x80:
        value = ~value & run.mask
    elif op == 0x81:
        value = value.bit_length()
    else:
        value = (value & -value).bit_length()
    return run.stored(value, behind, end, scope, frame)


def count(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    target, behind = run.place(behind, end, scope, frame)
    value = run.to_integer(target.get(), at) + (1 if op == 0x75 else -1) & run.mask
    target.put(value)
    return value, behind


def logic(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    if op == 0x92:
        only, behind = run.integer(behind, end, scope, frame)
        return 0 if only else run.mask, behind
    left, behind = run.term(behind, end, scope, frame)
    right, behind = run.term(behind, end, scope, frame)
    left = left.get() if isinstance(left, Place) else left
    right = right.get() if isinstance(right, Place) else right
    if op in (0x90, 0x91):
        first, second = run.to_integer(left, at), run.to_integer(right, at)
        value = (first and second) if op == 0x90 else (first or second)
    else:
        a: Any
        b: Any
        if isinstance(left, str):
            a, b = left, run.to_string(right, at)
        elif isinstance(left, Buffer):
            a, b = bytes(left.data), bytes(run.to_buffer(right, at).data)
        else:
            a, b = run.to_integer(left, at), run.to_integer(right, at)
        value = a == b if op == 0x93 else a > b if op == 0x94 else a < b
    return run.mask if value else 0, behind


def convert(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    value, behind = run.term(behind, end, scope, frame)
    made: Any
    if op == 0x96:
        made = run.copy(run.to_buffer(value, at), at)
    elif op == 0x97:
        made = run.to_string(value, at, decimal=True)
    elif op == 0x98:
        made = run.to_string(value, at)
    elif op == 0x99:
        if isinstance(value, str) and not value.lower().startswith("0x"):
            made = int("".join(c for c in value.strip()[:20] if c.isdecimal() and c.isascii()) or "0") & run.mask
        else:
            made = run.to_integer(value, at)
    else:
        length, behind = run.integer(behind, end, scope, frame)
        raw = bytes(run.to_buffer(value, at).data).split(b"\0")[0]
        made = raw[:length].decode("latin-1")
    return run.stored(made, behind, end, scope, frame)


def concatenate(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None,
                op: int) -> tuple[Any, int]:
    left, behind = run.term(behind, end, scope, frame)
    right, behind = run.term(behind, end, scope, frame)
    left = left.get() if isinstance(left, Place) else left
    made: Any
    if op == 0x84:
        first, second = bytes(run.to_buffer(left, at).data), bytes(run.to_buffer(right, at).data)
        made = Buffer(bytearray(_templates(first) + _templates(second) + b"\x79\0"))
    elif isinstance(left, str):
        made = left + run.to_string(right, at)
    else:
        made = Buffer(bytearray(run.to_buffer(left, at).data + run.to_buffer(right, at).data))
    run.small(len(made if isinstance(made, str) else made.data), at)
    return run.stored(made, behind, end, scope, frame)


def mid(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    value, behind = run.term(behind, end, scope, frame)
    index, behind = run.integer(behind, end, scope, frame)
    length, behind = run.integer(behind, end, scope, frame)
    part = slice(index, index + length)
    made = value[part] if isinstance(value, str) else Buffer(run.to_buffer(value, at).data[part])
    return run.stored(made, behind, end, scope, frame)


def index(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    value, behind = run.fetched(behind, end, scope, frame)
    number, behind = run.integer(behind, end, scope, frame)
    target, behind = run.place(behind, end, scope, frame)
    if isinstance(value, Package):
        elements = value
        if number >= len(elements):
            raise run.bad(at, f"element {number} of a package of {len(elements)} does not exist")

        def put_element(new: Any) -> None:
            elements[number] = run.copy(new, at)

        def get_element() -> Any:
            element = elements[number]
            if isinstance(element, Name):
                node = run.find(element.text, element.scope)
                if node is None:
                    raise run.bad(element.offset, f"{asl(element.text)} is named and declared nowhere")
                return run.value_of(node, at, []) if node.kind == "name" else node
            return element

        place = Place(get_element, put_element)
    elif isinstance(value, Buffer):
        raw = value.data
        if number >= len(raw):
            raise run.bad(at, f"byte {number} of a buffer of {len(raw)} does not exist")

        def put_byte(new: Any) -> None:
            raw[number] = run.to_integer(new, at) & 0xFF

        place = Place(lambda: raw[number], put_byte)
    else:
        raise run.bad(at, f"an element of {what(value)} is asked for; packages and buffers have elements")
    if target is not NOWHERE:
        target.put(place)
    return place, behind


def match(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    package, behind = run.fetched(behind, end, scope, frame)
    if not isinstance(package, Package):
        raise run.bad(at, f"{what(package)} is searched; packages are")
    tests = []
    for _ in range(2):
        kind = run.number(behind, end, 1)
        if kind > 5:
            raise run.bad(behind, f"{kind} is no comparison of Match; it is 0 to 5")
        wanted, behind = run.integer(behind + 1, end, scope, frame)
        tests.append((kind, wanted))
    start, behind = run.integer(behind, end, scope, frame)
    for number in range(start, len(package)):
        run.step(at)
        element = package[number]
        if isinstance(element, int) and all(
                (True, element == wanted, element <= wanted, element < wanted, element >= wanted,
                 element > wanted)[kind] for kind, wanted in tests):
            return number, behind
    return run.mask, behind


def bcd(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    value, behind = run.integer(behind, end, scope, frame)
    if op == 0x5B29:
        value = int(str(value), 16)
        if value > run.mask:
            raise run.bad(at, "a number has more digits than an integer holds in BCD")
    elif not f"{value:x}".isdecimal():
        raise run.bad(at, f"{value:#x} is no number in BCD")
    else:
        value = int(f"{value:x}")
    return run.stored(value, behind, end, scope, frame)


def reference(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    """RefOf and CondRefOf."""
    if op == 0x5B12:
        lead = run.number(behind, end, 1)
        if run.starts_name(lead):
            text, after = run.name(behind, end)
            if run.find(text, scope) is None:
                _, after = run.place(after, end, scope, frame)
                return 0, after
        place, behind = run.place(behind, end, scope, frame)
        target, behind = run.place(behind, end, scope, frame)
        target.put(place)
        return run.mask, behind
    return run.place(behind, end, scope, frame)


def dereference(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None,
                op: int) -> tuple[Any, int]:
    value, behind = run.term(behind, end, scope, frame)
    if isinstance(value, str):
        node = run.find(".".join(part.ljust(4, "_") if part and part != "\\" else part
                                  for part in value.split(".")), scope)
        if node is None:
            raise run.bad(at, f"{value} is named and declared nowhere")
        value = run.named(node, at)
    if not isinstance(value, Place):
        raise run.bad(at, f"{what(value)} stands where a reference is needed")
    found = value.get()
    if found is None:
        raise run.bad(at, "a reference leads to an element that was never set")
    return found, behind


def size_of(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    place, behind = run.place(behind, end, scope, frame)
    if op == 0x8E and place.node is not None and place.node.kind != "name":
        return TYPES.get(place.node.kind, 0), behind
    value = place.get()
    while isinstance(value, Place):
        run.step(at)
        value = value.get()
    if op == 0x8E:
        kinds = ((int, 1), (str, 2), (Buffer, 3), (Package, 4))
        return next((number for kind, number in kinds if isinstance(value, kind)),
                    TYPES.get(value.kind, 0) if isinstance(value, Object) else 0), behind
    if isinstance(value, Buffer):
        return len(value.data), behind
    if isinstance(value, (str, Package)):
        return len(value), behind
    raise run.bad(at, f"SizeOf is asked of {what(value)}; strings, buffers and packages have a size")


def synchronise(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None,
                op: int) -> tuple[Any, int]:
    """Acquire, Release, Sleep, Stall and Notify: nobody else runs, and nobody is told."""
    if op == 0x5B23:
        _, behind = run.place(behind, end, scope, frame)
        run.number(behind, end, 2)
        return 0, behind + 2
    if op in (0x5B27, 0x86):
        _, behind = run.place(behind, end, scope, frame)
    if op != 0x5B27:
        _, behind = run.integer(behind, end, scope, frame)
    return None, behind


def debug(run: Interpreter, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
    return NOWHERE, behind


def _templates(raw: bytes) -> bytes:
    """A resource template without its end tag."""
    return raw[:-2] if len(raw) >= 2 and raw[-2] == 0x79 else raw


HANDLERS.update({
    **dict.fromkeys((0x00, 0x01, 0x0A, 0x0B, 0x0C, 0x0E, 0xFF, 0x5B30), constant),
    **dict.fromkeys(range(0x60, 0x6F), local),
    **dict.fromkeys((0x5B82, 0x5B83, 0x5B84, 0x5B85), device),
    **dict.fromkeys((0x5B01, 0x5B02, 0x5B80, 0x5B88), simple),
    **dict.fromkeys((0x5B81, 0x5B86, 0x5B87), fields),
    **dict.fromkeys((0x8A, 0x8B, 0x8C, 0x8D, 0x8F, 0x5B13), create_field),
    **dict.fromkeys((0x9F, 0xA3, 0xA4, 0xA5, 0xCC), flow),
    **dict.fromkeys((0x70, 0x9D), store),
    **dict.fromkeys((0x72, 0x74, 0x77, 0x78, 0x79, 0x7A, 0x7B, 0x7C, 0x7D, 0x7E, 0x7F, 0x85), binary),
    **dict.fromkeys((0x80, 0x81, 0x82), unary),
    **dict.fromkeys((0x75, 0x76), count),
    **dict.fromkeys((0x90, 0x91, 0x92, 0x93, 0x94, 0x95), logic),
    **dict.fromkeys((0x96, 0x97, 0x98, 0x99, 0x9C), convert),
    **dict.fromkeys((0x73, 0x84), concatenate),
    **dict.fromkeys((0x71, 0x5B12), reference),
    **dict.fromkeys((0x87, 0x8E), size_of),
    **dict.fromkeys((0x86, 0x5B21, 0x5B22, 0x5B23, 0x5B27), synchronise),
    **dict.fromkeys((0x5B28, 0x5B29), bcd),
    0x06: alias, 0x08: name_op, 0x0D: string, 0x10: scope_op, 0x11: buffer, 0x12: package, 0x13: package, 0x14: method,
    0x15: external, 0x83: dereference, 0x88: index, 0x89: match, 0x9E: mid, 0xA0: if_op, 0xA2: while_op, 0x5B31: debug,
})
