# SPDX-License-Identifier: GPL-2.0-only
"""The slice of Linux 4.5-rc1 that the series calls: one module per ``<linux/xxx.h>``, same name, same semantics."""
