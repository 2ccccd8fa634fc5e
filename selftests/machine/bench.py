# SPDX-License-Identifier: GPL-2.0
"""`make bench`: this module and KVM, one after the other in the same boot of the same machine."""

import machine
import results
import suite
from where import BUILD, Failure, say

HEADER = "operation\tcpu\tkvm\tvmx\tratio"
# KVM would take VMX when it loads and keep it; asked to, it waits for its first VM.
MODULES = "kvm:enable_virt_at_load=0 kvm_intel vmx"
TEST = suite.Test("vmx_bench", "/tests/vmx_bench", limit=60_000_000_000)


def table(setup, path):
    """Boots, streams what the benchmark prints, writes its rows to PATH; True if it passed."""
    rows = []

    def listener(span, mark, text):
        if mark == "|" and text.startswith("BENCH\t"):
            rows.append(text.removeprefix("BENCH\t"))
        elif mark == "|":
            say(text)
        elif mark == "" and span.name == TEST.name:
            say(f"    kernel: {text}")

    say(f"{setup.place}: instructions per operation")
    collector = results.Collector({})
    machine.run_tests(setup, [TEST], suite.binaries([TEST]), collector, listener,
                      plan={"MODULES": MODULES, "BENCH_CPU": setup.cpu.name, "TRACE": 0})
    if not rows:
        raise Failure(f"the benchmark printed no rows; its log is in {results.FOLDER / setup.place}")
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    say(f"written to {path}")
    return not any(outcome.failures() for outcome in collector.outcomes)


def run(make_setup):
    good = table(make_setup("fast"), BUILD / "bench.tsv")
    say("\nThe same with mitigations and machine checks compiled in:")
    good &= table(make_setup("mitigations"), BUILD / "bench-mitigations.tsv")
    return 0 if good else 1
