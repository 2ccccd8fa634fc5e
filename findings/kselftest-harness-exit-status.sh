#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kselftest_harness.h of Linux 6.12 (Debian 12, linux-source-6.12 6.12.117-1~deb12u1): what it takes for a pass.
#
# Expected: a case that fails an EXPECT, or whose process ends with a status other than 0, is "not ok", and the
# totals count it as a failure.
# Seen: each TEST() runs in a process of its own, which tells its result by its exit status. Statuses 2, 3 and 4
# are KSFT_XFAIL, KSFT_XPASS and KSFT_SKIP there. So a case that calls exit(2), or a library that does so for it,
# is "ok # XFAIL unknown"; exit(3) is "ok # XPASS", exit(4) is "ok # SKIP". 1 and 5 are failures.
# SKIP() after an EXPECT that failed is "ok # SKIP": the failure is printed, but counts nowhere.
#
# So a runner that reads "ok" and "not ok" alone misses failures. It has to count XPASS, the reason "unknown", and
# lines "Expected ..." before a SKIP as failures, too.
#
# This script needs Debian 12 on amd64 with apt-get, gcc, binutils and xz. It installs nothing outside its
# temporary folder, and downloads 150 MB.
set -euo pipefail

version=6.12.117-1~deb12u1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

apt-get -qq -o APT::Sandbox::User=root download "linux-source-6.12=$version"
dpkg-deb --fsys-tarfile ./*.deb | tar -xO ./usr/src/linux-source-6.12.tar.xz |
	tar -xJ --strip-components=4 --wildcards '*/tools/testing/selftests/kselftest*.h'

cat >cases.c <<'END'
#include <stdlib.h>
#include "kselftest_harness.h"

TEST(leaves_with_1) { exit(1); }
TEST(leaves_with_2) { exit(2); }
TEST(leaves_with_3) { exit(3); }
TEST(leaves_with_4) { exit(4); }
TEST(leaves_with_5) { exit(5); }
TEST(fails_and_skips)
{
	EXPECT_EQ(1, 2);
	SKIP(return, "a reason");
}
TEST_HARNESS_MAIN
END
gcc -w -o cases cases.c
./cases >log 2>errors || true
grep -E '^(ok|not ok)|^# Totals' log | tee seen

cat >expected <<'END'
not ok 1 global.leaves_with_1
ok 2 global.leaves_with_2 # XFAIL unknown
ok 3 global.leaves_with_3 # XPASS unknown
ok 4 global.leaves_with_4 # SKIP unknown
not ok 5 global.leaves_with_5
ok 6 global.fails_and_skips # SKIP a reason
# Totals: pass:0 fail:2 xfail:1 xpass:1 skip:2 error:0
END
grep -q 'Expected 1 (1) == 2 (2)' errors log || { echo "the failed EXPECT is not printed" >&2; exit 1; }
if ! diff -u expected seen; then
	echo "kselftest_harness.h of $version has changed what it takes for a pass" >&2
	exit 1
fi
echo "linux-source-6.12 $version: statuses 2, 3 and 4, and a failure before SKIP, are no failures"
