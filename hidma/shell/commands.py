# SPDX-License-Identifier: GPL-2.0-only
"""The commands, with the options, lines and error texts of those that people know under these names."""

from __future__ import annotations

import fnmatch
import getopt
import re
import stat as modes
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hidma import dmatest as dmatest_module
from hidma.linux.base import use_count
from hidma.linux.errno import EACCES, EBUSY, EEXIST, ENOENT, EPERM, strerror
from hidma.linux.fs import O_APPEND, O_CREAT, O_TRUNC, O_WRONLY, Dir, Inode, Link
from hidma.linux.module import load_module, modules, unload_module, users
from hidma.linux.sched import schedule_timeout
from hidma.machine import MODULES
from hidma.shell.interp import INTERRUPTED, Builtin, Exit, Loop, Shell
from hidma.shell.io import FileSink, Io, WriteError
from hidma.shell.parser import NAME, unescape

if TYPE_CHECKING:
    from hidma.plugins import Found

RELEASE = "4.5.0-rc1"
LOADABLE = {**MODULES, "dmatest": dmatest_module.module}
COMMANDS: dict[str, Builtin] = {}
HELP: dict[str, str] = {}
UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "": 1_000_000_000,
}
ITERATIONS = "100"
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
POLL = 1_000_000


class Usage(Exception):
    """Arguments that a command does not take: the message, and the status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def command(*names: str, help: str = "") -> Callable[[Builtin], Builtin]:
    """Make a function known under ``names``."""

    def add(function: Builtin) -> Builtin:
        def run(shell: Shell, args: list[str], io: Io) -> int:
            try:
                return function(shell, args, io)
            except Usage as error:
                io.complain(f"{args[0]}: {error}")
                return error.status

        run.__doc__ = function.__doc__
        for name in names:
            COMMANDS[name] = run
        HELP[names[0]] = help
        return function

    return add


def options(
    args: list[str], short: str, long: tuple[str, ...] = (), status: int = 1
) -> tuple[dict[str, str], list[str]]:
    """The options (``{"-n": "5"}``) and the rest."""
    try:
        found, rest = getopt.gnu_getopt(args[1:], short, list(long))
    except getopt.GetoptError as error:
        if "requires argument" in error.msg:
            raise Usage(f"option requires an argument -- '{error.opt}'", status) from None
        kind = f"invalid option -- '{error.opt}'" if len(error.opt) == 1 else f"unrecognized option '--{error.opt}'"
        raise Usage(kind, status) from None
    return dict(found), rest


def number(text: str, what: str) -> int:
    """A decimal number that an option takes."""
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise Usage(f"invalid number of {what}: '{text}'")
    return int(text)


def lines_of(data: bytes) -> list[bytes]:
    """Lines with their ends."""
    return data.splitlines(keepends=True) if b"\r" not in data else re.findall(rb"[^\n]*\n|[^\n]+$", data)


def inputs(shell: Shell, names: list[str], io: Io) -> Iterator[tuple[str, bytes | int]]:
    """Name and text, or errno, of each file; of the standard input for ``-`` and without a name."""
    for name in names or ["-"]:
        yield name, io.stdin.rest() if name == "-" else shell.read(name)


# --- looking at files -----------------------------------------------------------------------------------------------


def quote(name: str) -> str:
    """A name in an error of ls."""
    return f"'{name}'"


def time_of(shell: Shell) -> str:
    """The date of every file: the machine has no other clock than the time since power-on."""
    return time.strftime("%b %e %H:%M", time.gmtime(shell.machine.now // 1_000_000_000))


def links_of(shell: Shell, node: Inode) -> int:
    """st_nlink."""
    if not isinstance(node, Dir):
        return 1
    return 2 + sum(isinstance(entry, Dir) for entry in shell.call(node.entries).values())


def joined(base: str, name: str) -> str:
    """A name in a directory."""
    return f"{base}{name}" if base.endswith("/") else f"{base}/{name}"


class Ls:
    """One run of ls."""

    def __init__(self, shell: Shell, flags: set[str], io: Io) -> None:
        self.shell = shell
        self.flags = flags
        self.io = io
        self.status = 0

    def failed(self, text: str, rc: int, status: int) -> None:
        self.io.complain(f"ls: {text}: {strerror(rc)}")
        self.status = max(self.status, status)

    def suffix(self, node: Inode) -> str:
        if "F" not in self.flags:
            return ""
        return "/" if isinstance(node, Dir) else "@" if isinstance(node, Link) else ""

    def show(self, entries: list[tuple[str, Inode]]) -> None:
        """Print entries, the long way or in columns."""
        if "r" in self.flags:
            entries = entries[::-1]
        if "l" in self.flags:
            links = [str(links_of(self.shell, node)) for _, node in entries]
            width = max((len(n) for n in links), default=1)
            size = max((len(str(node.size)) for _, node in entries), default=1)
            date = time_of(self.shell)
            for count, (name, node) in zip(links, entries, strict=True):
                arrow = f" -> {node.target}" if isinstance(node, Link) else self.suffix(node)
                self.io.print(
                    f"{modes.filemode(node.mode)} {count:>{width}} root root {node.size:>{size}} {date} {name}{arrow}"
                )
            return
        names = [name + self.suffix(node) for name, node in entries]
        if self.shell.terminal and "1" not in self.flags and self.io.out is self.shell.screen:
            for line in columns(names, self.shell.width()):
                self.io.print(line)
        else:
            for name in names:
                self.io.print(name)

    def directory(self, path: str, title: bool) -> None:
        """List a directory."""
        names = self.shell.listdir(path)
        if isinstance(names, int):
            self.failed(f"cannot open directory {quote(path)}", names, 2)
            return
        if title:
            self.io.print(f"{path}:")
        shown = sorted(name for name in names if not name.startswith(".") or self.flags & {"a", "A"})
        if "a" in self.flags:
            shown = [".", "..", *shown]
        entries: list[tuple[str, Inode]] = []
        for name in shown:
            rc, _, node = self.shell.lookup(joined(path, name), follow=False)
            if node is not None:
                entries.append((name, node))
            elif rc == -EACCES:
                self.failed(f"cannot access {quote(joined(path, name))}", rc, 1)
        if "l" in self.flags:
            self.io.print("total 0")
        self.show(entries)
        if "R" in self.flags and not self.shell.interrupted:
            for name, node in entries:
                if isinstance(node, Dir) and name not in (".", ".."):
                    self.io.print("")
                    self.directory(joined(path, name), True)


def columns(names: list[str], width: int) -> list[str]:
    """Names in columns, sorted downwards, as many as fit."""
    for rows in range(1, len(names) + 1):
        table = [names[at : at + rows] for at in range(0, len(names), rows)]
        widths = [max(map(len, column)) + 2 for column in table]
        if sum(widths) - 2 <= width or rows == len(names):
            return [
                "".join(
                    column[row].ljust(size) for column, size in zip(table, widths, strict=True) if row < len(column)
                ).rstrip()
                for row in range(rows)
            ]
    return []


@command("ls", help="list files (-l -a -A -d -1 -F -R -r)")
def ls(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "laAd1FRrhCn", ("all", "color=", "recursive", "directory"), 2)
    flags = {key.lstrip("-")[0].replace("c", "") if len(key) > 2 else key[1:] for key in found}
    flags = (flags - {"r"} if "-r" not in found else flags) | ({"R"} if "--recursive" in found else set())
    if "-n" in found:
        flags.add("l")
    run = Ls(shell, flags, io)
    files: list[tuple[str, Inode]] = []
    directories = []
    for name in sorted(names) if names else ["."]:
        rc, _, node = shell.lookup(name, follow=False)
        if rc == 0 and isinstance(node, Link) and not flags & {"d", "l"}:
            followed = shell.lookup(name)[2]
            node = followed if isinstance(followed, Dir) else node
        if node is None:
            run.failed(f"cannot access {quote(name)}", rc, 2)
        elif isinstance(node, Dir) and "d" not in flags:
            directories.append(name)
        else:
            files.append((name, node))
    if files:
        run.show(files)
    for at, name in enumerate(directories):
        if files or at:
            io.print("")
        run.directory(name, len(names) > 1 or "R" in flags)
    return run.status


@command("cat", help="print files (-n)")
def cat(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "nuveA")
    status = 0
    line = 1
    fresh = True
    for name, data in inputs(shell, names, io):
        if isinstance(data, int):
            io.complain(f"cat: {name}: {strerror(data)}")
            status = 1
            continue
        if "-n" in found:
            text = b""
            for one in lines_of(data):
                text += (b"%6d\t" % line if fresh else b"") + one
                fresh = one.endswith(b"\n")
                line += fresh
            data = text
        io.out.write(data)
        io.out.flush()
    return status


@command("tree", help="the files below a directory (-L depth, -d, -a)")
def tree(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "L:da")
    depth = number(found.get("-L", "1000000"), "levels")
    counts = [0, 0]
    status = 0

    def below(path: str, prefix: str, level: int) -> None:
        names = shell.listdir(path)
        if isinstance(names, int) or level > depth or shell.interrupted:
            return
        entries = [(name, shell.lookup(joined(path, name), follow=False)[2]) for name in sorted(names)]
        shown = [
            (name, node) for name, node in entries if node is not None and (isinstance(node, Dir) or "-d" not in found)
        ]
        for number, (name, node) in enumerate(shown):
            last = number == len(shown) - 1
            arrow = f" -> {node.target}" if isinstance(node, Link) else ""
            io.print(f"{prefix}{'└── ' if last else '├── '}{name}{arrow}")
            counts[not isinstance(node, Dir)] += 1
            if isinstance(node, Dir):
                below(joined(path, name), prefix + ("    " if last else "│   "), level + 1)

    for path in names or ["."]:
        if not isinstance(shell.lookup(path)[2], Dir):
            io.print(f"{path}  [error opening dir]")
            status = 2
            continue
        io.print(path)
        below(path, "", 1)
    directories = f"{counts[0]} director{'y' if counts[0] == 1 else 'ies'}"
    io.print(f"\n{directories}" + ("" if "-d" in found else f", {counts[1]} file{'' if counts[1] == 1 else 's'}"))
    return status


@command("find", help="search for files (-name -path -type -maxdepth -mindepth -print)")
def find(shell: Shell, args: list[str], io: Io) -> int:
    words = args[1:]
    paths = []
    while words and not words[0].startswith(("-", "!", "(")):
        paths.append(words.pop(0))
    tests: list[Callable[[str, str, Inode], bool]] = []
    low, high = 0, 1 << 30
    negate = False
    while words:
        word = words.pop(0)
        if word in ("!", "-not"):
            negate = not negate
            continue
        if word in ("-print", "-a", "-and"):
            continue
        if word not in ("-name", "-iname", "-path", "-type", "-maxdepth", "-mindepth"):
            raise Usage(f"unknown predicate `{word}'")
        if not words:
            raise Usage(f"missing argument to `{word}'")
        value = words.pop(0)
        if word in ("-maxdepth", "-mindepth"):
            if not value.isdigit():
                raise Usage(f"Expected a positive decimal integer argument to {word}, but got ‘{value}’")
            low, high = (int(value), high) if word == "-mindepth" else (low, int(value))
            continue
        if word == "-type" and value not in ("f", "d", "l"):
            raise Usage(f"Unknown argument to -type: {value}")
        tests.append(finder(word, value, negate))
        negate = False
    status = 0

    def walk(path: str, name: str, node: Inode, level: int) -> None:
        nonlocal status
        if level >= low and all(test(path, name, node) for test in tests):
            io.print(path)
        if not isinstance(node, Dir) or level >= high or shell.interrupted:
            return
        names = shell.listdir(path)
        if isinstance(names, int):
            io.complain(f"find: ‘{path}’: {strerror(names)}")
            status = 1
            return
        for entry in names:
            child = shell.lookup(joined(path, entry), follow=False)[2]
            if child is not None:
                walk(joined(path, entry), entry, child, level + 1)

    for path in paths or ["."]:
        rc, _, node = shell.lookup(path, follow=False)
        if node is None:
            io.complain(f"find: ‘{path}’: {strerror(rc)}")
            status = 1
        else:
            walk(path, path.rstrip("/").rpartition("/")[2] or path, node, 0)
    return status


def finder(word: str, value: str, negate: bool) -> Callable[[str, str, Inode], bool]:
    """One test of find."""
    kinds = {"f": modes.S_ISREG, "d": modes.S_ISDIR, "l": modes.S_ISLNK}

    def test(path: str, name: str, node: Inode) -> bool:
        if word == "-type":
            return kinds[value](node.mode) != negate
        if word == "-iname":
            return fnmatch.fnmatchcase(name.lower(), value.lower()) != negate
        return fnmatch.fnmatchcase(path if word == "-path" else name, value) != negate

    return test


@command("readlink", help="where a link points (-f)")
def readlink(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "fenm")
    if not names:
        raise Usage("missing operand")
    status = 0
    for name in names:
        if "-f" in found or "-e" in found or "-m" in found:
            rc, path, _ = shell.lookup(name)
            # the last part need not be there
            if rc == -ENOENT and "-f" in found:
                above, _, last = name.rstrip("/").rpartition("/")
                rc, path, _ = shell.lookup(above or ("/" if name.startswith("/") else "."))
                path = joined(path, last)
            target: str | int = path if rc == 0 else rc
        else:
            target = shell.readlink(name)
        if isinstance(target, int):
            status = 1
        else:
            io.out.write((target + ("" if "-n" in found else "\n")).encode())
    return status


@command("realpath", help="a path without links")
def realpath(shell: Shell, args: list[str], io: Io) -> int:
    status = 0
    for name in options(args, "e")[1]:
        rc, path, _ = shell.lookup(name)
        if rc:
            io.complain(f"realpath: {name}: {strerror(rc)}")
            status = 1
        else:
            io.print(path)
    return status


@command("stat", help="what is known of a file (-c FORMAT, -L)")
def stat(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "c:Lt", ("format=",))
    if not names:
        raise Usage("missing operand")
    layout = found.get("-c", found.get("--format"))
    status = 0
    for name in names:
        rc, _, node = shell.lookup(name, follow="-L" in found)
        if node is None:
            io.complain(f"stat: cannot statx '{name}': {strerror(rc)}")
            status = 1
            continue
        kind = (
            "directory"
            if isinstance(node, Dir)
            else "symbolic link"
            if isinstance(node, Link)
            else "regular empty file"
            if node.size == 0
            else "regular file"
        )
        arrow = f"{name} -> {node.target}" if isinstance(node, Link) else name
        bits = modes.S_IMODE(node.mode)
        facts = {
            "a": f"{bits:o}",
            "A": modes.filemode(node.mode),
            "n": name,
            "N": arrow,
            "s": str(node.size),
            "F": kind,
            "u": "0",
            "g": "0",
            "U": "root",
            "G": "root",
            "h": str(links_of(shell, node)),
            "f": f"{node.mode:x}",
            "b": "0",
            "%": "%",
        }
        if layout is not None:
            io.print(re.sub(r"%(.)", lambda m, facts=facts: facts.get(m[1], "?"), layout))  # type: ignore[misc]
            continue
        date = time.strftime("%Y-%m-%d %H:%M:%S.000000000 +0000", time.gmtime(shell.machine.now // 1_000_000_000))
        io.print(
            f"  File: {arrow}\n  Size: {node.size:<10}\tBlocks: 0          IO Block: 4096   {kind}\n"
            f"Links: {facts['h']}\nAccess: ({bits:04o}/{modes.filemode(node.mode)})  "
            "Uid: (    0/    root)   Gid: (    0/    root)\n"
            f"Access: {date}\nModify: {date}\nChange: {date}\n Birth: -"
        )
    return status


# --- text -----------------------------------------------------------------------------------------------------------


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
        for at, line in enumerate(data.split(b"\n")[: -1 if data.endswith(b"\n") else None] if data else []):
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
            self.io.print(f"grep: {name}: binary file matches")
        else:
            for at, line in hits[: int(found.get("-m", len(hits)))]:
                prefix = title + (b"%d:" % at if "-n" in found else b"")
                if "-o" in found:
                    for match in self.pattern.finditer(line):
                        if match[0]:
                            self.io.out.write(prefix + match[0] + b"\n")
                else:
                    self.io.out.write(prefix + line + b"\n")

    def directory(self, path: str, follow: bool) -> None:
        names = self.shell.listdir(path)
        if isinstance(names, int):
            self.io.complain(f"grep: {path}: {strerror(names)}")
            self.failed = True
            return
        for name in names:
            if self.shell.interrupted or self.matched and "-q" in self.found:
                return
            inside = joined(path, name)
            node = self.shell.lookup(inside, follow=follow)[2]
            if isinstance(node, Dir):
                self.directory(inside, follow)
            elif node is not None and not isinstance(node, Link):
                self.file(inside)


@command("grep", help="lines that match (-r -n -l -L -c -i -v -o -w -x -q -s -H -h -E -F -e -m)")
def grep(shell: Shell, args: list[str], io: Io) -> int:
    found, rest = options(args, "rRnlLcivowxqsHhEFGae:m:", ("color=",), 2)
    given = [
        value for key, value in getopt.gnu_getopt(args[1:], "rRnlLcivowxqsHhEFGae:m:", ["color="])[0] if key == "-e"
    ]
    if not given:
        if not rest:
            raise Usage("a pattern is missing", 2)
        given = [rest.pop(0)]
    if "-m" in found:
        number(found["-m"], "lines")
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
    titles = ("-H" in found or recursive or len(rest) > 1) and "-h" not in found
    run = Grep(shell, found, pattern, titles, io)
    for name in rest or (["."] if recursive else ["-"]):
        if name != "-" and isinstance(shell.lookup(name)[2], Dir):
            if recursive:
                run.directory(name, "-R" in found)
            else:
                io.complain(f"grep: {name}: Is a directory")
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
    for at, (name, data) in enumerate(inputs(shell, names, io)):
        if isinstance(data, int):
            io.complain(f"{args[0]}: cannot open '{name}' for reading: {strerror(data)}")
            status = 1
            continue
        if len(names) > 1 and "-q" not in found:
            io.print(("\n" if at else "") + f"==> {name} <==")
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
    width = (
        1
        if len(rows) == 1 and len(wanted) == 1
        else max([7 if not names else 1, *(len(str(n)) for r in rows for n in r[0])])
    )
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


# --- the shell itself -----------------------------------------------------------------------------------------------


@command("cd", help="go to a directory")
def cd(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) > 2:
        io.complain("bash: cd: too many arguments")
        return 1
    where = args[1] if len(args) > 1 else shell.variables.get("HOME", "/")
    if where == "-":
        where = shell.oldpwd
        if not where:
            io.complain("bash: cd: OLDPWD not set")
            return 1
        io.print(where)
    rc, _, node = shell.lookup(where)
    if rc:
        io.complain(f"bash: cd: {where}: {strerror(rc)}")
        return 1
    if not isinstance(node, Dir):
        io.complain(f"bash: cd: {where}: Not a directory")
        return 1
    if not shell.vfs.allowed(node, 1, shell.root):
        io.complain(f"bash: cd: {where}: {strerror(EACCES)}")
        return 1
    parts: list[str] = []
    for part in shell.absolute(where).split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    shell.oldpwd, shell.cwd = shell.cwd, "/" + "/".join(parts)
    shell.variables.update(PWD=shell.cwd, OLDPWD=shell.oldpwd)
    return 0


@command("pwd", help="where you are (-P)")
def pwd(shell: Shell, args: list[str], io: Io) -> int:
    io.print(shell.lookup(".")[1] or shell.cwd if "-P" in args else shell.cwd)
    return 0


@command("true", ":", help="status 0")
def true(shell: Shell, args: list[str], io: Io) -> int:
    return 0


@command("false", help="status 1")
def false(shell: Shell, args: list[str], io: Io) -> int:
    return 1


@command("test", "[", help="conditions: -e -f -d -L -r -w -x -s -z -n = != -eq -ne -lt -le -gt -ge ! ( ) -a -o")
def test(shell: Shell, args: list[str], io: Io) -> int:
    words = args[1:]
    if args[0] == "[":
        if not words or words[-1] != "]":
            io.complain("bash: [: missing `]'")
            return 2
        words.pop()
    try:
        return int(not Test(shell, words).whole()) if words else 1
    except ValueError as error:
        io.complain(f"bash: {args[0]}: {error}")
        return 2


class Test:
    """An expression of test."""

    UNARY = "efdLhrwxszn"
    NUMBERS: dict[str, Callable[[int, int], bool]] = {
        "-eq": int.__eq__,
        "-ne": int.__ne__,
        "-lt": int.__lt__,
        "-le": int.__le__,
        "-gt": int.__gt__,
        "-ge": int.__ge__,
    }

    def __init__(self, shell: Shell, words: list[str]) -> None:
        self.shell = shell
        self.words = words

    def whole(self) -> bool:
        found = self.either()
        if self.words:
            raise ValueError("too many arguments")
        return found

    def either(self) -> bool:
        found = self.both()
        while self.words[:1] == ["-o"]:
            self.words.pop(0)
            found = self.both() or found
        return found

    def both(self) -> bool:
        found = self.one()
        while self.words[:1] == ["-a"]:
            self.words.pop(0)
            found = self.one() and found
        return found

    def one(self) -> bool:
        words = self.words
        if not words:
            raise ValueError("argument expected")
        if len(words) >= 3 and (words[1] in self.NUMBERS or words[1] in ("=", "==", "!=", "<", ">")):
            left, op, right = words[:3]
            del words[:3]
            if op in self.NUMBERS:
                return self.NUMBERS[op](self.integer(left), self.integer(right))
            return {"=": left == right, "==": left == right, "!=": left != right, "<": left < right, ">": left > right}[
                op
            ]
        if words[0] == "!" and len(words) > 1:
            words.pop(0)
            return not self.one()
        if words[0] == "(" and len(words) > 1:
            words.pop(0)
            found = self.either()
            if words[:1] != [")"]:
                raise ValueError("`)' expected")
            words.pop(0)
            return found
        if (
            len(words) > 1
            and len(words[0]) == 2
            and words[0][0] == "-"
            and words[0][1] in self.UNARY
            and words[1] not in ("-a", "-o")
        ):
            op, operand = words[0][1], words[1]
            del words[:2]
            return self.unary(op, operand)
        return words.pop(0) != ""

    @staticmethod
    def integer(text: str) -> int:
        if not re.fullmatch(r"\s*[-+]?\d+\s*", text):
            raise ValueError(f"{text}: integer expression expected")
        return int(text)

    def unary(self, op: str, operand: str) -> bool:
        if op in "zn":
            return (operand == "") == (op == "z")
        rc, _, node = self.shell.lookup(operand, follow=op not in "Lh")
        if node is None:
            return False
        if op in "rwx":
            if op == "x" and self.shell.root:
                return isinstance(node, Dir) or bool(node.mode & 0o111)
            return self.shell.vfs.allowed(node, {"r": 4, "w": 2, "x": 1}[op], self.shell.root)
        return {
            "e": True,
            "f": modes.S_ISREG(node.mode),
            "d": isinstance(node, Dir),
            "L": isinstance(node, Link),
            "h": isinstance(node, Link),
            "s": node.size > 0,
        }[op]


@command("exit", help="leave")
def leave(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) > 1 and not re.fullmatch(r"[-+]?\d+", args[1]):
        io.complain(f"bash: exit: {args[1]}: numeric argument required")
        raise Exit(2)
    raise Exit(int(args[1]) & 0xFF if len(args) > 1 else shell.status)


def jump(args: list[str], again: bool) -> int:
    """break and continue."""
    raise Loop(int(args[1]) if len(args) > 1 and args[1].isdigit() and int(args[1]) else 1, again)


@command("break", help="leave a loop")
def leave_loop(shell: Shell, args: list[str], io: Io) -> int:
    return jump(args, False)


@command("continue", help="the next turn of a loop")
def next_turn(shell: Shell, args: list[str], io: Io) -> int:
    return jump(args, True)


@command("export", help="set a variable")
def export(shell: Shell, args: list[str], io: Io) -> int:
    for word in args[1:]:
        name, equals, value = word.partition("=")
        if not NAME.fullmatch(name):
            io.complain(f"bash: export: `{word}': not a valid identifier")
            return 1
        if equals:
            shell.variables[name] = value
    return 0


@command("unset", help="forget variables")
def unset(shell: Shell, args: list[str], io: Io) -> int:
    for name in args[1:]:
        shell.variables.pop(name, None)
    return 0


@command("read", help="a line of the input into variables (-r)")
def read(shell: Shell, args: list[str], io: Io) -> int:
    _, names = options(args, "rp:", status=2)
    line = io.stdin.line()
    text = line.decode("utf-8", "surrogateescape").rstrip("\n")
    names = names or ["REPLY"]
    values = text.split(None, len(names) - 1)
    for at, name in enumerate(names):
        shell.variables[name] = values[at].strip() if at < len(values) else ""
    return 0 if line.endswith(b"\n") else 1


@command("set", help="-e: leave when a command fails; +e: go on")
def set_options(shell: Shell, args: list[str], io: Io) -> int:
    for word in args[1:]:
        if word in ("-e", "+e"):
            shell.errexit = word == "-e"
        elif word not in ("-u", "+u"):
            io.complain(f"bash: set: {word}: invalid option")
            return 2
    if len(args) == 1:
        for name in sorted(shell.variables):
            io.print(f"{name}={shell.variables[name]!r}")
    return 0


@command("type", "which", help="what a command is")
def what(shell: Shell, args: list[str], io: Io) -> int:
    status = 0
    for name in args[1:]:
        if name in COMMANDS:
            io.print(f"{name} is a shell builtin")
        else:
            io.complain(f"bash: {args[0]}: {name}: not found")
            status = 1
    return status


@command("history", help="what was typed (-c: forget it)")
def history(shell: Shell, args: list[str], io: Io) -> int:
    if "-c" in args:
        shell.history.clear()
    for at, line in enumerate(shell.history, 1):
        io.print(f"{at:5d}  {line}")
    return 0


@command("help", help="this")
def help(shell: Shell, args: list[str], io: Io) -> int:
    for name in args[1:] or sorted(HELP):
        if name not in HELP:
            io.complain(f"bash: help: no help topics match `{name}'.")
            return 1
        io.print(f"{name:<10} {HELP[name]}")
    if len(args) == 1:
        io.print(
            "\nfor, while, until, if, { }, ( ), !, time, &&, ||, |, >, >>, 2>, &>, <, <<<, $( ), $(( )), * ? [ ] { }\n"
            "are as in bash.\n"
            "Time is virtual: it passes while something works, with `sleep 2` and with `run 5ms`."
        )
    return 0


# --- time -----------------------------------------------------------------------------------------------------------


def span(text: str, default: str) -> int | None:
    """Nanoseconds of ``5ms``, ``1.5``; None when it is no time."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)?", text)
    if match is None:
        return None
    return round(float(match[1]) * UNITS[(match[2] or default).replace("µ", "u")])


