# SPDX-License-Identifier: GPL-2.0
"""The files of a machine: an initramfs with busybox, modules, tools and tests."""

import lzma
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

from machines import cpio
from where import BUILD, INSIDE, Failure, locked, output

BUSYBOX = pathlib.Path("/bin/busybox")
# Modules that tests and benchmarks want from the kernel, where it has them as modules.
KERNEL_MODULES = ("kvm", "kvm-intel", "kvm-amd", "kunit", "msr", "brd", "tun")
# What a guest needs to have its root on a disk, and a card.
DISK_MODULES = ("virtio_pci", "virtio_blk", "virtio_net")


def program(name, folder=INSIDE, kind=("-static", "-pthread")):
    """Compiles a program of the machine or of its guests, if its source changed."""
    source = folder / f"{name}.c"
    program = BUILD / "machine" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    with locked(program):
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", *kind, "-o", program, source], check=True)
    return program


class Link(str):
    """A symbolic link to this path, in place of a file."""


def shared_objects(program):
    """Paths of what a program that is not static needs, where its loader looks for it."""
    result = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    missing = re.findall(r"(\S+) => not found", result.stdout)
    if missing:
        raise Failure(f"{program} needs {', '.join(missing)}, which the loader does not find: install it, name its "
                      "folder in LD_LIBRARY_PATH, or link with -static")
    return re.findall(r"^\s*(?:.* => )?(/.*) \(0x[0-9a-f]+\)$", result.stdout, re.MULTILINE)


def plain_name(path):
    """The name of a module in the image: uncompressed, while modules.dep may name a compressed one."""
    return re.sub(r"\.xz$", "", path)


def needed_modules(kernel, names):
    """{path below the modules folder: [paths it needs]} for modules of these NAMES and what they need."""
    table = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        table[path] = rest.split()
    wanted = {}

    def want(path):
        if path not in wanted:
            wanted[path] = table[path]
            for other in table[path]:
                want(other)

    for path in table:
        if plain_name(pathlib.Path(path).name).removesuffix(".ko") in names:
            want(path)
    return wanted


def own_module_needs(module, kernel_modules):
    """Paths of the kernel's modules that MODULE was linked against, and theirs."""
    text = output("modinfo", "-F", "depends", module)
    by_name = {plain_name(pathlib.Path(path).name).removesuffix(".ko").replace("-", "_"): path
               for path in kernel_modules}
    needs = []
    for name in filter(None, text.split(",")):
        if name == "vmx":
            needs.append("extra/vmx.ko")
        elif name in by_name:
            needs += [by_name[name], *kernel_modules[by_name[name]]]
        else:
            raise Failure(f"{module} needs the module {name}, which the machine's image does not have")
    return needs


def add_modules(archive, kernel, names, own_modules=()):
    where = pathlib.PurePosixPath("/lib/modules", kernel.release)
    kernel_modules = needed_modules(kernel, names)
    lines = []
    for path, needs in kernel_modules.items():
        data = (kernel.modules / path).read_bytes()
        archive.data(where / plain_name(path), lzma.decompress(data) if path.endswith(".xz") else data)
        lines.append(f"{plain_name(path)}: {' '.join(map(plain_name, needs))}\n")
    for module in own_modules:
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "--strip-debug", "-o", stripped.name, module], check=True)
            archive.data(where / "extra" / module.name, pathlib.Path(stripped.name).read_bytes())
        needs = own_module_needs(module, kernel_modules)
        lines.append(f"extra/{module.name}: {' '.join(map(plain_name, needs))}\n")
    archive.data(where / "modules.dep", "".join(lines))


def add_userland(archive):
    archive.node("/dev/console", 5, 1)
    archive.node("/dev/kmsg", 1, 11)
    for name in ("/proc", "/sys", "/tmp", "/usr/bin"):
        archive.folder(name)
    archive.copy("/bin/busybox", BUSYBOX)
    archive.copy("/init", INSIDE / "init")
    archive.copy("/usr/bin/supervise", program("supervise"))
    archive.copy("/usr/bin/door", program("door"))


def initramfs(path, kernel, own_modules, programs, plan, tests):
    """PROGRAMS: {path in the machine: file here}; PLAN: variables; TESTS: (name, limit, command)."""
    with open(path, "wb") as file:
        archive = cpio.Archive(file)
        add_userland(archive)
        add_modules(archive, kernel, KERNEL_MODULES, own_modules)
        for name, program in programs.items():
            if isinstance(program, Link):
                archive.link(name, program)
            else:
                archive.copy(name, program)
        archive.data("/machine/plan", "".join(
            f"export {name}={shlex.quote(str(value))}\n" for name, value in plan.items()))
        add_tests(archive, tests)
        archive.close()


def add_tests(archive, tests):
    archive.data("/machine/tests", "".join(f"{name} {limit} {command}\n" for name, limit, command in tests))


def task(path, kernel, own_modules, tests):
    """What a machine that waits at its door goes on with: TESTS, and modules without what describes them."""
    with open(path, "wb") as file:
        archive = cpio.Archive(file)
        for module in own_modules:
            archive.copy(f"/lib/modules/{kernel.release}/extra/{module.name}", module)
        add_tests(archive, tests)
        archive.close()


def guest_initramfs(path):
    """The initramfs of Linux as a guest of the machine."""
    with open(path, "wb") as file:
        archive = cpio.Archive(file)
        archive.node("/dev/console", 5, 1)
        archive.folder("/proc")
        archive.folder("/sys")
        archive.copy("/bin/busybox", BUSYBOX)
        archive.copy("/bin/exercise", program("exercise"))
        archive.copy("/init", INSIDE / "init-guest")
        archive.copy("/demo", INSIDE / "init-demo")
        archive.copy("/shell", INSIDE / "init-shell")
        archive.close()


def disk_initramfs(path, kernel):
    """The initramfs of a guest with its root on the first disk: finds the disk and starts from there."""
    with open(path, "wb") as file:
        archive = cpio.Archive(file)
        archive.node("/dev/console", 5, 1)
        for name in ("/proc", "/root"):
            archive.folder(name)
        archive.copy("/bin/busybox", BUSYBOX)
        archive.copy("/init", INSIDE / "init-disk")
        add_modules(archive, kernel, DISK_MODULES)
        archive.close()


def guest_root(path):
    """The root file system of such a guest."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        for name in ("bin", "dev", "proc", "sys"):
            (tree / name).mkdir()
        shutil.copy(BUSYBOX, tree / "bin/busybox")
        shutil.copy(program("exercise"), tree / "bin/exercise")
        shutil.copy(INSIDE / "init-guest", tree / "init")
        with open(path, "wb") as file:
            file.truncate(12 << 20)
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, path], check=True)


def single_program(path, program):
    """The initramfs of Linux as a guest whose only process is PROGRAM."""
    with open(path, "wb") as file:
        archive = cpio.Archive(file)
        archive.node("/dev/console", 5, 1)
        archive.folder("/proc")
        archive.copy("/init", program)
        archive.close()
