# SPDX-License-Identifier: GPL-2.0
"""The benchmarks of Linux as a guest: their rows, their files, their exits."""

import collections
import shutil

import suite
from machines import image
from where import BUILD, INSIDE, say

# Where KVM's figures are from: another kernel or CPU model would be compared with nothing.
PLACE = "fast/skylake"
LIMIT = 20_000_000_000

OPERATIONS = {
    "linux-boot": ("boot Linux, run, end: all of it", 0.95),
    "linux-fork": ("guest: fork, exit, wait", 1.00),
    "linux-fault": ("guest: anonymous page fault", 1.00),
    "linux-munmap": ("guest: munmap, for a page", 1.00),
    "linux-ctxsw": ("guest: another process and back", 1.00),
    "uart-byte": ("guest: byte to its console", 1.00),
    "timer-tick": ("guest: timer tick, all of it", 1.00),
    "disk-write": ("guest: 4K to a virtio disk", 1.00),
    "disk-read": ("guest: 4K from a virtio disk", 1.00),
}

# By kvmtool's lkvm (July 2024) on KVM, in the same machine with the same guest; medians of three boots. Debian
# has no lkvm: where there is one on the PATH, it is measured again.
RECORDED = {
    "linux-boot": 308_778_684, "linux-fork": 139_754, "linux-fault": 2_128, "linux-munmap": 697,
    "linux-ctxsw": 7_861, "uart-byte": 5_803, "timer-tick": 23_635,
}

# Bytes of the phase in which linux_bench prints to its console: eight lines of 128, each with a carriage return.
UART_BYTES = 8 * 129
# Of the phases in which the other kernel measures.
DISK_REQUESTS = 2 * 256


def test():
    return suite.Test("bench-linux", "/machine/bench-linux", LIMIT)


def files(setup, folder):
    """{path in the machine: file here}"""
    initrd = folder / "bench-initrd"
    image.single_program(initrd, BUILD / "selftests/linux_bench")
    found = {"/machine/bench-linux": INSIDE / "bench-linux",
             "/machine/bench-shadow": INSIDE / "bench-shadow", "/usr/bin/ticks": BUILD / "selftests/ticks",
             "/guest/kernel": setup.kernel.image, "/guest/bench": initrd,
             "/guest/disk": BUILD / "selftests/disk.elf"}
    lkvm = shutil.which("lkvm")
    if lkvm:
        found.update({"/usr/bin/lkvm": lkvm, **{path: path for path in image.shared_objects(lkvm)}})
    return found


def show_exits(lines):
    """LINES: 'exits PHASE COUNT WHAT'."""
    phases = collections.defaultdict(collections.Counter)
    ticks = 0
    for _, phase, count, *what in map(str.split, lines):
        if phase == "ticks-counted":
            ticks = int(count)
        else:
            phases[phase][" ".join(what)] += int(count)
    if not ticks:
        return
    say(f"\n  exits to vmxrun: {phases['uart'].total() / UART_BYTES:.2f} a byte to the serial console, "
        f"{phases['ticks'].total() / ticks:.2f} a timer tick,\n  {phases['disk'].total() / DISK_REQUESTS:.2f} "
        f"a request to a virtio disk; {phases['boot'].total():,} to boot, of which")
    for what, count in phases["boot"].most_common(12):
        say(f"  {count:8,}  {what}")
