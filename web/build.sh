#!/bin/sh
# Builds the page that the node serves: web/build.sh [OUTPUT], by default build/page.
#
# Exit status 0: OUTPUT holds the page; 3: it cannot be built here (no npm, no network), one line says
# why; anything else: the page's own sources are at fault.
set -eu

web=$(cd "$(dirname "$0")" && pwd)
output=${1:-$web/../build/page}

modules=$("$web/modules.sh" "$web" web) || exit $?
exec node "$web/build.mjs" "$output" "$modules"
