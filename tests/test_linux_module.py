# SPDX-License-Identifier: GPL-2.0-only
"""Modules: parameters, loading and unloading, what they keep at file scope."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from linux_rig import Rig

import hidma
from hidma.linux import dmatest
from hidma.linux.debugfs import Dentry
from hidma.linux.errno import EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC, EPERM, ERANGE
from hidma.linux.kobject import Kobject
from hidma.linux.module import (
    Module,
    ModuleParam,
    ModuleParamCb,
    load_module,
    module_put,
    module_refcount,
    modules,
    try_module_get,
    unload_module,
    users,
)

PARAMS = (
    ModuleParam("count", "uint", 0o644, 3, "a number"),
    ModuleParam("offset", "int", 0o644, -1),
    ModuleParam("address", "ulong", 0o444, 0),
    ModuleParam("loud", "bool", 0o644, False),
    ModuleParam("name", "charp", 0o644, "none"),
)


def module(log: list[str] | None = None, rc: int = 0, exit: bool = True) -> Module:
    said: list[str] = [] if log is None else log

    def init() -> int:
        said.append("init")
        return rc

    return Module("test", init, (lambda: said.append("exit")) if exit else None, PARAMS)


def values(rig: Rig) -> dict[str, Any]:
    return {p.name: getattr(rig.kernel.module("test"), p.name) for p in PARAMS}


def test_parameters_have_defaults_and_take_strings(rig: Rig) -> None:
    assert load_module(rig.kernel, module()) == 0
    assert values(rig) == {"count": 3, "offset": -1, "address": 0, "loud": False, "name": "none"}
    unload_module(rig.kernel, "test")
    params = {"count": "0x10", "offset": "-7", "address": "18446744073709551615", "loud": "Y", "name": "dma0chan0"}
    assert load_module(rig.kernel, module(), params) == 0
    assert values(rig) == {"count": 16, "offset": -7, "address": 2**64 - 1, "loud": True, "name": "dma0chan0"}


@pytest.mark.parametrize(("name", "text", "rc"), [
    ("count", "-1", -EINVAL), ("count", "abc", -EINVAL), ("count", "", -EINVAL), ("count", "4294967296", -ERANGE),
    ("count", "1_0", -EINVAL), ("count", " 1", -EINVAL), ("offset", "2147483648", -ERANGE), ("offset", "--1", -EINVAL),
    ("address", "18446744073709551616", -ERANGE), ("loud", "on", -EINVAL), ("loud", "", -EINVAL),
])
def test_a_value_that_does_not_fit_keeps_the_module_out(rig: Rig, name: str, text: str, rc: int) -> None:
    log: list[str] = []
    assert load_module(rig.kernel, module(log), {name: text}) == rc
    assert log == []
    assert rig.log() == [f"test: `{text}' invalid for parameter `{name}'"]
    assert modules(rig.kernel) == []
    assert load_module(rig.kernel, module(log)) == 0
    assert values(rig)["count"] == 3


def test_a_string_that_is_too_long_is_refused(rig: Rig) -> None:
    assert load_module(rig.kernel, module(), {"name": "x" * 1025}) == -ENOSPC
    assert "too large for parameter `name'" in rig.log()[0]
    assert load_module(rig.kernel, module(), {"name": "x" * 1024}) == 0


def test_a_name_without_a_value_sets_a_bool_only(rig: Rig) -> None:
    assert load_module(rig.kernel, module(), {"count": None}) == -EINVAL
    assert load_module(rig.kernel, module(), {"loud": None}) == 0
    assert values(rig)["loud"] is True


def test_an_unknown_parameter_is_ignored_with_a_warning(rig: Rig) -> None:
    assert load_module(rig.kernel, module(), {"speed": "9", "count": "4"}) == 0
    assert rig.log() == ["test: unknown parameter 'speed' ignored"]
    assert values(rig)["count"] == 4


def test_a_module_is_loaded_once(rig: Rig) -> None:
    log: list[str] = []
    m = module(log)
    assert load_module(rig.kernel, m) == 0
    assert load_module(rig.kernel, m) == -EEXIST
    assert log == ["init"]
    assert modules(rig.kernel) == [m]


def test_a_module_whose_init_fails_is_not_there(rig: Rig) -> None:
    assert load_module(rig.kernel, module(rc=-ENODEV)) == -ENODEV
    assert modules(rig.kernel) == []
    assert unload_module(rig.kernel, "test") == -ENOENT


def test_unloading_runs_exit_and_forgets_what_was_kept(rig: Rig) -> None:
    log: list[str] = []
    assert unload_module(rig.kernel, "test") == -ENOENT
    load_module(rig.kernel, module(log))
    rig.kernel.module("test").counter = 5
    assert unload_module(rig.kernel, "test") == 0
    assert log == ["init", "exit"]
    assert not hasattr(rig.kernel.module("test"), "counter")


def test_a_module_without_exit_stays(rig: Rig) -> None:
    load_module(rig.kernel, module(exit=False))
    assert unload_module(rig.kernel, "test") == -EBUSY
    assert [m.name for m in modules(rig.kernel)] == ["test"]


def test_each_kernel_keeps_its_own(rig: Rig) -> None:
    guest = rig.boot("guest")
    load_module(rig.kernel, module(), {"count": "1"})
    load_module(guest, module(), {"count": "2"})
    assert (rig.kernel.module("test").count, guest.module("test").count) == (1, 2)


# --- references -------------------------------------------------------------------------------------------------------


def test_module_that_is_held_is_not_unloaded(rig: Rig) -> None:
    base = Module("base", lambda: 0, lambda: None)
    user = Module("user", lambda: 0, lambda: None, depends=("base",))
    assert not try_module_get(base)
    assert load_module(rig.kernel, base) == load_module(rig.kernel, user) == 0
    assert unload_module(rig.kernel, "base") == -EAGAIN
    assert users(rig.kernel, "base") == ["user"]
    assert try_module_get(user) and module_refcount(rig.kernel, "user") == 1
    assert unload_module(rig.kernel, "user") == -EAGAIN
    module_put(user)
    assert unload_module(rig.kernel, "user") == unload_module(rig.kernel, "base") == 0


def test_module_that_goes_is_not_held(rig: Rig) -> None:
    got: list[bool] = []
    module = Module("going", lambda: 0, lambda: got.append(try_module_get(module)))
    assert load_module(rig.kernel, module) == 0
    assert unload_module(rig.kernel, "going") == 0
    assert got == [False]


def test_letting_go_too_often_is_complained_about(rig: Rig) -> None:
    module = Module("m", lambda: 0, lambda: None)
    load_module(rig.kernel, module)
    module_put(module)
    assert module_refcount(rig.kernel, "m") == -1
    assert not try_module_get(module)
    module_put(module)
    assert "WARNING: module_put: nobody holds m" in rig.log()
    assert try_module_get(None)
    module_put(None)


# --- files and the functions behind them ------------------------------------------------------------------------------


def file_functions() -> set[str]:
    """``module.function`` of every function of the port that C binds to a file: shows and stores of attributes, open
    functions of debugfs, and the set and get functions of module parameters. Found by their parameters and names."""
    found = set()
    for source in ("mgmt_sys", "channel", "dbg", "linux/dmatest"):
        path = Path(hidma.__file__).parent / f"{source}.py"
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                types = [ast.unparse(a.annotation) for a in node.args.args if a.annotation is not None]
                attribute = {"DeviceAttribute", "KobjAttribute"} & set(types) and "buf" in {a.arg for a in node.args.args}
                debugfs = types == ["SeqFile"] and node.name.endswith("_open")
                parameter = re.match(r"(dmatest|wait)_\w*(get|set)$", node.name)
                if attribute or debugfs or parameter:
                    found.add(f"hidma.{source.replace('/', '.')}.{node.name}")
    return found


def bound_functions(machine: hidma.Machine) -> set[str]:
    """``module.function`` of what the files of a machine call."""
    found: list[Any] = []

    def objects(kobj: Kobject) -> None:
        for bound in kobj.attributes.values():
            found.extend((bound.attr.show, bound.attr.store))
        for child in kobj.children.values():
            objects(child)

    def dentries(dentry: Dentry) -> None:
        found.append(dentry.fops and dentry.fops.open)
        for child in dentry.children.values():
            dentries(child)

    objects(machine.kernel.sysfs_root)
    dentries(machine.kernel.debugfs_root)
    for module in machine.modules():
        for param in module.params:
            if param.perm and isinstance(param, ModuleParamCb):
                found.extend((param.set, param.get))
    return {f"{function.__module__}.{function.__name__}" for function in found if function is not None}


def test_every_function_that_c_binds_to_a_file_serves_one() -> None:
    with hidma.boot() as machine:
        with machine.running() as kernel:
            assert load_module(kernel, dmatest.module) == 0
        wanted = file_functions()
        assert len(wanted) >= 13, wanted
        assert wanted - bound_functions(machine) == set()


def test_reading_a_parameter_calls_its_get_function_and_writing_its_set_function(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    param = ModuleParamCb("knob", "string", 0o644, set=lambda text: called.append(text) or 0, get=lambda: "from get\n")
    deaf = ModuleParamCb("deaf", "string", 0o644)
    with hidma.boot() as machine:
        with machine.running() as kernel:
            assert load_module(kernel, Module("knobs", init=lambda: 0, params=(param, deaf))) == 0
        path = "/sys/module/knobs/parameters"
        assert machine.sysfs[f"{path}/knob"] == "from get\n"
        machine.sysfs[f"{path}/knob"] = "on"
        assert called == ["on"]
        with pytest.raises(OSError) as error:
            machine.sysfs[f"{path}/deaf"]
        assert error.value.errno == EPERM
