# SPDX-License-Identifier: GPL-2.0
"""`make check`: the static gates, then every test on a matrix of kernels and CPU models."""

import concurrent.futures
import dataclasses
import functools
import os
import random
import threading
import time
import traceback

import gates
import kernels
import minutes
import results
import suite
import tap
from machines import bochs, machine, newbochs
from where import Failure, say

# Kernel and CPU models of each row; None stands for the default models. KERNEL= chooses rows, or all,
# CPUS= models, of the first row unless KERNEL= is there; with neither it is the DEFAULT rows. Kernels that check everything are tens of times
# slower. Stock kernels take long to boot and have no KUnit: one model each, that has most features.
MATRIX = [
    ("fast", None),
    ("debian-6.1", ["haswell"]),
    ("debian-6.12", ["haswell"]),
    ("debug", ["tigerlake", "lynnfield"]),
    ("race", ["haswell"]),
]
DEFAULT = ("fast", "debian-6.1", "debian-6.12")
# A stock kernel loads its KVM in more time than all other tests take, and a second test that ends the
# machine takes another boot. So do the bounds of shadow page tables, whose figures on 6.12 are those of the lab
# kernel. Guests take long to boot many times, or a kernel that does much. Tests that compare the CPU with the
# module or with libvmx, and those of vmxrun's snapshots and its API, find the same on each kernel: the fast rows
# run them. Who asks for the kernel gets all of them.
THE_SAME_EVERYWHERE = ("control_test", "entry_check_test", "finished_cr_test", "models_test", "move_test",
                       "move_kill_test", "move_limits_test", "paging_test", "saved_test", "shadow_fuzz_test")
NOT_BY_DEFAULT = {
    "debian-6.1": (*THE_SAME_EVERYWHERE, "kvm_test", "kexec_test"),
    "debian-6.12": (*THE_SAME_EVERYWHERE, "kvm_test", "kexec_test", "linux-net", "linux-net-pins",
                    "shadow_bounds_test"),
    "fast": ("move_kill_test", "linux-pressure", "linux-pair", "linux-paused", "linux-saved-shadow",
             "linux-moved-shadow", "linux-again", "linux-6.1",
             "linux-6.12", "linux-6.1-up",
             "linux-shadow-up", "linux-6.1-shadow", "linux-6.1-shadow-up", "linux-6.12-up", "linux-disk", "linux-large"),
    # What vmxrun saves, limits and answers is its own affair: haswell and penryn run these, tigerlake linux-saved.
    "fast/lynnfield": ("control_test", "linux-saved", "move_limits_test", "saved_test"),
    "fast/tigerlake": ("control_test", "move_limits_test", "saved_test"),
}
# Where kmemleak watches: everywhere would take twice as long to find the same.
LEAKS = "debug/tigerlake"
# The emulator takes more than twice as long over a machine with two CPUs, even while one of them sleeps. So a
# test has as many as it asks for. Here all have two, since threads meet each other elsewhere than on one CPU, but for
# tests of one thread that compare the CPU with the module or with libvmx.
TWO_CPUS = "fast/haswell"
ONE_THREAD = ("cpuid_msr_test", "cr_test", "debug_test", "delivery_test", "device_memory_test", "entry_check_test",
              "exits_test", "finished_cr_test", "finished_invpcid_test", "finished_test", "fpu_test", "inject_test",
              "kunit", "mmio_test", "mode_test", "paging_bits_test", "populate_test",
              "shadow_bounds_test", "tables_test", "vmcs_test")
# Bochs 3 takes half the time of Bochs 2. With two CPUs an interrupt that follows the delivery of an event to a guest
# costs the guest its stack pointer, and time is not to be relied on (Documentation/emulator.rst). So of the tests with
# two it has those whose guests get no events and that measure no time. On these models it panics.
NO_EVENTS = ("dirty_test", "hotplug_test", "leak_test", "memory_test", "mmu_abi_test", "mmu_huge_test",
             "mmu_race_test", "mmu_stress_test", "mmu_test", "signal_test", "views_test", "vpid_test")
