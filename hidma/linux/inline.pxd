# SPDX-License-Identifier: GPL-2.0-only
# The primitives on the way of a descriptor, as C that is compiled into its callers. Each has a twin in Python in the
# module of its name, which is what Python calls and what runs interpreted; tests/test_inline.py holds the two together.
#
# An argument is a pointer to the C data of an object or the object itself. A pointer is borrowed: nothing is counted for
# it, and its caller keeps the object alive. What is rare, and whatever raises, is a function of the module.
from cpython.object cimport PyObject
from hidma.hw.block cimport RegisterBlock
from hidma.hw.bus cimport Block
from hidma.hw.clock cimport Clock
from hidma.hw.trace cimport Trace
from hidma.linux cimport sched
from hidma.linux.atomic cimport Atomic, atomic_t
from hidma.linux.device cimport Device, device_t
from hidma.linux.dmaengine cimport (
    DMA_MAX_COOKIE, DMA_MIN_COOKIE, DmaAsyncTxDescriptor, DmaChan, DmaDevice, cookie_not_in_use, dma_async_is_complete,
    dma_async_tx_descriptor, dma_chan, dma_tx_state, run_dependencies)
from hidma.linux.interrupt cimport TaskletStruct, tasklet_queue, tasklet_struct
from hidma.linux.io cimport WINDOW_MASK, WINDOW_SHIFT, Window, read_any, unmapped, window_t, write_block
from hidma.linux.kfifo cimport Kfifo, kfifo, refused
from hidma.linux.list cimport (
    LIST_POISON, SPARE, ListHead, list_head, more_heads, no_list_entry, poisoned, spare_heads)
from hidma.linux.mm cimport bad_address, no_structure
from hidma.linux.pm_runtime cimport DevPmInfo, dev_pm_info, pm_event, rpm_get, rpm_resume, rpm_suspend
from hidma.linux.sched cimport cpu_t, look
from hidma.linux.spinlock cimport Spinlock, check, contended, spinlock_t, unlocked_by
from hidma.linux.types cimport CFunction, call_python

cdef extern from "Python.h":
    void Py_INCREF(void *) noexcept
    void Py_DECREF(void *) noexcept
    void *Py_TYPE(void *) noexcept
    void *PyList_GET_ITEM(void *, Py_ssize_t) noexcept
    void PyList_SET_ITEM(void *, Py_ssize_t, void *) noexcept
    Py_ssize_t PyList_GET_SIZE(void *) noexcept

# above 63 bits, where an enum of Cython is signed: linux.mm and linux.io have the same for Python
cdef extern from *:
    """
    #define HIDMA_PAGE_OFFSET 0xFFFF800000000000ULL
    #define HIDMA_IO_OFFSET 0xFFFF000000000000ULL
    """
    const unsigned long long PAGE_OFFSET "HIDMA_PAGE_OFFSET"
    const unsigned long long IO_OFFSET "HIDMA_IO_OFFSET"

ctypedef void *void_p
ctypedef atomic_t *atomic_p
ctypedef device_t *device_p
ctypedef dma_async_tx_descriptor *dma_async_tx_descriptor_p
ctypedef dma_chan *dma_chan_p
ctypedef kfifo *kfifo_p
ctypedef list_head *list_head_p
ctypedef spinlock_t *spinlock_p
ctypedef tasklet_struct *tasklet_struct_p

ctypedef fused function_arg:
    object
    void_p

ctypedef fused data_arg:
    object
    void_p

ctypedef fused atomic_arg:
    Atomic
    atomic_p

ctypedef fused device_arg:
    Device
    device_p

ctypedef fused chan_arg:
    DmaChan
    dma_chan_p

ctypedef fused tx_arg:
    DmaAsyncTxDescriptor
    dma_async_tx_descriptor_p

ctypedef fused fifo_arg:
    Kfifo
    kfifo_p

ctypedef fused list_arg:
    ListHead
    list_head_p

