# SPDX-License-Identifier: GPL-2.0
"""`make mutants`: mistakes by rule in the module, one at a time, in lines that the tests execute. Which are noticed?

Each is built in build/mutants/tree. Machines then run the tests that execute its line, until one fails: those of its
area on each CPU model, others, those that need the module's ledgers, guests that boot Linux. No machine boots for it:
see branches.py.
"""

import concurrent.futures
import dataclasses
import datetime
import fnmatch
import functools
import json
import os
import shutil
import threading
import time

import check
import suite
import tap
from kernels import module
from machines import machine
from mistakes import branches, coverage, mutanttree, mutate, nativemutants
from where import BUILD, ROOT, Failure, jobs, output, say

FOLDER = BUILD / "mutants"
TREE = FOLDER / "tree"
LAST = FOLDER / "last.json"
KERNEL = "fast"
# A mistake in a loop may cost as much, in place of a test's own limit.
PATIENCE = 200_000_000
# Instructions of tests that one mistake may take, on all CPU models together, without LIMIT=. AGAIN=1 has no limit.
ENOUGH = "8G"


@dataclasses.dataclass
class Area:
    name: str
    files: list
    cpus: list
    tests: list
    ledgers: list
    native: bool

    def holds(self, file):
        return any(fnmatch.fnmatch(file, pattern) for pattern in self.files) and not mutate.in_no_area(file)


def areas():
    """By name; CPUS= leaves models out."""
    wanted = os.environ.get("CPUS", "").replace(",", " ").split()
    return {name: Area(name, row["files"], [cpu for cpu in row.get("cpus", ()) if not wanted or cpu in wanted],
                       row.get("tests", []), row.get("ledgers", []), row.get("native", False))
            for name, row in mutate.table()["area"].items()}


def first_failure(trunk, modules, tests):
    """(the case that fails first, or nothing, what it said)"""
    outcomes = branches.outcomes(trunk, modules, tests)
    # That results are missing says least.
    failures = sorted(outcomes[-1].failures() if outcomes else (), key=lambda case: case.name == tap.MISSING)
    if failures:
        return f"{outcomes[-1].name}.{failures[0].name}", failures[0].detail
    ran = {outcome.name for outcome in outcomes}
    return "" if {test.name for test in tests} <= ran else "machine", ""