NOT_ON_BOCHS_3 = ("tigerlake",)
# Tests may depend on those that ran before, so here they come in another order each time, by a seed of its own.
ANY_ORDER = "fast/lynnfield"


@dataclasses.dataclass
class Step:
    name: str
    run: object     # called with a Collector; a Failure is a failed case
    place: str = ""    # KERNEL/CPU, if it is tests in a machine
    seconds: float = 0


def cpus_of(models):
    wanted = os.environ.get("CPUS") or os.environ.get("CPU")
    known = machine.cpu_models()
    if wanted == "all":
        return [cpu.name for cpu in known.values() if cpu.version == 2]
    if wanted:
        return [machine.find_cpu(name).name for name in wanted.replace(",", " ").split()]
    return models or [cpu.name for cpu in known.values() if cpu.default]


def rows():
    wanted = os.environ.get("KERNEL")
    if not wanted:
        chosen = DEFAULT[:1] if os.environ.get("CPUS") or os.environ.get("CPU") else DEFAULT
    else:
        chosen = [name for name, _ in MATRIX] if wanted == "all" else [wanted]
    models_of = dict(MATRIX)
    for name in chosen:
        for cpu in cpus_of(models_of.get(name)):
            yield name, cpu


def tests_of(kernel_name, cpu_name):
    tests = [test for test in suite.everything() + suite.commands() if test.fits(kernel_name, cpu_name)]
    if os.environ.get("KERNEL"):
        return tests
    left_out = NOT_BY_DEFAULT.get(kernel_name, ()) + NOT_BY_DEFAULT.get(f"{kernel_name}/{cpu_name}", ())
    for test in tests:
        if test.name in left_out:
            say(f"  {kernel_name}/{cpu_name} {test.name}: left to make check KERNEL={kernel_name}")
    return [test for test in tests if test.name not in left_out]


def cpus_for(place, test):
    if os.environ.get("SMP"):
        return int(os.environ["SMP"])
    return 2 if place == TWO_CPUS and test.name not in ONE_THREAD else test.cpus


def bochs_for(cpu_name, test, cpus):
    faster = cpu_name not in NOT_ON_BOCHS_3 and (cpus == 1 or test.name in NO_EVENTS)
    return 3 if faster and not os.environ.get("BOCHS") else bochs.wanted(machine.find_cpu(cpu_name))


def machines(kernel_name, cpu_name):
    """{(CPUs, version of Bochs): tests}, the longest first"""
    found = {}
    for test in tests_of(kernel_name, cpu_name):
        cpus = cpus_for(f"{kernel_name}/{cpu_name}", test)
        found.setdefault((cpus, bochs_for(cpu_name, test, cpus)), []).append(test)
    return dict(sorted(found.items(), key=lambda item: (-item[0][0], item[0][1])))


@functools.cache
def newest_bochs():
    """3, or 2 with a sentence where 3 cannot be fetched."""
    try:
        newbochs.find()
        return 3
    except Failure as failure:
        say(f"{failure}\nBochs 2 runs all machines instead: `make check` takes ten minutes longer")
        return 2


def machine_steps(kernel_name, cpu_name, make_setup):
    for (smp, version), tests in machines(kernel_name, cpu_name).items():
        yield machine_step(f"{kernel_name}/{cpu_name}", smp, version, tests,
                           lambda smp=smp: make_setup(kernel_name, cpu_name, smp))


