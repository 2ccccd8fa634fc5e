# SPDX-License-Identifier: GPL-2.0
"""The benchmarks of Linux as a guest with shadow page tables, beside KVM with ept=0."""

import statistics

import machine
import suite
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
# Of which more are alive, the operations cost what they cost, and take so many shadow pages.
ALL = [*OPERATIONS, "shadow-pages"]

# KVM's by lkvm with ept=0, {operation: one for each of PROCESSES, as far as there are any}: of another build of
# the guest's kernel, for which a fork with EPT took 112,600 ticks, a fault 2,295.
RECORDED = {
    "shadow-fork": (1_334_000,), "shadow-fault": (10_290,), "shadow-munmap": (885,), "shadow-ctxsw": (11_330,),
}


def test(processes=(0,)):
    return suite.Test("bench-shadow", " ".join(["/machine/bench-shadow", *map(str, processes)]), LIMIT)


def measure(setup):
    """{(side, operation, processes): cost}, of several the median; the rest is said."""
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


def run(setup):
    """A line for each operation and number of processes."""
    say(f"\n{setup.place}: Linux as a guest with shadow page tables")
    costs = measure(setup)
    if not any(side == "vmx" for side, *_ in costs):
        raise Failure("the benchmark gave no results")
    recorded = {("kvm", name, alive): cost for name, row in RECORDED.items() for alive, cost in zip(PROCESSES, row)}
    costs = {**recorded, **costs}
    say("\n  " + " ".join(f"{name:>14}" for name in ("operation", "processes", "KVM", "vmx", "ratio", "target")))
    with open(PATH, "w") as file:
        file.write("operation\tprocesses\tkvm\tvmx\tratio\n")
        for name in ALL:
            for alive in PROCESSES:
                kvm, vmx = (costs.get((side, name, alive)) for side in ("kvm", "vmx"))
                cells = [name, alive, kvm or "-", vmx or "-", f"{vmx / kvm:.3f}" if kvm and vmx else "-"]
                target = OPERATIONS[name][1] if name in OPERATIONS else "-"
                file.write("\t".join(map(str, cells)) + "\n")
                say("  " + " ".join(f"{cell:>14}" for cell in [*cells, target]))
    return 0
