// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the reader of AML must evaluate as ACPICA does: every object without arguments is compared with acpiexec.
 * eval.aml is made of it: iasl -p eval eval.asl
 */
DefinitionBlock ("", "DSDT", 2, "HIDMA ", "EVAL    ", 0x00000001)
{
    External (\_SB.NONE, IntObj)

    Name (I000, 0)
    Name (I001, 1)
    Name (I008, 0xA5)
    Name (I016, 0xA5A5)
    Name (I032, 0xA5A5A5A5)
    Name (I064, 0xA5A5A5A5A5A5A5A5)
    Name (IONE, Ones)
    Name (EISA, EisaId ("QCM8060"))
    Name (SEMP, "")
    Name (STXT, "a \\ string")
    Name (BEMP, Buffer (0) {})
    Name (BPAD, Buffer (8) { 1, 2, 3 })
    Name (BBIG, Buffer () { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18 })
    Name (UUID, ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"))
    Name (UNIC, Unicode ("text"))
    Name (PSHO, Package (4) { 1, "two" })
    Name (PDEE, Package () { Package () { Package () { 1 }, Buffer () { 2 } }, "x", Ones })
    Name (PREF, Package () { \_SB.DEV0, I008, STXT, \_SB.DEV0.VALU })
    Name (COUN, 0)
    Name (INIS, 0)
    Alias (I016, IALI)

    If (LEqual (I001, 1)) { Name (CON1, "taken") } Else { Name (CON2, "not taken") }

    Scope (\_SB)
    {
        Method (_INI, 0, NotSerialized) { Add (INIS, 1, INIS) }
        OperationRegion (REGS, SystemMemory, 0xF9990000, 0x100)
        Field (REGS, DWordAcc, NoLock, Preserve)
        {
            REG0, 32,
            Offset (0x10),
            REG1, 1,
            , 7,
            AccessAs (ByteAcc, 0x0),
            REG2, 24
        }
        IndexField (REG0, REG2, ByteAcc, NoLock, Preserve) { IDX0, 8 }
        BankField (REGS, REG1, 1, ByteAcc, NoLock, Preserve) { BNK0, 8 }
        Mutex (LCK0, 0)
        Event (EVNT)

        Device (DEV0)
        {
            Name (_HID, EisaId ("PNP0A05"))
            Name (_CID, Package () { "QCOM1234", EisaId ("PNP0C02") })
            Name (_UID, "one")
            Name (VALU, 7)
            Method (_STA, 0, NotSerialized) { Return (0x0F) }
            Method (_INI, 0, NotSerialized) { Add (INIS, 0x10, INIS) }
            Name (_CRS, ResourceTemplate ()
            {
                IRQ (Level, ActiveLow, Shared) { 3, 5 }
                IRQNoFlags () { 7 }
                DMA (Compatibility, NotBusMaster, Transfer8) { 1 }
                IO (Decode16, 0x60, 0x60, 1, 1)
                FixedIO (0x70, 2)
                FixedDMA (4, 5, Width32bit)
                Memory24 (ReadOnly, 0x10, 0x10, 0x100, 0x1)
                Memory32 (ReadWrite, 0x90000000, 0x90000000, 0x1000, 0x1)
                Memory32Fixed (ReadWrite, 0x91000000, 0x3000)
                DWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x92000000, 0x92000FFF, 0, 0x1000)
                QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x1200000000, 0x12000FFFFF, 0, 0x100000)
                ExtendedMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x1300000000, 0x130000FFFF, 0, 0x10000)
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
                DWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0xFFFF, 0, 0x10000)
                Interrupt (ResourceConsumer, Edge, ActiveLow, Shared) { 40, 41, 42 }
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 100 }
                VendorLong () { 1, 2, 3 }
                VendorShort () { 4 }
                GpioInt (Edge, ActiveHigh, Exclusive, PullUp, 0, "\\_SB.DEV0", 0, ResourceConsumer) { 5 }
                I2cSerialBus (0x50, ControllerInitiated, 400000, AddressingMode7Bit, "\\_SB.DEV0")
            })
        }
        Device (DEV1)
        {
            Name (_HID, "QCOM0001")
            Method (_STA, 0, NotSerialized) { Return (0) }
            Method (_INI, 0, NotSerialized) { Add (INIS, 0x100, INIS) }
        }
        ThermalZone (THZ0) { Name (_CRT, 3000) }
        PowerResource (PWR0, 0, 0) { Method (_STA, 0, NotSerialized) { Return (1) } }
        Processor (CPU0, 3, 0, 0) { Name (VALU, "of a processor") }
    }

    Method (MARI, 0, Serialized)
    {
        Local0 = 100
        Local1 = Local0 * 3 + 7 - 2
        Divide (Local1, 7, Local2, Local3)
        Local4 = (Local1 << 8) | (Local3 >> 1)
        Local5 = ~(Local4 & 0xFF0F) ^ 0x1234
        NAnd (Local5, 0xFFFF, Local6)
        NOr (Local5, 0xFFFF, Local7)
        Name (OUT, Package (9) {})
        OUT [0] = Local0
        OUT [1] = Local1
        OUT [2] = Local2
        OUT [3] = Local3
        OUT [4] = Local4
        OUT [5] = Local5
        OUT [6] = Local6
        OUT [7] = Local7
        OUT [8] = Local1 % 10
        Return (OUT)
    }
    Method (MLOG, 0, Serialized)
    {
        Name (OUT, Package (16) {})
        OUT [0] = 1 == 1
        OUT [1] = 1 == 2
        OUT [2] = 2 > 1
        OUT [3] = 1 >= 2
        OUT [4] = 1 < 2
        OUT [5] = 3 <= 2
        OUT [6] = 1 && 0
        OUT [7] = 1 || 0
        OUT [8] = !0
        OUT [9] = !5
        OUT [10] = 1 != 2
        OUT [11] = "abc" == "abc"
        OUT [12] = "abc" == "abd"
        OUT [13] = "abc" < "abd"
        OUT [14] = Buffer () { 1, 2 } == Buffer () { 1, 2 }
        OUT [15] = 0x10 == "10"
        Return (OUT)
    }
    Method (MBIT, 0, Serialized)
    {
        FindSetLeftBit (0x00F0, Local0)
        FindSetRightBit (0x00F0, Local1)
        Local2 = 5
        Local2++
        Local3 = 5
        Local3--
        Name (OUT, Package (9) {})
        OUT [0] = Local0
        OUT [1] = Local1
        OUT [2] = Local2
        OUT [3] = Local3
        OUT [4] = 1 << 63
        OUT [5] = 1 << 64
        OUT [6] = 0xFF >> 70
        OUT [7] = FindSetLeftBit (0)
        OUT [8] = 0 - 1
        Return (OUT)
    }
    Method (MLOO, 0, Serialized)
    {
        Local0 = 0
        Local1 = 0
        While (Local0 < 100)
        {
            Local0++
            If (Local0 % 2) { Continue }
            If (Local0 > 50) { Break }
            Local1 += Local0
        }
        Return (Local1)
    }
    Method (MSWI, 0, Serialized)
    {
        Local0 = 0
        Local1 = 0
        While (Local0 < 4)
        {
            Switch (Local0)
            {
                Case (0) { Local1 += 1 }
                Case (Package () { 1, 2 }) { Local1 += 10 }
                Default { Local1 += 100 }
            }
            Local0++
        }
        Return (Local1)
    }
    Method (MFAC, 1, NotSerialized)
    {
        If (Arg0 <= 1) { Return (1) }
        Return (Arg0 * MFAC (Arg0 - 1))
    }
    Method (MREC, 0, Serialized) { Return (MFAC (10)) }
    Method (MSUM, 3, NotSerialized) { Return (Arg0 + Arg1 * Arg2) }
    Method (MCAL, 0, Serialized) { Return (MSUM (MSUM (1, 2, 3), MFAC (3), I001) + \_SB.DEV0.VALU) }
    Method (MBUF, 0, Serialized)
    {
        Name (BUF0, Buffer (16) {})
        CreateBitField (BUF0, 3, FBIT)
        CreateByteField (BUF0, 1, FBYT)
        CreateWordField (BUF0, 2, FWRD)
        CreateDWordField (BUF0, 4, FDWD)
        CreateQWordField (BUF0, 8, FQWD)
        CreateField (BUF0, 12, 7, FODD)
        FBIT = 1
        FBYT = 0x5A
        FWRD = 0x1234
        FDWD = 0xDEADBEEF
        FQWD = 0x0123456789ABCDEF
        FODD = 0x55
        Name (OUT, Package (7) {})
        OUT [0] = BUF0
        OUT [1] = FBIT
        OUT [2] = FBYT
        OUT [3] = FWRD
        OUT [4] = FDWD
        OUT [5] = FQWD
        OUT [6] = FODD
        Return (OUT)
    }
    Method (MIDX, 0, Serialized)
    {
        Name (PKG0, Package () { 1, "two", Package () { 3, 4 } })
        Name (BUF0, Buffer () { 9, 8, 7 })
        PKG0 [0] = 11
        BUF0 [1] = 0x1FF
        Local0 = RefOf (Local1)
        Local1 = 5
        Local2 = DerefOf (DerefOf (PKG0 [2]) [1])
        Name (OUT, Package (9) {})
        OUT [0] = DerefOf (PKG0 [0])
        OUT [1] = DerefOf (PKG0 [1])
        OUT [2] = Local2
        OUT [3] = BUF0
        OUT [4] = DerefOf (BUF0 [2])
        OUT [5] = SizeOf (PKG0)
        OUT [6] = SizeOf (BUF0)
        OUT [7] = SizeOf (STXT)
        OUT [8] = DerefOf (Local0)
        Return (OUT)
    }
    Method (MSET, 1, NotSerialized) { Arg0 = 99 }
    Method (MREF, 0, Serialized)
    {
        Name (VAL0, 1)
        MSET (RefOf (VAL0))
        Return (VAL0)
    }
    Method (MCND, 0, Serialized)
    {
        Local2 = 0
        If (CondRefOf (\_SB.DEV0.VALU, Local0)) { Local2 = DerefOf (Local0) }
        If (CondRefOf (\_SB.NONE)) { Local2 = 1000 }
        Return (Local2)
    }
    Method (MTYP, 0, Serialized)
    {
        Name (PKG0, Package () { 1 })
        Name (OUT, Package (12) {})
        OUT [0] = ObjectType (I001)
        OUT [1] = ObjectType (STXT)
        OUT [2] = ObjectType (BPAD)
        OUT [3] = ObjectType (PKG0)
        OUT [4] = ObjectType (\_SB.DEV0)
        OUT [5] = ObjectType (\_SB.LCK0)
        OUT [6] = ObjectType (\_SB.EVNT)
        OUT [7] = ObjectType (\_SB.REGS)
        OUT [8] = ObjectType (\_SB.PWR0)
        OUT [9] = ObjectType (\_SB.THZ0)
        OUT [10] = ObjectType (\_SB.CPU0)
        OUT [11] = ObjectType (MTYP)
        Return (OUT)
    }
    Method (MCON, 0, Serialized)
    {
        Name (OUT, Package (18) {})
        OUT [0] = Concatenate ("ab", "cd")
        OUT [1] = Concatenate (Buffer () { 1 }, Buffer () { 2, 3 })
        OUT [2] = Concatenate (1, 2)
        OUT [3] = Concatenate ("n", 0x1F)
        OUT [4] = ToHexString (0xABC)
        OUT [5] = ToDecimalString (0xABC)
        OUT [6] = ToHexString (Buffer () { 1, 0xAB })
        OUT [7] = ToDecimalString (Buffer () { 1, 0xAB })
        OUT [8] = ToInteger ("1234")
        OUT [9] = ToInteger ("0xBEEF")
        OUT [10] = ToInteger (Buffer () { 1, 2 })
        OUT [11] = ToBuffer ("ab")
        OUT [12] = ToBuffer (0x1234)
        OUT [13] = ToString (Buffer () { 0x61, 0x62, 0, 0x63 })
        OUT [14] = ToString (Buffer () { 0x61, 0x62 }, 1)
        OUT [15] = Mid ("abcdef", 2, 3)
        OUT [16] = Mid (Buffer () { 1, 2, 3, 4 }, 1, 100)
        OUT [17] = Mid ("abc", 9, 1)
        Return (OUT)
    }
    Method (MRES, 0, Serialized)
    {
        Name (TMP0, ResourceTemplate () { Memory32Fixed (ReadWrite, 0x1000, 0x1000) })
        Name (TMP1, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 50 } })
        ConcatenateResTemplate (TMP0, TMP1, Local0)
        Return (Local0)
    }
    Method (MSTO, 0, Serialized)
    {
        Name (NINT, 1)
        Name (NSTR, "text")
        Name (NBUF, Buffer (4) { 1, 2, 3, 4 })
        Name (NOBJ, 1)
        NINT = "1F"
        NSTR = 0x1F
        NBUF = 0x11223344
        CopyObject ("now a string", NOBJ)
        Name (OUT, Package (4) {})
        OUT [0] = NINT
        OUT [1] = NSTR
        OUT [2] = NBUF
        OUT [3] = NOBJ
        Return (OUT)
    }
    Method (MLCK, 0, Serialized)
    {
        Local0 = Acquire (\_SB.LCK0, 0xFFFF)
        Release (\_SB.LCK0)
        Sleep (1)
        Stall (1)
        Notify (\_SB.DEV0, 0x80)
        Debug = "said"
        Noop
        Return (Local0)
    }
    Method (MOSI, 0, Serialized)
    {
        Name (OUT, Package (3) {})
        OUT [0] = _OSI ("Windows 2012")
        OUT [1] = _OSI ("Linux")
        OUT [2] = _OSI ("Windows 2098")
        Return (OUT)
    }
    Method (MMAT, 0, Serialized)
    {
        Name (PKG0, Package () { 5, 1, "x", 7, 3, 7 })
        Name (OUT, Package (6) {})
        OUT [0] = Match (PKG0, MEQ, 7, MTR, 0, 0)
        OUT [1] = Match (PKG0, MEQ, 7, MTR, 0, 4)
        OUT [2] = Match (PKG0, MGT, 5, MLT, 7, 0)
        OUT [3] = Match (PKG0, MLE, 3, MGE, 2, 0)
        ToBCD (1234, OUT [4])
        FromBCD (0x1234, OUT [5])
        Return (OUT)
    }
    Method (MCNT, 0, Serialized)
    {
        COUN += 1
        Return (COUN)
    }
    Method (MNON, 0, Serialized) { Local0 = 1 }
    Method (MDEV, 0, Serialized) { Return (\_SB.DEV0) }
    Method (MVAR, 0, Serialized)
    {
        Local0 = 3
        Local1 = Package (Local0) { 1 }
        Return (SizeOf (Local1))
    }
}
