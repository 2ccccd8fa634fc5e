# SPDX-License-Identifier: GPL-2.0
"""Finds what the kernel complains about, and says where in the source that is."""

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
END = re.compile(r"---\[ end (?:trace|Kernel panic)|^={20,}$|</TASK>$")
FRAME = re.compile(r"([\w.]+)\+0x([0-9a-f]+)/0x([0-9a-f]+)(?: \[(\w+)\])?")
LONGEST = 80


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


def reports(lines):
    """Groups kernel lines (without timestamps) into reports."""
    found = []
    current = None
    before = []
    for line in lines:
        kind = kind_of(line)
        # A second headline inside a report (BUG, then Oops, then panic) belongs to it.
        if kind and current is None:
            current = Report(kind, [*before, line])
            found.append(current)
        elif current is not None:
            current.lines.append(line)
            if kind == "panic":
                current.kind = "oops" if current.kind in ("oops", "BUG") else current.kind
        if current and len(current.lines) > 3 and (END.search(line) or len(current.lines) > LONGEST):
            current = None
        before = [line] if CUT.search(line) else []
    return found


def is_expected(report, patterns):
    return any(re.search(pattern, line) for pattern in patterns for line in report.lines)


def _run_faddr2line(script, elf, frames):
    result = subprocess.run([script, elf, *frames], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True)
    places = {}
    frame = None
    for line in result.stdout.splitlines():
        if line.rstrip(":") in frames:
            frame = line.rstrip(":")
        elif frame and frame not in places:
            match = re.search(r" at (\S+:\d+)", line)
            if match:
                places[frame] = match.group(1)
    return places


def decode(report, script, vmlinux, modules, folder):
    """Adds file:line to every symbol+offset that VMLINUX or one of MODULES {name: path} explains."""
    wanted = {}
    for line in report.lines:
        for symbol, offset, size, module in FRAME.findall(line):
            elf = modules.get(module) if module else vmlinux
            if elf:
                wanted.setdefault(elf, []).append(f"{symbol}+0x{offset}/0x{size}")
    places = {}
    for elf, frames in wanted.items():
        places.update(_run_faddr2line(script, elf, list(dict.fromkeys(frames))))

    def annotate(match):
        place = places.get(f"{match.group(1)}+0x{match.group(2)}/0x{match.group(3)}")
        place = place and place.removeprefix(f"{folder}/")
        return f"{match.group(0)} ({place})" if place else match.group(0)

    return Report(report.kind, [FRAME.sub(annotate, line) for line in report.lines])
