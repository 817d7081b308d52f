# SPDX-License-Identifier: GPL-2.0-only
"""Reset plugins: found by the name of their entry point, imported when they are asked for, checked when they are loaded; what
is wrong with one is one sentence, and the host goes on."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vfio_rig import DEVICE, Owner

import hidma
from hidma import vm
from hidma.linux.list import list_for_each_entry
from hidma.plugin import hookspecs, sources, watchdog
from hidma.plugin import loading as plugins
from hidma.vfio_platform import reset_list

GOOD = '''
from hidma.hookspecs import hookimpl
from hidma.vfio_platform import module_vfio_reset_handler

calls = []

def stop(vdev):
    calls.append(vdev.name)
    return {result}

module = module_vfio_reset_handler({compat!r}, {hid!r}, stop)

@hookimpl
def hidma_reset_module():
    return module
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install(module, text, names...)``: a package with entry points, on the path until the test ends."""
    made: list[str] = []

    def put(module: str, text: str, *names: str, dist: str = "") -> None:
        place = tmp_path / (dist or module)
        place.mkdir()
        (place / f"{module}.py").write_text(text)
        info = place / f"{dist or module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist or module}\nVersion: 1.2\n")
        entries = "".join(f"{name} = {module}\n" for name in names)
        (info / "entry_points.txt").write_text(f"[hidma.reset]\n{entries}")
        monkeypatch.syspath_prepend(str(place))
        made.append(module)

    yield put
    for module in made:
        sys.modules.pop(module, None)


def broken(module: str) -> str:
    """What is wrong with the plugin that matches ``x,y``."""
    (found,) = sources.find("x,y")
    with pytest.raises(sources.PluginError) as error:
        plugins.plugin(found)
    text = str(error.value)
    assert text.startswith(f"reset plugin 'x,y' of {module} 1.2 ({module})")
    assert "\n" not in text
    return text


# --- finding ------------------------------------------------------------------------------------------------------------


def test_bundled_plugins_are_found_by_what_they_match() -> None:
    found = {each.name: each.module_name for each in sources.installed() if each.distribution.startswith("hidma ")}
    assert found == {"qcom,hidma-1.0": "vfio_platform_qcomhidma", "QCOM8061": "vfio_platform_qcomhidma",
                     "amd,xgbe-seattle-v1a": "vfio_platform_amdxgbe", "calxeda,hb-xgmac": "vfio_platform_calxedaxgmac"}


@pytest.mark.parametrize("name", ["vfio-reset:qcom,hidma-1.0", "qcom,hidma-1.0", "QCOM8061", "vfio_platform_qcomhidma",
                                  "vfio-platform-qcomhidma"])
def test_plugin_is_asked_for_by_alias_match_or_module(name: str) -> None:
    (found,) = sources.find(name)
    assert found.value == "reset_plugins.qcomhidma"


def test_alias_is_compared_with_the_match_only() -> None:
    assert sources.find("vfio-reset:vfio_platform_qcomhidma") == []
    assert sources.find("vfio-reset:(null)") == []


def test_only_the_plugin_that_is_asked_for_is_imported(install: Install) -> None:
    install("plug_a", GOOD.format(result=0, compat="x,y", hid=None), "x,y")
    install("plug_b", "raise RuntimeError('nobody asked')", "z,z")
    sources.installed()
    plugins.plugin(sources.find("x,y")[0])
    assert "plug_a" in sys.modules and "plug_b" not in sys.modules


