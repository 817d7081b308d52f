# SPDX-License-Identifier: GPL-2.0-only
extensions = ["hidma.commands.abi.sphinx_ext"]
abi_directory = "abi"
