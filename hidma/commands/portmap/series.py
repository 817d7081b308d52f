# SPDX-License-Identifier: GPL-2.0-only
"""The series as facts: its patches, its files with their functions, constants, structs, parameters and ids, where each
can be read, and where each stands in the port. It holds no line of the C files and stands for none.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

QCOM = "drivers/dma/qcom/"
VFIO = "drivers/vfio/platform/"


@dataclass(frozen=True)
class Patch:
    """One patch of the series.

    :ivar number: 1 to 9
    :ivar title: what it does
    :ivar files: the files of :data:`SOURCES` that it makes or changes
    """

    number: int
    title: str
    files: tuple[str, ...]


PATCHES: tuple[Patch, ...] = (
    Patch(1, "move qcom_bam_dma into a directory of its own (a rename: nothing to port)", ()),
    Patch(2, "device tree binding of the management device", ()),
    Patch(3, "management driver, and its sysfs files",
          (f"{QCOM}hidma_mgmt.c", f"{QCOM}hidma_mgmt.h", f"{QCOM}hidma_mgmt_sys.c")),
    Patch(4, "channel driver", (f"{QCOM}hidma.c", f"{QCOM}hidma.h")),
    Patch(5, "low level: rings and interrupts", (f"{QCOM}hidma_ll.c",)),
    Patch(6, "debugfs", (f"{QCOM}hidma_dbg.c",)),
    Patch(7, "object hierarchy: the management node creates its channel devices", (f"{QCOM}hidma_mgmt.c",)),
    Patch(8, "VFIO platform: ACPI in the reset lookup", (f"{VFIO}vfio_platform_common.c", f"{VFIO}vfio_platform_private.h")),
    Patch(9, "VFIO reset driver for HIDMA", (f"{VFIO}reset/vfio_platform_qcomhidma.c",)),
)


@dataclass(frozen=True)
class Source:
    """One C file of the series.

    :ivar path: in the kernel's tree
    :ivar module: the module of the port that stands for it, dotted
    :ivar repository: a public repository on GitHub (owner/name) that has it
    :ivar commit: the commit there, or "" where it is not known
    :ivar remark: how close it is to V14, "" when it is V14
    :ivar coverage: lines of the C file that the recorded runs passed natively, per cent (None: not measured)
    :ivar core: whether a tree without the file has not got the driver
    """

    path: str
    module: str
    repository: str
    commit: str = ""
    remark: str = ""
    coverage: float | None = None
    core: bool = True

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


SOURCES: tuple[Source, ...] = (
    Source(f"{QCOM}hidma.h", "hidma.hidma_h", "sbourdelin/linux", "e85d7f0d4af49edfaff4d65481562bfe2c17f8a2"),
    Source(f"{QCOM}hidma_ll.c", "hidma.ll", "sbourdelin/linux",
           remark="the version of 25,209 bytes: repeat is 2, names have no HIDMA_ prefix, the index is chidx", coverage=100),
    Source(f"{QCOM}hidma.c", "hidma.channel", "mikeNG/kernel_common", "58b84baf1617e290bf3f5586b52532cb44785032",
           coverage=99.7),
    Source(f"{QCOM}hidma_dbg.c", "hidma.dbg", "sbourdelin/linux", "abb6124345b3f81656b2ce71dd19f0373284768e",
           "close to V14", 99),
    Source(f"{QCOM}hidma_mgmt.h", "hidma.hidma_mgmt_h", "sbourdelin/linux",
           "65f675f8375211beff8d8d7f50d7915a08ae4580"),
    Source(f"{QCOM}hidma_mgmt.c", "hidma.mgmt", "mikeNG/kernel_common", "f74d42c0a4e174186843a37e41e718344047deef",
           coverage=100),
    Source(f"{QCOM}hidma_mgmt_sys.c", "hidma.mgmt_sys", "sbourdelin/linux",
           "6c816dca768f2406e54f1d4721f0a4caf487bd07", coverage=100),
    Source(f"{VFIO}vfio_platform_private.h", "hidma.vfio_platform.private", "sbourdelin/linux",
           "7b2d6c77b1ff4795d3807dfdc8ab6b45c593230d",
           "close to V14, which has no MODULE_ALIAS_VFIO_PLATFORM_RESET", core=False),
    Source(f"{VFIO}vfio_platform_common.c", "hidma.vfio_platform.common", "mikeNG/kernel_common",
           "6210e840bb55ac49f6695c443fe9246e7a07a8a1", coverage=96, core=False),
    Source(f"{VFIO}reset/vfio_platform_qcomhidma.c", "reset_plugins.qcomhidma", "mikeNG/kernel_common",
           "1bacce3494bfa3a208eb02984af4c9b533194b3c", coverage=100, core=False),
)

#: Files that the port has as well, which the series does not change, or only where they make their reset function known.
OTHERS: tuple[Source, ...] = (
    Source(f"{VFIO}vfio_platform.c", "hidma.vfio_platform.platform", "torvalds/linux", remark="as in Linux 4.5", core=False),
    Source(f"{VFIO}vfio_platform_irq.c", "hidma.vfio_platform.irq", "torvalds/linux", remark="as in Linux 4.5", core=False),
    Source(f"{VFIO}reset/vfio_platform_amdxgbe.c", "reset_plugins.amdxgbe", "mikeNG/kernel_common",
           "64d6a20077d11fa60449557d5f321e6160bbfde9", core=False),
    Source(f"{VFIO}reset/vfio_platform_calxedaxgmac.c", "reset_plugins.calxedaxgmac", "sbourdelin/linux",
           "85faea3b80baf353bc5760ab5cefb6a02474e08e", core=False),
    Source("drivers/dma/dmatest.c", "hidma.linux.dmatest", "torvalds/linux", remark="as in Linux 6.1", core=False),
)

BY_PATH = {source.path: source for source in SOURCES}

#: How to get the series itself.
ARCHIVE = (
    "The series itself, [PATCH V14 0/9] dma: add Qualcomm Technologies HIDMA driver (Sinan Kaya, February 2016), is in the mail "
    "archives of linux-kernel, dmaengine and linux-arm-msm. On https://lore.kernel.org/all/ search for s:\"PATCH V14\" s:HIDMA, "
    "open the cover letter and take the thread as mbox.gz, or give its message id to `b4 mbox`; --patch reads that file. "
    "`hidma portmap FILE` names a public repository and commit that has the file."
)

#: Where the recorded runs come from.
RECORDED = (
    "The recorded runs were made by the series' own C files, compiled for user space by gcc at -O2 and -O0 (both gave the "
    "same events), on a scripted device. hidma_dbg.c and vfio_platform_private.h were put together from two neighbouring "
    "postings: certain in meaning, less so to the byte."
)

#: The public cross reference for the C side, where the merged driver is; V14 was never merged as it was posted.
CROSS_REFERENCE = "https://elixir.bootlin.com/linux/v6.1/source/"


@dataclass(frozen=True)
class Function:
    """One function of a C file.

    :ivar first: its first line, 0 when it is made by a macro that the facts do not place
    :ivar macro: the macro that makes it
    :ivar condition: the ``#if`` that it stands under
    :ivar body: a hash of the tokens of its body, "" when it is not known
    """

    name: str
    returns: str
    params: tuple[str, ...]
    static: bool
    first: int
    last: int
    macro: str = ""
    condition: str = ""
    body: str = ""

    @property
    def signature(self) -> str:
        """The declaration without the names of the parameters."""
        star = "" if self.returns.endswith("*") else " "
        return f"{'static ' if self.static else ''}{self.returns}{star}{self.name}({', '.join(self.params) or 'void'})"

    @property
    def lines(self) -> int:
        return self.last - self.first + 1


@dataclass
class CFile:
    """What one C file declares; names to values in the order of the file.

    :ivar lines: how many it has
    :ivar partial: whether only parts of it are known (the hunks of a patch)
    :ivar initialisers: arrays and structures with an initialiser, to a hash of its tokens
    :ivar places: line of each constant, enum, struct and parameter, where known
    """

    path: str
    lines: int = 0
    functions: list[Function] = field(default_factory=list)
    defines: dict[str, Any] = field(default_factory=dict)
    macros: dict[str, tuple[str, ...]] = field(default_factory=dict)
    enums: dict[str, dict[str, Any]] = field(default_factory=dict)
    structs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    module_params: dict[str, tuple[str, int | None, Any]] = field(default_factory=dict)
    dt_ids: list[str] = field(default_factory=list)
    acpi_ids: list[str] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)
    exported: list[str] = field(default_factory=list)
    driver_name: str = ""
    partial: bool = False
    initialisers: dict[str, str] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)

    def function(self, name: str) -> Function | None:
        """By name; of one that stands on both sides of an ``#if``, the first."""
        return next((f for f in self.functions if f.name == name), None)

    @property
    def constants(self) -> dict[str, Any]:
        """Defines and members of enums."""
        return self.defines | {name: value for enum in self.enums.values() for name, value in enum.items()}


