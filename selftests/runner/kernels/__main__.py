# SPDX-License-Identifier: GPL-2.0
"""`python3 -m kernels` prints the folder of the kernel's source, for Makefiles."""

import sys

from kernels import lab
from where import Failure

# What is said meanwhile must not get into the answer.
answer, sys.stdout = sys.stdout, sys.stderr
try:
    print(lab.source(), file=answer)
except Failure as failure:
    sys.exit(str(failure))
