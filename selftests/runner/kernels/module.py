# SPDX-License-Identifier: GPL-2.0
"""Builds vmx.ko (and vmx_kunit.ko) for one kernel, in a folder of links of its own.

Kbuild puts objects next to sources; links keep those of several kernels apart.
"""

import os
import pathlib
import subprocess

from where import BUILD, ROOT, Failure, environment, jobs

# Folders of the checkout that hold nothing the module is built from.
NOT_MODULE = {".git", ".ci", "build", "ci", "tools", "Documentation", "machine", "packaging"}
SUFFIXES = {".c", ".h", ".S"}
# Makefile at the top is for people; below it, it may be kbuild's.
NAMES = {"Kbuild", "Kconfig"}
# What make was told that kbuild understands too.
PASSED = ("V", "W", "C", "CF", "CC", "LLVM", "KCFLAGS")


def sources():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_MODULE]
        for name in names:
            if pathlib.Path(name).suffix in SUFFIXES or name in NAMES:
                yield pathlib.Path(folder, name).relative_to(ROOT)


def link_sources(folder):
    wanted = set(sources())
    for path in folder.rglob("*"):
        if path.is_symlink() and path.relative_to(folder) not in wanted:
            path.unlink()
    for source in wanted:
        link = folder / source
        # A checkout that has been moved has links to the old place.
        if not link.is_symlink() or link.readlink() != ROOT / source:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT / source)


def make(kdir, folder, options=(), quiet=True):
    """Builds the sources in FOLDER for KDIR; returns what was printed, if QUIET."""
    passed = [f"{key}={os.environ[key]}" for key in PASSED if os.environ.get(key)]
    command = ["make", "-C", str(kdir), f"M={folder}", f"-j{jobs()}", "--output-sync=target", *passed, *options,
               "modules"]
    result = subprocess.run(command, env=environment(*PASSED), stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE if quiet else None,
                            stderr=subprocess.STDOUT if quiet else None)
    if result.returncode:
        raise Failure(f"{result.stdout or ''}the module does not build for {folder.name}\n"
                      f"reproduce: {' '.join(command)}")
    return result.stdout


def build(kdir, name, options=(), quiet=False, want_output=False):
    """Builds for KDIR in build/module/NAME; returns that folder, or the output."""
    if not (ROOT / "Kbuild").exists():
        raise Failure(f"cannot build the module: {ROOT}/Kbuild does not exist")
    folder = BUILD / "module" / name
    folder.mkdir(parents=True, exist_ok=True)
    link_sources(folder)
    output = make(kdir, folder, options, quiet)
    return output if want_output else folder


def built(folder):
    """The modules in FOLDER, with vmx.ko first, since the others may need it."""
    return sorted(folder.glob("*.ko"), key=lambda path: (path.name != "vmx.ko", path.name))


def default_kdir():
    """The kernel that plain `make` builds for: the running one, or else the newest installed headers."""
    running = pathlib.Path("/lib/modules", os.uname().release, "build")
    if (running / "Makefile").exists():
        return running
    headers = [path for path in pathlib.Path("/usr/src").glob("linux-headers-*")
               if (path / "Module.symvers").exists()]
    if not headers:
        raise Failure("no kernel headers are installed: `make deps` installs some, or give KDIR=")
    return max(headers, key=lambda path: path.stat().st_mtime)
