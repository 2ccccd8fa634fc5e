# SPDX-License-Identifier: GPL-2.0
"""The reference of saved state, read from the tables that write and read it.

Reads the tables as text. A row that it does not understand is an error, and so is a member of a struct that has
neither a row nor a comment "Not saved of struct X: members: reason."
"""

import re

SOURCES = ("tools/state/*.c", "tools/virtio/*.c", "tools/migrate/*.c")
HEADERS = ("tools/include/libvmx/*.h", "tools/state/*.[ch]", "tools/migrate/*.h", "uapi/linux/vmx_vcpu.h")
WIDTHS = {"bool": 8, "unsigned char": 8, "uint8_t": 8, "uint16_t": 16, "uint32_t": 32, "uint64_t": 64, "int64_t": 64,
          "__u8": 8, "__u16": 16, "__u32": 32, "__u64": 64}
# Arguments between the version and the sentence.
MACROS = {"NUMBER": 0, "LIMITED": 1, "BITS": 1, "FLAG": 0, "SAME": 0, "WITHIN": 0, "ARRAY": 0, "FLAGS": 0, "COUNTED": 0,
          "STRUCTS": 1, "COUNTED_STRUCTS": 1, "FIRST": 0}


class Unknown(Exception):
    """A table that is written in a new way, or a member that nobody decided about."""


def sources(root):
    return [path for pattern in (*SOURCES, *HEADERS) for path in root.glob(pattern)]


def arguments(text):
    """What is between the commas, those in brackets and strings left out."""
    parts = re.findall(r'(?:"[^"]*"|\([^()]*\)|\[[^\]]*\]|[^,"()\[\]])+', text)
    return [" ".join(part.split()) for part in parts]


def sentence(text):
    return "".join(re.findall(r'"([^"]*)"', text))


def structs(root):
    """{struct: {member: (bits or None, elements or "")}}"""
    found = {}
    for pattern in HEADERS:
        for path in sorted(root.glob(pattern)):
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
            for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, re.DOTALL | re.MULTILINE):
                found.setdefault(name, members(body))
    return found


def members(body):
    found = {}
    for line in body.split(";"):
        pointer = re.search(r"\(\*(\w+)\)\(", line)
        if pointer:
            found[pointer.group(1)] = (None, "")
            continue
        match = re.fullmatch(r"\s*(?:const )?((?:unsigned |struct |enum )?\w+)\s+(.*)", line, re.DOTALL)
        for one in match.group(2).split(",") if match else ():
            name = re.fullmatch(r"\s*\**(\w+)((?:\[[^\]]*\])?)(?: __attribute__.*)?", one.strip())
            if name:
                found[name.group(1)] = (WIDTHS.get(match.group(1)), name.group(2))
    return found


def rows(path, body):
    at = 0
    pattern = re.compile(r'\s*(\w+)\(((?:"[^"]*"|\((?:"[^"]*"|[^()])*\)|[^()"])*)\),')
    while body[at:].strip():
        match = pattern.match(body, at)
        if not match or match.group(1) not in MACROS:
            raise Unknown(f"{path.name}: {body[at:at + 80].strip()!r} is not understood")
        at = match.end()
        macro, parts = match.group(1), arguments(match.group(2))
        struct, member = parts[0].removeprefix("struct "), parts[1]
        extra = parts[2] if macro == "FIRST" else parts[3] if MACROS[macro] else ""
        since = parts[3] if macro == "FIRST" else parts[2]
        yield macro, struct, member, since, extra, sentence(match.group(2))


def tables(root):
    """(name, version, rows, path) of each table, in the order of files; {name of a C object: name}"""
    found, names = [], {}
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            text = path.read_text()
            bodies = dict(re.findall(r"struct vmx_saved_field (\w+)\[\] = \{\n(.*?)^\};", text,
                                     re.DOTALL | re.MULTILINE))
            used = set()
            for c_name, name, version, fields in re.findall(
                    r'struct vmx_saved_table (\w+) =\s+SAVED_(?:TABLE|STRUCT)\("([\w-]+)", (?:(\d+), )?(\w+)\)', text):
                names[c_name] = name
                used.add(fields)
                found.append((name, version, list(rows(path, bodies[fields])), path))
            if set(bodies) - used:
                raise Unknown(f"{path.name}: no table has {', '.join(sorted(set(bodies) - used))}")
    return found, names


def left_out(root):
    """{struct: members that are not saved}"""
    found = {}
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            for struct, text in re.findall(r"/\* Not saved of struct (\w+): ([\w, ]+): [^*]+\. \*/", path.read_text()):
                found.setdefault(struct, set()).update(re.split(r",\s*", text))
    return found


def check_complete(known, found, out):
    saved = {}
    for _, _, table, _ in found:
        for _, struct, member, *_ in table:
            saved.setdefault(struct, set()).add(member.split(".")[0])
    for struct, has in saved.items():
        if struct not in known:
            raise Unknown(f"struct {struct} is in no header that is read here")
        forgotten = set(known[struct]) - has - out.get(struct, set())
        if forgotten:
            raise Unknown(f"struct {struct}: {', '.join(sorted(forgotten))}: give it a row in the table, or say that it "
                          f"is 'Not saved of struct {struct}: ...'")
        stray = out.get(struct, set()) - set(known[struct])
        if stray:
            raise Unknown(f"struct {struct} has no {', '.join(sorted(stray))}, which is said not to be saved")


def width(known, struct, member, macro, extra):
    bits, elements = known[struct].get(member, (None, ""))
    if "." in member:
        bits = 8
    if "STRUCTS" in macro:
        return elements
    if macro == "FIRST":
        elements = f"[{extra}]"
    return f"{bits}{elements}"


def limits(macro, extra, names):
    if macro in ("FLAG", "FLAGS"):
        return "0 or 1"
    if macro == "LIMITED":
        return f"up to ``{extra}``"
    if macro == "BITS":
        return f"bits ``{extra}``"
    if macro == "SAME":
        return "as in the machine"
    if macro == "WITHIN":
        return "bits that the machine has"
    if "STRUCTS" in macro:
        return f"each a ``{names[extra.removeprefix('&')]}``"
    return ""


def reference(root):
    """The tables as reStructuredText."""
    known = structs(root)
    found, names = tables(root)
    check_complete(known, found, left_out(root))
    lines = []
    for name, version, table, path in found:
        lines += ["", f"{name}", "~" * len(name), "",
                  f"{f'Section, version {version}' if version else 'Element'}; ``{path.relative_to(root)}``.", "", ".. list-table::", "   :header-rows: 1",
                  "   :widths: 20 12 8 20 60", "", "   * - field", "     - in the stream", "     - since", "     - limits",
                  "     - meaning"]
        for macro, struct, member, since, extra, text in table:
            lines += [f"   * - ``{member}``", f"     - {width(known, struct, member, macro, extra)}", f"     - {since}",
                      f"     - {limits(macro, extra, names)}", f"     - {text}"]
    return "\n".join(lines) + "\n"
