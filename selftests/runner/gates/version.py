# SPDX-License-Identifier: GPL-2.0
"""The gate of the version: compares every copy of the number with uapi/linux/vmx.h."""

import re

from where import ROOT

# Each pattern matches at least once, and each number that it finds is the header's.
PLACES = {
    "README.md": [r"The ABI is version (\S+?)\. ", r"^    vmx (\S+) +VMCS revision", r"dkms install vmx/(\S+)",
                  r"libvmx([\d.]+),libvmx-dev"],
    "Documentation/abi.rst": [r"The version is (\S+?)\. "],
    # Its first section is of the version that the header has.
    "CHANGELOG.md": [r"\A(?:(?!^## ).)*^## (\S+)"],
    "packaging/debian/control": [r"^Package: libvmx([\d.]+)$", r"libvmx([\d.]+) \(= "],
}


def number():
    abi = (ROOT / "uapi/linux/vmx.h").read_text()
    return ".".join(re.findall(r"define VMX_API_M(?:AJ|IN)OR (\d+)", abi))


def soname(version):
    """The number after libvmx.so. in the library's SONAME."""
    major = version.split(".")[0]
    return version if major == "0" else major


def complaints_of(path, pattern, version):
    wanted = soname(version) if "libvmx" in pattern else version
    found = re.findall(pattern, (ROOT / path).read_text(), re.MULTILINE | re.DOTALL)
    for it in found:
        if it != wanted:
            yield f"{path}: {it} where uapi/linux/vmx.h makes it {wanted} ({pattern})"
    if not found:
        yield f"{path}: nothing matches {pattern}; correct selftests/runner/gates/version.py"


def run():
    """The complaints."""
    version = number()
    return [line for path, patterns in PLACES.items() for pattern in patterns
            for line in complaints_of(path, pattern, version)]