@command("sleep", help="let virtual seconds pass")
def sleep(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        raise Usage("missing operand")
    total = 0
    for text in args[1:]:
        ns = span(text, "s")
        if ns is None:
            raise Usage(f"invalid time interval '{text}'")
        total += ns
    return shell.wait(total)


@command("run", help="let virtual time pass: run 5ms")
def run(shell: Shell, args: list[str], io: Io) -> int:
    ns = span(args[1], "none") if len(args) == 2 and re.search(r"[a-z]$", args[1]) else None
    if ns is None:
        raise Usage("how long? For example: run 5ms (ns, us, ms, s)", 2)
    return shell.wait(ns)


# --- the kernel -----------------------------------------------------------------------------------------------------


@command("dmesg", help="the kernel log (-c -C -t, -l LEVELS)")
def dmesg(shell: Shell, args: list[str], io: Io) -> int:
    try:
        found, rest = options(args, "cCtl:r", ("level=", "clear", "read-clear", "notime"))
    except Usage as error:
        if "'w'" in str(error):
            raise Usage("-w waits for new lines, but while it waits nothing happens in this machine") from None
        raise
    if not shell.root and ({"-c", "-C", "--clear", "--read-clear"} & set(found)):
        raise Usage(f"{'read' if '-c' in found else 'clear'} kernel buffer failed: {strerror(EPERM)}")
    wanted = found.get("-l", found.get("--level"))
    levels = set(wanted.split(",")) if wanted else set(LEVELS)
    for level in levels - set(LEVELS):
        raise Usage(f"unknown level '{level}'")
    if not {"-C", "--clear"} & set(found):
        for line in shell.machine.kernel.log[shell.log_start :]:
            if LEVELS[line.level] in levels:
                io.print(line.text if {"-t", "--notime"} & set(found) else str(line))
    if {"-c", "-C", "--clear", "--read-clear"} & set(found):
        shell.log_start = len(shell.machine.kernel.log)
    return 0


@command("lsmod", help="the loaded modules")
def lsmod(shell: Shell, args: list[str], io: Io) -> int:
    io.print("Module                  Size  Used by")
    kernel = shell.machine.kernel
    for module in reversed(modules(kernel)):
        needed_by = users(kernel, module.name)
        io.print(f"{module.name:<19} {16384:>8}  {use_count(kernel, module)} {','.join(needed_by)}".rstrip())
    return 0


@command("modprobe", help="load a module: modprobe hidma nr_desc_prm=32; unload it: modprobe -r hidma")
def modprobe(shell: Shell, args: list[str], io: Io) -> int:
    found, rest = options(args, "rvqa", ("remove",))
    if not rest:
        raise Usage("ERROR: missing parameters. See -h.")
    name = rest[0].replace("-", "_")
    module = LOADABLE.get(name)
    resets = [] if module is not None else reset_plugins(rest[0])
    if module is None and not resets:
        raise Usage(
            f"FATAL: Module {rest[0]} not found{'.' if '-r' in found else f' in directory /lib/modules/{RELEASE}'}"
        )
    if not shell.root:
        verb = "remove" if "-r" in found else "insert"
        raise Usage(f"ERROR: could not {verb} '{name}': {strerror(EPERM)}")
    if "-r" in found or "--remove" in found:
        return unload(shell, args[0], resets[0].module_name if resets else name, quiet=True)
    parameters = {}
    for word in rest[1:]:
        key, equals, value = word.partition("=")
        # a bare name of a bool is true
        parameters[key] = value if equals else "Y"
    if name in MODULES or resets:
        rc = shell.call(lambda: shell.machine.load(rest[0], parameters))
    else:
        assert module is not None
        rc = shell.call(lambda: load_module(shell.machine.kernel, module, parameters))
    if rc == -EEXIST:
        return 0
    if rc < 0:
        raise Usage(f"ERROR: could not insert '{rest[0] if resets else name}': {strerror(rc)}")
    return 0


def reset_plugins(name: str | None = None) -> list[Found]:
    """The reset plugins that are called ``name``; all of them without one."""
    from hidma import plugins  # few shells need them, and they bring pluggy

    return plugins.installed() if name is None else plugins.find(name)


def unload(shell: Shell, program: str, name: str, quiet: bool) -> int:
    """rmmod and modprobe -r."""
    if name not in {module.name for module in modules(shell.machine.kernel)}:
        if quiet:
            return 0
        raise Usage(f"ERROR: Module {name} is not currently loaded")
    if not shell.root:
        raise Usage(f"ERROR: could not remove '{name}': {strerror(EPERM)}")
    rc = shell.call(lambda: unload_module(shell.machine.kernel, name))
    if rc == -EBUSY:
        raise Usage(f"ERROR: could not remove module {name}: {strerror(EBUSY)}")
    if rc:
        raise Usage(f"ERROR: could not remove module {name}: {strerror(rc)}")
    return 0


@command("rmmod", help="unload a module")
def rmmod(shell: Shell, args: list[str], io: Io) -> int:
    _, names = options(args, "fsvw")
    if not names:
        raise Usage("ERROR: missing module name.")
    status = 0
    for name in names:
        status |= unload(shell, args[0], name.replace("-", "_"), quiet=False)
    return status


@command("insmod", help="there are no module files here: see modprobe")
def insmod(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        raise Usage("ERROR: missing filename.")
    raise Usage(f"ERROR: could not load module {args[1]}: {strerror(ENOENT)}")


@command("modinfo", help="what a module says of itself")
def modinfo(shell: Shell, args: list[str], io: Io) -> int:
    for name in args[1:]:
        module = LOADABLE.get(name.replace("-", "_"))
        if module is None:
            from hidma.plugins import PluginError, plugin

            try:
                module = next((plugin(found).module for found in reset_plugins(name)), None)
            except PluginError as error:
                raise Usage(f"ERROR: {error}") from None
        if module is None:
            raise Usage(f"ERROR: Module {name} not found.")
        rows = [
            ("filename", module.source),
            *(("alias", alias) for alias in module.aliases),
            ("license", module.license),
            ("depends", ",".join(module.depends)),
            ("name", module.name),
            *(("parm", f"{p.name}:{p.desc}{' ' if p.desc else ''}({p.type})") for p in module.params),
        ]
        for key, value in rows:
            io.print(f"{key + ':':<16}{value}".rstrip())
    return 0


@command("dmatest", help="run the kernel's DMA test: dmatest iterations=5 channel=dma0chan0")
def dmatest(shell: Shell, args: list[str], io: Io) -> int:
    if not shell.root:
        raise Usage(f"could not insert 'dmatest': {strerror(EPERM)}")
    kernel = shell.machine.kernel
    parameters = {"iterations": ITERATIONS}
    for word in args[1:]:
        key, equals, value = word.partition("=")
        if key not in {p.name for p in dmatest_module.module.params}:
            raise Usage(f"no such parameter: {key}; modinfo dmatest shows them", 2)
        parameters[key] = value if equals else "Y"
    if any(module.name == "dmatest" for module in modules(kernel)):
        raise Usage("the module is loaded already; rmmod dmatest first")
    channels = parameters.pop("channel", "")
    for key in ("run", "wait"):
        parameters.pop(key, None)
    begin = len(kernel.log)

    def show() -> None:
        nonlocal begin
        for line in kernel.log[begin:]:
            io.print(str(line))
        begin = len(kernel.log)
        io.out.flush()

    failed = False
    with shell.machine.running():
        rc = load_module(kernel, dmatest_module.module, parameters)
        if rc == 0:
            info = dmatest_module.test_info()
            for name in channels.split(","):
                rc = rc or dmatest_module.dmatest_chan_set(name)
            threads = [thread for dtc in info.channels for thread in dtc.threads]
            if rc == 0:
                rc = dmatest_module.dmatest_run_set("1")
            while rc == 0 and dmatest_module.is_threaded_test_run(info) and not shell.interrupted:
                schedule_timeout(POLL)
                if len(kernel.log) != begin and shell.terminal:
                    show()
            failed = any(thread.failed_tests or thread.ret for thread in threads)
            unload_module(kernel, "dmatest")
    show()
    if rc:
        raise Usage(f"could not be started: {strerror(rc)}")
    return INTERRUPTED if shell.interrupted else int(failed)


@command("uname", help="name of the system (-a -s -n -r -v -m -o)")
def uname(shell: Shell, args: list[str], io: Io) -> int:
    found, _ = options(args, "asnrvmpio")
    facts = {"-s": "Linux", "-n": "hidma", "-r": RELEASE, "-v": "#1 SMP", "-m": "aarch64", "-o": "GNU/Linux"}
    io.print(" ".join(text for key, text in facts.items() if "-a" in found or key in found) or "Linux")
    return 0


@command("id", "whoami", help="who you are (-u)")
def identity(shell: Shell, args: list[str], io: Io) -> int:
    user, number = ("root", 0) if shell.root else ("user", 1000)
    if args[0] == "whoami":
        io.print(user)
    else:
        io.print(str(number) if "-u" in args else f"uid={number}({user}) gid={number}({user}) groups={number}({user})")
    return 0


@command("uptime", help="virtual time since power-on")
def uptime(shell: Shell, args: list[str], io: Io) -> int:
    io.print(f" up {shell.machine.now / 1e9:.9f} s")
    return 0


def refuse(shell: Shell, args: list[str], text: str, rc: int) -> int:
    """Nothing is made or removed by hand in this tree."""
    names = [word for word in args[1:] if not word.startswith("-")]
    if not names:
        raise Usage("missing operand")
    raise Usage(f"{text} '{names[-1]}': {strerror(rc)}")


@command("rm", help="nothing can be removed by hand")
def rm(shell: Shell, args: list[str], io: Io) -> int:
    return refuse(shell, args, "cannot remove", shell.lookup(args[-1], follow=False)[0] or -EPERM)


@command("mkdir", help="nothing can be made by hand")
def mkdir(shell: Shell, args: list[str], io: Io) -> int:
    there = shell.lookup(args[-1], follow=False)[0] == 0
    return refuse(shell, args, "cannot create directory", -EEXIST if there else -EPERM)


@command("touch", help="files cannot be made by hand")
def touch(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) > 1 and shell.lookup(args[-1])[0] == 0:
        return 0
    return refuse(shell, args, "cannot touch", -EACCES)