# --- checking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "sentence"), [
    (GOOD.format(result=0, compat=None, hid=None), "are both None"),
    (GOOD.format(result=0, compat="other,one", hid=None), "the reset function is for 'other,one'"),
    (GOOD.format(result=0, compat=7, hid=None), "its compatible string is 7"),
    (GOOD.format(result=0, compat="", hid="X"), "its compatible string is ''"),
    (GOOD.format(result=0, compat="x,y", hid=None).replace("def stop(vdev)", "def stop()"), "stop(), and has to take one argument"),
    (GOOD.format(result=0, compat="x,y", hid=None).replace("def stop(vdev)", "def stop(vdev, more)"), "stop(vdev, more)"),
    (GOOD.format(result=0, compat="x,y", hid=None).replace("def stop", "async def stop"), "coroutine"),
    (GOOD.format(result=0, compat="x,y", hid=None).replace("y', None, stop)", "y', None, len)").replace(
        "return module\n", "return 5\n"), "returns 5, not what module_vfio_reset_handler"),
    (GOOD.format(result=0, compat="x,y", hid=None).replace("return module\n", "raise OSError('no')\n"),
     "hidma_reset_module() fails: OSError: no"),
    (GOOD.format(result=0, compat="x,y", hid=None).replace("hidma_reset_module()", "hidma_reset_module(kernel)"),
     "does not fit the hooks of hidma"),
    (GOOD.format(result=0, compat="x,y", hid=None).replace("hidma_reset_module", "hidma_something"), "does not fit the hooks"),
    ("", "implements no hook hidma_reset_module()"),
    ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
    ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
    ("import no_such_module_at_all", "cannot be imported: ModuleNotFoundError"),
    (GOOD.format(result=0, compat="x,y", hid=None) + "\n@hookimpl\ndef hidma_hookspec_version():\n    return 2\n",
     "is written for version 2 of the hooks, and this hidma has version 1"),
], ids=range(16))
def test_what_is_wrong_is_one_sentence(install: Install, text: str, sentence: str) -> None:
    install("plug_bad", text, "x,y")
    assert sentence in broken("plug_bad")


def test_unusable_plugin_is_an_errno_and_a_line_and_the_host_goes_on(install: Install) -> None:
    install("plug_bad", "1 / 0", "qcom,other")
    with hidma.boot() as machine:
        with pytest.raises(OSError, match="ZeroDivisionError") as error:
            machine.modprobe("qcom,other")
        assert error.value.errno == errno.EINVAL
        assert "reset plugin 'qcom,other' of plug_bad 1.2 (plug_bad) cannot be imported" in machine.dmesg()
        assert machine.kernel.dead is None


def test_hooks_are_documented_with_their_signature() -> None:
    import inspect

    docs = (Path(__file__).parents[1] / "docs" / "reset-plugins.rst").read_text()
    names = [name for name in vars(hookspecs) if name.startswith("hidma_")]
    assert names
    for name in names:
        parameters = ", ".join(inspect.signature(getattr(hookspecs, name)).parameters)
        assert f"``{name}({parameters})``" in docs, name


def test_version_of_the_hooks_is_documented() -> None:
    docs = (Path(__file__).parents[1] / "docs" / "reset-plugins.rst").read_text()
    assert f"version {hookspecs.HOOKSPEC_VERSION}" in docs


# --- running ------------------------------------------------------------------------------------------------------------


def registered(machine: hidma.Machine) -> list[str]:
    """The modules on the list of reset functions, in its order."""
    with machine.running():
        return [node.owner.name for node in list_for_each_entry(reset_list())]


def test_binding_loads_the_plugin_and_registers_what_it_says() -> None:
    with hidma.boot() as machine:
        assert "vfio_platform_qcomhidma" not in [module.name for module in machine.modules()]
        vm.assign(machine, DEVICE)
        assert "vfio_platform_qcomhidma" in [module.name for module in machine.modules()]
        with machine.running():
            (node,) = list_for_each_entry(reset_list())
        assert (node.compat, node.acpihid) == ("qcom,hidma-1.0", "QCOM8061")


