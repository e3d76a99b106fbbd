#!/bin/sh
# Builds, checks and tests everything. Arguments go to vitest (`npm test -- packages/nori-wal`). Tests run even when a
# check has failed, so that one run tells all; the exit code is 0 only if both are fine. The last line counts the tests.
set -eu
cd "$(dirname "$0")/.."
rm -rf .reports
sh scripts/build.sh
. scripts/setup.sh

status=0
node scripts/check.mjs || status=1
vitest run --reporter=default --reporter=json --outputFile.json=.reports/vitest.json "$@" || status=1
if [ "$status" -ne 0 ]; then say 'FAILED, see above.'; fi
node scripts/count-tests.mjs "$status" || status=1
exit "$status"
