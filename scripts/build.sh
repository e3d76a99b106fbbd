#!/bin/sh
# Builds all packages. What has not changed since the last build comes out of turbo's cache.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

mkdir -p .reports
log=.reports/build.log
say 'building the packages'
if ! turbo run build --output-logs=errors-only --ui=stream >"$log" 2>&1; then
  cat "$log" >&2
  say 'the build failed, see above.'
  exit 1
fi