ctypedef fused other_list_arg:
    ListHead
    list_head_p

ctypedef fused lock_arg:
    Spinlock
    spinlock_p

ctypedef fused tasklet_arg:
    TaskletStruct
    tasklet_struct_p

# --- objects ----------------------------------------------------------------------------------------------------------

# an object that C data belongs to, for those who take objects
cdef inline object face(void *data):
    return <object>data

# whether a pointer to an object is not the NULL of C, which is None
cdef inline bint given(void *pointer) noexcept:
    return pointer != <void *>None

# NULL where a structure should be is an Oops
cdef inline int there(void *data) except -1:
    if data == <void *>None:
        no_structure()
    return 0

# item of a list of objects, borrowed; an index past its end is for the caller to prevent
cdef inline void *item(void *items, size_t index) noexcept:
    return PyList_GET_ITEM(items, index)

cdef inline void set_item(void *items, size_t index, void *value) noexcept:
    cdef void *old = PyList_GET_ITEM(items, index)
    Py_INCREF(value)
    PyList_SET_ITEM(items, index, value)
    Py_DECREF(old)

# --- <linux/bitops.h> -------------------------------------------------------------------------------------------------

cdef inline unsigned long BIT(int nr) noexcept:
    return 1UL << nr

# --- <linux/atomic.h> -------------------------------------------------------------------------------------------------

cdef inline int atomic_read(atomic_arg v) noexcept:
    return (<atomic_t *>v).counter

cdef inline int atomic_set(atomic_arg v, int i) noexcept:
    (<atomic_t *>v).counter = i
    return 0

cdef inline int atomic_add_unless(atomic_arg v, int a, int u) noexcept:
    cdef atomic_t *counter = <atomic_t *>v
    if counter.counter == u:
        return 0
    counter.counter += a
    return 1

# --- void (*)(void *) -------------------------------------------------------------------------------------------------

cdef inline int call(function_arg fn, data_arg data) except -1:
    if Py_TYPE(<void *>fn) == <void *>CFunction:
        (<CFunction>fn).fn(<void *>data)
        return 0
    return call_python(<object>fn, <object>data)

# --- <linux/spinlock.h> -----------------------------------------------------------------------------------------------

cdef inline int spin_lock_irqsave(lock_arg given) except -1:
    cdef spinlock_t *lock = <spinlock_t *>given
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef int flags
    if lock_arg is Spinlock:
        there(lock)
    flags = cpu.irqs_off
    cpu.irqs_off = 1
    if lock.holder | cpu.lockdep:
        if lock.holder:
            contended(<Spinlock>lock, sched.this_cpu)
        # taken in the same context once more, it has nothing new to say
        if cpu.lockdep and lock.checked != cpu.hardirq + 1:
            check(<Spinlock>lock, sched.this_cpu, 0)
    lock.holder = cpu.holds
    return flags

cdef inline int spin_unlock_irqrestore(lock_arg given, int flags) except -1:
    cdef spinlock_t *lock = <spinlock_t *>given
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    if lock_arg is Spinlock:
        there(lock)
    if lock.holder != cpu.holds:
        unlocked_by(<Spinlock>lock, sched.this_cpu)
    lock.holder = 0
    cpu.irqs_off = flags
    cpu.patience -= 1
    if cpu.patience < 0:
        look(sched.this_cpu)
    return 0

# --- <linux/io.h> -----------------------------------------------------------------------------------------------------

cdef inline window_t *window_at(unsigned long long address) except NULL:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef unsigned long long slot = (address ^ IO_OFFSET) >> WINDOW_SHIFT
    if slot >= <unsigned long long>PyList_GET_SIZE(cpu.windows):
        unmapped(address)
    return <window_t *>PyList_GET_ITEM(cpu.windows, slot)

