# SPDX-License-Identifier: GPL-2.0
"""Finds complaints in the kernel log, and their places in the source."""

import dataclasses
import re
import subprocess

# First match names the report.
KINDS = [
    ("panic", r"Kernel panic - not syncing"),
    ("KASAN", r"BUG: KASAN:"),
    ("KCSAN", r"BUG: KCSAN:"),
    ("UBSAN", r"UBSAN:"),
    ("kmemleak", r"kmemleak: .*new suspected memory leaks|unreferenced object 0x"),
    ("lockdep", r"WARNING: (?:possible|inconsistent|suspicious|bad unlock|held lock|lock held|Nested"
                r"|.*(?:lock|RCU))|INFO: trying to register non-static key|possible recursive locking"
                r"|\*\*\* DEADLOCK|DEBUG_LOCKS_WARN_ON|invalid wait context|BUG: .*lockdep|BUG: MAX_LOCK"),
    ("atomic", r"BUG: sleeping function called|BUG: scheduling while atomic"
               r"|BUG: using .* in preemptible|BUG: workqueue leaked"),
    ("stall", r"rcu: INFO: .*(?:stall|starved)|BUG: soft lockup|BUG: workqueue lockup"
              r"|INFO: task .* blocked for more than|watchdog: .*LOCKUP"),
    ("oops", r"BUG: unable to handle|Oops:|general protection fault|kernel BUG at|divide error:"
             r"|invalid opcode:|stack segment:|double fault|PANIC:|traps: .*\[#\d"),
    ("memory", r"BUG: Bad page|BUG: Bad rss|BUG: non-zero pgtables|BUG kmalloc|BUG .*: (?:Redzone|Poison)"
               r"|list_(?:add|del) corruption|refcount_t:|Memory cgroup charge leak"),
    ("MSR", r"unchecked MSR access error"),
    ("WARN", r"WARNING: "),
    ("BUG", r"\bBUG:"),
]
KINDS = [(kind, re.compile(pattern)) for kind, pattern in KINDS]
CUT = re.compile(r"------------\[ cut here \]|^={20,}$")
# A WARN, BUG or oops says where it ends; of the others, the last part is a call trace.
MARKED_END = re.compile(r"---\[ end (?:trace|Kernel panic)")
OTHER_END = re.compile(r"^={20,}$|</TASK>$")
# These stand between two rules.
RULED = ("KASAN", "KCSAN")
RULE = re.compile(r"={20,}$")
# Of use to few, and in the log for them.
NOISE = re.compile(r"^(?:Code|R(?!IP)[A-Z0-9]{2}|[CF]S|RIP: 0033): ?")
FRAME = re.compile(r"([\w.]+)\+0x([0-9a-f]+)(?:/0x[0-9a-f]+)?(?: \[(\w+)\])?")
# The first line of each side of a data race.
RACE_PART = re.compile(r"(?:read|write|read-write|race|assert)\b.* (?:to|at) .*:$")
LONGEST = 120


@dataclasses.dataclass
class Report:
    kind: str
    lines: list

    def __str__(self):
        return "\n".join(self.lines)


def kind_of(line):
    for kind, pattern in KINDS:
        if pattern.search(line):
            return kind
    return None


def ends(report, line):
    if MARKED_END.search(line) or len(report.lines) > LONGEST:
        return True
    if report.kind in RULED:
        return len(report.lines) > 3 and RULE.match(line) is not None
    marked = report.kind in ("WARN", "oops", "BUG", "panic") or CUT.search(report.lines[0])
    return not marked and len(report.lines) > 3 and bool(OTHER_END.search(line))


def reports(lines):
    """Groups kernel lines (without timestamps) into reports."""
    found = []
    current = None
    before = []
    for line in lines:
        kind = kind_of(line)
        if current is None and kind == "panic":
            # What follows an oops is its last sentence.
            if found and found[-1].kind == "oops":
                found[-1].lines.append(line)
                continue
            if "end Kernel panic" in line:
                continue
        # Further headlines inside a report (BUG, then Oops) belong to it.
        if current is None and kind:
            current = Report(kind, [*before, line])
            found.append(current)
        elif current is not None:
            current.lines.append(line)
            if current.kind == "BUG" and kind in ("oops", "panic"):
                current.kind = "oops"
        if current and ends(current, line):
            current = None
        before = [line] if CUT.search(line) else []
    return found


def is_kernels_own(report):
    """Is this a data race of the kernel with itself, without any call from the module?

    What an interrupt found below it has no part in the race.
    """
    part = True
    for line in report.lines:
        if RACE_PART.match(line):
            part = True
        elif line.startswith(" asm_"):
            part = False
        elif part and "[vmx" in line:
            return False
    return report.kind == "KCSAN"


def is_expected(report, patterns):
    return is_kernels_own(report) or any(re.search(pattern, line)
                                         for pattern in patterns for line in report.lines)


def _run_faddr2line(script, elf, frames):
    """{symbol+offset: file:line}."""
    result = subprocess.run([script, elf, *frames], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True)
    places = {}
    frame = None
    for line in result.stdout.splitlines():
        headline = re.match(r"(\S+\+0x[0-9a-f]+)/0x[0-9a-f]+:", line)
        if headline:
            frame = headline.group(1)
        elif frame and frame not in places:
            match = re.search(r" at (\S+:\d+)", line)
            if match:
                places[frame] = match.group(1)
    return places


def decode(report, script, vmlinux, modules, folder):
    """Adds file:line to every symbol+offset that VMLINUX or one of MODULES {name: path} explains.

    Sizes, which tell functions of the same name apart, are not passed on: the kernel rounds those of
    a module up to its next symbol.
    """
    lines = [line for line in report.lines if not NOISE.match(line)]
    wanted = {}
    for symbol, offset, name in FRAME.findall("\n".join(lines)):
        elf = modules.get(name) if name else vmlinux
        if elf:
            wanted.setdefault(elf, []).append(f"{symbol}+0x{offset}")
    places = {elf: _run_faddr2line(script, elf, list(dict.fromkeys(frames)))
              for elf, frames in wanted.items()}

    def annotate(match):
        symbol, offset, name = match.groups()
        elf = modules.get(name) if name else vmlinux
        place = places.get(elf, {}).get(f"{symbol}+0x{offset}")
        return f"{match.group(0)} ({place})" if place else match.group(0)

    return Report(report.kind, [FRAME.sub(annotate, line).replace(f"{folder}/", "") for line in lines])
