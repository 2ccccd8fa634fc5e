# SPDX-License-Identifier: GPL-2.0
"""The gate of `make install`: the installed files are complete, work, and go away with uninstall."""

import re
import shutil
import subprocess

import kernels
import tap
from gates import version
from where import BUILD, ROOT, Failure, environment, jobs, locked

# What is installed below PREFIX beside headers.
FILES = """bin/vmxrun bin/vmxctl lib/vmx/vmxrun-api.so lib/vmx/vmxrun-transport.so lib/vmx/vmxrun-tls.so
share/bash-completion/completions/vmxctl share/vmx/openapi.yaml
lib/libvmx.a lib/libvmx.so lib/libvmx.so.{soname} lib/libvmx.so.{version} lib/pkgconfig/libvmx.pc
lib/sysusers.d/vmx.conf lib/udev/rules.d/60-vmx.rules
share/man/man1/vmxrun.1 share/man/man1/vmxctl.1 share/man/man3/libvmx.3 share/man/man4/vmx.4"""


class Install:
    """An installation in a separate folder, as for a package."""

    def __init__(self, folder, output):
        self.folder = folder
        self.root = folder / "root"
        self.prefix = self.root / "usr/local"
        self.output = output
        self.version = version.number()
        self.module = self.root / "usr/src" / f"vmx-{self.version}"

    def run(self, *command, **variables):
        """Returns the output of COMMAND, which is the reason if it fails."""
        words = [str(word) for word in command]
        result = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                                env=environment("DESTDIR", "PREFIX", LC_ALL="C.UTF-8", **variables),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output += [" ".join(words), *result.stdout.splitlines()]
        if result.returncode:
            raise Failure(f"{' '.join(words)}\n{result.stdout}exit code {result.returncode}")
        return result.stdout

    def make(self, goal):
        self.run("make", "--no-print-directory", goal, f"DESTDIR={self.root}")

    def names(self, folder):
        """The names of all files in FOLDER and below."""
        return {str(path.relative_to(folder)) for path in folder.rglob("*")
                if path.is_symlink() or not path.is_dir()}

    def pkg_config(self, *options):
        return self.run("pkg-config", *options, "libvmx", PKG_CONFIG_SYSROOT_DIR=str(self.root),
                        PKG_CONFIG_LIBDIR=str(self.prefix / "lib/pkgconfig")).split()


def expect_same(found, expected, what, way_out):
    lines = [f"{name}: {what}" for name in sorted(found - expected)]
    lines += [f"{name}: missing" for name in sorted(expected - found)]
    if lines:
        raise Failure("\n".join([*lines, way_out]))


def files(install):
    expected = set(FILES.format(version=install.version, soname=version.soname(install.version)).split())
    for folder in (ROOT / "tools/include", ROOT / "uapi"):
        expected |= {f"include/{path.relative_to(folder)}" for path in folder.rglob("*.h")}
    expect_same(install.names(install.prefix), expected, "unexpected",
                "packaging/Makefile installs, selftests/runner/gates/install.py expects")
    outside = install.names(install.root) - {str(path.relative_to(install.root)) for folder in
                                             (install.prefix, install.module) for path in folder.rglob("*")}
    expect_same(outside, set(), "is neither below PREFIX nor the module's source", "")
    for path in (install.prefix / "lib/pkgconfig/libvmx.pc", install.module / "dkms.conf"):
        if install.version not in path.read_text() or "@" in path.read_text():
            raise Failure(f"{path} is not filled in:\n{path.read_text()}")


def exports(install):
    """Compares the exports with the compiler's list of declarations, which is independent of the Makefile's."""
    declared = set()
    for header in [install.prefix / "include/libvmx.h", *(install.prefix / "include/libvmx").glob("*.h")]:
        notes = install.folder / "declared"
        install.run("gcc", *install.pkg_config("--cflags"), "-fsyntax-only", "-aux-info", notes, "-x", "c",
                    "-include", header, "/dev/null")
        declared |= set(re.findall(r"/usr/local/include/libvmx[^ ]*:\d+:N[CF] \*/ extern [^(]*?(\w+) \(",
                                   notes.read_text()))
    symbols = install.run("nm", "-D", "--defined-only", "--format=posix", install.prefix / "lib/libvmx.so")
    exported = {line.split()[0].split("@")[0] for line in symbols.splitlines() if " A " not in line}
    expect_same(exported, declared, "exported, but no header declares it",
                "tools/Makefile makes the list of exports from the headers")


