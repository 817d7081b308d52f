# SPDX-License-Identifier: GPL-2.0-only
"""The documentation of every file of the tree, as entries of Documentation/ABI: those of the drivers first, then those of the
kernel's core. The files themselves are made by the port and by ``hidma.linux.base``, which know nothing of these texts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DEVICE = ("/sys/devices/platform/*", "/sys/devices/platform/*/*")
ACPI = ("/sys/devices/LNXSYSTM:**",)
BUSES = ("/sys/bus/platform", "/sys/bus/acpi")
DMA = tuple(f"{path}/dma/dma*chan*" for path in DEVICE)
POWERED = (*DEVICE, *ACPI, *DMA)
DRIVER = ("/sys/bus/platform/drivers/*",)


@dataclass(frozen=True)
class AbiDoc:
    """One entry.

    :ivar what: paths with wildcards, as the entry's ``What:`` lists them
    :ivar mode: permission bits
    :ivar description: what it is; plain text, paragraphs separated by empty lines
    :ivar date: ``Date:``, month and year
    :ivar kernel_version: ``KernelVersion:``
    :ivar contact: ``Contact:``
    :ivar users: ``Users:``
    :ivar values: what a write accepts; empty for a file that is only read
    :ivar errors: errno of what is refused, with the reason
    :ivar driver: whose file it is: ``hidma-mgmt``, ``hidma``, or ``core`` for those of the kernel's core
    :ivar documented: paths under which the series documents the file, where they differ from the paths that the tree has
    """

    what: tuple[str, ...]
    mode: int
    description: str
    date: str = ""
    kernel_version: str = ""
    contact: str = ""
    users: str = ""
    values: str = ""
    errors: tuple[tuple[str, str], ...] = field(default=())
    driver: str = "core"
    documented: tuple[str, ...] = ()

CONTACT = '"Sinan Kaya <okaya@codeaurora.org>"'
BAD_NUMBER = (
    ("EINVAL", "no number: 0x before hexadecimal digits, 0 before octal ones, one + before and one newline after are fine"),
    ("ERANGE", "beyond 64 bits"))
CUT = "A number of 64 bits is cut to 32 bits before it is looked at: 4294967304 is taken for 8 (V14 row 49)."
WHOLE = ("Every write checks and writes all parameters of the device anew, so a value that somebody else has spoilt refuses "
         "this one too (V14 row 26).")


def mgmt(name: str, mode: int, description: str, values: str = "", errors: tuple[tuple[str, str], ...] = ()) -> AbiDoc:
    """The entry of a file of the management device, under the names that the series documents and those that kernels make."""
    return AbiDoc(
        (f"/sys/devices/platform/*.hidma-mgmt/{name}", f"/sys/devices/platform/QCOM8060:*/{name}"), mode, description,
        "Nov 2015", "4.4", CONTACT, "", values, (*errors, *BAD_NUMBER) if values else (), "hidma-mgmt",
        (f"/sys/devices/platform/hidma-mgmt*/{name}", f"/sys/devices/platform/QCOM8060:*/{name}"))


def core(
    where: tuple[str, ...],
    name: str,
    mode: int,
    description: str,
    values: str = "",
    date: str = "",
    kernel_version: str = "",
    errors: tuple[tuple[str, str], ...] = (),
) -> AbiDoc:
    """The documentation of a file of the core."""
    return AbiDoc(
        tuple(f"{path}/{name}" for path in where), mode, description, date, kernel_version, "", "", values, errors
    )


#: Every entry, by driver.
ENTRIES: tuple[AbiDoc, ...] = (
    # the management driver
    mgmt("hw_version_major", 0o444, "Major version of the hardware."),
    mgmt("hw_version_minor", 0o444, "Minor version of the hardware."),
    mgmt("dma_channels", 0o444, "Number of channels of this instance of the hardware, as firmware says."),
    mgmt(
        "chreset_timeout_cycles", 0o444, "Cycles that the reset of a channel may take. When they are too few, the channel "
        "stays in reset. The number belongs to the platform and comes from its firmware."),
    mgmt(
        "max_wr_xactions", 0o666, "Write bursts that a channel may issue back to back. More is faster for this "
        f"device and slower for others on the same bus.\n\n{CUT} {WHOLE}", "0 to 31", (("EINVAL", "above 31"),)),
    mgmt(
        "max_rd_xactions", 0o666, "Read bursts that a channel may issue back to back. More is faster for this "
        f"device and slower for others on the same bus.\n\n{CUT} {WHOLE}", "0 to 31", (("EINVAL", "above 31"),)),
    mgmt(
        "max_write_request", 0o666, f"Bytes of one write burst.\n\n{CUT} {WHOLE}", "128, 256, 512 or 1024",
        (("EINVAL", "any other number"),)),
    mgmt(
        "max_read_request", 0o666, f"Bytes of one read burst.\n\n{CUT} {WHOLE}", "128, 256, 512 or 1024",
        (("EINVAL", "any other number"),)),
    mgmt(
        "chanops/chan*/priority", 0o666, "Priority of the channel: as long as one of priority 1 has work, those of "
        f"priority 0 wait. The number in chan* is what the chid file of the channel says.\n\n{CUT} {WHOLE}", "0 or 1",
        (("EINVAL", "above 1"),)),
    mgmt(
        "chanops/chan*/weight", 0o666, "Share of the channel among those of the same priority (weighted round robin). "
        "The number in chan* is what the chid file of the channel says. 0 is taken for 1, and stays 1 even if the write is "
        f"refused for another reason (V14 row 49).\n\n{CUT} {WHOLE}", "0 to 15", (("EINVAL", "above 15"),)),
    # the channel driver
    AbiDoc(
        ("/sys/devices/platform/*.hidma-mgmt/hidma.*/chid", "/sys/devices/platform/*.hidma/chid",
         "/sys/devices/platform/QCOM8060:*/QCOM8061:*/chid", "/sys/devices/platform/QCOM8061:*/chid"),
        0o444,
        "Index of the channel in its instance of the hardware: the number N of chanops/chanN of the management device, where "
        "priority and weight of the channel are.\n\nThe file is there before the driver has stored its data (V14 row 23), and "
        "stays after the driver has left (V14 row 21).",
        "Dec 2015", "4.4", '"Sinan Kaya <okaya@codeaurora.org>"', driver="hidma",
        documented=("/sys/devices/platform/hidma-*/chid", "/sys/devices/platform/QCOM8061:*/chid")),
    AbiDoc(
        ("/sys/kernel/debug/*/chan*/stats",), 0o444,
        "State of the channel: paused or not, each descriptor that is prepared, active or completed, then the low level: states, "
        "rings and offsets. For debugging; no program should rely on its form.", "February 2016", "4.6", driver="hidma"),
    AbiDoc(
        ("/sys/kernel/debug/*/stats",), 0o444,
        "Number of descriptors, and where the registers of both sides are. dev_trca and dev_evca are the addresses of the "
        "pointers, not the pointers (V14 row 24). For debugging; no program should rely on its form.",
        "February 2016", "4.6", driver="hidma"),
    AbiDoc(
        ("/sys/module/hdma/parameters/nr_desc_prm",),
        0o644,
        "Descriptors of a channel whose firmware has no desc-count. A change counts for channels that are probed afterwards. "
        "V14 takes desc-count first, then this, then 10 (row 22).",
        "February 2016",
        "4.6",
        "",
        "",
        "a number of 32 bits",
        (("EINVAL", "no number"), ("ERANGE", "beyond 32 bits")),
        "hidma",
    ),
    # the kernel's core
    core(
        (*DEVICE, *ACPI),
        "uevent",
        0o644,
        "The variables that an event of this device carries; writing the name of an action makes "
        "the kernel send that event again.",
        "add, remove, change, move, online or offline; anything else is complained about in the log and taken all the same",
        "",
        "2.6.15",
    ),
    core(
        (*DEVICE, *ACPI), "modalias", 0o444, "The alias by which the module of a driver for this device is found.", "", "", "2.6.18"
    ),
    core(
        DEVICE,
        "driver_override",
        0o644,
        "The name of the only driver that may bind the device, whatever would match "
        "otherwise. It binds and unbinds nothing by itself: unbind the device first, then bind it or write its name to "
        "drivers_probe. (null) says that there is no such name.",
        "the name of a driver; an empty line removes it",
        "April 2014",
        "3.16",
        (("EINVAL", "4096 bytes or more"),),
    ),
    core(
        POWERED,
        "power/control",
        0o644,
        "Whether the device may be suspended at run time (auto) or is kept active (on).",
        "auto or on",
        "January 2009",
        "",
        (("EINVAL", "any other word"),),
    ),
    core(
        POWERED,
        "power/runtime_status",
        0o444,
        "active, suspended, or unsupported while runtime PM is disabled for the device.",
        "",
        "July 2010",
    ),
    core(
        POWERED, "power/runtime_active_time", 0o444, "Milliseconds that the device has been active.", "", "July 2010"
    ),
    core(
        POWERED,
        "power/runtime_suspended_time",
        0o444,
        "Milliseconds that the device has been suspended.",
        "",
        "July 2010",
    ),
    core(
        POWERED,
        "power/autosuspend_delay_ms",
        0o644,
        "Milliseconds of idleness after which the device is suspended; a negative "
        "number prevents it. Both drivers of the series begin with 2000.",
        "a signed number of 32 bits, decimal",
        "September 2010",
        "",
        (("EIO", "the driver does not use autosuspend"), ("EINVAL", "no number, or too large")),
    ),
    core(
        POWERED,
        "power/runtime_usage",
        0o444,
        "References that keep the device active. V14 leaks one for each issue_pending (rows 16, 44), so it grows.",
        "",
        "April 2010",
    ),
    core(
        POWERED, "power/runtime_active_kids", 0o444, "Children of the device that are active.", "", "April 2010"
    ),
    core(
        POWERED,
        "power/runtime_enabled",
        0o444,
        "enabled, disabled, forbidden, or disabled & forbidden.",
        "",
        "April 2010",
    ),
    core(
        POWERED,
        "power/async",
        0o644,
        "Whether system suspend handles the device in its own thread.",
        "enabled or disabled",
        "January 2009",
        "",
        (("EINVAL", "any other word"),),
    ),
    core(
        DMA,
        "memcpy_count",
        0o444,
        "Copies that the offload functions of the DMA engine core have given to the channel. "
        "4.5 has no caller of them left: it stays 0.",
    ),
    core(DMA, "bytes_transferred", 0o444, "Bytes of those copies: it stays 0 as well."),
    core(DMA, "in_use", 0o444, "How many clients hold the channel."),
    core(DMA, "uevent", 0o644, "As the uevent file of a device."),
    core(
        DRIVER,
        "bind",
        0o200,
        "Binds the driver to the device whose name is written.",
        "the name of a device that matches the driver and has none",
        "December 2003",
        "2.6.0",
        (("ENODEV", "no such device, it has a driver, it does not match, or its probe failed"),),
    ),
    core(
        DRIVER,
        "unbind",
        0o200,
        "Takes the device whose name is written away from the driver.",
        "the name of a device of this driver",
        "December 2003",
        "2.6.0",
        (("ENODEV", "no such device, or it is not this driver's"),),
    ),
    core(DRIVER, "uevent", 0o200, "Sends an event of the driver.", "as for a device"),
    core(
        BUSES,
        "drivers_probe",
        0o200,
        "Looks for a driver for the device whose name is written.",
        "the name of a device",
        "June 2006",
        "",
        (("ENODEV", "no such device"), ("EINVAL", "no driver was bound")),
    ),
    core(
        BUSES,
        "drivers_autoprobe",
        0o644,
        "Whether new devices and drivers are matched by themselves.",
        "0 for no, anything else for yes",
    ),
    core(BUSES, "uevent", 0o200, "Sends an event of the bus.", "as for a device"),
    core(("/sys/module/*",), "initstate", 0o444, "live, once the module is loaded."),
    core(
        ("/sys/module/*",),
        "refcnt",
        0o444,
        "How many hold the module: a client of a DMA channel holds that of its driver, which cannot be unloaded meanwhile.",
    ),
    core(("/sys/module/*",), "coresize", 0o444, "Bytes of the module: four pages, whatever it is."),
    core(
        ("/sys/module/*",), "taint", 0o444, "Letters for what the module taints the kernel with: none for these."
    ),
    core(("/sys/module/*",), "uevent", 0o200, "Sends an event of the module.", "as for a device"),
    core(
        ("/dev",),
        "kmsg",
        0o644,
        "The kernel log. Each read gives one message: priority, sequence number, microseconds and flags, then the text; it waits "
        "for the next one. What is written becomes a message of user space.",
        "a line of 992 bytes at most; <N> before it is its priority",
        "May 2012",
        "3.5",
        (("EAGAIN", "no message yet, and it was opened with O_NONBLOCK"), ("EINVAL", "line too long, or buffer too short")),
    ),
    core(("/proc",), "cmdline", 0o444, "The command line of the kernel: bootargs of the device tree's node /chosen."),
    core(("/proc",), "kmsg", 0o400, "Messages of the kernel log that were not read here before; a read waits for the next."),
    core(
        ("/proc/sys/kernel",),
        "printk",
        0o644,
        "Four levels: of the console, of messages without one, the lowest and the default one of the console. The machine has no "
        "console that would show less.",
        "up to four numbers",
        errors=(("EINVAL", "no number"),),
    ),
    core(("/proc",), "interrupts", 0o444, "How often each interrupt was taken, by CPU, and whose it is."),
    core(("/proc",), "iomem", 0o444, "Who has which part of the physical address space."),
    core(
        ("/proc",),
        "modules",
        0o444,
        "The loaded modules, the last one first: name, size, how many use it, who, state and address. Nothing is loaded "
        "to an address here: sizes are four pages each, addresses 0.",
    ),
    core(
        ("/proc",), "uptime", 0o444, "Seconds of virtual time since boot, and the same for all CPUs together."
    ),
    core(("/proc",), "version", 0o444, "Which kernel this is."),
    core(
        ("/sys/kernel/iommu_groups/*",),
        "name",
        0o444,
        "The name of the group: empty, since nobody gives it one. Its devices are those whose registers belong to one stream.",
        "",
        "July 2014",
        "3.17",
    ),
    core(
        ("/sys/firmware/devicetree/base",),
        "**",
        0o444,
        "Node and properties of the device tree, as they are in the blob.",
        "",
        "November 2013",
    ),
    core(
        ACPI,
        "path",
        0o444,
        "Full path of the object in the ACPI namespace, every name with four characters.",
        "",
        "December 2006",
    ),
    core(
        ACPI,
        "hid",
        0o444,
        "The first hardware ID: _HID, or what the kernel calls a device without one. It is the first half of the device's "
        "name.",
        "",
        "April 2005",
    ),
    core(ACPI, "uid", 0o444, "_UID, which tells devices of one hardware ID apart.", "", "October 2012"),
    core(ACPI, "description", 0o444, "_STR: what firmware calls the device.", "", "October 2012"),
    core(
        ACPI,
        "status",
        0o444,
        "What _STA gives, decimal: bit 0 present, 1 enabled, 2 to be shown, 3 functioning. A device without _STA has no such "
        "file and counts as 15.",
        "",
        "Jan 2014",
    ),
    core(
        ("/sys/firmware/acpi/tables",),
        "*",
        0o400,
        "The tables that firmware gave to the kernel, byte for byte: DSDT, and SSDT (with a number where there are several).",
    ),
)
