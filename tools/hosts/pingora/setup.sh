#!/bin/bash
# Installs by name what the proxy needs to be built, and the clients and tools that its tests and
# its bench use. Usage: setup.sh [--build-only]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
# cmake: Pingora brings a compression library in C.
packages=(cmake)
if [ "${1:-}" != --build-only ]; then
  packages+=(curl wrk nghttp2-client python3-venv chromium firefox-esr xvfb fonts-dejavu-core)
  # Servers behind the proxy that read paths in their own ways.
  packages+=(nginx nodejs node-express python3-django default-jdk-headless libtomcat10-java)
fi
missing=()
for package in "${packages[@]}"; do
  # A program that is there from elsewhere is used as it is.
  case $package in
    cmake | curl | wrk | chromium) command -v "$package" > /dev/null && continue ;;
    nghttp2-client) command -v h2load > /dev/null && continue ;;
    nginx) [ -x /usr/sbin/nginx ] && continue ;;
    nodejs) command -v node > /dev/null && continue ;;
    default-jdk-headless) command -v javac > /dev/null && continue ;;
    firefox-esr) command -v firefox firefox-esr > /dev/null && continue ;;
    xvfb) command -v Xvfb > /dev/null && continue ;;
  esac
  dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'install ok installed' ||
    missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "setup.sh: needs root to install ${missing[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get -qq update || echo "setup.sh: the package lists could not be updated" >&2
  RUNLEVEL=1 timeout 1200 apt-get -qq install -y --no-install-recommends "${missing[@]}" > /dev/null
fi
[ "${1:-}" = --build-only ] && exit 0
venv=$root/target/proxy/venv
if [ ! -x "$venv/bin/python" ]; then
  timeout 120 python3 -m venv "$venv"
fi
timeout 600 "$venv/bin/pip" -q install --disable-pip-version-check -r "$here/requirements.txt"
