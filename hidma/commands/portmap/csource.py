# SPDX-License-Identifier: GPL-2.0-only
"""Reads C files of the user's own kernel tree with tree-sitter: functions, constants, enums, structs, parameters and
ids, on both sides of every ``#if``, and the functions that macros of the file make. Needs the extra ``source``. It keeps
facts only; it is no compiler: an expression that it cannot evaluate is kept as its text.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import tree_sitter_c
from tree_sitter import Language, Node, Parser

from hidma.commands.portmap.series import CFile, Function
from hidma.commands.portmap.tokens import digest

_LANGUAGE = Language(tree_sitter_c.language())

#: Attributes between the type and the name, which the grammar does not know.
_ATTRIBUTE = re.compile(rb"\b__(?:init|exit|initdata|iomem|user|must_check|maybe_unused|used|percpu|rcu|force)\b"
                        rb"|\basmlinkage\b|\b__always_inline\b")

#: Macros of the kernel's headers that make a function of the file: macro -> names in terms of its first argument.
KERNEL_MACROS = {"DEFINE_SHOW_ATTRIBUTE": ("{}_open",)}

_CONDITIONALS = ("preproc_if", "preproc_ifdef", "preproc_elif", "preproc_else", "preproc_elifdef")


def parse(data: bytes) -> Node:
    return Parser(_LANGUAGE).parse(data).root_node


def decode(data: bytes) -> tuple[str, bool]:
    """The text of a file, and whether it had to be read as Latin-1."""
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        return data.decode("latin-1"), True


def _blank(match: re.Match[bytes]) -> bytes:
    return re.sub(rb"[^\n]", b" ", match[0])


def _text(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode("utf-8", "replace")


def _line(node: Node) -> int:
    return int(node.start_point[0]) + 1


def _last(node: Node) -> int:
    row, column = node.end_point
    return int(row) + (1 if column else 0)


def _walk(node: Node, *stop: str) -> Iterator[Node]:
    """The node and all below it, without the insides of nodes of the kinds ``stop``."""
    yield node
    if node.type not in stop:
        for child in node.children:
            yield from _walk(child, *stop)


def _type(text: str) -> str:
    """A type or a declaration as the facts write it."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"\b__(?:iomem|user)\b", " ", text)
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s*(\*+)\s*", r" \1", text)
    return re.sub(r" \[", "[", re.sub(r" ?\(\s*\*", " (*", text)).strip()


def _declarator(node: Node | None) -> Node | None:
    """The identifier at the bottom of a declarator."""
    while node is not None and node.type not in ("identifier", "field_identifier", "type_identifier"):
        inner = node.child_by_field_name("declarator")
        if inner is None:
            inner = next((child for child in node.named_children if "declarator" in child.type
                          or child.type in ("identifier", "field_identifier")), None)
        node = inner
    return node


def _without_name(node: Node) -> str:
    """The text of a declaration without the name that it declares."""
    name = _declarator(node.child_by_field_name("declarator"))
    text = node.text or b""
    if name is not None:
        start, end = name.start_byte - node.start_byte, name.end_byte - node.start_byte
        text = text[:start] + text[end:]
    return _type(text.decode("utf-8", "replace"))


def _condition(node: Node) -> str:
    """The ``#if`` that a node stands under, outermost first."""
    parts: list[str] = []
    child, above = node, node.parent
    while above is not None:
        if above.type in _CONDITIONALS and child.type not in _CONDITIONALS:
            parts.append(_test(above))
        elif above.type in _CONDITIONALS and child.type in ("preproc_if", "preproc_ifdef"):
            parts.append(_test(above))
        child, above = above, above.parent
    return " && ".join(reversed([part for part in parts if part]))


def _test(node: Node) -> str:
    if node.type == "preproc_else":
        above = node.parent
        return f"!({_test(above)})" if above is not None else ""
    name, condition = node.child_by_field_name("name"), node.child_by_field_name("condition")
    if name is not None:
        text = _text(name)
        return f"!{text}" if node.children and _text(node.children[0]) == "#ifndef" else text
    return " ".join(_text(condition).split())


