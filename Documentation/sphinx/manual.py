# SPDX-License-Identifier: GPL-2.0
"""What the manual has beside Sphinx's own and the kernel's: two references from tables in the source, and a look
whether files that the text names exist.
"""

import logging as python_logging
import pathlib
import re

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.nodes import nested_parse_with_titles

import fields
import saved

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What a name in the text has to begin with to be taken for a file of the project.
FOLDERS = "|".join(re.escape(path.name) for path in ROOT.iterdir() if path.is_dir() and path.name not in ("build", ".git"))


STRUCTS = {name for folder in ("uapi", "tools/include") for path in (ROOT / folder).rglob("*.h")
           for name in re.findall(r"^struct (\w+) \{", path.read_text(), re.MULTILINE)}


class Reference(Directive):
    """A directive without arguments, in place of which is what its module makes of the source."""

    module = None

    def run(self):
        try:
            text = self.module.reference(ROOT)
        except self.module.Unknown as unknown:
            raise self.error(str(unknown)) from unknown
        for path in (pathlib.Path(self.module.__file__), *self.module.sources(ROOT)):
            self.state.document.settings.env.note_dependency(str(path))
        node = nodes.section(document=self.state.document)
        nested_parse_with_titles(self.state, StringList(text.splitlines(), self.module.__file__), node)
        return node.children


class Fields(Reference):
    """.. vmx-fields:: the reference of VMCS fields"""

    module = fields


class Saved(Reference):
    """.. vmx-saved:: the reference of saved state"""

    module = saved


def check_names(app, document, page):
    for link in document.findall(nodes.reference):
        if re.search(r"\.rst(?:#|$)", link.get("refuri", "")) and ":" not in link["refuri"]:
            logging.getLogger(__name__).warning("%s: link to pages by :doc: or :ref:, which are checked",
                                                link["refuri"], location=link)
    for literal in document.findall(nodes.literal):
        text = literal.astext()
        if re.fullmatch(rf"(?:{FOLDERS})/[\w./*-]*", text) and not list(ROOT.glob(text.rstrip("/"))):
            logging.getLogger(__name__).warning("there is no %s", text, location=literal)


def is_news(record):
    """Sphinx has one name space for C, in which a function cannot have the name of a struct."""
    text = record.getMessage()
    name = re.search(r"Declaration is '\.\. c:(?:struct:: |function:: .*?)(\w+)(?: ?\(|'\.)", text)
    return not (text.startswith("Duplicate C declaration") and name and name.group(1) in STRUCTS)


def setup(app):
    python_logging.getLogger("sphinx.sphinx.domains.c").addFilter(is_news)
    app.add_directive("vmx-fields", Fields)
    app.add_directive("vmx-saved", Saved)
    app.connect("doctree-resolved", check_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
