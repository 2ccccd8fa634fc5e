# SPDX-License-Identifier: GPL-2.0
"""`make mutants`: mistakes by rule in the module, one at a time, in lines that the tests execute. Which are noticed?

Each is built in build/mutants/tree. A machine then runs the tests that execute its line, those of its area first,
until one fails. CPU model after CPU model, and at last with the module's ledgers.
"""

import concurrent.futures
import dataclasses
import datetime
import fnmatch
import functools
import hashlib
import json
import os
import shutil
import subprocess
import threading
import time

import check
import coverage
import machine
import module
import mutate
import results
import suite
import tap
from where import BUILD, ROOT, Failure, jobs, output, say

FOLDER = BUILD / "mutants"
TREE = FOLDER / "tree"
LAST = FOLDER / "last.json"
KERNEL = "fast"
# A mistake in a loop may cost as much, in place of a test's own limit.
PATIENCE = 600_000_000
# Seconds of the emulator without a word: no test that runs here needs as long.
SILENCE = 40


@dataclasses.dataclass
class Area:
    name: str
    files: list
    cpus: list
    tests: list
    ledgers: list

    def holds(self, file):
        return any(fnmatch.fnmatch(file, pattern) for pattern in self.files)


@dataclasses.dataclass
class Verdict:
    mutant: mutate.Mutant
    by: str = ""           # the test that noticed, and where; or nothing
    seconds: float = 0


def areas():
    """By name; CPUS= leaves models out."""
    wanted = os.environ.get("CPUS", "").replace(",", " ").split()
    return {name: Area(name, row["files"], [cpu for cpu in row["cpus"] if not wanted or cpu in wanted], row["tests"],
                       row.get("ledgers", []))
            for name, row in mutate.table()["area"].items()}


class Builder:
    """Builds the module with one mistake at a time."""

    def __init__(self, kdir):
        self.kdir = kdir
        self.lock = threading.Lock()
        self.right = {}

    def prepare(self, name):
        """The module without a mistake, in FOLDER/right; made when it is needed first."""
        folder = FOLDER / "right" / name
        with self.lock:
            if name not in self.right:
                self._copy(TREE / name)
                self._make(name)
                self.right[name] = self._code(name)
                self._keep(name, folder)
        return folder

    @staticmethod
    def _keep(name, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for built in module.built(TREE / name):
            shutil.copy(built, folder)

    @staticmethod
    def _copy(folder):
        """Files that are the same keep their dates, so that little is compiled again."""
        wanted = set(module.sources())
        for path in folder.rglob("*"):
            if path.suffix in module.SUFFIXES and path.relative_to(folder) not in wanted and "mod.c" not in path.name:
                path.unlink()
        for file in wanted:
            target = folder / file
            text = (ROOT / file).read_bytes()
            if not target.exists() or target.read_bytes() != text:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text)

    def _make(self, name):
        module.make(self.kdir, TREE / name, ["VMX_DEBUG=1"] * (name == "ledgers"))

    @staticmethod
    def _code(name):
        """A digest of the modules without what describes them to debuggers."""
        found = hashlib.sha256()
        for path in module.built(TREE / name):
            bare = FOLDER / f"{name}.bare"
            subprocess.run(["strip", "--strip-debug", "-R", ".note.gnu.build-id", "-o", bare, path], check=True)
            found.update(bare.read_bytes())
        return found.digest()

    def build(self, mutant, name, folder):
        """Builds with the mistake and copies the modules to FOLDER. False if it changes no code, or does not build."""
        self.prepare(name)
        path = TREE / name / mutant.file
        with self.lock:
            right = path.read_text()
            path.write_text(mutant.apply(right))
            try:
                self._make(name)
                if self._code(name) == self.right[name]:
                    return False
                self._keep(name, folder)
                return True
            except Failure:
                return False
            finally:
                path.write_text(right)


class Noticed(Exception):
    """A test failed: its name and the case."""


