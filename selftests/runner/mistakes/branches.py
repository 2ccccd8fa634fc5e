# SPDX-License-Identifier: GPL-2.0
"""Machines that need not boot: copies of one that has booted, each with modules and tests of its own.

A trunk boots once for a CPU model and a number of CPUs, and stands still before it loads the module. A branch is a
copy of the emulator's process, so no branch notices what another did to its kernel.
"""

import concurrent.futures
import dataclasses
import threading

import results
import suite
from machines import bochs, image, machine
from where import Failure, jobs

# Machines at a time. Meanwhile the next module is built.
MACHINES = threading.Semaphore(min(jobs(), machine.AT_A_TIME))
# Seconds of the emulator without a word: no test that runs here needs as long.
SILENCE = 40


class _AtTheDoor(Exception):
    pass


def _listen(_, mark, text):
    if mark == "@" and text == "door":
        raise _AtTheDoor


class Trunks:
    """Each boots when it is needed first; TESTS_OF(cpu, smp) are those that its branches may run.

    MODULES(): the module without a mistake, which is in the image, and is not loaded.
    """

    def __init__(self, make_setup, modules, tests_of):
        self.make_setup, self.modules, self.tests_of = make_setup, modules, tests_of
        self.lock = threading.Lock()
        self.known = {}
        # A machine dies with the thread that started it.
        self.starter = concurrent.futures.ThreadPoolExecutor(1)

    def get(self, cpu, smp):
        with self.lock:
            if (cpu, smp) not in self.known:
                self.known[cpu, smp] = self.starter.submit(self._boot, cpu, smp)
        return self.known[cpu, smp].result()

    def _boot(self, cpu, smp):
        setup = dataclasses.replace(self.make_setup(cpu, smp), backend=bochs.Trunk, built=(None, self.modules()))
        tests = self.tests_of(cpu, smp)
        boot = machine.Boot(setup, {"MODE": "tests", "MODULES": "vmx", "TRACE": 0, "DOOR": 1}, tests,
                            suite.binaries(tests), _listen)
        boot.__enter__()
        try:
            boot.follow()
        except _AtTheDoor:
            boot.machine.stand_still()
            return boot
        raise Failure(f"{setup.place} does not boot: {boot.cause}")


class Branch(machine.Boot):
    """A copy of TRUNK that loads MODULES, which nothing describes to debuggers, and runs TESTS."""

    def __init__(self, trunk, modules, tests, listener):
        self.trunk = trunk
        super().__init__(dataclasses.replace(trunk.setup, built=(None, modules)), {}, tests, listener=listener)

    def prepare(self, *_):
        image.task(self.folder / "task", self.setup.kernel, self.modules, self.lines)
        return bochs.Copy(self.trunk.machine, self.folder)


class _Over(Exception):
    pass


class _Look:
    """A branch's listener: keeps the outcomes, and ends it with the first test that fails, or the last."""

    def __init__(self):
        self.boot = None
        self.outcomes = []
        self.judged = set()
        self.skips = results.expected_skips()

    def __call__(self, span, mark, text):
        if mark == "@" and text.startswith("begin "):
            self.judge(self.boot.session.spans[:-1])
        elif mark == "@" and text == "done":
            self.boot.cause = "power-off"
            self.judge(self.boot.session.spans)
            raise _Over

    def judge(self, spans):
        for span in spans:
            if id(span) in self.judged:
                continue
            self.judged.add(id(span))
            outcome = self.boot.outcome(span)
            if outcome.cases:
                results.check_skips(outcome.place, outcome.name, outcome.cases, self.skips)
            self.outcomes.append(outcome)
            if outcome.failures():
                raise _Over


def outcomes(trunk, modules, tests):
    """Those of TESTS up to the first that fails. What is before the first test, like "load", has outcomes, too."""
    look = _Look()
    with MACHINES, Branch(trunk, modules, tests, look) as boot:
        look.boot = boot
        boot.silence = SILENCE
        # To name addresses takes longer than the test.
        boot.decode = str
        try:
            boot.follow()
            look.judge(boot.session.spans or [boot.session.boot])
        except _Over:
            pass
    return look.outcomes
