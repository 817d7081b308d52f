# SPDX-License-Identifier: GPL-2.0-only
"""A commentary on the functions of hidma_ll.c, hidma.c and hidma_mgmt.c, block by block in the order of each function: what a block
does, which lock it holds and why, and why V14 is as it is. The pages show it at the function. It stands for no C file.
"""

from __future__ import annotations

#: C function to paragraphs, one for each block.
COMMENTARY: dict[str, tuple[str, ...]] = {
    # hidma_ll.c
    "hidma_ll_free": (
        "Checks the number, then whether the TRE is taken at all: both are errors of the caller, which has no result to "
        "look at, so they are logged.",
        "Setting the flag is all that frees a TRE. No lock: the flag is atomic, and the caller has given the TRE up.",
    ),
    "hidma_ll_request": (
        "Looks for a free TRE. atomic_add_unless() tests and takes the flag in one step, so two callers never get the "
        "same TRE and no lock is needed. One TRE is always left: a full ring would look like an empty one.",
        "Fills the fixed part of the TRE once: type memcpy, the channel index, and the bit that asks for an event at the "
        "end of the block. Each transfer then sets only addresses and length.",
        "Calls the callback at once (row 9); the channel driver's callback finds no list to move the descriptor on, and "
        "returns.",
    ),
    "hidma_ll_tre_complete": (
        "The tasklet. It empties the FIFO and calls the callback of each TRE, with interrupts enabled and without a lock, "
        "since a client may submit again from its callback.",
    ),
    "hidma_handle_tre_completion": (
        "Reads how far the hardware has written events, and checks the value: it comes from a device. The check lets the "
        "ring size itself pass (row 7).",
        "Walks from the last processed event to there. An EVRE has no number of its TRE: the hardware completes in order, "
        "so the next TRE of the ring is meant. The lock is held for the pending list and the counter only, which the "
        "submit changes as well.",
        "An empty slot means that driver and hardware do not agree; it is stepped over and not counted (row 6).",
        "Takes the completion code out of the event before the TRE is handed on, since the hardware may write over the "
        "event as soon as the doorbell is rung.",
        "Puts the TRE into the FIFO and schedules the tasklet: callbacks do not run in the interrupt. Then reads the "
        "write pointer again, since events come in while others are handled.",
        "At the end tells the hardware, by the doorbell of the event side, how many events were consumed. Without it the "
        "event ring would fill and the channel stop. The offsets are stored without the lock (row 8).",
    ),
    "hidma_cleanup_pending_tre": (
        "Completes every pending TRE with an error that the driver makes up, without looking at the event ring: after an "
        "error of the hardware there will be no events for them.",
        "The order is that of the ring, so that clients see their transfers end in the order of submission. The lock is "
        "held for each slot, not for the loop: the loop ends by the counter, and a counter that is too high makes it "
        "endless (rows 5 and 38).",
    ),
    "hidma_ll_reset": (
        "Resets the transfer side first, so that no new event is made, then the event side. After each it polls the state "
        "for at most 10 ms: the wait lets the logic quiesce.",
        "The polls sleep. At probe that is allowed; in the error path of the interrupt handler it is not (row 4). A "
        "time-out of the event side is not logged (row 45).",
    ),
    "hidma_ll_enable_irq": (
        "Writes the mask of causes that may raise the line. Zero keeps the line down, whatever the status says.",
    ),
    "hidma_ll_int_handler_internal": (
        "Reads status and enable once and keeps the causes that are enabled. The accessors are relaxed: the hardware "
        "guarantees that data and events are in memory before the interrupt is seen, so no barrier is needed. That holds "
        "for this block only.",
        "An error: acknowledge, fail everything that is pending, and set the channel up again. The client learns of "
        "nothing but the end of its transfers. The setup sleeps, in interrupt context (row 4).",
        "The normal path: spin until nothing is pending, for at most half a second. Spinning saves an interrupt for each "
        "of many short transfers; for a long one it costs the CPU (row 1). The limit is there for a channel that never "
        "completes.",
        "Acknowledge after the events were consumed, and read the status again: a cause that came in between is handled "
        "in a second pass. A third is not made; the line is level triggered and brings the handler back (row 3). An error "
        "bit that is read here is not recognised as one (row 2).",
    ),
    "hidma_ll_enable": (
        "Enables the event side first: a transfer that ends before there is a place for its event would stall. Both "
        "states RUNNING and ENABLED are right, since the hardware may already be working when the driver looks.",
        "The states are kept in the structure for debugfs and for hidma_ll_isenabled().",
    ),
    "hidma_ll_resume": (
        "Enabling is all that a resume is: rings and offsets are as they were.",
    ),
    "hidma_ll_hw_start": (
        "Rings the doorbell with the offset behind the last TRE. The lock orders it with submits on other CPUs: the "
        "offset that is written is never behind a TRE that is in the ring. writel() also orders the TRE in memory before "
        "the doorbell.",
    ),
    "hidma_ll_isenabled": (
        "Reads the states from the hardware and not from the structure: the host may have stopped the channel, or an "
        "error has.",
    ),
    "hidma_ll_queue_request": (
        "Under the lock: the TRE gets the next slot, is entered in the pending list, copied into the ring, counted, and "
        "the write offset moves on. The interrupt handler on another CPU sees all of it or nothing.",
        "Nothing is started, but from here on a doorbell for another descriptor starts this one too (row 15).",
    ),
    "hidma_ll_start": (
        "The interface for the channel driver; hidma_ll_hw_start() does the work.",
    ),
    "hidma_ll_pause": (
        "Reads both states. A channel that is suspended or stopped already needs nothing; either side is enough here (row "
        "13).",
        "Suspends the transfer side and waits until it has finished the TRE it is at, then the event side, so that the "
        "event of that TRE still comes. Interrupts stay enabled: that event may be delivered.",
    ),
    "hidma_ll_set_transfer_params": (
        "Checks that the TRE exists and was requested, then writes length and addresses into the driver's own copy. No "
        "lock: the descriptor belongs to its client between prep and submit.",
    ),
    "hidma_ll_setup": (
        "Starts the accounts from zero: counter and offsets, though not the pending list (row 12). All of it is undone by "
        "the reset that follows, in which the hardware sets its pointers to zero too.",
        "Masks and clears interrupts, resets, and clears again: the reset itself raises a cause.",
        "Gives both rings to the hardware: bus address in two halves, and length in bytes. Then chooses the interrupt "
        "line as the way of delivery.",
        "Enables the causes and then the channel (row 12). The function is used at probe, after an error and by "
        "terminate_all, which is why it assumes nothing of the state of the hardware.",
    ),
    "hidma_ll_init": (
        "Checks the arguments. At least four TREs are required; one more is added because one slot stays free.",
        "Allocates everything from the device (devm, dmam), so that a failure here or later needs no clean-up. NULL is "
        "returned for all failures alike, and the caller cannot tell them apart (row 22).",
        "Aligns the rings to the size of their entries, which the hardware needs. The slack for it is too small for small "
        "rings (rows 10 and 39).",
        "Allocates the FIFO, sets the hardware up, and only then initialises the lock and the tasklet that the interrupt "
        "handler uses (row 11). It works because nothing is pending yet and the line is requested later.",
    ),
    "hidma_ll_uninit": (
        "Stops the tasklet before the TREs go that it may be using. Then the reset stops the hardware, and what the reset "
        "raised is cleared and masked.",
    ),
    "hidma_ll_inthandler": (
        "Returns IRQ_HANDLED even when no cause was there: the line is the channel's own, so a spurious interrupt has no "
        "other owner.",
    ),
    "hidma_ll_status": (
        "Reads the completion code under the lock. The code is tested bit by bit, complete first (row 14).",
    ),
    # hidma.c
    "to_hidma_dev": (
        "The DMA device is a member of the driver's structure; container_of() finds the structure.",
    ),
    "to_hidma_chan": (
        "As to_hidma_dev(), for the channel.",
    ),
    "to_hidma_desc": (
        "As to_hidma_dev(), for the descriptor.",
    ),
    "hidma_free": (
        "Empties the list of channels. Their memory is the device's and goes with it.",
    ),
    "hidma_process_completed": (
        "Takes the whole list of completed descriptors under the lock and works on a list of its own: callbacks must run "
        "without the lock, since a client may call the driver from them.",
        "For each: completes the cookie, asks the low level for the status, calls back for a success (row 17), and starts "
        "what depends on the transfer. The cookie is completed whatever the status (row 18).",
        "Frees them at the end, all at once: a client that submits from its callback cannot get the descriptor that is "
        "being completed. They go to the end of the free list (row 59).",
    ),
    "hidma_callback": (
        "Called by the low level in the tasklet. A descriptor that is on no list was only requested, never submitted (row "
        "9).",
        "Moves it from active to completed under the lock, and makes the next active one the running one, which the "
        "status needs for DMA_PAUSED. With an empty list that is no descriptor (row 43).",
        "Drops the PM reference that the submit took (row 16).",
    ),
    "hidma_chan_init": (
        "Allocates the one channel of the device and links it into the DMA device. The four lists are the states of a "
        "descriptor: free, prepared, active, completed.",
    ),
    "hidma_issue_task": (
        "The way of a doorbell that could not be rung in the client's context: it takes a PM reference, waits for the "
        "device to be awake, and starts. Nobody drops the reference (row 44).",
    ),
    "hidma_issue_pending": (
        "May be called in any context, so it cannot wait for a suspended device. pm_runtime_get() only asks for it to be "
        "woken; when even that fails the tasklet goes on.",
        "Nothing is moved here: the descriptors were put on the active list by their submits.",
    ),
    "hidma_tx_status": (
        "Compares cookies, without a lock: both numbers are read once. A transfer that is running in a paused channel is "
        "reported as paused; errors are not reported at all (row 18).",
    ),
    "hidma_tx_submit": (
        "Wakes the device and takes the reference that keeps it awake until the callback. A channel that is not enabled "
        "refuses.",
        "Under the lock: to the active list, the cookie, and the TRE into the ring, so that cookies, list and ring have "
        "one order.",
    ),
    "hidma_alloc_chan_resources": (
        "Allocates the descriptors when a client takes the channel, and requests a TRE for each once, so that prep never "
        "allocates.",
        "A failure gives everything back. The result 1 is no count: V14 returns it for any number of descriptors.",
    ),
    "hidma_prep_dma_memcpy": (
        "Takes the first free descriptor under the lock; without one the client gets NULL and tries again later.",
        "Fills the TRE without the lock, as nobody else knows the descriptor, and puts it on the prepared list. The "
        "client's flags are not stored in it (row 19), and its old callback stays (row 46).",
    ),
    "hidma_terminate_channel": (
        "Lets completed requests finish, then takes all lists at once, so that nothing new completes meanwhile.",
        "Suspends the hardware. When that fails the function gives up and the descriptors are lost (row 40).",
        "Returns every request to its client, as if it had completed (row 20), and frees it. The callbacks run without "
        "the lock.",
        "Resumes the hardware, where TREs that are in the ring go on.",
    ),
    "hidma_terminate_all": (
        "Terminates and then sets the hardware up anew, which empties the ring.",
    ),
    "hidma_free_chan_resources": (
        "Terminates and frees under the lock. The hardware may still be working on a TRE (row 36).",
    ),
    "hidma_pause": (
        "A flag keeps pause from being done twice. The result of the hardware is only logged: the channel counts as "
        "paused.",
    ),
    "hidma_resume": (
        "The counterpart; here a failure of the hardware leaves the channel paused.",
    ),
    "hidma_chirq_handler": (
        "The interrupt of the channel. All work is in the low level, which knows nothing of dmaengine.",
    ),
    "hidma_show_values": (
        "One show function for all files of the device, told apart by name; there is only chid.",
    ),
    "hidma_create_sysfs_entry": (
        "Makes a file at run time from a name and a mode. The memory is the device's.",
    ),
    "hidma_probe": (
        "Enables runtime PM first, with two seconds until suspend. From here every failure has to undo it, and an early "
        "one undoes too much (row 22).",
        "Maps the two register pages and finds the interrupt.",
        "Fills in the operations of the DMA device. The alignment is an exponent, so 8 asks for 256 bytes (row 46).",
        "Finds the number of descriptors: property, parameter, default, in this order. Reads the channel index from the "
        "hardware, since the driver may run in a guest that has no other way to know.",
        "Sets the DMA mask, sets up the low level, requests the interrupt, and registers with dmaengine: from that call "
        "on a client may use the channel.",
        "debugfs and the chid file come last and may fail without harm. The driver's data is set after the file exists "
        "(row 23).",
    ),
    "hidma_remove": (
        "Unregisters from dmaengine first, so that no client comes any more, then frees the interrupt and the hardware. "
        "The issue tasklet and the chid file are left (row 21).",
    ),
    # hidma_mgmt.c
    "hidma_mgmt_setup": (
        "Checks everything before it writes anything: burst lengths are powers of two from 128 to 1024, transactions fit "
        "their field, priority is 0 or 1, weight at most 15. A weight of 0 becomes 1, since the arbiter would never serve "
        "the channel.",
        "Reads, changes and writes each register, so that fields it does not know keep their value. The function is used "
        "at probe and after each write to a file, always for the whole device (row 26).",
        "The loop over the channels writes priority and weight; nothing limits their number to 64 (row 55).",
    ),
    "hidma_mgmt_probe": (
        "Needs the registers, an interrupt that is never used (row 29), and six properties, each with a message of its "
        "own when it is missing. There are no defaults.",
        "Allocates priority and weight of each channel as zero; the setup makes the weights 1. Then it starts the core "
        "and creates the files.",
    ),
    "hidma_mgmt_of_populate_channels": (
        "For each child node: counts the cells of reg, allocates as many resources and one for the interrupt, and fills "
        "them in. The kernel's own code for that would need of_node of the new device to be set.",
        "Registers a platform device, with the management device as its parent and a number that counts over all cores. "
        "The result is tested for NULL, but a failure is an error pointer (row 27).",
        "The resources were copied and are freed; on the early exits the pointer may be uninitialised (row 48).",
    ),
    "hidma_mgmt_init": (
        "Creates the channel devices of every management node before the driver is registered, so that they exist when "
        "their parent is probed. A node reference is dropped twice (row 28).",
    ),
}
