# SPDX-License-Identifier: GPL-2.0-only
"""The grammar: text in, a tree of commands out. ``shlex`` cannot serve here: it drops the quotes before anybody could
ask whether a ``*`` or a ``$`` stood in them.

There are no here-documents and no arrays, and nothing runs in the background.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

BLANK = " \t"
META = " \t\n;&|<>()"
OPERATORS = ("&&", "||", ";;", ">>", ">&", "<<<", "<<", "<&", "&>", "<", ">", "|", "&", ";", "(", ")", "\n")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
FUNCTION = re.compile(r"(?:function[ \t]+([\w.-]+)(?:[ \t]*\([ \t]*\))?|([A-Za-z_][\w.-]*)[ \t]*\([ \t]*\))")
CLOSERS = frozenset({"then", "elif", "else", "fi", "do", "done", "}", "esac"})
RESERVED = CLOSERS | {"if", "for", "while", "until", "case", "function", "[[", "]]", "{", "!", "time", "in"}
ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\033",
    "E": "\033",
    "\\": "\\",
    "'": "'",
    '"': '"',
}


class ShellSyntaxError(Exception):
    """What was typed is no command: the text after ``bash: ``."""


class Incomplete(ShellSyntaxError):
    """What was typed may become a command when more is typed."""


@dataclass(frozen=True)
class Text:
    """Characters as they stand there."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Variable:
    """``$name``, ``${name}``, ``${name:-word}``, ``${#name}``."""

    name: str
    quoted: bool
    operator: str = ""
    word: Word = ()


@dataclass(frozen=True)
class Substitution:
    """``$(commands)``."""

    body: Sequence
    quoted: bool


@dataclass(frozen=True)
class Arithmetic:
    """``$((expression))``."""

    word: Word
    quoted: bool


Part: TypeAlias = "Text | Variable | Substitution | Arithmetic"
Word: TypeAlias = "tuple[Part, ...]"


@dataclass(frozen=True)
class Redirect:
    """``fd op target``; ``op`` is <, >, >>, >&, <<< or &>."""

    fd: int
    op: str
    target: Word


@dataclass
class Simple:
    """Assignments, words, redirections."""

    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class For:
    """``for name in words; do body; done``; without ``in`` the arguments of the script."""

    name: str
    words: list[Word] | None
    body: Sequence
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class While:
    """``while`` or ``until``."""

    condition: Sequence
    body: Sequence
    until: bool
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class If:
    """``if``: conditions with their bodies, and what comes after ``else``."""

    branches: list[tuple[Sequence, Sequence]]
    otherwise: Sequence | None
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Case:
    """``case``: a word, and patterns with their commands."""

    subject: Word
    branches: list[tuple[list[Word], Sequence]] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Conditional:
    """``[[ ]]``: its words; an operator is a str."""

    words: list[Word | str] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Calculation:
    """``((expression))``."""

    expression: Arithmetic
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Count:
    """``for ((begin; condition; step)); do body; done``."""

    expression: Arithmetic
    body: Sequence
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Function:
    """``name() command``."""

    name: str
    body: Command
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Group:
    """``{ ...; }``, or ``( ... )``, which keeps its changes to itself."""

    body: Sequence
    subshell: bool
    redirects: list[Redirect] = field(default_factory=list)


Command: TypeAlias = "Simple | For | While | If | Group | Case | Conditional | Calculation | Count | Function"


@dataclass
class Pipeline:
    """Commands, each reading what the one before wrote."""

    commands: list[Command]
    negated: bool = False
    timed: bool = False


@dataclass
class Sequence:
    """Pipelines in lists: each list is [('', first), ('&&' or '||', next), ...]."""

    lists: list[list[tuple[str, Pipeline]]]


