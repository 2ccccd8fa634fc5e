# SPDX-License-Identifier: GPL-2.0
"""MACHINE=host: loads the module into the running kernel of this computer. Only on request."""

import os
import platform
import subprocess
import time

import klog
import results
import session
import suite
from kernels import lab, module
from where import Failure, say

PLACE = f"host-{platform.release()}/host"
# A test that has not ended by then is stuck: real processors need no more.
SECONDS = 120


def kernel_log_since(start):
    """Lines that the kernel log has gained since START."""
    text = subprocess.run(["dmesg"], stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = text.splitlines()
    return lines[len(start):] if lines[:len(start)] == start else lines


def run_one(test, program, environment):
    """Runs a test and returns a Span, like a machine's console."""
    span = session.Span(test.name)
    before = kernel_log_since([])
    try:
        result = subprocess.run([program], env=environment, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                                errors="replace")
        span.output = result.stdout.splitlines()
        span.ended, span.code = ("signal", -result.returncode) if result.returncode < 0 \
            else ("exit", result.returncode)
    except subprocess.TimeoutExpired as expired:
        span.output = (expired.stdout or b"").decode(errors="replace").splitlines()
        span.timeout = True
    gained = kernel_log_since(before)
    span.kernel = [session.STAMP.sub("", line) for line in gained]
    span.raw = span.output + gained
    return span


def run(tests, seed, collector):
    if os.getuid():
        raise Failure("MACHINE=host loads a module into this computer's kernel: run it as root")
    kdir = module.default_kdir()
    folder = module.build(kdir, "host", quiet=True)
    vmx = folder / "vmx.ko"
    say(f"MACHINE=host: loading {vmx} into this computer's kernel")
    result = subprocess.run(["/sbin/insmod", vmx], text=True, stderr=subprocess.PIPE)
    if result.returncode:
        raise Failure(f"insmod: {result.stderr.strip()}")
    environment = dict(os.environ, VMX_SEED=str(seed), VMX_REQUIRED="1")
    files = suite.binaries(tests)
    script = lab.source() / "scripts/faddr2line"

    def decode(report):
        return klog.decode(report, script, None, {"vmx": vmx}, folder)

    try:
        for test in tests:
            if test.command not in files:
                continue
            started = time.monotonic()
            span = run_one(test, files[test.command], environment)
            collector.add(results.Outcome(
                PLACE, test.name, results.judge(span, test, decode),
                f"make test MACHINE=host T={test.name} SEED={seed}", span.output, span.raw,
                seconds=time.monotonic() - started))
    finally:
        subprocess.run(["/sbin/rmmod", "vmx"], check=False)
