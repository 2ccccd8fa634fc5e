# SPDX-License-Identifier: GPL-2.0
"""The benchmarks of Linux as a guest with shadow page tables, beside KVM with ept=0."""

import statistics

import suite
from machines import machine
from where import BUILD, Failure, say

PATH = BUILD / "shadow.tsv"
LIMIT = 40_000_000_000
# How many processes of the guest are alive beside the one that measures.
PROCESSES = (0, 16, 64, 256)

OPERATIONS = {
    "shadow-boot": ("shadow paging: boot, run, end", 0.95),
    "shadow-fork": ("shadow paging: fork, exit, wait", 0.50),
    "shadow-fault": ("shadow paging: anonymous fault", 0.60),
    "shadow-munmap": ("shadow paging: munmap, for a page", 1.00),
    "shadow-ctxsw": ("shadow paging: process and back", 0.92),
}
# The most at any time. What vmx takes is all that it has for them; for KVM, what is in slabs is not counted.
MEMORY = {
    "shadow-pages": "shadow pages of Linux as a guest",
    "shadow-kib": "what they take, KiB",
}
ALL = [*OPERATIONS, *MEMORY]

# By kvmtool's lkvm (August 2024) on KVM with ept=0, in the same machine with the same guest, for each of PROCESSES;
# medians of three boots, of memory one. Debian has no lkvm: where there is one on the PATH, it is measured again.
RECORDED = {
    "shadow-boot": (519_224_366, 521_938_145, 564_068_909, 753_174_373),
    "shadow-fork": (1_440_427, 1_440_896, 1_425_062, 1_428_669),
    "shadow-fault": (8_469, 8_469, 8_472, 8_464),
    "shadow-munmap": (729, 718, 720, 714),
    "shadow-ctxsw": (9_082, 9_066, 9_098, 9_106),
    "shadow-pages": (80, 258, 653, 653),
    "shadow-kib": (496, 1_916, 5_172, 5_176),
}


def test(processes=(0,)):
    return suite.Test("bench-shadow", " ".join(["/machine/bench-shadow", *map(str, processes)]), LIMIT)


def measure(setup):
    """{(side, operation, processes): cost}, the median of several. Prints all other output."""
    found = {}
    with machine.Boot(setup, {"MODE": "tests", "MODULES": "", "TRACE": 0}, [test(PROCESSES)],
                      {}) as machine_:
        machine_.follow()
        lines = [line for span in machine_.session.spans if span.name in machine_.tests for line in span.output]
    for line in lines:
        words = line.split()
        if len(words) == 4 and words[1] in ALL:
            found.setdefault((words[0], words[1], int(words[3])), []).append(int(words[2]))
        else:
            say(f"  {line}")
    return {key: statistics.median_low(costs) for key, costs in found.items()}


def judge(name, kvm, vmx):
    """Columns: the target ratio and the verdict. Memory has no target."""
    if name not in OPERATIONS:
        return "-", ""
    target = OPERATIONS[name][1]
    if not kvm or not vmx:
        return target, ""
    return target, "met" if vmx / kvm <= target else "MISSED"


def run(setup):
    """Prints a line for each operation and number of processes."""
    say(f"\n{setup.place}: Linux as a guest with shadow page tables")
    measured = measure(setup)
    if not any(side == "vmx" for side, *_ in measured):
        raise Failure("the benchmark printed no results")
    recorded = {("kvm", name, alive): cost for name, row in RECORDED.items() for alive, cost in zip(PROCESSES, row)}
    costs = {**recorded, **measured}
    say("\n  " + " ".join(f"{name:>14}" for name in ("operation", "processes", "KVM", "vmx", "ratio", "target", "")))
    with open(PATH, "w") as file:
        file.write("operation\tprocesses\tkvm\tvmx\tratio\n")
        for name in ALL:
            for alive in PROCESSES:
                kvm, vmx = (costs.get((side, name, alive)) for side in ("kvm", "vmx"))
                cells = [name, alive, kvm or "-", vmx or "-", f"{vmx / kvm:.3f}" if kvm and vmx else "-"]
                file.write("\t".join(map(str, cells)) + "\n")
                say("  " + " ".join(f"{cell:>14}" for cell in [*cells, *judge(name, kvm, vmx)]))
    if recorded.keys() - measured.keys():
        say("\n  KVM's figures are recorded ones where no lkvm is on the PATH to measure them")
    return 0
