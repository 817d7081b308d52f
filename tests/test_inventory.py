# SPDX-License-Identifier: GPL-2.0-only
"""The port against the inventory of the series: every function, constant, enum, struct field, macro, parameter, id and
file is there under its C name, with its value and in the order of the C file, or stands in a list with the reason."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from hidma import channel, mgmt
from hidma.commands.portmap.port import statements
from hidma.commands.replay import replay
from hidma.commands.replay.runner import Scenario
from hidma.linux.bitops import BIT, GENMASK
from hidma.linux.dmaengine import DMA_MEMCPY
from reset_plugins import qcomhidma

ROOT = Path(__file__).resolve().parent.parent
INVENTORY: dict[str, Any] = json.loads((ROOT / "hidma" / "commands" / "portmap" / "inventory.json").read_text())
FILES: dict[str, dict[str, Any]] = INVENTORY["files"]

#: C file to port module.
PORT = {
    "drivers/dma/qcom/hidma.h": "hidma_h",
    "drivers/dma/qcom/hidma_ll.c": "ll",
    "drivers/dma/qcom/hidma.c": "channel",
    "drivers/dma/qcom/hidma_dbg.c": "dbg",
    "drivers/dma/qcom/hidma_mgmt.h": "hidma_mgmt_h",
    "drivers/dma/qcom/hidma_mgmt.c": "mgmt",
    "drivers/dma/qcom/hidma_mgmt_sys.c": "mgmt_sys",
    "drivers/vfio/platform/vfio_platform_private.h": "vfio_platform.private",
    "drivers/vfio/platform/vfio_platform_common.c": "vfio_platform.common",
    "drivers/vfio/platform/reset/vfio_platform_qcomhidma.c": "reset_plugins.qcomhidma",
}

#: Functions that the port does without.
NO_FUNCTION = {
    "to_hidma_dev_from_lldev": "a container_of helper that nothing in the series calls",
}

#: Functions that take something else than in C.
OTHER_PARAMETERS = {
    "hidma_chan_stats_open": "struct inode and struct file are one object here: the file knows what it was made with",
    "hidma_dma_info_open": "as hidma_chan_stats_open",
    "vfio_platform_lookup_reset": "its out-parameter, the module, comes back with the function",
}

#: Fields beyond those of the C struct.
MORE_FIELDS = {
    ("hidma_mgmt_dev", "setup"): "hidma_mgmt_setup(): the two C files call each other, modules import one way only",
    ("hidma_desc", "is_head"): "what surrounds a list head, which V14 takes for a descriptor (row 43)",
    ("hidma_desc", "freed"): "kfree(): what comes later is an Oops",
}

#: Arrays whose items have one type are private under another name; a property has the name of C.
PRIVATE = {"pool": "trepool", "pending": "pending_tre_list", "results": "tx_status_list"}

#: Include guards: a module is imported once without one.
GUARDS = ("QCOM_HIDMA_H", "VFIO_PLATFORM_PRIVATE_H")

#: C types of fields, as they stand in hidma_h.pxd.
C_TYPES = {"u8": "unsigned char", "u16": "unsigned short", "u32": "unsigned int", "s32": "int", "int": "int",
           "bool": "bint", "dma_addr_t": "unsigned long long", "void *": "unsigned long long"}

#: ``void *`` that is no address here: any Python object is handed through it.
NOT_AN_ADDRESS = {("hidma_tre", "data")}


class Module:
    """One module of the port, read as text."""

    def __init__(self, name: str) -> None:
        self.name = name
        package = "" if name.startswith("reset_plugins.") else "hidma"
        self.text = (ROOT / package / f"{name.replace('.', '/')}.py").read_text()
        self.tree = ast.parse(self.text)
        self.functions: dict[str, ast.FunctionDef] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.values: dict[str, ast.expr] = {}
        self.lines: dict[str, int] = {}
        for node in statements(self.tree):
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
            elif isinstance(node, ast.ClassDef):
                self.classes[node.name] = node
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    for name_node in target.elts if isinstance(target, ast.Tuple) else [target]:
                        if isinstance(name_node, ast.Name):
                            self.values[name_node.id] = node.value
                            self.lines[name_node.id] = node.lineno
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.lines[node.name] = node.lineno

    def evaluate(self, names: list[str]) -> dict[str, Any]:
        """Values of module-level names, computed from the source alone."""
        space: dict[str, Any] = {"BIT": BIT, "GENMASK": GENMASK, "__builtins__": {}}
        for name, node in self.values.items():
            if name in names:
                space[name] = eval(compile(ast.Expression(node), self.name, "eval"), space)
        return {name: space[name] for name in names}


MODULES = {c_file: Module(name) for c_file, name in PORT.items()}


def camel(name: str) -> str:
    """``hidma_tx_status`` as a class is called."""
    return "".join(part.capitalize() for part in name.split("_"))


def fields(node: ast.ClassDef) -> list[str]:
    """What ``__init__`` gives ``self``, in order."""
    init = next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    found = []
    for statement in init.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                found.append(target.attr)
    return found


def in_order(names: list[str], module: Module) -> bool:
    """Whether ``names`` stand in the file one after the other."""
    lines = [module.lines[name] for name in names]
    return lines == sorted(lines)


def strings(node: ast.AST) -> list[str]:
    """Every string in ``node``."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def calls(node: ast.AST, name: str) -> list[ast.Call]:
    """Every call of ``name`` in ``node``."""
    return [n for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name]


