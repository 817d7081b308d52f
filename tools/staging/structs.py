# SPDX-License-Identifier: GPL-2.0-only
"""Functions in which objects are C structs: those whose declaration ends with `# struct`."""

from __future__ import annotations

import ast
import re

from setuptools.errors import CompileError

from staging.pxd import CIMPORT

FUNCTION = re.compile(
    r"^(?:@cython\.locals\((?P<locals>[^()]*)\)\n)?"
    r"(?P<kind>cp?def) (?!class\b)(?P<type>[^\n(:=]*?)\b(?P<name>\w+)\((?P<args>[^\n()]*)\)(?P<tail>[^\n#:]*?)"
    r"[ \t]*(?:# (?P<mark>inline|struct|struct inline|struct inline beside))?$",
    re.MULTILINE,
)
CLASS = re.compile(r"^cdef class (?P<name>\w+)(?:\((?P<base>\w+)\))?:\n(?P<body>(?:[ \t]+[^\n]*\n|\n)*)", re.MULTILINE)
FIELD = re.compile(
    r"^    cdef (?:public |readonly )?(?P<type>\w[\w ]*?[ *]+)(?P<name>[a-zA-Z]\w*|_[a-z]\w*)(?P<size>\[\d+\])?"
    r"(?P<bounds>[ \t]+# in bounds)?$",
    re.MULTILINE,
)
GLOBAL = re.compile(r"^cdef (?P<type>\w+) (?P<name>\w+)(?P<steady>[ \t]+# steady)?$", re.MULTILINE)
IN_BOUNDS = "in bounds"
TOLD = "ftrace.unlikely(ftrace.here)"
C_TYPES = ("unsigned", "signed", "char", "short", "int", "long", "bint", "size_t", "float", "double", "*")
OBJECTS = ("object", "str", "list", "dict", "set", "tuple", "bytes")


def _arguments(args: str) -> list[tuple[str, str]]:
    """(type, name) of the arguments of a C declaration."""
    pairs = []
    for arg in filter(None, (arg.strip() for arg in args.split(","))):
        found = re.fullmatch(r"(.*?[ *])(\w+)", arg)
        assert found is not None, arg
        pairs.append((found[1].strip(), found[2]))
    return pairs


def _local_types(text: str | None) -> dict[str, str]:
    """The types that an `@cython.locals` gives."""
    call = ast.parse(f"f({text or ''})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {
        keyword.arg or "": keyword.value.value
        if isinstance(keyword.value, ast.Constant)
        else ast.unparse(keyword.value)
        for keyword in call.keywords
    }


