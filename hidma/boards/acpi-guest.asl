// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest with ACPI: the machine of guest.dts. One channel without a management device above it, one CPU, RAM.
 *
 * What belongs to the channel is made by a method, as much firmware does it.
 */
DefinitionBlock ("", "DSDT", 2, "HIDMA ", "GUEST   ", 0x00000001)
{
    Scope (\_SB)
    {
        Name (BASE, 0x0C000000)

        Device (CPU0) { Name (_HID, "ACPI0007") Name (_UID, 0) }

        Device (MEM0)
        {
            Name (_HID, EisaId ("PNP0C80"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0x0, 0x40000000, 0x4FFFFFFF, 0x0, 0x10000000)
            })
        }

        Device (DMA0)
        {
            Name (_HID, "QCOM8061")
            Name (_UID, 0)
            Name (_CCA, 1)
            Method (_CRS, 0, Serialized)
            {
                Name (RBUF, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0x0, 0x1000, TRCA)
                    Memory32Fixed (ReadWrite, 0x0, 0x1000, EVCA)
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 144 }
                })
                CreateDWordField (RBUF, TRCA._BAS, TBAS)
                CreateDWordField (RBUF, EVCA._BAS, EBAS)
                Store (BASE, TBAS)
                Add (BASE, 0x1000, EBAS)
                Return (RBUF)
            }
            Name (_DSD, Package ()
            {
                ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                Package ()
                {
                    Package () { "desc-count", 64 }
                }
            })
        }
    }
}
