# SPDX-License-Identifier: GPL-2.0-only
"""The commands that filter and print text: grep, and what coreutils has of the kind."""

from __future__ import annotations

import getopt
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hidma.commands.shell.command import Usage, command, inputs, joined, lines_of, number, options
from hidma.commands.shell.interp import NOT_FOUND, Shell
from hidma.commands.shell.io import FileSink, Input, Io, WriteError
from hidma.commands.shell.parser import unescape
from hidma.linux.errno import EISDIR, ENOENT, strerror
from hidma.linux.fs import O_APPEND, O_CREAT, O_TRUNC, O_WRONLY, Dir, Link

CLASSES = {"lower": "a-z", "upper": "A-Z", "digit": "0-9", "alpha": "A-Za-z", "alnum": "A-Za-z0-9", "space": " \\t-\\r"}


def basic(pattern: str) -> str:
    """A basic regular expression as an extended one."""
    out = ""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "[":
            end = pattern.find("]", at + (3 if pattern[at + 1 : at + 2] == "^" else 2))
            end = len(pattern) - 1 if end < 0 else end
            out += pattern[at : end + 1]
            at = end + 1
        elif char == "\\" and pattern[at + 1 : at + 2] in tuple("(){}|+?"):
            out += pattern[at + 1]
            at += 2
        elif char == "\\":
            out += pattern[at : at + 2]
            at += 2
        else:
            literal = char in "(){}|+?" or char == "*" and out in ("", "^")
            out += "\\" + char if literal else char
            at += 1
    return out


def expression(pattern: str, fixed: bool, extended: bool) -> str:
    """A pattern of grep as one of Python."""
    if fixed:
        return re.escape(pattern)
    text = pattern if extended else basic(pattern)
    for name, inside in (
        ("digit", "0-9"),
        ("alpha", "A-Za-z"),
        ("alnum", "A-Za-z0-9"),
        ("space", r"\s"),
        ("xdigit", "0-9A-Fa-f"),
        ("upper", "A-Z"),
        ("lower", "a-z"),
        ("blank", " \t"),
        ("punct", r"!-/:-@\[-`{-~"),
    ):
        text = text.replace(f"[:{name}:]", inside)
    return text.replace(r"\<", r"\b").replace(r"\>", r"\b")


class Grep:
    """One run of grep."""

    def __init__(self, shell: Shell, found: dict[str, str], pattern: Any, titles: bool, io: Io) -> None:
        self.shell = shell
        self.found = found
        self.pattern = pattern
        self.titles = titles
        self.io = io
        self.matched = False
        self.failed = False
        self.grouped = False

    def file(self, name: str) -> None:
        data = self.io.stdin.rest() if name == "-" else self.shell.read(name)
        if isinstance(data, int):
            if "-s" not in self.found:
                self.io.complain(f"grep: {name}: {strerror(data)}")
            self.failed = True
        else:
            self.search("(standard input)" if name == "-" else name, data)

    def search(self, name: str, data: bytes) -> None:
        found = self.found
        title = name.encode() + b":" if self.titles else b""
        hits = []
        lines = data.split(b"\n")[: -1 if data.endswith(b"\n") else None] if data else []
        for at, line in enumerate(lines):
            if (self.pattern.search(line) is not None) != ("-v" in found):
                hits.append((at + 1, line))
        self.matched = self.matched or bool(hits)
        if "-q" in found:
            return
        if "-l" in found or "-L" in found:
            if bool(hits) == ("-l" in found):
                self.io.print(name)
        elif "-c" in found:
            self.io.out.write(title + b"%d\n" % len(hits))
        elif hits and b"\0" in data and "-a" not in found:
            self.io.complain(f"grep: {name}: binary file matches")
        else:
            hits = hits[: int(found.get("-m", len(hits)))]
            before, after = (int(found.get(flag, found.get("-C", "0"))) for flag in ("-B", "-A"))
            if (before or after) and "-o" not in found:
                self.context(name, lines, [at for at, _ in hits], before, after)
                return
            for at, line in hits:
                prefix = title + (b"%d:" % at if "-n" in found else b"")
                if "-o" in found:
                    for match in self.pattern.finditer(line):
                        if match[0]:
                            self.io.out.write(prefix + match[0] + b"\n")
                else:
                    self.io.out.write(prefix + line + b"\n")

    def context(self, name: str, lines: list[bytes], hits: list[int], before: int, after: int) -> None:
        """-A, -B, -C: the lines around those that match, ``--`` between groups."""
        shown = sorted({n for at in hits for n in range(at - before, at + after + 1) if 1 <= n <= len(lines)})
        for last, n in zip([0, *shown], shown, strict=False):
            if self.grouped and (not last or n > last + 1):
                self.io.print("--")
            self.grouped = True
            mark = b":" if n in hits else b"-"
            title = name.encode() + mark if self.titles else b""
            number = b"%d" % n + mark if "-n" in self.found else b""
            self.io.out.write(title + number + lines[n - 1] + b"\n")

    def directory(self, path: str, follow: bool, above: tuple[str, ...] = ()) -> None:
        real = self.shell.lookup(path or ".")[1]
        if real in above:
            self.io.complain(f"grep: {path}: warning: recursive directory loop")
            return
        names = self.shell.listdir(path or ".")
        if isinstance(names, int):
            self.io.complain(f"grep: {path}: {strerror(names)}")
            self.failed = True
            return
        for name in names:
            if self.shell.interrupted or self.matched and "-q" in self.found:
                return
            inside = joined(path, name) if path else name
            node = self.shell.lookup(inside, follow=follow)[2]
            if isinstance(node, Dir):
                self.directory(inside, follow, (*above, real))
            elif node is not None and not isinstance(node, Link):
                self.file(inside)