cdef inline long long readl(unsigned long long address) except -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef window_t *window = window_at(address)
    cdef unsigned int offset = address & WINDOW_MASK
    # a number too large for any word where none begins
    cdef unsigned int word = (offset >> 2) | ((offset & 3) << 30)
    cdef long long value
    if word < window.plain and not (<Trace>window.trace).on:
        # as RegisterBlock.read32() does
        (<RegisterBlock>window.registers).reads = (<RegisterBlock>window.registers).reads + 1
        value = window.words[word]
        (<Clock>window.clock).now = (<Clock>window.clock).now + window.access_ns
        if (<Clock>window.clock).now >= (<Clock>window.clock).horizon:
            (<Clock>window.clock).sync()
    else:
        value = read_any(<Window>window, address)
    cpu.patience -= 1
    if cpu.patience < 0:
        look(sched.this_cpu)
    return value

cdef inline int writel(unsigned int value, unsigned long long address) except -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef window_t *window = window_at(address)
    cdef unsigned int offset = address & WINDOW_MASK
    if offset >= window.size:
        unmapped(address)
    write_block(<Block>window.block, window.start + offset, value)
    cpu.patience -= 1
    if cpu.patience < 0:
        look(sched.this_cpu)
    return 0

# the model has no order to relax
cdef inline long long readl_relaxed(unsigned long long address) except -1:
    return readl(address)

cdef inline int writel_relaxed(unsigned int value, unsigned long long address) except -1:
    return writel(value, address)

# --- <linux/mm.h> and <linux/string.h> --------------------------------------------------------------------------------

cdef inline long long load_u32(unsigned long long ptr, unsigned long long index) except -1:
    cdef unsigned long long at = ptr - PAGE_OFFSET + 4 * index
    if at >= sched.this_cpu.memory.size:
        bad_address(ptr + 4 * index)
    return sched.this_cpu.memory.w[at >> 2]

# word by word: a wide read of what was just written as single words waits for all of them
cdef inline int memcpy_words(unsigned long long dest, volatile unsigned int *src, unsigned int size) except -1:
    cdef unsigned long long at = dest - PAGE_OFFSET
    cdef unsigned int *words
    cdef unsigned int i
    if at >= sched.this_cpu.memory.size or size > sched.this_cpu.memory.size - at:
        bad_address(dest)
    words = sched.this_cpu.memory.w + (at >> 2)
    for i in range(size >> 2):
        words[i] = src[i]
    return 0

# --- <linux/kfifo.h> --------------------------------------------------------------------------------------------------

cdef inline int kfifo_put(fifo_arg given, void *val) except -1:
    cdef kfifo *fifo = <kfifo *>given
    if fifo_arg is Kfifo:
        there(fifo)
    if fifo.in_ - fifo.out >= fifo.size:
        return refused(<Kfifo>fifo)
    set_item(fifo.data, fifo.in_ & fifo.mask, val)
    fifo.in_ += 1
    return 1

# the oldest element, borrowed: its slot holds it until it is used again; NULL when there is none
cdef inline void *kfifo_out(fifo_arg given) except? NULL:
    cdef kfifo *fifo = <kfifo *>given
    cdef void *val
    if fifo_arg is Kfifo:
        there(fifo)
    if fifo.in_ == fifo.out:
        return NULL
    val = item(fifo.data, fifo.out & fifo.mask)
    fifo.out += 1
    return val

cdef inline int kfifo_put_object(Kfifo fifo, object val) except -1:
    return kfifo_put(fifo, <void *>val)

cdef inline object kfifo_out_object(Kfifo fifo):
    cdef void *val = kfifo_out(fifo)
    return None if val == NULL else <object>val

# --- tasklets ---------------------------------------------------------------------------------------------------------

cdef inline int tasklet_schedule(tasklet_arg given) except -1:
    cdef tasklet_struct *t = <tasklet_struct *>given
    if tasklet_arg is TaskletStruct:
        there(t)
    if not t.state:
        tasklet_queue(<TaskletStruct>t)
    return 0

