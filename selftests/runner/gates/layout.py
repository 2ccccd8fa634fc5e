# SPDX-License-Identifier: GPL-2.0
"""The gate of the module's folders: what one uses of another goes one way, down, through a header that offers it.

selftests/layout.toml has the folders in their order, the headers that each offers to others, and how its names
begin: all that another file of the module can see, and no other folder's. Names of static functions are two words at
least, so that a stack trace says of what they are. The table also lists what still goes up, file by file, with the
reason. That list can only become shorter.
"""

import dataclasses
import re
import tomllib

import tap
from where import ROOT

TABLE = ROOT / "selftests/layout.toml"


@dataclasses.dataclass
class Folder:
    name: str
    headers: list       # what others may include
    prefix: str         # how its names begin


class Rules:
    """The folders from top to bottom, and what still goes up: {(file, name): reason}."""

    def __init__(self, table):
        self.folders = [Folder(**row) for row in table["folder"]]
        self.place = {folder.name: place for place, folder in enumerate(self.folders)}
        self.up = {}
        for row in table.get("up", ()):
            for line in row["uses"].strip().splitlines():
                file, names = line.split(": ")
                self.up.update({(file, name): row["why"] for name in names.split()})

    def offers(self, header):
        folder, _, name = header.partition("/")
        return name in self.folders[self.place[folder]].headers

    def is_above(self, one, other):
        return self.place[one] < self.place[other]

    def owner(self, name):
        """The folder whose names begin like that, or nothing."""
        plain = name.lower().lstrip("_")
        return next((folder.name for folder in self.folders if f"{plain}_".startswith(folder.prefix)), "")


# Comments; strings, whose ends keep what is around them apart.
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
INCLUDE = re.compile(r'^#include "([^"]+)"')
# What begins at the margin, up to the parameters' end: a definition, if a body follows, or a declaration.
FUNCTION = re.compile(r"^((?:[A-Za-z_][\w*]*[ \t\n*]+)+)\**(\w+)\(([^;{}]*)\)(?:\s*__\w+(?:\([^)]*\))?)*\s*([;{])", re.M)
VARIABLE = re.compile(r"^((?:[A-Za-z_]\w*[ *]+)+)([a-z]\w*)(?:\[[^\]\n]*\])*(?: __\w+)?\s*(?:=|;)", re.M)
MACHINERY = re.compile(r"^(DEFINE|DECLARE)_(?:PER_CPU\([^,\n]*, |STATIC_CALL\w*\()(\w+)|^SYM_\w+\((\w+)", re.M)
TYPE = re.compile(r"^(?:struct|union|enum) (\w+) \{", re.M)
ENUM = re.compile(r"\benum(?: \w+)? \{([^}]*)\}")
MACRO = re.compile(r"^#define (\w+)", re.M)
EVENT = re.compile(r"^TRACE_EVENT\((\w+),", re.M)
# Names that the kernel's own macros want.
KERNELS = re.compile(r"trace_|TRACE_|EXPORT_SYMBOL_IF_KUNIT$")
WORD = re.compile(r"(?<![\w.])(?<!->)((?:struct|union|enum)\s+)?([A-Za-z_]\w*)(\s*[*;])?")


@dataclasses.dataclass
class Name:
    file: str
    headers: set = dataclasses.field(default_factory=set)   # that have it, or declare it


def folder_of(file):
    return file.partition("/")[0]