class Structs:
    """Makes C of functions whose declaration in the .pxd ends with `# struct`, with objects as pointers to structs.

    Cython counts references wherever an object is looked at. In these functions it does not: an object of a cdef class
    is the pointer to its C struct there (`struct_X *` for an X), any other a `void *`; None is a pointer like others, and
    whoever calls keeps alive what he passes. Storing an object counts, in a field and in a list. They can only use what
    is in C: fields of such structs, items of lists, constants, C functions. The items of a list whose declaration ends with
    `# in bounds` are not checked: it is private, never None, and its class keeps its indices right.

    The function itself is made from the .py like a twin, `_struct_f` in the .pxd (`_inline_f`, and compiled into its
    callers, with `# struct inline`). What the .py defines becomes the door for those who come with objects: it calls
    that; with `# struct inline beside` it stays what it is (one that gives away an object which nobody else may hold).
    A C function that is not `# struct` can be called with such pointers, they are objects again there.

    A global object whose declaration ends with `# steady` is the same for as long as a function runs, whoever runs in
    between: the C compiler may keep it, as a kernel's does `current`.

    pxds: the text of each .pxd by module.
    """

    def __init__(self, pxds: dict[str, str]) -> None:
        self.pxds = pxds
        self.classes: dict[str, str] = {}
        self.bases: dict[str, str] = {}
        self.fields: dict[str, dict[str, tuple[str, str, str]]] = {}
        self.functions: dict[tuple[str, str], re.Match[str]] = {}
        self.globals: dict[tuple[str, str], str] = {}
        self.steady: set[tuple[str, str]] = set()
        self.outlined: dict[str, list[str]] = {}
        for module, text in pxds.items():
            for found in CLASS.finditer(text):
                name = found["name"]
                self.classes[name] = module
                self.bases[name] = found["base"] or ""
                self.fields[name] = {
                    f["name"]: (f["type"].strip(), f["name"], f["size"] or (IN_BOUNDS if f["bounds"] else ""))
                    for f in FIELD.finditer(found["body"])
                }
            self.functions.update({(module, found["name"]): found for found in FUNCTION.finditer(text)})
        for module, text in pxds.items():
            for found in GLOBAL.finditer(text):
                if found["type"] in self.classes:
                    self.globals[module, found["name"]] = found["type"]
                    if found["steady"]:
                        self.steady.add((module, found["name"]))

    def any(self) -> bool:
        """Whether there is such a function at all."""
        return any((found["mark"] or "").startswith("struct") for found in self.functions.values())

    def c_type(self, kind: str) -> str:
        """What stands for a declared type."""
        if kind in self.classes:
            return f"struct_{kind} *"
        return "void *" if kind in OBJECTS else kind + " "

    def field(self, name: str, attr: str) -> tuple[str, str, str] | None:
        """Type, C name and array size (or IN_BOUNDS) of a field of class `name`."""
        prefix = ""
        while name in self.fields:
            if attr in self.fields[name]:
                kind, cname, size = self.fields[name][attr]
                return kind, prefix + cname, size
            name, prefix = self.bases[name], prefix + "__pyx_base."
        return None

    def names(self, module: str) -> dict[str, tuple[str, str]]:
        """What a .pxd cimports or declares: name -> (module, name there)."""
        found = {}
        for source, names in CIMPORT.findall(self.pxds[module]):
            for part in filter(None, (part.strip() for part in names.strip("() \t\n").split(","))):
                name, _, alias = part.partition(" as ")
                if source:
                    found[alias.strip() or name] = (source, name)
        for there, name in self.functions:
            if there == module:
                found[name] = (module, name)
        return found

    def mark(self, where: tuple[str, str] | None) -> str:
        """How a function is marked in its .pxd; "cold" for one that takes objects."""
        found = self.functions.get(where) if where else None
        if found is None:
            return ""
        if found["mark"]:
            return str(found["mark"])
        kinds = [kind for kind, _ in _arguments(found["args"])]
        return "cold" if any(kind in self.classes or kind in OBJECTS for kind in kinds) else ""

    def c_name(self, where: tuple[str, str]) -> str:
        """The name under which such a function is called with pointers."""
        prefix = {"": "", "struct": "_struct_", "cold": "_cold_"}
        return prefix.get(self.mark(where), "_inline_") + where[1]

    def extra(self, module: str, text: str) -> tuple[str, str]:
        """What the .pxd of a module gets in addition; text: its folded source.

        The structs go first: of modules that cimport each other one is read before the other's rest is known.
        """
        if not self.any():
            return "", ""
        names = self.names(module)
        wanted: dict[str, None] = {}

        def need(kind: str) -> str:
            if kind in self.classes and self.classes[kind] != module:
                wanted[f"from {self.classes[kind]} cimport struct_{kind}"] = None
            return self.c_type(kind)

        mine = [name for name, there in self.classes.items() if there == module]
        lines = [
            'cdef extern from "hidma/structs.h":',
            "    void *NONE",
            "    void *item_of(void *, size_t) except NULL",
            "    int set_item_of(void *, size_t, void *) except -1",
            "    void *slot_of(void *, size_t) noexcept",
            "    void set_slot_of(void *, size_t, void *) noexcept",
            "    void set_field(void *, void *) noexcept",
            "    void *held(void *) noexcept",
            "    size_t len_of(void *) noexcept",
        ]
        mangled = "_".join(f"{len(part)}{part}" for part in module.split("."))
        if mine:
            lines.append("cdef extern from *:")
            lines += [f'    struct struct_{name} "__pyx_obj_{mangled}_{name}"' for name in mine]
            for name in mine:
                lines.append(f'    struct struct_{name} "__pyx_obj_{mangled}_{name}":')
                seen: dict[str, str] = {}
                base = name
                while base in self.fields:
                    for attr in self.fields[base]:
                        if attr not in seen:
                            kind, cname, size = self.field(name, attr) or ("", "", "")
                            c_type = kind if all(word in C_TYPES for word in kind.split()) else "void *"
                            seen[attr] = f'        {c_type} {attr} "{cname}"{size if size != IN_BOUNDS else ""}'
                    base = self.bases[base]
                lines += list(seen.values()) or ["        pass"]
        made = []
        for name in sorted(name for there, name in self.steady if there == module):
            declared = f"static __attribute__((const, noipa, unused)) void *__pyx_f_{mangled}__steady_{name}(void);"
            lines += ["cdef extern from *:", f'    """{declared}"""']
            made += ["", f"cdef inline void *_steady_{name}() noexcept:", f"    return <void *>{name}"]
        bodies = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        for (there, name), found in self.functions.items():
            if there != module:
                continue
            mark = self.mark((there, name))
            args = _arguments(found["args"])
            result = found["type"].strip()
            tail = found["tail"]
            if self.c_type(result)[-1] == "*":
                tail = " except NULL"
            passed = ", ".join(need(kind) + arg for kind, arg in args)
            if mark == "cold" and result not in self.classes and result not in OBJECTS:
                given = ", ".join(
                    f"<{kind}>{arg}" if kind in self.classes or kind in OBJECTS else arg for kind, arg in args
                )
                made += ["", f"cdef inline {result} _cold_{name}({passed}){tail}:", f"    return {name}({given})"]
            if not mark.startswith("struct"):
                continue
            if name not in bodies:
                raise CompileError(f"the .pxd says `# {mark}` of {name}(), which the .py does not define")
            locals_ = _local_types(found["locals"])
            made += ["", f"cdef inline {self.c_type(result)}{self.c_name((there, name))}({passed}){tail}:"]
            made += [f"    cdef {need(kind)}{local}" for local, kind in locals_.items()]
            types = {**locals_, **{arg: kind for kind, arg in args}}
            refusals = self.refusals(names, bodies[name], args, found["tail"])
            writer = _StructWriter(self, module, name, names, types, result)
            body = bodies[name].body
            if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                body = body[1:]
            for statement in body:
                written = writer.visit(statement)
                for part in written if isinstance(written, list) else [written]:
                    lines_of_it = ast.unparse(ast.fix_missing_locations(part)).split("\n")
                    made += ["    " + line for line in lines_of_it]
            wanted.update(writer.wanted)
            for number, (names_used, source) in enumerate(writer.outlined):
                outlined = f"_out_{name}_{number}"
                declared = ", ".join(f"{types[n]} {n}" for n in names_used)
                given = ", ".join(f"<{types[n]}>{n}" if self.c_type(types[n])[-1] == "*" else n for n in names_used)
                passed = ", ".join(need(types[n]) + n for n in names_used)
                made += [
                    "",
                    f"cdef int {outlined}({declared}) except -1",
                    f"cdef inline int _cold_{outlined}({passed}) except -1:",
                    f"    return {outlined}({given})",
                ]
                self.outlined.setdefault(module, []).extend(
                    ["", f"def {outlined}({', '.join(names_used)}):", f"    {source}", "    return 0"]
                )
            given = ", ".join(
                f"<struct_{kind} *><void *>{arg}"
                if kind in self.classes
                else f"<void *>{arg}"
                if kind in OBJECTS
                else arg
                for kind, arg in args
            )
            back = f"<{result}>" if self.c_type(result)[-1] == "*" else ""
            if mark.endswith("beside"):
                continue
            tail = found["tail"]
            made += [
                "",
                f"cdef inline {result} _door_{name}({found['args']}){tail}:".replace("inline  ", "inline "),
                *refusals,
                f"    return {back}{self.c_name((there, name))}({given})",
            ]
        return "\n".join([*lines, ""]), "\n".join(["", *wanted, *made, ""])

    def refusals(
        self,
        names: dict[str, tuple[str, str]],
        function: ast.FunctionDef,
        args: list[tuple[str, str]],
        tail: str,
    ) -> list[str]:
        """Lines for a door that refuse None for what the function looks into: in C that would be NULL, and a crash."""
        if "noexcept" in tail:
            return []
        used, told = set(), set()
        for node in ast.walk(function):
            match node:
                case ast.Attribute(value=ast.Name(id=name)):
                    used.add(name)
                case ast.Call(func=ast.Name(id=called), args=given) if self.mark(names.get(called)):
                    used.update(part.id for part in given if isinstance(part, ast.Name))
                case ast.Compare(left=ast.Name(id=name), comparators=[ast.Constant(value=None)]):
                    told.add(name)
        return [
            f"    if {arg} is None: raise TypeError(\"{function.name}(): 'NoneType' object where a {kind} is meant\")"
            for kind, arg in args
            if kind in self.classes and arg in used - told
        ]

    def doors(self, module: str, text: str) -> str:
        """The folded source of a module, in which the functions marked `# struct` are doors."""
        lines = text.split("\n")
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef) or self.mark((module, node.name)) not in (
                "struct",
                "struct inline",
            ):
                continue
            first = (
                node.body[1]
                if isinstance(node.body[0], ast.Expr)
                and len(node.body) > 1
                and isinstance(node.body[0].value, ast.Constant)
                else node.body[0]
            )
            assert node.end_lineno is not None
            arguments = ", ".join(arg.arg for arg in node.args.args)
            before = lines[first.lineno - 1].encode()[: first.col_offset].decode()
            for number in range(first.lineno, node.end_lineno + 1):
                lines[number - 1] = ""
            lines[first.lineno - 1] = f"{before}return _door_{node.name}({arguments})"
        return "\n".join(lines + self.outlined.get(module, []))


