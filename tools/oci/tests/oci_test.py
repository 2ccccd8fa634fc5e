#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""oci_test.py RUNTIME...: calls an OCI runtime as podman and containerd call it, and looks at what it leaves.

RUNTIME is vmxoci with the stand-in for machines, or crun alone: whatever crun passes, vmxoci has to. Tests of
what a VM differs in have names that begin with vm_; crun is not asked for them.
"""

import os
import signal
import subprocess
import sys
import traceback

import world as worlds

if __name__ == "__main__":
    REASON = worlds.why_not()
    if REASON:
        print(f"TAP version 13\n1..0 # SKIP {REASON}")
        sys.exit(0)
    worlds.enter()

import failures
import lifecycle
import processes

MODULES = (lifecycle, processes, failures)


def chosen(plain):
    """(name, function) of the tests; PLAIN: without those of VMs."""
    for module in MODULES:
        for test in module.TESTS:
            if not plain or not test.__name__.startswith("vm_"):
                yield f"{module.__name__}.{test.__name__}", test


def run(test, world):
    """Why it failed, or None."""
    try:
        test(world)
        worlds.until(lambda: not world.left(), "nothing is left")
    except Exception:
        return traceback.format_exc() + "".join(f"left: {what}\n" for what in world.left()[:5])
    return None


def tidy(world):
    """After a failure, so that the next test is judged by itself."""
    for folder in world.root.glob("*"):
        subprocess.run([*world.runtime, "--root", str(world.root), "delete", "--force", folder.name],
                       stderr=subprocess.DEVNULL)


def main():
    runtime = [os.path.abspath(word) if "/" in word else word for word in sys.argv[1:]]
    only = os.environ.get("ONLY", "")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    tests = [(name, test) for name, test in chosen(os.path.basename(runtime[0]) == "crun") if only in name]
    world = worlds.World(runtime)
    good = True
    print(f"TAP version 13\n1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        why = run(test, world)
        if why:
            print("".join(f"# {line}\n" for line in why.splitlines()), end="")
            tidy(world)
            good = False
        print(f"{'not ok' if why else 'ok'} {number} oci.{name}", flush=True)
    world.end()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
