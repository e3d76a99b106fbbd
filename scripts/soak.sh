#!/bin/sh
# Builds, then disturbs clusters of real nodes for hours. See soak.mjs.
set -eu
cd "$(dirname "$0")/.."
sh scripts/build.sh
. scripts/setup.sh
exec node scripts/soak.mjs "$@"