def private(install):
    """All names that the static library adds to a program begin with vmx_."""
    archive = install.prefix / "lib/libvmx.a"
    symbols = install.run("nm", "--defined-only", "--extern-only", "--format=posix", archive)
    names = {line.split()[0] for line in symbols.splitlines() if line and not line.endswith(":")}
    if not any(name.startswith("vmx_") for name in names):
        raise Failure(f"{archive} has no symbols:\n{symbols[:1000]}")
    expect_same({name for name in names if not name.startswith("vmx_")}, set(), "has no prefix vmx_",
                "tools/Makefile gives it one")


def hello(install, *options):
    program = install.folder / "hello"
    install.run("gcc", "-Wall", "-Werror", *options, "tools/examples/hello.c", "-o", program,
                *install.pkg_config("--cflags", "--libs"))
    # Without the device it says so, and it takes the library to do that.
    result = subprocess.run([program], env=environment(LD_LIBRARY_PATH=str(install.prefix / "lib")),
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if "/dev/vmx" not in result.stdout and "Hello" not in result.stdout:
        raise Failure(f"{program} says:\n{result.stdout}")
    dynamic = install.run("readelf", "-d", program)
    if (f"libvmx.so.{version.soname(install.version)}]" in dynamic) != (not options):
        raise Failure(f"{program} has the wrong library:\n{dynamic}")


def manual(install):
    for page in sorted((install.prefix / "share/man").rglob("*.?")):
        complaints = install.run("groff", "-mandoc", "-ww", "-z", "-Tutf8", page)
        if complaints:
            raise Failure(complaints)
    # --version and --help of vmxrun have no paragraph of their own kind there, and --restore and --incoming are
    # vmxrun's.
    for program, exempt in (("vmxrun", {"help"}), ("vmxctl", {"help", "version", "restore", "incoming"})):
        page = (install.prefix / f"share/man/man1/{program}.1").read_text()
        options = set(re.findall(r"--(\w[\w-]*)", install.run(install.prefix / f"bin/{program}", "--help")))
        expect_same(set(re.findall(r"^\.It Fl Fl (\S+)", page, re.MULTILINE)) | exempt, options | exempt,
                    f"{program} --help does not know it", f"Documentation/man/{program}.1 has a paragraph for each option")


def plugin(install):
    """vmxrun finds its API where it is installed, and says what is missing if it is not there."""
    def complaint():
        result = subprocess.run([install.prefix / "bin/vmxrun", "--kernel", "/nowhere", "--api",
                                 f"unix:{install.folder}/socket"], stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return result.stdout

    api, away = install.prefix / "lib/vmx/vmxrun-api.so", install.folder / "vmxrun-api.so"
    if "/nowhere" not in complaint():
        raise Failure(f"vmxrun --api says:\n{complaint()}")
    api.rename(away)
    said = complaint()
    away.rename(api)
    if "vmxrun-api.so is not installed" not in said:
        raise Failure(f"vmxrun --api without its API says:\n{said}")


def completion(install):
    """Tab completes commands, options and the names of machines."""
    script = install.prefix / "share/bash-completion/completions/vmxctl"
    runtime = install.folder / "runtime"
    (runtime / "vmx").mkdir(parents=True)
    (runtime / "vmx/alpha.sock").touch()
    for words, expected in (("vmxctl pau", "pause"), ("vmxctl info a", "alpha"), ("vmxctl stop --t", "--timeout")):
        code = (f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}; _vmxctl; "
                "echo ${COMPREPLY[@]}")
        said = install.run("bash", "-c", code, XDG_RUNTIME_DIR=str(runtime)).strip()
        if said != expected:
            raise Failure(f"'{words}' and Tab give '{said}', not '{expected}'")


def module(install):
    kdir = kernels.find("debian-6.12").kdir
    install.run("make", "-C", kdir, f"M={install.module}", f"-j{jobs()}", "modules")
    if not (install.module / "vmx.ko").exists():
        raise Failure(f"there is no {install.module}/vmx.ko")


def uninstall(install):
    install.make("uninstall")
    expect_same(install.names(install.root), set(), "still there", "packaging/Makefile uninstalls")


STEPS = {
    "files": files,
    "exports": exports,
    "private": private,
    "hello-shared": hello,
    "hello-static": lambda install: hello(install, "-static"),
    "manual": manual,
    "plugin": plugin,
    "completion": completion,
    "module": module,
    "uninstall": uninstall,
}


def run():
    """(cases, output)"""
    folder = BUILD / "install"
    output = []
    cases = []
    with locked(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install = Install(folder, output)
        try:
            install.make("install")
        except Failure as failure:
            return [tap.Case("install", "failed", str(failure))], output
        for name, step in STEPS.items():
            try:
                step(install)
                cases.append(tap.Case(name, "passed"))
            except Failure as failure:
                cases.append(tap.Case(name, "failed", str(failure)))
    return cases, output
