# SPDX-License-Identifier: GPL-2.0
"""Which lines of the module each test executes, on each CPU model: for `make mutants`.

A build of the module with VMX_COVERAGE=1 tells which blocks of its code ran (selftests/modules/coverage.c). The
answers stay in build/mutants, with the sources that they are about: lines that are still the same are looked up
there, and a test runs again only if it has changed.
"""

import bisect
import dataclasses
import difflib
import functools
import hashlib
import itertools
import json
import pathlib
import re
import shutil

import suite
from kernels import module
from machines import machine
from where import BUILD, ROOT, output, say

FOLDER = BUILD / "mutants/coverage"
SPAN = 1 << 20
HOOK = "__sanitizer_cov_trace_pc"
# Instructions of a test that are looked at: what it does after that, it has mostly done before.
LIMIT = 300_000_000
# So many lines may be unknown, since they are new, before all tests run again.
NEW_MAX = 4000


class Silent:
    """In place of results.Collector: keeps outcomes, and says nothing."""

    def __init__(self):
        self.manifest, self.boots, self.outcomes = {}, [], []

    def add(self, outcome):
        self.outcomes.append(outcome)


class Code:
    """The blocks of a module that was built to tell."""

    def __init__(self, folder):
        self.blocks = {}     # {section: [(where the hook's call returns to, {(file, line)})]}
        # Lines of functions without a hook: nothing tells whether they ran.
        self.silent = set()
        blocks, place, hooked, function = [], None, False, set()
        for line in output("objdump", "-dlr", "--no-show-raw-insn", folder / "vmx.ko").splitlines():
            section = re.match(r"Disassembly of section (.*):", line)
            where = re.match(r"(/\S+?):(\d+)(?: \(|$)", line)
            code = re.match(r"\s*([0-9a-f]+):\t", line)
            if section:
                blocks = self.blocks.setdefault(section.group(1), [])
            elif re.match(r"[0-9a-f]+ <.*>:$", line):
                self.silent |= function
                function, hooked = set(), False
            elif where:
                place = self._place(folder, where.group(1), int(where.group(2)))
            elif f"\t{HOOK}" in line:
                # "ADDRESS: R_X86_64_PLT32 HOOK-0x4": the call ends four bytes on.
                blocks.append((int(line.split(":")[0], 16) + 4, set()))
                hooked, function = True, set()
            elif code and place and hooked:
                blocks[-1][1].add(place)
            elif code and place:
                function.add(place)
        self.silent |= function

    @staticmethod
    def _place(folder, path, line):
        path = pathlib.PurePath(path)
        parts = path.relative_to(folder) if path.is_relative_to(folder) else None
        return (str(parts), line) if parts and ".." not in parts.parts else None

    def lines(self, ran, bases):
        """{file: [lines]} of what RAN, the addresses that the module told, when its sections lay at BASES."""
        found = {}
        for section, blocks in self.blocks.items():
            for address, places in blocks:
                if section in bases and (bases[section] + address) % SPAN in ran:
                    for file, line in places:
                        found.setdefault(file, set()).add(line)
        return {file: sorted(lines) for file, lines in found.items()}


def digest(*paths):
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def version(test):
    """Changes when the test does."""
    if test.name == "kunit":
        return digest(*(suite.FOLDER / "kunit").glob("*.[ch]"))
    return digest(*filter(None, [suite.programs().get(test.name)]))


