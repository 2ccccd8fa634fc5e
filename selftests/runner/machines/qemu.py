# SPDX-License-Identifier: GPL-2.0
"""QEMU with KVM: the same machine on a computer that has VMX and lets guests use it."""

import pathlib
import shutil
import subprocess
import time

from where import Failure, bound

# Modules whose parameter says whether their guests get VMX.
NESTED = pathlib.Path("/sys/module/kvm_intel/parameters/nested")


def why_not():
    """The reason why MACHINE=kvm does not work here, or None."""
    if not pathlib.Path("/dev/kvm").exists():
        return "there is no /dev/kvm"
    if not NESTED.exists() or NESTED.read_text().strip() not in ("Y", "1"):
        return "KVM does not give VMX to its guests (kvm_intel nested=1)"
    return None


class Qemu:
    name = "kvm"
    # Its TSC counts time, not instructions: some 3 GHz where Bochs has 100 MHz.
    limit_scale = 30
    variables = {}
    kernel_options = ""

    def __init__(self, folder, setup, command_line, terminal=None):
        missing = why_not()
        if missing:
            raise Failure(f"MACHINE=kvm: {missing}; MACHINE=bochs works on any computer")
        self.folder = folder
        self.console = folder / "console.log"
        self.console.write_bytes(b"")
        serial = f"{terminal}" if terminal else f"file:{self.console}"
        self.command = ["qemu-system-x86_64", "-enable-kvm", "-cpu", "host", "-smp", str(setup.smp),
                        "-m", str(setup.memory), "-display", "none", "-no-reboot", "-monitor", "none",
                        "-serial", serial, "-kernel", str(setup.kernel.image),
                        "-initrd", str(folder / "initrd"), "-append", command_line]

    def start(self):
        if not shutil.which(self.command[0]):
            raise Failure("MACHINE=kvm needs the package qemu-system-x86")
        with open(self.folder / "qemu.out", "wb") as out:
            self.process = subprocess.Popen(bound(self.command), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def clock(self):
        """Seconds for the hang detection: an idle QEMU uses none of the processor's."""
        return time.monotonic()

    def running(self):
        return self.process.poll() is None

    def stop(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def interrogate(self):
        return ""

    def ended_by(self):
        """QEMU ends in the same way after a power-off and a triple fault; the console tells which it was."""
        if self.process.returncode:
            return (self.folder / "qemu.out").read_text(errors="replace").strip()
        if b"reboot: Power down" in self.console.read_bytes()[-4096:]:
            return "power-off"
        return "triple fault"