class Runner:
    def __init__(self, make_setup, area, trunks, builds):
        self.area, self.trunks, self.builds = area, trunks, builds
        self.coverage = coverage.Coverage(make_setup, self.tests_of)
        self.good = {}
        limit = suite.instructions("LIMIT", os.environ.get("LIMIT") or ENOUGH)
        self.limit = float("inf") if os.environ.get("AGAIN") else limit

    def prepare(self):
        self.coverage.prepare(self.area.cpus)

    @staticmethod
    @functools.cache
    def tests_of(cpu):
        left_out = check.NOT_BY_DEFAULT[KERNEL] + ("python", "vmx-demo", "linux-demo")
        return [test for test in suite.choose(os.environ.get("T") or "*") if test.fits(KERNEL, cpu) and not test.ends
                and not test.ledgers and test.memory == 512 and test.name not in left_out]

    @staticmethod
    def with_ledgers(cpu):
        return [test for test in suite.everything() if test.ledgers and test.fits(KERNEL, cpu)]

    @staticmethod
    def sources():
        return module.sources()

    def has_code(self, file, line):
        return any(self.coverage.has_code(cpu, file, line) for cpu in self.area.cpus)

    def chosen(self, cpu, mutant, lines):
        """Tests that execute the mistake: the area's, then others; first those that take little time."""
        tests = [test for test in self.tests_of(cpu) if self.coverage.executes(cpu, test, mutant.file, lines)
                 or self.has_its_own(test, mutant.file)]

        def rank(test):
            return not self.is_mine(test), self.coverage.instructions(cpu, test)

        return [self.limited(cpu, test) for test in sorted(tests, key=rank)]

    @staticmethod
    def has_its_own(test, file):
        """KUnit's module has the headers' functions as well, and does not tell what it executes of them."""
        return test.name == "kunit" and file.endswith(".h")

    def limited(self, cpu, test):
        took = self.coverage.instructions(cpu, test)
        limit = 3 * took + PATIENCE if took < coverage.LIMIT else test.limit
        return dataclasses.replace(test, limit=min(test.limit, limit))

    def stages(self, mutant):
        """(build, CPU model, CPUs, tests) of the machines that look for a mistake, one after the other."""
        lines, late = mutate.lines_of(self.has_code, mutant), []
        for cpu in self.area.cpus:
            tests = self.chosen(cpu, mutant, lines)
            mine = [test for test in tests if self.is_mine(test)]
            guests = [test for test in tests if test.name.startswith("linux")]
            yield from self.by_cpus("plain", cpu, mine)
            late.append((0, "plain", cpu, [test for test in tests if test not in mine + guests]))
            late.append((2, "plain", cpu, guests))
            if cpu in self.area.cpus[:2]:
                more = [test for test in self.with_ledgers(cpu) if test.name.removesuffix("_test") in self.area.ledgers]
                late.append((1, "ledgers", cpu, more + mine))
        for _, build, cpu, tests in sorted(late, key=lambda stage: stage[0]):
            yield from self.by_cpus(build, cpu, tests)

    @staticmethod
    def by_cpus(build, cpu, tests):
        for smp in sorted({test.cpus for test in tests}):
            yield build, cpu, smp, [test for test in tests if test.cpus == smp]

    def is_mine(self, test):
        return test.name.removesuffix("_test") in self.area.tests

    def is_good(self, build, cpu, smp, test):
        """Does the test pass without a mistake? It is asked once."""
        key = (build, cpu, smp, test.name)
        if key not in self.good:
            failed, why = first_failure(self.trunks.get(cpu, smp), self.builds[build].prepare(), [test])
            self.good[key] = not failed
            if failed:
                say(f"  {failed} fails on {cpu} without any mistake, so it is left out: {why}")
        return self.good[key]

    def affordable(self, cpu, tests, purse):
        """Those of TESTS that PURSE, a list of one number of instructions, has room for."""
        for test in tests:
            purse[0] -= self.coverage.instructions(cpu, test) or coverage.LIMIT
            if purse[0] >= 0:
                yield test

    def look_at(self, mutant, number):
        """The verdict; None if the mutant is none."""
        verdict, started = mutate.Verdict(mutant), time.monotonic()
        folder = FOLDER / f"mutant-{number}"
        modules, purse = {}, [self.limit]
        try:
            for build, cpu, smp, known in self.stages(mutant):
                known = [test for test in known if self.good.get((build, cpu, smp, test.name), True)]
                tests = list(self.affordable(cpu, known, purse))
                verdict.not_asked += len(known) - len(tests)
                if tests and build not in modules:
                    modules[build] = self.builds[build].build(mutant, folder / build)
                    if not modules[build]:
                        return None
                while tests:
                    failed, _ = first_failure(self.trunks.get(cpu, smp), modules[build], tests)
                    name = failed.split(".")[0]
                    test = next((test for test in tests if test.name == name), None)
                    if failed and (not test or self.is_good(build, cpu, smp, test)):
                        verdict.by = f"{failed} on {cpu}{' with ledgers' if build == 'ledgers' else ''}"
                        return verdict
                    # What comes after it was not asked.
                    tests = tests[tests.index(test) + 1:] if test else []
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            verdict.seconds = time.monotonic() - started
        return verdict


def candidates(runner, since):
    changed = changed_lines(since) if since else None
    for path in runner.sources():
        file = str(path)
        if not runner.area.holds(file):
            continue
        text = (ROOT / path).read_text()
        codes = mutate.blank(text).split("\n")

        def may_change(line, code):
            if changed is not None and line not in changed.get(file, ()):
                return False
            return (file.endswith(".S") or mutate.without_code(code)
                    or bool(mutate.statement(runner.has_code, file, codes, line)))

        yield from mutate.of_file(file, text, may_change)


def changed_lines(since):
    found, file = {}, None
    for line in output("git", "-C", ROOT, "diff", "-U0", since).splitlines():
        if line.startswith("+++ b/"):
            file = line[6:]
        elif line.startswith("@@"):
            begin, _, count = line.split("+")[1].split(" ")[0].partition(",")
            found.setdefault(file, set()).update(range(int(begin), int(begin) + int(count or 1)))
    return found


def chosen_mutants(runner, seed, since, again):
    if not again:
        return mutate.in_order(list(candidates(runner, since)), seed)
    area = runner.area
    last = [mutate.Mutant(row["file"], row["line"], row["rule"], tuple(row["old"]), tuple(row["new"]))
            for row in json.loads(LAST.read_text()) if row["area"] == area.name and not row["by"]]
    return [found for found in map(found_again, last) if found]


def found_again(mutant):
    """The same mistake where its line is now."""
    lines = (ROOT / mutant.file).read_text().split("\n")
    size = len(mutant.old)
    places = [at + 1 for at in range(len(lines)) if tuple(lines[at:at + size]) == mutant.old]
    return dataclasses.replace(mutant, line=min(places, key=lambda at: abs(at - mutant.line))) if places else None


