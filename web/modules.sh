#!/bin/sh
# Installs the npm packages that FOLDER/package-lock.json names, once per lock file, under the user's
# cache, and prints the node_modules folder: modules.sh FOLDER NAME
#
# A clean clone finds them there and installs nothing again. Exit status 3: they cannot be had here.
set -eu

[ $# -eq 2 ] || { echo "usage: modules.sh FOLDER NAME" >&2; exit 2; }
folder=$1
hash=$(cat "$folder/package.json" "$folder/package-lock.json" | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tern
home=$cache/$2-$hash

for program in node npm; do
    command -v "$program" >/dev/null 2>&1 || { echo "$2 packages: $program is not installed" >&2; exit 3; }
done

if [ ! -d "$home" ]; then
    mkdir -p "$cache"
    fresh=$(mktemp -d "$cache/$2.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    cp "$folder/package.json" "$folder/package-lock.json" "$folder/.npmrc" "$fresh/"
    if ! (cd "$fresh" && npm ci --ignore-scripts --loglevel=error) >"$fresh/npm.log" 2>&1; then
        echo "$2 packages: npm could not install the packages: $(grep -v '^$' "$fresh/npm.log" | head -n 1)" >&2
        exit 3
    fi
    # when another run was quicker, its folder is as good
    mv -T "$fresh" "$home" 2>/dev/null || true
fi
echo "$home/node_modules"
