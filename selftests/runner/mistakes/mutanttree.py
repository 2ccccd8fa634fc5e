# SPDX-License-Identifier: GPL-2.0
"""A copy of the sources with what is built from it. After a mistake it is again as it was, dates included."""

import hashlib
import shutil
import subprocess
import threading

from kernels import module
from where import ROOT, Failure


def files_below(*names):
    """Files of these folders of the checkout."""
    return {path.relative_to(ROOT) for name in names for path in (ROOT / name).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}


class Tree:
    def __init__(self, folder):
        self.folder = folder
        self.right = folder.with_name(f"{folder.name}-right")

    def update(self, wanted, is_ours):
        """Makes the sources those of the checkout. What is the same keeps its date, so that little is built again.

        WANTED: names of files. IS_OURS(name): may a file that is not among them go?
        """
        for path in list(self.folder.rglob("*")):
            name = path.relative_to(self.folder)
            if path.is_file() and name not in wanted and is_ours(name):
                path.unlink()
        for name in wanted:
            target, text = self.folder / name, (ROOT / name).read_bytes()
            if not target.exists() or target.read_bytes() != text:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text)

    def keep(self):
        """It is as it should be now."""
        shutil.rmtree(self.right, ignore_errors=True)
        shutil.copytree(self.folder, self.right, symlinks=True)

    def restore(self):
        for path in self.right.rglob("*"):
            target = self.folder / path.relative_to(self.right)
            if path.is_file() and (not target.exists() or target.stat().st_mtime_ns != path.stat().st_mtime_ns):
                shutil.copy2(path, target)

    def change(self, mistake):
        """MISTAKE has a file, and applies to its text."""
        path = self.folder / mistake.file
        path.write_text(mistake.apply(path.read_text()))


class Module(Tree):
    """The module's sources, built with or without its ledgers."""

    def __init__(self, folder, kdir, build):
        super().__init__(folder / build)
        self.kdir, self.options = kdir, ["VMX_DEBUG=1"] * (build == "ledgers")
        self.lock = threading.Lock()
        self.bare = folder / f"{build}-modules"
        self.digest = b""

    def prepare(self):
        """The modules without a mistake; made when they are needed first."""
        with self.lock:
            if not self.digest:
                self.update(set(module.sources()),
                            lambda name: name.suffix in module.SUFFIXES and "mod.c" not in name.name)
                self.make()
                self.digest = self.strip(self.bare)
                self.keep()
        return module.built(self.bare)

    def make(self):
        module.make(self.kdir, self.folder, self.options)

    def strip(self, folder):
        """Copies the modules to FOLDER without what describes them to debuggers. Returns a digest of them."""
        folder.mkdir(parents=True, exist_ok=True)
        found = hashlib.sha256()
        for path in module.built(self.folder):
            bare = folder / path.name
            subprocess.run(["strip", "--strip-debug", "-R", ".note.gnu.build-id", "-o", bare, path], check=True)
            found.update(bare.read_bytes())
        return found.digest()

    def build(self, mistake, folder):
        """The modules with the mistake, in FOLDER; none if it changes no code, or does not build."""
        self.prepare()
        with self.lock:
            try:
                self.change(mistake)
                self.make()
                return module.built(folder) if self.strip(folder) != self.digest else []
            except Failure:
                return []
            finally:
                self.restore()