def _function(facts: dict[str, Any], bodies: dict[str, list[str]], macro: str = "") -> Function:
    known = bodies.get(facts["name"], [])  # a function on both sides of an #if has two
    return Function(facts["name"], facts["returns"], tuple(facts["params"]), facts["static"], facts.get("first_line", 0),
                    facts.get("last_line", 0), macro, body=known.pop(0) if known else "")


def _file(path: str, facts: dict[str, Any]) -> CFile:
    macros = {}
    for text in facts.get("function_like_macros", ()):
        name, _, rest = text.partition("(")
        macros[name] = tuple(rest.rstrip(")").split(","))
    hashes = bodies().get(path, {})
    known = {name: list(each) for name, each in hashes.get("functions", {}).items()}
    return CFile(
        path,
        facts["lines"],
        [*(_function(f, known) for f in facts.get("functions", ())),
         *(_function(f, known, "IMPLEMENT_GETSET") for f in facts.get("macro_generated_functions", ()))],
        {**dict.fromkeys(facts.get("guards", ()), ""), **facts.get("defines", {})},
        macros,
        {name: dict(members) for name, members in facts.get("enums", {}).items()},
        {struct["name"]: [(name, kind) for name, kind in struct["fields"]] for struct in facts.get("structs", ())},
        {p["name"]: (p["type"], p["mode"], p["default"]) for p in facts.get("module_params", ())},
        list(facts.get("dt_ids", ())),
        list(facts.get("acpi_ids", ())),
        list(facts.get("properties", ())),
        list(facts.get("exported", ())),
        facts.get("driver_name", ""),
        initialisers=hashes.get("initialisers", {}),
    )


@functools.cache
def inventory() -> dict[str, Any]:
    text = files("hidma.commands.portmap").joinpath("inventory.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@functools.cache
def bodies() -> dict[str, Any]:
    """By file: a hash of the tokens of each function's body and of each initialiser (:mod:`.tokens`)."""
    loaded: dict[str, Any] = json.loads(files("hidma.commands.portmap").joinpath("bodies.json").read_text(encoding="utf-8"))
    return loaded


@functools.cache
def v14() -> dict[str, CFile]:
    """Every C file of the series, by path, in the order of :data:`SOURCES`."""
    facts = inventory()["files"]
    return {source.path: _file(source.path, facts[source.path]) for source in SOURCES}
