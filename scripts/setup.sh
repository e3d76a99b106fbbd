# Sourced by the other scripts, from the root of the repository: `. scripts/setup.sh`. Makes sure that Node is new
# enough and that what pnpm-lock.yaml names is installed, then puts node_modules/.bin on the PATH. It needs the network
# only when there is something to install; everything it says goes to stderr.

export TURBO_TELEMETRY_DISABLED=1 DO_NOT_TRACK=1
# A newer npm complains about settings it does not know; that is not about this repository.
export npm_config_loglevel=error npm_config_update_notifier=false

say() { printf 'norikv: %s\n' "$*" >&2; }

if ! node -e 'const [major, minor] = process.versions.node.split("."); process.exit(+major > 20 || (+major === 20 && +minor >= 19) ? 0 : 1)'; then
  say "Node 20.19 or newer is needed, this is $(node --version 2>/dev/null || echo 'no Node at all')."
  exit 1
fi

PATH="$PWD/node_modules/.bin:$PATH"
export PATH

# pnpm leaves a copy of the lock file behind as its last step, so an interrupted installation is done again.
installed() {
  cmp -s pnpm-lock.yaml node_modules/.pnpm/lock.yaml && [ -x node_modules/.bin/pnpm ] && [ -f node_modules/.modules.yaml ]
}

if ! installed; then
  version=$(node -p 'require("./package.json").packageManager.split("@")[1]')
  if [ -d node_modules ]; then say "the lock file has changed, installing with pnpm $version"; else say "installing dependencies with pnpm $version (first run only)"; fi
  # CI=true: without a terminal pnpm would otherwise ask before it replaces a node_modules of another layout.
  if ! CI=true npx --prefer-offline -y "pnpm@$version" install --frozen-lockfile --reporter=append-only >&2; then
    say "the installation failed, see above."
    exit 1
  fi
fi