# --- expressions ------------------------------------------------------------------------------------------------------

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_, ast.BitXor: operator.xor, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.FloorDiv: operator.floordiv,
}
_CALLS: dict[str, Callable[..., int]] = {
    "BIT": lambda n: 1 << n, "BIT_ULL": lambda n: 1 << n,
    "GENMASK": lambda high, low: (1 << (high + 1)) - (1 << low),
    "GENMASK_ULL": lambda high, low: (1 << (high + 1)) - (1 << low),
}
_MODES = {"S_IRUGO": 0o444, "S_IWUGO": 0o222, "S_IRUSR": 0o400, "S_IWUSR": 0o200, "S_IRGRP": 0o040, "S_IROTH": 0o004}
_FEW_BITS = 128


def evaluate(text: str, names: dict[str, Any]) -> Any:
    """The value of a C expression: an integer, a string, or its text when it is neither."""
    text = " ".join(re.sub(r"/\*.*?\*/|\\\n", " ", text, flags=re.DOTALL).split())
    string = re.fullmatch(r'"((?:[^"\\]|\\.)*)"', text)
    if string:
        return string[1]
    if not text:
        return ""
    plain = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", text)
    plain = re.sub(r"\b0+([0-7]+)\b", r"0o\1", plain)
    plain = re.sub(r"\((?:u8|u16|u32|u64|s32|s64|int|unsigned int|unsigned long|loff_t)\)", "", plain)
    plain = re.sub(r"(?<!/)/(?!/)", "//", plain)
    try:
        return _value(ast.parse(plain, mode="eval").body, names)
    except (SyntaxError, ValueError, KeyError, TypeError, ZeroDivisionError, OverflowError, RecursionError):
        return text


def _value(node: ast.expr, names: dict[str, Any]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            number = names[name] if name in names else _MODES[name]
            if not isinstance(number, int):
                raise ValueError(name)
            return number
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left, names), _value(right, names)
            if isinstance(op, ast.LShift) and b > _FEW_BITS:
                raise ValueError(b)
            return int(_BINARY[type(op)](a, b))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return ~_value(operand, names)
        case ast.Call(func=ast.Name(id=name), args=args):
            values = [_value(arg, names) for arg in args]
            if any(value > _FEW_BITS for value in values):
                raise ValueError(name)
            return _CALLS[name](*values)
    raise ValueError(ast.dump(node))


# --- a file -----------------------------------------------------------------------------------------------------------


