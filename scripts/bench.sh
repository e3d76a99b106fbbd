#!/bin/sh
# Builds what is missing and measures. Arguments: `npm run bench -- [TABLE] [--quick] …`, see bench/README.md.
set -eu
cd "$(dirname "$0")/.."
sh scripts/build.sh

exec node bench/src/main.mjs "$@"
