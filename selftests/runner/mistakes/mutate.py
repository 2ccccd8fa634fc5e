# SPDX-License-Identifier: GPL-2.0
"""Makes plausible mistakes by rule: each is a change of one place in a C or assembler file.

The rules work on lines, with comments and strings blanked out. A change that does not compile, or that changes no
code, is thrown away later, so a rule may be coarse.
"""

import dataclasses
import fnmatch
import random
import re
import tomllib

from where import ROOT

TABLE = ROOT / "selftests/mutants.toml"

# These check, trace or describe the module, and change nothing that a test could see.
NOT_CODE = re.compile(r"ledger|trace_|WARN_ON|\bpr_\w+\(|lockdep_|BUILD_BUG|static_assert|MODULE_|EXPORT_|might_sleep|"
                      r"VMX_KUNIT|VMX_DEBUG|#include|#if|#e|#undef")
COMPARISON = re.compile(r"(?<![-<>=!&|+*/%^])(<=|>=|==|!=|<|>)(?![<>=])")
COMPARISONS = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",),
               "!=": ("==",)}
WIDTHS = {"u64": "u32", "u32": "u16", "u16": "u8", "s64": "s32", "unsigned long": "unsigned int", "long": "int",
          "size_t": "unsigned int", "uint64_t": "uint32_t", "uint32_t": "uint16_t", "uint16_t": "uint8_t",
          "int64_t": "int32_t", "int32_t": "int16_t"}
CONSTANT = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b")
# A whole statement in a line.
CALL = re.compile(r"\t+[a-z_]\w*\(.*\);$")
ASSIGNMENT = re.compile(r"\t+\*?[a-z_][\w.>\[\]()-]* [-+|&]?= [^=].*;$|\t+[a-z_][\w.>-]*(\+\+|--);$")
LEAVING = re.compile(r"\t+(return\b.*|break|continue|goto \w+);$")
# What stands before such a line belongs to it.
HEADER = re.compile(r"^\t+(?:\} )?(?:if|else|for|while|do|switch|\w*for_each\w*)\b.*[^;{]$")
ROW = re.compile(r"^\s*(?:\[.*\]\s*=|\{|[A-Z][A-Z0-9_]*\().*[,}]$")
DEFINITION = re.compile(r"^#define\s+\w+(?:\([^)]*\))?\s+\S")


@dataclasses.dataclass(frozen=True)
class Mutant:
    file: str
    line: int        # from 1, of the first line that changes
    rule: str
    old: tuple       # lines
    new: tuple

    def apply(self, text):
        lines = text.split("\n")
        at = self.line - 1
        assert tuple(lines[at:at + len(self.old)]) == self.old, f"{self.file} has changed"
        lines[at:at + len(self.old)] = self.new
        return "\n".join(lines)

    def excluded_by(self, rows):
        """The row of the list by hand that it is in, if any. NEW is what the line becomes: without it, any."""
        for row in rows:
            if (row["file"] == self.file and row["old"] == self.old[0].strip()
                    and row.get("new") in (None, " / ".join(line.strip() for line in self.new))):
                return row
        return None

    def __str__(self):
        old, new = (" / ".join(line.strip() for line in lines) for lines in (self.old, self.new))
        return f"{self.file}:{self.line} {self.rule}\n      - {old}\n      + {new or '(left out)'}"


@dataclasses.dataclass
class Verdict:
    mutant: Mutant
    by: str = ""           # the test that noticed, and where; or nothing
    not_asked: int = 0     # tests that would take too long
    seconds: float = 0

    def outcome(self):
        if self.by:
            return f"noticed by {self.by}"
        return "SURVIVED" + (f"; {self.not_asked} tests were not asked, AGAIN=1 asks them" if self.not_asked else "")


def statement(has_code, file, codes, line):
    """LINE; or the line of its statement that instructions belong to; or none, for tables and definitions."""
    for at in range(line, max(line - 12, 0), -1):
        if has_code(file, at):
            return [at]
        if at != line and (not codes[at - 1].strip() or codes[at - 1].rstrip()[-1] in ";{}"):
            break
    return []


