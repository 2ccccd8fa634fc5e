# SPDX-License-Identifier: GPL-2.0
"""Who in libvmx can write the guest's memory? A migration has to know of every page that is written.

vmx_memory_at() gives memory to read, as const; vmx_memory_to_write() notes what it gives. So a store that nobody notes
takes a cast, or memory by other means: through the RAM itself, or through the machine of a virtio device, which tells what
it wrote. This finds each of these, and each has to be in a list here, with the reason.
"""

import re
import subprocess

from where import ROOT

TOOLS = ROOT / "tools"
FOLDERS = ("lib", "devices", "firmware", "pci", "emulate", "virtio", "load", "gdb", "machine", "state", "migrate", "vmxrun")

# Casts that take const away.
CASTS = {
    ("machine/machine.c", "vmx_machine_memory"): "whoever asks for memory to read gets it to read; virtio tells",
    ("machine/task_segments.c", "task_write"): "bytes that come from the caller, and are read",
    ("virtio/blk.c", "write_zeroes"): "zeroes of this program's, which are read",
    ("migrate/wire.c", "wire_send"): "a message, which is read",
}

# The RAM itself.
RAM = {
    "firmware/memory_map.c": "finds memory, and notes it",
    "firmware/acpi.c": "before the machine runs",
    "lib/core.c": "makes it",
    "lib/mode.c": "for programs without a machine, before they run",
    "machine/board.c": "finds the address of what virtio wrote, and notes it",
    "machine/machine.c": "is given it",
    "state/machine.c": "saves it, or maps it before the machine runs",
    "migrate/source.c": "reads it",
    "migrate/target.c": "before the machine runs",
    "vmxrun/snapshot.c": "compares the address of an error with it",
}

# What a virtio device writes, it tells in the same file.
SEGMENTS = re.compile(r"vmx_virtio_write\(|segments\[|iov_base")
TELLS = re.compile(r"vmx_virtio_written\(|note\(")


def function_at(path, line):
    """The function that has the line: the last one that begins before."""
    lines = path.read_text().splitlines()[:line]
    names = [match.group(1) for text in lines if (match := re.match(r"[a-z][\w\s*]*?\**(\w+)\(", text))]
    return names[-1] if names else ""


def casts():
    for folder in FOLDERS:
        for path in sorted((TOOLS / folder).glob("*.c")):
            command = ["gcc", "-std=gnu11", f"-I{TOOLS}/include", f"-I{ROOT}/uapi", "-fsyntax-only", "-Wcast-qual",
                       "-Wdiscarded-qualifiers", path]
            said = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False).stderr
            for line in re.findall(r"^[^\n:]+:(\d+):\d+: (?:warning|error): [^\n]*(?:discards|qualifier)", said, re.M):
                yield str(path.relative_to(TOOLS)), function_at(path, int(line))


def rams():
    for folder in FOLDERS:
        for path in sorted((TOOLS / folder).glob("*.c")):
            if re.search(r"(?:->|\.)ram\b", path.read_text()):
                yield str(path.relative_to(TOOLS))


def silent():
    for path in sorted((TOOLS / "virtio").glob("*.c")):
        text = path.read_text()
        if SEGMENTS.search(text) and not TELLS.search(text):
            yield str(path.relative_to(TOOLS))


def check():
    """What is wrong, a line for each."""
    found, ram = set(casts()), set(rams())
    wrong = [f"{path}: {function}() takes const from a pointer: use vmx_memory_to_write(), or say why in {__name__}.py"
             for path, function in sorted(found - set(CASTS))]
    wrong += [f"{path}: uses the guest's RAM itself: use vmx_memory_to_write(), or say why in {__name__}.py"
              for path in sorted(ram - set(RAM))]
    wrong += [f"{path}: writes memory of the guest's, and tells nobody: vmx_virtio_written()" for path in silent()]
    wrong += [f"{__name__}.py: {name} does not do that any more" for name in sorted(set(RAM) - ram)]
    wrong += [f"{__name__}.py: {path}, {function}() does not do that any more"
              for path, function in sorted(set(CASTS) - found)]
    return wrong
