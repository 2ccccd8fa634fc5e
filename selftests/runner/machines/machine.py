# SPDX-License-Identifier: GPL-2.0
"""Boots the machine, reads its console, and finds the reason for its end."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import signal
import tempfile
import time

import kernels
import klog
import results
import session as sessions
import suite
import tap
from benchmarks import linuxbench
from kernels import Kernel, lab, module
from machines import hang, image, python
from where import BUILD, INSIDE, ROOT, RUNNER, Failure, locked

# No KASLR, so that addresses mean the same in every run; an oops ends the machine, so that the test
# that caused it is the last one that ran. 'tsc' and 'lpj' save calibrating against emulated timers.
# MWAIT of an idle CPU missed wake-ups in the emulator while CPUs went offline and came back; HLT does not.
# A stock kernel would test its ciphers for longer than the rest of its boot takes.
COMMAND_LINE = ("console=ttyS0,115200 nokaslr idle=nomwait tsc=reliable lpj=1000000 panic=0 oops=panic "
                "printk.devkmsg=on printk.time=1 cryptomgr.notests")

# For what takes over after a crash.
CRASH_MEMORY = "crashkernel=1M"

EXAMPLES = ROOT / "tools/examples"

# Seconds of the emulator without a word from the machine before it counts as hung. The longest
# legitimate silence is a stock or debug kernel that boots.
BOOT_SILENCE = 300
TEST_SILENCE = 100


# Emulated machines at a time; a machine uses one core however many CPUs it has.
AT_A_TIME = 2


@dataclasses.dataclass
class Cpu:
    name: str
    model: str
    version: int     # of Bochs
    default: bool


def cpu_models():
    models = {}
    for line in (RUNNER / "machines/cpus").read_text().splitlines():
        words = line.split()
        if words and not line.startswith("#"):
            models[words[0]] = Cpu(words[0], words[1], int(words[2]), words[3] == "*")
    return models


def find_cpu(name):
    models = cpu_models()
    for cpu in models.values():
        if name in (cpu.name, cpu.model):
            return cpu
    raise Failure(f"CPU={name}: unknown model; give one of: {', '.join(models)}")


@dataclasses.dataclass
class Setup:
    """A machine to boot, without its tasks."""
    kernel: Kernel
    cpu: Cpu
    smp: int
    seed: int
    backend: object        # bochs.Bochs or qemu.Qemu
    memory: int = 512      # MiB
    ledgers: bool = False  # the debug build of the module, on whichever kernel
    verbose: bool = False
    leaks: bool = False    # kmemleak, where the kernel has it: the boot takes twice as long
    built: tuple = ()      # another module than the checkout's: the folder where it was built, and its files
    bochs: int = 2         # its version, where the backend is Bochs

    @property
    def place(self):
        return f"{self.kernel.name}/{self.cpu.name}"

    def reproduce(self, name):
        given = [f" MACHINE={os.environ['MACHINE']}"] if os.environ.get("MACHINE") else []
        given += [f" BOCHS={self.bochs}"] if self.bochs != self.cpu.version else []
        return (f"make test T={name} CPU={self.cpu.name} KERNEL={self.kernel.spec} SMP={self.smp} "
                f"SEED={self.seed}" + (" LEAKS=1" if self.leaks else "") + "".join(given))


def prepare_module(kernel, ledgers=False):
    # The module's own checks go with the kernel's, or with what tests need.
    options = ["VMX_DEBUG=1"] if ledgers or kernel.slow or os.environ.get("VMX_DEBUG") else []
    name = f"{kernel.name}-ledgers" if ledgers and not kernel.slow else kernel.name
    with locked(BUILD / "module" / name):
        folder = module.build(kernel.kdir, name, options, quiet=True)
    return folder, module.built(folder)


def programs():
    """The tools on the PATH of every machine."""
    tools = BUILD / "tools"
    found = {f"/usr/bin/{path.name}": path for path in sorted(tools.glob("*"))
             if path.is_file() and not path.suffix and path.stat().st_mode & 0o111}
    for name in ("kunit", "kmemleak"):
        found[f"/machine/{name}"] = INSIDE / name
    return {**found, **shared_objects(tools / "vmxrun")}


def shared_objects(program):
    return {path: path for path in image.shared_objects(program)}


def control():
    """What it takes to control vmxrun: half as much again as the rest, so that few machines have it."""
    tools = BUILD / "tools"
    found = shared_objects(tools / "vmxctl")
    for name in ("vmxrun-api.so", "vmxrun-transport.so", "vmxrun-tls.so"):
        found.update({f"/usr/lib/vmx/{name}": tools / name, **shared_objects(tools / name)})
    return found


def guest(setup, folder):
    """A Linux for the tests that boot one in the machine: the machine's own."""
    initrd = folder / "guest-initrd"
    image.guest_initramfs(initrd)
    scripts = {f"/machine/{path.name}": path for path in (INSIDE).glob("*linux*")}
    return {**scripts, "/guest/kernel": setup.kernel.image, "/guest/initrd": initrd,
            "/guest/release": text_file(folder / "guest-release", setup.kernel.release),
            "/usr/bin/exercise": image.program("exercise")}