class Round:
    """COUNT mutants of an area, some at a time."""

    def __init__(self, runner, mutants, count):
        self.runner, self.count = runner, count
        self.mutants = iter(mutants)
        self.rows = mutate.excluded()
        self.verdicts, self.left_out = [], []
        self.none = 0
        self.lock = threading.Lock()
        self.under_way = 0
        self.number = 0

    def take(self):
        with self.lock:
            while len(self.verdicts) + self.under_way < self.count:
                mutant = next(self.mutants, None)
                if mutant is None:
                    return None
                row = mutant.excluded_by(self.rows)
                if row:
                    self.left_out.append(row)
                    continue
                self.under_way += 1
                self.number += 1
                return mutant, self.number
        return None

    def work(self):
        while True:
            with self.lock:
                full = len(self.verdicts) >= self.count
            found = self.take()
            if not found:
                if full or not self.under_way:
                    return
                # One that another worker has may turn out to be none.
                time.sleep(1)
                continue
            try:
                verdict = self.runner.look_at(*found)
            finally:
                with self.lock:
                    self.under_way -= 1
            with self.lock:
                if verdict is None:
                    self.none += 1
                else:
                    self.verdicts.append(verdict)
                    remember(self.runner.area, self.verdicts)
                    say(f"{len(self.verdicts):3} {verdict.mutant}\n      {verdict.outcome()} ({verdict.seconds:.0f} s)")

    def run(self):
        workers = min(jobs(), machine.AT_A_TIME) + 1
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self.work) for _ in range(workers)]
            try:
                for future in futures:
                    future.result()
            except (KeyboardInterrupt, SystemExit) as reason:
                pool.shutdown(wait=False, cancel_futures=True)
                machine.Boot.stop_all()
                os._exit(getattr(reason, "code", 130))


def summary(area, seed, work):
    noticed = [verdict for verdict in work.verdicts if verdict.by]
    ledgers = [verdict for verdict in noticed if verdict.by.endswith("ledgers")]
    kinds = {kind: sum(row["kind"] == kind for row in work.left_out) for kind in ("emulator", "nothing")}
    total = len(work.verdicts)
    say(f"{area.name}: {len(noticed)} of {total} noticed ({len(noticed) / max(total, 1):.2f}), "
        f"{len(ledgers)} of them by ledgers alone; SEED={seed}, {datetime.date.today()}\n"
        f"  not counted: {kinds['emulator']} that no emulator shows and {kinds['nothing']} that change nothing, by the "
        f"list; {work.none} that did not compile or changed no code\n"
        f"  repeat: make mutants AREA={area.name} COUNT={work.count} SEED={seed}")


def remember(area, verdicts):
    rows = [row for row in (json.loads(LAST.read_text()) if LAST.exists() else []) if row["area"] != area.name]
    rows += [{"area": area.name, **dataclasses.asdict(verdict.mutant), "by": verdict.by} for verdict in verdicts]
    LAST.write_text(json.dumps(rows, indent=1))


def run(make_setup, seed):
    known = areas()
    wanted = (os.environ.get("AREA") or ",".join(known)).split(",")
    count = int(os.environ.get("COUNT") or 20)
    unknown = set(wanted) - set(known)
    if unknown:
        raise Failure(f"AREA={','.join(unknown)}: unknown area; give some of {','.join(known)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    runners = make_runners(make_setup, {name: known[name] for name in wanted})
    for runner in runners:
        runner.prepare()
    for runner in runners:
        mutants = chosen_mutants(runner, seed, os.environ.get("SINCE"), os.environ.get("AGAIN"))
        say(f"\n{runner.area.name}: SEED={seed}")
        work = Round(runner, mutants, count)
        work.run()
        summary(runner.area, seed, work)
    machine.Boot.stop_all()
    return 0


def make_runners(make_setup, chosen):
    if all(area.native for area in chosen.values()):
        return [nativemutants.Runner(area) for area in chosen.values()]
    kdir = make_setup("haswell", 1).kernel.kdir
    builds = {build: mutanttree.Module(TREE, kdir, build) for build in ("plain", "ledgers")}
    trunks = branches.Trunks(make_setup, builds["plain"].prepare, lambda cpu, smp: [
        test for test in Runner.tests_of(cpu) + Runner.with_ledgers(cpu) if test.cpus == smp])
    return [nativemutants.Runner(area) if area.native else Runner(make_setup, area, trunks, builds)
            for area in chosen.values()]
