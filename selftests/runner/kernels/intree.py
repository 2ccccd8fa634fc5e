# SPDX-License-Identifier: GPL-2.0
"""`make kunit`: builds the module as drivers/vmx of a kernel tree and runs the kernel's kunit.py."""

import shutil
import subprocess

import tap
from kernels import lab
from session import STAMP
from where import BUILD, ROOT, RUNNER, Failure, environment, jobs, say


def tree():
    """A copy of the kernel source, made of hard links, with our folder in it."""
    copy = BUILD / "kunit/linux"
    if not copy.exists():
        say("  linking a copy of the kernel source")
        copy.parent.mkdir(parents=True, exist_ok=True)
        source = lab.source()
        try:
            subprocess.run(["cp", "-al", source, copy], check=True, stderr=subprocess.DEVNULL)
        except subprocess.CalledProcessError:
            # The cache is on another file system.
            shutil.rmtree(copy, ignore_errors=True)
            subprocess.run(["cp", "-a", source, copy], check=True)
        (copy / "drivers/vmx").symlink_to(ROOT)
        add_line(copy / "drivers/Makefile", "obj-y += vmx/\n")
        kconfig = copy / "drivers/Kconfig"
        text = kconfig.read_text().replace("endmenu", 'source "drivers/vmx/Kconfig"\n\nendmenu')
        replace(kconfig, text)
    return copy


def replace(path, text):
    """Writes a new file, since the cache shares the old one."""
    path.unlink()
    path.write_text(text)


def add_line(path, line):
    replace(path, path.read_text() + line)


def run():
    if not shutil.which("qemu-system-x86_64"):
        raise Failure("make kunit runs the kernel in QEMU, which is missing: apt-get install qemu-system-x86")
    copy = tree()
    status = subprocess.run(["python3", "tools/testing/kunit/kunit.py", "run", "--arch=x86_64",
                           f"--kunitconfig={RUNNER}/kernels/kunit.config", f"--jobs={jobs()}",
                           f"--build_dir={BUILD}/kunit/out", "vmx*"], cwd=copy,
                          env=environment("T", "V", "W", "C")).returncode
    return status or verdict(BUILD / "kunit/out/test.log")


def verdict(log):
    """kunit.py takes the first of several documents, and a filter that matches nothing for a success."""
    cases = tap.parse(STAMP.sub("", line) for line in log.read_text(errors="replace").splitlines())
    failed = [case for case in cases if case.status == "failed"]
    for case in failed:
        say(f"FAILED {case.name}\n{case.detail}")
    return 1 if failed or not cases else 0