class Parser:
    """One text.

    :param text: commands; the last line need not end
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    # --- characters -----------------------------------------------------------------------------------------------

    def blanks(self) -> None:
        """Pass over blanks, continued lines and comments."""
        while self.at < len(self.text):
            if self.text[self.at] in BLANK:
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                break

    def operator(self) -> str:
        """The operator that comes next, '' when a word does, or nothing."""
        self.blanks()
        return next((op for op in OPERATORS if self.text.startswith(op, self.at)), "")

    def take(self, op: str) -> bool:
        """Pass over the operator ``op`` if it comes next."""
        if self.operator() != op:
            return False
        self.at += len(op)
        return True

    def newlines(self) -> None:
        """Pass over empty lines."""
        while self.take("\n"):
            pass

    def ended(self) -> bool:
        """Whether nothing is left."""
        self.blanks()
        return self.at >= len(self.text)

    def plain(self) -> str:
        """The word that comes next, if it is a plain one without quotes: a reserved word, perhaps."""
        self.blanks()
        end = self.at
        while end < len(self.text) and self.text[end] not in META:
            if self.text[end] in "'\"\\$`":
                return ""
            end += 1
        return self.text[self.at : end]

    def reserved(self, word: str) -> bool:
        """Pass over the reserved word ``word`` if it comes next."""
        if self.plain() != word:
            return False
        self.at += len(word)
        return True

    def expect(self, word: str) -> None:
        """``word`` has to come now."""
        self.newlines()
        if not self.reserved(word):
            self.unexpected()

    def unexpected(self) -> NoReturn:
        """What comes next cannot come here."""
        if self.ended():
            raise Incomplete("syntax error: unexpected end of file")
        token = self.operator() or self.plain() or self.text[self.at]
        raise ShellSyntaxError(f"syntax error near unexpected token `{'newline' if token == chr(10) else token}'")

    # --- commands -------------------------------------------------------------------------------------------------

    def program(self) -> Sequence:
        """The whole text."""
        found = self.sequence()
        if not self.ended():
            self.unexpected()
        return found

    def line(self) -> Sequence | None:
        """The commands up to the end of a line that ends them; None when nothing is left."""
        self.newlines()
        if self.ended():
            return None
        lists = [self.and_or()]
        while self.take(";"):
            if self.ended() or self.operator() == "\n":
                break
            lists.append(self.and_or())
        if not self.ended() and not self.take("\n"):
            self.unexpected()
        return Sequence(lists)

    def sequence(self) -> Sequence:
        """Commands up to a word or an operator that ends them."""
        lists: list[list[tuple[str, Pipeline]]] = []
        while True:
            self.newlines()
            if self.ended() or self.operator() in (")", ";;") or self.plain() in CLOSERS:
                return Sequence(lists)
            lists.append(self.and_or())
            if not self.take(";") and not self.take("\n"):
                return Sequence(lists)

    def body(self) -> Sequence:
        """Commands, at least one."""
        found = self.sequence()
        if not found.lists:
            self.unexpected()
        return found

    def and_or(self) -> list[tuple[str, Pipeline]]:
        """Pipelines with && and || between them."""
        found = [("", self.pipeline())]
        while (op := self.operator()) in ("&&", "||"):
            self.take(op)
            self.newlines()
            found.append((op, self.pipeline()))
        if self.operator() == "&":
            raise ShellSyntaxError("syntax error: nothing runs in the background here (`&')")
        return found

    def pipeline(self) -> Pipeline:
        """Commands with | between them."""
        timed = self.reserved("time")
        negated = False
        while self.reserved("!"):
            negated = not negated
        if timed and (self.ended() or self.operator() in ("\n", ";")):
            return Pipeline([Simple()], negated, timed)
        commands = [self.command()]
        while self.take("|"):
            self.newlines()
            commands.append(self.command())
        return Pipeline(commands, negated, timed)

    def command(self) -> Command:
        """One command."""
        if self.ended():
            self.unexpected()
        word = self.plain()
        found: Command
        definition = FUNCTION.match(self.text, self.at)
        if definition is not None and (definition[1] or definition[2]) not in RESERVED:
            self.at = definition.end()
            self.newlines()
            return Function(definition[1] or definition[2], self.command())
        if self.text.startswith("((", self.at):
            found = Calculation(self.arithmetic(False))
        elif self.take("("):
            found = Group(self.body(), True)
            self.newlines()
            if not self.take(")"):
                self.unexpected()
        elif self.reserved("{"):
            found = Group(self.body(), False)
            self.expect("}")
        elif word in ("while", "until"):
            self.reserved(word)
            condition = self.body()
            found = While(condition, self.do(), word == "until")
        elif self.reserved("for"):
            found = self.loop()
        elif self.reserved("if"):
            found = self.branches()
        elif self.reserved("case"):
            found = self.case()
        elif self.reserved("[["):
            found = self.conditional()
        elif word in CLOSERS:
            self.unexpected()
        else:
            return self.simple()
        while (redirect := self.redirect()) is not None:
            found.redirects.append(redirect)
        return found

    def do(self) -> Sequence:
        """``do ... done``."""
        self.expect("do")
        body = self.body()
        self.expect("done")
        return body

    def loop(self) -> For | Count:
        """What comes after ``for``."""
        self.blanks()
        if self.text.startswith("((", self.at):
            expression = self.arithmetic(False)
            self.take(";")
            return Count(expression, self.do())
        name = self.plain()
        if not NAME.fullmatch(name):
            if self.ended():
                self.unexpected()
            raise ShellSyntaxError(f"`{name or self.text[self.at]}': not a valid identifier")
        self.at += len(name)
        words: list[Word] | None = None
        self.newlines()
        if self.reserved("in"):
            words = []
            while not self.ended() and not self.operator():
                words.append(self.word())
        self.take(";")
        return For(name, words, self.do())

    def branches(self) -> If:
        """What comes after ``if``."""
        found = []
        while True:
            condition = self.body()
            self.expect("then")
            found.append((condition, self.body()))
            self.newlines()
            if self.reserved("elif"):
                continue
            otherwise = self.body() if self.reserved("else") else None
            self.expect("fi")
            return If(found, otherwise)

    def case(self) -> Case:
        """What comes after ``case``."""
        if self.ended() or self.operator():
            self.unexpected()
        found = Case(self.word())
        self.expect("in")
        self.newlines()
        while not self.reserved("esac"):
            self.take("(")
            patterns: list[Word] = []
            while not patterns or self.take("|"):
                if self.ended() or self.operator():
                    self.unexpected()
                patterns.append(self.word())
            if not self.take(")"):
                self.unexpected()
            found.branches.append((patterns, self.sequence()))
            self.newlines()
            if not self.take(";;"):
                self.expect("esac")
                break
            self.newlines()
        return found

    def conditional(self) -> Conditional:
        """What comes after ``[[``: its words, in which ``&&`` and the like are operators."""
        found = Conditional()
        while True:
            if self.take("\n"):
                continue
            if self.ended():
                raise Incomplete("syntax error: unexpected end of file")
            if self.reserved("]]"):
                if not found.words:
                    raise ShellSyntaxError("syntax error near unexpected token `]]'")
                return found
            op = self.operator()
            if op not in ("", "&&", "||", "(", ")", "<", ">") and (not found.words or found.words[-1] != "=~"):
                self.unexpected()
            if found.words and found.words[-1] == "=~":
                found.words.append(self.word(" \t\n"))
            elif op:
                self.take(op)
                found.words.append(op)
            else:
                plain = self.plain()
                if plain in ("!", "=~", "==", "=", "!="):
                    self.at += len(plain)
                    found.words.append(plain)
                else:
                    found.words.append(self.word())

    def simple(self) -> Simple:
        """Assignments, words and redirections in any order that is allowed."""
        found = Simple()
        while not self.ended():
            redirect = self.redirect()
            if redirect is not None:
                found.redirects.append(redirect)
                continue
            if self.operator():
                break
            match = ASSIGNMENT.match(self.text, self.at)
            if match and not found.words:
                self.at = match.end()
                more = self.at < len(self.text) and self.text[self.at] not in META
                found.assignments.append((match[1], self.word() if more else ()))
                continue
            found.words.append(self.word())
        if self.operator() == "(" and found.words:
            self.unexpected()
        if not (found.words or found.assignments or found.redirects):
            self.unexpected()
        return found

    def redirect(self) -> Redirect | None:
        """A redirection, if one comes next."""
        self.blanks()
        match = re.compile(r"(\d*)(>>|>&|>\||<<<|<<|<&|<|>)|(&>)").match(self.text, self.at)
        if match is None:
            return None
        op = match[2] or match[3]
        if op in ("<<", "<&"):
            raise ShellSyntaxError(f"syntax error: `{op}' is not there")
        self.at = match.end()
        fd = int(match[1]) if match[1] else 0 if op[0] == "<" else 1
        if self.ended() or self.operator():
            self.unexpected()
        return Redirect(fd, ">" if op == ">|" else op, self.word())

    # --- words ----------------------------------------------------------------------------------------------------

    def word(self, ends: str = META) -> Word:
        """The word that comes next.

        :param ends: the characters that end it
        """
        self.blanks()
        parts: list[Part] = []
        plain = ""
        while self.at < len(self.text) and self.text[self.at] not in ends:
            char = self.text[self.at]
            if char not in "'\"\\$`":
                plain += char
                self.at += 1
                continue
            if plain:
                parts.append(Text(plain))
                plain = ""
            if char == "'":
                parts.append(Text(self.upto("'"), True))
            elif char == '"':
                self.at += 1
                parts += self.double()
            elif char == "\\":
                self.escape(parts)
            elif char == "$" and self.text.startswith("$'", self.at):
                parts.append(Text(self.ansi(), True))
            else:
                parts.append(self.expansion(False))
        if plain:
            parts.append(Text(plain))
        return tuple(parts)

    def escape(self, parts: list[Part]) -> None:
        """A backslash outside quotes."""
        if self.at + 1 >= len(self.text):
            raise Incomplete("syntax error: unexpected end of file")
        if self.text[self.at + 1] != "\n":
            parts.append(Text(self.text[self.at + 1], True))
        self.at += 2

    def upto(self, quote: str) -> str:
        """What stands between two ``quote``, of which the first is here."""
        end = self.text.find(quote, self.at + 1)
        if end < 0:
            raise Incomplete(f"unexpected EOF while looking for matching `{quote}'")
        text = self.text[self.at + 1 : end]
        self.at = end + 1
        return text

    def ansi(self) -> str:
        """``$'...'``."""
        end = self.at + 2
        while end < len(self.text) and self.text[end] != "'":
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise Incomplete("unexpected EOF while looking for matching `''")
        text = self.text[self.at + 2 : end]
        self.at = end + 1
        return unescape(text)[0]

    def double(self) -> list[Part]:
        """The rest of "...", whose first quote is behind us."""
        parts: list[Part] = [Text("", True)]
        plain = ""
        while True:
            if self.at >= len(self.text):
                raise Incomplete("unexpected EOF while looking for matching `\"'")
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                break
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\", "\n"):
                plain += self.text[self.at + 1].replace("\n", "")
                self.at += 2
            elif char in "$`":
                parts.append(Text(plain, True))
                plain = ""
                parts.append(self.expansion(True))
            else:
                plain += char
                self.at += 1
        parts.append(Text(plain, True))
        return parts

    def expansion(self, quoted: bool) -> Part:
        """``$...`` or a command in backquotes."""
        if self.text[self.at] == "`":
            return Substitution(Parser(self.upto("`")).program(), quoted)
        text = self.text
        self.at += 1
        if text.startswith("((", self.at):
            return self.arithmetic(quoted)
        if text.startswith("(", self.at):
            self.at += 1
            body = self.sequence()
            self.newlines()
            if not self.take(")"):
                self.unexpected()
            return Substitution(body, quoted)
        if text.startswith("{", self.at):
            return self.braces(quoted)
        match = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9?#@*$!]").match(text, self.at)
        if match is None:
            return Text("$", quoted)
        self.at = match.end()
        return Variable(match[0], quoted)

    def arithmetic(self, quoted: bool) -> Arithmetic:
        """``((...))``."""
        depth, end = 0, self.at
        while end < len(self.text):
            depth += {"(": 1, ")": -1}.get(self.text[end], 0)
            end += 1
            if depth == 0:
                break
        if depth:
            raise Incomplete("unexpected EOF while looking for matching `)'")
        inner = Parser(self.text[self.at + 2 : end - 2] + '"')
        self.at = end
        return Arithmetic(tuple(inner.double()), quoted)

    def braces(self, quoted: bool) -> Variable:
        """``{name...}``."""
        end = self.text.find("}", self.at)
        if end < 0:
            raise Incomplete("unexpected EOF while looking for matching `}'")
        inside = self.text[self.at + 1 : end]
        self.at = end + 1
        length = re.fullmatch(r"#([A-Za-z_][A-Za-z0-9_]*)", inside)
        if length:
            return Variable(length[1], quoted, "length")
        match = re.fullmatch(
            r"([A-Za-z_][A-Za-z0-9_]*|[0-9?#@*])(?:(:?[-=+?]|##?|%%?|//?|\^\^?|,,?|:)(.*))?", inside, re.DOTALL
        )
        if match is None:
            raise ShellSyntaxError(f"${{{inside}}}: bad substitution")
        word = tuple(Parser(match[3] + '"').double()) if match[3] else ()
        return Variable(match[1], quoted, match[2] or "", word)


def unescape(text: str, zero: bool = False) -> tuple[str, bool]:
    """The escapes of ``printf`` and ``$'...'``, and whether ``\\c`` ended the text.

    :param zero: octal numbers begin with an additional 0, as ``echo -e`` has it
    """
    octal = "0" if zero else ""
    out = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char != "\\" or at + 1 == len(text):
            out += char
            at += 1
            continue
        escape = rf"\\(?:x([0-9a-fA-F]{{1,2}})|{octal}([0-7]{{{'0' if zero else '1'},3}})|u([0-9a-fA-F]{{1,4}}))"
        number = re.compile(escape).match(text, at)
        if number:
            hexadecimal = number[1] or number[3]
            value = int(hexadecimal, 16) if hexadecimal else int(number[2] or "0", 8) & 0xFF
            # a byte that is no text of its own, as Python keeps it in a str
            out += chr(value) if value < 0x80 or number[3] else bytes([value]).decode("utf-8", "surrogateescape")
            at = number.end()
        elif text[at + 1] == "c":
            return out, True
        else:
            out += ESCAPES.get(text[at + 1], char + text[at + 1])
            at += 2
    return out, False
