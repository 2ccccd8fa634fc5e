# SPDX-License-Identifier: GPL-2.0
"""The gate of the examples: compares the ABI as the Python example repeats it with the headers, and README.md's
example with the one that is tested.
"""

import ctypes
import importlib.util
import subprocess

from where import ROOT


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_struct(name, struct):
    yield f"sizeof(struct {name}) == {ctypes.sizeof(struct)}", name
    for member, *_ in struct._fields_:
        layout = getattr(struct, member)
        yield (f"offsetof(struct {name}, {member}) == {layout.offset} && "
               f"sizeof(((struct {name} *)0)->{member}) == {layout.size}"), f"{name}.{member}"


def claims(module):
    """(a condition in C, the name that it checks)"""
    for name, value in vars(module).items():
        if name.startswith("VMX_"):
            yield f"{name} == {value}", name
        elif name.startswith("vmx_"):
            yield from of_struct(name, value)


def run():
    """(complaints, the source that was compiled)"""
    lines = [f'_Static_assert({condition}, "{what}");'
             for condition, what in claims(load(ROOT / "tools/examples/hello.py"))]
    source = "#include <stddef.h>\n#include <linux/vmx.h>\n" + "\n".join(lines) + "\n"
    result = subprocess.run(["gcc", "-fsyntax-only", "-I", ROOT / "uapi", "-x", "c", "-"], input=source, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    failed = [line for line in result.stdout.splitlines() if "error:" in line]
    if not lines:
        failed.append("it claims nothing")
    if (ROOT / "tools/examples/hello.c").read_text() not in (ROOT / "README.md").read_text():
        failed.append("README.md does not have tools/examples/hello.c as it is")
    return failed, source
