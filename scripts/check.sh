#!/bin/sh
# Everything about the repository that can be checked without running it. See check.mjs for the steps.
set -eu
cd "$(dirname "$0")/.."
sh scripts/build.sh
. scripts/setup.sh
exec node scripts/check.mjs "$@"
