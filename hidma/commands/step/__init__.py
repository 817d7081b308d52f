# SPDX-License-Identifier: GPL-2.0-only
"""The stepper (``hidma step``): a machine one register access, interrupt, tasklet or hardware step at a time, forward and
back, with the line of the port beside its C function. It stands for no C file.
"""