class Module:
    """TEXTS has what is in the files, by path."""

    def __init__(self, texts):
        self.raw = texts
        self.texts = {file: NOISE.sub(lambda noise: " " + "\n" * noise[0].count("\n"), text)
                      for file, text in texts.items()}
        self.names, self.types, self.own, self.headers = {}, {}, {file: set() for file in texts}, {}
        self.statics = []       # (file, name)
        for file, text in self.texts.items():
            self._collect(file, text)
        for names in (self.names, self.types):
            for name, known in names.items():
                known.headers |= self.headers.get(name, set())

    def _collect(self, file, text):
        header = file.endswith(".h")

        def define(name, names=self.names):
            names.setdefault(name, Name(file))
            if header:
                declare(name)

        def declare(name):
            self.headers.setdefault(name, set()).add(file)

        for kind, name, _, end in FUNCTION.findall(text):
            if end == ";" and header:
                declare(name)
            elif end == "{" and (header or not re.search(r"\bstatic\b", kind)):
                define(name)
            elif end == "{":
                self.own[file].add(name)
                self.statics.append((file, name))
        for kind, name in VARIABLE.findall(text):
            if kind.startswith("extern") and header:
                declare(name)
            elif not re.match(r"static|typedef|return|goto|else|struct \w+$|union|enum", kind) and not header:
                define(name)
        for kind, variable, label in MACHINERY.findall(text):
            (declare if kind == "DECLARE" else define)(variable or label)
        if not header:
            self.own[file].update(MACRO.findall(text), TYPE.findall(text))
            return
        for name in TYPE.findall(text):
            define(name, self.types)
        for body in ENUM.findall(text):
            for name in re.findall(r"(?:^|,)\s*([A-Z]\w*)", re.sub(r"=[^,]*", "", body)):
                define(name)
        for name in MACRO.findall(text) + [f"trace_{name}" for name in EVENT.findall(text)]:
            define(name)

    def _words(self, file):
        """(line, name, what is known of it) of what is another folder's."""
        for number, line in enumerate(self.texts[file].splitlines(), 1):
            for kind, name, after in WORD.findall(line):
                known = (self.types if kind else self.names).get(name)
                # A pointer to what is not looked at is no use.
                if known and folder_of(known.file) != folder_of(file) and name not in self.own[file] and not (kind and after):
                    yield number, name, known

    def _headers(self, file):
        """(line, path) of the headers of other folders."""
        for number, line in enumerate(self.raw[file].splitlines(), 1):
            match = INCLUDE.match(line)
            if match and match[1].startswith("../"):
                yield number, match[1].removeprefix("../")

    def complaints(self, rules):
        """{(file, name): (line, what is wrong)}, the first of each."""
        found = {}
        for file in sorted(self.texts):
            folder = folder_of(file)
            for number, name, known in self._words(file):
                other = folder_of(known.file)
                if rules.is_above(other, folder):
                    found.setdefault((file, name), (number, f"{name} is of {other}/, which is above {folder}/"))
                elif not any(rules.offers(header) for header in known.headers):
                    found.setdefault((file, name), (number, f"{name} is of {other}/, and no header that it offers has it"))
            for number, header in self._headers(file):
                if rules.is_above(folder_of(header), folder):
                    found.setdefault((file, header), (number, f"{header} is above {folder}/"))
                elif not rules.offers(header):
                    found.setdefault((file, header), (number, f"{header} is not offered to other folders"))
        return found

    def _line(self, file, name):
        return self.texts[file][:re.search(rf"\b{name}\b", self.texts[file]).start()].count("\n") + 1

    def misnamed(self, rules):
        """The same of names that do not begin like their folder's, and of static ones that say too little."""
        found = {}
        for file, name in self.statics:
            owner = rules.owner(name)
            if owner and owner != folder_of(file):
                found[file, name] = (self._line(file, name), f"{name} begins like a name of {owner}/")
            elif "_" not in name.strip("_"):
                found[file, name] = (self._line(file, name), f"{name} does not say of what it is")
        for name, known in [*self.types.items(), *self.names.items()]:
            owner, folder = rules.owner(name), folder_of(known.file)
            # A folder's own constants are not seen in a trace.
            own = name.isupper() and not any(rules.offers(header) for header in known.headers)
            if owner != folder and (owner or not own) and not KERNELS.match(name):
                found[known.file, name] = (self._line(known.file, name), f"{name} begins like a name of {owner}/" if owner
                                           else f"{name} does not begin like a name of {folder}/")
        return found


def judge(texts, rules):
    module = Module(texts)
    found = {**module.complaints(rules), **module.misnamed(rules)}
    wrong = [f"{file}:{line}: {what}" for (file, name), (line, what) in sorted(found.items())
             if (file, name) not in rules.up]
    return wrong + [f"{TABLE.relative_to(ROOT)}: {file} no longer needs {name}: remove it"
                    for file, name in sorted(set(rules.up) - set(found))]


def rules():
    return Rules(tomllib.loads(TABLE.read_text()))


def sources(folders):
    return {str(path.relative_to(ROOT)): path.read_text()
            for folder in folders for path in sorted((ROOT / folder.name).glob("*.[chS]"))}


