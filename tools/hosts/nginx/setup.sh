#!/usr/bin/env bash
# Installs Debian's nginx, and what its module is built with, where they are missing (apt-get, as
# root). With --installed it only names what is missing, and fails.
set -euo pipefail

missing=()
for package in nginx nginx-dev libpcre2-dev zlib1g-dev libssl-dev; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ "${1:-}" = --installed ]; then
    echo "${missing[*]}: tools/hosts/nginx/setup.sh installs them" >&2
    exit 1
fi
# A machine whose lists are old, or were never fetched, knows them only after an update. The package
# must not start the server: tests start their own.
install() { DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet "$@" >&2; }
install "${missing[@]}" || { apt-get update --quiet >&2 && install "${missing[@]}"; }
