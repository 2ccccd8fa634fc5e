# SPDX-License-Identifier: GPL-2.0
"""`make controls`: makes mistakes on purpose in a copy of the checkout. The tests have to notice each."""

import fnmatch
import os
import shutil
import subprocess
import tomllib

import results
import tap
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


def run():
    """The controls whose names match T=, or all."""
    controls = table()
    chosen = {name: control for name, control in controls.items()
              if fnmatch.fnmatch(name, os.environ.get("T") or "*")}
    if not chosen:
        raise Failure(f"T={os.environ['T']}: unknown control; give some of: {', '.join(controls)}")
    copy_checkout()
    collector = results.Collector({})
    for name, control in chosen.items():
        try:
            wrong, log = try_out(control)
        except Failure as failure:
            wrong, log = str(failure), ""
        say(f"  {name}: {wrong or 'noticed'} ({control['why']})")
        case = tap.Case("noticed", "failed" if wrong else "passed", wrong)
        collector.add(results.Outcome("controls", name, [case], f"make controls T={name}", log.splitlines()))
    return collector.finish()
