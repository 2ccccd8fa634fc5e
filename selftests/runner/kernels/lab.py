# SPDX-License-Identifier: GPL-2.0
"""Lab kernels: Debian's linux-source-6.12 with small fragments, built once into the cache."""

import hashlib
import os
import pathlib
import re
import shutil

from where import RUNNER, Failure, cache, environment, jobs, locked, output, run_logged, say

FRAGMENTS = RUNNER / "kernels"
PACKAGE = "linux-source-6.12"
TARBALL = pathlib.Path(f"/usr/src/{PACKAGE}.tar.xz")

# Later fragments win. The time is what two cores need, so that the wait can be announced.
FLAVOURS = {
    "fast": (["base", "fast"], "5 minutes"),
    "disk": (["base", "fast", "disk"], "5 minutes"),
    "mitigations": (["base", "fast", "mitigations"], "6 minutes"),
    "debug": (["base", "mitigations", "debug"], "12 minutes"),
    "race": (["base", "race"], "8 minutes"),
}


def source():
    """The extracted kernel source, shared by all flavours."""
    if not TARBALL.exists():
        raise Failure(f"{TARBALL} is missing: `make deps` installs it")
    version = output("dpkg-query", "-W", "-f", "${Version}", PACKAGE)
    # '~' would be expanded by a shell somewhere along kbuild's way.
    tree = cache() / "source" / f"linux-{version.replace('~', '-')}"
    with locked(tree):
        if not tree.exists():
            unpacking = tree.with_name(tree.name + ".unpacking")
            shutil.rmtree(unpacking, ignore_errors=True)
            unpacking.mkdir(parents=True)
            run_logged(f"unpacking {PACKAGE} {version}",
                       ["tar", "-xf", TARBALL, "-C", unpacking, "--strip-components=1"],
                       tree.with_name(tree.name + ".log"))
            unpacking.rename(tree)
    return tree


def fragments(flavour):
    return [FRAGMENTS / f"{name}.config" for name in FLAVOURS[flavour][0]]


def wanted_options(files):
    """{option: line} of what the fragments ask for, the last one winning."""
    wanted = {}
    for file in files:
        for line in file.read_text().splitlines():
            match = re.match(r"(?:# )?(CONFIG_\w+)(?:=| is not set)", line)
            if match:
                wanted[match.group(1)] = line
    return wanted


def check_config(config, files):
    """Fails if kconfig dropped a line, which it does silently for unmet dependencies."""
    lines = set(config.read_text().splitlines())
    present = {line.split("=")[0] for line in lines if line.startswith("CONFIG_")}
    missing = [line for option, line in wanted_options(files).items()
               if line not in lines and not (line.startswith("#") and option not in present)]
    if missing:
        raise Failure(f"{config} did not take these lines of the fragments:\n  " + "\n  ".join(missing))


def cache_key(flavour, tree):
    """All inputs of a build: source, configuration, compiler."""
    digest = hashlib.sha256(output("gcc", "-dumpfullversion").encode())
    for file in fragments(flavour):
        digest.update(file.read_bytes())
    return f"{tree.name.removeprefix('linux-')}-{flavour}-{digest.hexdigest()[:12]}"


def drop_objects(build):
    """Keeps the files that build modules and decode addresses; the rest is gigabytes."""
    for folder, folders, names in os.walk(build):
        if pathlib.Path(folder) == build:
            folders[:] = [name for name in folders if name not in ("tools", "scripts")]
        for name in names:
            if name.endswith((".o", ".a")):
                os.unlink(os.path.join(folder, name))


def compile_kernel(flavour, tree, build):
    log = build / "build.log"
    # What was said to the outer make is not meant for this build.
    env = environment("M", "O", "V", "W", "C", "CF", "CC", "LLVM", "KCFLAGS", "KDIR", "T",
                      ARCH="x86_64", KBUILD_BUILD_USER="lab", KBUILD_BUILD_HOST="vmx",
                      KBUILD_BUILD_TIMESTAMP="2025-01-01")
    run_logged(f"configuring the {flavour} kernel",
               [tree / "scripts/kconfig/merge_config.sh", "-n", "-O", build, *fragments(flavour)],
               log, cwd=tree, env=env)
    check_config(build / ".config", fragments(flavour))
    make = ["make", "-C", tree, f"O={build}", f"-j{jobs()}"]
    run_logged(f"building the {flavour} kernel", [*make, "bzImage", "modules"], log, "steps", env=env)
    run_logged(f"installing the {flavour} modules",
               [*make, "modules_install", f"INSTALL_MOD_PATH={build}/root", "INSTALL_MOD_STRIP=1"],
               log, env=env)
    drop_objects(build)


def compile_alone(flavour, tree, path):
    """Builds one kernel at a time, since each build uses all cores it may."""
    with locked(path.with_name("compiling")):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        say(f"  the {flavour} kernel is not in the cache: building it takes about "
            f"{FLAVOURS[flavour][1]} on two cores, once")
        compile_kernel(flavour, tree, path)
        (path / ".done").touch()


def build(flavour):
    """The build tree of FLAVOUR, built now if the cache does not have it."""
    tree = source()
    path = cache() / "kernels" / cache_key(flavour, tree)
    with locked(path):
        if not (path / ".done").exists():
            compile_alone(flavour, tree, path)
    return path
