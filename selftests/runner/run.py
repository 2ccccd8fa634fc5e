#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The commands behind `make test`, `make check` and others. Settings come from make, in the environment."""

import ctypes
import dataclasses
import os
import random
import signal
import subprocess
import sys

import check
import host
import kernels
import program
import results
import shell
import suite
from benchmarks import bench, growth, movebench, shadowbench
from kernels import intree, lab, module, stock
from machines import bochs, machine, qemu
from mistakes import controls, mutants
from where import BUILD, ROOT, Failure, environment, jobs, locked, say


SETTINGS = ("T", "CPU", "CPUS", "KERNEL", "MACHINE", "SEED", "SMP", "SHARD", "LEAKS", "BOCHS", "VMX_CACHE")
DEFAULT_CPU = "haswell"
# KVM's figures were first taken on this model.
BENCH_CPU = "skylake"


# Of make run and shell. Other Makefiles, which get our environment, mean something else by such names.
PROGRAM, FILES = (os.environ.pop(name, "") for name in ("PROGRAM", "FILES"))


def setting(name, default=""):
    return os.environ.get(name) or default


def seed():
    return int(setting("SEED") or random.SystemRandom().randrange(1, 2**31))


def backend():
    """The backend for MACHINE=; prints the choice of `auto` and the reason."""
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
    raise Failure(f"MACHINE={wanted}: unknown machine; give auto, bochs, kvm or host")


