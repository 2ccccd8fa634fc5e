# SPDX-License-Identifier: GPL-2.0
"""Turns TAP and KTAP, nested or flat, into test cases."""

import dataclasses
import re

RESULT = re.compile(r"^(\s*)(not )?ok\s+(\d+)\s*-?\s*([^#]*?)\s*(?:#\s*(.*))?$")
MISSING = "plan"
PLAN = re.compile(r"^(\s*)1\.\.(\d+)")


@dataclasses.dataclass
class Case:
    name: str
    status: str      # passed, failed, skipped
    detail: str = ""


def _status(match):
    directive = match.group(5) or ""
    if re.match(r"(?i)skip", directive):
        return "skipped", directive[4:].strip()
    if match.group(2):
        return "failed", directive
    return "passed", ""


def parse(lines):
    """The leaves: a result that sums up deeper ones counts only if it fails and none of them did."""
    cases = []
    plans = {}           # depth: results still due there
    deeper = []          # (depth, case) of results that no shallower one has summed up yet
    notes = []
    for line in lines:
        plan = PLAN.match(line)
        if plan:
            plans[len(plan.group(1))] = int(plan.group(2))
            continue
        match = RESULT.match(line)
        if not match:
            notes = [*notes, line][-40:]
            continue
        depth = len(match.group(1))
        status, detail = _status(match)
        if depth in plans:
            plans[depth] -= 1
        children = [case for level, case in deeper if level > depth]
        deeper = [(level, case) for level, case in deeper if level <= depth]
        name = match.group(4) or f"#{match.group(3)}"
        if children:
            for case in children:
                case.name = f"{name}.{case.name}"
            plans = {level: due for level, due in plans.items() if level <= depth}
            deeper += [(depth, case) for case in children]
            if status != "failed" or any(case.status == "failed" for case in children):
                notes = []
                continue
        if status == "failed":
            detail = "\n".join([*notes, line])
        case = Case(name, status, detail)
        cases.append(case)
        deeper.append((depth, case))
        notes = []
    missing = sum(due for due in plans.values() if due > 0)
    if missing:
        cases.append(Case(MISSING, "failed", f"{missing} planned results are missing"))
    return cases
