// SPDX-License-Identifier: GPL-2.0-only
// For functions that are compiled with objects as pointers to their structs (`# struct` in a .pxd, see setup.py): None,
// items of lists, and storing an object in a field.

#ifndef HIDMA_STRUCTS_H
#define HIDMA_STRUCTS_H

#include <Python.h>

#define NONE ((void *)Py_None)

static __attribute__((noinline, cold, unused)) void *no_item_of(void *list)
{
	if (list == NONE)
		PyErr_SetString(PyExc_TypeError, "'NoneType' object is not subscriptable");
	else
		PyErr_SetString(PyExc_IndexError, "list index out of range");
	return NULL;
}

// len(list); None has none
static inline __attribute__((always_inline, unused)) size_t len_of(void *list)
{
	return list == NONE ? 0 : (size_t)Py_SIZE(list);
}

// Field `slot` of an object, or item of a list, becomes `value`.
static inline __attribute__((always_inline, unused)) void set_field(void *slot, void *value)
{
	void *old = *(void **)slot;

	Py_INCREF((PyObject *)value);
	*(void **)slot = value;
	Py_DECREF((PyObject *)old);
}

// list[index]
static inline __attribute__((always_inline, unused)) void *item_of(void *list, size_t index)
{
	PyObject **items;

	if (__builtin_expect(list == NONE || index >= (size_t)Py_SIZE(list), 0))
		return no_item_of(list);
	items = ((PyListObject *)list)->ob_item;
	if (!items[index])
		__builtin_unreachable();
	return items[index];
}

// list[index] = value; 0, or -1 with an exception
static inline __attribute__((always_inline, unused)) int set_item_of(void *list, size_t index, void *value)
{
	if (__builtin_expect(list == NONE || index >= (size_t)Py_SIZE(list), 0)) {
		no_item_of(list);
		return -1;
	}
	set_field(((PyListObject *)list)->ob_item + index, value);
	return 0;
}

// An object that is there: a field never holds NULL, but the C compiler cannot know.
static inline __attribute__((always_inline, unused)) void *held(void *object)
{
	if (!object)
		__builtin_unreachable();
	return object;
}

// list[index], of a list that is never None, with an index in bounds
static inline __attribute__((always_inline, unused)) void *slot_of(void *list, size_t index)
{
	return ((PyListObject *)list)->ob_item[index];
}

// list[index] = value, of such a list
static inline __attribute__((always_inline, unused)) void set_slot_of(void *list, size_t index, void *value)
{
	set_field(((PyListObject *)list)->ob_item + index, value);
}

#endif