@command("grep", help="lines that match (-r -n -l -L -c -i -v -o -w -x -q -s -H -h -E -F -e -m -A -B -C)")
def grep(shell: Shell, args: list[str], io: Io) -> int:
    found, rest = options(args, "rRnlLcivowxqsHhEFGae:m:A:B:C:", ("color=",), 2)
    given = [
        value
        for key, value in getopt.gnu_getopt(args[1:], "rRnlLcivowxqsHhEFGae:m:A:B:C:", ["color="])[0]
        if key == "-e"
    ]
    if not given:
        if not rest:
            raise Usage("a pattern is missing", 2)
        given = [rest.pop(0)]
    for flag in {"-m", "-A", "-B", "-C"} & set(found):
        if not found[flag].isdigit():
            raise Usage("invalid max count" if flag == "-m" else f"{found[flag]}: invalid context length argument", 2)
    parts = [expression(p, "-F" in found, "-E" in found) for text in given for p in text.split("\n")]
    source = "|".join(f"(?:{p})" for p in parts)
    if "-w" in found:
        source = rf"(?<!\w)(?:{source})(?!\w)"
    if "-x" in found:
        source = rf"^(?:{source})$"
    try:
        pattern = re.compile(source.encode("utf-8", "surrogateescape"), re.IGNORECASE if "-i" in found else 0)
    except re.error as error:
        raise Usage(f"{given[0]}: {error.msg}", 2) from None
    recursive = "-r" in found or "-R" in found
    below = recursive and (not rest or isinstance(shell.lookup(rest[0])[2], Dir))
    titles = ("-H" in found or below or len(rest) > 1) and "-h" not in found
    run = Grep(shell, found, pattern, titles, io)
    for name in rest or (["."] if recursive else ["-"]):
        if name != "-" and isinstance(shell.lookup(name)[2], Dir):
            if recursive:
                run.directory(name if rest else "", "-R" in found)
            else:
                io.complain(f"grep: {name}: Is a directory")
                run.failed = True
        else:
            run.file(name)
    if "-q" in found and run.matched:
        return 0
    return 2 if run.failed else 0 if run.matched else 1


def head_tail(shell: Shell, args: list[str], io: Io, head: bool) -> int:
    """head and tail."""
    if len(args) > 1 and re.fullmatch(r"-\d+", args[1]):
        args = [args[0], "-n", args[1][1:], *args[2:]]
    found, names = options(args, "n:c:q")
    unit = "bytes" if "-c" in found else "lines"
    text = found.get("-c", found.get("-n", "10"))
    count = number(text, unit)
    status = 0
    shown = False
    for name, data in inputs(shell, names, io):
        directory = data == -EISDIR
        if isinstance(data, int):
            what = f"error reading '{name}'" if directory else f"cannot open '{name}' for reading"
            io.complain(f"{args[0]}: {what}: {strerror(data)}")
            status = 1
            if not directory:
                continue
            data = b""
        if len(names) > 1 and "-q" not in found:
            io.print(("\n" if shown else "") + f"==> {name} <==")
            shown = True
        whole: Any = data if unit == "bytes" else lines_of(data)
        if head:
            part = whole[:count]
        elif text.startswith("+"):
            part = whole[max(count - 1, 0) :]
        else:
            part = whole[-abs(count) :] if count else whole[:0]
        io.out.write(part if unit == "bytes" else b"".join(part))
    return status


