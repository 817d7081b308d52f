# SPDX-License-Identifier: GPL-2.0-only
"""The commands that look at files, and those that would make or remove some: coreutils, find, tree."""

from __future__ import annotations

import fnmatch
import re
import stat as modes
import time
from collections.abc import Callable

from hidma.linux.errno import EACCES, EEXIST, ENOENT, EPERM, strerror
from hidma.linux.fs import Dir, Inode, Link
from hidma.shell.command import Usage, command, inputs, joined, lines_of, number, options
from hidma.shell.interp import Shell
from hidma.shell.io import Io


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
        for at, (name, node) in enumerate(shown):
            last = at == len(shown) - 1
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