ported = pytest.mark.parametrize("c_file", PORT)


def test_every_c_file_is_ported() -> None:
    assert list(FILES) == list(PORT)


@ported
def test_docstring_names_the_c_file(c_file: str) -> None:
    assert f"``{c_file}``" in (ast.get_docstring(MODULES[c_file].tree) or "")


@ported
def test_functions_are_there_in_the_order_of_the_file(c_file: str) -> None:
    module = MODULES[c_file]
    names = [function["name"] for function in FILES[c_file].get("functions", [])]
    assert [name for name in names if name not in module.functions] == [name for name in names if name in NO_FUNCTION]
    assert in_order([name for name in names if name not in NO_FUNCTION], module)


@ported
def test_functions_take_what_they_take_in_c(c_file: str) -> None:
    module = MODULES[c_file]
    for function in FILES[c_file].get("functions", []):
        name = function["name"]
        if name not in NO_FUNCTION:
            same = len(module.functions[name].args.args) == len(function["params"])
            assert same != (name in OTHER_PARAMETERS), name


def test_functions_without_a_port_are_nowhere() -> None:
    for name in NO_FUNCTION:
        assert all(name not in module.functions for module in MODULES.values())


@ported
def test_constants_have_their_values_in_the_order_of_the_file(c_file: str) -> None:
    module = MODULES[c_file]
    defines = FILES[c_file].get("defines", {})
    assert module.evaluate(list(defines)) == defines
    assert in_order(list(defines), module)
    assert not set(GUARDS) & set(module.values)


@ported
def test_enums_have_their_values_in_the_order_of_the_file(c_file: str) -> None:
    module = MODULES[c_file]
    enums = FILES[c_file].get("enums", {})
    for enum, members in enums.items():
        assert module.evaluate(list(members)) == members
        assert re.search(rf"^ *# enum {enum}\n *{next(iter(members))} = ", module.text, re.MULTILINE)
    assert in_order([member for members in enums.values() for member in members], module)


@ported
def test_macros_are_functions(c_file: str) -> None:
    module = MODULES[c_file]
    macros = [re.fullmatch(r"(\w+)\((.*)\)", macro) for macro in FILES[c_file].get("function_like_macros", [])]
    for macro in macros:
        assert macro is not None
        assert [argument.arg for argument in module.functions[macro[1]].args.args] == macro[2].split(",")
    assert in_order([macro[1] for macro in macros if macro], module)