def test_on_acpi_the_plugin_has_to_be_loaded_before() -> None:
    with hidma.boot("acpi") as machine:
        asked: list[Any] = []
        machine.watch(lambda event: asked.append(event[1]) if event[0] == "request_module" else None)
        vm.assign(machine, "QCOM8061:00")
        machine.watch(None)
        assert asked == ["vfio-reset:(null)"]
        assert registered(machine) == []
        vm.release(machine, "QCOM8061:00")
        machine.modprobe("QCOM8061")
        owner = Owner(machine, "QCOM8061:00")
        assert owner.device.info().flags == 5
        assert "HIDMA channel reset" in machine.dmesg()


def test_of_two_that_match_the_last_one_registered_wins_and_both_are_named(install: Install) -> None:
    install("plug_a", GOOD.format(result=0, compat="qcom,hidma-1.0", hid=None), "qcom,hidma-1.0", dist="aaa")
    with hidma.boot() as machine:
        owner = Owner(machine)
        assert registered(machine) == ["plug_a", "vfio_platform_qcomhidma"]
        (line,) = [line.text for line in machine.kernel.log if "row 31" in line.text]
        assert line.startswith("reset plugin 'qcom,hidma-1.0' of aaa 1.2 (plug_a)")
        assert "of hidma " in line and "so this one" in line
        assert owner.device.info().flags == 5
        assert sys.modules["plug_a"].calls == ["hidma"]


def test_only_the_first_compatible_string_is_looked_at(install: Install) -> None:
    install("plug_a", GOOD.format(result=0, compat="first,one", hid=None), "first,one")
    with hidma.boot() as machine:
        dev = next(dev for dev in machine.kernel.buses["platform"].devices if dev.name == DEVICE)
        dev.fwnode.properties["compatible"] = b"first,one\0qcom,hidma-1.0\0"
        Owner(machine)
        assert registered(machine) == ["plug_a"]
        assert sys.modules["plug_a"].calls == ["hidma"]


@pytest.mark.parametrize(("result", "code", "said"), [
    ("1 / 0", errno.EIO, "fails with -EIO: ZeroDivisionError: division by zero"),
    ("None", errno.EINVAL, "returns None in place of 0 or a negative errno"),
    ("True", errno.EINVAL, "returns True in place of 0"),
    ("vdev.regions[9].ioaddr", errno.EIO, "fails with -EIO: AttributeError"),
    ("__import__('hidma.linux.io', fromlist=['readl']).readl(0x10)", errno.EFAULT, "fails with -EFAULT"),
    ("-5", errno.EIO, ""),
])
def test_reset_that_goes_wrong_is_a_negative_errno(install: Install, result: str, code: int, said: str) -> None:
    install("plug_a", GOOD.format(result=result, compat="x,y", hid=None), "x,y")
    with hidma.boot() as machine:
        dev = next(dev for dev in machine.kernel.buses["platform"].devices if dev.name == DEVICE)
        dev.fwnode.properties["compatible"] = b"x,y\0"
        owner = Owner(machine)  # open ignores what the reset returns (row 33)
        with pytest.raises(OSError) as error:
            owner.device.reset()
        assert error.value.errno == code
        if said:
            assert any(said in line.text and "reset plugin 'x,y' of plug_a 1.2 (plug_a)" in line.text
                       for line in machine.kernel.log)
        owner.hypervisor.exit()
        assert machine.kernel.dead is None
        chan = machine.dma.request_channel()
        source, dest = machine.alloc(64), machine.alloc(64)
        chan.memcpy(dest, source, 64).wait()


def test_plugin_is_unloaded_with_its_registration(install: Install) -> None:
    install("plug_a", GOOD.format(result=0, compat="x,y", hid="XX0001"), "x,y", "XX0001")
    with hidma.boot() as machine:
        machine.modprobe("XX0001")
        assert registered(machine) == ["plug_a"]
        with pytest.raises(OSError, match="EEXIST"):
            machine.modprobe("x,y")
        machine.rmmod("plug_a")
        assert registered(machine) == []


