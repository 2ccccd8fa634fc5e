# SPDX-License-Identifier: GPL-2.0
"""Turns TAP and KTAP, nested or flat, into test cases.

What a harness lets pass is not always a success: what counts as a failure here is in runnertest.py.
"""

import dataclasses
import re

RESULT = re.compile(r"^(\s*)(not )?ok\s+(\d+)\s*-?\s*([^#]*?)\s*(?:#\s*(.*))?$")
MISSING = "plan"
PLAN = re.compile(r"^(\s*)1\.\.(\d+)(?:\s*#\s*(?i:skip)\s*(.*))?")
VERSION = re.compile(r"^\s*K?TAP version \d+")
# What kselftest's harness prints of an EXPECT or ASSERT that fails.
EXPECTATION = re.compile(r"^#\s+\S+:\d+:\w+:Expected ")
# Nothing here is marked as expected to fail. The harness also says so of a child that leaves with 2 or 3.
EXPECTED_FAILURE = re.compile(r"(?i)(xfail|xpass|todo)\b")


@dataclasses.dataclass
class Case:
    name: str
    status: str      # passed, failed, skipped
    detail: str = ""


def _status(match, unmet):
    """UNMET: a line that says which expectation was not met before that."""
    directive = match.group(5) or ""
    if match.group(2):
        return "failed", directive
    if unmet:
        return "failed", "the result is good, although an expectation was not met"
    if re.match(r"(?i)skip", directive):
        return "skipped", directive[4:].strip()
    if EXPECTED_FAILURE.match(directive):
        return "failed", f"nothing is expected to fail: {directive}"
    return "passed", ""


class _Plans:
    """How many results are still due, at each depth of nesting."""

    def __init__(self):
        self.due = {}
        self.wrong = []

    def close(self, depth):
        """Nothing more comes at this depth and below it."""
        for level in [level for level in self.due if level >= depth]:
            due = self.due.pop(level)
            if due > 0:
                self.wrong.append(f"{due} planned results are missing")
            elif due < 0:
                self.wrong.append(f"{-due} results are not planned")

    def begin(self, depth, count):
        self.close(depth)
        self.due[depth] = count
        if not count:
            self.wrong.append("no result is planned: nothing ran")

    def result(self, depth):
        self.close(depth + 1)
        if depth in self.due:
            self.due[depth] -= 1


def parse(lines):
    """The leaves: a result that sums up deeper ones counts only if it fails and none of them did."""
    cases = []
    plans = _Plans()
    deeper = []          # (depth, case) of results that no shallower one has summed up yet
    notes = []
    unmet = document = False
    for line in lines:
        plan = PLAN.match(line)
        if plan and plan.group(3) is not None:
            cases.append(Case("all", "skipped", plan.group(3)))
            continue
        if plan:
            plans.begin(len(plan.group(1)), int(plan.group(2)))
            continue
        match = RESULT.match(line)
        if not match:
            document |= VERSION.match(line) is not None
            unmet |= EXPECTATION.match(line) is not None
            notes = [*notes, line][-40:]
            continue
        depth = len(match.group(1))
        status, detail = _status(match, unmet)
        unmet = False
        plans.result(depth)
        children = [case for level, case in deeper if level > depth]
        deeper = [(level, case) for level, case in deeper if level <= depth]
        name = match.group(4) or f"#{match.group(3)}"
        if children:
            for case in children:
                case.name = f"{name}.{case.name}"
            deeper += [(depth, case) for case in children]
            if status != "failed" or any(case.status == "failed" for case in children):
                notes = []
                continue
        if status == "failed":
            detail = "\n".join(filter(None, [*notes, line, detail]))
        case = Case(name, status, detail)
        cases.append(case)
        deeper.append((depth, case))
        notes = []
    plans.close(0)
    if document and not cases and not plans.wrong:
        plans.wrong.append("there are no results")
    cases += [Case(MISSING, "failed", text) for text in plans.wrong]
    return cases
