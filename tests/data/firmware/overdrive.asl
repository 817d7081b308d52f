// SPDX-License-Identifier: GPL-2.0-only
/* The Ethernet controller of AMD's board as its ACPI tables have it, below an SMMU. Written for these tests. */
DefinitionBlock ("", "DSDT", 2, "AMDINC", "SEATTLE ", 0x00000003)
{
    Scope (\_SB)
    {
        Device (CPU0) { Name (_HID, "ACPI0007") Name (_UID, 0) }

        Device (COM1)
        {
            Name (_HID, "AMDI0511")
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xE1010000, 0x1000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 360 }
            })
        }

        Device (SMM0)
        {
            Name (_HID, "PRP0001")
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite, 0xE0600000, 0x10000) })
            Name (_DSD, Package ()
            {
                ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                Package () { Package () { "compatible", "arm,mmu-401" } }
            })

            Device (ETH0)
            {
                Name (_HID, "AMDI8001")
                Name (_UID, 0)
                Name (_CCA, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0xE0700000, 0x10000)
                    Memory32Fixed (ReadWrite, 0xE0780000, 0x80000)
                    Memory32Fixed (ReadWrite, 0xE1240800, 0x0400)
                    Memory32Fixed (ReadWrite, 0xE1250000, 0x0060)
                    Memory32Fixed (ReadWrite, 0xE12500F8, 0x0004)
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 357 }
                    Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 378 }
                    Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 379 }
                    Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 355 }
                })
                Method (_DSD, 0, Serialized)
                {
                    Return (Package ()
                    {
                        ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
                        Package ()
                        {
                            Package () { "mac-address", Package () { 2, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5 } },
                            Package () { "phy-mode", "xgmii" },
                            Package () { "amd,speed-set", 0 }
                        }
                    })
                }
            }
        }
    }
}
