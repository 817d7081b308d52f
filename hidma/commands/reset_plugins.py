# SPDX-License-Identifier: GPL-2.0-only
"""``hidma reset-plugins``: which reset plugins are installed, how the lookup for a device goes, whether a plugin is any good,
and a new one to begin with. It stands for no C file.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import keyword
import re
import signal
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import click

from hidma.plugin import loading
from hidma.plugin.hookspecs import ENTRY_POINT_GROUP, HOOKSPEC_VERSION
from hidma.plugin.loading import Found, Plugin, PluginError

FAILED = 1
HANGS_S = 60


@click.group("reset-plugins")
def reset_plugins() -> None:
    """Reset functions of devices that are given to guests: list, explain, check, new.

    A reset plugin is a Python package with an entry point whose name is what a device is matched by: its compatible string or
    its ACPI hardware ID. Only the one that is asked for is imported.
    """


def refuse(sentence: str) -> click.ClickException:
    """An error of one sentence."""
    return click.ClickException(sentence)


# --- list -----------------------------------------------------------------------------------------------------------------


@reset_plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_command(as_json: bool) -> int:
    """Show the plugins that are installed. None of them is imported."""
    found = loading.installed()
    if as_json:
        click.echo(json.dumps([{"match": each.name, "module": each.module_name, "value": each.value,
                                "distribution": each.distribution} for each in found], indent=2))
        return 0
    rows = [("MATCH", "MODULE", "DISTRIBUTION"), *((each.name, each.module_name, each.distribution) for each in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for row in rows:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[2]]))
    names = [each.name for each in found]
    for name in sorted({name for name in names if names.count(name) > 1}):
        both = " and ".join(each.distribution for each in found if each.name == name)
        click.echo(f"note: {name!r} is in {both}: both are loaded, and of two that match V14 takes the one registered last "
                   "(row 31)")
    return 0


# --- explain --------------------------------------------------------------------------------------------------------------


@reset_plugins.command("explain")
@click.argument("device")
@click.option("--board", default="host", show_default=True, metavar="NAME|FILE", help="The board that the device is on.")
@click.option("--modprobe", "before", multiple=True, metavar="PLUGIN",
              help="Load this plugin before, as modprobe does. May be repeated.")
def explain(device: str, board: str, before: tuple[str, ...]) -> int:
    """Tell, step by step, how VFIO looks for the reset function of DEVICE (such as hidma.0).

    A machine is booted for it, and the device bound to vfio-platform there.
    """
    from hidma.machine.boot import boot

    with boot(board) as machine:
        names = [name for name, _ in machine.devices()]
        if device not in names:
            raise refuse(f"there is no device {device!r} on this board; there are {', '.join(names)}")
        for name in ("vfio-platform", *before):
            machine.modprobe(name)
        for number, step in enumerate(steps(machine, device), 1):
            click.echo(textwrap.fill(step, 100, initial_indent=f"{number}. ", subsequent_indent="   "))
    return 0


def steps(machine: Any, device: str) -> Iterator[str]:
    """The sentences of :func:`explain`: what is there, then what the driver did."""
    from hidma.linux.list import list_for_each_entry
    from hidma.linux.of import DeviceNode, of_compatible
    from hidma.linux.platform_device import platform_bus
    from hidma.linux.property import dev_fwnode, device_property_read_string
    from hidma.vfio_platform import VfioPlatformDevice, reset_list

    kernel = machine.kernel
    dev = next(dev for dev in platform_bus(kernel).devices if dev.name == device)
    companion = dev.acpi_companion
    compat = None
    if companion is not None and companion.hid is not None:
        yield (f"{device} has an ACPI companion with the hardware ID {companion.hid}. V14 looks there first (row 30), so its "
               "compatible string is not looked at.")
    else:
        if companion is not None:
            yield f"{device} has an ACPI companion without a hardware ID, so its compatible string is looked at (row 30)."
        rc, compat = device_property_read_string(dev, "compatible")
        node = dev_fwnode(dev)
        others = of_compatible(node)[1:] if isinstance(node, DeviceNode) else []
        if rc:
            yield f"{device} has no compatible string: vfio-platform refuses it (-EINVAL)."
        elif others:
            yield (f"{device} has no ACPI companion. Of its compatible strings only the first, {compat}, is looked at (row 31); "
                   f"{', '.join(others)} never is.")
        else:
            yield f"{device} has no ACPI companion; its compatible string is {compat}."
    nodes = list(list_for_each_entry(reset_list()))
    if nodes:
        known = "; ".join(f"{node.owner.name if node.owner else 'built in'} for "
                          f"{' and '.join(x for x in (node.compat, node.acpihid) if x)}" for node in nodes)
        yield f"The list of reset functions, the one registered last first: {known}."
    else:
        yield "No reset function is registered yet."

    events: list[tuple[Any, ...]] = []
    said = len(kernel.log)
    machine.watch(events.append)
    sysfs = machine.sysfs
    try:
        if dev.driver is not None and dev.driver.name != "vfio-platform":
            sysfs[f"/sys/bus/platform/drivers/{dev.driver.name}/unbind"] = device
        sysfs[f"/sys/bus/platform/devices/{device}/driver_override"] = "vfio-platform"
        sysfs["/sys/bus/platform/drivers/vfio-platform/bind"] = device
    except OSError:
        machine.watch(None)
        why = [line.text for line in kernel.log[said:] if line.level <= 4]
        yield f"vfio-platform does not bind it: {why[-1] if why else 'its probe failed'}."
        return
    machine.watch(None)
    asked = None
    for event in events:
        if event[0] == "module" and event[1] == "get":
            if event[3]:
                yield f"A function of {event[2]} matches, and its module is held."
            else:
                yield f"A function of {event[2]} matches, but its module cannot be held: it is passed over (row 31)."
        elif event[0] == "request_module":
            asked = event[1]
            yield f"Nothing that is registered matches: the kernel asks for the module {asked}."
            yield from what_modprobe_did(asked, companion)
    for line in kernel.log[said:]:
        if line.text.startswith("reset plugin"):
            yield f"The kernel log says: {line.text}."
    vfio_device = dev.driver_data
    vdev = getattr(vfio_device, "device_data", None)
    if isinstance(vdev, VfioPlatformDevice) and vdev.reset is not None:
        name = getattr(vdev.reset, "__name__", "its reset function")
        yield (f"{device} is reset by {name}() of {vdev.reset_module.name if vdev.reset_module else 'the kernel'}: when a process "
               "opens it, when the last one closes it, and on VFIO_DEVICE_RESET.")
    else:
        yield (f"{device} has no reset function: it can be opened all the same, with the warning \"no reset function found!\" "
               "(row 33), and VFIO_DEVICE_RESET is -EINVAL.")
        if companion is not None and companion.hid is not None:
            yield (f"Load the plugin before the device is bound: modprobe {companion.hid} in the shell, --modprobe "
                   f"{companion.hid} here.")


def what_modprobe_did(asked: str, companion: Any) -> Iterator[str]:
    """The steps after a module was asked for."""
    name = asked.removeprefix(loading.ALIAS)
    if name == "(null)":
        yield ("On an ACPI system the name that V14 puts there is NULL (row 32), so the module loader is asked for "
               "vfio-reset:(null), which nobody is called: the plugin has to be loaded before.")
        return
    found = loading.find(asked)
    if not found:
        yield f"No entry point of the group {ENTRY_POINT_GROUP} is called {name!r}: nothing is loaded."
        return
    for each in found:
        yield f"The entry point {each.name!r} of {each.distribution} is imported ({each.value}) and loaded as {each.module_name}."
    if len(found) > 1:
        yield "Several are called so: all are loaded, and V14 takes the one that was registered last (row 31)."


# --- check ----------------------------------------------------------------------------------------------------------------


@reset_plugins.command("check")
@click.argument("plugin", metavar="PATH_OR_NAME")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def check(plugin: str, as_json: bool) -> int:
    """Run the kit of checks on a plugin: one that is installed, by the name that it matches, or a project or file.

    The checks run the reset function on the plugin's own model of its device. They are in hidma.testing, for the plugin's own
    tests as well. Exit status 1 when one fails.
    """
    from hidma.plugin import testing

    try:
        targets = opened(plugin)
    except PluginError as error:
        raise refuse(str(error)) from None
    rows: list[dict[str, str]] = []
    failed = 0
    for target in targets:
        try:
            with bounded(target):
                results = testing.check(target)
        except PluginError as error:
            raise refuse(str(error)) from None
        failed += sum(result.status == "failed" for result in results)
        rows += [{"plugin": str(target.found), "check": result.name, "status": result.status, "text": result.text}
                 for result in results]
        if as_json:
            continue
        click.echo(f"{target.found}")
        for result in results:
            click.echo(textwrap.fill(f"{result.name}{': ' if result.text else ''}{result.text}", 110,
                                     initial_indent=f"  {result.status:<7} ", subsequent_indent=" " * 10))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(f"{len(rows) - failed} of {len(rows)} checks hold")
    return FAILED if failed else 0


@contextlib.contextmanager
def bounded(target: Plugin) -> Iterator[None]:
    """A loop that touches no register never ends by itself: after a minute it is ended, and said so."""
    def alarm(number: int, frame: Any) -> None:
        raise PluginError(f"{target.found}: its reset function hangs: it loops without touching a register, for {HANGS_S} s "
                          "now")

    try:
        before = signal.signal(signal.SIGALRM, alarm)
    except ValueError:
        yield  # not the main thread
        return
    signal.alarm(HANGS_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def opened(name: str) -> list[Plugin]:
    """The plugins that ``name`` means: installed ones, those of a project directory, or one file.

    :raises PluginError: when there is none, or one is unusable
    """
    path = Path(name)
    if path.is_dir():
        return project(path)
    if path.suffix == ".py" or "/" in name:
        if not path.is_file():
            raise PluginError(f"there is no file or directory {name}")
        return [single(path)]
    found = loading.find(name)
    if not found:
        known = ", ".join(sorted({each.name for each in loading.installed()})) or "none"
        raise PluginError(f"no installed plugin is called {name!r}; there are {known}; a project is given as a directory, a file "
                          "ends with .py")
    return [loading.plugin(each) for each in found]


def single(path: Path) -> Plugin:
    """A plugin in one file."""
    from hidma.vfio_platform import ResetModule

    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is no module of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{path} cannot be imported: {loading.described(error)}") from error
    declared = getattr(module, "module", None)
    match = (declared.compat or declared.acpihid or name) if isinstance(declared, ResetModule) else name
    return Plugin(Found(match, name, str(path)), module)


def project(path: Path) -> list[Plugin]:
    """The plugins of a project that need not be installed: what its pyproject.toml says."""
    try:
        data = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PluginError(f"{path} is no project: it has no pyproject.toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"{path / 'pyproject.toml'} cannot be read: {error}") from None
    entries = data.get("project", {}).get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
    if not isinstance(entries, dict) or not entries:
        raise PluginError(f"{path / 'pyproject.toml'} has no entry point: add a table "
                          f"[project.entry-points.\"{ENTRY_POINT_GROUP}\"] with what the device is matched by = the module")
    for place in (path, path / "src"):
        if str(place.resolve()) not in sys.path:
            sys.path.insert(0, str(place.resolve()))
    made = []
    label = f"{data['project'].get('name', path.name)} {data['project'].get('version', '')}".strip()
    for match, value in entries.items():
        found = Found(match, value, label)
        name, _, attribute = str(value).partition(":")
        try:
            thing = importlib.import_module(name)
            thing = getattr(thing, attribute) if attribute else thing
        except (Exception, SystemExit) as error:
            raise PluginError(f"{found} cannot be imported: {loading.described(error)}") from error
        made.append(Plugin(found, thing))
    return made


# --- new ------------------------------------------------------------------------------------------------------------------


@reset_plugins.command("new")
@click.argument("name")
@click.option("--compatible", metavar="STRING", help="The compatible string of the device, such as acme,frobnicator-1.0.")
@click.option("--hid", metavar="ID", help="The ACPI hardware ID of the device, such as ACME0001.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Where to write it; the default is a new directory NAME here.")
def new(name: str, compatible: str | None, hid: str | None, directory: Path | None) -> int:
    """Write a new plugin called NAME: an installable package with a model of the device, a test and documentation.

    It is green as it is written; what to change stands in its README.
    """
    module = name.replace("-", "_").replace(".", "_").lower()
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name) or not module.isidentifier() \
            or keyword.iskeyword(module):
        raise click.UsageError(f"a package is called something like acme-reset: letters, digits and hyphens, a letter first; "
                               f"not {name!r}")
    if compatible is None and hid is None:
        raise click.UsageError("a device is matched by --compatible, --hid or both; give one of them.")
    for option, value, form in (("--compatible", compatible, r"[A-Za-z0-9,._+-]+"), ("--hid", hid, r"[A-Z0-9]{7,8}")):
        if value is not None and not re.fullmatch(form, value):
            example = "acme,frobnicator-1.0" if option == "--compatible" else "ACME0001 (3 or 4 letters, 4 digits)"
            raise click.UsageError(f"{option} is something like {example}, not {value!r}.")
    place = directory or Path(name)
    if place.exists() and any(place.iterdir() if place.is_dir() else [place]):
        raise refuse(f"{place} is there already; give another name, or --directory")
    for relative, text in files(name, module, compatible, hid).items():
        path = place / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(path)
    click.echo(f"hidma reset-plugins check {place} checks it; pip install {place} installs it")
    return 0


def files(name: str, module: str, compatible: str | None, hid: str | None) -> dict[str, str]:
    """The files that :func:`new` writes, by path: those of hidma/plugin/template with their placeholders filled in."""
    matches = [value for value in (compatible, hid) if value is not None]
    known = {
        "NAME": name, "MODULE": module, "COMPATIBLE": repr(compatible), "HID": repr(hid), "VERSION": str(HOOKSPEC_VERSION),
        "MATCH": matches[0], "MATCHES": " and ".join(matches), "GROUP": ENTRY_POINT_GROUP,
        "ENTRIES": "\n".join(f'{json.dumps(match)} = "{module}"' for match in matches),
        "CLASS": "".join(part.capitalize() for part in module.split("_")),
        "TITLE": f"{name}\n{'=' * len(name)}",
    }

    def filled(template: str) -> str:
        text = resources.files("hidma.plugin").joinpath("template", template).read_text(encoding="utf-8")
        return re.sub(r"@([A-Z]+)@", lambda placeholder: known[placeholder[1]], text)

    return {
        "pyproject.toml": filled("pyproject.toml.in"),
        "README.rst": filled("README.rst.in"),
        f"src/{module}/__init__.py": filled("plugin.py.in"),
        f"src/{module}/model.py": filled("model.py.in"),
        f"tests/test_{module}.py": filled("test.py.in"),
    }
