// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reset of a HIDMA channel for the vfio-platform of a current kernel: what V14's vfio_platform_qcomhidma.c does, which was never
 * merged. Interrupts off, then RESET of the transfer and of the event channel, each awaited.
 */
#include <linux/init.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/kernel.h>
#include <linux/module.h>

#include "vfio_platform_private.h"

#define CTRLSTS		0x000
#define EVCA_IRQ_EN	0x110
#define CH_COMMAND	GENMASK(23, 16)
#define CH_RESET	(9 << 16)
#define CH_STATE(v)	(((v) >> 8) & 0xff)

static int reset_side(void __iomem *ctrlsts)
{
	u32 val = readl(ctrlsts);

	writel((val & ~CH_COMMAND) | CH_RESET, ctrlsts);
	return readl_poll_timeout(ctrlsts, val, CH_STATE(val) == 0, 1000, 10000);
}

static int vfio_platform_qcomhidma_reset(struct vfio_platform_device *vdev)
{
	int i, ret;

	if (vdev->num_regions != 2)
		return -ENODEV;
	for (i = 0; i < 2; i++) {
		struct vfio_platform_region *reg = &vdev->regions[i];

		if (!reg->ioaddr)
			reg->ioaddr = ioremap(reg->addr, reg->size);
		if (!reg->ioaddr)
			return -ENOMEM;
	}
	writel(0, vdev->regions[1].ioaddr + EVCA_IRQ_EN);
	ret = reset_side(vdev->regions[0].ioaddr + CTRLSTS);
	return ret ? ret : reset_side(vdev->regions[1].ioaddr + CTRLSTS);
}

module_vfio_reset_handler("qcom,hidma-1.0", vfio_platform_qcomhidma_reset);

MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("Reset support for HIDMA channels under vfio-platform");
