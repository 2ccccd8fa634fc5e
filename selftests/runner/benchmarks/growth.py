# SPDX-License-Identifier: GPL-2.0
"""`make bench T=growth`: measures how costs grow with a guest's memory and vCPUs."""

import suite
from machines import machine
from where import BUILD, INSIDE, Failure, say

PATH = BUILD / "growth.tsv"
LIMIT = 30_000_000_000


def boot(setup):
    tests = [suite.Test("growth", "/machine/growth", LIMIT)]
    extra = {"/machine/growth": INSIDE / "growth",
             "/usr/bin/vmx_growth": BUILD / "selftests/vmx_growth"}
    with machine.Boot(setup, {"MODE": "tests", "MODULES": "", "TRACE": 0}, tests, extra) as machine_:
        machine_.follow()
        return [line.split() for span in machine_.session.spans if span.name in machine_.tests
                for line in span.output]


def run(setup):
    """Prints a line for each size and number of vCPUs, with a column for each operation."""
    say(f"\n{setup.place}: ticks for each 4 KiB page")
    table = {}
    for words in boot(setup):
        if len(words) == 4 and words[0].isdigit():
            table.setdefault((words[0], words[1]), {})[words[2]] = words[3]
        else:
            say(f"  {' '.join(words)}")
    if not table:
        raise Failure("the benchmark printed no results")
    names = list(next(iter(table.values())))
    say("\n  " + " ".join(f"{name:>17}" for name in ("MB", "vCPUs", *names)))
    with open(PATH, "w") as file:
        file.write("\t".join(["megabytes", "vcpus", *names]) + "\n")
        for key, costs in table.items():
            cells = [*key, *(costs.get(name, "-") for name in names)]
            say("  " + " ".join(f"{cell:>17}" for cell in cells))
            file.write("\t".join(cells) + "\n")
    return 0
