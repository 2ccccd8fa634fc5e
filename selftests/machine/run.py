#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What `make test`, `make check` and the others do. Settings come from make, as environment variables."""

import os
import random
import subprocess
import sys

import bochs
import kernel as kernels
import machine
import module
import qemu
import results
import suite
from where import BUILD, ROOT, Failure, locked, say


def setting(name, default=""):
    return os.environ.get(name) or default


def seed():
    return int(setting("SEED") or random.SystemRandom().randrange(1, 2**31))


def backend():
    """MACHINE=: says what `auto` takes, and why."""
    wanted = setting("MACHINE", "auto")
    if wanted == "auto":
        missing = qemu.why_not()
        if missing is None:
            say("MACHINE=auto: kvm, since KVM here gives VMX to its guests")
            return qemu.Qemu
        say(f"MACHINE=auto: bochs, since {missing}")
        return bochs.Bochs
    if wanted in ("bochs", "kvm"):
        return {"bochs": bochs.Bochs, "kvm": qemu.Qemu}[wanted]
    raise Failure(f"MACHINE={wanted} is unknown; there are auto, bochs, kvm and host")


def memory_for(kernel):
    """KASAN's shadow and its quarantine need room."""
    return 1024 if kernel.has("KASAN") else 512


def make(*goals):
    """Runs a Makefile of the project that builds programs; silent unless it fails."""
    command = ["make", "--no-print-directory", *goals]
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    (BUILD / "make").mkdir(parents=True, exist_ok=True)
    with locked(BUILD / "make/programs"):
        result = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        raise Failure(f"{result.stdout}\nreproduce: {' '.join(command)}")


def build_tools():
    if not (ROOT / "tools/Makefile").exists():
        raise Failure("tools/Makefile does not exist: nothing to build there")
    make("-C", "tools")


def build_tests(tests):
    """Only what is asked for: a test in progress must not keep the others from running."""
    programs = [str(BUILD / "selftests" / test.name) for test in tests if test.name in suite.programs()]
    if programs:
        make("-C", "selftests", *programs)


def stream(span, mark, text):
    """The machine's console for people: without timestamps, with the kernel's complaints."""
    if mark == "|":
        say(text)
    elif mark == "" and span.name != "boot":
        say(f"    kernel: {text}")
    elif mark == "@" and not text.startswith(("begin", "end", "done", "fact")):
        say(f"    machine: {text}")


def setup_for(kernel_name, cpu_name, smp, the_seed, machine_backend):
    kernel = kernels.find(kernel_name)
    return machine.Setup(kernel, machine.find_cpu(cpu_name), smp, the_seed, machine_backend,
                         memory_for(kernel), bool(setting("VERBOSE")))


def command_test():
    tests = suite.choose(setting("T") or "*")
    smp = int(setting("SMP") or max(test.cpus for test in tests))
    setup = setup_for(setting("KERNEL", "fast"), setting("CPU", "haswell"), smp, seed(), backend())
    say(f"{setup.place}, {smp} CPU{'s' if smp > 1 else ''}, SEED={setup.seed}: "
        f"{' '.join(test.name for test in tests)}")
    build_tools()
    build_tests(tests)
    collector = results.Collector({})
    machine.run_tests(setup, tests, suite.binaries(tests), collector, stream)
    return collector.finish()


def command_build():
    """Plain `make`: the module for KDIR, and the tools."""
    kdir = setting("KDIR") or module.default_kdir()
    say(f"building vmx.ko for {kdir}")
    folder = module.build(kdir, "default")
    build_tools()
    for path in module.built(folder):
        say(f"built {path.relative_to(ROOT)}")
    return 0


COMMANDS = {"build": command_build, "test": command_test}


def main():
    try:
        return COMMANDS[sys.argv[1]]()
    except Failure as failure:
        say(f"\n{failure}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
