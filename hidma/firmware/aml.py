# SPDX-License-Identifier: GPL-2.0-only
"""AML as the rest of the firmware sees it: :func:`parse` makes a namespace of tables, an :class:`Interpreter` evaluates
what is in it. :mod:`hidma.firmware.amlinterp` has both, :mod:`hidma.firmware.amlterms` what each opcode does.
"""

from hidma.firmware import amlterms
from hidma.firmware.amlinterp import Interpreter, Namespace, parse

__all__ = ["Interpreter", "Namespace", "amlterms", "parse"]
