# SPDX-License-Identifier: GPL-2.0
"""Writes the initramfs format (newc): device nodes need no root, and no file is copied twice."""

import os
import pathlib
import stat


class Archive:
    def __init__(self, file):
        self.file = file
        self.inode = 0
        self.folders = set()

    def _pad(self):
        self.file.write(b"\0" * (-self.file.tell() % 4))

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        name = str(name).lstrip("/").encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0]
        self.file.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        self._pad()
        self.file.write(data)
        self._pad()

    def folder(self, name):
        name = pathlib.PurePosixPath("/", name)
        if name.parent != name and name not in self.folders:
            self.folder(name.parent)
            self.folders.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def data(self, name, data, mode=0o644):
        self.folder(pathlib.PurePosixPath("/", name).parent)
        self._entry(name, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def copy(self, name, path):
        self.data(name, pathlib.Path(path).read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)

    def link(self, name, target):
        self.folder(pathlib.PurePosixPath("/", name).parent)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def node(self, name, major, minor):
        self.folder(pathlib.PurePosixPath("/", name).parent)
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def close(self):
        self._entry("TRAILER!!!", 0)
