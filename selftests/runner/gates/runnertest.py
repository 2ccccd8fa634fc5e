# SPDX-License-Identifier: GPL-2.0
"""The gate of the runner: logs of tests that went wrong, though a harness or a reader of them may call it a success.

The formats are those of kselftest_harness.h and KUnit in 6.12.
"""

import results
import session
import tap

# Log, and what has to come of it: status of each case.
LOGS = {
    "good": ("TAP version 13\n1..2\n# RUN a ...\nok 1 a\nok 2 b\n# PASSED: 2 / 2 tests passed.", "passed passed"),
    "failed": ("TAP version 13\n1..2\n# x_test.c:7:a:Expected 1 (1) == x (2)\nnot ok 1 a\nok 2 b", "failed passed"),
    "expect-before-skip": ("TAP version 13\n1..1\n# x_test.c:7:a:Expected 1 (1) == x (2)\n#      SKIP      the CPU has no five-level EPT\n"
                           "#            OK  a\nok 1 a # SKIP the CPU has no five-level EPT", "failed"),
    "expect-in-a-child": ("TAP version 13\n1..1\n# x_test.c:7:a:Expected 'a' == 'b'.\n#            OK  a\nok 1 a", "failed"),
    "child-leaves-with-2": ("TAP version 13\n1..1\n#            OK  a\nok 1 a # XFAIL unknown", "failed"),
    "child-leaves-with-3": ("TAP version 13\n1..1\n#            OK  a\nok 1 a # XPASS unknown", "failed"),
    "child-leaves-with-4": ("TAP version 13\n1..1\n#            OK  a\nok 1 a # SKIP unknown", "failed"),
    "expected-failure": ("TAP version 13\n1..1\n# a: Test failed\nok 1 a # XFAIL unknown", "failed"),
    "skip-that-failed": ("TAP version 13\n1..1\nnot ok 1 a # SKIP the CPU has no EPT", "failed"),
    "expected-skip": ("TAP version 13\n1..1\nok 1 a # SKIP the CPU has no five-level EPT", "skipped"),
    "filter-matches-nothing": ("TAP version 13\n1..0\n# Starting 0 tests from 0 test cases.\n"
                               "# PASSED: 0 / 0 tests passed.", "failed"),
    "kunit-filter-matches-nothing": ("KTAP version 1\n1..0", "failed"),
    "no-results": ("TAP version 13\n# nothing came", "failed"),
    "results-are-missing": ("TAP version 13\n1..3\nok 1 a", "passed failed"),
    "more-results-than-planned": ("TAP version 13\n1..1\nok 1 a\nok 2 b", "passed passed failed"),
    "second-document": ("TAP version 13\n1..1\nok 1 a\nTAP version 13\n1..1\nnot ok 1 b", "passed failed"),
    "first-document-ends-early": ("TAP version 13\n1..3\nok 1 a\nTAP version 13\n1..1\nok 1 b", "passed passed failed"),
    "suite": ("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..2\n    ok 1 a\n    ok 2 b\nok 1 s",
              "passed passed"),
    "suite-not-ok-cases-passed": ("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..2\n    ok 1 a\n"
                                  "    ok 2 b\nnot ok 1 s", "passed passed failed"),
    "suite-ok-case-failed": ("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..1\n    not ok 1 a\nok 1 s",
                             "failed"),
    "suite-ends-early": ("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..3\n    ok 1 a\nok 1 s",
                         "passed failed"),
}
# Exit status, what was printed, and the status of each case.
ENDINGS = {
    "ends-with-0": (0, "", "passed"),
    "ends-with-1-all-passed": (1, "TAP version 13\n1..1\nok 1 a", "passed failed"),
    "ends-with-4-without-results": (4, "no /dev/vmx", "failed"),
    "ends-with-4-all-passed": (4, "TAP version 13\n1..1\nok 1 a", "passed failed"),
    "ends-with-0-without-results": (0, "TAP version 13\n1..0", "failed"),
}


def statuses(cases):
    """Of CASES, as the collector counts them."""
    cases = cases or [tap.Case("all", "failed")]
    results.check_skips("fast/haswell", "x_test", cases, results.expected_skips())
    return " ".join(case.status for case in cases)


def after_ending(code, text):
    span = session.Span("x_test", output=text.splitlines(), ended="exit", code=code)
    return results.judge(span, None, str)


def run():
    """(cases, output)"""
    found = {name: (statuses(tap.parse(log.splitlines())), wanted) for name, (log, wanted) in LOGS.items()}
    found |= {name: (statuses(after_ending(code, text)), wanted) for name, (code, text, wanted) in ENDINGS.items()}
    return [tap.Case(name, "passed" if got == wanted else "failed", f"{got} instead of {wanted}")
            for name, (got, wanted) in found.items()], []