# --- <linux/list.h> ---------------------------------------------------------------------------------------------------
# ``next`` holds the entry that it leads to, ``prev`` holds none. A move leaves as many links to each entry as there
# were, so links are exchanged and nothing is counted.

cdef inline void exchange(list_head **one, list_head **other) noexcept:
    cdef list_head *kept = one[0]
    one[0] = other[0]
    other[0] = kept

# ``node`` leads to ``after``: this one is counted, and what it led to may end here
cdef inline void lead(list_head *node, list_head *after) noexcept:
    cdef list_head *before = node.next
    Py_INCREF(after)
    node.next = after
    Py_DECREF(before)

cdef inline list_head *list_of(list_arg given) except NULL:
    if list_arg is ListHead:
        there(<void *>given)
    return <list_head *>given

# those after ``node`` are in no list from here on
cdef inline int let_go(list_head *node) noexcept:
    cdef list_head *after = node.next
    while after.prev == node:
        after.prev = NULL
        node = after
        after = node.next
    return 0

cdef inline int unlink(list_arg given) except -1:
    list_of(given).prev = NULL
    return 0

cdef inline object before(list_arg given):
    cdef list_head *node = list_of(given)
    return None if node.prev == NULL else <object>node.prev

cdef inline int INIT_LIST_HEAD(list_arg given) except -1:
    cdef list_head *head = list_of(given)
    if head.prev != NULL:
        let_go(head)
    lead(head, head)
    head.prev = head
    return 0

cdef inline list_head *LIST_HEAD() except NULL:
    cdef spare_heads *spare = <spare_heads *>SPARE
    cdef list_head *head
    if spare.first == <list_head *>None:
        more_heads()
    head = spare.first
    exchange(&spare.first, &head.next)
    head.prev = head
    return head

cdef inline int list_head_gone(list_arg given) except -1:
    cdef spare_heads *spare = <spare_heads *>SPARE
    cdef list_head *head = list_of(given)
    if head.next == head:
        exchange(&spare.first, &head.next)
        head.prev = NULL
    return 0

cdef inline int list_empty(list_arg given) except -1:
    cdef list_head *head = list_of(given)
    return head.next == head

# ``new`` comes between the two without having left the list that it is in
cdef inline int added_twice(list_head *new, list_head *prev, list_head *after) except -1:
    let_go(new)
    if new == prev or new == after:
        lead(new, new)
        new.prev = new
        return 0
    exchange(&new.next, &prev.next)
    if prev.prev != NULL:  # else it was in this very list, and broke it
        new.prev = prev
        after.prev = new
    lead(prev, new)
    return 0

cdef inline int list_add_tail(list_arg given, other_list_arg to) except -1:
    cdef list_head *new = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *last = head.prev
    if last == NULL:
        poisoned(<ListHead>head)
    if new.prev != NULL:
        return added_twice(new, last, head)
    exchange(&new.next, &last.next)
    new.prev = last
    head.prev = new
    lead(last, new)
    return 0

cdef inline int list_add(list_arg given, other_list_arg to) except -1:
    cdef list_head *new = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *after
    if head.prev == NULL:
        poisoned(<ListHead>head)
    after = head.next
    if new.prev != NULL:
        return added_twice(new, head, after)
    exchange(&new.next, &head.next)
    new.prev = head
    after.prev = new
    lead(head, new)
    return 0

cdef inline int list_del(list_arg given) except -1:
    cdef list_head *entry = list_of(given)
    cdef list_head *prev = entry.prev
    cdef list_head *after
    if prev == NULL:
        poisoned(<ListHead>entry)
    after = entry.next
    exchange(&prev.next, &entry.next)
    after.prev = prev
    entry.prev = NULL
    lead(entry, <list_head *>LIST_POISON)
    return 0

