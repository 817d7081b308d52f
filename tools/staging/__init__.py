# SPDX-License-Identifier: GPL-2.0-only
"""What setup.py makes of the sources before Cython sees them: constants folded (`fold`), small functions compiled into their
callers (`twins`), objects as pointers to their C structs (`structs`), functions that tell that they are entered (`entries`);
`pxd` reads the declarations. Nothing here is needed at run time, and nothing of hidma is imported.
"""
