// SPDX-License-Identifier: GPL-2.0-only
DefinitionBlock ("", "DSDT", 2, "ACME", "REGION", 1)
{
    Scope (\_SB)
    {
        OperationRegion (NVS, SystemMemory, 0x70000000, 0x10)
        Field (NVS, DWordAcc, NoLock, Preserve) { BASE, 32 }
        Device (KEYB)
        {
            Name (_HID, "ACME0009")
            OperationRegion (KEYS, SystemMemory, BASE, 0x100)
            Field (KEYS, DWordAcc, NoLock, Preserve) { KPWR, 32 }
        }
        Device (PIN0)
        {
            Name (_HID, "ACME0010")
            Name (VERS, 7)
            Method (ADDR, 0) { If (VERS == 1) { Return (0x0390B000) } }
            OperationRegion (PINS, SystemMemory, ADDR (), 0x14)
            Field (PINS, DWordAcc, NoLock, Preserve) { PIN1, 32 }
        }
        Device (CPU0) { Name (_HID, "ACPI0007") Name (_UID, 0) }
    }
}
