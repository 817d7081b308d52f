# SPDX-License-Identifier: GPL-2.0-only
"""What V14 does that a later kernel does otherwise, or that it should not have done: one row for each, under the number
that the marks in the port (``# V14: ... (row n)``), the log of a kernel that stopped and the page about quirks use. It also
finds the row behind an Oops. It stands for no C file and changes nothing that the port does.
"""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import dataclass
from typing import Any

from hidma.hidma_h import TRE_SIZE, HidmaDesc, HidmaLldev
from hidma.linux.dmaengine import DMA_MIN_COOKIE

READ = "read in the source"
SAME = "The same."


@dataclass(frozen=True)
class Row:
    """One row.

    :ivar number: the number by which everything refers to it
    :ivar title: what it is about, in a few words
    :ivar where: the C functions (or objects) that it is about
    :ivar v14: what V14 does
    :ivar later: what Linux 6.1 does in its place
    :ivar evidence: the recorded runs that show it (layer and name, ``*`` for a family of them), or how it is known
    """

    number: int
    title: str
    where: tuple[str, ...]
    v14: str
    later: str
    evidence: str = READ

    def shown_by(self, run: str) -> bool:
        """Whether the recorded run of this name (layer and name) is evidence of it."""
        return any(fnmatch.fnmatch(run, pattern) for pattern in self.evidence.split(", "))