def disk_guest(name, folder):
    """A Linux with its root on a disk."""
    kernel = kernels.guest(name)
    initrd, root = folder / f"{name}-initrd", folder / f"{name}-root"
    image.disk_initramfs(initrd, kernel)
    image.guest_root(root)
    return {f"/guest/{name}/kernel": kernel.image, f"/guest/{name}/initrd": initrd,
            f"/guest/{name}/root": root,
            f"/guest/{name}/release": text_file(folder / f"{name}-release", kernel.release)}


def memory_guest(name, folder):
    """The same kernel, with all it has in the initramfs of the machine's own."""
    kernel = kernels.guest(name)
    return {f"/guest/{name}-memory/kernel": kernel.image,
            f"/guest/{name}-memory/release": text_file(folder / f"{name}-release", kernel.release)}


def text_file(path, text):
    path.write_text(f"{text}\n")
    return path


def belongings(tests, setup, folder):
    """Files that only some tests need."""
    commands = " ".join(test.command for test in tests)
    found = {}
    if "/machine/linux" in commands:
        found.update(guest(setup, folder))
    for name in kernels.GUESTS:
        if f"/guest/{name}" in commands.split():
            found.update(disk_guest(name, folder))
        if f"/guest/{name}-memory" in commands.split():
            found.update(memory_guest(name, folder))
    if any(name in commands for name in ("/tests/control_test", "/tests/move_", "/machine/linux-paused", "/machine/linux-saved",
                                        "/machine/linux-moved", "/machine/disk-moved")):
        found.update(control())
    if "/machine/multiboot" in commands:
        found.update({"/machine/multiboot": INSIDE / "multiboot",
                      "/guest/kernel.elf": BUILD / "tools/kernel.elf"})
    if "/machine/device-writes" in commands:
        found.update({"/machine/device-writes": INSIDE / "device-writes",
                      "/guest/tables": BUILD / "selftests/tables.elf"})
    if "/machine/disk-moved" in commands:
        found.update({"/machine/disk-moved": INSIDE / "disk-moved",
                      "/guest/writer": BUILD / "selftests/writer.elf"})
    if "/machine/bench-moves" in commands:
        found.update({**guest(setup, folder), **control(), "/machine/bench-moves": INSIDE / "bench-moves",
                      "/usr/bin/ticks": BUILD / "selftests/ticks",
                      "/usr/bin/vmx_restore": BUILD / "selftests/vmx_restore"})
    if "/machine/bench-linux" in commands or "/machine/bench-shadow" in commands:
        found.update(linuxbench.files(setup, folder))
    if "python3" in commands:
        found.update(python.files(folder, EXAMPLES / "hello.py"))
    return found