cdef inline int list_move_tail(list_arg given, other_list_arg to) except -1:
    cdef list_head *entry = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *prev = entry.prev
    cdef list_head *last
    if prev == NULL:
        poisoned(<ListHead>entry)
    entry.next.prev = prev
    exchange(&prev.next, &entry.next)
    # a list of its own, for the case that ``head`` is the entry itself
    entry.prev = entry
    last = head.prev
    if last == NULL:
        poisoned(<ListHead>head)
    exchange(&entry.next, &last.next)
    head.prev = entry
    entry.prev = last
    return 0

cdef inline int list_move(list_arg given, other_list_arg to) except -1:
    cdef list_head *entry = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *prev = entry.prev
    cdef list_head *after
    if prev == NULL:
        poisoned(<ListHead>entry)
    entry.next.prev = prev
    exchange(&prev.next, &entry.next)
    entry.prev = entry
    if head.prev == NULL:
        poisoned(<ListHead>head)
    after = head.next
    exchange(&entry.next, &head.next)
    after.prev = entry
    entry.prev = head
    return 0

cdef inline int list_splice_init(list_arg given, other_list_arg to) except -1:
    cdef list_head *source = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *last = source.prev
    cdef list_head *first
    cdef list_head *at
    if last == NULL:
        poisoned(<ListHead>source)
    if head.prev == NULL:
        poisoned(<ListHead>head)
    first = source.next
    if first != source:
        at = head.next
        # last leads to what the head led to, the head to the first, the source to itself
        exchange(&last.next, &head.next)
        exchange(&head.next, &source.next)
        first.prev = head
        at.prev = last
        source.prev = source
    return 0

cdef inline int list_splice_tail_init(list_arg given, other_list_arg to) except -1:
    cdef list_head *source = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *last = source.prev
    cdef list_head *at = head.prev
    cdef list_head *first
    if last == NULL:
        poisoned(<ListHead>source)
    if at == NULL:
        poisoned(<ListHead>head)
    first = source.next
    if first != source:
        exchange(&last.next, &at.next)
        exchange(&at.next, &source.next)
        first.prev = at
        head.prev = last
        source.prev = source
    return 0

# what ``node`` is part of; a wrong turn leads to the head of another list, or nowhere, where C would go on
cdef inline void *list_entry(list_head *node) except NULL:
    if node == <list_head *>None or node.owner == <void *>None:
        no_list_entry()
    return node.owner

# owner of the first entry; when the list is empty, what surrounds its head, as in C
cdef inline void *list_first_entry(list_head *head) except NULL:
    if head.next == head and head.nothing != <void *>None:
        return head.nothing
    return list_entry(head.next)

# --- drivers/dma/dmaengine.h ------------------------------------------------------------------------------------------

cdef inline int dma_cookie_assign(tx_arg given) except? -1:
    cdef dma_async_tx_descriptor *tx = <dma_async_tx_descriptor *>given
    cdef int cookie
    there(tx)
    there(tx.chan)
    cookie = tx.chan.cookie + 1 if 0 <= tx.chan.cookie < DMA_MAX_COOKIE else DMA_MIN_COOKIE
    tx.cookie = cookie
    tx.chan.cookie = cookie
    return cookie

cdef inline int dma_cookie_complete(tx_arg given) except -1:
    cdef dma_async_tx_descriptor *tx = <dma_async_tx_descriptor *>given
    there(tx)
    there(tx.chan)
    if tx.cookie < DMA_MIN_COOKIE:
        cookie_not_in_use()
    tx.chan.completed_cookie = tx.cookie
    tx.cookie = 0
    return 0

cdef inline int dma_cookie_status(chan_arg chan, int cookie, dma_tx_state *state) except? -1:
    cdef int used
    cdef int complete
    there(<void *>chan)
    used = (<dma_chan *>chan).cookie
    complete = (<dma_chan *>chan).completed_cookie
    if state != NULL:
        state.last = complete
        state.used = used
        state.residue = 0
    return dma_async_is_complete(cookie, complete, used)

