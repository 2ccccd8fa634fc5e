#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes the manual: manual.py KERNEL-DOC OUTPUT-FOLDER.

docutils reads the same .rst files as the kernel's Sphinx would; what Sphinx brings and docutils lacks
is here: the kernel-doc directive, the C domain's directives, and links between pages. Of its own it
has `vmx-fields`, the reference of VMCS fields, and `vmx-saved`, that of saved state. Whatever looks wrong is an error: bad markup, a link to
nowhere, a file of the project that the text names and that does not exist.
"""

import os
import pathlib
import re
import subprocess
import sys

import docutils.core
from docutils import nodes
from docutils.parsers.rst import Directive, directives, roles
from docutils.statemachine import StringList

import fields
import saved

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
# What a name in the text has to begin with to be taken for a file of the project.
FOLDERS = r"vmx|ept|shadow|uapi|tools|selftests|Documentation|LICENSES|packaging|\.ci"

STYLE = """
body { max-width: 52em; margin: 2em auto; padding: 0 1em; line-height: 1.45; }
pre, code, tt, .literal { font-size: 92%; }
pre { background: #f4f4f4; padding: .6em; overflow-x: auto; }
table { border-collapse: collapse; } td, th { border: 1px solid #ccc; padding: .15em .5em; }
dt.c-name { font-family: monospace; font-weight: bold; margin-top: 1.6em; border-top: 1px solid #ccc; }
"""


class Wrong(Exception):
    """Something in the sources of the manual, for people."""


def parse_into(directive, text, source):
    """The nodes that TEXT stands for, where DIRECTIVE stands."""
    node = nodes.Element()
    node.document = directive.state.document
    directive.state.nested_parse(StringList(text.splitlines(), source), 0, node, match_titles=1)
    return node.children


class KernelDoc(Directive):
    """.. kernel-doc:: FILE, with :doc: or :identifiers: as in the kernel."""

    required_arguments = 1
    option_spec = {"doc": directives.unchanged_required, "identifiers": directives.unchanged_required}
    script = None

    def run(self):
        path = ROOT / self.arguments[0]
        names = [self.options["doc"]] if "doc" in self.options else self.options.get("identifiers", "").split()
        chosen = [word for name in names for word in ("-function", name)] or ["-no-doc-sections"]
        result = subprocess.run([self.script, "-rst", "-sphinx-version", "3.1.0", *chosen, path],
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if result.returncode or not result.stdout.strip():
            raise self.error(f"kernel-doc {self.arguments[0]}: nothing of {names}\n{result.stderr}")
        return parse_into(self, self.tidy(result.stdout), self.arguments[0])

    @staticmethod
    def tidy(text):
        """Without what is said twice or not at all; an array's index is text of its own."""
        text = re.sub(r"\*\*(\w+)\*\*(?=\[)", r"**\1**\\ ", text)
        text = re.sub(r"^(\.\. c:macro:: (\w+)\n)\n``\2``\n", r"\1", text, flags=re.MULTILINE)
        text = re.sub(r"^ +``.*``\n +\*undescribed\*\n+", "", text, flags=re.MULTILINE)
        text = re.sub(r"^ +\*\*(?:Parameters|Constants)\*\*\n+(?=\S|\Z| +\*\*)", "", text, flags=re.MULTILINE)
        return re.sub(r"^\.\. container:: kernelindent\n+(?=\S|\Z)", "", text, flags=re.MULTILINE)


class CName(Directive):
    """.. c:struct:: NAME and the like: a heading that can be linked to."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self):
        kind = self.name.removeprefix("c:")
        text = self.arguments[0]
        name = re.match(r".*?(\w+) *\(", text).group(1) if kind == "function" else text
        shown = text if kind in ("function", "macro") else f"{kind} {text}"
        item = nodes.definition_list_item()
        term = nodes.term("", shown, classes=["c-name"], ids=[f"c.{name}"])
        body = nodes.definition()
        self.state.nested_parse(self.content, self.content_offset, body)
        item += [term, body]
        return [nodes.definition_list("", item)]


def c_role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """:c:type:`struct vmx_caps <vmx_caps>` and the like: a link, if the page has what it names."""
    match = re.fullmatch(r"(.*?)\s*<(.*)>", text)
    shown, target = match.groups() if match else (text, text.removesuffix("()"))
    return [nodes.reference("", "", nodes.literal("", shown), refuri=f"#c.{target.split()[-1]}")], []


class Fields(Directive):
    """.. vmx-fields: the table of VMCS fields, made from the module's own."""

    def run(self):
        return parse_into(self, fields.reference(ROOT), "vmx/field_table.c")


class Saved(Directive):
    """.. vmx-saved::, the reference of saved state, made from the tables that write and read it."""

    def run(self):
        return parse_into(self, saved.reference(ROOT), "tools/state")


def register(script):
    KernelDoc.script = script
    directives.register_directive("kernel-doc", KernelDoc)
    directives.register_directive("vmx-fields", Fields)
    directives.register_directive("vmx-saved", Saved)
    for kind in ("struct", "union", "enum", "type", "macro", "function"):
        directives.register_directive(f"c:{kind}", CName)
    for kind in ("type", "func", "struct", "enum", "macro"):
        roles.register_local_role(f"c:{kind}", c_role)


def fix_links(document, page):
    """Makes links between pages right for HTML; complains of those that lead nowhere."""
    ids = {one for node in document.findall(nodes.Element) for one in node.get("ids", ())}
    for link in list(document.findall(nodes.reference)):
        uri = link.get("refuri", "")
        if uri.startswith("#c.") and uri[1:] not in ids:
            link.replace_self(link.children)
        elif uri and ":" not in uri and not uri.startswith("#"):
            file, _, place = uri.partition("#")
            if not (page.parent / file).exists():
                raise Wrong(f"{page.name}: there is no {file} to link to")
            if file.endswith(".rst"):
                link["refuri"] = file.removesuffix(".rst") + ".html" + ("#" + place if place else "")


def check_names(document, page):
    """Files of the project that the text names have to exist."""
    for literal in document.findall(nodes.literal):
        text = literal.astext()
        if re.fullmatch(rf"(?:{FOLDERS})/[\w./*-]*", text) and not list(ROOT.glob(text.rstrip("/"))):
            raise Wrong(f"{page.name}: there is no {text}")


def make_page(page, out, style):
    settings = {"halt_level": 2, "report_level": 2, "stylesheet_path": f"minimal.css,{style}",
                "embed_stylesheet": True, "input_encoding": "utf-8", "syntax_highlight": "none",
                "smart_quotes": False, "initial_header_level": 2, "toc_backlinks": False}
    document = docutils.core.publish_doctree(page.read_text(), str(page), settings_overrides=settings)
    fix_links(document, page)
    check_names(document, page)
    html = docutils.core.publish_from_doctree(document, writer_name="html5", settings_overrides=settings)
    path = out / page.relative_to(HERE).with_suffix(".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(html)


def check_readme():
    """The example in README.md is the one that is tested."""
    if (ROOT / "tools/examples/hello.c").read_text() not in (ROOT / "README.md").read_text():
        raise Wrong("README.md does not have tools/examples/hello.c as it is")


def main(script, out):
    register(script)
    check_readme()
    out = pathlib.Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    style = out / "style.css"
    style.write_text(STYLE)
    pages = sorted(HERE.rglob("*.rst"))
    for page in pages:
        make_page(page, out, style)
    print(f"{len(pages)} pages; begin with {os.path.relpath(out / 'index.html', ROOT)}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Wrong, fields.Unknown, saved.Unknown) as wrong:
        sys.exit(str(wrong))
    except docutils.utils.SystemMessage:
        # It has been printed, with file and line.
        sys.exit(1)
