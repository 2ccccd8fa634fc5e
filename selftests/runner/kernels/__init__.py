# SPDX-License-Identifier: GPL-2.0
"""KERNEL=...: a lab kernel, a stock kernel of Debian, or any built tree."""

import dataclasses
import pathlib

from kernels import lab, stock
from where import Failure


@dataclasses.dataclass
class Kernel:
    name: str             # names its results and its module build
    spec: str             # what to type after KERNEL=
    release: str
    image: pathlib.Path   # what the boot loader loads
    kdir: pathlib.Path    # what modules are built against
    root: pathlib.Path    # holds lib/modules/RELEASE
    config: pathlib.Path

    @property
    def modules(self):
        return self.root / "lib/modules" / self.release

    @property
    def vmlinux(self):
        """The kernel with symbols, to decode addresses; stock kernels have none."""
        path = self.kdir / "vmlinux"
        return path if self.kdir == self.image.parents[3] else None

    @property
    def slow(self):
        """Does the kernel check every memory access? It is then several times slower."""
        options = self.config.read_text().splitlines()
        return "CONFIG_KASAN=y" in options or "CONFIG_KCSAN=y" in options


def from_tree(name, spec, tree):
    image = tree / "arch/x86/boot/bzImage"
    release = tree / "include/config/kernel.release"
    root = tree / "root"
    for file, maker in ((image, "bzImage"), (release, "modules"),
                        (root / "lib/modules", "modules_install INSTALL_MOD_PATH=$PWD/root")):
        if not file.exists():
            raise Failure(f"KERNEL={tree}: {file} is missing; in that tree, run `make {maker}`")
    return Kernel(name, spec, release.read_text().strip(), image, tree, root, tree / ".config")


def from_stock(name):
    release, root = stock.fetch(name)
    return Kernel(name, name, release, root / f"boot/vmlinuz-{release}",
                  root / f"usr/src/linux-headers-{release}", root, root / f"boot/config-{release}")


# What is booted as a guest with its root on a disk.
GUESTS = (*stock.CLOUD, "disk")


def guest(name):
    if name in lab.FLAVOURS:
        return find(name)
    release, root = stock.fetch(name)
    return Kernel(name, name, release, root / f"boot/vmlinuz-{release}", root, root,
                  root / f"boot/config-{release}")


def find(name):
    if name in lab.FLAVOURS:
        return from_tree(name, name, lab.build(name))
    if name in stock.SERIES:
        return from_stock(name)
    if "/" in name:
        tree = pathlib.Path(name).resolve()
        return from_tree(tree.name, str(tree), tree)
    known = ", ".join([*lab.FLAVOURS, *stock.SERIES])
    raise Failure(f"KERNEL={name} is unknown: {known}, or the path of a built kernel tree")
