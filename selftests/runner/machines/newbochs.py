# SPDX-License-Identifier: GPL-2.0
"""BOCHS=3: unpacks the Bochs of Debian 13 into the cache, for features that only it emulates."""

import os
import shutil
import subprocess

from where import Failure, cache, locked, run_logged

SUITE = "trixie"
PACKAGES = "bochs,bochsbios,vgabios"


def unpack(root):
    """Unpacks Bochs with its libraries, so that it runs without a chroot and without configuration."""
    if not shutil.which("debootstrap", path="/usr/sbin:/sbin:" + os.environ["PATH"]):
        raise Failure("BOCHS=3 needs the package debootstrap: `make deps` installs it")
    as_root = [] if os.getuid() == 0 else ["sudo"]
    root.mkdir(parents=True)
    log = root.with_suffix(".log")
    run_logged(f"fetching Bochs 3 from Debian {SUITE}",
               [*as_root, "env", "PATH=/usr/sbin:/sbin:/usr/bin:/bin", "debootstrap", "--foreign",
                "--variant=minbase", f"--include={PACKAGES}", SUITE, root], log)
    for deb in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run([*as_root, "dpkg-deb", "-x", deb, root], check=True)


def find():
    root = cache() / f"bochs-{SUITE}"
    with locked(root):
        if not (root / ".done").exists():
            shutil.rmtree(root, ignore_errors=True)
            unpack(root)
            (root / ".done").touch()
    return root


def command(root):
    """The command that runs it, with its own loader and libraries."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries),
            str(root / "usr/bin/bochs-bin")]


def environment(root):
    return dict(os.environ, BXSHARE=str(root / "usr/share/bochs"),
                LTDL_LIBRARY_PATH=str(root / "usr/lib/x86_64-linux-gnu/bochs/plugins"))
