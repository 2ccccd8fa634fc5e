# SPDX-License-Identifier: GPL-2.0
"""The benchmarks: runs this module and KVM in one boot of the same machine, and prints the table."""

import dataclasses
import pathlib
import statistics

import suite
from benchmarks import linuxbench, shadowbench
from machines import machine
from where import BUILD, INSIDE, ROOT, Failure, say

# Operation: what it is, and what it may cost, as a part of what KVM takes.
OPERATIONS = {
    "cpuid": ("CPUID finished in the kernel", 0.30),
    "rdmsr": ("RDMSR finished in the kernel", 0.30),
    "pio-user": ("OUT to userspace and back", 0.30),
    "mmio-user": ("MMIO write to userspace and back", 0.18),
    "interrupt": ("interrupt of the host, handler and all", 0.95),
    "ept-4k-present": ("first touch of a 4K page", 0.50),
    "ept-4k-fresh": ("the same, new for the host too", 0.55),
    "ept-2m": ("first touch of a 2M page", 0.75),
    "ept-populate": ("POPULATE, by 4K page", 0.40),
    "unmap-64m": ("unmap 64M of 4K pages", 0.75),
    "dirty-1pct": ("be told which of 64M were written, 1 page in 100", 0.50),
    "dirty-100pct": ("the same, all pages", 0.50),
    "vm-create": ("create, destroy VM with a vCPU", 0.50),
    **linuxbench.OPERATIONS,
    **shadowbench.OPERATIONS,
}
OTHERS = {
    "memory-vm": "kernel memory of a VM, bytes",
    "memory-vcpu": "kernel memory of a vCPU, bytes",
    "floor-getppid": "getppid",
    "floor-ioctl": "ioctl that does nothing",
    "floor-run": "RUN that returns at once",
    "switches": "turns of other threads in 1,000 interrupts",
    "loads": "loads of FPU state in 1,000 interrupts",
    **shadowbench.MEMORY,
}
COUNTS = {
    "vmreads": "VMREAD", "vmwrites": "VMWRITE", "msr_writes": "WRMSR", "invalidations": "INV*",
    "fpu_swaps": "FPU", "ipis": "IPI",
}
LIMIT = 6_000_000_000
NOTE = """\
Costs are ticks of the TSC for one operation: retired instructions, in an emulator whose clock counts
them. A VMREAD, WRMSR or invalidation is one instruction there and tens to hundreds of cycles on
silicon: so they are counted too, for vmx, for each operation."""


@dataclasses.dataclass(order=True)
class Result:
    cost: float
    checksum: str
    counts: dict


def parse(lines):
    """{side: {operation: Result}}, the median of several. Prints all other output."""
    found = {"kvm": {}, "vmx": {}}
    for line in lines:
        side, _, rest = line.partition(" ")
        words = rest.split()
        if side in found and len(words) >= 3 and words[0] in {**OPERATIONS, **OTHERS}:
            counts = dict(word.split("=") for word in words[3:])
            found[side].setdefault(words[0], []).append(Result(float(words[1]), words[2], counts))
        elif side != "exits":
            say(f"  {line}")
    return {side: {name: statistics.median_low(several) for name, several in operations.items()}
            for side, operations in found.items()}


def boot(setup):
    tests = [suite.Test("bench", "/machine/bench", LIMIT)]
    if setup.place == linuxbench.PLACE:
        tests += [linuxbench.test(), shadowbench.test()]
    extra = {"/machine/bench": INSIDE / "bench",
             "/usr/bin/vmx_bench": BUILD / "selftests/vmx_bench"}
    with machine.Boot(setup, {"MODE": "tests", "MODULES": "", "TRACE": 0}, tests, extra) as machine_:
        machine_.follow()
        for span in machine_.session.spans:
            outcome = machine_.outcome(span)
            for case in outcome.failures():
                say(f"  FAILED {span.name}.{case.name}: {case.detail}")
        return [line for span in machine_.session.spans if span.name in machine_.tests
                for line in span.output]


