# SPDX-License-Identifier: GPL-2.0
"""`make bench T=moves`: what it costs to restore, clone and move a machine."""

import statistics

import suite
from machines import machine
from where import BUILD, Failure, say

PATH = BUILD / "moves.tsv"
LIMIT = 60_000_000_000

# What it is, and what it may be; None: nothing says so.
FIGURES = {
    "restore-first-64m": ("from the request to the guest's first exit, 64 MB", 2_000_000),
    "restore-first-1024m": ("the same, 1 GB", 2_000_000),
    "restore-ratio": ("1 GB to 64 MB", 1.05),
    "original-kib": ("memory of an idle Linux of 256 MB, KiB", None),
    "clone1-kib": ("what its first clone adds, KiB", None),
    "clone10-kib": ("what the tenth adds, KiB", None),
    "clone-ratio": ("the tenth to the first", 0.10),
    "move-idle": ("whole move of an idle Linux, both sides", None),
    "downtime-idle": ("from its stop to its first entry there", None),
    "move-busy": ("whole move of one that makes processes", None),
    "downtime-busy": ("from its stop to its first entry there", None),
}


def boot(setup):
    tests = [suite.Test("bench-moves", "/machine/bench-moves", LIMIT)]
    with machine.Boot(setup, {"MODE": "tests", "MODULES": "", "TRACE": 0}, tests, {}) as machine_:
        machine_.follow()
        return [line.split() for span in machine_.session.spans if span.name in machine_.tests for line in span.output]


def part(found, name, of):
    return found[name] / found[of] if found.get(name) and found.get(of) else None


def run(setup):
    """Prints a line for each figure. A missed one is no failure."""
    say(f"\n{setup.place}: machines that are restored, cloned and moved; times in ticks of the TSC")
    several = {}
    for words in boot(setup):
        if len(words) == 2 and words[0] in FIGURES and words[1].isdigit():
            several.setdefault(words[0], []).append(int(words[1]))
        else:
            say(f"  {' '.join(words)}")
    if not several:
        raise Failure("the benchmark printed no results")
    found = {name: statistics.median_low(costs) for name, costs in several.items()}
    found["restore-ratio"] = part(found, "restore-first-1024m", "restore-first-64m")
    found["clone-ratio"] = part(found, "clone10-kib", "original-kib")
    say("")
    with open(PATH, "w") as file:
        file.write("figure\tvalue\ttarget\n")
        for name, (what, target) in FIGURES.items():
            value = found.get(name)
            shown = "-" if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
            verdict = "" if value is None or target is None else "met" if value <= target else "MISSED"
            say(f"  {name:20} {what:50} {shown:>14} {target or '-':>10} {verdict}")
            file.write(f"{name}\t{value if value is not None else '-'}\t{target or '-'}\n")
    return 0