cdef inline int dma_async_tx_descriptor_init(tx_arg tx, chan_arg chan) except -1:
    there(<void *>tx)
    (<DmaAsyncTxDescriptor>tx).chan = <DmaChan>chan
    return 0

cdef inline int dma_run_dependencies(tx_arg given) except? -1:
    cdef dma_async_tx_descriptor *tx = <dma_async_tx_descriptor *>given
    there(tx)
    if tx.next == <dma_async_tx_descriptor *>None:
        return 0
    return run_dependencies(<DmaAsyncTxDescriptor>tx)

# --- <linux/pm_runtime.h> ---------------------------------------------------------------------------------------------

cdef inline dev_pm_info *power_of(device_arg dev) except NULL:
    cdef dev_pm_info *power
    there(<void *>dev)
    power = (<device_t *>dev).power
    there(power)
    return power

cdef inline int pm_runtime_get_sync(device_arg dev) except? -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef dev_pm_info *power = power_of(dev)
    power.usage_count += 1
    if (<Trace>cpu.trace).on:
        pm_event(sched.this_cpu, "get_sync", <DevPmInfo>power)
    if cpu.lockdep and (cpu.hardirq or cpu.softirq):
        sched.sleeping_call(sched.this_cpu, "pm_runtime_get_sync")
    if not power.disable_depth | power.runtime_status:  # enabled, and RPM_ACTIVE
        return 1
    return rpm_resume(<DevPmInfo>power, sched.this_cpu.clock)

cdef inline int pm_runtime_get(device_arg dev) except? -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef dev_pm_info *power = power_of(dev)
    power.usage_count += 1
    if (<Trace>cpu.trace).on:
        pm_event(sched.this_cpu, "get", <DevPmInfo>power)
    if not power.forced | power.disable_depth | power.runtime_status:  # enabled, and RPM_ACTIVE
        return 1
    return rpm_get(<DevPmInfo>power, sched.this_cpu)

cdef inline int pm_runtime_mark_last_busy(device_arg dev) except -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef dev_pm_info *power = power_of(dev)
    power.last_busy = sched.this_cpu.clock.now
    if (<Trace>cpu.trace).on:
        pm_event(sched.this_cpu, "mark_last_busy", <DevPmInfo>power)
    return 0

cdef inline int pm_runtime_put_autosuspend(device_arg dev) except? -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef dev_pm_info *power = power_of(dev)
    power.usage_count -= 1
    if (<Trace>cpu.trace).on:
        pm_event(sched.this_cpu, "put_autosuspend", <DevPmInfo>power)
    if power.usage_count == 0:
        return rpm_suspend(<DevPmInfo>power, 1, sched.this_cpu.clock)
    return 0

# --- <linux/dmaengine.h> ----------------------------------------------------------------------------------------------

cdef inline dma_async_tx_descriptor *dmaengine_prep_dma_memcpy(
        dma_chan *chan, unsigned long long dest, unsigned long long src, unsigned long long len,
        unsigned long flags) except? NULL:
    there(chan)
    there(chan.device)
    return (<DmaDevice>chan.device).device_prep_dma_memcpy(chan, dest, src, len, flags)

# as ``tx->callback = callback; tx->callback_param = param;``
cdef inline int set_callback(dma_async_tx_descriptor *tx, object callback, object param) except -1:
    there(tx)
    if tx.callback != <void *>callback:
        (<DmaAsyncTxDescriptor>tx).callback = callback
    if tx.callback_param != <void *>param:
        (<DmaAsyncTxDescriptor>tx).callback_param = param
    return 0

cdef inline int dmaengine_submit(dma_async_tx_descriptor *tx) except? -1:
    there(tx)
    return (<DmaAsyncTxDescriptor>tx).tx_submit(tx)

cdef inline int dma_async_issue_pending(dma_chan *chan) except? -1:
    there(chan)
    there(chan.device)
    return (<DmaDevice>chan.device).device_issue_pending(chan)
