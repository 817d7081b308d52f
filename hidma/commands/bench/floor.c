// SPDX-License-Identifier: GPL-2.0-only
// The floor of the bench: the work that moving descriptors through two rings cannot do without, in plain C. For each
// descriptor a TRE of eight words is written into a ring, read out of it, its bytes are copied, an event of four words
// is written into another ring and read there. A batch ends with a doorbell and a write pointer. There is no driver, no
// register model, no interrupt, no lock and no check in it. The rings, doorbell and pointer are volatile, so that the
// compiler can drop nothing.

#include <stdint.h>
#include <string.h>
#include <time.h>

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Moves batches * batch descriptors of length bytes, buffers taken in turn from slots of them; the time in ns, -1 when
// an event was missing.
int64_t floor_run(volatile uint32_t *tres, volatile uint32_t *evres, uint32_t entries, volatile uint32_t *registers,
		  uint8_t *dest, uint8_t *src, uint32_t length, uint32_t batch, int64_t batches, uint32_t slots)
{
	uint32_t tre_write = 0, tre_read = 0, event_write = 0, event_read = 0, first = 0;
	int64_t done = 0;
	int64_t start = now();

	for (int64_t i = 0; i < batches; i++) {
		for (uint32_t k = 0; k < batch; k++) {
			volatile uint32_t *tre = tres + 8 * tre_write;
			uint64_t from = (uint64_t)(uintptr_t)(src + (uint64_t)(first + k) * length);
			uint64_t to = (uint64_t)(uintptr_t)(dest + (uint64_t)(first + k) * length);

			tre[0] = 3 | 1 << 16;
			tre[1] = length;
			tre[2] = (uint32_t)from;
			tre[3] = (uint32_t)(from >> 32);
			tre[4] = (uint32_t)to;
			tre[5] = (uint32_t)(to >> 32);
			tre[6] = 0;
			tre[7] = 0;
			if (++tre_write == entries)
				tre_write = 0;
		}
		registers[0] = tre_write;

		while (tre_read != registers[0]) {
			volatile uint32_t *tre = tres + 8 * tre_read;
			volatile uint32_t *evre = evres + 4 * event_write;
			uint64_t from = (uint64_t)tre[3] << 32 | tre[2];
			uint64_t to = (uint64_t)tre[5] << 32 | tre[4];

			memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, tre[1]);
			evre[0] = 1u << 28 | (tre[0] & 0) | 0x23;
			evre[1] = tre[1];
			evre[2] = (uint32_t)to;
			evre[3] = (uint32_t)(to >> 32);
			if (++tre_read == entries)
				tre_read = 0;
			if (++event_write == entries)
				event_write = 0;
		}
		registers[1] = event_write;

		while (event_read != registers[1]) {
			if (evres[4 * event_read] >> 28 == 1)
				done++;
			if (++event_read == entries)
				event_read = 0;
		}
		registers[2] = event_read;

		first += batch;
		if (first + batch > slots)
			first = 0;
	}
	start = now() - start;
	return done == batches * batch ? start : -1;
}

// Copies count times length bytes from one buffer to another, in turn from slots of them: the time in ns.
int64_t floor_copy(uint8_t *dest, uint8_t *src, uint32_t length, int64_t count, uint32_t slots)
{
	uint32_t slot = 0;
	int64_t start = now();

	for (int64_t i = 0; i < count; i++) {
		memcpy(dest + (uint64_t)slot * length, src + (uint64_t)slot * length, length);
		__asm__ volatile("" ::: "memory");
		if (++slot == slots)
			slot = 0;
	}
	return now() - start;
}