class Boot:
    """One boot of one machine, in a temporary folder."""

    booted = set()

    @classmethod
    def stop_all(cls):
        """Ends the machine, for a run that is interrupted while other threads follow machines."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for boot in list(cls.booted):
            boot.__exit__()

    def __init__(self, setup, plan, tests=(), extra=None, listener=None, terminal=None):
        self.setup = setup
        self.tests = {test.name: test for test in tests}
        self.module_folder, self.modules = setup.built or prepare_module(setup.kernel, setup.ledgers)
        (BUILD / "machine").mkdir(parents=True, exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{setup.place.replace('/', '-')}-",
                                                    dir=BUILD / "machine"))
        self.session = sessions.Session(listener, lambda: self.machine.clock())
        self.slowness = 4 if setup.kernel.slow else 1
        self.silence = TEST_SILENCE * self.slowness
        scale = setup.backend.limit_scale * self.slowness
        self.lines = [(test.name, test.limit * scale, test.command) for test in tests]
        self.leak_limit = suite.DEFAULT_LIMIT * scale if setup.leaks else 0
        self.cause = ""
        self.where = ""
        self.machine = self.prepare(plan, extra, terminal)

    def prepare(self, plan, extra, terminal):
        setup, tests = self.setup, self.tests.values()
        image.initramfs(self.folder / "initrd", setup.kernel, self.modules,
                        {**programs(), **(extra or {}), **belongings(tests, setup, self.folder)},
                        {"VMX_SEED": setup.seed, "VMX_REQUIRED": 1,
                         "VMX_MACHINE": setup.backend.name, "VMX_BOCHS": setup.bochs, **setup.backend.variables,
                         "LEAK_LIMIT": self.leak_limit, **plan}, self.lines)
        level = 7 if setup.verbose else 3
        leaks = "on" if setup.leaks else "off"
        self.command_line = " ".join([COMMAND_LINE, f"loglevel={level}", f"kmemleak={leaks}",
                                      setup.backend.kernel_options]
                                     + [CRASH_MEMORY] * any(test.ends for test in tests))
        return setup.backend(self.folder, setup, self.command_line, terminal)

    def __enter__(self):
        self.machine.start()
        self.booted.add(self)
        return self

    def __exit__(self, *_):
        self.booted.discard(self)
        self.machine.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def follow(self):
        """Reads the console until the machine ends or must be ended; sets `cause`."""
        heard = self.machine.clock()
        rest = b""
        with open(self.machine.console, "rb") as console:
            while True:
                running = self.machine.running()
                data = console.read()
                if data:
                    heard = self.machine.clock()
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self.session.feed(line.decode(errors="replace"))
                elif not running:
                    self.cause = self.machine.ended_by()
                    return
                elif self._is_over(self.machine.clock() - heard):
                    return
                else:
                    time.sleep(0.02)

    def _is_over(self, silence):
        """The reason for a long silence, by the machine's last words."""
        if self.session.dead:
            # The last words need a moment to arrive.
            self.cause = "kernel panic" if silence > 0.5 else ""
        elif self.session.done:
            self.cause = "power-off" if silence > 15 else ""
        elif silence > (self.silence if self.session.up else BOOT_SILENCE):
            self.cause = "hang"
            self.where = self.machine.interrogate()
        return bool(self.cause)

    def record(self, manifest):
        """Facts about this machine, for the log."""
        def digest(path):
            return hashlib.sha256(path.read_bytes()).hexdigest()

        kernel = self.setup.kernel
        manifest.setdefault("kernels", {})[kernel.name] = {
            "release": kernel.release, "image sha256": digest(kernel.image),
            "config sha256": digest(kernel.config),
            "modules sha256": {path.name: digest(path) for path in self.modules}}
        manifest.setdefault("machines", {})[self.setup.place] = {
            "emulator": self.machine.command, "CPUs": self.setup.smp, "memory": self.setup.memory,
            "kernel command line": self.command_line}

    def module_files(self):
        """{name: file with symbols} of the modules that may appear in reports."""
        paths = [*self.modules, *self.setup.kernel.kdir.glob("arch/x86/kvm/*.ko")]
        return {path.stem.replace("-", "_"): path for path in paths}

    def decode(self, report):
        script = lab.source() / "scripts/faddr2line"
        return klog.decode(report, script, self.setup.kernel.vmlinux, self.module_files(),
                           self.module_folder)

    def describe_hang(self):
        symbols = hang.Symbols()
        if self.setup.kernel.vmlinux:
            symbols.add(self.setup.kernel.vmlinux)
        for name, path in self.module_files().items():
            if name in self.session.facts:
                symbols.add(path, int(self.session.facts[name], 16), f" [{name}]")
        return str(self.decode(klog.Report("hang", hang.describe(self.where, symbols))))

    def outcome(self, span):
        test = self.tests.get(span.name)
        died = span is self.session.current and self.cause != "power-off"
        cases = results.judge(span, test, self.decode, self.death(span) if died else "")
        return results.Outcome(self.setup.place, span.name, cases, self.reproduce(span, test), span.output, span.raw,
                               seconds=span.seconds, instructions=span.instructions)

    def reproduce(self, span, test):
        """What ran before may have to do with it."""
        spans = self.session.spans
        before = [other.name for other in spans[:spans.index(span)] if other.name in self.tests] if test else []
        alone = self.setup.reproduce(span.name if test else ",".join(self.tests))
        if not before:
            return alone
        return f"{alone}\n    if it passes alone: {self.setup.reproduce(','.join([*before, span.name]))}"

    def death(self, span):
        """How the machine died, with its last words unless a kernel report has them."""
        known = {"hang": "the machine hangs", "triple fault": "triple fault: the CPU shut down",
                 "kernel panic": "the kernel died; its report follows"}
        log = span.raw[-40:]
        what = known.get(self.cause, f"emulator error: {self.cause}")
        if self.cause == "kernel panic":
            return what
        if self.cause == "hang" and self.where:
            what += f"; the CPUs are at:\n{self.describe_hang()}"
            span.raw += ["", "the emulator's debugger:", *self.where.splitlines()]
        return f"{what}\nthe end of the log:\n" + "\n".join(log)


