# SPDX-License-Identifier: GPL-2.0
"""The tests: their names, their needs, their expected kernel reports.

A test says so itself, in comments of its source:

    expect-log: REGEX      a kernel report with a line that matches is this test's doing
    needs: cpus=2          a machine with that many CPUs
    needs: memory=3072     a machine with that many MiB, which boots for such tests alone
    needs: ledgers         the debug build of the module, likewise
    needs: kernel=debug    only kernels whose name matches this glob; check does not run it on others
    ends: the machine      on purpose, so it comes after all others
    limit: 20G             instructions it may take, instead of DEFAULT_LIMIT
"""

import dataclasses
import fnmatch
import pathlib
import re

from where import BUILD, ROOT, Failure

FOLDER = ROOT / "selftests"
DEFAULT_LIMIT = 6_000_000_000
# What `make check` says is about the change that it is run for: random numbers are the same each time, and tests come
# in the order in which they are listed. Any other seed decides about the order as well.
CHECK_SEED = 1806008990
UNITS = {"M": 10**6, "G": 10**9}


@dataclasses.dataclass
class Test:
    name: str
    command: str
    limit: int = DEFAULT_LIMIT
    cpus: int = 1
    memory: int = 512      # MiB
    ledgers: bool = False  # the debug build of the module
    kernel: str = "*"
    not_on: tuple = ()     # CPU models that cannot run it
    ends: bool = False     # the machine
    only_on: tuple = ()    # CPU models that check runs it on, where one is enough
    target: str = ""       # of tools/Makefile, what makes it
    guest: str = ""        # of selftests/Makefile, a kernel that it boots
    prints: str = ""       # a line that it has to print
    expected: list = dataclasses.field(default_factory=list)

    def fits(self, kernel_name, cpu_name):
        return (fnmatch.fnmatch(kernel_name, self.kernel) and cpu_name not in self.not_on
                and cpu_name in (self.only_on or (cpu_name,)))


def tags(text, name):
    return re.findall(rf"^[\s/*#]*{name}:\s*(.*?)\s*(?:\*/)?$", text, re.MULTILINE)


def instructions(what, text):
    match = re.fullmatch(r"(\d+)([MG])", text)
    if not match:
        raise Failure(f"{what}: '{text}' is not a number of instructions like 500M or 20G")
    return int(match.group(1)) * UNITS[match.group(2)]


def from_source(path):
    text = path.read_text()
    test = Test(path.stem, f"/tests/{path.stem}", ends=bool(tags(text, "ends")),
                expected=tags(text, "expect-log"))
    for limit in tags(text, "limit"):
        test.limit = instructions(f"{path}: limit", limit)
    for need in tags(text, "needs"):
        what, _, value = need.partition("=")
        if what == "cpus" and value in ("1", "2", "3", "4"):
            test.cpus = int(value)
        elif what == "memory" and value.isdigit():
            test.memory = int(value)
        elif need == "ledgers":
            test.ledgers = True
        elif what == "kernel" and value:
            test.kernel = value
        else:
            raise Failure(f"{path}: 'needs: {need}' is unknown (examples: cpus=2, memory=3072, kernel=debug)")
    return test


def programs():
    """{name: source} of the kselftest programs. A program has its name from its file, whatever the folder."""
    if stray := next(FOLDER.glob("*_test.c"), None):
        raise Failure(f"{stray}: a test lies in a folder of selftests/; move it to the one whose line in "
                      "Documentation/testing.rst fits")
    found = {}
    for path in sorted(FOLDER.glob("*/*_test.c"), key=lambda path: path.name):
        if path.parent.name not in ("kunit", "lib") and found.setdefault(path.stem, path) != path:
            raise Failure(f"{path} has the name of {found[path.stem]}: programs of tests lie in one folder; rename one")
    return found


def everything():
    """All tests, with KUnit first: it needs no VMX, and its failures are easier to read."""
    return [Test("kunit", "/machine/kunit"), *map(from_source, programs().values())]


