# SPDX-License-Identifier: GPL-2.0
"""Debian's own kernels: fetches and unpacks them into the cache, and never installs them.

The headers are unpacked next to the image rather than installed because the 6.12 headers depend on
the image package, which would become the kernel that this machine boots next.
"""

import re
import shutil
import subprocess

from where import Failure, cache, locked, output, run_logged

# The package that always depends on the newest kernel of the series.
SERIES = {"debian-6.1": "linux-image-amd64", "debian-6.12": "linux-image-6.12-amd64"}
# Kernels for virtual machines: guests. Nothing is built for them, so they come without headers.
CLOUD = {"cloud-6.1": "linux-image-cloud-amd64", "cloud-6.12": "linux-image-6.12-cloud-amd64"}


def depends(package):
    """The packages PACKAGE depends on, in a series whose names carry the version."""
    text = output("apt-cache", "depends", "--no-recommends", "--no-suggests", "--no-conflicts",
                  "--no-breaks", "--no-replaces", "--no-enhances", package)
    return re.findall(r"Depends: (\S+)", text)


def release_of(series):
    for package in depends(series):
        if package.startswith("linux-image-"):
            return package.removeprefix("linux-image-")
    raise Failure(f"Debian's package lists have no {series}: run `apt-get update`; the 6.12 "
                  "kernels need the security suite")


def headers_of(release):
    headers = f"linux-headers-{release}"
    others = [name for name in depends(headers)
              if name.startswith(("linux-headers-", "linux-kbuild-"))]
    return [headers, *others]


def unpack(release, root, headers):
    debs = root / "debs"
    debs.mkdir(parents=True)
    # _apt, the user that downloads for root, cannot write here; root may do it itself.
    run_logged(f"fetching the stock kernel {release}",
               ["apt-get", "-o", "APT::Sandbox::User=root", "download",
                f"linux-image-{release}", *headers],
               root / "fetch.log", cwd=debs)
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
    shutil.rmtree(debs)
    if headers:
        # The only absolute path in them.
        makefile = root / "usr/src" / f"linux-headers-{release}" / "Makefile"
        makefile.write_text(makefile.read_text().replace("/usr/src/", f"{root}/usr/src/"))
    # Older packages keep modules in /lib, newer ones in /usr/lib.
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    subprocess.run(["/sbin/depmod", "-b", root, release], check=True)


def fetch(kernel):
    """(release, folder that holds boot/, lib/modules/ and, unless it is only for guests, usr/src/)."""
    release = release_of(SERIES.get(kernel) or CLOUD[kernel])
    # '+' in a path upsets make's pattern rules here and there.
    root = cache() / "stock" / release.replace("+", "-")
    with locked(root):
        if not (root / ".done").exists():
            shutil.rmtree(root, ignore_errors=True)
            unpack(release, root, headers_of(release) if kernel in SERIES else [])
            (root / ".done").touch()
    return release, root