def run_tests(setup, tests, extra, collector, listener=None, plan=None):
    """Runs TESTS, those that need more memory, or ledgers, in a machine that has it."""
    for memory, ledgers in sorted({(test.memory, test.ledgers) for test in tests}):
        run_alike(dataclasses.replace(setup, memory=memory, ledgers=ledgers),
                  [test for test in tests if (test.memory, test.ledgers) == (memory, ledgers)],
                  extra, collector, listener, plan)


def place_in_order(seed, test):
    """A test that comes before another does so whichever others run. Check's own seed leaves them as they are."""
    return test.ends, seed != suite.CHECK_SEED and hashlib.sha256(f"{seed} {test.name}".encode()).hexdigest()


def run_alike(setup, tests, extra, collector, listener, plan):
    """Runs TESTS in an order that the seed decides; if one kills the machine, boots another for the rest."""
    waiting = sorted(tests, key=lambda test: place_in_order(setup.seed, test))
    while waiting:
        with Boot(setup, {"MODE": "tests", "MODULES": "vmx", **(plan or {})}, waiting, extra, listener) as boot:
            boot.record(collector.manifest)
            boot.follow()
            collector.boots.append(results.BootTime(setup.place, boot.session.boot.seconds))
            spans = boot.session.spans or [boot.session.boot]
            ran = {span.name for span in spans}
            for span in spans:
                outcome = boot.outcome(span)
                if outcome.cases:
                    collector.add(outcome)
        left = [test for test in waiting if test.name not in ran]
        if len(left) == len(waiting):
            # It died before the first test: so would the next one.
            for test in left:
                collector.add(results.Outcome(setup.place, test.name, [
                    tap.Case("machine", "failed", "did not run: the machine died before its first test")],
                    setup.reproduce(test.name)))
            return
        waiting = left
