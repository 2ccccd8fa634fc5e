# SPDX-License-Identifier: GPL-2.0
"""The reference of VMCS fields, read from the table that the module itself goes by.

Reads vmx/field_table.c as text. A row that it does not understand is an error, so nothing is left out
when the table grows.
"""

import re

OWNERS = {"USER": "user", "SHARED": "shared", "CPU": "CPU", "MODULE": "module"}
# Capability a row's macro stands for, and what the SDM calls it.
CONTROLS = {"PIN": "pin-based", "CPU": "primary", "CPU2": "secondary", "CPU3": "tertiary",
            "EXIT": "VM-exit", "ENTRY": "VM-entry"}
# Rows whose condition is not one bit with a name.
OTHERS = {"HAS(VMFUNC, 1)": "VM function 0 (EPTP switching)",
          "HAS(CPU3, 1 << 5)": "tertiary control bit 5",
          "HAS(EXIT2, 1 << 1)": "secondary VM-exit control bit 1"}


class Unknown(Exception):
    """A row of the table that is written in a new way."""


def sources(root):
    return root / "vmx/field_table.c", root / "uapi/linux/vmx_sdm.h"


def encodings(root):
    text = (root / "uapi/linux/vmx_sdm.h").read_text()
    return {name: int(value, 16) for name, value in re.findall(r"#define VMX_F_(\w+)\s+(0x[0-9a-f]{4})$", text,
                                                               re.MULTILINE)}


def strings(text, macros):
    """The string that literals and macros next to each other make."""
    words = re.findall(r'"([^"]*)"|\b([A-Z_]{4,})\b', text)
    return "".join(literal or macros.get(macro, "") for literal, macro in words)


def policies(text):
    """{name: rule} of the policies."""
    macros = dict(re.findall(r'#define (\w+_TEXT) "(.*)"', text))
    found = re.findall(r"struct vmx_field_policy (\w+) = \{(.*?)\};", text, re.DOTALL)
    return {name: strings(body.split(", 0")[0], macros) for name, body in found}


def condition(arguments):
    """Which CPUs have the field."""
    arguments = " ".join(arguments.split())
    for other, text in OTHERS.items():
        if other in arguments:
            return text
    match = re.search(r"\bHAS\(CR3_TARGETS, 1 << (\d)\)", arguments)
    if match:
        return f"more than {match.group(1)} CR3-target values"
    match = re.search(r"\bEITHER\((\w+), (\w+)\)", arguments)
    if match:
        return f"VM-entry control {match.group(1)} or VM-exit control {match.group(2)}"
    match = re.search(rf"\b({'|'.join(CONTROLS)})\((\w+)\)", arguments)
    return f"{CONTROLS[match.group(1)]} control {match.group(2)}" if match else ""


def understood(arguments):
    """Is there anything in the row that this file has never seen?"""
    rest = re.sub(r"(?:INITIAL|HAS|EITHER|PIN|CPU[23]?|EXIT|ENTRY)\((?:[^()]|\([^()]*\))*\)|"
                  r"\.policy = &\w+|[\s,]", "", arguments)
    return not rest


def rows(text):
    """Yields the headings and rows of the table, in its order."""
    table = text[text.index("vmx_field_table[] = {"):].split("\n};")[0].split("\n", 1)[1]
    pattern = re.compile(r"\s*(?:/\* (?P<heading>[^*]*) \*/|"
                         r"ROW\((?P<name>\w+), (?P<owner>\w+)(?P<rest>(?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\),)")
    at = 0
    while table[at:].strip():
        match = pattern.match(table, at)
        if not match or (match["rest"] and not understood(match["rest"])):
            raise Unknown(f"vmx/field_table.c: {table[at:at + 80].strip()!r} is not understood")
        at = match.end()
        yield match


def may_write(owner, rule):
    if owner in ("CPU", "MODULE"):
        return "nothing" if owner == "MODULE" else "nothing; read-only"
    return rule or "anything"


def reference(root):
    """The tables as reStructuredText."""
    text = (root / "vmx/field_table.c").read_text()
    codes = encodings(root)
    rules = policies(text)
    lines = []
    for row in rows(text):
        if row["heading"]:
            lines += ["", row["heading"], "~" * len(row["heading"]), "", ".. list-table::",
                      "   :header-rows: 1", "   :widths: 34 9 10 32 40", "",
                      "   * - field (VMX_F\\_...)", "     - encoding", "     - owner", "     - exists with",
                      "     - userspace may write"]
            continue
        policy = re.search(r"\.policy = &(\w+)", row["rest"])
        rule = rules[policy.group(1)] if policy else ""
        lines += [f"   * - ``{row['name']}``", f"     - {codes[row['name']]:#06x}", f"     - {OWNERS[row['owner']]}",
                  f"     - {condition(row['rest'])}", f"     - {may_write(row['owner'], rule)}"]
    return "\n".join(lines) + "\n"
