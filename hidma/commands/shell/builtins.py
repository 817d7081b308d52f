# SPDX-License-Identifier: GPL-2.0-only
"""The commands that are the shell's own."""

from __future__ import annotations

import re
import stat as modes
from collections.abc import Callable

from hidma.commands.shell.command import COMMANDS, HELP, command, options
from hidma.commands.shell.interp import Exit, Loop, Return, Shell
from hidma.commands.shell.io import Io
from hidma.commands.shell.parser import NAME, RESERVED
from hidma.linux.errno import EACCES, strerror
from hidma.linux.fs import Dir, Link

OPTIONS = {"errexit": "errexit", "nounset": "nounset", "pipefail": "pipefail"}


@command("cd", help="go to a directory")
def cd(shell: Shell, args: list[str], io: Io) -> int:
    physical = False
    while len(args) > 1 and args[1] in ("-P", "-L", "--"):
        physical = args.pop(1) == "-P"
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
    rc, real, node = shell.lookup(where)
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
    for part in (real if physical else shell.absolute(where)).split("/"):
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

    UNARY = "efdcLhrwxszn"
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
            "c": modes.S_ISCHR(node.mode),
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


@command("return", help="leave a function")
def leave_function(shell: Shell, args: list[str], io: Io) -> int:
    if not shell.locals:
        io.complain("bash: return: can only `return' from a function or sourced script")
        return 2
    if len(args) > 1 and not re.fullmatch(r"[-+]?\d+", args[1]):
        io.complain(f"bash: return: {args[1]}: numeric argument required")
        raise Return(2)
    raise Return(int(args[1]) & 0xFF if len(args) > 1 else shell.status)


@command("local", help="a variable of a function")
def local(shell: Shell, args: list[str], io: Io) -> int:
    if not shell.locals:
        io.complain("bash: local: can only be used in a function")
        return 1
    for word in args[1:]:
        name, equals, value = word.partition("=")
        if not NAME.fullmatch(name):
            io.complain(f"bash: local: `{word}': not a valid identifier")
            return 1
        shell.locals[-1].setdefault(name, shell.variables.get(name))
        shell.variables[name] = value
    return 0


@command("shift", help="drop arguments")
def shift(shell: Shell, args: list[str], io: Io) -> int:
    count = int(args[1]) if len(args) > 1 and args[1].isdigit() else 1
    if count >= len(shell.arguments):
        return 1
    del shell.arguments[1 : count + 1]
    return 0


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


@command("env", "printenv", help="the variables")
def env(shell: Shell, args: list[str], io: Io) -> int:
    for name in args[1:] or sorted(set(shell.variables) - {"PS1", "PS2", "IFS"}):
        if name not in shell.variables:
            return 1
        io.print(shell.variables[name] if len(args) > 1 else f"{name}={shell.variables[name]}")
    return 0


@command("let", help="arithmetic: let x=3+4")
def let(shell: Shell, args: list[str], io: Io) -> int:
    if len(args) < 2:
        io.complain("bash: let: expression expected")
        return 1
    return int(not [shell.arithmetic(text) for text in args[1:]][-1])


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


@command(
    "set", help="-e: leave when a command fails; -u: an unset variable is an error; -o pipefail; + for the contrary"
)
def set_options(shell: Shell, args: list[str], io: Io) -> int:
    words = args[1:]
    while words:
        word = words.pop(0)
        if word in ("-o", "+o"):
            name = words.pop(0) if words else ""
            if name not in OPTIONS:
                io.complain(f"bash: set: {name}: invalid option name")
                return 2
            setattr(shell, OPTIONS[name], word == "-o")
        elif re.fullmatch(r"[-+][eu]+o?", word):
            for letter in word[1:].rstrip("o"):
                setattr(shell, {"e": "errexit", "u": "nounset"}[letter], word[0] == "-")
            if word.endswith("o"):
                words.insert(0, word[0] + "o")
        elif word == "--":
            shell.arguments = [shell.arguments[0], *words]
            break
        else:
            io.complain(f"bash: set: {word[:2]}: invalid option")
            return 2
    if len(args) == 1:
        for name in sorted(shell.variables):
            io.print(f"{name}={shell.variables[name]!r}")
    return 0


@command("type", help="what a command is")
def what(shell: Shell, args: list[str], io: Io) -> int:
    status = 0
    for name in args[1:]:
        if name in shell.functions:
            io.print(f"{name} is a function")
        elif name in RESERVED:
            io.print(f"{name} is a shell keyword")
        elif name in COMMANDS:
            io.print(f"{name} is a shell builtin")
        else:
            io.complain(f"bash: type: {name}: not found")
            status = 1
    return status


@command("which", help="whether there is a command")
def which(shell: Shell, args: list[str], io: Io) -> int:
    for name in args[1:]:
        if name in COMMANDS:
            io.print(name)
    return int(not all(name in COMMANDS for name in args[1:]))


@command("eval", help="run words as commands")
def evaluate(shell: Shell, args: list[str], io: Io) -> int:
    return shell.execute(" ".join(args[1:]), io) if len(args) > 1 else 0


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
            "\nfor, while, until, if, case, functions, { }, ( ), (( )), [[ ]], !, time, &&, ||, |, >, >>, 2>, &>, <, <<<,\n"
            "$( ), $(( )), * ? [ ] { }\n"
            "are as in bash.\n"
            "Time is virtual: it passes while something works, with `sleep 2` and with `run 5ms`."
        )
    return 0
