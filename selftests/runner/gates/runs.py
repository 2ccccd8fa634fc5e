# SPDX-License-Identifier: GPL-2.0
"""The gate of `make run`: programs with libraries, interpreters and files run; what cannot run is told why."""

import shutil
import subprocess

import tap
from where import BUILD, ROOT, environment

FOLDER = BUILD / "gate run"
KERNEL = "fast"

LIBRARY = "int answer(void) { return 42; }\n"
PROGRAM = """\
#include <stdio.h>
#include <unistd.h>

int answer(void);

int main(int argc, char **argv)
{
	char line[80];
	FILE *data = fopen(argv[1], "r");

	if (!data || !fgets(line, sizeof(line), data))
		return 1;
	printf("%d arguments, %d, %s, %s", argc, answer(), access("/dev/vmx", F_OK) ? "no device" : "a device", line);
	return 0;
}
"""
PYTHON = """\
#!/usr/bin/env python3
import json, beside
print(json.dumps({"from": beside.NAME}))
"""
# Starts the others; its own folder and /tmp are as they are here.
SCRIPT = """\
#!/bin/bash
folder=${{0%/*}}
"$folder/program" "$folder/data/a b" '*' || exit 1
"$folder/script.py" || exit 1
printf '%01500d\\n' 7
echo "something to note" >/dev/kmsg
[ "$PWD" = "{root}" ] && [ "$(readlink "$folder/data/link")" = "a b" ] && exit 7
"""
PRINTED = ["3 arguments, 42, a device, this is data", '{"from": "a module beside it"}', "0" * 1499 + "7"]


def write(name, text, mode=0o644):
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def prepare():
    shutil.rmtree(FOLDER, ignore_errors=True)
    library, source = write("library.c", LIBRARY), write("program.c", PROGRAM)
    write("all", SCRIPT.format(root=ROOT), 0o755)
    write("script.py", PYTHON, 0o755)
    write("beside.py", 'NAME = "a module beside it"\n')
    write("data/a b", "this is data\n")
    (FOLDER / "data/link").symlink_to("a b")
    write("plain", "echo without a first line\n", 0o755)
    write("lost", "#!/no/such/interpreter\n", 0o755)
    write("not-executable", "#!/bin/sh\n")
    write("folder/file", "")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", FOLDER / "libanswer.so", library], check=True)
    for name, origin in (("program", "$ORIGIN"), ("no-library", "/no/such/folder")):
        subprocess.run(["gcc", "-o", FOLDER / name, source, f"-L{FOLDER}", "-lanswer", f"-Wl,-rpath,{origin}"],
                       check=True)
    # The same with another machine in its ELF header.
    foreign = shutil.copy(FOLDER / "program", FOLDER / "foreign")
    with open(foreign, "r+b") as file:
        file.seek(18)
        file.write((183).to_bytes(2, "little"))


# PROGRAM=, FILES=, and what has to be said. {} is the folder.
REFUSED = {
    "nothing": ("", "", "PROGRAM= is missing"),
    "lines": ("'{}/all' 'one\ntwo'", "", "more than one line"),
    "dollar": ("'{}/no$HOME'", "", "/no$HOME: there is no such file"),
    "dollar-in-files": ("'{}/all'", "'{}/no$HOME'", "/no$HOME: there is no such file"),
    "quotes": ("./mine 'it", "", "No closing quotation"),
    "no-file": ("'{}/nothing'", "", "there is no such file"),
    "no-command": ("nothing", "", "by its path: ./nothing"),
    "a-folder": ("'{}/folder'", "", "name the program itself"),
    "not-executable": ("'{}/not-executable'", "", "is not executable: chmod +x"),
    "architecture": ("'{}/foreign'", "", "64-bit ARM, and the machine is an x86-64 PC"),
    "no-library": ("'{}/no-library'", "", "needs libanswer.so, which the loader does not find"),
    "no-interpreter": ("'{}/lost'", "", "its interpreter '/no/such/interpreter' is not here"),
    "no-first-line": ("'{}/plain'", "", "neither an ELF program nor a script"),
    "no-data": ("'{}/all'", "'{}/nothing'", "/nothing: there is no such file"),
    "no-match": ("'{}/all'", "'{}'/*.nothing", "there is no such file"),
    "collision": ("'{}/all'", "/bin/busybox", "the machine has a file of its own at /bin/busybox"),
    "reserved": ("'{}/all'", "/dev/null", "in a folder that the machine fills itself"),
}


def make_run(program, files):
    command = ["make", "--no-print-directory", "run", f"KERNEL={KERNEL}", "SEED=1",
               f"PROGRAM={program.replace('{}', str(FOLDER))}", f"FILES={files.replace('{}', str(FOLDER))}"]
    return subprocess.run(command, cwd=ROOT, env=environment("CPU", "SMP", "LIMIT"), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def good():
    """(what is wrong, what was printed) of a program that uses everything."""
    result = make_run("'{}/all'", "'{}/program' '{}'/*.py '{}/data'")
    wrong = []
    if result.stdout.splitlines() != PRINTED:
        wrong.append(f"it did not print:\n" + "\n".join(PRINTED))
    for words in ("exit status 7", "something to note", "console.log", "Error 7"):
        if words not in result.stderr:
            wrong.append(f"nothing was said of '{words}'")
    return wrong, result


def refused(program, files, words):
    result = make_run(program, files)
    return [] if words in result.stderr and "Error 1" in result.stderr else [f"nothing was said of '{words}'"], result


def run():
    """(cases, output)"""
    prepare()
    cases, log = [], []
    tries = {"runs": good, **{name: lambda what=what: refused(*what) for name, what in REFUSED.items()}}
    for name, attempt in tries.items():
        wrong, result = attempt()
        said = (result.stdout + result.stderr).splitlines()
        log += [f"{name}:", *said]
        cases.append(tap.Case(name, "failed" if wrong else "passed", "\n".join(wrong and [*wrong, *said])))
    return cases, log
