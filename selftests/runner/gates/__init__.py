# SPDX-License-Identifier: GPL-2.0
"""Static gates: compilers and the kernel's own checkers judge the source."""

import os
import re
import subprocess

import kernels
import results
import tap
from gates import boundary, depstest, examples, indices, install, layout, runnertest, runs, stores, version
from kernels import lab, module
from mistakes import controls, mutate
from where import BUILD, ROOT, RUNNER, Failure, environment, jobs, locked

PLACE = "static"
MODULE_FOLDERS = ("uapi", "base", "core", "mmu", "paging", "vmx", "shadow", "ept", "nested", "svm", "vfio_glue")
CLANG = RUNNER / "kernels/clang-for-gcc-headers"


def files(folders, suffixes=(".c", ".h", ".S")):
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    return sorted(path.relative_to(ROOT) for path in found)


def complaints(text, pattern):
    """Lines that match, each once, with paths inside the project."""
    lines = [line for line in text.splitlines() if re.search(pattern, line)]
    return [re.sub(r"^.*/build/module/[^/]+/", "", line) for line in dict.fromkeys(lines)]


def outcome(name, failed, reproduce, output=""):
    """One case for the gate, failed with what it FAILED for."""
    case = tap.Case("clean", "failed" if failed else "passed", "\n".join(failed[:60]))
    return results.Outcome(PLACE, name, [case], reproduce, output.splitlines())


def compile_with(name, kernel_name, options, pattern):
    """Compiles everything anew in a separate folder; any line that matches PATTERN fails."""
    kernel = kernels.find(kernel_name)
    folder = BUILD / "module" / f"gate-{name}"
    reproduce = f"make check ONLY={name}"
    with locked(folder):
        subprocess.run(["rm", "-rf", folder], check=True)
        try:
            output = module.build(kernel.kdir, folder.name, options=options, quiet=True, want_output=True)
        except Failure as failure:
            text = str(failure)
            failed = complaints(text, pattern) or text.splitlines()[-40:]
            return outcome(name, failed, reproduce, text)
    return outcome(name, complaints(output, pattern), reproduce, output)


def gcc_gate(name, kernel_name):
    return compile_with(name, kernel_name, ["W=1"], r"warning:|error:")


def sparse_gate(name, kernel_name):
    """gcc's warnings and sparse's in one go."""
    return compile_with(name, kernel_name, ["W=1", "C=2", "CF=-Wsparse-error"], r"warning:|error:")


def clang_gate(name, kernel_name):
    """objtool would miss the thunks that only gcc makes for these headers, and clang complains more than
    gcc about the headers themselves: only complaints about our files count.
    """
    options = ["W=1", f"CC={CLANG}", "objtool=true"]
    return compile_with(name, kernel_name, options, r"/build/module/.*(?:warning|error):")


def script_gate(name, command, paths, pattern):
    """Runs a checker of the kernel's source over PATHS."""
    if not paths:
        return outcome(name, ["there is nothing to check"], f"make check ONLY={name}")
    result = subprocess.run([*map(str, command), *map(str, paths)], cwd=ROOT, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=dict(os.environ, LC_ALL="C"))
    failed = complaints(result.stdout, pattern)
    if result.returncode not in (0, 1) and not failed:
        failed = result.stdout.splitlines()[-20:] or [f"exit code {result.returncode}"]
    return outcome(name, failed, f"make check ONLY={name}", result.stdout)


def checkpatch_gate(name, folders, ignored=()):
    script = lab.source() / "scripts/checkpatch.pl"
    # The kernel's own trace headers look like that.
    pattern = r"^(?!\S*trace\.h:\d+: CHECK:(?:OPEN_ENDED_LINE|PAREN))\S+:\d+: (?:ERROR|WARNING|CHECK):"
    command = ["perl", script, "--no-tree", "--strict", "--terse", "--show-types", "--no-summary",
               *(f"--ignore={kind}" for kind in ignored), "-f"]
    try:
        return script_gate(name, command, files(folders), pattern)
    finally:
        # checkpatch leaves it where it finds a git repository.
        for cache in ROOT.glob(".checkpatch-camelcase.*"):
            cache.unlink(missing_ok=True)


def kernel_doc_gate(name):
    script = lab.source() / "scripts/kernel-doc"
    return script_gate(name, ["perl", script, "-none", "-Wall"],
                       files((*MODULE_FOLDERS, "tools/include"), (".c", ".h")), r"warning:|error:")


# Userspace has its own headers, types and idioms.
USERSPACE = ("PREFER_KERNEL_TYPES", "AVOID_EXTERNS", "VOLATILE", "BIT_MACRO", "NEW_TYPEDEFS", "CAMELCASE",
             "LEADING_SPACE", "ARRAY_SIZE", "MACRO_ARG_REUSE", "COMPLEX_MACRO", "SPLIT_STRING",
             "SPDX_LICENSE_TAG", "PREFER_DEFINED_ATTRIBUTE_MACRO", "FILE_PATH_CHANGES")