class _StructWriter(ast.NodeTransformer):
    """Writes one function body in terms of pointers to structs."""

    def __init__(
        self,
        structs: Structs,
        module: str,
        function: str,
        names: dict[str, tuple[str, str]],
        types: dict[str, str],
        result: str,
    ) -> None:
        self.structs = structs
        self.module = module
        self.function = function
        self.outlined: list[tuple[list[str], str]] = []
        self.names = names
        self.types = types
        self.result = result
        self.wanted: dict[str, None] = {}

    def kind(self, node: ast.expr) -> str:
        """The declared type of an expression, as far as it matters here."""
        structs = self.structs
        match node:
            case ast.Constant(value=None):
                return "object"
            case ast.Name(id=name):
                return (
                    self.types.get(name)
                    or structs.globals.get((self.module, name))
                    or structs.globals.get(self.names.get(name, ("", "")), "")
                )
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if not self.kind(node.value):
                module = ".".join(self.names.get(name, ("", "")))
                return structs.globals.get((module, attr), "")
            case ast.Attribute(value=value, attr=attr):
                field = structs.field(self.kind(value), attr)
                return field[0] if field else ""
            case ast.Subscript(value=value):
                return "object" if self.kind(value) == "list" else ""
            case ast.Call(func=ast.Name(id="len")):
                return ""
            case ast.Call(func=ast.Name(id=name)):
                found = structs.functions.get(self.names.get(name, ("", "")))
                return found["type"].strip() if found else ""
        return ""

    def in_bounds(self, node: ast.expr) -> bool:
        """Whether this is a list which is indexed in bounds, by what its class makes sure of."""
        if not isinstance(node, ast.Attribute):
            return False
        field = self.structs.field(self.kind(node.value), node.attr)
        return field is not None and field[2] == IN_BOUNDS

    def is_object(self, kind: str) -> bool:
        return kind in self.structs.classes or kind in OBJECTS

    def cast(self, kind: str, node: ast.expr) -> ast.expr:
        if kind in self.structs.classes and self.structs.classes[kind] != self.module:
            self.wanted[f"from {self.structs.classes[kind]} cimport struct_{kind}"] = None
        return ast.Call(ast.Name(f"<{self.structs.c_type(kind).strip()}>", ast.Load()), [node], [])

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Name("NONE", ast.Load()) if node.value is None else node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        kind = "" if node.id in self.types else self.kind(node)
        if kind in self.structs.classes:
            where = self.names.get(node.id)
            if where is not None and where[0] != self.module:
                self.wanted[f"from {where[0]} cimport {where[1]}"] = None
            return self.cast(
                kind, self.steady(where or ("", "")) or ast.Call(ast.Name("<void *>", ast.Load()), [node], [])
            )
        return node

    def steady(self, where: tuple[str, str]) -> ast.expr | None:
        """How a global object is got at that is `# steady`."""
        if where not in self.structs.steady:
            return None
        if where[0] != self.module:
            self.wanted[f"from {where[0]} cimport _steady_{where[1]}"] = None
        return ast.Call(ast.Name(f"_steady_{where[1]}", ast.Load()), [], [])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and not self.kind(node.value) and self.kind(node) in self.structs.classes:
            steady = self.steady((".".join(self.names.get(node.value.id, ("", ""))), node.attr))
            return self.cast(self.kind(node), steady or ast.Call(ast.Name("<void *>", ast.Load()), [node], []))
        kind = self.kind(node.value)
        value = self.visit(node.value)
        if kind in self.structs.classes and not isinstance(value, ast.Name):
            if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id[:1] == "<"):
                value = self.cast(kind, value)
            value = ast.Call(ast.Name("", ast.Load()), [value], [])  # parentheses
        node.value = value
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if isinstance(node.ops[0], ast.Is | ast.IsNot) and len(node.ops) == 1:
            sides = [self.cast("object", self.visit(side)) for side in (node.left, node.comparators[0])]
            return ast.Compare(sides[0], [ast.Eq() if isinstance(node.ops[0], ast.Is) else ast.NotEq()], [sides[1]])
        self.generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if self.kind(node.value) == "list":
            name = "slot_of" if self.in_bounds(node.value) else "item_of"
            return ast.Call(ast.Name(name, ast.Load()), [self.visit(node.value), self.visit(node.slice)], [])
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id == "len":
            return ast.Call(ast.Name("len_of", ast.Load()), [self.visit(node.args[0])], [])
        if isinstance(node.func, ast.Name):
            where = self.names.get(node.func.id)
            found = self.structs.functions.get(where) if where else None
            mark = self.structs.mark(where)
            if found is not None and where is not None:
                kinds = [kind for kind, _ in _arguments(found["args"])]
                arguments = [
                    self.cast(kind, self.visit(arg)) if self.is_object(kind) else self.visit(arg)
                    for kind, arg in zip(kinds, node.args, strict=True)
                ]
                name = self.structs.c_name(where)
                if mark in ("", "cold", "inline") and self.is_object(found["type"].strip()):
                    raise CompileError(
                        f"{self.function}() is `# struct` and cannot hold what {where[1]}() gives: mark that, too"
                    )
                if mark == "inline":  # takes objects
                    arguments = [
                        ast.Call(ast.Name(f"<{kind}>", ast.Load()), [arg], []) if self.is_object(kind) else arg
                        for kind, arg in zip(kinds, arguments, strict=True)
                    ]
                if where[0] != self.module and (mark or where not in self.names.values()):
                    self.wanted[f"from {where[0]} cimport {name}"] = None
                return ast.Call(ast.Name(name, ast.Load()), arguments, [])
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target = node.targets[0]
        if isinstance(target, ast.Tuple) and any(self.is_object(self.kind(part)) for part in target.elts):
            # links are exchanged: whoever is led to stays so, and nothing is counted
            old, new = (
                sorted(map(ast.unparse, side.elts)) if isinstance(side, ast.Tuple) else []
                for side in (target, node.value)
            )
            if old != new:
                raise CompileError(f"{self.function}() is `# struct`: fields can be exchanged there, not set together")
        kind = self.kind(target)
        value = self.visit(node.value)
        if isinstance(target, ast.Subscript) and self.kind(target.value) == "list":
            name = "set_slot_of" if self.in_bounds(target.value) else "set_item_of"
            given = [self.visit(target.value), self.visit(target.slice), self.cast("object", value)]
            return ast.Expr(ast.Call(ast.Name(name, ast.Load()), given, []))
        if isinstance(target, ast.Attribute):
            place = self.visit(target)
            if self.is_object(kind):
                slot = ast.Call(ast.Name("<void *>&", ast.Load()), [place], [])
                return ast.Expr(ast.Call(ast.Name("set_field", ast.Load()), [slot, self.cast("object", value)], []))
            return ast.Assign([place], value)
        if isinstance(target, ast.Name):
            return ast.Assign([target], self.cast(kind, value) if self.is_object(kind) else value)
        return ast.Assign([self.visit(target)], value)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        return node

    def visit_If(self, node: ast.If) -> list[ast.AST]:
        entry: list[ast.AST] = []
        match node.test:
            case ast.BoolOp(op=ast.Or(), values=[ast.BoolOp(op=ast.And(), values=[test, _]) as told, *rest]) if (
                ast.unparse(test) == TOLD
            ):  # with_entries() has put this before the condition
                entry = [self.visit_Expr(ast.Expr(told))]
                node.test = ast.BoolOp(ast.Or(), rest) if len(rest) > 1 else rest[0]
        self.generic_visit(node)
        return [*entry, node]

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        match node.value:
            case ast.BoolOp(op=ast.And(), values=[test, report]) if ast.unparse(test) == TOLD:
                return ast.If(test, [self.outline(ast.Expr(report))], [])
            case ast.Call(func=ast.Name(id=name), args=args) if self.names.get(
                name
            ) in self.structs.functions and not any(
                isinstance(arg, ast.Constant) and isinstance(arg.value, str) for arg in args
            ):
                return ast.Expr(self.visit(node.value))
        return self.outline(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self.outline(node)

    def outline(self, node: ast.stmt) -> ast.AST:
        """What needs Python, and is rare: a function of its own, made from the .py."""
        used = [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id in self.types]
        used = list(dict.fromkeys(used))
        name = f"_cold__out_{self.function}_{len(self.outlined)}"
        self.outlined.append((used, ast.unparse(node)))
        return ast.Expr(ast.Call(ast.Name(name, ast.Load()), [ast.Name(n, ast.Load()) for n in used], []))

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if node.value is not None:
            there = isinstance(node.value, ast.Attribute)  # a field with an object in it is never NULL
            value = self.visit(node.value)
            if there and self.is_object(self.result):
                value = ast.Call(ast.Name("held", ast.Load()), [value], [])
            node.value = self.cast(self.result, value) if self.is_object(self.result) else value
        return node