@command("head", help="the first lines (-n N, -c N)")
def head(shell: Shell, args: list[str], io: Io) -> int:
    return head_tail(shell, args, io, True)


@command("tail", help="the last lines (-n N, -n +N, -c N)")
def tail(shell: Shell, args: list[str], io: Io) -> int:
    return head_tail(shell, args, io, False)


@command("wc", help="count lines, words, bytes (-l -w -c)")
def wc(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "lwc")
    wanted = [key for key in ("-l", "-w", "-c") if key in found] or ["-l", "-w", "-c"]
    rows = []
    status = 0
    for name, data in inputs(shell, names, io):
        if isinstance(data, int):
            io.complain(f"wc: {name}: {strerror(data)}")
            status = 1
            continue
        counts = {"-l": data.count(b"\n"), "-w": len(data.split()), "-c": len(data)}
        rows.append(([counts[key] for key in wanted], name if names else ""))
    if len(names) > 1:
        rows.append(([sum(column) for column in zip(*(r[0] for r in rows), strict=True)], "total"))
    # as wide as the sizes of the files ask for, whatever is read from them
    nodes = [shell.lookup(name)[2] for name in names if name != "-"]
    sizes = sum(node.size for node in nodes if node is not None)
    width = 1 if len(rows) == 1 and len(wanted) == 1 else len(str(sizes)) if len(nodes) == len(names) > 0 else 7
    for counts_of, name in rows:
        io.print((" ".join(f"{n:>{width}}" for n in counts_of) + f" {name}").rstrip())
    return status


@command("sort", help="sort lines (-n -r -u)")
def sort(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "nruk:t:V", status=2)
    lines: list[bytes] = []
    for name, data in inputs(shell, names, io):
        if isinstance(data, int):
            io.complain(f"sort: cannot read: {name}: {strerror(data)}")
            return 2
        lines += data.split(b"\n")[: -1 if data.endswith(b"\n") else None] if data else []
    field = int(re.sub(r"\D.*", "", found.get("-k", "")) or 0)

    def key(line: bytes) -> tuple[float, bytes]:
        parts = line.split(found["-t"].encode()) if "-t" in found else line.split()
        text = (parts[field - 1] if field <= len(parts) else b"") if field else line
        value = re.match(rb"\s*(-?\d+(?:\.\d+)?)", text) if "-n" in found else None
        return float(value[1]) if value else 0.0, b"" if "-n" in found and "-u" in found else text

    lines.sort(key=key, reverse="-r" in found)
    before: tuple[float, bytes] | None = None
    for line in lines:
        if "-u" not in found or key(line) != before:
            io.out.write(line + b"\n")
        before = key(line)
    return 0


@command("uniq", help="leave out repeated lines (-c -d -u)")
def uniq(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "cdu")
    for name, data in inputs(shell, names[:1], io):
        if isinstance(data, int):
            raise Usage(f"{name}: {strerror(data)}")
        runs: list[tuple[bytes, int]] = []
        for line in data.split(b"\n")[: -1 if data.endswith(b"\n") else None] if data else []:
            if runs and runs[-1][0] == line:
                runs[-1] = (line, runs[-1][1] + 1)
            else:
                runs.append((line, 1))
        for line, count in runs:
            if ("-d" in found and count == 1) or ("-u" in found and count > 1):
                continue
            io.out.write((b"%7d " % count if "-c" in found else b"") + line + b"\n")
    return 0


@command("cut", help="fields or characters of lines (-d X -f LIST, -c LIST)")
def cut(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "d:f:c:s")
    if ("-f" in found) == ("-c" in found):
        raise Usage("you must specify a list of bytes, characters, or fields")
    ranges = []
    for piece in found.get("-f", found.get("-c", "")).split(","):
        match = re.fullmatch(r"(\d*)(-?)(\d*)", piece)
        if match is None or not (match[1] or match[3]):
            raise Usage("invalid field value")
        first = int(match[1] or 1)
        ranges.append((first, int(match[3]) if match[3] else 1 << 30 if match[2] else first))
    delimiter = found.get("-d", "\t").encode()
    status = 0
    for name, data in inputs(shell, names, io):
        if isinstance(data, int):
            io.complain(f"cut: {name}: {strerror(data)}")
            status = 1
            continue
        for line in data.splitlines():
            parts = line.split(delimiter) if "-f" in found else [line[i : i + 1] for i in range(len(line))]
            if "-f" in found and delimiter not in line:
                if "-s" not in found:
                    io.out.write(line + b"\n")
                continue
            chosen = [p for at, p in enumerate(parts, 1) if any(a <= at <= b for a, b in ranges)]
            io.out.write((delimiter if "-f" in found else b"").join(chosen) + b"\n")
    return status


