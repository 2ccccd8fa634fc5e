# SPDX-License-Identifier: GPL-2.0
"""Every subscript in the module: could a guest or a program choose it?

A CPU may use an index before it has found out that it is too large (Spectre, variant 1). A number that
somebody else chose goes through array_index_nospec() between the check and the use. This finds
every subscript that is not harmless by its form, and each has to be in the list, with the reason.
"""

import re

from where import ROOT, RUNNER

LIST = RUNNER / "gates/indices"
FOLDERS = ("base", "core", "mmu", "paging", "vmx", "shadow", "ept")

# Comments, strings; what is declared rather than indexed.
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', re.S)
DECLARED = re.compile(r"^\s*(?:(?:static|const|struct|extern|unsigned|__\w+|u8|u16|u32|u64|int|long|bool|void|char)\s+\**)+"
                      r"\w+(?:\[[^\n]*\])+\s*(?:;|=|,)", re.M)
HARMLESS = (
    re.compile(r"[0-9A-Z_x\s()+*/<-]*"),                # constants
    re.compile(r"ARRAY_SIZE\(\w+\)"),
    re.compile(r"[ij]"),                                # counters of loops
    re.compile(r".*array_index_nospec\(.*", re.S),
    re.compile(r".*[&%]\s*(?:0x[0-9a-f]+|[0-9]+|[A-Z_]+)\)?", re.S),    # masked
)


def subscripts(text):
    """(what is indexed, index) of each subscript in TEXT; those within an index come as well."""
    opened = []
    for place, letter in enumerate(text):
        if letter == "[":
            opened.append(place)
        elif letter == "]" and opened:
            start = opened.pop()
            what = re.search(r"[\w.>)\]-]*$", text[:start])[0]
            if re.search(r"\w|\)|\]", what):
                yield what, " ".join(text[start + 1:place].split())


def found():
    """{file: {expression}} of subscripts that have to be looked at."""
    result = {}
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.[ch]")):
        text = DECLARED.sub("", NOISE.sub(" ", path.read_text()))
        result[str(path.relative_to(ROOT))] = {
            f"{what}[{index}]" for what, index in subscripts(text)
            if not any(form.fullmatch(index) for form in HARMLESS)}
    return result


def listed():
    """{(file, expression): reason}"""
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    rows = [re.split(r"\s{2,}", line, maxsplit=2) for line in lines]
    return {(file, expression): reason for file, expression, reason in rows}


def check():
    known = listed()
    now = {(file, expression) for file, expressions in found().items() for expression in expressions}
    wrong = [f"{file}: {expression}: who chooses the index? If a guest or a program does, put array_index_nospec() "
             f"behind its check; if not, say why in {LIST.relative_to(ROOT)}" for file, expression in sorted(now - set(known))]
    return wrong + [f"{LIST.relative_to(ROOT)}: {file} no longer has {expression}"
                    for file, expression in sorted(set(known) - now)]