# A module of two folders, and what has to be said of it with one file changed.
SAMPLE = {
    "top/top.h": "struct top {\n\tint x;\n};\n\nint top_call(struct top *t);\n",
    "top/top.c": '#include "../low/low.h"\n#include "top.h"\n\nint top_call(struct top *t)\n{\n\treturn low_call(LOW_ALL);\n}\n',
    "low/low.h": "#define LOW_ALL 1\n\nint low_call(int x);\n",
    "low/own.h": "int low_own(int x);\n",
    "low/low.c": '#include "low.h"\n#include "own.h"\n\nint low_own(int x)\n{\n\treturn x;\n}\n\n'
                 "int low_call(int x)\n{\n\treturn low_own(x);\n}\n",
}
SAMPLE_TABLE = {"folder": [{"name": "top", "headers": ["top.h"], "prefix": "top_"},
                           {"name": "low", "headers": ["low.h"], "prefix": "low_"}]}
SAMPLE_UP = {**SAMPLE_TABLE, "up": [{"why": "tried here", "uses": "low/low.c: top_call"}]}
NOTICED = {
    "clean": (None, "", SAMPLE_TABLE, ""),
    "comment": ("low/low.c", "/* top_call() */\n", SAMPLE_TABLE, ""),
    "pointer": ("low/low.c", "static struct top *top;\n", SAMPLE_TABLE, ""),
    "call-up": ("low/low.c", "static int do_it(void)\n{\n\treturn top_call(0);\n}\n", SAMPLE_TABLE,
                "low/low.c:15: top_call is of top/, which is above low/"),
    "struct-up": ("low/low.c", "static int do_it(void)\n{\n\treturn sizeof(struct top);\n}\n", SAMPLE_TABLE,
                  "low/low.c:15: top is of top/, which is above low/"),
    "header-up": ("low/own.h", '#include "../top/top.h"\n', SAMPLE_TABLE, "low/own.h:2: top/top.h is above low/"),
    "not-offered": ("top/top.c", "static int do_it(void)\n{\n\treturn low_own(0);\n}\n", SAMPLE_TABLE,
                    "top/top.c:10: low_own is of low/, and no header that it offers has it"),
    "header-not-offered": ("top/top.c", '#include "../low/own.h"\n', SAMPLE_TABLE,
                           "top/top.c:8: low/own.h is not offered to other folders"),
    "name-of-another": ("low/low.h", "int top_new(void);\n\nstatic inline int top_new(void)\n{\n\treturn 0;\n}\n",
                        SAMPLE_TABLE, "low/low.h:4: top_new begins like a name of top/"),
    "static-name-of-another": ("low/low.c", "static int top_new(void)\n{\n\treturn 0;\n}\n", SAMPLE_TABLE,
                               "low/low.c:13: top_new begins like a name of top/"),
    "no-prefix": ("low/own.h", "struct list {\n\tint x;\n};\n", SAMPLE_TABLE,
                  "low/own.h:2: list does not begin like a name of low/"),
    "no-prefix-of-a-constant": ("low/low.h", "#define LIST_MAX 2\n", SAMPLE_TABLE,
                                "low/low.h:4: LIST_MAX does not begin like a name of low/"),
    "own-constant": ("low/own.h", "#define LIST_MAX 2\n", SAMPLE_TABLE, ""),
    "static-of-nothing": ("low/low.c", "static int look(void)\n{\n\treturn 0;\n}\n", SAMPLE_TABLE,
                          "low/low.c:13: look does not say of what it is"),
    "listed": ("low/low.c", "static int do_it(void)\n{\n\treturn top_call(0);\n}\n", SAMPLE_UP, ""),
    "listed-in-vain": (None, "", SAMPLE_UP, "selftests/layout.toml: low/low.c no longer needs top_call: remove it"),
}


def run():
    """The cases of the gate, and what is to be seen."""
    wrong = judge(sources(rules().folders), rules())
    cases = [tap.Case("folders", "failed" if wrong else "passed", "\n".join(wrong[:60]))]
    for name, (file, more, table, expected) in NOTICED.items():
        texts = {**SAMPLE, **({file: SAMPLE[file] + more} if file else {})}
        said = "\n".join(judge(texts, Rules(table)))
        cases.append(tap.Case(f"sample-{name}", "passed" if said == expected else "failed", f"said: {said or 'nothing'}"))
    return cases, wrong
