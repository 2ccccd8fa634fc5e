# SPDX-License-Identifier: GPL-2.0
"""`make run`: a program of the user's own in the machine, and the files of `make shell`.

A file lies in the machine where it lies here, and the program starts in the same folder: a command line
that works here works there.
"""

import glob
import os
import pathlib
import shlex
import shutil
import signal
import struct

import klog
import results
import suite
from machines import image, machine, python
from where import BUILD, Failure, output, say

NAME = "program"
LOG = results.FOLDER / "run"
COMPILED = BUILD / "machine/python"
UNLIMITED = 10**18
# What `make run` ends with when the fault is not the program's own.
TIMED_OUT, BROKEN = 124, 125

# The machine fills these itself.
RESERVED = ("/dev", "/proc", "/sys", "/machine", "/lib/modules")
PATH = "/usr/bin:/bin"
OWN = ("/init", "/bin/busybox", "/usr/bin/supervise")
# MiB of the machine, and of files that fit in it: the image holds them, and the root file system, which
# is half of memory.
MEMORY, MEMORY_MAX, SMALL = 512, 3072, 96

ARCHITECTURES = {2: "SPARC", 8: "MIPS", 20: "PowerPC", 21: "64-bit PowerPC", 22: "S/390", 40: "32-bit ARM",
                 183: "64-bit ARM", 243: "RISC-V", 258: "LoongArch"}
I386, X86_64 = 3, 62


def commands():
    """Names that the machine's PATH has."""
    tools = {pathlib.PurePath(path).name for path in machine.programs() if path.startswith("/usr/bin/")}
    return tools | set(output(image.BUSYBOX, "--list").split())


def refuse_reserved(name, path):
    if any(pathlib.PurePath(path).is_relative_to(folder) for folder in RESERVED):
        raise Failure(f"{name} lies in a folder that the machine fills itself ({', '.join(RESERVED)}): copy it elsewhere")


class Files:
    """{path in the machine: file here} of what the user names, and of what that needs."""

    def __init__(self):
        self.machine = machine.programs()
        self.found = {}

    def add(self, name, path, source):
        """SOURCE at PATH; NAME is what the user called it."""
        refuse_reserved(name, path)
        if path in OWN or str(self.machine.get(path, path)) != path:
            raise Failure(f"{name}: the machine has a file of its own at {path}; copy or rename yours")
        self.found[path] = source

    def add_program(self, name, path):
        """An executable, with its libraries or its interpreter."""
        if not path.exists():
            raise Failure(f"{name}: there is no such file")
        if not path.is_file():
            raise Failure(f"{name} is not a file: name the program itself")
        if not os.access(path, os.X_OK):
            raise Failure(f"{name} is not executable: chmod +x {path}")
        self.add(name, str(path), path)
        with open(path, "rb") as file:
            start = file.read(256)
        if start.startswith(b"\x7fELF"):
            self._add_elf(name, path, start)
        elif start.startswith(b"#!"):
            self._add_script(name, path, start)
        else:
            raise Failure(f"{name} is neither an ELF program nor a script: its first line does not begin with #!")

    def _add_elf(self, name, path, start):
        architecture, = struct.unpack_from("<H" if start[5] == 1 else ">H", start, 18)
        if architecture not in (I386, X86_64):
            what = ARCHITECTURES.get(architecture, f"architecture {architecture}")
            raise Failure(f"{name} is a program for {what}, and the machine is an x86-64 PC: compile it for that")
        for library in image.shared_objects(path):
            self.add(library, library, pathlib.Path(library))

    def _add_script(self, name, path, start):
        words = start[2:].split(b"\n")[0].decode(errors="replace").split()
        if not words:
            raise Failure(f"{name}: its first line names no interpreter after #!")
        interpreter = self._add_interpreter(name, words[0])
        if interpreter.name == "env":
            named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
            interpreter = self._add_interpreter(name, *named[:1])
        if interpreter.name.startswith("python"):
            COMPILED.mkdir(parents=True, exist_ok=True)
            self.found.update(python.modules(path, COMPILED))

    def _add_interpreter(self, name, word=""):
        found = pathlib.Path(shutil.which(word, path=PATH) or word)
        # The machine's own, at the place that scripts name.
        if found.parent == pathlib.Path("/bin") and found.name in output(image.BUSYBOX, "--list").split():
            return found
        if not word or not found.is_file():
            raise Failure(f"{name}: its interpreter {word!r} is not here: install it, or correct the first line")
        if str(found) not in self.found:
            self.add_program(str(found), found)
        return found

    def add_data(self, name):
        """What FILES= names: a file, or a folder with all that is in it."""
        path = pathlib.Path(os.path.abspath(name))
        refuse_reserved(f"FILES={name}", path)
        if path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.is_symlink() or not item.is_dir())
            for item in inside:
                self._add_item(item)
        elif path.exists():
            self._add_item(path, follow=True)
        else:
            raise Failure(f"FILES={name}: there is no such file")

    def _add_item(self, path, follow=False):
        if path.is_symlink() and not follow:
            self.add(str(path), str(path), image.Link(os.readlink(path)))
        elif not path.is_file():
            raise Failure(f"FILES: {path} is neither a file nor a folder")
        elif os.access(path, os.X_OK):
            self._add_helper(path)
        else:
            self.add(str(path), str(path), path)

    def _add_helper(self, path):
        """It may be a program that PROGRAM starts; or one for a guest, and then it needs nothing from here."""
        try:
            self.add_program(str(path), path)
        except Failure as failure:
            self.add(str(path), str(path), path)
            say(f"note: {failure}")

    def memory(self):
        """MiB that a machine with these files needs."""
        size = sum(path.stat().st_size for path in self.found.values() if isinstance(path, pathlib.Path)) >> 20
        memory = MEMORY if size <= SMALL else MEMORY + 4 * (size - SMALL)
        if memory > MEMORY_MAX:
            raise Failure(f"PROGRAM= and FILES= are {size} MiB, and the machine has room for "
                          f"{(MEMORY_MAX - MEMORY) // 4 + SMALL}")
        return memory


