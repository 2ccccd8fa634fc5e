# SPDX-License-Identifier: GPL-2.0
"""Paths, messages, locks, and commands with a log."""

import fcntl
import os
import pathlib
import subprocess
import sys
import time

RUNNER = pathlib.Path(__file__).resolve().parent
INSIDE = RUNNER / "machines/inside"  # programs and scripts that run in the machine
ROOT = RUNNER.parent.parent
BUILD = ROOT / "build"


def cache():
    """The cache, which `make clean` keeps and all checkouts on this computer share."""
    xdg = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("VMX_CACHE") or os.path.join(xdg, "vmx"))


class Failure(Exception):
    """Something the user can act on: printed as it is, without a traceback."""


def say(text):
    print(text, flush=True)


def jobs():
    return int(os.environ.get("JOBS") or os.cpu_count() or 1)


def environment(*without, **more):
    """The environment for another build, without the flags and the job server of an outer make."""
    dropped = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", *without}
    return {**{key: value for key, value in os.environ.items() if key not in dropped}, **more}


def bound(command):
    """Makes COMMAND die with the thread that starts it, since a killed process cannot stop others."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)]


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


class locked:
    """Holds PATH.lock, so that two builders never work on the same tree."""

    def __init__(self, path):
        self.path = pathlib.Path(f"{path}.lock")

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  waiting for another build of {self.path.stem}")
            fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.file.close()


def run_logged(what, command, log, counts=None, **kwargs):
    """Runs COMMAND with its output in LOG, and shows progress. A failure shows the end of the log.

    COUNTS names what a line of output stands for; a line that starts with two spaces is one of make's.
    """
    started = shown = time.monotonic()
    done = 0
    show_live = sys.stdout.isatty()
    with open(log, "ab") as file:
        process = subprocess.Popen(bound(command), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **kwargs)
        for line in process.stdout:
            file.write(line)
            done += line.startswith(b"  ")
            now = time.monotonic()
            if now - shown >= (0.5 if show_live else 15):
                shown = now
                progress = f"{done} {counts}, " if counts else ""
                text = f"  {what}: {progress}{now - started:.0f} s"
                print(f"\r{text}\033[K" if show_live else text, end="" if show_live else "\n",
                      flush=True)
        status = process.wait()
    if show_live:
        print("\r\033[K", end="")
    if status:
        tail = log.read_text(errors="replace").splitlines()[-30:]
        raise Failure("\n".join(tail) + f"\n{what} failed (exit code {status}); the whole log: {log}")
    say(f"  {what}: {time.monotonic() - started:.0f} s")
