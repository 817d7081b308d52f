# SPDX-License-Identifier: GPL-2.0-only
"""Runs what the parser found: expansions, redirections, pipelines, loops."""

from __future__ import annotations

import ast
import fnmatch
import operator
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from hidma.commands.shell.io import Buffer, FileSink, Input, Io, Sink, WriteError, given
from hidma.commands.shell.parser import (
    Arithmetic,
    Calculation,
    Case,
    Command,
    Conditional,
    Count,
    For,
    Function,
    Group,
    If,
    Parser,
    Pipeline,
    Redirect,
    Sequence,
    ShellSyntaxError,
    Simple,
    Substitution,
    Text,
    Variable,
    While,
    Word,
)
from hidma.linux.base import mount_root
from hidma.linux.errno import EISDIR, ENOENT, strerror
from hidma.linux.fs import O_APPEND, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY, Dir, File, Inode, OpenFile, Vfs
from hidma.machine.boot import Machine

S_IFCHR = 0o020000
T = TypeVar("T")
Builtin = Callable[["Shell", list[str], Io], int]

#: The commands by name; the rooms that :mod:`hidma.commands.shell.commands` imports put theirs in.
COMMANDS: dict[str, Builtin] = {}

SYNTAX = 2
NOT_FOUND = 127
INTERRUPTED = 130
DEEPEST = 50  # functions that call each other
#: What bash runs itself: its name stands before the error.
OF_BASH = frozenset({"echo", "printf", "pwd", "cd", "history", "help", "set", "export", "type"})
MATHS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Div: lambda a, b: int(abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1),
    ast.Mod: lambda a, b: abs(a) % abs(b) * (1 if a >= 0 else -1),
}
#: before, name, operator and right side, or after
ASSIGNMENT = re.compile(
    r"\s*(?:(\+\+|--)(?=\w)|(?=\w+\s*(?:[-+*/%&|^]|<<|>>)?=[^=])|(?=\w+\s*(?:\+\+|--)))"
    r"([A-Za-z_]\w*)\s*(?:((?:[-+*/%&|^]|<<|>>)?=)(?!=)(.*)|(\+\+|--))?\s*",
    re.DOTALL,
)
COMPARISONS: dict[type, Callable[[int, int], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class Exit(Exception):
    """``exit``, or ``set -e``."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Loop(Exception):
    """``break`` or ``continue``."""

    def __init__(self, levels: int, again: bool) -> None:
        super().__init__()
        self.levels = levels
        self.again = again


class Return(Exception):
    """``return``."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class Failure(Exception):
    """A command that cannot be begun: the message for stderr."""


def null_device() -> File:
    """``/dev/null``."""
    file = File(0o666, lambda: b"", len, 0)
    file.mode = S_IFCHR | 0o666
    file.strict = False
    return file


class Shell:
    """One shell on one machine.

    :param machine: a booted machine
    :param root: whether it is root's
    :param stdin: what commands read that nobody gives anything else
    :ivar status: exit status of the last command
    :ivar interrupted: somebody pressed Ctrl-C; loops and waits end
    """

    def __init__(self, machine: Machine, root: bool = True, stdin: Input | None = None) -> None:
        self.machine = machine
        self.root = root
        self.stdin = stdin or Input()
        with machine.running() as kernel:
            self.vfs = self.tree(mount_root(kernel))
        self.commands = COMMANDS
        self.functions: dict[str, Command] = {}
        self.locals: list[dict[str, str | None]] = []
        self.cwd = "/"
        self.oldpwd = ""
        self.variables = {
            "HOME": "/",
            "PWD": "/",
            "PS1": "\\w \\$ ",
            "PS2": "> ",
            "USER": "root" if root else "user",
            "IFS": " \t\n",
        }
        self.arguments: list[str] = ["bash"]
        self.status = 0
        self.errexit = False
        self.nounset = False
        self.pipefail = False
        self.conditions = 0
        self.interrupted = False
        self.history: list[str] = []
        self.log_start = 0
        self.terminal = False
        self.screen: Sink | None = None

    @staticmethod
    def width() -> int:
        """Columns of the terminal."""
        return shutil.get_terminal_size().columns

    @staticmethod
    def tree(vfs: Vfs) -> Vfs:
        """The kernel's tree and a /dev with what a shell needs."""
        entries = vfs.root.entries
        dev = Dir(lambda: {"null": null_device()})
        vfs.root.entries = lambda: {"dev": dev, **entries()}
        return vfs

    # --- files of the machine -------------------------------------------------------------------------------------

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` in the kernel."""
        with self.machine.running():
            return function()

    def absolute(self, path: str) -> str:
        """``path`` from the root on."""
        return path if path.startswith("/") else f"{self.cwd.rstrip('/')}/{path}"

    def lookup(self, path: str, follow: bool = True) -> tuple[int, str, Inode | None]:
        """As :meth:`Vfs.lookup`."""
        if not path:
            return -ENOENT, "", None
        return self.call(lambda: self.vfs.lookup(self.absolute(path), follow, self.root))

    def listdir(self, path: str) -> list[str] | int:
        """As :meth:`Vfs.listdir`."""
        return self.call(lambda: self.vfs.listdir(self.absolute(path), self.root))

    def open(self, path: str, flags: int = O_RDONLY) -> OpenFile | int:
        """As :meth:`Vfs.open`."""
        if not path:
            return -ENOENT
        return self.call(lambda: self.vfs.open(self.absolute(path), flags, self.root))

    def read(self, path: str) -> bytes | int:
        """As :meth:`Vfs.read`; a directory is -EISDIR."""
        rc, _, node = self.lookup(path)
        if rc:
            return rc
        if isinstance(node, Dir):
            return -EISDIR
        return self.call(lambda: self.vfs.read(self.absolute(path), self.root))

    def readlink(self, path: str) -> str | int:
        """As :meth:`Vfs.readlink`."""
        return self.call(lambda: self.vfs.readlink(self.absolute(path), self.root))

    # --- expansion ------------------------------------------------------------------------------------------------

    def variable(self, part: Variable) -> list[str]:
        """The value of a variable: one string, or each argument for $@ and $*."""
        name = part.name
        if name in "@*" and not part.operator:
            return self.arguments[1:]
        value: str | None
        if name == "?":
            value = str(self.status)
        elif name == "#":
            value = str(len(self.arguments) - 1)
        elif name == "$":
            value = "1"
        elif name.isdigit():
            value = self.arguments[int(name)] if int(name) < len(self.arguments) else None
        else:
            value = self.variables.get(name)
        op = part.operator
        if value is None and self.nounset and op[-1:] not in ("-", "=", "+", "?"):
            self.err.write(f"bash: {name}: unbound variable\n".encode())
            raise Exit(NOT_FOUND)
        missing = value is None or (op.startswith(":") and value == "")
        if op == "length":
            return [str(len(value or ""))]
        if op[-1:] == "-" and missing:
            return [self.text(part.word)]
        if op[-1:] == "=" and missing:
            self.variables[name] = self.text(part.word)
            return [self.variables[name]]
        if op[-1:] == "+":
            return ["" if missing else self.text(part.word)]
        if op[-1:] == "?" and missing:
            raise Failure(f"bash: {name}: {self.text(part.word) or 'parameter null or not set'}")
        if op[:1] == "%":
            return [trim(value or "", self.text(part.word), False, op == "%%")]
        if op[:1] == "#":
            return [trim(value or "", self.text(part.word), True, op == "##")]
        if op:
            return [self.changed(value or "", op, self.text(part.word))]
        return [value or ""]

    def changed(self, value: str, op: str, word: str) -> str:
        """``${x:offset:length}``, ``${x/pattern/text}``, ``${x^^}`` and their like."""
        if op == ":":
            offset, _, length = word.partition(":")
            begin = self.arithmetic(offset)
            begin = max(begin + len(value), 0) if begin < 0 else begin
            return value[begin:][: self.arithmetic(length)] if length else value[begin:]
        if op[0] in "^,":
            part = value if len(op) == 2 else value[:1]
            return (part.upper() if op[0] == "^" else part.lower()) + value[len(part) :]
        pattern, _, text = word.partition("/")
        source = re.sub(r"\\[Zz]$", "", fnmatch.translate(pattern))
        return (
            re.sub(source, lambda _: text, value, count=0 if op == "//" else 1, flags=re.DOTALL) if pattern else value
        )

    def substitute(self, body: Sequence) -> str:
        """What commands print, without newlines at the end."""
        buffer = Buffer()
        saved = self.save()
        try:
            if (name := only_reads(body)) is not None:
                io = self.redirected([name], Io(self.stdin, buffer, self.err))
                buffer.write(io.stdin.rest())
                self.status = 0
            else:
                self.run(body, Io(self.stdin, buffer, self.err))
        except Exit as end:
            self.status = end.status
        self.restore(saved)
        return buffer.data.replace(b"\0", b"").decode("utf-8", "surrogateescape").rstrip("\n")

    def arithmetic(self, text: str) -> int:
        """``$((text))``."""
        assignment = ASSIGNMENT.fullmatch(text)
        if assignment is not None:
            return self.assign(*assignment.groups())
        source = re.sub(r"\$?\b([A-Za-z_]\w*)\b", r"\1", text.strip() or "0")
        source = re.sub(r"\b0([0-7]+)\b", r"0o\1", source)
        source = re.sub(r"&&", " and ", re.sub(r"\|\|", " or ", re.sub(r"!(?!=)", " not ", source)))

        def value(node: Any) -> int:
            if isinstance(node, ast.Constant) and isinstance(node.value, int):
                return node.value
            if isinstance(node, ast.Name):
                return self.arithmetic(self.variables.get(node.id, "0"))
            if isinstance(node, ast.UnaryOp):
                got = value(node.operand)
                return {ast.USub: -got, ast.UAdd: got, ast.Invert: ~got, ast.Not: int(not got)}[type(node.op)]
            if isinstance(node, ast.BinOp):
                return MATHS[type(node.op)](value(node.left), value(node.right))
            if isinstance(node, ast.Compare) and len(node.ops) == 1:
                return int(COMPARISONS[type(node.ops[0])](value(node.left), value(node.comparators[0])))
            if isinstance(node, ast.BoolOp):
                found = [value(v) != 0 for v in node.values]
                return int(all(found) if isinstance(node.op, ast.And) else any(found))
            raise KeyError

        try:
            return (value(ast.parse(source, mode="eval").body) + (1 << 63)) % (1 << 64) - (1 << 63)
        except ZeroDivisionError:
            raise Failure(f"bash: {text.strip()}: division by 0") from None
        except (SyntaxError, KeyError, ValueError, OverflowError, RecursionError, MemoryError):
            raise Failure(f"bash: {text.strip()}: syntax error in expression") from None

    def assign(self, before: str | None, name: str, op: str | None, right: str | None, after: str | None) -> int:
        """``x=1``, ``x+=2``, ``x++``, ``--x``."""
        old = self.arithmetic(self.variables.get(name, "0"))
        if op:
            new = self.arithmetic(right or "")
            new = new if op == "=" else self.arithmetic(f"({old}){op[:-1]}({new})")
        else:
            new = old + (1 if (before or after or "")[0] == "+" else -1)
        self.variables[name] = str(new)
        return old if after else new

    def value(self, part: Any) -> list[str]:
        """What one part of a word becomes."""
        if isinstance(part, Text):
            return [part.text]
        if isinstance(part, Variable):
            return self.variable(part)
        if isinstance(part, Substitution):
            return [self.substitute(part.body)]
        assert isinstance(part, Arithmetic)
        return [str(self.arithmetic(self.text(part.word)))]

    def text(self, word: Word) -> str:
        """A word that is not split, and in which * is a star."""
        out = []
        for number, part in enumerate(word):
            if number == 0 and isinstance(part, Text) and not part.quoted:
                out.append(self.tilde(part.text))
            else:
                out.append(" ".join(self.value(part)))
        return "".join(out)

    def tilde(self, text: str) -> str:
        """``~`` at the beginning."""
        return (
            self.variables.get("HOME", "/").rstrip("/") + text[1:] or "/"
            if text == "~" or text.startswith("~/")
            else text
        )

    def fields(self, word: Word) -> list[str]:
        """The words that a word becomes: braces, variables, splitting, file names."""
        if len(word) == 1 and isinstance(word[0], Text) and not word[0].quoted and "{" in word[0].text:
            expanded = braces(word[0].text)
            if expanded != [word[0].text]:
                return [name for text in expanded for name in self.fields((Text(text),))]
        # each field is a list of (text, quoted)
        found: list[list[tuple[str, bool]]] = [[]]
        for number, part in enumerate(word):
            quoted = part.quoted
            if isinstance(part, Text):
                found[-1].append((self.tilde(part.text) if number == 0 and not quoted else part.text, quoted))
                continue
            values = self.value(part)
            if quoted:
                if isinstance(part, Variable) and part.name == "@":
                    if not values:
                        found[-1] = [(t, q) for t, q in found[-1] if t or not q]
                    for index, text in enumerate(values):
                        if index:
                            found.append([])
                        found[-1].append((text, True))
                else:
                    found[-1].append((" ".join(values), True))
                continue
            for index, text in enumerate(values):
                if index:
                    found.append([])
                pieces = re.split(r"[ \t\n]+", text)
                for at, piece in enumerate(pieces):
                    if at:
                        found.append([])
                    if piece:
                        found[-1].append((piece, False))
        names: list[str] = []
        for one in found:
            if not one:
                continue
            if any(not quoted and re.search(r"[*?[]", text) for text, quoted in one):
                matches = self.glob(one)
                if matches:
                    names += matches
                    continue
            names.append("".join(text for text, _ in one))
        return names

    def glob(self, parts: list[tuple[str, bool]]) -> list[str]:
        """The files that a pattern matches, sorted."""
        pattern = "".join(re.sub(r"([*?[])", r"[\1]", text) if quoted else text for text, quoted in parts)
        pattern = pattern.replace("[^", "[!")
        absolute = pattern.startswith("/")
        found = ["/" if absolute else ""]
        pieces = [p for p in pattern.split("/") if p]
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1 and not pattern.endswith("/")
            after: list[str] = []
            plain = re.sub(r"\[([*?[])\]", r"\1", piece)
            for base in found:
                if not re.search(r"[*?[]", piece) or not re.search(r"[*?]|\[.+\]", re.sub(r"\[[*?[]\]", "", piece)):
                    if self.lookup(base + plain, follow=not last)[0] == 0:
                        after.append(base + plain)
                    continue
                names = self.listdir(base or ".")
                for name in sorted(names) if isinstance(names, list) else ():
                    if fnmatch.fnmatchcase(name, piece) and (not name.startswith(".") or piece.startswith(".")):
                        after.append(base + name)
            if not last:
                after = [path for path in after if isinstance(self.lookup(path)[2], Dir)]
                after = [path + "/" for path in after]
            found = after
        return found

    # --- running --------------------------------------------------------------------------------------------------

    err: Sink

    def save(self) -> Any:
        """What a subshell must not change."""
        return self.cwd, self.oldpwd, dict(self.variables), self.errexit

    def restore(self, saved: Any) -> None:
        """Undo what was changed since :meth:`save`."""
        self.cwd, self.oldpwd, self.variables, self.errexit = saved

    def execute(self, text: str, io: Io) -> int:
        """Run the lines of a script one after the other.

        :returns: the exit status of the last command
        :raises Exit: on ``exit``
        :raises KernelOops: when the kernel stops
        """
        self.err = io.err
        parser = Parser(text)
        try:
            while (line := parser.line()) is not None:
                try:
                    self.run(line, io)
                except Loop:
                    io.complain("bash: break and continue: only meaningful in a loop")
                if self.interrupted:
                    break
        except ShellSyntaxError as error:
            io.complain(f"bash: {error}")
            self.status = SYNTAX
        return self.status

    def run(self, sequence: Sequence, io: Io) -> int:
        """Run lists of pipelines."""
        for chain in sequence.lists:
            for number, (op, pipeline) in enumerate(chain):
                if self.interrupted:
                    self.status = INTERRUPTED
                    return self.status
                if op == "&&" and self.status != 0 or op == "||" and self.status == 0:
                    continue
                tested = number < len(chain) - 1 or pipeline.negated
                self.conditions += tested
                try:
                    self.pipeline(pipeline, io)
                finally:
                    self.conditions -= tested
                if self.status and self.errexit and not self.conditions and not tested:
                    raise Exit(self.status)
        return self.status

    def condition(self, sequence: Sequence, io: Io) -> bool:
        """Run what ``if`` or ``while`` ask."""
        self.conditions += 1
        try:
            return self.run(sequence, io) == 0
        finally:
            self.conditions -= 1

    def pipeline(self, pipeline: Pipeline, io: Io) -> int:
        """Run commands one after the other, each on what the one before wrote."""
        began = self.machine.now
        stdin = io.stdin
        failed = 0
        for number, command in enumerate(pipeline.commands):
            last = number == len(pipeline.commands) - 1
            buffer = Buffer()
            saved = self.save() if len(pipeline.commands) > 1 else None
            try:
                self.command(command, replace(io, stdin=stdin, out=io.out if last else buffer))
            except Exit as end:
                if saved is None:
                    raise
                self.status = end.status
            finally:
                if saved is not None:
                    self.restore(saved)
            stdin = given(bytes(buffer.data))
            failed = self.status or failed
        if self.pipefail:
            self.status = failed
        if pipeline.negated:
            self.status = int(self.status == 0)
        if pipeline.timed:
            minutes, ns = divmod(self.machine.now - began, 60_000_000_000)
            io.complain(f"\nreal\t{minutes}m{ns / 1e9:.9f}s")
        return self.status

    def redirected(self, redirects: list[Redirect], io: Io) -> Io:
        """``io`` after redirections.

        :raises Failure: when a file cannot be opened
        """
        for one in redirects:
            if one.op == "<<<":
                data = (self.text(one.target) + "\n").encode("utf-8", "surrogateescape")
                io = replace(io, stdin=given(data))
                continue
            names = self.fields(one.target)
            if len(names) != 1:
                raise Failure(f"bash: {self.text(one.target)}: ambiguous redirect")
            name = names[0]
            if one.op == ">&" and name in ("1", "2"):
                target = io.out if name == "1" else io.err
                io = replace(io, out=target) if one.fd == 1 else replace(io, err=target)
                continue
            both = one.op in ("&>", ">&")
            if one.op == "<":
                got = self.read(name)
                if isinstance(got, int):
                    raise Failure(f"bash: {name}: {strerror(got)}")
                io = replace(io, stdin=given(got))
                continue
            flags = O_WRONLY | O_CREAT | (O_APPEND if one.op == ">>" else O_TRUNC)
            file = self.open(name, flags)
            if isinstance(file, int):
                raise Failure(f"bash: {name}: {strerror(file)}")
            sink = FileSink(file, self.call)
            if both:
                io = replace(io, out=sink, err=sink)
            elif one.fd == 1:
                io = replace(io, out=sink)
            elif one.fd == 2:
                io = replace(io, err=sink)
            else:
                raise Failure(f"bash: {one.fd}: Bad file descriptor")
        return io

    def command(self, command: Command, io: Io) -> int:
        """Run one command."""
        try:
            if isinstance(command, Simple):
                return self.simple(command, io)
            io = self.redirected(command.redirects, io)
        except Failure as failure:
            io.complain(str(failure))
            self.status = 1
            return 1
        if isinstance(command, Function):
            self.functions[command.name] = command.body
            self.status = 0
            return 0
        if isinstance(command, If):
            return self.choose(command, io)
        if isinstance(command, Group):
            return self.group(command, io)
        if isinstance(command, For | While):
            return self.loop(command, io)
        try:
            if isinstance(command, Case):
                return self.case(command, io)
            if isinstance(command, Count):
                return self.count(command, io)
            if isinstance(command, Calculation):
                self.status = int(self.arithmetic(self.text(command.expression.word)) == 0)
            else:
                self.status = int(not self.conditional(list(command.words)))
        except Failure as failure:
            io.complain(str(failure))
            self.status = 2 if isinstance(command, Conditional) else 1
        return self.status

    def count(self, command: Count, io: Io) -> int:
        """``for ((;;))``."""
        parts = self.text(command.expression.word).split(";")
        if len(parts) != 3:
            raise Failure("bash: syntax error: arithmetic expression required")
        begin, condition, step = parts
        last = 0
        if begin.strip():
            self.arithmetic(begin)
        while not self.interrupted and (not condition.strip() or self.arithmetic(condition)):
            last, again = self.turn(command.body, io)
            if not again:
                break
            if step.strip():
                self.arithmetic(step)
        self.status = INTERRUPTED if self.interrupted else last
        return self.status

    def case(self, command: Case, io: Io) -> int:
        """``case``."""
        subject = self.text(command.subject)
        self.status = 0
        for patterns, body in command.branches:
            if any(fnmatch.fnmatchcase(subject, self.pattern(word)) for word in patterns):
                return self.run(body, io) if body.lists else 0
        return 0

    def pattern(self, word: Word) -> str:
        """A word as a pattern: what stood in quotes means itself."""
        out = ""
        for part in word:
            text = " ".join(self.value(part))
            out += re.sub(r"([*?[])", r"[\1]", text) if part.quoted else text.replace("[^", "[!")
        return out

    def conditional(self, words: list[Word | str]) -> bool:
        """What ``[[ ]]`` says."""

        def either() -> bool:
            found = both()
            while words[:1] == ["||"]:
                del words[0]
                found = both() or found
            return found

        def both() -> bool:
            found = one()
            while words[:1] == ["&&"]:
                del words[0]
                found = one() and found
            return found

        def one() -> bool:
            if not words:
                raise Failure("bash: syntax error in conditional expression")
            first = words.pop(0)
            if first == "!":
                return not one()
            if first == "(":
                found = either()
                if words[:1] != [")"]:
                    raise Failure("bash: syntax error in conditional expression: `)' expected")
                del words[0]
                return found
            if isinstance(first, str):
                raise Failure(f"bash: syntax error near `{first}'")
            left = self.text(first)
            following = words[0] if words else None
            if isinstance(following, str) and following in ("==", "=", "!=", "=~", "<", ">"):
                del words[0]
                right = words.pop(0) if words else None
                if right is None or isinstance(right, str):
                    raise Failure("bash: unexpected argument to conditional binary operator")
                if following == "=~":
                    return self.matches(left, right)
                if following in "<>":
                    return left < self.text(right) if following == "<" else left > self.text(right)
                return fnmatch.fnmatchcase(left, self.pattern(right)) == (following != "!=")
            rest = [left]
            while words and len(rest) < 3 and not isinstance(following := words[0], str):
                rest.append(self.text(following))
                del words[0]
            return self.commands["test"](self, ["[[", *rest], Io(Input(), Buffer(), self.err)) == 0

        found = either()
        if words:
            raise Failure("bash: syntax error in conditional expression")
        return found

    def matches(self, left: str, right: Word) -> bool:
        """``=~``; what matched is in BASH_REMATCH."""
        source = "".join(re.escape(t) if p.quoted else t for p in right for t in [" ".join(self.value(p))])
        try:
            found = re.search(source, left)
        except re.error:
            raise Failure("bash: syntax error in conditional expression: no regular expression") from None
        self.variables["BASH_REMATCH"] = found[0] if found else ""
        return found is not None

    def choose(self, command: If, io: Io) -> int:
        """``if``."""
        for condition, body in command.branches:
            if self.condition(condition, io):
                return self.run(body, io)
        self.status = 0
        return self.run(command.otherwise, io) if command.otherwise is not None else 0

    def group(self, command: Group, io: Io) -> int:
        """``{ }`` and ``( )``."""
        if not command.subshell:
            return self.run(command.body, io)
        saved = self.save()
        try:
            self.run(command.body, io)
        except Exit as end:
            self.status = end.status
        finally:
            self.restore(saved)
        return self.status

    def turn(self, body: Sequence, io: Io) -> tuple[int, bool]:
        """One turn of a loop: its status, and whether the loop goes on."""
        try:
            return self.run(body, io), True
        except Loop as jump:
            jump.levels -= 1
            if jump.levels > 0:
                raise
            return 0, jump.again

    def loop(self, command: For | While, io: Io) -> int:
        """``for``, ``while``, ``until``."""
        values: list[str] | None = None
        if isinstance(command, For):
            try:
                values = (
                    self.arguments[1:]
                    if command.words is None
                    else [name for word in command.words for name in self.fields(word)]
                )
            except Failure as failure:
                io.complain(str(failure))
                self.status = 1
                return 1
        last = 0
        while not self.interrupted:
            if isinstance(command, For):
                assert values is not None
                if not values:
                    break
                self.variables[command.name] = values.pop(0)
            elif self.condition(command.condition, io) == command.until:
                break
            last, again = self.turn(command.body, io)
            if not again:
                break
        self.status = INTERRUPTED if self.interrupted else last
        return self.status

    def simple(self, command: Simple, io: Io) -> int:
        """A command with its arguments."""
        substituted = self.status
        words = [name for word in command.words for name in self.fields(word)]
        assignments = []
        for name, word in command.assignments:
            self.status = 0
            assignments.append((name, self.text(word)))
            substituted = self.status
        io = self.redirected(command.redirects, io)
        if not words:
            self.variables.update(assignments)
            self.status = substituted if command.assignments else 0
            return self.status
        before = dict(self.variables) if assignments else None
        self.variables.update(assignments)
        self.status = self.invoke_words(words, io)
        if before is not None:
            self.variables = before
        return self.status

    def invoke_words(self, words: list[str], io: Io) -> int:
        """Run the command that is called ``words[0]``: its exit status."""
        if words[0] in self.functions:
            return self.called(words, io)
        function = self.commands.get(words[0])
        if function is not None:
            return self.invoke(function, words, io)
        if "/" not in words[0]:
            io.complain(f"bash: {words[0]}: command not found")
            return NOT_FOUND
        rc, _, node = self.lookup(words[0])
        why = strerror(rc) if rc else "Is a directory" if isinstance(node, Dir) else "Permission denied"
        io.complain(f"bash: {words[0]}: {why}")
        return NOT_FOUND if rc else 126

    def called(self, words: list[str], io: Io) -> int:
        """Run a function of the script."""
        if len(self.locals) >= DEEPEST:
            io.complain(f"bash: {words[0]}: maximum function nesting level exceeded ({DEEPEST})")
            return 1
        before, self.arguments = self.arguments, [self.arguments[0], *words[1:]]
        self.locals.append({})
        try:
            self.command(self.functions[words[0]], io)
            status = self.status
        except Return as end:
            status = end.status
        finally:
            self.arguments = before
            for name, value in self.locals.pop().items():
                if value is None:
                    self.variables.pop(name, None)
                else:
                    self.variables[name] = value
        return status

    def invoke(self, function: Builtin, words: list[str], io: Io) -> int:
        """Run a built-in, and let what it wrote arrive."""
        of_bash = words[0] in OF_BASH
        if isinstance(io.out, FileSink):
            io.out.lines = of_bash
        try:
            status = function(self, words, io)
            io.out.flush()
        except WriteError as error:
            name = f"bash: {words[0]}" if of_bash else words[0]
            io.complain(f"{name}: write error: {strerror(error.rc)}")
            status = 1
        self.settle()
        return INTERRUPTED if self.interrupted else status

    def settle(self) -> None:
        """What waits on this CPU happens between two commands."""
        with self.machine.running():
            self.machine.settle()

    def wait(self, ns: int) -> int:
        """Let virtual time pass, in pieces so that Ctrl-C is heard: 0, or 130."""
        end = self.machine.now + ns
        while not self.interrupted and (left := end - self.machine.now) > 0:
            self.machine.run(min(left, 1_000_000_000))
        return INTERRUPTED if self.interrupted else 0


def only_reads(body: Sequence) -> Redirect | None:
    """The redirection of ``$(< file)``, which stands for the text of the file."""
    if len(body.lists) != 1 or len(body.lists[0]) != 1:
        return None
    commands = body.lists[0][0][1].commands
    first = commands[0]
    if len(commands) != 1 or not isinstance(first, Simple) or first.words or first.assignments:
        return None
    return first.redirects[0] if len(first.redirects) == 1 and first.redirects[0].op == "<" else None


def trim(value: str, pattern: str, front: bool, longest: bool) -> str:
    """``${value#pattern}`` and its like."""
    cuts = range(len(value) + 1)
    for cut in cuts if front != longest else reversed(cuts):
        piece = value[:cut] if front else value[cut:]
        if fnmatch.fnmatchcase(piece, pattern):
            return value[cut:] if front else value[:cut]
    return value


def braces(text: str) -> list[str]:
    """``{a,b}`` and ``{1..3}``."""
    match = re.search(r"\{([^{},]*(?:,[^{},]*)+)\}", text) or re.search(r"\{(-?\d+)\.\.(-?\d+)\}", text)
    if match is None:
        return [text]
    if match.lastindex == 2:
        first, last = int(match[1]), int(match[2])
        if abs(last - first) > 100_000:
            return [text]
        inside = [str(n) for n in range(first, last + (1 if last >= first else -1), 1 if last >= first else -1)]
    else:
        inside = match[1].split(",")
    return [done for piece in inside for done in braces(text[: match.start()] + piece + text[match.end() :])]