def named(text):
    """The files that FILES= names: words as in a shell, where * and ? match."""
    for word in split("FILES", text):
        matches = sorted(glob.glob(word)) or [word]
        yield from matches


def split(name, text):
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Failure(f"{name}={text}: {error}") from error


def files(text):
    """Of `make shell`."""
    collected = Files()
    for name in named(text):
        collected.add_data(name)
    return collected


def gather(words, text):
    collected = files(text)
    program = words[0]
    if "/" in program:
        collected.add_program(f"PROGRAM={program}", pathlib.Path(os.path.abspath(program)))
    elif program not in commands():
        raise Failure(f"PROGRAM={program}: the machine has no command of that name. Give a program of your own by "
                      f"its path: ./{program}")
    return collected


def listener(answer):
    """The program's output goes to ANSWER; what the kernel says meanwhile goes beside it."""
    def show(span, mark, text):
        if span.name != NAME or span.ended:
            return
        if mark == "|":
            print(text, file=answer, flush=True)
        elif mark == "":
            say(f"kernel: {text}")
    return show


def verdict(boot):
    """(exit status, what there is to say)"""
    span = next((span for span in boot.session.spans if span.name == NAME), boot.session.boot)
    said = [f"kernel: {report.kind} report:\n{boot.decode(report)}" for item in boot.session.spans
            for report in klog.reports(item.kernel)]
    if boot.cause != "power-off":
        return BROKEN, [*said, boot.death(span)]
    if span.timeout:
        return TIMED_OUT, [*said, "stopped by LIMIT=; the log says what it was doing"]
    if span.ended == "signal":
        return 128 + span.code, [*said, f"killed by signal {span.code} ({signal.strsignal(span.code)})"]
    if span.ended == "exit":
        return span.code or BROKEN * bool(said), [*said, f"exit status {span.code}"]
    return BROKEN, [*said, "the machine was switched off before the program ended"]


def run(make_setup, program, text, limit, answer):
    """PROGRAM and FILES= as given; the program's output goes to ANSWER."""
    words = split("PROGRAM", program)
    if not words:
        raise Failure("PROGRAM= is missing. For instance: make run PROGRAM='./mine --fast data' FILES='data'")
    # The machine reads its tests line by line.
    if "\n" in program:
        raise Failure("PROGRAM= has more than one line: put the command into a script")
    collected = gather(words, text)
    setup = make_setup()
    setup.memory = collected.memory()
    test = suite.Test(NAME, shlex.join(words), limit)
    say(f"{setup.place}, {setup.smp} CPU{'s' if setup.smp > 1 else ''}: booting, about 10 s")
    with machine.Boot(setup, {"MODE": "tests", "MODULES": "vmx", "FOLDER": os.getcwd(),
                              "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")},
                      [test], collected.found, listener(answer)) as boot:
        boot.silence = float("inf")
        boot.follow()
        status, said = verdict(boot)
        LOG.mkdir(parents=True, exist_ok=True)
        lines = [line for span in [boot.session.boot, *boot.session.spans] for line in span.raw]
        (LOG / "console.log").write_text("\n".join(lines) + "\n")
    say("\n".join(said[:-1] + [f"{words[0]}: {said[-1]}"]))
    if status:
        say(f"the kernel's log: {LOG}/console.log")
    return status
