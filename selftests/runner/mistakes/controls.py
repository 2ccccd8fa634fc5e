# SPDX-License-Identifier: GPL-2.0
"""`make controls`: makes mistakes on purpose in a copy of the checkout. The tests have to notice each."""

import dataclasses
import fnmatch
import os
import shutil
import subprocess
import tomllib

import results
import suite
import tap
from kernels import module
from machines import machine
from mistakes import branches, mutanttree
from where import BUILD, ROOT, Failure, environment, say

TABLE = ROOT / "selftests/controls.toml"
TREE = BUILD / "controls"
# Of the copy: what `make test` is told, and what it is not.
SETTINGS = {"KERNEL": "fast", "CPU": "haswell", "VMX_DEBUG": "1"}
OURS = ("T", "KERNEL", "CPU", "CPUS", "SMP", "KDIR")


def copy_checkout():
    """Keeps the copy's build folder, so that only changed files are built again."""
    TREE.mkdir(parents=True, exist_ok=True)
    for path in TREE.iterdir():
        if path.name != "build":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(ROOT, TREE, symlinks=True, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))


def table():
    return tomllib.loads(TABLE.read_text())


def out_of_date(tree, control):
    """The reason why a control cannot be tried, or nothing."""
    count = (tree / control["file"]).read_text().count(control["old"])
    return "" if count == 1 else f"{control['file']} has what to replace {count} times, not once"


class broken:
    """Makes the copy with one mistake."""

    def __init__(self, control):
        wrong = out_of_date(TREE, control)
        if wrong:
            raise Failure(f"{wrong}: bring {TABLE.name} up to date")
        self.path = TREE / control["file"]
        self.right = self.path.read_text()
        self.wrong = self.right.replace(control["old"], control["new"])

    def __enter__(self):
        self.path.write_text(self.wrong)

    def __exit__(self, *_):
        self.path.write_text(self.right)


@dataclasses.dataclass
class Mistake:
    file: str
    control: dict

    def apply(self, text):
        wrong = out_of_date(ROOT, self.control)
        if wrong:
            raise Failure(f"{wrong}: bring {TABLE.name} up to date")
        return text.replace(self.control["old"], self.control["new"])


class Quickly:
    """Controls of the module on the kernel that `make mutants` uses: no machine boots for each."""

    def __init__(self, make_setup, controls):
        self.chosen = {}         # {CPU model: tests}
        for control in controls:
            known = self.chosen.setdefault(cpu_of(control), [])
            known += [test for test in suite.choose(control["test"]) if test not in known]
        kdir = make_setup(SETTINGS["CPU"], 1).kernel.kdir
        self.tree = mutanttree.Module(TREE.with_name("controls-module"), kdir, "ledgers")
        self.trunks = branches.Trunks(make_setup, self.tree.prepare, lambda cpu, smp: self.chosen[cpu])

    def try_out(self, control):
        tests = suite.choose(control["test"])
        trunk = self.trunks.get(cpu_of(control), max(test.cpus for test in tests))
        modules = self.tree.build(Mistake(control["file"], control), self.tree.folder.with_name("wrong"))
        if not modules:
            return "the module does not build, or is the same: the mistake is none", ""
        outcomes = branches.outcomes(trunk, modules, tests)
        text = "\n".join(line for outcome in outcomes for line in said(outcome))
        if not any(outcome.failures() for outcome in outcomes):
            return f"{control['test']} did not notice", text
        if control["expect"] not in text:
            return f"{control['test']} failed without a word of '{control['expect']}'", text
        return "", text


def said(outcome):
    yield from outcome.log
    for case in outcome.failures():
        yield f"FAILED {outcome.name}.{case.name}\n{case.detail}"


def cpu_of(control):
    return control.get("cpu", SETTINGS["CPU"])


def is_quick(control):
    return (control.get("kernel", SETTINGS["KERNEL"]) == SETTINGS["KERNEL"]
            and control["file"].split("/")[0] not in module.NOT_MODULE
            and not any(test.ends or test.memory > 512 for test in suite.choose(control["test"])))


def try_out(control):
    """Returns the complaint about the tests, or nothing, and their output."""
    chosen = {"T": control["test"], "KERNEL": control.get("kernel", SETTINGS["KERNEL"]),
              "CPU": control.get("cpu", SETTINGS["CPU"])}
    settings = [f"{key}={value}" for key, value in {**SETTINGS, **chosen}.items()]
    with broken(control):
        result = subprocess.run(["make", "--no-print-directory", "-C", TREE, "test", *settings], text=True,
                                env=environment(*OURS), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if "passed, " not in result.stdout:
        return "the tests did not run", result.stdout
    if not result.returncode:
        return f"{control['test']} did not notice", result.stdout
    if control["expect"] not in result.stdout:
        return f"{control['test']} failed without a word of '{control['expect']}'", result.stdout
    return "", result.stdout


def run(make_setup):
    """The controls whose names match one of T=, or all."""
    controls = table()
    wanted = (os.environ.get("T") or "*").replace(",", " ").split()
    chosen = {name: control for name, control in controls.items()
              if any(fnmatch.fnmatch(name, pattern) for pattern in wanted)}
    if not chosen:
        raise Failure(f"T={os.environ['T']}: unknown control; give some of: {', '.join(controls)}")
    collector = results.Collector({})
    quick = {name: control for name, control in chosen.items() if is_quick(control)}
    if quick:
        quickly = Quickly(make_setup, quick.values())
        for name, control in quick.items():
            judge(collector, name, control, quickly.try_out)
        machine.Boot.stop_all()
    if len(quick) < len(chosen):
        copy_checkout()
        for name, control in chosen.items():
            if name not in quick:
                judge(collector, name, control, try_out)
    return collector.finish()


def judge(collector, name, control, attempt):
    try:
        wrong, log = attempt(control)
    except Failure as failure:
        wrong, log = str(failure), ""
    say(f"  {name}: {wrong or 'noticed'} ({control['why']})")
    case = tap.Case("noticed", "failed" if wrong else "passed", wrong)
    collector.add(results.Outcome("controls", name, [case], f"make controls T={name}", log.splitlines()))