@command("tr", help="replace or delete characters (-d -s -c)")
def tr(shell: Shell, args: list[str], io: Io) -> int:
    found, sets = options(args, "dscC")
    wanted = 1 if "-d" in found and "-s" not in found else 1 if "-s" in found and len(sets) == 1 else 2
    if len(sets) < wanted:
        why = "\nTwo strings must be given when translating." if wanted == 2 else ""
        raise Usage("missing operand" if not sets else f"missing operand after ‘{sets[-1]}’{why}")
    if len(sets) > wanted:
        raise Usage(f"extra operand '{sets[wanted]}'")
    first = characters(sets[0])
    if {"-c", "-C"} & set(found):
        first = bytes(byte for byte in range(256) if byte not in first)
    last = characters(sets[-1])
    data = io.stdin.rest()
    if "-d" in found:
        data = data.translate(None, first)
    elif len(sets) == 2:
        if not last:
            raise Usage("when not truncating set1, string2 must be non-empty")
        table = bytearray(range(256))
        for at, byte in enumerate(first):
            table[byte] = last[min(at, len(last) - 1)]
        data = data.translate(bytes(table))
    if "-s" in found:
        data = bytes(b for at, b in enumerate(data) if not at or b != data[at - 1] or b not in last)
    io.out.write(data)
    return 0


def characters(text: str) -> bytes:
    """A set of tr: escapes, ranges, classes."""
    for name, members in CLASSES.items():
        text = text.replace(f"[:{name}:]", members)
    raw = unescape(text)[0]
    raw = re.sub(r"(.)-(.)", lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), raw, flags=re.DOTALL)
    return raw.encode("utf-8", "surrogateescape")


def dump(data: bytes, show: Callable[[int, bytes], str]) -> Iterator[str]:
    """A line for each 16 bytes; what repeats is a star."""
    before = b""
    starred = False
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        if at and part == before:
            if not starred:
                yield "*"
            starred = True
            continue
        before, starred = part, False
        yield show(at, part)


