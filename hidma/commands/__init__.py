# SPDX-License-Identifier: GPL-2.0-only
"""The command line: ``hidma X`` is in the module or package ``hidma.commands.X``. It stands for no C file."""
