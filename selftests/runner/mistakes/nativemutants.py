# SPDX-License-Identifier: GPL-2.0
"""`make mutants` in the tools: the tests that need no VMX run right here, linked with a library that is loaded.

Each mistake is one object of that library, or, in a folder that is not in the library, one of the tests' programs. gcov
tells which lines a test executes; it is asked anew when the sources or the tests change.
"""

import contextlib
import functools
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import tap
from kernels import lab
from mistakes import coverage, mutanttree, mutate
from where import BUILD, ROOT, Failure, environment, jobs, say

FOLDER = BUILD / "mutants/native"
COPIED = ("tools", "uapi")
# As in the module, a function without its last return does not compile, nor does a pointer to another width.
CFLAGS = ("-O2", "-g1", "-fPIC", "-Werror=return-type", "-Werror=incompatible-pointer-types")
# So much longer than without a mistake may a test take, and so many seconds more.
TIMES, MORE = 3, 10
# The harness's children leave by _exit(), which tells gcov nothing.
LEAVING = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

void _exit(int status)
{
	void (*dump)(void) = dlsym(RTLD_DEFAULT, "dump_lines");

	if (dump)
		dump();
	syscall(SYS_exit_group, status);
	for (;;)
		;
}
"""
# In the library, since gcov's own function is hidden in it.
DUMP = "void __gcov_dump(void);\nvoid dump_lines(void);\nvoid dump_lines(void) { __gcov_dump(); }\n"


class Tools(mutanttree.Tree):
    """The sources in COPIED, and in out/ the tests, with the library that they load."""

    def __init__(self, name, *flags):
        super().__init__(FOLDER / name)
        self.flags = flags
        self.out = self.folder / "out"
        self.library = self.out / "watched/libvmx.so"
        self.lock = threading.Lock()

    def make(self, *goals, out=None):
        command = ["make", "--no-print-directory", "-C", self.folder / "tools", f"-j{jobs()}", f"OUT={out or self.out}",
                   f"KSFT_DIR={harness()}", "SHARED=1", f"CFLAGS={' '.join((*CFLAGS, *self.flags))}",
                   *goals]
        result = subprocess.run([str(word) for word in command], env=environment(), stdin=subprocess.DEVNULL,
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode:
            raise Failure(f"{result.stdout}\nreproduce: {' '.join(str(word) for word in command)}")

    def take_sources(self):
        self.update(mutanttree.files_below(*COPIED), lambda name: name.parts[0] in COPIED)

    def make_tests(self):
        self.make(*(self.program(test) for test in tests()))

    def program(self, test):
        return self.out / "tests" / test

    def is_in_library(self, file):
        return (self.library.parent / pathlib.PurePath(file).parts[1]).is_dir()

    def build(self, mutant, chosen, folder):
        """What has the mistake, in FOLDER: the library, or the programs of the CHOSEN tests. False if nothing has.

        What is watched says where it is, so the same object is compared as it is without.
        """
        out = self.out / "plain"
        plain = out / pathlib.Path(mutant.file).relative_to("tools").with_suffix(".o")
        goals = [plain] if mutant.file.endswith(".c") else []
        targets = [self.library] if self.is_in_library(mutant.file) else [self.program(test) for test in chosen]
        if not targets:
            return False
        with self.lock:
            try:
                for goal in goals:
                    self.make(goal, out=out)
                right = [code(goal) for goal in goals]
                self.change(mutant)
                for target in targets:
                    target.unlink()
                self.make(*targets)
                for target in targets:
                    shutil.copy(target, folder)
                for goal in goals:
                    self.make(goal, out=out)
                return not goals or right != [code(goal) for goal in goals]
            except Failure:
                return False
            finally:
                self.restore()
                for goal in goals:
                    goal.unlink(missing_ok=True)


@functools.cache
def harness():
    return lab.source() / "tools/testing/selftests"


def code(library):
    """The library without what describes it to debuggers."""
    with tempfile.NamedTemporaryFile() as bare:
        subprocess.run(["strip", "--strip-debug", "-R", ".note.gnu.build-id", "-o", bare.name, library], check=True)
        return pathlib.Path(bare.name).read_bytes()


def tests():
    return sorted(path.stem for path in (ROOT / "tools/tests").glob("*_test.c"))


def run_test(program, library, limit, **more):
    """(the first failed case or nothing, seconds). The test's files go into a folder that is removed."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen([program], cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, preexec_fn=bound_files, start_new_session=True,
                                   env={**os.environ, "LD_LIBRARY_PATH": str(library.parent), "TMPDIR": folder, **more})
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            return "time limit", limit
        finally:
            end_session(process.pid)
            process.wait()
        output.seek(0)
        cases = tap.parse(output.read().splitlines())
    failed = [case.name for case in cases if case.status == "failed"]
    return failed[0] if failed else f"exit code {status}" if status else "", time.monotonic() - started


def end_session(leader):
    """Kills what is left of a test. Each case is a child in a process group of its own."""
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(int(path.name)) == leader:
                os.kill(int(path.name), signal.SIGKILL)


