#!/usr/bin/env bash
# Installs by name the proxies that tests put in front of a host, from Debian's packages as root.
# Envoy comes from tools/hosts/envoy/setup.sh.
set -euo pipefail
missing=()
for package in nginx haproxy caddy apache2 varnish squid openssl libnss3-tools; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
# The packages must not start their servers: tests start their own.
install() {
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet \
        --no-install-recommends "$@" >&2
}
install "${missing[@]}" || { apt-get update --quiet >&2 && install "${missing[@]}"; }