def test_of_several_plugins_one_that_is_loaded_already_is_no_failure(install: Install) -> None:
    install("plug_a", GOOD.format(result=0, compat="x,y", hid=None), "x,y")
    install("plug_b", GOOD.format(result=0, compat="x,y", hid=None), "x,y")
    with hidma.boot() as machine:
        machine.modprobe("plug_a")
        machine.modprobe("x,y")
        assert sorted(registered(machine)) == ["plug_a", "plug_b"]
        machine.modprobe("x,y")
        assert sorted(registered(machine)) == ["plug_a", "plug_b"]


def test_of_several_plugins_one_that_fails_fails_the_command_and_the_others_are_loaded(install: Install) -> None:
    install("plug_a", "1 / 0", "x,y")
    install("plug_b", GOOD.format(result=0, compat="x,y", hid=None), "x,y")
    with hidma.boot() as machine:
        with pytest.raises(OSError) as error:
            machine.modprobe("x,y")
        assert error.value.errno == errno.EINVAL
        assert "of plug_a 1.2 (plug_a) cannot be imported: ZeroDivisionError" in machine.dmesg()
        assert registered(machine) == ["plug_b"]


def test_two_kernels_have_their_own_lists() -> None:
    with hidma.boot() as one, hidma.boot() as two:
        one.modprobe("QCOM8061")
        assert registered(one) == ["vfio_platform_qcomhidma"]
        assert registered(two) == []


def test_parameters_are_refused() -> None:
    with hidma.boot() as machine, pytest.raises(OSError, match="has no parameters"):
        machine.modprobe("QCOM8061", {"a": "1"})