def printable(part: bytes) -> str:
    """Bytes as characters, a dot for what is none."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)


@command("hexdump", help="bytes in hexadecimal (-C)")
def hexdump(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "C")

    def show(at: int, part: bytes) -> str:
        if "-C" not in found:
            words = [int.from_bytes(part[i : i + 2], "little") for i in range(0, len(part), 2)]
            return f"{at:07x} " + " ".join(f"{word:04x}" for word in words)
        halves = "  ".join(" ".join(f"{byte:02x}" for byte in part[i : i + 8]) for i in (0, 8) if part[i:])
        return f"{at:08x}  {halves:<48}  |{printable(part)}|"

    status = 0
    data = b""
    for name, text in inputs(shell, names, io):
        if isinstance(text, int):
            io.complain(f"hexdump: {name}: {strerror(text)}")
            status = 1
        else:
            data += text
    for line in dump(data, show):
        io.print(line)
    if data:
        io.print(f"{len(data):08x}" if "-C" in found else f"{len(data):07x}")
    return status


@command("xxd", help="bytes in hexadecimal")
def xxd(shell: Shell, args: list[str], io: Io) -> int:
    _, names = options(args, "")
    for name, data in inputs(shell, names[:1], io):
        if isinstance(data, int):
            io.complain(f"xxd: {name}: {strerror(data)}")
            return 2
        for at in range(0, len(data), 16):
            part = data[at : at + 16]
            words = " ".join(part[i : i + 2].hex() for i in range(0, len(part), 2))
            io.print(f"{at:08x}: {words:<39}  {printable(part)}")
    return 0


@command("xargs", help="run a command with words from the input (-n N, -0, -I X)")
def xargs(shell: Shell, args: list[str], io: Io) -> int:
    flags: dict[str, str] = {}
    words = args[1:]
    while words and words[0].startswith("-") and len(words[0]) > 1:
        flag = words.pop(0)
        if flag[:2] not in ("-n", "-0", "-I", "-r", "-t"):
            raise Usage(f"invalid option -- '{flag[1]}'")
        flags[flag[:2]] = flag[2:] or (words.pop(0) if flag[:2] in ("-n", "-I") and words else "")
    words = words or ["echo"]
    data = io.stdin.rest().decode("utf-8", "surrogateescape")
    if "-0" in flags:
        given = data.split("\0")
        given = given[:-1] if given[-1] == "" else given
    elif "-I" in flags:
        given = [line.strip() for line in data.splitlines() if line.strip()]
    else:
        try:
            given = shlex.split(data)
        except ValueError:
            raise Usage(
                "unmatched quote; by default quotes are special to xargs unless you use the -0 option"
            ) from None
    if "-I" in flags:
        lines = [[word.replace(flags["-I"], one) for word in words] for one in given]
    else:
        each = number(flags["-n"], "arguments") if "-n" in flags else max(len(given), 1)
        if each < 1:
            raise Usage(f"value {each} for -n option should be >= 1")
        lines = [[*words, *given[at : at + each]] for at in range(0, len(given), each)]
        if not given and "-r" not in flags:
            lines = [words]
    status = 0
    for line in lines:
        if line[0] not in shell.commands:
            io.complain(f"xargs: {line[0]}: {strerror(ENOENT)}")
            return NOT_FOUND
        if shell.invoke_words(line, replace(io, stdin=Input())):
            status = 123
    return status


@command("tee", help="copy the input to files (-a)")
def tee(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "a")
    data = io.stdin.rest()
    io.out.write(data)
    status = 0
    for name in names:
        file = shell.open(name, O_WRONLY | O_CREAT | (O_APPEND if "-a" in found else O_TRUNC))
        try:
            if isinstance(file, int):
                raise WriteError(file)
            sink = FileSink(file, shell.call)
            sink.write(data)
            sink.flush()
        except WriteError as error:
            io.complain(f"tee: {name}: {strerror(error.rc)}")
            status = 1
    return status


@command("echo", help="print words (-n, -e)")
def echo(shell: Shell, args: list[str], io: Io) -> int:
    words = args[1:]
    flags = ""
    while words and re.fullmatch(r"-[neE]+", words[0]):
        flags += words.pop(0)[1:]
    text = " ".join(words)
    stop = False
    if "e" in flags and not flags.rstrip("n").endswith("E"):
        text, stop = unescape(text, zero=True)
    io.out.write((text + ("" if "n" in flags or stop else "\n")).encode("utf-8", "surrogateescape"))
    return 0


@command("printf", help="print words in a format")
def printf(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        io.complain("printf: usage: printf format [arguments]")
        return 2
    layout, rest = args[1], args[2:]
    status = 0
    out = ""
    while True:

        def one(match: re.Match[str]) -> str:
            nonlocal status
            if match[0] == "%%":
                return "%"
            value = rest.pop(0) if rest else ""
            if match[2] in "sb":
                value = unescape(value, zero=True)[0] if match[2] == "b" else value
                return f"%{match[1]}s" % value
            if match[2] == "c":
                return value[:1]
            try:
                whole = int(value or "0", 0) if not re.fullmatch(r"[-+]?0[0-7]+", value) else int(value, 8)
            except ValueError:
                io.complain(f"bash: printf: {value}: invalid number")
                status = 1
                whole = 0
            return f"%{match[1]}{match[2].replace('i', 'd').replace('u', 'd')}" % whole

        before = len(rest)
        try:
            out += re.sub(r"%([-+ 0#]*\d*(?:\.\d+)?)([sbcdiuxXo%])", one, unescape(layout)[0])
        except (ValueError, OverflowError, MemoryError) as error:
            raise Usage(str(error) or "out of memory") from None
        if not rest or len(rest) == before:
            break
    io.out.write(out.encode("utf-8", "surrogateescape"))
    return status


@command("seq", help="numbers")
def seq(shell: Shell, args: list[str], io: Io) -> int:
    if not 2 <= len(args) <= 4:
        raise Usage("missing operand" if len(args) < 2 else f"extra operand '{args[4]}'")
    for text in args[1:]:
        if not re.fullmatch(r"[-+]?\d+", text):
            raise Usage(f"invalid floating point argument: '{text}'")
    values = [int(text) for text in args[1:]]
    first, step, last = {
        1: (1, 1, values[-1]),
        2: (values[0], 1, values[-1]),
        3: (values[0], (values + [0])[1], values[-1]),
    }[len(values)]
    if step == 0:
        raise Usage(f"invalid Zero increment value: '{args[2]}'")
    for value in range(first, last + (1 if step > 0 else -1), step):
        io.out.write(b"%d\n" % value)
    return 0


@command("basename", help="the last part of a path")
def basename(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        raise Usage("missing operand")
    name = args[1].rstrip("/").rpartition("/")[2] or "/"
    io.print(name.removesuffix(args[2]) if len(args) > 2 and name != args[2] else name)
    return 0


@command("dirname", help="a path without its last part")
def dirname(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        raise Usage("missing operand")
    above, slash, _ = args[1].rstrip("/").rpartition("/")
    io.print(above or slash or ".")
    return 0
