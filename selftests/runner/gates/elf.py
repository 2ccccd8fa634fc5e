# SPDX-License-Identifier: GPL-2.0
"""What is in a 64-bit object file: a kernel module, as the gates on built code look at it."""

import dataclasses
import lzma
import struct

FUNCTION = 2          # of a symbol's type
UNDEFINED = 0         # as the section of a symbol


@dataclasses.dataclass
class Symbol:
    name: str
    kind: int
    section: int
    value: int
    size: int


def text_at(table, offset):
    return table[offset:table.index(b"\0", offset)].decode()


class Object:
    """Sections by name; symbols; relocations."""

    def __init__(self, path):
        data = path.read_bytes()
        data = lzma.decompress(data) if path.suffix == ".xz" else data
        start, = struct.unpack_from("<Q", data, 40)
        size, count, names = struct.unpack_from("<HHH", data, 58)
        headers = [struct.unpack_from("<IIQQQQII", data, start + i * size) for i in range(count)]
        contents = [data[header[4]:header[4] + header[5]] for header in headers]
        self.names = [text_at(contents[names], header[0]) for header in headers]
        self.sections = dict(zip(self.names, contents))
        self.symbols = [self._symbol(fields) for fields in struct.iter_unpack("<IBBHQQ", self.sections[".symtab"])]

    def _symbol(self, fields):
        name, info, _, section, value, size = fields
        return Symbol(text_at(self.sections[".strtab"], name), info & 15, section, value, size)

    def undefined(self):
        return {symbol.name for symbol in self.symbols if symbol.section == UNDEFINED and symbol.name}

    def relocations(self, section):
        """What is filled in in SECTION, by offset: (symbol, addend)."""
        fields = struct.iter_unpack("<QQq", self.sections.get(f".rela{section}", b""))
        return {offset: (self.symbols[info >> 32], addend) for offset, info, addend in fields}

    def target(self, relocation):
        """(section, offset) of a place that a relocation refers to."""
        symbol, addend = relocation
        return self.names[symbol.section], symbol.value + addend

    def function_at(self, place):
        """The name of the function that has PLACE, (section, offset); None if none has."""
        section, offset = place
        for symbol in self.symbols:
            if symbol.kind == FUNCTION and self.names[symbol.section] == section and \
               symbol.value <= offset < symbol.value + symbol.size:
                return symbol.name
        return None