def test_functions_made_by_a_macro_are_made_in_the_order_of_the_file() -> None:
    c_file = "drivers/dma/qcom/hidma_mgmt_sys.c"
    module = MODULES[c_file]
    names = [function["name"] for function in FILES[c_file]["macro_generated_functions"]]
    assert in_order(names, module)
    for getter, setter in zip(names[::2], names[1::2], strict=True):
        field = getter.removeprefix("get_")
        assert setter == f"set_{field}"
        value = module.values[getter]
        assert value is module.values[setter]
        assert [call.args for call in calls(value, "IMPLEMENT_GETSET")] and strings(value) == [field]


@ported
def test_structs_have_their_fields_in_order(c_file: str) -> None:
    module = MODULES[c_file]
    structs = FILES[c_file].get("structs", [])
    for struct in structs:
        node = module.classes[camel(struct["name"])]
        assert f"``struct {struct['name']}``" in (ast.get_docstring(node) or "")
        mine = [PRIVATE.get(field, field) for field in fields(node) if (struct["name"], field) not in MORE_FIELDS]
        properties = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        assert {name for field, name in PRIVATE.items() if field in fields(node)} <= properties
        assert mine == [name for name, _ in struct["fields"]]
    assert in_order([camel(struct["name"]) for struct in structs], module)


def test_fields_beyond_the_c_struct_are_there() -> None:
    for struct, field in MORE_FIELDS:
        assert any(field in fields(module.classes[camel(struct)])
                   for module in MODULES.values() if camel(struct) in module.classes)


def test_compiled_fields_are_as_wide_as_in_c() -> None:
    declared = {}
    for block in re.split(r"\n(?=@)", (ROOT / "hidma" / "hidma_h.pxd").read_text()):
        head = re.search(r"cdef api class (\w+) ", block)
        if head:
            for kind, name in re.findall(r"cdef (?:public |readonly )?([\w ]+?) (\w+)(?:\[\d+\])?\n", block + "\n"):
                declared[head[1], PRIVATE.get(name, name)] = kind
    for struct in FILES["drivers/dma/qcom/hidma.h"]["structs"]:
        for name, kind in struct["fields"]:
            if kind in C_TYPES and (struct["name"], name) not in NOT_AN_ADDRESS:
                assert declared[camel(struct["name"]), name] == C_TYPES[kind], (struct["name"], name)
            assert (camel(struct["name"]), name) in declared, (struct["name"], name)


@pytest.mark.parametrize(("c_file", "driver"), [
    ("drivers/dma/qcom/hidma.c", channel.hidma_driver), ("drivers/dma/qcom/hidma_mgmt.c", mgmt.hidma_mgmt_driver),
])
def test_driver_has_its_name_and_ids(c_file: str, driver: Any) -> None:
    file = FILES[c_file]
    assert driver.name == file["driver_name"]
    assert [match.compatible for match in driver.of_match_table] == file["dt_ids"]
    assert [match.id for match in driver.acpi_match_table] == file["acpi_ids"]


def test_reset_module_has_its_ids_and_registers_the_function() -> None:
    file = FILES["drivers/vfio/platform/reset/vfio_platform_qcomhidma.c"]
    module = qcomhidma.module
    assert ([module.compat], [module.acpihid]) == (file["dt_ids"], file["acpi_ids"])
    assert module.name == "vfio_platform_qcomhidma"
    assert module.reset is qcomhidma.vfio_platform_qcomhidma_reset


def test_module_parameters_have_type_mode_and_default() -> None:
    for c_file, module in (("hidma.c", channel.module), ("hidma_mgmt.c", mgmt.module)):
        mine = [{"name": p.name, "type": p.type, "mode": p.perm, "default": p.default} for p in module.params]
        assert mine == FILES[f"drivers/dma/qcom/{c_file}"].get("module_params", [])