def bound_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Coverage:
    """Which lines each test executes, and how long it takes."""

    def __init__(self):
        self.path = FOLDER / "coverage.json"
        self.known = {}

    def prepare(self):
        sources = [path for name in COPIED for path in (ROOT / name).rglob("*.[ch]")]
        version = coverage.digest(*sources)
        known = json.loads(self.path.read_text()) if self.path.exists() else {}
        if known.get("version") != version:
            known = {"version": version, **self._collect()}
            self.path.write_text(json.dumps(known))
        self.known = known
        self.lines = {test: {file: set(lines) for file, lines in files.items()}
                      for test, files in known["lines"].items()}
        self.code = {file: set(lines) for file, lines in known["code"].items()}

    def _collect(self):
        say("  which lines the tests of the tools execute")
        tree = Tools("coverage", "--coverage")
        leaving = FOLDER / "leaving.c"
        leaving.write_text(LEAVING)
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", FOLDER / "leaving.so", leaving], check=True)
        tree.take_sources()
        (tree.folder / "tools/lib/dump_lines.c").write_text(DUMP)
        tree.make_tests()
        found = {"lines": {}, "code": {}, "seconds": {}}
        for test in tests():
            with tempfile.TemporaryDirectory() as folder:
                program = tree.program(test)
                # The programs that a test starts are watched as well, and may leak.
                failed, found["seconds"][test] = run_test(
                    program, tree.library, 600, GCOV_PREFIX=folder, ASAN_OPTIONS="detect_leaks=0",
                    LD_PRELOAD=f"{asan()} {FOLDER}/leaving.so")
                if failed:
                    say(f"  {test}.{failed} fails without any mistake: it is left out")
                else:
                    found["lines"][test] = self._lines(tree, pathlib.Path(folder), found["code"])
        return found

    @staticmethod
    def _lines(tree, folder, known):
        """{file: lines that ran}; KNOWN gets all that have code."""
        ran = {}
        for data in (*folder.rglob("watched/*/*.gcda"), *folder.rglob("out/tests/*.gcda")):
            notes = tree.out / data.relative_to(folder / str(tree.out).lstrip("/")).with_suffix(".gcno")
            shutil.copy(notes, data.with_suffix(".gcno"))
            text = subprocess.run(["gcov", "--json-format", "--stdout", data], check=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL).stdout
            for row in (file for line in text.splitlines() for file in json.loads(line)["files"]):
                path = pathlib.PurePath(os.path.normpath(row["file"]))
                if not path.is_relative_to(tree.folder):
                    continue
                name = str(path.relative_to(tree.folder))
                lines = {line["line_number"] for line in row["lines"]}
                known[name] = sorted(lines.union(known.get(name, ())))
                ran.setdefault(name, set()).update(line["line_number"] for line in row["lines"] if line["count"])
        return {name: sorted(lines) for name, lines in ran.items()}

    def has_code(self, file, line):
        """Is it known that a test executes the line?"""
        return any(line in files.get(file, ()) for files in self.lines.values())

    def executes(self, test, file, lines):
        found = self.lines.get(test, {}).get(file, ())
        return not lines and bool(found) or any(line in found for line in lines)


def asan():
    """The sanitizer's library has to come before any that is preloaded."""
    return subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


@functools.cache
def prepared():
    """What the tests execute, and a tree with the tests: once for all areas, and as of then."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    known, tree = Coverage(), Tools("tree")
    known.prepare()
    tree.take_sources()
    tree.make_tests()
    tree.keep()
    return known, tree


class Runner:
    """Like mutants.Runner."""

    def __init__(self, area):
        self.area = area

    def prepare(self):
        self.coverage, self.tree = prepared()

    def sources(self):
        return [path.relative_to(ROOT) for path in sorted((ROOT / "tools").rglob("*.[ch]"))]

    def has_code(self, file, line):
        return self.coverage.has_code(file, line)

    def look_at(self, mutant, number):
        """The verdict; None if the mutant is none."""
        started = time.monotonic()
        folder = FOLDER / f"mutant-{number}"
        folder.mkdir(exist_ok=True)
        try:
            lines = mutate.lines_of(self.has_code, mutant)
            chosen = [test for test in tests() if self.coverage.executes(test, mutant.file, lines)]
            if not self.tree.build(mutant, chosen, folder):
                return None
            seconds = self.coverage.known["seconds"]
            for test in sorted(chosen, key=lambda test: seconds[test]):
                # Each is either in the folder, with the mistake, or as it should be, wherever others build meanwhile.
                program, library = (here if here.exists() else self.tree.right / path.relative_to(self.tree.folder)
                                    for here, path in ((folder / test, self.tree.program(test)),
                                                       (folder / "libvmx.so", self.tree.library)))
                failed, _ = run_test(program, library, TIMES * seconds[test] + MORE)
                if failed:
                    return mutate.Verdict(mutant, f"{test}.{failed}", seconds=time.monotonic() - started)
        finally:
            shutil.rmtree(folder)
        return mutate.Verdict(mutant, seconds=time.monotonic() - started)