class Reader:
    """Reads one C file.

    :param path: as it is to be called
    :param data: its bytes
    :param names: constants of the headers that it includes
    :param unknown: numbers of lines that are not known
    """

    def __init__(self, path: str, data: bytes, names: dict[str, Any] | None = None,
                 unknown: frozenset[int] = frozenset()) -> None:
        self.unknown = unknown
        self.file = CFile(path, data.count(b"\n") + (0 if data.endswith(b"\n") or not data else 1))
        self.names = dict(names or {})
        self.data = _ATTRIBUTE.sub(_blank, data)
        self.bodies: dict[str, tuple[tuple[str, ...], str]] = {}

    def read(self) -> CFile:
        self._defines(parse(self.data))
        made = self._made_by_macros()
        root = parse(self.data)
        for node in _walk(root, "function_definition", "compound_statement"):
            if node.type == "function_definition":
                self._function(node)
            elif node.type == "enum_specifier":
                self._enum(node)
            elif node.type == "struct_specifier":
                self._struct(node)
            elif node.type == "init_declarator":
                self._initialiser(node)
        self.file.functions += made
        self.file.functions.sort(key=lambda f: f.first)
        self._rest(decode(self.data)[0])
        return self.file

    def _defines(self, root: Node) -> None:
        for node in _walk(root, "function_definition"):
            name = _text(node.child_by_field_name("name"))
            if node.type == "preproc_def":
                value = evaluate(_text(node.child_by_field_name("value")), self.names)
                self.file.defines[name] = value
                self.names[name] = value
                self.file.places[name] = _line(node)
            elif node.type == "preproc_function_def":
                parameters = node.child_by_field_name("parameters")
                names = tuple(_text(child) for child in parameters.named_children) if parameters is not None else ()
                self.file.macros[name] = names
                self.file.places[name] = _line(node)
                self.bodies[name] = (names, _text(node.child_by_field_name("value")))

    def _made_by_macros(self) -> list[Function]:
        """Functions that invocations at the top of the file make; the invocations are taken out of the text."""
        made: list[Function] = []
        makers = {name for name, (_, body) in self.bodies.items() if "##" in body and "{" in body}
        for match in re.finditer(rb"^(\w+)\(([^()\n]*)\);?[ \t]*$", self.data, re.MULTILINE):
            macro, arguments = match[1].decode(), [a.strip() for a in match[2].decode("latin-1").split(",")]
            line = self.data.count(b"\n", 0, match.start()) + 1
            if macro in makers:
                made += self._expand(macro, arguments, line)
            for pattern in KERNEL_MACROS.get(macro, ()):
                made.append(Function(pattern.format(arguments[0]), "int", ("struct inode *", "struct file *"), True, line,
                                     line, macro))
        known = b"|".join(name.encode() for name in [*sorted(makers), *KERNEL_MACROS])
        self.data = re.sub(rb"^(?:" + known + rb")\([^()\n]*\);?[ \t]*$", _blank, self.data, flags=re.MULTILINE)
        return made

    def _expand(self, macro: str, arguments: list[str], line: int) -> list[Function]:
        names, body = self.bodies[macro]
        text = body.replace("\\\n", "\n")
        for name, argument in zip(names, arguments, strict=False):
            # an argument of the user's is no pattern
            word, plain = re.escape(name), argument.replace("\\", r"\\")
            text = re.sub(rf"(?<!#)#\s*{word}\b", f'"{plain}"', text)
            text = re.sub(rf"\b{word}\b", plain, text)
        text = re.sub(r"\s*##\s*", "", text)
        inner = Reader(self.file.path, text.encode())
        for node in _walk(parse(inner.data), "function_definition"):
            if node.type == "function_definition":
                inner._function(node)
        return [replace(f, first=line, last=line, macro=macro) for f in inner.file.functions]

    def _function(self, node: Node) -> None:
        declarator = node.child_by_field_name("declarator")
        stars = ""
        while declarator is not None and declarator.type == "pointer_declarator":
            stars += "*"
            declarator = declarator.child_by_field_name("declarator")
        if declarator is None or declarator.type != "function_declarator":
            return
        name = _text(_declarator(declarator))
        kind = _text(node.child_by_field_name("type"))
        before = [_text(child) for child in node.children if child.type in ("storage_class_specifier", "type_qualifier")]
        params: list[str] = []
        parameters = declarator.child_by_field_name("parameters")
        if parameters is not None:
            params = [_without_name(child) if child.type == "parameter_declaration" else _text(child)
                      for child in parameters.named_children if child.type in ("parameter_declaration", "variadic_parameter")]
        const = "const " if "const" in before else ""
        self.file.functions.append(Function(
            name, _type(f"{const}{kind} {stars}"), tuple(p for p in params if p != "void"), "static" in before, _line(node),
            _last(node), condition=_condition(node), body=self._hash(node.child_by_field_name("body"))))

    def _hash(self, node: Node | None) -> str:
        """Of the tokens of a body; of a body with lines that are not known, nothing."""
        if node is None or not self.unknown.isdisjoint(range(_line(node), _last(node) + 1)):
            return ""
        return digest(_text(node))

    def _initialiser(self, node: Node) -> None:
        value = node.child_by_field_name("value")
        name = _text(_declarator(node.child_by_field_name("declarator")))
        if value is not None and value.type == "initializer_list" and name:
            self.file.initialisers[name] = self._hash(value)
            self.file.places.setdefault(name, _line(node))

    def _enum(self, node: Node) -> None:
        body = node.child_by_field_name("body")
        if body is None:
            return
        name = _text(node.child_by_field_name("name"))
        members: dict[str, Any] = {}
        following: Any = 0
        for child in body.named_children:
            if child.type == "enumerator":
                member, value = _text(child.child_by_field_name("name")), child.child_by_field_name("value")
                members[member] = following if value is None else evaluate(_text(value), self.names)
                self.file.places[member] = _line(child)
                following = members[member] + 1 if isinstance(members[member], int) else None
        self.names.update(members)
        self.file.enums[name] = members

    def _struct(self, node: Node) -> None:
        body = node.child_by_field_name("body")
        name = _text(node.child_by_field_name("name"))
        if body is None or not name:
            return
        fields: list[tuple[str, str]] = []
        for child in _walk(body, "field_declaration"):
            if child.type == "field_declaration":
                field = _declarator(child.child_by_field_name("declarator"))
                if field is not None:
                    fields.append((_text(field), _without_name(child).rstrip("; ").rstrip()))
                    self.file.places[f"{name}.{_text(field)}"] = _line(field)
        # the grammar has no idea of this macro: it is found in the text, and placed by what stands before it
        for fifo in re.finditer(r"DECLARE_KFIFO_PTR\(\s*(\w+)\s*,\s*([^)]+?)\)", _text(body)):
            before = [n for n, (known, _) in enumerate(fields)
                      if re.search(rf"\b{known}\b[^;]*;", _text(body)[:fifo.start()])]
            fields = [f for f in fields if f[0] not in (fifo[1], "DECLARE_KFIFO_PTR")]
            fields.insert(before[-1] + 1 if before else 0, (fifo[1], f"kfifo of {_type(fifo[2])}"))
            self.file.places[f"{name}.{fifo[1]}"] = _line(body) + _text(body).count("\n", 0, fifo.start(1))
        self.file.structs[name] = fields
        self.file.places[name] = _line(node)

    def _rest(self, text: str) -> None:
        bare = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)
        for match in re.finditer(r"\bmodule_param\(\s*(\w+)\s*,\s*(\w+)\s*,\s*([^)]+)\)", bare):
            name, kind = match[1], match[2]
            default = re.search(rf"^static[\w\s]*\b{name}\s*=\s*([^;]+);", bare, re.MULTILINE)
            mode = evaluate(match[3], self.names)
            self.file.module_params[name] = (kind, mode if isinstance(mode, int) else None,
                                             evaluate(default[1], self.names) if default else 0)
            self.file.places[name] = bare.count("\n", 0, match.start()) + 1
        for table in re.findall(r"struct of_device_id\s+\w+\[\]\s*=\s*\{(.*?)\};", bare, re.DOTALL):
            self.file.dt_ids += re.findall(r'\.compatible\s*=\s*"([^"]*)"', table)
        for table in re.findall(r"struct acpi_device_id\s+\w+\[\]\s*=\s*\{(.*?)\};", bare, re.DOTALL):
            self.file.acpi_ids += re.findall(r'\{\s*"([^"]*)"', table)
        read = re.findall(r'device_property_read_\w+\(\s*[^,()]+(?:\([^()]*\))?,\s*"([^"]+)"', bare)
        self.file.properties = sorted(set(read))
        self.file.exported = re.findall(r"^EXPORT_SYMBOL(?:_GPL)?\((\w+)\)", bare, re.MULTILINE)
        driver = re.search(r"struct platform_driver\s+\w+\s*=\s*\{.*?\.name\s*=\s*\"([^\"]*)\"", bare, re.DOTALL)
        self.file.driver_name = driver[1] if driver else ""


def read_file(path: str, data: bytes, names: dict[str, Any] | None = None, unknown: frozenset[int] = frozenset()) -> CFile:
    """What a C file declares.

    :param path: as it is to be called
    :param data: its bytes, UTF-8 or Latin-1
    :param names: constants of the headers that it includes
    :param unknown: numbers of lines that are not known
    """
    text, latin = decode(data)
    return Reader(path, text.encode() if latin else data, names, unknown).read()