@pytest.mark.parametrize("name", sorted(set(PORT.values())))
def test_properties_are_the_ones_that_c_reads(name: str) -> None:
    files = [c_file for c_file, module in PORT.items() if module == name]
    tree = MODULES[files[0]].tree
    read = [ast.literal_eval(call.args[1])
            for function in ("device_property_read_u32", "device_property_read_string") for call in calls(tree, function)]
    assert sorted(read) == [each for c_file in files for each in FILES[c_file].get("properties", [])]


def test_bindings_have_no_property_that_nobody_reads() -> None:
    of_the_bus = {"compatible", "reg", "interrupts", "iommus"}
    for binding, c_file in (("mgmt", "drivers/dma/qcom/hidma_mgmt.c"), ("channel", "drivers/dma/qcom/hidma.c")):
        listed = set(INVENTORY["dt_binding_properties"][binding]) - of_the_bus
        assert listed == set(FILES[c_file]["properties"])


@ported
def test_exported_functions_are_public(c_file: str) -> None:
    for name in FILES[c_file].get("exported", []):
        assert ast.get_docstring(MODULES[c_file].functions[name]), name


def test_register_offset_without_a_name_stands_where_c_has_it() -> None:
    offsets = INVENTORY["raw_register_offsets_without_define"]
    assert offsets == {"drivers/dma/qcom/hidma.c": {"trca channel index": 0x28}}
    reads = calls(MODULES["drivers/dma/qcom/hidma.c"].functions["hidma_probe"], "readl")
    assert [ast.unparse(read.args[0]) for read in reads] == [f"dmadev.dev_trca + {0x28}"]


def events(layer: str, properties: dict[str, int]) -> list[Any]:
    """What a probe does."""
    scenario = {"layer": layer, "coherent": [1 << 31, 1 << 32], "properties": properties, "steps": [["probe"]]}
    return replay(Scenario("probe", scenario, None, None))


def test_files_of_the_management_device() -> None:
    burst = {"max-write-burst-bytes": 1024, "max-read-burst-bytes": 1024}
    most = {"max-write-transactions": 31, "max-read-transactions": 31}
    made = events("mgmt", {"dma-channels": 3, "channel-reset-timeout-cycles": 1280, **burst, **most})
    assert [[event[1], oct(event[2])] for event in made if event[0] == "sysfs"] == INVENTORY["sysfs"]["mgmt"]


def test_files_of_a_channel() -> None:
    made = events("channel", {})
    assert [[event[1], oct(event[2])] for event in made if event[0] == "sysfs"] == INVENTORY["sysfs"]["channel"]
    debugfs = [[event[1], event[2] if event[2] == "dir" else oct(event[2])] for event in made if event[0] == "debugfs"]
    assert debugfs == INVENTORY["debugfs"]["channel"]


def test_dma_device_says_what_it_can() -> None:
    wanted = INVENTORY["dma_device"]
    assert wanted["caps"] == ["DMA_MEMCPY"]
    made = events("channel", {})
    registered = next(event[2] for event in made if event[0] == "dma_register")
    assert (registered["caps"], registered["copy_align"]) == (1 << DMA_MEMCPY, wanted["copy_align"])
    assert next(event[2] for event in made if event[0] == "request_irq") == wanted["irq_name"]


def test_the_walk_of_the_architecture_page_names_functions_of_the_series_in_their_modules() -> None:
    text = (ROOT / "docs" / "architecture.rst").read_text()
    walk = text[text.index(".. walk::"):text.index("In the ring a TRE")]
    steps = [line.split("|")[1].strip() for line in walk.splitlines() if line.count("|") == 2]
    assert steps[0] == "channel.hidma_prep_dma_memcpy" and steps[-1] == "channel.hidma_process_completed"
    for step in steps:
        module, _, name = step.rpartition(".")
        if name.startswith("hidma_"):
            c_file = next(c_file for c_file, ported in PORT.items() if ported == module and c_file.endswith(".c"))
            assert name in MODULES[c_file].functions, step
    for name in set(re.findall(r"``(hidma_\w+)\(\)``", walk)):
        assert any(name in module.functions for module in MODULES.values()), name
