// SPDX-License-Identifier: GPL-2.0-only
/*
 * A HIDMA channel driven from user space through VFIO: rings and buffers are memory of this process, mapped for the channel with
 * MAP_DMA. One copy, its event and its interrupt are looked at. Each step is reported in a line of its own.
 *
 * usage: vfio-user GROUP DEVICE
 */
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IOVA 0x10000000UL
#define PAGE 4096UL
enum { TRES, EVRES, SOURCE, DEST, PAGES };

/* Report, and wait until it was heard. */
static void step(const char *text)
{
	char heard;

	printf("\036hidma-guest: step=%s\n", text);
	fflush(stdout);
	if (read(0, &heard, 1) < 0)
		exit(1);
}

static long must(long rc, const char *what)
{
	char line[80];

	if (rc < 0) {
		snprintf(line, sizeof(line), "failed: %s: %m", what);
		step(line);
		exit(1);
	}
	return rc;
}

static volatile uint32_t *registers(int device, unsigned int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };
	void *mapped;

	must(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info), "VFIO_DEVICE_GET_REGION_INFO");
	mapped = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, info.offset);
	must(mapped == MAP_FAILED ? -1 : 0, "mmap of a region");
	return mapped;
}

static void enable(volatile uint32_t *block)
{
	int tries;

	block[0] = (block[0] & ~0xff0000) | 1 << 16;
	for (tries = 0; (block[0] >> 8 & 0xff) != 1 && tries < 1000; tries++)
		usleep(1000);
	must((block[0] >> 8 & 0xff) == 1 ? 0 : -1, "ENABLE");
}

int main(int argc, char **argv)
{
	char path[64], line[80];
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct { struct vfio_irq_set set; int fd; } irq = { .set = { .argsz = sizeof(irq), .count = 1,
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER } };
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = IOVA, .size = PAGES * PAGE };
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = IOVA, .size = PAGES * PAGE };
	volatile uint32_t *trca, *evca;
	uint32_t *tre, *evre;
	uint8_t *memory;
	uint64_t count;
	int container, group, device, i;

	if (argc != 3)
		return 2;
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	container = must(open("/dev/vfio/vfio", O_RDWR), "open of /dev/vfio/vfio");
	group = must(open(path, O_RDWR), path);
	must(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "VFIO_GROUP_SET_CONTAINER");
	must(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "VFIO_SET_IOMMU");
	device = must(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]), "VFIO_GROUP_GET_DEVICE_FD");
	must(ioctl(device, VFIO_DEVICE_GET_INFO, &info), "VFIO_DEVICE_GET_INFO");
	snprintf(line, sizeof(line), "open: %u regions, %u interrupts", info.num_regions, info.num_irqs);
	step(line);
	must(ioctl(device, VFIO_DEVICE_RESET), "VFIO_DEVICE_RESET");
	step("VFIO_DEVICE_RESET");

	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(memory == MAP_FAILED ? -1 : 0, "mmap");
	map.vaddr = (uintptr_t)memory;
	must(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), "VFIO_IOMMU_MAP_DMA");
	step("VFIO_IOMMU_MAP_DMA of 16 KiB");
	irq.fd = must(eventfd(0, EFD_NONBLOCK), "eventfd");
	must(ioctl(device, VFIO_DEVICE_SET_IRQS, &irq), "VFIO_DEVICE_SET_IRQS");

	for (i = 0; i < (int)PAGE; i++)
		memory[SOURCE * PAGE + i] = i * 7 + i / 256;
	tre = (uint32_t *)(memory + TRES * PAGE);
	evre = (uint32_t *)(memory + EVRES * PAGE);
	tre[0] = 3 | 1 << 16;	/* memory to memory, an event and an interrupt at its end */
	tre[1] = PAGE;
	tre[2] = IOVA + SOURCE * PAGE;
	tre[4] = IOVA + DEST * PAGE;
	trca = registers(device, 0);
	evca = registers(device, 1);
	trca[0x08 / 4] = IOVA + TRES * PAGE;
	trca[0x0c / 4] = 0;
	trca[0x10 / 4] = 32 * 8;
	evca[0x08 / 4] = IOVA + EVRES * PAGE;
	evca[0x0c / 4] = 0;
	evca[0x10 / 4] = 16 * 8;
	evca[0x04 / 4] = 1;
	evca[0x110 / 4] = 0x4e03;
	enable(evca);
	enable(trca);
	__sync_synchronize();
	trca[0x400 / 4] = 32;
	for (i = 0; i < 1000 && read(irq.fd, &count, sizeof(count)) != sizeof(count); i++)
		usleep(1000);
	must(i < 1000 ? 0 : -1, "waiting for the interrupt");
	must(memcmp(memory + SOURCE * PAGE, memory + DEST * PAGE, PAGE), "comparing");
	snprintf(line, sizeof(line), "DMA: 4096 bytes copied and the same, event 0x%x, interrupt taken", evre[0]);
	step(line);
	evca[0x110 / 4] = 0;
	must(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap), "VFIO_IOMMU_UNMAP_DMA");
	munmap((void *)trca, PAGE);	/* a mapping of a region keeps the device open */
	munmap((void *)evca, PAGE);
	close(device);
	close(group);
	close(container);
	step("close");
	return 0;
}
