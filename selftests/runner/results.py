# SPDX-License-Identifier: GPL-2.0
"""Results: verdicts, files, totals."""

import dataclasses
import fnmatch
import json
import re
import threading
import xml.etree.ElementTree as xml

import klog
import tap
from where import BUILD, RUNNER, say

FOLDER = BUILD / "results"
SKIP_CODE = 4


@dataclasses.dataclass
class Outcome:
    """One test program (or static gate) in one place."""
    place: str             # KERNEL/CPU
    name: str
    cases: list
    reproduce: str
    output: list = dataclasses.field(default_factory=list)
    log: list = dataclasses.field(default_factory=list)
    seconds: float = 0
    instructions: int = 0

    def count(self, status):
        return sum(case.status == status for case in self.cases)

    def failures(self):
        return [case for case in self.cases if case.status == "failed"]


@dataclasses.dataclass
class BootTime:
    place: str
    seconds: float     # of the emulator


def expected_skips():
    rows = []
    for line in (RUNNER / "expected-skips").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            place, name, reason = line.split(None, 2)
            rows.append((place, name, re.compile(reason)))
    return rows


def check_skips(place, name, cases, rows):
    """An unlisted skip fails, since the test may have stopped testing unnoticed."""
    for case in cases:
        if case.status != "skipped":
            continue
        full = f"{name}.{case.name}"
        if not any(fnmatch.fnmatch(place, row[0]) and fnmatch.fnmatch(full, row[1])
                   and row[2].search(case.detail) for row in rows):
            case.status = "failed"
            case.detail = (f"unexpected skip: {case.detail or 'no reason given'}\n"
                           f"(a skip that is right is listed in {RUNNER.name}/expected-skips)")


def how_it_ended(span, cases):
    """A failed case for a program that ended badly, or None."""
    if span.timeout:
        return tap.Case("time limit", "failed", f"still running after {span.instructions or 'all its'} "
                        "instructions; what it was doing is in its output")
    if span.ended == "signal":
        return tap.Case("exit", "failed", f"killed by signal {span.code}")
    if span.ended == "exit" and span.code and (cases or span.code != SKIP_CODE):
        return tap.Case("exit", "failed", f"exit code {span.code}")
    return None


def judge(span, test, decode, death=""):
    """The cases of one test that ran in the machine; DEATH is the reason if the machine ended meanwhile."""
    # KUnit prints through the kernel log.
    lines = span.output + (span.kernel if span.name == "kunit" else [])
    cases = tap.parse(lines)
    ending = how_it_ended(span, cases)
    if death:
        # Missing results are no news, and its reports are the cause: one failure, not four.
        cases = [case for case in cases if case.name != tap.MISSING]
        cases.append(tap.Case("machine", "failed", death))
    elif ending and (span.timeout or span.ended == "signal"
                     or not any(case.status == "failed" for case in cases)):
        ending.detail += "\n" + "\n".join(span.output[-30:])
        cases.append(ending)
    if test and test.prints and test.prints not in span.output:
        cases.append(tap.Case("output", "failed", f"it did not print: {test.prints}\n" + "\n".join(span.output)))
    if span.name == "load":
        cases += [tap.Case("module", "failed", line) for line in span.output if line.startswith("# error")]
    if span.ended == "exit" and span.code == SKIP_CODE and not cases:
        cases.append(tap.Case("all", "skipped", " ".join(span.output[-1:])))
    if span.name == "kmemleak" and any("unreferenced object" in line for line in span.output):
        leak = klog.Report("kmemleak", span.output[:klog.LONGEST])
        cases.append(tap.Case("kernel log", "failed", f"kmemleak report:\n{decode(leak)}"))
    for report in klog.reports(span.kernel):
        if not klog.is_expected(report, test.expected if test else []):
            cases.append(tap.Case("kernel log", "failed", f"{report.kind} report:\n{decode(report)}"))
    if span.ended == "exit" and span.code == 0 and not cases:
        cases.append(tap.Case("all", "passed"))
    return cases


class Collector:
    """Collects outcomes of parallel runs, writes their files, prints the totals."""

    def __init__(self, manifest):
        self.outcomes = []
        self.boots = []
        self.manifest = manifest
        self.lock = threading.Lock()
        self.skips = expected_skips()

    def add(self, outcome):
        if not outcome.cases:
            outcome.cases.append(tap.Case("all", "failed", "there is no result"))
        check_skips(outcome.place, outcome.name, outcome.cases, self.skips)
        folder = FOLDER / outcome.place
        with self.lock:
            folder.mkdir(parents=True, exist_ok=True)
            self.outcomes.append(outcome)
            (folder / f"{outcome.name}.tap").write_text("\n".join(outcome.output) + "\n")
            (folder / f"{outcome.name}.log").write_text("\n".join(outcome.log) + "\n")
            self.show(outcome)

    @staticmethod
    def show(outcome):
        cost = f"{outcome.seconds:.0f} s"
        if outcome.instructions:
            cost = f"{outcome.instructions / 1e6:,.0f} M instructions, {cost}"
        say(f"  {outcome.place} {outcome.name}: {outcome.count('passed')} passed, "
            f"{outcome.count('failed')} failed, {outcome.count('skipped')} skipped ({cost})")
        for case in outcome.failures():
            detail = "\n".join(f"      {line}" for line in case.detail.splitlines())
            say(f"    FAILED {outcome.place} {outcome.name}.{case.name}\n{detail}\n"
                f"    reproduce: {outcome.reproduce}")

    def write_files(self):
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "manifest.json").write_text(json.dumps(self.manifest, indent=2, default=str) + "\n")
        suites = xml.Element("testsuites")
        for outcome in self.outcomes:
            suite = xml.SubElement(suites, "testsuite", name=f"{outcome.place}/{outcome.name}",
                                   tests=str(len(outcome.cases)), failures=str(outcome.count("failed")),
                                   skipped=str(outcome.count("skipped")), time=f"{outcome.seconds:.1f}")
            for case in outcome.cases:
                element = xml.SubElement(suite, "testcase", name=case.name,
                                         classname=f"{outcome.place}.{outcome.name}")
                # XML has no room for control characters.
                detail = re.sub(r"[^\t\n\x20-\ufffd]", "?", case.detail)
                if case.status == "failed":
                    xml.SubElement(element, "failure", message=outcome.reproduce).text = detail
                elif case.status == "skipped":
                    xml.SubElement(element, "skipped", message=detail)
        xml.ElementTree(suites).write(FOLDER / "junit.xml", encoding="utf-8", xml_declaration=True)

    def finish(self):
        """Writes the files, prints the totals, returns the exit code."""
        self.write_files()
        total = {status: sum(outcome.count(status) for outcome in self.outcomes)
                 for status in ("passed", "failed", "skipped")}
        if total["failed"]:
            say("\nfailures:")
            for outcome in self.outcomes:
                for case in outcome.failures():
                    say(f"  {outcome.place} {outcome.name}.{case.name}\n    reproduce: {outcome.reproduce}")
        say(f"\nresults: {FOLDER}")
        say(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
        return 1 if total["failed"] or not self.outcomes else 0