# --- by path, disabled, broken metadata ---------------------------------------------------------------------------------


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``chosen(paths, disabled)``: as ``hidma --plugin`` and ``--no-plugin``, until the test ends."""
    monkeypatch.setattr(sources, "choice", sources.Choice())
    return sources.choose


def test_a_plugin_by_path_wins_and_one_that_is_disabled_is_left_alone(tmp_path: Path, chosen: Callable[..., None]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD.format(result=0, compat="qcom,hidma-1.0", hid=None))
    chosen([str(path)])
    assert [source.origin for source in sources.find("qcom,hidma-1.0")] == [sources.BUNDLED, sources.NAMED]
    with hidma.boot() as machine:
        Owner(machine)
        assert registered(machine) == ["mine", "vfio_platform_qcomhidma"]
    chosen((), ["hidma"])
    with hidma.boot() as machine:
        Owner(machine)
        assert registered(machine) == ["mine"]
    chosen((), ["mine"])
    assert sources.find("qcom,hidma-1.0") == []


def test_a_path_of_the_environment_is_taken_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text(GOOD.format(result=0, compat="x,y", hid="XX0001"))
    monkeypatch.setenv("HIDMA_PLUGINS", f"{tmp_path / 'pack'}:{tmp_path / 'gone.py'}")
    assert [source.name for source in sources.installed() if source.origin == sources.NAMED] == ["x,y", "XX0001"]
    assert sources.found_now()[1] == [f"there is no file or directory {tmp_path / 'gone.py'}"]


def test_broken_metadata_of_one_distribution_is_a_sentence_and_the_others_are_found(install: Install, tmp_path: Path) -> None:
    install("plug_a", GOOD.format(result=0, compat="x,y", hid=None), "x,y")
    install("plug_b", "", "z,z")
    (tmp_path / "plug_b" / "plug_b-1.2.dist-info" / "entry_points.txt").write_bytes(b"[hidma.reset]\n\xff\xfe = plug_b\n")
    found, said = sources.found_now()
    assert "x,y" in {source.name for source in found}
    (sentence,) = said
    assert sentence.startswith("the metadata of plug_b-1.2.dist-info cannot be read, and its plugins are left out: Unicode")


def test_two_modules_of_one_name_are_two_plugins(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, compat in (("aaa", "x,a"), ("bbb", "x,b")):
        place = tmp_path / f"{package}-place"
        (place / package).mkdir(parents=True)
        (place / package / "__init__.py").write_text("")
        (place / package / "reset.py").write_text(GOOD.format(result=0, compat=compat, hid=None))
        info = place / f"{package}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[hidma.reset]\n{compat} = {package}.reset\n")
        monkeypatch.syspath_prepend(str(place))
    with hidma.boot() as machine:
        machine.modprobe("x,a")
        machine.modprobe("x,b")
        assert registered(machine) == ["bbb.reset", "aaa.reset"]


def test_a_name_that_another_module_has_is_said(tmp_path: Path, chosen: Callable[..., None]) -> None:
    for folder, compat in (("one", "x,a"), ("two", "x,b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(GOOD.format(result=0, compat=compat, hid=None))
    chosen([str(tmp_path / "one" / "same.py"), str(tmp_path / "two" / "same.py")])
    with hidma.boot() as machine:
        machine.modprobe("x,a")
        with pytest.raises(OSError, match="EEXIST"):
            machine.modprobe("x,b")
        assert "is loaded as same already (EEXIST); rmmod same unloads that one" in machine.dmesg()


# --- resets that do not return, and models that fail ----------------------------------------------------------------------


@pytest.mark.skipif(sys.gettrace() is not None, reason="something traces already, and then there is no limit")
@pytest.mark.parametrize(("body", "code", "said"), [
    ("while True: pass", errno.ETIMEDOUT, "it does not end: 2000000 instructions were executed"),
    ("while True: delay.mdelay(100)", errno.ETIMEDOUT, "BUG: soft lockup - CPU#0 stuck for 20s!"),
    ("while True: delay.msleep(100)", errno.ETIMEDOUT, "it does not end: it has taken 120 s"),
    ("raise SystemExit(3)", errno.EIO, "SystemExit: 3 (plug_a.py, line "),
    ("raise KeyboardInterrupt", errno.EINTR, "KeyboardInterrupt"),
    ("return 5", errno.EINVAL, "returns 5 in place of 0 or a negative errno"),
    ("return -4096", errno.EINVAL, "returns -4096 in place of 0 or a negative errno"),
    ("mutex.mutex_lock(mutex.DEFINE_MUTEX('acme', 'own')); return -5", errno.EIO, "ends with own held, which is released"),
], ids=["loop", "spin", "sleep", "exit", "interrupt", "positive", "large", "lock"])
def test_reset_that_does_not_return_leaves_no_lock_held(install: Install, body: str, code: int, said: str) -> None:
    text = GOOD.format(result=0, compat="x,y", hid=None).replace(
        "    return 0\n", f"    from hidma.linux import delay, mutex\n    {body}\n")
    install("plug_a", text, "x,y")
    with hidma.boot() as machine:
        dev = next(dev for dev in machine.kernel.buses["platform"].devices if dev.name == DEVICE)
        dev.fwnode.properties["compatible"] = b"x,y\0"
        owner = Owner(machine)
        with pytest.raises(OSError) as error:
            owner.device.reset()
        assert error.value.errno == code
        assert any(said in line.text and "reset plugin 'x,y' of plug_a 1.2 (plug_a)" in line.text for line in machine.kernel.log)
        owner.hypervisor.exit()
        vm.release(machine, DEVICE)
        assert machine.kernel.dead is None and dict(machine.devices())[DEVICE] == "hidma"


@pytest.mark.slow
def test_an_import_or_a_hook_that_does_not_end_is_ended(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """By processor time: no other test depends on it."""
    monkeypatch.setattr(watchdog, "LONGEST_CPU_S", 0.2)
    monkeypatch.setattr(watchdog, "TICK_S", 0.05)
    install("plug_a", "while True: pass\n", "x,y")
    assert broken("plug_a").endswith("cannot be imported: it does not end: it has taken 0.2 s of processor time, and it goes on "
                                     "(plug_a.py, line 1)")
    install("plug_b", GOOD.format(result=0, compat="v,w", hid=None).replace("    return module", "    while True: pass"), "v,w")
    with hidma.boot() as machine:
        with pytest.raises(OSError, match=r"its hook hidma_reset_module\(\) fails: it does not end"):
            machine.modprobe("v,w")
        assert machine.kernel.dead is None


def test_of_several_that_are_loaded_the_reason_is_that_of_the_one_that_failed(install: Install) -> None:
    install("plug_a", "1 / 0\n", "x,y")
    install("plug_b", GOOD.format(result=0, compat="x,y", hid=None), "x,y")
    install("plug_c", GOOD.format(result=0, compat="x,y", hid=None), "x,y")
    with hidma.boot() as machine:
        with pytest.raises(OSError, match="plug_a 1.2 .*ZeroDivisionError"):
            machine.modprobe("x,y")
        assert registered(machine) == ["plug_c", "plug_b"]


def test_a_plugin_in_use_is_not_unloaded(install: Install) -> None:
    install("plug_a", GOOD.format(result=0, compat="qcom,hidma-1.0", hid=None), "qcom,hidma-1.0")
    with hidma.boot() as machine:
        owner = Owner(machine)
        with pytest.raises(OSError, match="it is held") as error:
            machine.rmmod("plug_a")
        assert error.value.errno == errno.EBUSY
        owner.hypervisor.exit()
        vm.release(machine, DEVICE)
        machine.rmmod("plug_a")
        assert registered(machine) == ["vfio_platform_qcomhidma"]


MODEL = '''
from hidma.hookspecs import hookimpl
from hidma.testing import DeviceModel

hidma_model_names = ("acme,frobnicator-1.0",)

class Frob(DeviceModel):
    def read(self, region, offset):
        return {read}

class Bare(DeviceModel):
    def __init__(self):
        pass

class Nowhere(DeviceModel):
    def place(self, bus, bases, line, stream):
        return []

@hookimpl
def hidma_device_model(stuck):
    print("built")
    return {model}
'''
CASES = Path(__file__).parent / "data" / "firmware" / "cases"


@pytest.mark.parametrize(("read", "model", "said"), [
    ("1 / 0", "Frob()", "the model of /frobnicator@a000000 fails: ZeroDivisionError: division by zero (mine.py, line 9)"),
    ("'text'", "Frob()", "the model of /frobnicator@a000000 fails: TypeError"),
    ("0", "5", "its hook hidma_device_model() returns 5, not a hidma.testing.DeviceModel; the device has no model."),
    ("0", "1 / 0", "its hook hidma_device_model() fails: ZeroDivisionError: division by zero (mine.py, line 22); the device"),
    ("0", "Bare()", "the __init__() of its model Bare does not call that of DeviceModel; the device has no model."),
    ("0", "Nowhere()", "its model cannot be built: ValueError: its place() leaves out that of DeviceModel"),
    ("[0 for _ in iter(int, 1)]", "Frob()", "the model of /frobnicator@a000000 fails: TimeoutError: it does not end: it has taken"),
])
def test_a_model_that_is_none_is_one_sentence(tmp_path: Path, chosen: Callable[..., None], capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch, read: str, model: str, said: str) -> None:
    monkeypatch.setattr(watchdog, "LONGEST_CPU_S", 0.2)
    monkeypatch.setattr(watchdog, "TICK_S", 0.05)
    path = tmp_path / "mine.py"
    path.write_text(MODEL.format(read=read, model=model))
    chosen([str(path)])
    with hidma.boot(CASES / "06-own-device-no-group.dts") as machine:
        vm.assign(machine, "a000000.frobnicator")
        owner = Owner(machine, "a000000.frobnicator")
        value = owner.device.read(0, 0, 4)
        assert value == (b"\xff" * 4 if model == "Frob()" else bytes(4))
        owner.device.read(0, 0, 4)
        assert sum(said in line for line in (*machine.notes, *machine.dmesg().splitlines())) == 1
        assert machine.kernel.dead is None
    assert capsys.readouterr().out == ""


# --- boards of anybody ------------------------------------------------------------------------------------------------------


def test_an_own_device_behind_an_iommu_has_a_group_and_is_looked_up() -> None:
    with hidma.boot(CASES / "06-own-device-no-group.dts") as machine:
        asked: list[Any] = []
        machine.watch(lambda event: asked.append(event[1]) if event[0] == "request_module" else None)
        vm.assign(machine, "a000000.frobnicator")
        machine.watch(None)
        assert asked == ["vfio-reset:acme,frobnicator-1.0"]
        assert machine.sysfs.listdir("/sys/kernel/iommu_groups") == ["0"]
        vm.release(machine, "a000000.frobnicator")
        assert dict(machine.devices())["a000000.frobnicator"] == ""


def test_a_board_without_an_iommu_has_no_group() -> None:
    with hidma.boot(CASES / "08-no-iommu-has-group.dts") as machine:
        machine.modprobe("vfio-platform")
        before = sorted(machine.devices())
        with pytest.raises(OSError) as error:
            vm.assign(machine, "fff50000.ethernet")
        assert sorted(machine.devices()) == before
        assert machine.sysfs["/sys/bus/platform/devices/fff50000.ethernet/driver_override"] == "(null)\n"
        assert error.value.errno == errno.ENODEV
        assert "VFIO: No IOMMU group for device fff50000.ethernet" in machine.dmesg()
        assert machine.sysfs.listdir("/sys/kernel/iommu_groups") == []


@pytest.mark.parametrize("name", ["03-no-memory.dts", "04-controller-in-ram.dts", "09-region-address.asl"])
def test_what_a_kernel_boots_is_booted(name: str) -> None:
    with hidma.boot(CASES / name) as machine:
        assert machine.kernel.dead is None and list(machine.devices())


def test_a_device_is_used_on_a_board_of_every_shape(tmp_path: Path, chosen: Callable[..., None]) -> None:
    """What keeps other nodes from being built keeps nothing from a device that can be."""
    path = tmp_path / "mine.py"
    path.write_text(MODEL.format(read="0x1234", model="Frob()").replace("acme,frobnicator-1.0", "example,dma"))
    chosen([str(path)])
    with hidma.boot(CASES.parent / "shapes.dts") as machine:
        assert {"10400000.gpio", "10500000.syscon:clocks", "11100000.i2c", "15000000.dma", "16000000.pcie"} <= {
            name for name, _ in machine.devices()}
        assert machine.sysfs.listdir("/sys/bus/amba/devices") == ["11000000.serial"]
        vm.assign(machine, "15000000.dma")
        assert Owner(machine, "15000000.dma").device.read(0, 0, 4) == b"\x34\x12\0\0"
        for name in ("15100000.gpu", "15200000.vpu", "11100000.i2c"):  # its IOMMU is disabled, is none, and there is none
            with pytest.raises(OSError, match=f"No IOMMU group for device {name}|probe of {name} failed with error -22"):
                vm.assign(machine, name)
        assert machine.sysfs.listdir("/sys/kernel/iommu_groups") == ["0"]
        assert machine.kernel.dead is None


def test_the_timer_of_the_limits_ends_with_the_process() -> None:
    """SIGALRM would kill it when Python's handlers are gone."""
    script = ("import atexit, signal\n"
              "atexit.register(lambda: print(signal.getitimer(signal.ITIMER_REAL)))\n"
              "from hidma.plugin.watchdog import in_time\n"
              "with in_time():\n"
              "    print(signal.getitimer(signal.ITIMER_REAL)[1])\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1.0\n(0.0, 0.0)\n"), done
