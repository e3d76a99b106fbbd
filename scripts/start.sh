#!/bin/sh
# Installs and builds what is missing, then becomes the node: signals reach it, and its exit code is the script's.
# Arguments are those of `norikv start`. Data live in ./data unless told otherwise.
set -eu
cd "$(dirname "$0")/.."
sh scripts/build.sh

data_dir_given=${NORIKV_DATA_DIR:-}${NORIKV_CONFIG:-}
for argument in "$@"; do
  case "$argument" in --data-dir | --data-dir=* | --config | --config=*) data_dir_given=yes ;; esac
done
if [ -z "$data_dir_given" ]; then set -- --data-dir ./data "$@"; fi

exec node packages/norikv-server/bin/norikv.js start "$@"