ROWS: tuple[Row, ...] = (
    Row(1, "The handler makes at most two passes and spins in each", ("hidma_ll_int_handler_internal",),
        "The handler reads the status and the enable register once, and tests the error bits once, on entry. Then it makes "
        "at most two passes. Each pass spins while a TRE is pending, for at most 500 ms (\"ISR timeout\"), and acknowledges "
        "the cause after the events were consumed.",
        "The handler loops until no cause is left, acknowledges before it consumes, and tests the error bits in each turn.",
        "ll_irq_*, ll_hang_isr_stopped_clock"),
    Row(2, "An error that comes between two passes is not recovered from", ("hidma_ll_int_handler_internal",),
        "An error bit that is set only when the status is read again is acknowledged like an end of block: no recovery.",
        "An error bit is handled whenever it is read."),
    Row(3, "A cause left after the second pass is not acknowledged", ("hidma_ll_int_handler_internal",),
        "A cause that is raised during the second pass stays set. The line is level triggered, so the handler is called again.",
        "The handler loops until no cause is left.",
        "ll_irq_timeout_both_passes"),
    Row(4, "Error recovery sleeps in interrupt context", ("hidma_ll_int_handler_internal",),
        "Recovery from an error runs in the interrupt handler: it acknowledges, completes every pending TRE with info 0xff "
        "and code 4, runs all of hidma_ll_setup() with its sleeping polls, and enables interrupts.",
        "The handler calls hidma_ll_disable(), which gives no command to a channel in ERROR, fails every pending TRE and leaves "
        "the channel as it is; later submits are refused.",
        "ll_error_*, channel_error_irq"),
    Row(5, "The clean-up of pending TREs relies on a counter", ("hidma_cleanup_pending_tre",),
        "The loop steps over empty slots and ends by the counter, so it never ends when the counter is above the number of "
        "occupied slots.",
        "The loop ends at the first empty slot.",
        "ll_cleanup_skips_empty_slot"),
    Row(6, "\"out of sync\": the saved offsets stay behind the hardware", ("hidma_handle_tre_completion",),
        "An EVRE whose slot is empty is stepped over with the warning \"out of sync\" but not counted, so the saved offsets "
        "stay behind those of the hardware.",
        "The loop ends at the first empty slot.",
        "ll_out_of_sync_*, channel_h1_ub_row37_wrong"),
    Row(7, "A WRITE_PTR equal to the ring size passes the check", ("hidma_handle_tre_completion",),
        "The check refuses a WRITE_PTR above the ring size; equal to it passes, though no offset in the ring has that value.",
        SAME,
        "ll_hang_write_ptr_eq_ring"),
    Row(8, "Results and counters are kept beside the TRE, without the lock", ("hidma_handle_tre_completion",),
        "The result of a TRE is in a second list (tx_status_list), the number of pending TREs is a plain signed counter, "
        "and the processed offsets are stored without the lock.",
        "The result is in the TRE, the counter is atomic, the TRE offset is stored under the lock."),
    Row(9, "Requesting a TRE calls its callback once", ("hidma_ll_request",),
        "The callback of a TRE is called once at request time, before anything was transferred.",
        SAME,
        "ll_request_callback_at_once"),
    Row(10, "Too little slack to align a small ring", ("hidma_ll_init",),
        "The allocation adds one byte for each entry (33 n and 17 n bytes) as slack for the alignment. For fewer than 31 TREs "
        "or 15 EVREs that is too little when the memory itself is not aligned.",
        SAME,
        "ll_misaligned_*"),
    Row(11, "Interrupts are enabled before the lock and the tasklet are ready", ("hidma_ll_init",),
        "hidma_ll_setup() enables interrupts before the lock and the tasklet are initialised. At least four TREs are "
        "required, and one is added.",
        SAME,
        "ll_init_*"),
    Row(12, "A setup keeps the list of pending TREs", ("hidma_ll_setup",),
        "A setup zeroes the counter and the offsets but keeps the entries of pending_tre_list. Interrupts are enabled before "
        "the channel is.",
        "Interrupts are enabled together with the channel.",
        "ll_stale_after_setup"),
    Row(13, "Pausing looks at one side only and leaves interrupts enabled", ("hidma_ll_pause",),
        "The function returns 0 at once when either side is SUSPENDED or STOPPED, whatever the state of the other. "
        "Interrupts stay enabled.",
        "The function suspends unless either side is not enabled, and masks interrupts.",
        "ll_pause_*"),
    Row(14, "Completion code 5 reads as complete", ("hidma_ll_status",),
        "The function tests single bits of the completion code: 5 has the bits of complete and of error, and reads as "
        "complete.",
        SAME,
        "ll_status_code_*, channel_code_5"),
    Row(15, "A submit already writes the TRE into the ring", ("hidma_tx_submit",),
        "The TRE is in the ring from the submit on, where any doorbell starts it, and the submit keeps a runtime PM reference.",
        "The submit only queues the descriptor on a list; issue_pending writes the ring.",
        "channel_basic"),
    Row(16, "Each issue_pending leaks a PM reference", ("hidma_issue_pending", "hidma_callback"),
        "hidma_issue_pending() takes one more PM reference. hidma_callback() drops one for each descriptor, which is the one "
        "that the submit took: one leaks with each issue_pending.",
        "The submit drops its own reference again.",
        "channel_issue_each"),
    Row(17, "A failed transfer has no callback", ("hidma_process_completed",),
        "The cookie is completed first. The client's callback is called for a success only, and before the descriptor is "
        "free again.",
        "The descriptor is freed first; the callback is always called and gets the result.",
        "channel_code_*"),
    Row(18, "A failed transfer reads DMA_COMPLETE", ("hidma_tx_status", "hidma_process_completed"),
        "hidma_tx_status() compares cookies only, and hidma_process_completed() completes the cookie of a failed transfer as "
        "well: its status is DMA_COMPLETE.",
        "The status of a failed transfer is DMA_ERROR.",
        "channel_errors_reported_complete"),
    Row(19, "The client's flags are not stored; no memset", ("hidma_prep_dma_memcpy",),
        "The client's flags are not stored in the descriptor. There is no memset operation, though the hardware has TRE "
        "type 4 for it.",
        "The flags are stored; there is a memset operation.",
        "channel_prep_values"),
    Row(20, "Terminating calls back as if the transfer were done", ("hidma_terminate_channel",),
        "The client is called back for every descriptor that is given up, as if it had completed.",
        SAME,
        "channel_terminate_active"),
    Row(21, "A removal leaves the issue tasklet and the chid file", ("hidma_remove",),
        "The issue tasklet is not killed and the chid file is not removed; the driver has no shutdown method.",
        "The tasklet is killed, the file is removed, and there is a shutdown method.",
        "channel_remove_busy"),
    Row(22, "The probe: desc-count, DMA mask, deferral, PM on early failure", ("hidma_probe",),
        "The property desc-count wins over the parameter nr_desc_prm, and that over 10. The DMA mask is 64 bits, or else 32. "
        "Whatever makes hidma_ll_init() fail, the probe returns -EPROBE_DEFER. An early failure drops a PM reference that "
        "was never taken.",
        "The parameter wins; the mask is 64 bits or the probe fails.",
        "channel_probe_*"),
    Row(23, "The chid file exists before its data", ("hidma_probe",),
        "The chid file is created before the driver's data is set: a read in between follows a NULL pointer.",
        "The data is set early."),
    Row(24, "debugfs: a double removal, and the address of a variable", ("hidma_debug_uninit", "hidma_dma_info"),
        "The directory is removed with its contents, and then stats, which was in it, once more. The address printed as "
        "dev_trca (and dev_evca) is that of the variable, not its value.",
        "One recursive removal; the same addresses are printed.",
        "channel_remove_twice_debugfs, dbg_idle"),
    Row(25, "QOS_N at 0x300, no parameters of the management driver", ("hidma_mgmt_setup",),
        "QOS_N is at 0x300 + 4n. The management driver has no module parameters.",
        "QOS_N is at 0x700 + 4n; parameters override the firmware.",
        "mgmt_probe_*"),
    Row(26, "Files of the management device: world-writable, whole setup per write",
        ("hidma_mgmt_setup", "IMPLEMENT_GETSET", "hidma_mgmt_files"),
        "All users may write the max_* files and each channel's priority and weight. A write sets up the whole device and "
        "restores the old value when that fails; a 64-bit number is cut to 32 bits; a weight of 0 becomes 1. The read-only "
        "files have a store function all the same.",
        "The max_* files are read-only.",
        "mgmt_sys_store_*"),
    Row(27, "Children of a device tree node: an error pointer compared with NULL, no of_node",
        ("hidma_mgmt_of_populate_channels",),
        "The result of platform_device_register_full() is compared with NULL, but it may be an error pointer. of_node of the "
        "new device stays unset, so the channel driver can match the device by its name only: the node has to be called hidma.",
        "of_node is set, but an inverted test creates no child device at all.",
        "mgmt_dt_*"),
    Row(28, "A node reference is dropped twice", ("hidma_mgmt_init",),
        "The init function drops the reference on a management node that of_find_matching_node() drops as well.",
        "The reference is dropped once.",
        "mgmt_dt_one_channel"),
    Row(29, "The management binding lists no interrupt", ("hidma_mgmt_probe",),
        "The probe requires an interrupt that the binding does not list; the binding's example is not valid source.",
        "The example is valid.",
        "mgmt_probe_irq_defer"),
    Row(30, "VFIO tries ACPI first", ("vfio_platform_probe_common",),
        "The probe tries ACPI first (the device needs a companion and a hardware ID), then the compatible string.",
        "ACPI is tried only on an ACPI system.",
        "vfio_acpi_*, vfio_dt_probe"),
    Row(31, "Reset lookup: one list, the newest entry first", ("vfio_platform_lookup_reset", "__vfio_platform_register_reset"),
        "All reset functions are in one list, the newest first: of two that match, the one registered last wins. An entry "
        "may have a compatible string, a hardware ID or both; the hardware ID is compared first. An entry whose module cannot "
        "be held is passed over. Only the first string of compatible counts.",
        "Device tree: the compatible string; ACPI: the device's own _RST method.",
        "vfio_lookup_*"),
    Row(32, "An ACPI system asks for the module vfio-reset:(null)", ("vfio_platform_get_reset",),
        "The module request is vfio-reset:<compatible> only. An ACPI device has no compatible string, so the request is "
        "vfio-reset:(null), and the reset module must be loaded before.",
        "The request is made on device tree systems only.",
        "vfio_acpi_probe_autoload"),
    Row(33, "A missing or failing reset is ignored", ("vfio_platform_open", "vfio_platform_release"),
        "A device without a reset function gets a warning; the result of a reset at open and release is ignored. "
        "VFIO_DEVICE_RESET returns it.",
        "A module parameter says whether a reset is required.",
        "vfio_open_no_reset, vfio_reset_fails_on_open"),
    Row(34, "The reset of a HIDMA channel", ("vfio_platform_qcomhidma_reset",),
        "The function requires exactly two regions; it disables the interrupts of the event channel and resets both sides, "
        "with at most 10 ms for each.",
        "The file was never merged.",
        "reset_*"),
    Row(35, "amd-xgbe: the time-out warning is on the wrong edge", ("vfio_platform_amdxgbe_reset",),
        "The loop that waits for the MAC counts down once more after its last look: a time-out is silent, and a success at the "
        "last look warns.",
        SAME),
    Row(36, "Freeing a channel's resources does not quiesce it", ("hidma_free_chan_resources",),
        "The descriptors are freed while their transfers are in flight. After the next allocation an error interrupt loops "
        "for ever; a late completion reaches a descriptor that is free; a completion in the FIFO is delivered to freed memory.",
        "The same, with the channel suspended and its interrupts masked in between.",
        "channel_hang_free_chan_in_flight, channel_bug_free_chan_in_flight, channel_terminate_free_tasklet"),
    Row(37, "A WRITE_PTR equal to the ring size: the loop never ends", ("hidma_handle_tre_completion",),
        "With WRITE_PTR equal to the ring size (row 7) the consuming loop never reaches its end.",
        "The loop ends at the first empty slot.",
        "ll_hang_write_ptr_eq_ring"),
    Row(38, "A counter above the occupied slots: the loop never ends", ("hidma_cleanup_pending_tre",),
        "With a counter above the number of occupied slots (row 5) the loop never reaches its end.",
        "The loop ends at the first empty slot.",
        "ll_hang_cleanup_overrun"),
    Row(39, "A misaligned ring reaches past its allocation", ("hidma_ll_init",),
        "A ring that had to be aligned (row 10) reaches up to 26 bytes (TRE) or 10 bytes (EVRE) past its memory.",
        SAME,
        "ll_misaligned_*"),
    Row(40, "Descriptors are lost when a termination times out", ("hidma_terminate_channel",),
        "When the suspend times out, the descriptors are on a list on the stack of a function that has returned: the client "
        "never gets them back. What a completion that still comes for one of them does is undefined: list_del() writes to that "
        "stack. Here it is an Oops.",
        SAME,
        "channel_terminate_timeout_callback, channel_h1_ub_dead_frame"),
    Row(41, "Terminating: a second callback, and the order of callbacks", ("hidma_terminate_channel",),
        "A completion that is in the FIFO calls the client back a second time. Callbacks come for prepared descriptors first, "
        "then for active ones; the free list is in reverse order afterwards.",
        SAME,
        "channel_terminate_then_complete"),
    Row(42, "Terminating a paused channel enables the hardware", ("hidma_terminate_channel",),
        "Terminating a paused channel enables the hardware, but the channel still counts as paused.",
        SAME,
        "channel_terminate_paused"),
    Row(43, "running becomes the list head", ("hidma_callback", "HidmaChan"),
        "When the last active descriptor completes, running becomes the structure that surrounds the list head: the next "
        "transfer is never reported as DMA_PAUSED.",
        SAME,
        "channel_pause_*"),
    Row(44, "PM references: the whole account",
        ("hidma_issue_task", "hidma_issue_pending", "hidma_terminate_channel", "hidma_probe"),
        "One PM reference leaks with each issue_pending (row 16), one more when the issue goes through the tasklet, one with "
        "each descriptor that is terminated; a probe that fails early drops one too many.",
        "Submit and issue are changed (row 16).",
        "channel_issue_*, channel_pm_get_*, channel_probe_*"),
    Row(45, "A time-out of the event channel's reset is silent", ("hidma_ll_reset",),
        "A reset of the transfer channel that times out is logged, one of the event channel is not.",
        SAME,
        "ll_init_reset_timeout_evca"),
    Row(46, "What is left over from the last use of a TRE", ("hidma_ll_request", "hidma_prep_dma_memcpy", "hidma_probe"),
        "Requesting a TRE again clears its err_code and keeps its err_info. A new copy keeps the descriptor's old callback; "
        "its length is cut to 32 bits. copy_align 8 is an exponent: 256 bytes.",
        "err_info is cleared.",
        "ll_request_resets_state, channel_prep_values"),
    Row(47, "The handoff FIFO is too large and drops silently", ("hidma_ll_init", "hidma_handle_tre_completion"),
        "The handoff FIFO is eight times larger than needed, drops entries silently when it is full, and is never freed.",
        "The same size, and entries are dropped silently as well.",
        "ll_fifo_full"),
    Row(48, "Children of a device tree node: memory errors", ("hidma_mgmt_of_populate_channels",),
        "Without children, or when the first has no reg, an uninitialised pointer is freed. An error pointer is used as a "
        "device. A reg that is shorter than its cells require overruns its array by 32 bytes. References on nodes are lost.",
        "Error pointers are tested for, with the test inverted (row 27).",
        "mgmt_dt_*"),
    Row(49, "A stored value is cut to 32 bits", ("IMPLEMENT_GETSET", "hidma_mgmt_setup"),
        "\"4294967304\" is accepted as 8. A weight of 0 becomes 1 even when the setup then fails. The store function of "
        "dma_channels, which no file offers, would let the setup read past its arrays.",
        "The width and the weight: the same.",
        "mgmt_sys_store_*, mgmt_sys_dma_channels_grow"),
    Row(50, "A failed open drops the wrong module; NULL is unmapped", ("vfio_platform_open", "vfio_platform_regions_cleanup"),
        "An open that fails drops a reference on the wrong module. A region that was never mapped is unmapped: iounmap(NULL).",
        "The right reference is dropped.",
        "vfio_open_*"),
    Row(51, "A desc-count below four defers the probe for ever", ("hidma_probe", "hidma_ll_init"),
        "hidma_ll_init() refuses fewer than four TREs, and the probe answers -EPROBE_DEFER each time it is tried.",
        SAME,
        "channel_probe_count_3"),
    Row(52, "In a real kernel: runtime_usage after dmatest", ("hidma_issue_pending",),
        "The V14 channel driver, built for Linux 6.1 and run on a model, passes 500 tests of dmatest without a failure, after "
        "which power/runtime_usage is 500 (rows 16 and 44).",
        "As row 16.",
        "seen in a real kernel"),
    Row(53, "In a real kernel: RAID-5 stops at a BUG_ON()", ("hidma_prep_dma_memcpy",),
        "When the ten descriptors were used once, the first one used again still has the client's ACK flag (row 19), and "
        "async_tx_quiesce() stops at its BUG_ON().",
        "As row 19.",
        "seen in a real kernel"),
    Row(54, "The management driver has no remove", ("hidma_mgmt_driver",),
        "After an unbind the files of the management device stay, and the next bind fails with -EEXIST.",
        SAME),
    Row(55, "More than 64 channels overwrite CFG", ("hidma_mgmt_setup",),
        "With more than 64 channels the QOS_N registers overlap: QOS_64 is CFG (0x400).",
        "The registers are elsewhere (row 25)."),
    Row(56, "An interrupt triggered by hand before it has an eventfd", ("vfio_platform_set_irq_trigger",),
        "A process can trigger an interrupt by hand before it has given an eventfd for it: the handler follows a NULL pointer, "
        "and the kernel stops.",
        "The same; fixed in 6.9, where the handler tests the pointer."),
    Row(57, "Eventfds that mask and unmask stay connected", ("vfio_platform_irq_cleanup",),
        "The eventfds that mask and unmask an interrupt stay connected when the device is closed: one that is signalled "
        "afterwards uses freed memory.",
        SAME),
    Row(58, "A read or write beyond the region stops the kernel", ("vfio_platform_read_mmio", "vfio_platform_write_mmio"),
        "The offset of a read or a write is not compared with the size of the region: an access beyond the mapping stops the "
        "kernel.",
        "The same in 6.1; a later stable release (6.1.192 has it) refuses the access with -EINVAL."),
    Row(59, "Completed descriptors go to the end of the free list", ("hidma_process_completed",),
        "Completed descriptors go to the end of the free list: a descriptor is used again after all others were used.",
        "They go to its front. A client that chains copies (async_tx, under RAID-5) gets the descriptor that it still holds "
        "for its next copy when the hardware was done before that copy was prepared: the copy then depends on itself, has the "
        "ACK flag by that, and async_tx_quiesce() stops at its BUG_ON().",
        "seen in a real kernel"),
    Row(60, "A termination frees what other threads have prepared", ("hidma_terminate_channel",),
        "The list of prepared descriptors is emptied as well, with those that another thread of the client has prepared and "
        "not submitted. The next preparation hands such a descriptor out a second time. Both threads submit it, and its "
        "second completion stops at the BUG_ON() of dma_cookie_complete().",
        SAME,
        "seen with dmatest"),
    Row(61, "A failed allocation frees descriptors that are still linked and still called",
        ("hidma_alloc_chan_resources", "hidma_callback"),
        "When an allocation fails half way, the descriptors made before are freed without being taken from their list, and "
        "their TREs keep the callback: a completion that still comes for one of these TREs is delivered to freed memory.",
        SAME,
        "channel_h1_ub_alloc_rollback_freed"),
    Row(62, "running outlives the descriptor", ("hidma_free_chan_resources", "hidma_tx_status"),
        "Freeing a channel's resources does not clear running: while the channel is paused, hidma_tx_status() reads the cookie "
        "of freed memory.",
        SAME,
        "channel_h1_ub_running_freed"),
    Row(63, "A completion between two callbacks of a termination", ("hidma_terminate_channel", "hidma_callback"),
        "The list of what is given up is walked without the lock. A completion that comes in the middle moves the next entry "
        "to the free list, and the walk goes on there.",
        "The interrupts are masked before the walk.",
        "channel_h1_ub_terminate_meets_tasklet"),
    Row(64, "A callback that submits its own descriptor again", ("hidma_process_completed",),
        "The callback runs while its descriptor is in the local list. Submitting the descriptor moves it to the active list, and "
        "the walk goes on there and takes the list head for a descriptor.",
        "The descriptor is in the free list before the callback runs.",
        "channel_h1_ub_resubmit_in_callback"),
    Row(65, "Use of the low level after hidma_ll_uninit()",
        ("hidma_ll_uninit", "hidma_ll_free", "hidma_ll_request", "hidma_ll_queue_request", "hidma_ll_set_transfer_params"),
        "hidma_ll_uninit() sets trepool to NULL, and no function tests it: a request, a submit or a preparation after an "
        "unbind follows the NULL pointer.",
        SAME,
        "ll_h1_ub_request_after_uninit, ll_h1_ub_queue_after_uninit, channel_h1_ub_prep_after_remove"),
    Row(66, "A descriptor that was freed is submitted", ("hidma_free_chan_resources", "hidma_tx_submit"),
        "Freeing a channel's resources frees the prepared descriptors as well, though the client still has them; its submit "
        "uses freed memory.",
        SAME,
        "channel_h1_ub_submit_freed_enabled, channel_h1_ub_submit_freed_disabled"),
)