def ratio(kvm, vmx):
    return f"{vmx.cost / kvm.cost:.3f}" if kvm and vmx and kvm.cost else "-"


def number(result):
    return f"{result.cost:,.0f}" if result else "-"


def print_table(results):
    """Returns the operations whose results differ between KVM and vmx."""
    different = []
    kvms, vmxs = results["kvm"], results["vmx"]
    say(f"\n  {'operation':15} {'':31} {'KVM':>11} {'vmx':>11} {'ratio':>6} {'target':>7}      "
        + " ".join(f"{name:>7}" for name in COUNTS.values()))
    for name, (what, target) in OPERATIONS.items():
        kvm, vmx = kvms.get(name), vmxs.get(name)
        if not kvm and not vmx:
            continue
        part = ratio(kvm, vmx)
        verdict = "" if part == "-" else "met" if float(part) <= target else "MISSED"
        counts = " ".join(f"{float(vmx.counts[key]):7.2f}" if vmx and key in vmx.counts else f"{'-':>7}"
                          for key in COUNTS)
        say(f"  {name:15} {what:31} {number(kvm):>11} {number(vmx):>11} {part:>6} {target:7.2f} {verdict:6}"
            f"{counts}")
        if kvm and vmx and kvm.checksum != vmx.checksum:
            different.append(f"{name}: KVM computed {kvm.checksum}, vmx {vmx.checksum}")
    say("")
    for name, what in OTHERS.items():
        kvm, vmx = kvms.get(name), vmxs.get(name)
        if not kvm and not vmx:
            continue
        say(f"  {what:47} {number(kvm):>11} {number(vmx):>11} {ratio(kvm, vmx):>6}")
    return different


def write_table(path, cpu, results):
    with open(path, "w") as file:
        file.write("operation\tcpu\tkvm\tvmx\tratio\n")
        for name in OPERATIONS:
            kvm, vmx = results["kvm"].get(name), results["vmx"].get(name)
            if not kvm and not vmx:
                continue
            cells = [f"{side.cost:.0f}" if side else "-" for side in (kvm, vmx)]
            file.write("\t".join([name, cpu, *cells, ratio(kvm, vmx)]) + "\n")


def add_recorded(results):
    """Adds KVM's recorded figures of Linux as a guest where none was measured; True if it added some."""
    recorded = {**linuxbench.RECORDED, **{name: row[0] for name, row in shadowbench.RECORDED.items()}}
    missing = [name for name in recorded if name in results["vmx"] and name not in results["kvm"]]
    results["kvm"].update({name: Result(recorded[name], "0", {}) for name in missing})
    return bool(missing)


def compare(setup, path):
    """One table, on one kernel, printed and written to PATH; True if both sides computed the same."""
    say(f"\n{setup.place}: KVM, then vmx, in one boot")
    lines = boot(setup)
    results = parse(lines)
    if not results["vmx"]:
        raise Failure("the benchmarks gave no results")
    recorded = add_recorded(results)
    different = print_table(results)
    linuxbench.show_exits([line for line in lines if line.startswith("exits ")])
    if recorded:
        say("\n  KVM's figures of Linux as a guest are recorded ones; put an lkvm on the PATH to measure them")
    write_table(path, setup.cpu.name, results)
    say(f"\n  written to {path.relative_to(ROOT)}")
    for text in different:
        say(f"  FAILED the same guest code computed different results: {text}")
    return not different


def run(make_setup, kernel=""):
    """Runs on the frozen kernel and on the one with mitigations, or on KERNEL alone. Being slow is no failure."""
    tables = {"fast": BUILD / "bench.tsv", "mitigations": BUILD / "bench-mitigations.tsv"}
    if kernel:
        tables = {kernel: tables.get(kernel, BUILD / f"bench-{pathlib.Path(kernel).name}.tsv")}
    same = [compare(make_setup(name), path) for name, path in tables.items()]
    say(f"\n{NOTE}")
    return 0 if all(same) else 1
