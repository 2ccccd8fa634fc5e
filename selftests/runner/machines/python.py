# SPDX-License-Identifier: GPL-2.0
"""Python for the machine: the modules of its library that a program imports."""

import pathlib

from machines import image
from where import output

INTERPRETER = pathlib.Path("/usr/bin/python3")

# Follows the imports of a program without running it, then prints each file that they need and the file here
# to use for it: compiled, since compiling takes longer in an emulator than all the rest.
COLLECT = """\
import sys
started = {getattr(module, "__file__", None) for module in sys.modules.values()}

import encodings.ascii, encodings.latin_1, encodings.utf_8, importlib.util, modulefinder, os, py_compile
program, folder = sys.argv[1:]
finder = modulefinder.ModuleFinder([os.path.dirname(program), *sys.path],
                                   excludes=["pydoc", "test", "tkinter", "_testcapi", "_testinternalcapi"])
finder.run_script(program)
taken = started | {getattr(module, "__file__", None) for module in finder.modules.values()} - {program}
taken |= {module.__file__ for name, module in sys.modules.items() if name.startswith("encodings")}

def compiled(path):
    cached = importlib.util.cache_from_source(path)
    if os.path.exists(cached) and os.stat(cached).st_mtime >= os.stat(path).st_mtime:
        return cached
    return py_compile.compile(path, os.path.join(folder, path.replace("/", "_")), doraise=True)

for path in filter(None, taken):
    print(*(path + "c", compiled(path)) if path.endswith(".py") else (path, path), sep="\t")
"""


def modules(program, folder):
    """{path in the machine: file here} of what PROGRAM imports; FOLDER takes what is made."""
    lines = output(INTERPRETER, "-c", COLLECT, program, folder).splitlines()
    taken = {path: pathlib.Path(source) for path, source in (line.split("\t") for line in lines)}
    linked = {path for name in taken if not name.endswith(".pyc") for path in image.shared_objects(name)}
    return {**taken, **{path: pathlib.Path(path) for path in linked}}


def files(folder, program):
    """The same for /examples/PROGRAM, with the interpreter."""
    libraries = {path: path for path in image.shared_objects(INTERPRETER)}
    return {**modules(program, folder), **libraries, "/usr/bin/python3": INTERPRETER.resolve(),
            f"/examples/{program.name}": program}
