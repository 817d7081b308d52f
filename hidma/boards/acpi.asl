// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host with ACPI in place of a device tree: the machine of host.dts. A management device with six channels, an SMMU
 * that gives each channel a stream of its own, eight CPUs, 256 MiB.
 *
 * On a real server the RAM is in the memory map of EFI, CPUs and interrupt controller in the MADT, streams in the IORT
 * (which Linux 4.5 does not read). Here the DSDT says all of it, in objects that ACPI has for it. An interrupt is the GIC's
 * number of it: SPI 388 of host.dts is 420.
 */
DefinitionBlock ("", "DSDT", 2, "HIDMA ", "HOST    ", 0x00000001)
{
    Scope (\_SB)
    {
        Device (CPU0) { Name (_HID, "ACPI0007") Name (_UID, 0) }
        Device (CPU1) { Name (_HID, "ACPI0007") Name (_UID, 1) }
        Device (CPU2) { Name (_HID, "ACPI0007") Name (_UID, 2) }
        Device (CPU3) { Name (_HID, "ACPI0007") Name (_UID, 3) }
        Device (CPU4) { Name (_HID, "ACPI0007") Name (_UID, 4) }
        Device (CPU5) { Name (_HID, "ACPI0007") Name (_UID, 5) }
        Device (CPU6) { Name (_HID, "ACPI0007") Name (_UID, 6) }
        Device (CPU7) { Name (_HID, "ACPI0007") Name (_UID, 7) }

        Device (MEM0)
        {
            Name (_HID, EisaId ("PNP0C80"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0x0, 0x80000000, 0x8FFFFFFF, 0x0, 0x10000000)
            })
        }

        Device (SMMU)
        {
            Name (_HID, "PRP0001")
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0x5A000000, 0x80000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 412, 413, 414, 415, 416, 417, 418 }
            })
            Name (_DSD, Package ()
            {
                ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                Package ()
                {
                    Package () { "compatible", "arm,mmu-500" },
                    Package () { "#iommu-cells", 1 }
                }
            })
        }

        Device (DMA0)
        {
            Name (_HID, "QCOM8060")
            Name (_UID, 0)
            Name (_CCA, 1)
            Name (_STR, Unicode ("HIDMA management"))
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xF9984000, 0x15000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 420 }
            })
            Name (_DSD, Package ()
            {
                ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                Package ()
                {
                    Package () { "dma-channels", 6 },
                    Package () { "max-write-burst-bytes", 1024 },
                    Package () { "max-read-burst-bytes", 1024 },
                    Package () { "max-write-transactions", 31 },
                    Package () { "max-read-transactions", 31 },
                    Package () { "channel-reset-timeout-cycles", 0x500 }
                }
            })
            Method (_STA, 0, NotSerialized)
            {
                Return (0x0F)
            }

            Device (CH00)
            {
                Name (_HID, "QCOM8061")
                Name (_UID, 0)
                Name (_CCA, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0x5C050000, 0x1000)
                    Memory32Fixed (ReadWrite, 0x5C0B0000, 0x1000)
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 421 }
                })
                Name (_DSD, Package ()
                {
                    ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                    Package ()
                    {
                        Package () { "desc-count", 64 },
                        Package () { "iommus", Package () { \_SB.SMMU, 24 } }
                    }
                })
            }

            Device (CH01)
            {
                Name (_HID, "QCOM8061")
                Name (_UID, 1)
                Name (_CCA, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0x5C060000, 0x1000)
                    Memory32Fixed (ReadWrite, 0x5C0C0000, 0x1000)
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 422 }
                })
                Name (_DSD, Package ()
                {
                    ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                    Package ()
                    {
                        Package () { "desc-count", 64 },
                        Package () { "iommus", Package () { \_SB.SMMU, 25 } }
                    }
                })
            }

            Device (CH02)
            {
                Name (_HID, "QCOM8061")
                Name (_UID, 2)
                Name (_CCA, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0x5C070000, 0x1000)
                    Memory32Fixed (ReadWrite, 0x5C0D0000, 0x1000)
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 423 }
                })
                Name (_DSD, Package ()
                {
                    ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                    Package ()
                    {
                        Package () { "desc-count", 64 },
                        Package () { "iommus", Package () { \_SB.SMMU, 26 } }
                    }
                })
            }

            Device (CH03)
            {
                Name (_HID, "QCOM8061")
                Name (_UID, 3)
                Name (_CCA, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0x5C080000, 0x1000)
                    Memory32Fixed (ReadWrite, 0x5C0E0000, 0x1000)
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 424 }
                })
                Name (_DSD, Package ()
                {
                    ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                    Package ()
                    {
                        Package () { "desc-count", 64 },
                        Package () { "iommus", Package () { \_SB.SMMU, 27 } }
                    }
                })
            }

            Device (CH04)
            {
                Name (_HID, "QCOM8061")
                Name (_UID, 4)
                Name (_CCA, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0x5C090000, 0x1000)
                    Memory32Fixed (ReadWrite, 0x5C0F0000, 0x1000)
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 425 }
                })
                Name (_DSD, Package ()
                {
                    ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                    Package ()
                    {
                        Package () { "desc-count", 64 },
                        Package () { "iommus", Package () { \_SB.SMMU, 28 } }
                    }
                })
            }

            Device (CH05)
            {
                Name (_HID, "QCOM8061")
                Name (_UID, 5)
                Name (_CCA, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0x5C0A0000, 0x1000)
                    Memory32Fixed (ReadWrite, 0x5C100000, 0x1000)
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 426 }
                })
                Name (_DSD, Package ()
                {
                    ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                    Package ()
                    {
                        Package () { "desc-count", 64 },
                        Package () { "iommus", Package () { \_SB.SMMU, 29 } }
                    }
                })
            }
        }
    }
}
