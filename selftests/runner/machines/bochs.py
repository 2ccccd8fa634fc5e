# SPDX-License-Identifier: GPL-2.0
"""The Bochs emulator: a PC with VMX on any computer."""

import os
import pathlib
import select
import signal
import socket
import subprocess
import threading
import time

from machines import image, loader, newbochs
from where import RUNNER, Failure, bound

# Decides how long an emulated device takes; 50 million is near what a host core really does.
INSTRUCTIONS_PER_SECOND = 50_000_000
# MiB; Bochs keeps what a machine uses beyond that in a file.
HOST_MEMORY_MAX = 2048

CONFIGURATION = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file={share}/BIOS-bochs-latest
vgaromimage: file={share}/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx, slot1=pcivga
cpu: model={model}, count={count}, ips={ips}, reset_on_triple_fault=0
memory: guest={memory}, host={host_memory}
clock: sync=none, time0=1
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
boot: disk
sound: waveoutdrv=dummy, waveout=none, waveindrv=dummy, wavein=none, midioutdrv=dummy, midiout=none
com1: enabled=1, mode={console_mode}, dev={console}
panic: action=fatal
error: action=report
info: action=ignore
log: {log}
"""


def wanted(cpu):
    """The version of BOCHS=, or a newer one that the model needs."""
    given = os.environ.get("BOCHS") or "2"
    if given not in ("2", "3"):
        raise Failure(f"BOCHS={given}: unknown version; give 2 (Debian 12's) or 3 (Debian 13's)")
    return max(cpu.version, int(given))


class Bochs:
    """One emulated PC. FOLDER has the initrd, and gets configuration, image and logs."""

    name = "bochs"
    # How many ticks of the TSC stand for one instruction of a limit.
    limit_scale = 1
    # Its interrupts do not end every guest's stay: Documentation/emulator.rst.
    variables = {"VMXRUN_SHORT_STAYS": 1}
    # CPUID of some models claims GHz; the kernel would take every device for very slow.
    kernel_options = f"tsc_early_khz={INSTRUCTIONS_PER_SECOND // 1000}"
    # XSAVE areas of these do not add up in Bochs 2. The kernel gives XSAVE up when it has set half of it up, and
    # then writes past the FPU states that it lends.
    without_xsave = ("skylake", "icelake", "tigerlake")

    def __init__(self, folder, setup, command_line, terminal=None):
        self.folder = folder
        self.cpus = setup.smp
        self.console = folder / "console.log"
        self.log = folder / "bochs.log"
        self.console.write_bytes(b"")
        root = newbochs.find() if setup.bochs == 3 else None
        if setup.cpu.name in self.without_xsave and not root:
            command_line += " noxsave"
        boot = loader.prepare(folder, setup.kernel, folder / "initrd", command_line, setup.memory << 20)
        share = (root or pathlib.Path("/")) / "usr/share/bochs"
        (folder / "bochsrc").write_text(CONFIGURATION.format(
            share=share, model=setup.cpu.model, count=setup.smp,
            ips=INSTRUCTIONS_PER_SECOND, memory=setup.memory,
            host_memory=min(setup.memory, HOST_MEMORY_MAX), log=self.log,
            console_mode="term" if terminal else "file", console=terminal or self.console) + boot)
        # Debian's build has the debugger and waits for a command.
        (folder / "commands").write_text("c\n")
        program = newbochs.command(root) if root else ["bochs"]
        self.environment = newbochs.environment(root) if root else None
        self.command = [*program, "-q", "-f", str(folder / "bochsrc"), "-rc", str(folder / "commands")]

    def start(self, **more):
        with open(self.folder / "bochs.out", "wb") as out:
            self.process = subprocess.Popen(bound(self.command), stdin=subprocess.PIPE, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            **{"env": self.environment, **more})
        self.pid = self.process.pid

    def clock(self):
        """Seconds of CPU time that the emulator has had. A busy computer gives it few, which is no hang."""
        try:
            words = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return time.monotonic()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def running(self):
        return self.process.poll() is None

    def stop(self):
        if self.running():
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def interrogate(self):
        """Stops the emulated CPUs and returns the debugger's answer about them."""
        out = self.folder / "bochs.out"
        start = out.stat().st_size
        commands = "".join(f"set $cpu = {cpu}\nr\nprint-stack 64\ncreg\n" for cpu in range(self.cpus))
        try:
            self.process.send_signal(signal.SIGINT)
            self.process.stdin.write(commands.encode())
            self.process.stdin.flush()
            for _ in range(300):
                time.sleep(0.1)
                if out.read_bytes()[start:].count(b"EFER=") == self.cpus:
                    break
        except (BrokenPipeError, ProcessLookupError):
            return ""
        return out.read_bytes()[start:].decode(errors="replace")

    def ended_by(self):
        """The reason for the emulator's end: 'power-off', 'triple fault' or its own message."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        text += (self.folder / "bochs.out").read_text(errors="replace")
        if "soft power off" in text:
            return "power-off"
        if "3rd (" in text and "exception with no resolution" in text or "shutdown status" in text:
            return "triple fault"
        lines = [line for line in text.splitlines() if "PANIC" in line or "panic" in line]
        return lines[-1] if lines else "it ended without a word"


class Trunk(Bochs):
    """A machine that boots, and then stands still: copies of its process go on from there. See branch.c."""

    def start(self):
        self.lock = threading.Lock()
        self.asked, theirs = socket.socketpair()
        with theirs:
            super().start(pass_fds=[theirs.fileno()], env={
                **(self.environment or os.environ), "LD_PRELOAD": str(image.program("branch", RUNNER / "mistakes", ("-shared", "-fPIC"))),
                "VMX_BRANCH": str(theirs.fileno())})

    def stand_still(self):
        self.process.send_signal(signal.SIGUSR1)
        missing = self._answer()
        if missing:
            raise Failure(f"{missing} pages of the machine's door are not in the emulator's memory")

    def copy(self, files, task):
        """The PID of a copy that uses FILES, {own: other}, in place of its own, and gets TASK."""
        lines = [str(name) for pair in files.items() for name in pair]
        with self.lock:
            self.asked.sendall("\n".join([*lines, str(task), "\n"]).encode())
            pid = self._answer()
        if not pid:
            raise Failure("the emulator does not make a copy of itself: is there too little memory?")
        return pid

    def _answer(self):
        answer = self.asked.recv(64)
        if not answer.endswith(b"\n"):
            raise Failure(f"the emulator has ended: {self.ended_by()}")
        return int(answer)

    def stop(self):
        super().stop()
        self.asked.close()


class Copy(Bochs):
    """A copy of a machine that stands still, with a task of its own: a file in FOLDER."""

    def __init__(self, trunk, folder):
        self.trunk, self.folder = trunk, folder
        self.console, self.log = folder / "console.log", folder / "bochs.log"

    def start(self):
        names = ("console.log", "bochs.log", "bochs.out")
        for name in names:
            (self.folder / name).write_bytes(b"")
        self.pid = self.trunk.copy({self.trunk.folder / name: self.folder / name for name in names},
                                   self.folder / "task")
        self.process = os.pidfd_open(self.pid)

    def running(self):
        return not select.select([self.process], [], [], 0)[0]

    def stop(self):
        if self.running():
            signal.pidfd_send_signal(self.process, signal.SIGKILL)
            select.select([self.process], [], [])
        os.close(self.process)

    def interrogate(self):
        """The debugger listens to the trunk alone."""
        return ""