BY_NUMBER = {row.number: row for row in ROWS}


def freed_in_flight(kernel: Any) -> list[HidmaDesc]:
    """Descriptors that the channel driver freed though they were submitted and not completed: their cookie is open."""
    freed = getattr(kernel.module("slab"), "freed", ())
    return [d for d in freed if isinstance(d, HidmaDesc) and d.desc.cookie >= DMA_MIN_COOKIE]


def _overrun(kernel: Any) -> int:
    """The row behind a channel that counts more pending TREs than its list holds."""
    for mdesc in freed_in_flight(kernel):
        lldev = mdesc.desc.chan.container.dmadev.lldev
        if lldev.pending_tre_count and not any(lldev.pending_tre_list):
            return 36
    return 38


def _low_level(kernel: Any) -> HidmaLldev | None:
    """The low level whose interrupt handler runs."""
    return next((action.dev_id for desc in kernel.gic.descs.values() if desc.in_progress
                 for action in desc.actions if isinstance(action.dev_id, HidmaLldev)), None)


def _endless_completion(kernel: Any) -> int:
    """The row behind a hidma_handle_tre_completion() that gets nowhere: 37 if it runs around the whole ring, as it does when
    WRITE_PTR is the size of the ring; 6 if the handler calls it again and again for the same EVREs; 1 if there are none.
    """
    lldev = _low_level(kernel)
    slots = lldev.tre_ring_size // TRE_SIZE if lldev is not None else 1
    last = itertools.takewhile(lambda line: line.text.rstrip().endswith("out of sync"), reversed(kernel.log))
    seen = {line.text for line in itertools.islice(last, 2 * slots)}
    if kernel.log.first:  # some may have been dropped
        seen.update(text for cpu in kernel.cpus for text in cpu.lines_seen if text.rstrip().endswith("out of sync"))
    return 1 if not seen else 37 if len(seen) >= slots else 6


