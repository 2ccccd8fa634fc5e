# SPDX-License-Identifier: GPL-2.0
"""Reads the emulator's debugger after a hang: the location and the call chain of each CPU."""

import bisect
import re
import subprocess

WORD = re.compile(r"STACK 0x[0-9a-f]+ \[0x([0-9a-f]{8}):0x([0-9a-f]{8})\]")
RIP = re.compile(r"^rip: ([0-9a-f]{8})_([0-9a-f]{8})", re.MULTILINE)


class Symbols:
    """Names addresses of text. BASE is where a module was loaded."""

    def __init__(self):
        self.addresses = []
        self.names = []

    def add(self, elf, base=0, module=""):
        text = subprocess.run(["nm", "-n", elf], stdout=subprocess.PIPE, text=True, check=True).stdout
        found = [(base + int(line.split()[0], 16), line.split()[2] + "+0x{:x}" + module)
                 for line in text.splitlines() if re.search(r" [tTwW] ", line)]
        merged = sorted(list(zip(self.addresses, self.names)) + found)
        self.addresses = [address for address, _ in merged]
        self.names = [name for _, name in merged]

    def name(self, address):
        index = bisect.bisect_right(self.addresses, address) - 1
        # Further from any symbol than any function is long: not text.
        if index < 0 or address - self.addresses[index] > 0x8000:
            return None
        return self.names[index].format(address - self.addresses[index])


def describe(text, symbols):
    """Lines with the CPUs' locations. TEXT is the debugger's answer, with a part for each CPU."""
    lines = []
    for part in re.split(r"(?=^rip: )", text, flags=re.MULTILINE):
        rip = RIP.search(part)
        if not rip:
            continue
        address = int("".join(rip.groups()), 16)
        lines.append(f"RIP: {symbols.name(address) or hex(address)}")
        for high, low in WORD.findall(part):
            name = symbols.name(int(high + low, 16))
            if name:
                lines.append(f" ? {name}")
    return lines