class Look:
    """A machine's listener: ends it with the first test that fails."""

    def __init__(self):
        self.boot = None
        self.judged = set()
        self.skips = results.expected_skips()

    def __call__(self, span, mark, text):
        if mark == "@" and text.startswith("begin "):
            self.judge(self.boot.session.spans[:-1])

    def judge(self, spans):
        for span in spans:
            if id(span) in self.judged:
                continue
            self.judged.add(id(span))
            outcome = self.boot.outcome(span)
            results.check_skips(outcome.place, outcome.name, outcome.cases, self.skips)
            # That results are missing says least.
            failures = sorted(outcome.failures(), key=lambda case: case.name == tap.MISSING)
            if failures:
                raise Noticed(f"{outcome.name}.{failures[0].name}")


# Machines at a time. Meanwhile the next mistake is built.
MACHINES = threading.Semaphore(min(jobs(), check.MACHINES))


def first_failure(setup, tests):
    """The case that fails first, or nothing."""
    look = Look()
    plan = {"MODE": "tests", "MODULES": "vmx", "TRACE": 0}
    with MACHINES, machine.Boot(setup, plan, tests, suite.binaries(tests), look) as boot:
        look.boot = boot
        boot.silence = SILENCE
        # To name addresses takes longer than the test.
        boot.decode = str
        try:
            boot.follow()
            look.judge(boot.session.spans or [boot.session.boot])
        except Noticed as noticed:
            return str(noticed)
    ran = {span.name for span in boot.session.spans}
    return "" if {test.name for test in tests} <= ran else "machine"


class Runner:
    def __init__(self, make_setup, area):
        self.make_setup = make_setup
        self.area = area
        self.coverage = coverage.Coverage(make_setup, self.tests_of)
        self.good = {}

    @staticmethod
    @functools.cache
    def tests_of(cpu):
        left_out = check.NOT_BY_DEFAULT[KERNEL] + ("python", "vmx-demo", "linux-demo")
        return [test for test in suite.choose(os.environ.get("T") or "*") if test.fits(KERNEL, cpu) and not test.ends
                and not test.ledgers and test.memory == 512 and test.name not in left_out]

    def lines(self, mutant):
        """The lines that a test has to execute; none if no instruction belongs to them."""
        codes = mutate.blank((ROOT / mutant.file).read_text()).split("\n")
        return statement(self.coverage, self.area.cpus, mutant.file, codes, mutant.line)

    def chosen(self, cpu, mutant, lines):
        """Tests that execute the mistake: the area's, then others; first those that take little time."""
        tests = [test for test in self.tests_of(cpu) if self.coverage.executes(cpu, test, mutant.file, lines)]

        def rank(test):
            mine = test.name.removesuffix("_test") in self.area.tests
            return test.name.startswith("linux"), not mine, self.coverage.instructions(cpu, test)

        return [self.limited(cpu, test) for test in sorted(tests, key=rank)]

    def limited(self, cpu, test):
        took = self.coverage.instructions(cpu, test)
        limit = 3 * took + PATIENCE if took < coverage.LIMIT else test.limit
        return dataclasses.replace(test, limit=min(test.limit, limit))

    def boots(self, mutant):
        """(build, CPU model, CPUs, tests) of the machines that look for a mistake, one after the other."""
        lines = self.lines(mutant)
        late = []
        for cpu in self.area.cpus:
            tests = self.chosen(cpu, mutant, lines)
            for smp in sorted({test.cpus for test in tests}):
                some = [test for test in tests if test.cpus == smp]
                slow = [test for test in some if test.name.startswith("linux")]
                yield "plain", cpu, smp, [test for test in some if test not in slow]
                late.append(("plain", cpu, smp, slow))
        for cpu in self.area.cpus[:2]:
            tests = [test for test in self.chosen(cpu, mutant, lines) if test.name.removesuffix("_test") in
                     self.area.tests and not test.name.startswith("linux")]
            more = [test for test in suite.everything() if test.ledgers and test.fits(KERNEL, cpu)
                    and test.name.removesuffix("_test") in self.area.ledgers]
            for smp in sorted({test.cpus for test in tests + more}):
                late.append(("ledgers", cpu, smp, [test for test in more + tests if test.cpus == smp]))
        yield from late

    def setup(self, cpu, smp, folder):
        setup = self.make_setup(cpu, smp)
        setup.built = (folder, module.built(folder))
        return setup

    def is_good(self, builder, build, cpu, smp, test):
        """Does the test pass without a mistake? It is asked once."""
        key = (build, cpu, smp, test.name)
        if key not in self.good:
            self.good[key] = not first_failure(self.setup(cpu, smp, builder.prepare(build)), [test])
            if not self.good[key]:
                say(f"  {test.name} fails on {cpu} without any mistake: it is left out")
        return self.good[key]

    def look_at(self, builder, mutant, number):
        """The verdict; None if the mutant is none."""
        started = time.monotonic()
        folders = {}
        try:
            for build, cpu, smp, tests in self.boots(mutant):
                tests = [test for test in tests if self.good.get((build, cpu, smp, test.name), True)]
                if build not in folders:
                    folders[build] = FOLDER / f"mutant-{number}/{build}"
                    if not builder.build(mutant, build, folders[build]):
                        return None
                while tests:
                    failed = first_failure(self.setup(cpu, smp, folders[build]), tests)
                    name = failed.split(".")[0]
                    test = next((test for test in tests if test.name == name), None)
                    if failed and (not test or self.is_good(builder, build, cpu, smp, test)):
                        with_ledgers = " with ledgers" if build == "ledgers" else ""
                        return Verdict(mutant, f"{failed} on {cpu}{with_ledgers}", time.monotonic() - started)
                    # What comes after it was not asked.
                    tests = tests[tests.index(test) + 1:] if test else []
        finally:
            shutil.rmtree(FOLDER / f"mutant-{number}", ignore_errors=True)
        return Verdict(mutant, "", time.monotonic() - started)