# The harness's macros end in a loop that braces have to hold, and skip by returning; ours wrap them. A
# kernel struct has a member "useable".
HARNESS = USERSPACE + ("BRACES", "MACRO_WITH_FLOW_CONTROL", "MULTISTATEMENT_MACRO_USE_DO_WHILE",
                       "MACRO_ARG_PRECEDENCE", "LINE_SPACING", "TYPO_SPELLING")
# Macros that take a list of strings.
TOOLS = USERSPACE + ("PARENTHESIS_ALIGNMENT",)


def controls_gate(name):
    """Checks that every mistake of `make controls` can still be made, and what `make mutants` is told of files."""
    wrong = {control: controls.out_of_date(ROOT, what) for control, what in controls.table().items()}
    complaints_of_controls = [f"{control}: {why}" for control, why in wrong.items() if why]
    module_files = [str(path) for path in module.sources() if path.suffix and path.parts[0] != "selftests"]
    tools_files = [str(path.relative_to(ROOT)) for path in (ROOT / "tools").rglob("*.[ch]")]
    areas = mutate.areas_that_do_not_fit(module_files, tools_files)
    return outcome(name, complaints_of_controls + areas + mutate.out_of_date(), f"make check ONLY={name}")


def library_gate(name):
    """Runs the library's tests without VMX here, under the sanitizers."""
    return tools_gate(name, "check")


def tools_gate(name, target):
    """Runs a target of tools/ that prints TAP."""
    command = ["make", "--no-print-directory", "-C", "tools", f"-j{jobs()}", "--output-sync=target", target]
    result = subprocess.run(command, cwd=ROOT, env=environment(), text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = result.stdout.splitlines()
    cases = tap.parse(lines)
    if result.returncode and not any(case.status == "failed" for case in cases):
        cases.append(tap.Case("ran", "failed", "\n".join(lines[-40:])))
    return results.Outcome(PLACE, name, cases, f"make check ONLY={name}", lines)


def cases_gate(name, run):
    """A gate that comes with cases of its own: RUN returns them, and what was said."""
    cases, output = run()
    return results.Outcome(PLACE, name, cases, f"make check ONLY={name}", output)


def version_gate(name):
    return outcome(name, version.run(), f"make check ONLY={name}")


def examples_gate(name):
    failed, output = examples.run()
    return outcome(name, failed, f"make check ONLY={name}", output)


GATES = {
    "gcc-6.1": lambda name: gcc_gate(name, "debian-6.1"),
    "gcc-sparse-6.12": lambda name: sparse_gate(name, "debian-6.12"),
    "clang-6.1": lambda name: clang_gate(name, "debian-6.1"),
    "clang-6.12": lambda name: clang_gate(name, "debian-6.12"),
    "checkpatch-module": lambda name: checkpatch_gate(name, MODULE_FOLDERS),
    # The same style and the same checker as the module's.
    "checkpatch-tools": lambda name: checkpatch_gate(name, ("tools",), TOOLS),
    "checkpatch-selftests": lambda name: checkpatch_gate(name, ("selftests",), HARNESS),
    "kernel-doc": kernel_doc_gate,
    "manual": lambda name: script_gate(name, ["make", "-s", "-C"], ["Documentation"], r"WARNING:|ERROR:"),
    "controls": controls_gate,
    "mitigations": lambda name: outcome(name, boundary.mitigations(), f"make check ONLY={name}"),
    "indices": lambda name: outcome(name, indices.check(), f"make check ONLY={name}"),
    # Which folder of the module may use which.
    "layout": lambda name: cases_gate(name, layout.run),
    "guest-stores": lambda name: outcome(name, stores.check(), f"make check ONLY={name}"),
    "vmx-instructions": lambda name: outcome(name, boundary.instructions(), f"make check ONLY={name}"),
    "library": library_gate,
    # Containers in VMs, with namespaces of this kernel in place of the VMs.
    "oci": lambda name: tools_gate(name, "check-oci"),
    # Devices, loaders and the emulator with input that nobody thought of.
    "fuzz": lambda name: tools_gate(name, "fuzz"),
    "install": lambda name: cases_gate(name, install.run),
    "run": lambda name: cases_gate(name, runs.run),
    "runner": lambda name: cases_gate(name, runnertest.run),
    "deps": lambda name: cases_gate(name, depstest.run),
    "examples": examples_gate,
    # One number, in uapi/linux/vmx.h; documents and packages repeat it.
    "version": version_gate,
}