def lines_of(has_code, mutant):
    """The lines that a test has to execute; none if no instruction belongs to them."""
    codes = blank((ROOT / mutant.file).read_text()).split("\n")
    return statement(has_code, mutant.file, codes, mutant.line)


def table():
    return tomllib.loads(TABLE.read_text())


def excluded():
    """The mistakes that are listed by hand, with the reason why nobody has to notice them."""
    return table().get("excluded", [])


def out_of_date():
    """Complaints about those whose line is not in the file any more."""
    wrong = []
    for row in excluded():
        lines = [line.strip() for line in (ROOT / row["file"]).read_text().splitlines()]
        if row["old"] not in lines:
            wrong.append(f"{TABLE.name}: {row['file']} has no line '{row['old']}' any more")
    return wrong


def in_no_area(file):
    return any(fnmatch.fnmatch(file, pattern) for row in table()["none"] for pattern in row["files"])


def areas_that_do_not_fit(module, tools):
    """Complaints about areas: each file of the module is in one, or in the list of those that are in none.

    MODULE, TOOLS: names of their files.
    """
    rows = table()
    areas = [(name, pattern) for name, row in rows["area"].items() for pattern in row["files"]]
    none = [("none", pattern) for row in rows["none"] for pattern in row["files"]]
    wrong = [f"{TABLE.name}: {pattern} of {name} matches no file" for name, pattern in areas + none
             if not fnmatch.filter(module + tools, pattern)]
    for file in module:
        found = [name for name, pattern in areas if fnmatch.fnmatch(file, pattern)]
        if len(found) != 1 and not in_no_area(file):
            wrong.append(f"{TABLE.name}: {file} is in {' and '.join(found) or 'no area'}, not in one: areas divide the "
                         "module")
    return wrong


