# SPDX-License-Identifier: GPL-2.0
"""Python for the machine: the interpreter, and of its library what one program imports."""

import pathlib

import image
from where import output

INTERPRETER = pathlib.Path("/usr/bin/python3")

# Loads a program without running it, then prints each file that it took, and the file here to use for it:
# compiled, since compiling takes longer in an emulator than all the rest.
COLLECT = """\
import sys
program, folder = sys.argv[1:]
exec(compile(open(program).read(), program, "exec"), {"__name__": "loaded"})
taken = {getattr(module, "__file__", None) for module in sys.modules.values()} - {None}

import os, py_compile
for path in taken:
    if path.endswith(".py"):
        print(path + "c", py_compile.compile(path, os.path.join(folder, path.replace("/", "_")), doraise=True))
    else:
        print(path, path)
"""


def files(folder, program):
    """{path in the machine: file here} for /usr/bin/python3 and /examples/PROGRAM; FOLDER takes what is made."""
    lines = output(INTERPRETER, "-IS", "-c", COLLECT, program, folder).splitlines()
    taken = dict(line.split() for line in lines)
    binary = INTERPRETER.resolve()
    linked = {path for item in (binary, *taken.values()) if not str(item).endswith(".py")
              for path in image.shared_objects(item)}
    return {**taken, **{path: path for path in linked}, "/usr/bin/python3": binary,
            f"/examples/{program.name}": program}