class Coverage:
    """What the tests execute, by CPU model. FOLDER/sources has the module's files as of then."""

    def __init__(self, make_setup, tests_of):
        """TESTS_OF(cpu): tests that may be asked about."""
        self.make_setup = make_setup
        self.tests_of = tests_of
        self.known = {}          # {cpu: {test: {"version", "instructions", "lines"}}}
        self.moved = {}          # {file: [(first line then, first line now, count)]}
        self.folder = None

    def prepare(self, cpus):
        """Runs what has to run for these CPU models."""
        if (FOLDER / "sources").exists() and self._new_lines() > NEW_MAX:
            shutil.rmtree(FOLDER)
            Coverage._name_then.cache_clear()
        for cpu in cpus:
            path = FOLDER / f"{cpu}.json"
            known = json.loads(path.read_text()) if path.exists() else {}
            tests = [test for test in self.tests_of(cpu)
                     if known.get(test.name, {}).get("version") != version(test)]
            if tests:
                self._collect(cpu, tests, known)
                path.write_text(json.dumps(known))
            self.known[cpu] = known
        self.silent = {tuple(place) for place in json.loads((FOLDER / "silent.json").read_text())}
        for file in module.sources():
            self.moved[str(file)] = self._moved(file)

    def _new_lines(self):
        count = 0
        for file in module.sources():
            if file.parts[0] != "selftests":
                count += len((ROOT / file).read_text().split("\n")) - sum(size for *_, size in self._moved(file))
        return count

    def _moved(self, file):
        then = FOLDER / "sources" / self._name_then(file)
        old = then.read_text().split("\n") if then.is_file() else []
        new = (ROOT / file).read_text().split("\n")
        if old == new:
            return [(0, 0, len(new))]
        return difflib.SequenceMatcher(None, old, new, False).get_matching_blocks()

    @functools.cache
    def _name_then(self, file):
        """What the file was called: it is the one with most of its lines, if that is more than half of them."""
        if (FOLDER / "sources" / file).is_file():
            return str(file)
        lines = set((ROOT / file).read_text().split("\n"))
        old = [path.relative_to(FOLDER / "sources") for path in (FOLDER / "sources").rglob(f"*{file.suffix}")]
        alike = {str(name): len(lines & set((FOLDER / "sources" / name).read_text().split("\n")))
                 for name in old if not (ROOT / name).exists()}
        best = max(alike, key=alike.get, default="")
        return best if best and alike[best] > len(lines) / 2 else ""

    def _line_then(self, file, line):
        for old, new, size in self.moved[file]:
            if new < line <= new + size:
                return line - new + old
        return 0

    def _collect(self, cpu, tests, known):
        """Has the tests run, for a while, in a module that tells. Their verdicts do not count."""
        say(f"  which lines {len(tests)} tests execute on {cpu}")
        for smp in sorted({test.cpus for test in tests}):
            setup = self.make_setup(cpu, smp)
            setup.built = self._build(setup)
            code = Code(setup.built[0])
            (FOLDER / "silent.json").write_text(json.dumps(sorted(code.silent)))
            ran, facts = {}, {}

            def listener(span, mark, text):
                word, _, rest = text.partition(" ")
                if mark == "@" and word == "ran":
                    name, _, addresses = rest.partition(" ")
                    ran.setdefault(name, set()).update(itertools.accumulate(int(n, 16) for n in addresses.split()))
                elif mark == "@" and word == "fact":
                    name, _, address = rest.partition(" ")
                    facts[name] = int(address, 16)

            some = [test for test in tests if test.cpus == smp]
            collector = Silent()
            machine.run_alike(setup, [dataclasses.replace(test, limit=LIMIT) for test in some],
                              suite.binaries(some), collector, listener, {"TRACE": 0})
            bases = {name.removeprefix("vmx:"): address for name, address in facts.items() if name.startswith("vmx:")}
            for outcome in collector.outcomes:
                test = next((test for test in some if test.name == outcome.name), None)
                if test:
                    known[test.name] = {"version": version(test), "instructions": outcome.instructions,
                                        "lines": code.lines(ran.get(test.name, ()), bases)}

    @staticmethod
    def _build(setup):
        folder = FOLDER / "sources"
        if not folder.exists():
            folder.mkdir(parents=True)
            for file in module.sources():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, folder / file)
        module.make(setup.kernel.kdir, folder, ["VMX_COVERAGE=1"])
        return folder, module.built(folder)

    def instructions(self, cpu, test):
        """What the test takes, LIMIT or more if that is not known."""
        return self.known[cpu].get(test.name, {}).get("instructions", 0)

    def executes(self, cpu, test, file, lines):
        """Does TEST execute one of these lines? With no lines: any of the file."""
        found = self.known[cpu].get(test.name, {}).get("lines", {}).get(self._name_then(pathlib.PurePath(file)), ())
        return not lines and bool(found) or any(self._is_in(found, self._line_then(file, line)) for line in lines)

    @staticmethod
    def _is_in(found, line):
        at = bisect.bisect_left(found, line)
        return at < len(found) and found[at] == line

    @functools.cache
    def has_code(self, cpu, file, line):
        """Is it known that the line ran, or that nothing tells whether it did?"""
        return (any(self.executes(cpu, test, file, [line]) for test in self.tests_of(cpu))
                or (self._name_then(pathlib.PurePath(file)), self._line_then(file, line)) in self.silent)
