# SPDX-License-Identifier: GPL-2.0-only
"""The commands that look at files, and those that would make or remove some: coreutils, find, tree."""

from __future__ import annotations

import fnmatch
import re
import stat as modes
import time
from collections.abc import Callable, Iterator

from hidma.commands.shell.command import Usage, command, joined, lines_of, number, options
from hidma.commands.shell.interp import Shell
from hidma.commands.shell.io import FileSink, Io, WriteError
from hidma.linux.errno import EACCES, EEXIST, ENOENT, ENOTDIR, EPERM, strerror
from hidma.linux.fs import O_CREAT, O_TRUNC, O_WRONLY, Dir, Inode, Link


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
        if "p" in self.flags and "F" not in self.flags:
            return "/" if isinstance(node, Dir) else ""
        if "F" not in self.flags:
            return ""
        return "/" if isinstance(node, Dir) else "@" if isinstance(node, Link) else ""

    def show(self, entries: list[tuple[str, Inode]]) -> None:
        """Print entries, the long way or in columns. All have the same time."""
        if "S" in self.flags:
            entries = sorted(entries, key=lambda entry: -entry[1].size)
        if "r" in self.flags:
            entries = entries[::-1]
        if "l" in self.flags:
            links = [str(links_of(self.shell, node)) for _, node in entries]
            width = max((len(n) for n in links), default=1)
            sizes = ["1, 3" if modes.S_ISCHR(node.mode) else str(node.size) for _, node in entries]
            size = max(map(len, sizes), default=1)
            date = time_of(self.shell)
            for count, long, (name, node) in zip(links, sizes, entries, strict=True):
                arrow = f" -> {node.target}" if isinstance(node, Link) else self.suffix(node)
                self.io.print(
                    f"{modes.filemode(node.mode)} {count:>{width}} root root {long:>{size}} {date} {name}{arrow}"
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


@command("ls", help="list files (-l -a -A -d -1 -F -p -R -r -t -S -h)")
def ls(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "laAd1FRrhCntSp", ("all", "color=", "recursive", "directory"), 2)
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


@command("cat", help="print files (-n -A -E -T -v)")
def cat(shell: Shell, args: list[str], io: Io) -> int:
    found, names = options(args, "nuvetAET")
    marks = {"v": {"-v", "-e", "-t", "-A"}, "E": {"-E", "-e", "-A"}, "T": {"-T", "-t", "-A"}}
    show = {kind for kind, flags in marks.items() if flags & set(found)}
    status = 0
    line = 1
    fresh = True
    for name, data in pieces(shell, names, io):
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
        io.out.write(visible(data, show) if show else data)
        io.out.flush()
    return status


def pieces(shell: Shell, names: list[str], io: Io) -> Iterator[tuple[str, bytes | int]]:
    """As :func:`inputs`, the standard input as it comes."""
    for name in names or ["-"]:
        if name == "-":
            while piece := io.stdin.piece():
                yield name, piece
        else:
            yield name, shell.read(name)


def visible(data: bytes, show: set[str]) -> bytes:
    """Bytes as ``cat -v`` (v), ``-E`` (E) and ``-T`` (T) show them."""
    out = b""
    for byte in data:
        if byte == 0x0A:
            out += b"$\n" if "E" in show else b"\n"
        elif byte == 0x09:
            out += b"^I" if "T" in show else b"\t"
        elif "v" not in show:
            out += bytes([byte])
        else:
            low = byte & 0x7F
            sign = b"^?" if low == 0x7F else b"^" + bytes([low + 64]) if low < 32 else bytes([low])
            out += (b"M-" if byte & 0x80 else b"") + sign
    return out


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


Test = Callable[[str, str, Inode], bool]


@command(
    "find",
    help="search for files (-L -name -iname -path -type -perm -empty -maxdepth -mindepth -print -print0 -exec)",
)
def find(shell: Shell, args: list[str], io: Io) -> int:
    words = args[1:]
    follow = False
    while words[:1] in (["-L"], ["-P"], ["-H"]):
        follow = words.pop(0) == "-L"
    paths = []
    while words and not words[0].startswith(("-", "!", "(")):
        paths.append(words.pop(0))
    tests: list[Test] = []
    low, high = 0, 1 << 30
    negate = acts = False
    rest: list[tuple[list[str], list[str]]] = []
    status = 0

    def execute(words: list[str]) -> bool:
        return shell.invoke_words(words, io) == 0

    while words:
        word = words.pop(0)
        if word in ("!", "-not"):
            negate = not negate
            continue
        if word in ("-a", "-and"):
            continue
        if word in ("-print", "-print0"):
            acts = True
            tests.append(printer(io, b"\n" if word == "-print" else b"\0"))
            continue
        if word == "-empty":
            tests.append(lambda path, name, node, wanted=not negate: empty(shell, node) == wanted)  # type: ignore[misc]
            negate = False
            continue
        if word not in ("-name", "-iname", "-path", "-type", "-perm", "-maxdepth", "-mindepth", "-exec"):
            raise Usage(f"unknown predicate `{word}'")
        if not words:
            raise Usage(f"missing argument to `{word}'")
        if word == "-exec":
            end = next((at for at, one in enumerate(words) if one == ";" or one == "+" and words[at - 1] == "{}"), None)
            if not end:
                raise Usage("missing argument to `-exec'")
            line, ender = words[:end], words[end]
            del words[: end + 1]
            acts = True
            if ender == "+":
                collected: list[str] = []
                rest.append((line[:-1], collected))
                tests.append(lambda path, name, node, into=collected: into.append(path) or True)  # type: ignore[misc]
            else:
                tests.append(
                    lambda path, name, node, line=line: execute([w.replace("{}", path) for w in line])  # type: ignore[misc]
                )
            continue
        value = words.pop(0)
        if word in ("-maxdepth", "-mindepth"):
            if not value.isdigit():
                raise Usage(f"Expected a positive decimal integer argument to {word}, but got ‘{value}’")
            low, high = (int(value), high) if word == "-mindepth" else (low, int(value))
            continue
        if word == "-type" and value not in ("f", "d", "l", "c"):
            raise Usage(f"Unknown argument to -type: {value}")
        if word == "-perm" and not re.fullmatch(r"[-/]?(?:[0-7]{1,4}|[ugoa]*[+=][rwx]+)", value):
            raise Usage(f"invalid mode ‘{value}’")
        tests.append(finder(word, value, negate))
        negate = False
    if not acts:
        tests.append(printer(io, b"\n"))

    def walk(path: str, name: str, node: Inode, level: int, above: tuple[str, ...]) -> None:
        nonlocal status
        if level >= low:
            all(test(path, name, node) for test in tests)
        if not isinstance(node, Dir) or level >= high or shell.interrupted:
            return
        names = shell.listdir(path)
        if isinstance(names, int):
            io.complain(f"find: ‘{path}’: {strerror(names)}")
            status = 1
            return
        for entry in names:
            below = joined(path, entry)
            real, child = shell.lookup(below, follow=follow)[1:]
            if child is None and follow:
                child = shell.lookup(below, follow=False)[2]  # a link to nowhere
            if child is None:
                continue
            if follow and real in above:
                io.complain(
                    f"find: File system loop detected; ‘{below}’ is part of the same file system loop as "
                    f"‘{path_of(path, above.index(real), level)}’."
                )
                status = 1
                continue
            walk(below, entry, child, level + 1, (*above, real) if follow else ())

    for path in paths or ["."]:
        rc, real, node = shell.lookup(path, follow=follow)
        if node is None:
            io.complain(f"find: ‘{path}’: {strerror(rc)}")
            status = 1
        else:
            walk(path, path.rstrip("/").rpartition("/")[2] or path, node, 0, (real,))
    for line, collected in rest:
        if collected:
            status |= not execute([*line, *collected])
    return status


def path_of(path: str, level: int, depth: int) -> str:
    """The directory on the way to ``path`` (``depth`` levels down) that is ``level`` levels down."""
    for _ in range(depth - level):
        path = path.rpartition("/")[0]
    return path


def printer(io: Io, end: bytes) -> Test:
    """``-print`` and ``-print0``."""

    def show(path: str, name: str, node: Inode) -> bool:
        io.out.write(path.encode("utf-8", "surrogateescape") + end)
        return True

    return show


def empty(shell: Shell, node: Inode) -> bool:
    """``-empty``."""
    return not shell.call(node.entries) if isinstance(node, Dir) else modes.S_ISREG(node.mode) and node.size == 0


def permissions(text: str) -> int:
    """The bits of ``-perm``: octal or like ``o+w``."""
    if text.isdigit():
        return int(text, 8)
    who, what = re.split("[+=]", text)
    bits = sum({"r": 4, "w": 2, "x": 1}[letter] for letter in set(what))
    return sum(bits << {"u": 6, "g": 3, "o": 0}[one] for one in (set(who) if who and "a" not in who else "ugo"))


def finder(word: str, value: str, negate: bool) -> Test:
    """One test of find."""
    kinds = {"f": modes.S_ISREG, "d": modes.S_ISDIR, "l": modes.S_ISLNK, "c": modes.S_ISCHR}

    def test(path: str, name: str, node: Inode) -> bool:
        if word == "-type":
            return kinds[value](node.mode) != negate
        if word == "-perm":
            wanted, have = permissions(value.lstrip("-/")), modes.S_IMODE(node.mode)
            same = (
                have & wanted == wanted
                if value[0] == "-"
                else bool(have & wanted)
                if value[0] == "/"
                else have == wanted
            )
            return same != negate
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
            else "character special file"
            if modes.S_ISCHR(node.mode)
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


def refused(shell: Shell, args: list[str], io: Io, least: int, why: Callable[[str], str]) -> int:
    """Nothing is made, removed or changed by hand in this tree.

    :param least: operands that the command needs
    :param why: the complaint about one operand; empty when there is nothing to complain about
    """
    names = [word for word in args[1:] if not word.startswith("-")]
    if len(names) < least:
        file = "file " if args[0] in ("touch", "ln", "mv", "cp") else ""
        if names and args[0] in ("mv", "cp"):
            raise Usage(f"missing destination file operand after '{names[-1]}'")
        raise Usage(f"missing {file}operand" if not names else f"missing {file}operand after ‘{names[-1]}’")
    said = [text for text in map(why, names[least - 1 :]) if text]
    for text in said:
        io.complain(f"{args[0]}: {text}")
    return int(bool(said))


def flags_of(args: list[str]) -> set[str]:
    """The letters of all short options."""
    return {letter for word in args[1:] if word.startswith("-") and not word.startswith("--") for letter in word[1:]}


def above(shell: Shell, name: str, last: int) -> str:
    """Why ``name`` cannot be made: its directory is not there, it is there already, or the errno ``last``."""
    rc = shell.lookup(name, follow=False)[0]
    if rc == 0:
        return strerror(-EEXIST)
    return strerror(last if rc == -ENOENT and parent_there(shell, name) else rc)


def parent_there(shell: Shell, name: str) -> bool:
    """Whether the directory is there in which ``name`` would be."""
    return isinstance(
        shell.lookup(name.rstrip("/").rpartition("/")[0] or ("/" if name.startswith("/") else "."))[2], Dir
    )


@command("rm", help="nothing can be removed by hand")
def rm(shell: Shell, args: list[str], io: Io) -> int:
    flags = flags_of(args)

    def why(name: str) -> str:
        rc, _, node = shell.lookup(name, follow=False)
        if rc == -ENOENT and "f" in flags:
            return ""
        if rc:
            return f"cannot remove '{name}': {strerror(rc)}"
        if isinstance(node, Dir) and not flags & {"r", "R"}:
            return f"cannot remove '{name}': Is a directory"
        return f"cannot remove '{name}': {strerror(EPERM)}"

    return refused(shell, args, io, 1 - ("f" in flags), why) if len(args) > 1 or "f" not in flags else 0


@command("rmdir", help="nothing can be removed by hand")
def rmdir(shell: Shell, args: list[str], io: Io) -> int:
    def why(name: str) -> str:
        rc, _, node = shell.lookup(name, follow=False)
        rc = rc or (-EPERM if isinstance(node, Dir) else -ENOTDIR)
        return f"failed to remove '{name}': {strerror(rc)}"

    return refused(shell, args, io, 1, why)


@command("mkdir", help="nothing can be made by hand")
def mkdir(shell: Shell, args: list[str], io: Io) -> int:
    def why(name: str) -> str:
        if "p" in flags_of(args) and isinstance(shell.lookup(name)[2], Dir):
            return ""
        if "p" in flags_of(args):  # the first part that is not there
            parts = name.split("/")
            name = next(
                path for at in range(len(parts)) if (path := "/".join(parts[: at + 1])) and shell.lookup(path)[0]
            )
        return f"cannot create directory ‘{name}’: {above(shell, name, -EPERM)}"

    return refused(shell, args, io, 1, why)


@command("touch", help="files cannot be made by hand")
def touch(shell: Shell, args: list[str], io: Io) -> int:
    def why(name: str) -> str:
        rc = shell.lookup(name)[0]
        return f"cannot touch '{name}': {above(shell, name, -EACCES)}" if rc else ""

    return refused(shell, args, io, 1, why)


@command("ln", help="links cannot be made by hand")
def ln(shell: Shell, args: list[str], io: Io) -> int:
    kind = "symbolic" if "s" in flags_of(args) else "hard"
    return refused(
        shell, args, io, 2, lambda name: f"failed to create {kind} link '{name}': {above(shell, name, -EPERM)}"
    )


@command("mv", help="nothing can be moved by hand")
def mv(shell: Shell, args: list[str], io: Io) -> int:
    names = [word for word in args[1:] if not word.startswith("-")]

    def why(name: str) -> str:
        rc = shell.lookup(names[0], follow=False)[0]
        if rc:
            return f"cannot stat '{names[0]}': {strerror(rc)}"
        return f"cannot move '{names[0]}' to '{name}': {strerror(EPERM)}"

    return refused(shell, args, io, 2, why)


@command("chmod", help="modes cannot be changed by hand")
def chmod(shell: Shell, args: list[str], io: Io) -> int:
    def why(name: str) -> str:
        rc = shell.lookup(name)[0]
        return (
            f"cannot access '{name}': {strerror(rc)}" if rc else f"changing permissions of '{name}': {strerror(EPERM)}"
        )

    return refused(shell, args, io, 2, why)


@command("chown", help="everything belongs to root")
def chown(shell: Shell, args: list[str], io: Io) -> int:
    def why(name: str) -> str:
        rc = shell.lookup(name)[0]
        return f"cannot access '{name}': {strerror(rc)}" if rc else f"changing ownership of '{name}': {strerror(EPERM)}"

    return refused(shell, args, io, 2, why)


@command("cp", help="copy the text of a file into another that is there")
def cp(shell: Shell, args: list[str], io: Io) -> int:
    _, names = options(args, "fvp")
    if len(names) < 2:
        raise Usage("missing file operand" if not names else f"missing destination file operand after '{names[0]}'")
    source, dest = names[0], names[-1]
    node = shell.lookup(dest)[2]
    if isinstance(node, Dir):
        dest = joined(dest, source.rstrip("/").rpartition("/")[2])
    elif len(names) > 2:
        raise Usage(f"target '{dest}' is not a directory")
    rc, _, node = shell.lookup(source)
    if rc:
        raise Usage(f"cannot stat '{source}': {strerror(rc)}")
    if isinstance(node, Dir):
        raise Usage(f"-r not specified; omitting directory '{source}'")
    data = shell.read(source)
    if isinstance(data, int):
        raise Usage(f"cannot open '{source}' for reading: {strerror(data)}")
    file = shell.open(dest, O_WRONLY | O_CREAT | O_TRUNC)
    if isinstance(file, int):
        raise Usage(f"cannot create regular file '{dest}': {strerror(file)}")
    sink = FileSink(file, shell.call)
    sink.write(data)
    try:
        sink.flush()
    except WriteError as error:
        raise Usage(f"error writing '{dest}': {strerror(error.rc)}") from None
    return 0
