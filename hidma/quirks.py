# SPDX-License-Identifier: GPL-2.0-only
"""What V14 does that a later kernel does otherwise, or that it should not have done: one row for each, under the number
that the marks in the port (``# V14: ... (row n)``), the log of a kernel that stopped and docs/quirks.rst use. It also
tells which row is behind an Oops. It stands for no C file and changes nothing that the port does.

``python -m hidma.quirks`` prints docs/quirks.rst.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Any

from hidma.hidma_h import HidmaDesc
from hidma.linux.dmaengine import DMA_MIN_COOKIE

READ = "read in the source"
SAME = "The same."


@dataclass(frozen=True)
class Row:
    """One row.

    :ivar number: the number by which everything refers to it
    :ivar where: the C functions (or objects) that it is about
    :ivar v14: what V14 does
    :ivar later: what Linux 6.1 does in its place
    :ivar evidence: the recorded runs that show it (layer and name, ``*`` for a family of them), or how it is known
    """

    number: int
    where: tuple[str, ...]
    v14: str
    later: str
    evidence: str = READ


ROWS: tuple[Row, ...] = (
    Row(1, ("hidma_ll_int_handler_internal",),
        "Status and enable are read once, and error bits looked for once, on entry. Then come two passes at most,"
        " each of which spins while any TRE is pending, for 500 ms at most (\"ISR timeout\"). The cause is "
        "acknowledged after the events were consumed.",
        "Goes on until no cause is left, acknowledges before it consumes, and looks for errors each time.",
        "ll_irq_*, ll_hang_isr_stopped_clock"),
    Row(2, ("hidma_ll_int_handler_internal",),
        "An error bit that comes up by the second look is acknowledged like an end of block: nothing recovers.",
        "Is handled like any other."),
    Row(3, ("hidma_ll_int_handler_internal",),
        "A cause that comes up in the second pass is left as it is; the level line calls the handler again.",
        "Stays in the handler until it is gone.",
        "ll_irq_timeout_both_passes"),
    Row(4, ("hidma_ll_int_handler_internal",),
        "Recovers from an error in interrupt context: acknowledges, completes every pending TRE with info 0xff "
        "and code 4, runs all of hidma_ll_setup() with its sleeping polls, and enables interrupts.",
        "Suspends the channel, fails what is pending and leaves the channel stopped.",
        "ll_error_*, channel_error_irq"),
    Row(5, ("hidma_cleanup_pending_tre",),
        "Steps over empty slots, and so goes round for ever when the counter is above the number of occupied "
        "ones.",
        "Ends at the first empty slot.",
        "ll_cleanup_skips_empty_slot"),
    Row(6, ("hidma_handle_tre_completion",),
        "An EVRE whose slot is empty is stepped over with the warning \"out of sync\" but not counted, so the saved"
        " offsets stay behind the hardware.",
        "Ends at the first empty slot.",
        "ll_out_of_sync_*"),
    Row(7, ("hidma_handle_tre_completion",),
        "A WRITE_PTR of exactly the ring size passes the check, though no offset in the ring has that value.",
        SAME,
        "ll_hang_write_ptr_eq_ring"),
    Row(8, ("hidma_handle_tre_completion",),
        "The result of a TRE is kept in a list beside it, the number of pending ones in a plain signed counter, "
        "and the processed offsets are stored without the lock.",
        "Result in the TRE, an atomic counter, the TRE offset under the lock."),
    Row(9, ("hidma_ll_request",),
        "Calls the callback of a TRE once already when the TRE is requested.",
        SAME,
        "ll_request_callback_at_once"),
    Row(10, ("hidma_ll_init",),
        "Allocates one byte more for each entry, 33 n and 17 n, to align the rings in: too little for fewer than "
        "31 TREs or 15 EVREs when the memory is not aligned itself.",
        SAME,
        "ll_misaligned_*"),
    Row(11, ("hidma_ll_init",),
        "Interrupts are enabled (by hidma_ll_setup()) before the lock and the tasklet are initialised. It wants "
        "four TREs at least and adds one.",
        SAME,
        "ll_init_*"),
    Row(12, ("hidma_ll_setup",),
        "Sets the counter and the offsets to zero but keeps the entries of pending_tre_list. Interrupts are "
        "enabled before the channel is.",
        "Enables interrupts together with the channel.",
        "ll_stale_after_setup"),
    Row(13, ("hidma_ll_pause",),
        "Returns 0 at once when either side is SUSPENDED or STOPPED, whatever the other is; interrupts stay "
        "enabled.",
        "Suspends unless either side is not enabled, and masks interrupts.",
        "ll_pause_*"),
    Row(14, ("hidma_ll_status",),
        "Looks at single bits of the completion code: 5, which has the bits of complete and of error, reads as "
        "complete.",
        SAME,
        "ll_status_code_*, channel_code_5"),
    Row(15, ("hidma_tx_submit",),
        "Writes the TRE into the ring at once, where any doorbell starts it, and keeps a runtime PM reference.",
        "Only puts it on a list; issue_pending writes the ring.",
        "channel_basic"),
    Row(16, ("hidma_issue_pending",),
        "Takes one more PM reference, but hidma_callback() drops one for each descriptor only, and that is the "
        "one of the submit: one leaks with each issue_pending.",
        "The submit drops its own again.",
        "channel_issue_each"),
    Row(17, ("hidma_process_completed",),
        "The cookie is completed first; the client is called back for a success only, and before the descriptor "
        "is free again.",
        "The descriptor is free first, the callback always comes and is told the result.",
        "channel_code_*"),
    Row(18, ("hidma_process_completed",),
        "hidma_tx_status() knows cookies only, so a transfer that failed reads DMA_COMPLETE.",
        "DMA_ERROR.",
        "channel_errors_reported_complete"),
    Row(19, ("hidma_prep_dma_memcpy",),
        "Does not store the client's flags in the descriptor. There is no memset operation, though the hardware "
        "has TRE type 4 for it.",
        "Stores them; has memset.",
        "channel_prep_values"),
    Row(20, ("hidma_terminate_channel",),
        "Calls the client back for every descriptor that it gives up, as if it were done.",
        SAME,
        "channel_terminate_active"),
    Row(21, ("hidma_remove",),
        "The issue tasklet is not killed, the chid file is not removed; there is no shutdown hook.",
        "All three are done.",
        "channel_remove_busy"),
    Row(22, ("hidma_probe",),
        "The property desc-count wins over the parameter nr_desc_prm, and that over 10. The DMA mask is 64 bits, "
        "or else 32. hidma_ll_init() may fail for any reason: the answer is -EPROBE_DEFER. An early failure drops"
        " a PM reference that was never taken.",
        "The parameter wins; 64 bits or failure.",
        "channel_probe_*"),
    Row(23, ("hidma_probe",),
        "The chid file is there before the driver's data is set: who reads it in between reads through a NULL "
        "pointer.",
        "The data is set early."),
    Row(24, ("hidma_debug_uninit", "hidma_dma_info"),
        "Removes the directory with all that is in it, then stats, which was in it, once more. The address "
        "printed as dev_trca (and dev_evca) is that of the variable, not what it holds.",
        "Removes once; prints the same.",
        "channel_remove_twice_debugfs, dbg_idle"),
    Row(25, ("hidma_mgmt_setup",),
        "QOS_N lies at 0x300 + 4n. The management driver has no module parameters.",
        "At 0x700 + 4n; parameters override the firmware.",
        "mgmt_probe_*"),
    Row(26, ("hidma_mgmt_setup", "IMPLEMENT_GETSET", "hidma_mgmt_files"),
        "Everybody may write the max_* files and each channel's priority and weight. A write sets up the whole "
        "device and takes the old value back when that fails; a 64-bit number is cut to 32 bits; a weight of 0 "
        "becomes 1. The files that are read-only have a store function all the same.",
        "The max_* files are read-only.",
        "mgmt_sys_store_*"),
    Row(27, ("hidma_mgmt_of_populate_channels",),
        "The result of platform_device_register_full() is compared with NULL, where it is an error pointer. "
        "of_node of the new device stays unset, so that the channel driver can match it by its name only: the "
        "node has to be called hidma.",
        "Sets of_node; but with a test the wrong way round no child device is made at all.",
        "mgmt_dt_*"),
    Row(28, ("hidma_mgmt_init",),
        "Drops the reference on a management node that of_find_matching_node() drops as well.",
        "Drops it once.",
        "mgmt_dt_one_channel"),
    Row(29, ("hidma_mgmt_probe",),
        "The probe wants an interrupt that the binding does not list; the binding's example is not valid source.",
        "The example is valid.",
        "mgmt_probe_irq_defer"),
    Row(30, ("vfio_platform_probe_common",),
        "Tries ACPI first (the device needs a companion and a hardware ID), then the compatible string.",
        "Looks at ACPI only where the system is an ACPI one.",
        "vfio_acpi_*, vfio_dt_probe"),
    Row(31, ("vfio_platform_lookup_reset", "__vfio_platform_register_reset"),
        "All reset functions are in one list, the newest first: of two that fit, the one registered last wins. An"
        " entry may have a compatible string, a hardware ID or both; the hardware ID is compared first. One whose"
        " module cannot be held is passed over. Only the first string of compatible counts.",
        "Device tree: the compatible string; ACPI: the device's own _RST method.",
        "vfio_lookup_*"),
    Row(32, ("vfio_platform_get_reset",),
        "Asks for the module vfio-reset:<compatible> only. On an ACPI system there is none and it asks for vfio-"
        "reset:(null), so the reset module must be loaded before.",
        "Asks on device tree systems only.",
        "vfio_acpi_probe_autoload"),
    Row(33, ("vfio_platform_open", "vfio_platform_release"),
        "A device without a reset function gets a warning; one that fails is ignored. VFIO_DEVICE_RESET returns "
        "its result.",
        "A parameter says whether a reset is required.",
        "vfio_open_no_reset, vfio_reset_fails_on_open"),
    Row(34, ("vfio_platform_qcomhidma_reset",),
        "Wants exactly two regions; disables the interrupts of the event channel and resets both sides, waiting "
        "up to 10 ms for each.",
        "Was never merged.",
        "reset_*"),
    Row(35, ("vfio_platform_amdxgbe_reset",),
        "The loop that waits for the MAC counts down once more after its last look: a time-out is silent, a "
        "success at the last look warns.",
        SAME),
    Row(36, ("hidma_free_chan_resources",),
        "Frees the descriptors while their transfers are in flight. After the next allocation an error interrupt "
        "goes round for ever; a late completion meets a descriptor that is free; one that waits in the FIFO goes "
        "to memory that is freed.",
        "The same, with the channel suspended and its interrupts masked in between.",
        "channel_hang_free_chan_in_flight, channel_bug_free_chan_in_flight, channel_terminate_free_tasklet"),
    Row(37, ("hidma_handle_tre_completion",),
        "With WRITE_PTR equal to the ring size (row 7) the loop never meets its end.",
        "Ends at the first empty slot.",
        "ll_hang_write_ptr_eq_ring"),
    Row(38, ("hidma_cleanup_pending_tre",),
        "With a counter above the number of occupied slots (row 5) the loop never meets its end.",
        "Ends at the first empty slot.",
        "ll_hang_cleanup_overrun"),
    Row(39, ("hidma_ll_init",),
        "A ring that had to be aligned (row 10) reaches up to 26 bytes (TRE) or 10 bytes (EVRE) past its memory.",
        SAME,
        "ll_misaligned_*"),
    Row(40, ("hidma_terminate_channel",),
        "When the suspend times out, the descriptors are on a list of a function that has returned: the client "
        "never gets them back.",
        SAME,
        "channel_terminate_timeout_callback"),
    Row(41, ("hidma_terminate_channel",),
        "A completion that waits in the FIFO calls the client back a second time. Callbacks come for prepared "
        "descriptors first, then for active ones; the free list is in reverse order afterwards.",
        SAME,
        "channel_terminate_then_complete"),
    Row(42, ("hidma_terminate_channel",),
        "Terminating a paused channel enables the hardware, but the channel still counts as paused.",
        SAME,
        "channel_terminate_paused"),
    Row(43, ("hidma_callback", "HidmaChan"),
        "When the last active descriptor completes, running becomes whatever surrounds the list head: the next "
        "transfer is never reported as DMA_PAUSED.",
        SAME,
        "channel_pause_*"),
    Row(44, ("hidma_issue_task", "hidma_issue_pending", "hidma_terminate_channel", "hidma_probe"),
        "PM references: one leaks with each issue_pending (row 16), one more when the issue goes through the "
        "tasklet, one with each descriptor that is terminated; a probe that fails early drops one too many.",
        "Submit and issue are changed (row 16).",
        "channel_issue_*, channel_pm_get_*, channel_probe_*"),
    Row(45, ("hidma_ll_reset",),
        "A reset of the transfer channel that times out is logged, one of the event channel is not.",
        SAME,
        "ll_init_reset_timeout_evca"),
    Row(46, ("hidma_ll_request", "hidma_prep_dma_memcpy", "hidma_probe"),
        "Requesting a TRE again clears its err_code and keeps its err_info. A new copy keeps the descriptor's old"
        " callback; its length is cut to 32 bits. copy_align 8 is an exponent: 256 bytes.",
        "err_info is cleared.",
        "ll_request_resets_state, channel_prep_values"),
    Row(47, ("hidma_ll_init", "hidma_handle_tre_completion"),
        "The handoff FIFO is eight times larger than is needed, drops entries silently when it is full, and is "
        "never freed.",
        "The same size and the same silence.",
        "ll_fifo_full"),
    Row(48, ("hidma_mgmt_of_populate_channels",),
        "Without children, or when the first has no reg, an uninitialised pointer is freed. An error pointer is "
        "used as a device. A reg that is shorter than its cells say overruns its array by 32 bytes. References on"
        " nodes are lost.",
        "Error pointers are noticed, the wrong way round (row 27).",
        "mgmt_dt_*"),
    Row(49, ("IMPLEMENT_GETSET", "hidma_mgmt_setup"),
        "\"4294967304\" is taken for 8. A weight of 0 becomes 1 even when the setup then fails. The store function "
        "of dma_channels, which no file offers, would let the setup read past its arrays.",
        "The width and the weight: the same.",
        "mgmt_sys_store_*, mgmt_sys_dma_channels_grow"),
    Row(50, ("vfio_platform_open", "vfio_platform_regions_cleanup"),
        "An open that fails drops a reference on the wrong module; NULL is unmapped.",
        "Drops the right one.",
        "vfio_open_*"),
    Row(51, ("hidma_probe", "hidma_ll_init"),
        "A desc-count below four defers the probe for ever.",
        SAME,
        "channel_probe_count_3"),
    Row(52, ("hidma_issue_pending",),
        "In a real kernel: the V14 channel driver, built for Linux 6.1 and run on a model, passes 500 tests of "
        "dmatest without a failure, after which power/runtime_usage is 500 (rows 16 and 44).",
        "Row 16.",
        "seen in a real kernel"),
    Row(53, ("hidma_prep_dma_memcpy",),
        "In a real kernel, under RAID-5: when the ten descriptors were used once, the first one used again still "
        "has the client's ACK flag (row 19), and async_tx_quiesce() stops at its BUG_ON().",
        "Row 19.",
        "seen in a real kernel"),
    Row(54, ("hidma_mgmt_driver",),
        "The management driver has no remove: after an unbind its files stay, and the next bind fails with "
        "-EEXIST.",
        SAME),
    Row(55, ("hidma_mgmt_setup",),
        "More than 64 channels run over: QOS_64 is CFG (0x400).",
        "The registers are elsewhere (row 25)."),
    Row(56, ("vfio_platform_set_irq_trigger",),
        "A process can trigger an interrupt by hand before it has given an eventfd for it: the handler follows a NULL "
        "pointer, and the kernel stops.",
        "The same; it was mended in 6.9, where the handler looks first."),
    Row(57, ("vfio_platform_irq_cleanup",),
        "The eventfds that mask and unmask an interrupt stay connected when the device is closed: one that is signalled "
        "afterwards uses memory that was freed.",
        "The same."),
    Row(58, ("vfio_platform_read_mmio", "vfio_platform_write_mmio"),
        "Nothing compares the offset of a read or a write with the size of the region: one beyond the mapping stops the "
        "kernel.",
        SAME),
    Row(59, ("hidma_process_completed",),
        "Completed descriptors go to the end of the free list: one is used again when all others were.",
        "They go to its front. A client that chains copies (async_tx, under RAID-5) gets the one that it still holds for "
        "its next copy when the hardware was done before that was prepared: it then depends on itself, has the ACK flag by "
        "that, and async_tx_quiesce() stops at its BUG_ON().",
        "seen in a real kernel"),
)

BY_NUMBER = {row.number: row for row in ROWS}


def freed_in_flight(kernel: Any) -> list[HidmaDesc]:
    """Descriptors that the channel driver freed though they were submitted and not completed: their cookie is open."""
    freed = getattr(kernel.module("slab"), "freed", ())
    return [d for d in freed if isinstance(d, HidmaDesc) and d.desc.cookie >= DMA_MIN_COOKIE]


def _overrun(kernel: Any) -> int:
    """Whose fault it is that a channel counts more pending TREs than its list holds."""
    for mdesc in freed_in_flight(kernel):
        lldev = mdesc.desc.chan.container.dmadev.lldev
        if lldev.pending_tre_count and not any(lldev.pending_tre_list):
            return 36
    return 38


def oops_row(oops: Any, kernel: Any) -> int | None:
    """The row behind an Oops, None when it is none of V14's.

    :param oops: a ``KernelOops`` with its backtrace, names of functions, innermost first
    :param kernel: the kernel that stopped, as it is now
    """
    inner = oops.backtrace[0] if oops.backtrace else ""
    if inner == "hidma_mgmt_of_populate_channels":
        return 48
    if inner in ("hidma_callback", "hidma_process_completed"):
        return 36 if freed_in_flight(kernel) else None
    if "soft lockup" in oops.message:
        if inner == "hidma_cleanup_pending_tre":
            return _overrun(kernel)
        if inner == "hidma_handle_tre_completion":
            # one visit that never ends says so in each round; else it is the handler that calls it again and again
            return 37 if kernel.log and kernel.log[-1].text.endswith("out of sync") else 1
        if inner == "hidma_ll_int_handler_internal":
            return 1
    return None


HEAD = """\
.. SPDX-License-Identifier: GPL-2.0-only
.. Made by ``python -m hidma.quirks``; a test holds the two together.

Quirks of V14
=============

What the series does that it should not have done, or that a later kernel does otherwise. The port does what V14
does and says so where it does it: ``# V14: ... (row n)``. Where V14 would hang, or touch memory that is not its
own, the running kernel stops with an Oops that names the row. Runs are recorded scenarios of the series' own
driver, named by layer and name.

vfio-platform has since been marked deprecated in the kernel and was removed from newer QEMU.
"""


def _paragraph(head: str, text: str) -> str:
    escaped = re.sub(r"\*|_(?=\*)", r"\\\g<0>", text)
    body = textwrap.fill(escaped, 116, initial_indent="    ", subsequent_indent="    ")
    return f"{head}\n{body}\n"


def render() -> str:
    """docs/quirks.rst."""
    parts = [HEAD]
    for row in ROWS:
        title = f"Row {row.number}"
        where = ", ".join(f"``{name}``" for name in row.where)
        parts.append(f"\n.. _quirk-{row.number}:\n\n{title}\n{'-' * len(title)}\n\n{where}\n\n"
                     + _paragraph("V14", row.v14) + _paragraph("Linux 6.1", row.later)
                     + _paragraph("Evidence", row.evidence))
    return "".join(parts)


if __name__ == "__main__":
    print(render(), end="")
