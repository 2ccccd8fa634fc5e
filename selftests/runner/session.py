# SPDX-License-Identifier: GPL-2.0
"""Follows one boot of the machine on its console."""

import dataclasses
import re

STAMP = re.compile(r"^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[[^\]]*\])? ?")
END = re.compile(r"end (\S+) (exit|signal)=(\d+) instructions=(\d+)")


@dataclasses.dataclass
class Span:
    """The console's lines while one test ran, or outside all tests."""
    name: str
    output: list = dataclasses.field(default_factory=list)   # the test's own lines
    kernel: list = dataclasses.field(default_factory=list)   # the kernel's
    raw: list = dataclasses.field(default_factory=list)      # both, in order, with timestamps
    ended: str = ""          # exit, signal, or empty: it never ended
    code: int = 0
    timeout: bool = False
    instructions: int = 0
    started: float = 0       # by the emulator's clock
    seconds: float = 0


class Session:
    """Feed it console lines; it keeps a Span for each test, and calls LISTENER(span, line) for each.

    CLOCK returns the seconds that the emulator has had: they do not depend on what else the computer does.
    """

    def __init__(self, listener=None, clock=lambda: 0):
        self.listener = listener or (lambda span, mark, text: None)
        self.clock = clock
        self.boot = Span("boot")
        self.spans = []
        self.current = self.boot
        self.up = self.done = self.dead = False
        self.facts = {}
        self.part = ""

    def feed(self, line):
        line = line.rstrip("\r\n")
        text = STAMP.sub("", line)
        self.current.raw.append(line)
        mark = text[:3]
        if mark == "T+ ":
            # The first part of a line that is longer than a record of the kernel's log.
            self.part += text[3:]
        elif mark == "T| " or text == "T|":
            whole, self.part = self.part + text[3:], ""
            self.current.output.append(whole)
            self.listener(self.current, "|", whole)
        elif mark == "T@ ":
            self._marker(text[3:])
        else:
            self.current.kernel.append(text)
            self.listener(self.current, "", line)
            # Both are the kernel's last words; what follows only repeats them.
            if "end Kernel panic" in text:
                self.dead = True

    def _marker(self, text):
        word, _, rest = text.partition(" ")
        ending = END.match(text)
        if word == "up":
            self.up = True
            self.boot.seconds = self.clock()
            self.current = Span("load")
            self.spans.append(self.current)
        elif word == "begin":
            self.current = Span(rest, started=self.clock())
            self.spans.append(self.current)
        elif ending and ending.group(1) == self.current.name:
            self.current.ended = ending.group(2)
            self.current.code = int(ending.group(3))
            self.current.instructions = int(ending.group(4))
            self.current.seconds = self.clock() - self.current.started
        elif word == "timeout":
            self.current.timeout = True
        elif word == "done":
            self.done = True
        elif word == "fact":
            name, _, value = rest.partition(" ")
            self.facts[name] = value
        elif word in ("error", "stuck"):
            self.current.output.append(f"# {text}")
        self.listener(self.current, "@", text)
