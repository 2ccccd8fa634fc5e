# SPDX-License-Identifier: GPL-2.0
"""Where the time of `make check` went: the table at its end."""

from where import say

SLOWEST = 4
HEAD = """
where the time went: by the clock of the wall, and in machines by the emulator's, which stands still while it
waits for a core
   wall  emulator  boots"""


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def row(name, seconds, place, collector):
    if not place:
        return f"  {clock(seconds):>5}  {'':8}  {'':14}  {name}"
    boots = [boot.seconds for boot in collector.boots if boot.place == place]
    tests = sorted((outcome for outcome in collector.outcomes if outcome.place == place),
                   key=lambda outcome: -outcome.seconds)
    emulator = sum(boots) + sum(test.seconds for test in tests)
    slowest = ", ".join(f"{test.name} {clock(test.seconds)}" for test in tests[:SLOWEST])
    return (f"  {clock(seconds):>5}  {clock(emulator):>8}  {f'{len(boots)} in {clock(sum(boots))}':14}  {name}: "
            f"{slowest}")


def table(steps, collector):
    """A line for each gate and for each row of machines, the longest first."""
    rows = {}
    for step in steps:
        rows.setdefault(step.place or step.name, []).append(step)
    totals = sorted(((sum(step.seconds for step in group), name, group[0].place) for name, group in rows.items()),
                    reverse=True)
    return [row(name, seconds, place, collector) for seconds, name, place in totals]


def show(steps, collector, seconds):
    say("\n".join([HEAD, *table(steps, collector)]))
    say(f"  {clock(seconds):>5}  in all")