def machine_step(place, smp, version, tests, make_setup):
    name = f"tests on {place} with {smp} CPU{'s' if smp > 1 else ''} of Bochs {version}"

    def run(collector):
        setup = make_setup()
        setup.leaks |= place == LEAKS
        if version > setup.bochs:
            setup.bochs = newest_bochs()
        if place == ANY_ORDER and not os.environ.get("SEED"):
            setup.seed = random.SystemRandom().randrange(1, 2**31)
            say(f"  {name}: SEED={setup.seed}, so in another order than elsewhere")

        def listener(span, mark, text):
            if mark == "@" and text.startswith("end "):
                say(f"  {setup.place} {span.name} has run ({span.instructions / 1e6:,.0f} M instructions)")

        machine.run_tests(setup, tests, suite.binaries(tests), collector, listener)
    return Step(name, run, place)


def gate_step(name):
    return Step(f"gate {name}", lambda collector: collector.add(gates.GATES[name](name)))


def plan(make_setup):
    only = os.environ.get("ONLY")
    # The long ones first, so that no core is left alone with one of them at the end; stock kernels boot slowly.
    steps = [] if only else [step for kernel, cpu in rows() for step in machine_steps(kernel, cpu, make_setup)]
    steps.sort(key=lambda step: (step.place != TWO_CPUS, step.place.startswith("fast/")))
    steps += [gate_step(name) for name in gates.GATES if only in (None, "", name)]
    if only and not steps:
        raise Failure(f"ONLY={only}: unknown gate; give one of {', '.join(gates.GATES)}")
    shard = os.environ.get("SHARD")
    if shard:
        index, _, count = shard.partition("/")
        steps = steps[int(index) - 1::int(count)]
    return steps


class Progress:
    """Prints the steps as they run, and a line now and then while they print nothing."""

    def __init__(self, total):
        self.started = time.monotonic()
        self.total = total
        self.running = []
        self.done = 0
        self.stop = threading.Event()
        threading.Thread(target=self._remind, daemon=True).start()

    def clock(self):
        seconds = int(time.monotonic() - self.started)
        return f"[{seconds // 60:2}:{seconds % 60:02}]"

    def _remind(self):
        while not self.stop.wait(30):
            say(f"{self.clock()} {self.done} of {self.total} steps done; running: {', '.join(self.running)}")

    def execute(self, step, collector):
        say(f"{self.clock()} {step.name}")
        self.running.append(step.name)
        started = time.monotonic()
        try:
            step.run(collector)
        except Failure as failure:
            fail(collector, step, str(failure))
        except Exception:
            fail(collector, step, traceback.format_exc())
        step.seconds = time.monotonic() - started
        self.running.remove(step.name)
        self.done += 1
        say(f"{self.clock()} {step.name}: done in {step.seconds:.0f} s")


def fail(collector, step, text):
    collector.add(results.Outcome("steps", step.name.replace("/", "-").replace(" ", "-"),
                                  [tap.Case("step", "failed", text)], "make check", text.splitlines()))


def prepare(progress, collector, build_programs):
    """Builds the parts that the steps share, one after the other, and returns these steps. A failure counts as a
    failed step.
    """
    def run_kernels(_):
        for name in dict.fromkeys(name for name, _ in rows()):
            kernels.find(name)

    first = [Step("kernels", run_kernels), Step("tools and tests", lambda _: build_programs())]
    for step in first:
        progress.execute(step, collector)
    return first


def run(make_setup, build_programs, manifest):
    steps = plan(make_setup)
    say(f"{len(steps)} steps:")
    for step in steps:
        say(f"  {step.name}")
    collector = results.Collector(manifest)
    progress = Progress(len(steps) + 2)
    first = prepare(progress, collector, build_programs)
    with concurrent.futures.ThreadPoolExecutor(machine.AT_A_TIME) as pool:
        futures = [pool.submit(progress.execute, step, collector) for step in steps]
        try:
            for future in futures:
                future.result()
        except (KeyboardInterrupt, SystemExit) as reason:
            # The pool would wait for all that is still to do.
            pool.shutdown(wait=False, cancel_futures=True)
            machine.Boot.stop_all()
            os._exit(getattr(reason, "code", 130))
    progress.stop.set()
    minutes.show(first + steps, collector, time.monotonic() - progress.started)
    return collector.finish()