def blank(text):
    """TEXT without comments and strings, each character in its place."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text, flags=re.DOTALL)


def operand(code, at, step):
    """Where the operand of an operator ends: from AT on, forwards or backwards."""
    depth = 0
    opening, closing = ("([{", ")]}") if step > 0 else (")]}", "([{")
    while 0 <= at < len(code):
        if code[at] in opening:
            depth += 1
        elif code[at] in closing:
            depth -= 1
        if depth < 0 or not depth and (code[at] in ",;?:=<>|^" or code[at:at + 2] == "&&" or code[at - 1:at + 1] == "&&"
                                       or code[at] == "&" and code[at - 1:at + 2] == " & "):
            # `a->b` is an operand.
            if not (code[at] == ">" and code[at - 1] == "-"):
                break
        at += step
    return at


def without_operands(code, match):
    """Drops one or the other operand of a binary operator."""
    left = operand(code, match.start() - 1, -1) + 1
    right = operand(code, match.end(), 1)
    word = re.match(r"\s*(?:return|case)\b", code[left:match.start()])
    left += word.end() if word else 0
    first, second = code[left:match.start()].strip(), code[match.end():right].strip()
    if first and not first.endswith("="):
        yield left + (code[left] == " "), match.end() + (bool(second)), ""
    if first and second:
        yield match.start() - 1, right, ""


def arguments(code, at):
    """(where each argument begins and ends) of the call whose parenthesis is at AT; none if it ends elsewhere."""
    depth, begin, found = 0, at + 1, []
    for i in range(at, len(code)):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        if depth == 1 and code[i] == "," or depth == 0:
            found.append((begin, i))
            begin = i + 1
        if depth == 0:
            return found
    return []


def changes(code):
    """(rule, begin, end, text) of changes within a line."""
    for match in COMPARISON.finditer(code):
        for other in COMPARISONS[match.group(1)]:
            yield "comparison", *match.span(1), other
    for match in re.finditer(r"&&|\|\|", code):
        yield "and-or", *match.span(), "||" if match.group() == "&&" else "&&"
        for change in without_operands(code, match):
            yield "condition-dropped", *change
    for match in re.finditer(r"(?<=[\w)\]] )[|&](?= ?[\w(~!]|$)", code):
        for change in without_operands(code, match):
            yield "mask", *change
    for match in re.finditer(r"~(?=[\w(])|!(?=[\w(])", code):
        yield "inverted", *match.span(), ""
    for match in re.finditer(r"\b(?:if|while) \(", code):
        end = arguments(code, match.end() - 1)
        if len(end) == 1 and "=" not in re.sub("[<>=!]=", "", code[slice(*end[0])]):
            inner = code[slice(*end[0])]
            yield "inverted", *end[0], f"!({inner})"
            if code[match.start():].startswith("if"):
                yield "condition-dropped", *end[0], "true"
                yield "condition-dropped", *end[0], "false"
    for match in re.finditer(r" [-+] 1\b(?!\w)", code):
        yield "offset-dropped", *match.span(), ""
    for match in re.finditer(r"(?<![\w.])(0x[0-9a-f]+|0|[1-9]\d*)(U?L{0,2})\b", code):
        value = int(match.group(1), 0)
        base = hex if match.group(1).startswith("0x") else str
        yield "number", *match.span(1), base(value + 1)
        if value > 1:
            yield "number", *match.span(1), base(value - 1)
    for match in re.finditer(r"(?<=[\w)\]] )[-+*/%](?= [\w(])", code):
        yield "arithmetic", *match.span(), {"+": "-", "-": "+", "*": "/", "/": "*", "%": "/"}[match.group()]
    for match in re.finditer(r"(?<= )(\|=|\+=|-=|&=)(?= )", code):
        yield "arithmetic", *match.span(), {"|=": "=", "+=": "=", "-=": "+=", "&=": "="}[match.group()]
    for match in re.finditer(r"<<|>>", code):
        yield "arithmetic", *match.span(), {"<<": ">>", ">>": "<<"}[match.group()]
    for match in re.finditer(r"\b(min|max)(?:_t)?\(", code):
        found = arguments(code, match.end() - 1)
        if found:
            other = {"min": "max", "max": "min"}[match.group(1)]
            yield "min-max", *match.span(1), other
            for begin, end in found[-2:]:
                yield "min-max", match.start(), found[-1][1] + 1, f"({code[begin:end].strip()})"
    for match in re.finditer(r"\b(true|false)\b", code):
        yield "boolean", *match.span(), {"true": "false", "false": "true"}[match.group()]
    for match in re.finditer(r"(?<=\breturn )-E[A-Z0-9]+(?=;)", code):
        yield "error-unsaid", *match.span(), "0"
    for match in re.finditer(r"(?<!\w)(?<!long )(u64|u32|u16|s64|u?int(?:64|32)_t|uint16_t|unsigned long|long|size_t)"
                             r"(?= \*?\w)(?! long)(?!.* : \d+;)", code):
        yield "width", *match.span(), WIDTHS[match.group()]


def neighbours(codes, at):
    """Constants of the lines around, by the word that they begin with."""
    found = {}
    for line in codes[max(0, at - 3):at + 4]:
        for word in CONSTANT.findall(line):
            found.setdefault(word.split("_")[0], {})[word] = None
    return found


def constants(codes, at):
    around = neighbours(codes, at)
    for match in CONSTANT.finditer(codes[at]):
        for other in around[match.group().split("_")[0]]:
            if other != match.group() and not re.search(rf"\b{other}\b", codes[at]):
                yield "neighbour", *match.span(), other


def labels(codes, at):
    match = re.search(r"\bgoto (\w+);", codes[at])
    if not match:
        return
    for line in codes[at:at + 80]:
        if line == "}":
            break
        label = re.match(r"(\w+):$", line)
        if label and label.group(1) != match.group(1):
            yield "label", *match.span(1), label.group(1)


def is_statement(codes, at):
    """Is the line a statement of its own, which depends on no line before it?"""
    return (any(rule.match(codes[at]) for rule in (CALL, ASSIGNMENT, LEAVING))
            and at > 0 and re.search(r"[;{}:]$|^$", codes[at - 1].rstrip()) is not None)


def whole_lines(codes, at):
    """(rule, number of lines, replacements) of changes that take whole lines."""
    code = codes[at]
    indent = re.match(r"\s*", code).group()
    rule = ("call-left-out" if CALL.match(code) else "assignment-left-out" if ASSIGNMENT.match(code)
            else "leaving-left-out" if LEAVING.match(code) else "")
    if rule and HEADER.match(codes[at - 1]):
        yield rule, 1, (f"{indent};",)
    elif rule and is_statement(codes, at):
        yield rule, 1, ()
    if at + 1 < len(codes) and is_statement(codes, at) and not LEAVING.match(code):
        other = codes[at + 1]
        if (re.match(r"\s*", other).group() == indent and is_statement(codes, at + 1) and not LEAVING.match(other)
                and not are_independent(code, other)):
            yield "swapped", 2, None


def are_independent(one, other):
    """Are these assignments without calls, of which neither mentions what the other assigns? Their order is no matter."""
    assigned = [re.match(r"\t+\*?([\w.>\[\]-]+?)(?: [-+|&]?= |\+\+;|--;)", line) for line in (one, other)]
    if not all(assigned) or re.search(r"\w\(", one + other):
        return False
    members = [re.findall(r"\w+", re.sub(r"\[.*?\]", "", match.group(1)))[-1] for match in assigned]
    return not re.search(rf"\b{members[0]}\b", other) and not re.search(rf"\b{members[1]}\b", one)


def assembler(codes, at):
    code = codes[at]
    if not re.match(r"\t[a-z]", code) or code.startswith("\t."):
        return
    yield "instruction-left-out", 1, ()
    if at + 1 < len(codes) and re.match(r"\t[a-z]", codes[at + 1]) and not codes[at + 1].startswith("\t."):
        yield "swapped", 2, None


def debug_only(codes):
    """Lines that only the debug build has."""
    inside, lines = [], set()
    for number, code in enumerate(codes):
        if re.match(r"#if", code):
            inside.append("DEBUG" in code)
        elif re.match(r"#else", code) and inside:
            inside[-1] = False
        elif re.match(r"#endif", code) and inside:
            inside.pop()
        if any(inside):
            lines.add(number)
    return lines


def without_code(code):
    """Lines that no instruction belongs to, though the code depends on them: rows of tables, constants, members."""
    return bool(ROW.match(code) or DEFINITION.match(code) or re.match(r"\t\w[\w ]* \*?\w+(\[.*\])?;$", code))


def of_file(name, text, may_change):
    """All mutants of a file in lines for which MAY_CHANGE(line, code) is true; lines count from 1."""
    lines, codes = text.split("\n"), [line.rstrip() for line in blank(text).split("\n")]
    skipped = debug_only(codes)
    for at, code in enumerate(codes):
        if not code.strip() or at in skipped or NOT_CODE.search(code) or not may_change(at + 1, code):
            continue
        if name.endswith(".S"):
            whole, within = assembler(codes, at), ()
        else:
            whole, within = whole_lines(codes, at), [*changes(code), *constants(codes, at), *labels(codes, at)]
        for rule, count, new in whole:
            old = tuple(lines[at:at + count])
            if not NOT_CODE.search("\n".join(codes[at:at + count])):
                yield Mutant(name, at + 1, rule, old, tuple(reversed(old)) if new is None else new)
        for rule, begin, end, new in within:
            changed = lines[at][:begin] + new + lines[at][end:]
            if changed.strip() and changed != lines[at]:
                yield Mutant(name, at + 1, rule, (lines[at],), (changed,))


def in_order(mutants, seed):
    """MUTANTS in a random order in which rules take turns, and no line comes twice before all others have."""
    source = random.Random(seed)
    by_rule = {}
    for mutant in mutants:
        by_rule.setdefault(mutant.rule, []).append(mutant)
    for some in by_rule.values():
        source.shuffle(some)
    seen, later = set(), []
    while by_rule:
        rules = sorted(by_rule)
        source.shuffle(rules)
        for rule in rules:
            mutant = by_rule[rule].pop()
            if not by_rule[rule]:
                del by_rule[rule]
            place = (mutant.file, mutant.line)
            if place in seen:
                later.append(mutant)
            else:
                seen.add(place)
                yield mutant
    yield from later