def commands():
    """Programs of tools/ that run as tests: they must succeed. Examples that use the ABI alone do without
    page tables, which unrestricted guest allows.
    """
    without_tables = ("penryn", "lynnfield")
    return [Test("hello", "/usr/bin/hello", prints="Hello from 64-bit mode!"),
            Test("raw", "/usr/bin/raw", not_on=without_tables, prints="port 0x10: 42"),
            Test("fibonacci", "/usr/bin/fibonacci", not_on=without_tables, target="fibonacci",
                 prints="1 1 2 3 5 8 13 21 34 55 89 144 "),
            # An interpreter is a lot to boot with.
            Test("python", "/usr/bin/python3 -ISu /examples/hello.py", kernel="fast", only_on=("haswell",),
                 prints="Hello from a guest of Python!"),
            Test("multiboot", "/machine/multiboot", cpus=2),
            Test("device-writes", "/machine/device-writes", guest="tables.elf"),
            Test("disk-moved", "/machine/disk-moved", kernel="fast", only_on=("penryn", "tigerlake"), guest="writer.elf"),
            Test("vmx-demo", "/usr/bin/vmx-demo"),
            Test("linux-demo", "/machine/linux-demo", kernel="fast"),
            *guests()]


def guests():
    """Linux as a guest of Linux: the same kernel, and Debian's for virtual machines, with a root on disk."""
    def linux(name, command, *cpu_names, kernel="fast"):
        return Test(name, f"/machine/{command}", 20 * 10**9, cpus=2, kernel=kernel,
                    only_on=cpu_names)

    # With and without unrestricted guest, second CPUs start in different ways.
    return [linux("linux", "linux /guest 2 2", "lynnfield", "tigerlake"),
            linux("linux-shadow", "linux /guest 2 2 --mmu shadow", "penryn", "tigerlake"),
            linux("linux-6.1-shadow", "linux /guest/cloud-6.1 2 1 --mmu shadow", "penryn", "tigerlake"),
            linux("linux-shadow-up", "linux /guest 1 1 --mmu shadow", "penryn", "tigerlake"),
            linux("linux-6.1-shadow-up", "linux /guest/cloud-6.1-memory 1 1 --mmu shadow", "penryn", "tigerlake"),
            linux("linux-pressure", "linux-pressure", "penryn", "tigerlake"),
            linux("linux-paused", "linux-paused", "tigerlake"),
            linux("linux-pair", "linux-pair", "tigerlake"),
            linux("linux-saved", "linux-saved /guest 2", "lynnfield", "tigerlake"),
            linux("linux-saved-shadow", "linux-saved /guest 2 --mmu shadow", "penryn"),
            linux("linux-moved", "linux-moved /guest 2", "tigerlake"),
            linux("linux-moved-shadow", "linux-moved /guest 2 --mmu shadow", "penryn"),
            linux("linux-again", "linux-again 50", "lynnfield", "tigerlake"),
            linux("linux-6.1", "linux /guest/cloud-6.1 2 2", "lynnfield", "haswell"),
            linux("linux-6.12", "linux /guest/cloud-6.12 2 2", "haswell"),
            linux("linux-6.1-up", "linux /guest/cloud-6.1-memory 1 1", "haswell"),
            linux("linux-6.12-up", "linux /guest/cloud-6.12-memory 1 1", "haswell"),
            # Its RAM goes on above 4 GiB, and its disks' buffers are there.
            linux("linux-large", "linux /guest/cloud-6.12 2 1 --memory 5G", "haswell"),
            linux("linux-disk", "linux /guest/disk 2 2", "lynnfield", "haswell"),
            # The fast kernel has no network.
            linux("linux-net", "linux-net /guest/cloud-6.12 messages", "haswell", kernel="debian-6.12"),
            linux("linux-net-pins", "linux-net /guest/cloud-6.12 pins", "haswell", kernel="debian-6.12")]


def choose(patterns):
    """T=: names or globs, with or without '_test', separated by commas or spaces."""
    tests = everything() + commands()
    chosen = []
    for pattern in re.split(r"[,\s]+", patterns.strip()):
        found = [test for test in tests
                 if fnmatch.fnmatch(test.name, pattern) or fnmatch.fnmatch(test.name, f"{pattern}_test")]
        if not found:
            raise Failure(f"T={pattern}: unknown test; give some of: {', '.join(t.name for t in tests)}")
        chosen += [test for test in found if test not in chosen]
    return chosen


def binaries(tests):
    """{path in the machine: file here} of the programs TESTS run."""
    found = {}
    for test in tests:
        program = BUILD / "selftests" / pathlib.PurePath(test.command.split()[0]).name
        if test.command.startswith("/tests/"):
            if not program.exists():
                raise Failure(f"{program} was not built: `make -C selftests` must build it")
            found[test.command.split()[0]] = program
    return found