def oops_row(oops: Any, kernel: Any) -> int | None:
    """The row behind an Oops or a soft lockup, None when it is none of V14's.

    :param oops: a ``KernelOops`` with its backtrace, names of functions, innermost first
    :param kernel: the kernel that stopped, as it is now
    """
    inner = oops.backtrace[0] if oops.backtrace else ""
    if inner == "hidma_mgmt_of_populate_channels":
        return 48
    if "use-after-free" in oops.message:
        if inner == "hidma_tx_status":
            return 62
        if inner == "hidma_callback":
            return 36 if oops.subject.desc.cookie >= DMA_MIN_COOKIE else 61
        return 66 if "hidma_process_completed" not in oops.backtrace else 36
    if inner in ("hidma_callback", "hidma_process_completed"):
        if freed_in_flight(kernel):
            return 36
        if "tx->cookie < DMA_MIN_COOKIE" in oops.message:
            return 60 if getattr(kernel.module("dmaengine"), "terminated", False) else None
        return 40 if inner == "hidma_callback" else 64
    if inner == "hidma_terminate_channel":
        return 63 if "no entry of it" in oops.message else None
    if inner in BY_NUMBER[65].where:
        return 65 if "NULL pointer" in oops.message else None
    if "soft lockup" in oops.message:
        if inner == "hidma_cleanup_pending_tre":
            return _overrun(kernel)
        if inner == "hidma_handle_tre_completion":
            return _endless_completion(kernel)
        if inner == "hidma_ll_int_handler_internal":
            return 1
        lldev = _low_level(kernel)
        if not inner and lldev is not None:  # the watchdog, which looks from outside: the handler spins, or it recovers
            return 1 if lldev.pending_tre_count else 4
    return None