def statement(known, cpus, file, codes, line):
    """LINE; or the line of its statement that instructions belong to; or none, for tables and definitions."""
    for at in range(line, max(line - 12, 0), -1):
        if any(known.has_code(cpu, file, at) for cpu in cpus):
            return [at]
        if at != line and (not codes[at - 1].strip() or codes[at - 1].rstrip()[-1] in ";{}"):
            break
    return []


def candidates(area, known, since):
    changed = changed_lines(since) if since else None
    for path in module.sources():
        file = str(path)
        if not area.holds(file):
            continue
        text = (ROOT / path).read_text()
        codes = mutate.blank(text).split("\n")

        def may_change(line, code):
            if changed is not None and line not in changed.get(file, ()):
                return False
            return (file.endswith(".S") or mutate.without_code(code)
                    or bool(statement(known, area.cpus, file, codes, line)))

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


def chosen_mutants(area, known, seed, since, again):
    if not again:
        return mutate.in_order(list(candidates(area, known, since)), seed)
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

    def __init__(self, runner, builder, mutants, count):
        self.runner, self.builder, self.count = runner, builder, count
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
                verdict = self.runner.look_at(self.builder, *found)
            finally:
                with self.lock:
                    self.under_way -= 1
            with self.lock:
                if verdict is None:
                    self.none += 1
                else:
                    self.verdicts.append(verdict)
                    remember(self.runner.area, self.verdicts)
                    say(f"{len(self.verdicts):3} {verdict.mutant}\n      "
                        f"{'noticed by ' + verdict.by if verdict.by else 'SURVIVED'} ({verdict.seconds:.0f} s)")

    def run(self):
        workers = min(jobs(), check.MACHINES) + 1
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
    runners = {name: Runner(make_setup, known[name]) for name in wanted}
    for runner in runners.values():
        runner.coverage.prepare(runner.area.cpus)
    builder = Builder(make_setup("haswell", 1).kernel.kdir)
    for name, runner in runners.items():
        mutants = chosen_mutants(runner.area, runner.coverage, seed, os.environ.get("SINCE"), os.environ.get("AGAIN"))
        say(f"\n{name}: SEED={seed}")
        work = Round(runner, builder, mutants, count)
        work.run()
        summary(runner.area, seed, work)
    return 0