def make(*goals):
    """Runs a Makefile of the project that builds programs; silent unless it fails."""
    command = ["make", "--no-print-directory", "-k", f"-j{jobs()}", "--output-sync=target", *goals]
    (BUILD / "make").mkdir(parents=True, exist_ok=True)
    with locked(BUILD / "make/programs"):
        result = subprocess.run(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        raise Failure(f"{result.stdout}\nreproduce: {' '.join(command)}")


def build_tools():
    if not (ROOT / "tools/Makefile").exists():
        raise Failure("tools/Makefile does not exist: nothing to build there")
    make("-C", "tools")


def build_tests(tests):
    """Builds only these tests, so that an unfinished test does not keep the others from running."""
    for target in filter(None, (test.target for test in tests)):
        make("-C", "tools", target)
    programs = [test.name for test in tests if test.name in suite.programs()]
    programs += [test.guest for test in tests if test.guest]
    if programs:
        make("-C", "selftests", *(str(BUILD / "selftests" / name) for name in programs))


def stream(span, mark, text):
    """The machine's console for people: without timestamps, with the kernel's complaints."""
    if mark == "|":
        say(text)
    elif mark == "" and (span.name != "boot" or setting("VERBOSE")):
        say(f"    kernel: {text}")
    elif mark == "@" and not text.startswith(("begin", "end", "done", "fact")):
        say(f"    machine: {text}")


def setup_for(kernel_name, cpu_name, smp, the_seed, machine_backend):
    cpu = machine.find_cpu(cpu_name)
    return machine.Setup(kernels.find(kernel_name), cpu, smp, the_seed, machine_backend,
                         verbose=bool(setting("VERBOSE")), leaks=bool(setting("LEAKS")),
                         bochs=bochs.wanted(cpu))


def manifest(the_seed):
    """The facts that someone needs to get the same results."""
    def version(*command):
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True).stdout.strip()

    packages = version("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "bochs", "bochsbios",
                       "linux-source-6.12", "gcc", "clang", "sparse", "busybox-static")
    return {
        "commit": version("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "changed files": version("git", "-C", str(ROOT), "status", "--short").splitlines(),
        "seed": the_seed,
        "settings": {name: os.environ[name] for name in SETTINGS if os.environ.get(name)},
        "packages": packages.splitlines(),
    }


def command_test():
    tests = suite.choose(setting("T") or "*")
    if setting("MACHINE") == "host":
        return test_here(tests)
    smp = int(setting("SMP") or max(test.cpus for test in tests))
    setup = setup_for(setting("KERNEL", "fast"), setting("CPU", DEFAULT_CPU), smp, seed(), backend())
    say(f"{setup.place}, {smp} CPU{'s' if smp > 1 else ''}, SEED={setup.seed}: "
        f"{' '.join(test.name for test in tests)}")
    build_tools()
    build_tests(tests)
    collector = results.Collector(manifest(setup.seed))
    machine.run_tests(setup, tests, suite.binaries(tests), collector, stream)
    return collector.finish()


def test_here(tests):
    the_seed = seed()
    build_tests(tests)
    collector = results.Collector(manifest(the_seed))
    host.run(tests, the_seed, collector)
    return collector.finish()


def command_check():
    if setting("MACHINE") == "host":
        return test_here(suite.everything())
    the_seed = int(setting("SEED") or suite.CHECK_SEED)
    the_backend = backend()
    say(f"SEED={the_seed}")

    def make_setup(kernel_name, cpu_name, smp):
        return setup_for(kernel_name, cpu_name, smp, the_seed, the_backend)

    def build_programs():
        build_tools()
        build_tests(suite.everything() + suite.commands())

    return check.run(make_setup, build_programs, manifest(the_seed))


def command_mutants():
    """Verdicts of one boot are compared with those of another: the tests' random numbers are the same each time."""
    build_tools()
    build_tests(suite.choose(setting("T") or "*"))
    return mutants.run(same_each_time, seed())


def command_controls():
    build_tools()
    build_tests(suite.everything() + suite.commands())
    return controls.run(same_each_time)


def same_each_time(cpu_name, smp):
    return setup_for("fast", cpu_name, smp, suite.CHECK_SEED, bochs.Bochs)


def command_demo():
    say("1/4 the kernel")
    setup = setup_for(setting("KERNEL", "fast"), setting("CPU", DEFAULT_CPU), 1, seed(), backend())
    say("2/4 the tools")
    build_tools()
    say("3/4 the module")
    machine.prepare_module(setup.kernel)
    demo = suite.choose("vmx-demo,linux-demo")
    tests = [test for test in demo if test.fits(setup.kernel.name, setup.cpu.name)]
    if tests != demo:
        say(f"  skipping Linux as a guest, which takes minutes on {setup.kernel.name}; KERNEL=fast takes seconds")
    say(f"4/4 booting {setup.place}; its console follows in about 10 s\n")
    collector = results.Collector(manifest(setup.seed))
    machine.run_tests(setup, tests, {}, collector, stream)
    collector.write_files()
    return 1 if any(outcome.failures() for outcome in collector.outcomes) else 0


def command_bench():
    the_seed = seed()
    the_backend = backend()
    build_tools()
    programs = ("vmx_bench", "vmx_growth", "vmx_restore", "linux_bench", "ticks", "disk.elf")
    make("-C", "selftests", *(str(BUILD / "selftests" / name) for name in programs))

    def make_setup(kernel_name, smp=1):
        return setup_for(kernel_name, setting("CPU", BENCH_CPU), smp, the_seed, the_backend)

    def make_large():
        return dataclasses.replace(make_setup(setting("KERNEL", "fast")), memory=1536)

    tables = {
        "growth": lambda: growth.run(make_setup(setting("KERNEL", "fast"), smp=2)),
        "shadow": lambda: shadowbench.run(make_setup(setting("KERNEL", "fast"))),
        "moves": lambda: movebench.run(make_large()),
        "": lambda: bench.run(make_setup, setting("KERNEL")),
    }
    if setting("T") not in tables:
        raise Failure(f"T={setting('T')}: unknown table; give growth, moves or shadow, or leave T= out for the main ones")
    return tables[setting("T")]()


def command_shell():
    setup = setup_for(setting("KERNEL", "fast"), setting("CPU", DEFAULT_CPU), int(setting("SMP", "1")),
                      seed(), backend())
    say("building the tools and the tests")
    build_tools()
    try:
        build_tests(suite.everything())
    except Failure as failure:
        say(f"{failure}\nthe shell starts without the tests that do not build")
    built = [test for test in suite.everything() if (BUILD / "selftests" / test.name).exists()]
    mine = program.files(FILES)
    setup.memory = mine.memory()
    # The test that boots Linux as a guest brings the guest along.
    return shell.run(setup, suite.choose("linux"), {**suite.binaries(built), **mine.found})


def command_run():
    # What is printed is the program's: the rest goes beside it.
    answer, sys.stdout = sys.stdout, sys.stderr
    if setting("MACHINE") == "host":
        raise Failure("MACHINE=host is for tests: load vmx.ko and run your program")
    the_limit = suite.instructions("LIMIT", setting("LIMIT")) if setting("LIMIT") else program.UNLIMITED
    build_tools()

    def make_setup():
        return setup_for(setting("KERNEL", "fast"), setting("CPU", DEFAULT_CPU), int(setting("SMP", "1")), seed(),
                         backend())

    return program.run(make_setup, PROGRAM, FILES, the_limit, answer)


def command_list():
    say("\nKERNEL=: " + ", ".join([*lab.FLAVOURS, *stock.SERIES, "path of a built tree"]))
    say("T=: " + ", ".join(test.name for test in suite.everything() + suite.commands()))
    return 0


def command_build():
    """Plain `make`: the module for KDIR, and the tools."""
    kdir = setting("KDIR") or module.default_kdir()
    say(f"building vmx.ko for {kdir}")
    folder = module.build(kdir, "default")
    build_tools()
    for path in module.built(folder):
        say(f"built {path.relative_to(ROOT)}")
    return 0


COMMANDS = {"build": command_build, "test": command_test, "check": command_check, "demo": command_demo,
            "bench": command_bench, "controls": command_controls, "mutants": command_mutants, "kunit": intree.run, "shell": command_shell, "run": command_run, "list": command_list}


def end_with_make():
    """Makes a killed run, or a killed make, stop its machines."""
    def terminate(number, _):
        # Once: make passes on what its whole group was sent.
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, terminate)
    if "MAKELEVEL" in os.environ:
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def main():
    end_with_make()
    try:
        return COMMANDS[sys.argv[1]]()
    except Failure as failure:
        say(f"\n{failure}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
