# SPDX-License-Identifier: GPL-2.0
"""`make shell`: connects the user's terminal to the machine's serial console."""

import os
import pty
import select
import sys
import termios
import tty

from machines import machine
from where import Failure, say

ESCAPE = b"\x1d"     # Ctrl-]

MESSAGE = """
vmx.ko is loaded: /dev/vmx. The tools are on PATH, the tests in /tests. Linux as a guest:

    vmxrun --kernel /guest/kernel --initrd /guest/initrd --append "console=ttyS0 quiet rdinit=/shell"

`poweroff -f` or Ctrl-] ends the machine.

"""


def bridge(master, alive):
    """Copies both ways until the machine ends or the user leaves."""
    keyboard = sys.stdin.fileno()
    while alive():
        ready, _, _ = select.select([keyboard, master], [], [], 0.2)
        if master in ready:
            try:
                data = os.read(master, 4096)
            except OSError:
                return
            os.write(sys.stdout.fileno(), data)
        if keyboard in ready:
            data = os.read(keyboard, 1024)
            if not data or ESCAPE in data:
                return
            os.write(master, data)


def run(setup, tests, extra):
    """Boots a machine with the files of TESTS and EXTRA."""
    if not sys.stdin.isatty():
        raise Failure("make shell needs a terminal as its input and output")
    master, slave = pty.openpty()
    tty.setraw(slave)
    saved = termios.tcgetattr(sys.stdin)
    boot = machine.Boot(setup, {"MODE": "shell", "MODULES": "vmx", "MESSAGE": MESSAGE, "FOLDER": os.getcwd()},
                        tests, extra, terminal=os.ttyname(slave))
    say(f"booting {setup.place}, about 10 s; Ctrl-] leaves")
    with boot:
        try:
            tty.setraw(sys.stdin)
            bridge(master, boot.machine.running)
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, saved)
    say("")
    return 0
