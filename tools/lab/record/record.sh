#!/bin/bash
# Installs real HTTP clients by name and records what they send: see README.md.
# Usage: record.sh [--no-install] [--out FILE] [--only NAME]... [--list] [--lanes N] [--select-only]
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$root/target/record
install=yes
args=()
for a in "$@"; do
  case $a in
    --no-install) install=no ;;
    --list | --select-only | -h | --help) install=no; args+=("$a") ;;
    *) args+=("$a") ;;
  esac
done
mkdir -p "$work/bin" "$work/npm"

skipped() { echo "SKIPPED $1: $2" >&2; }

if [ $install = yes ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "record.sh: needs root, for packages and for network namespaces (--no-install leaves the packages alone)" >&2
    exit 1
  fi
  packages=(python3-venv openssl iproute2 util-linux libnss3-tools ca-certificates xvfb xdotool dbus fonts-dejavu-core
    curl wget httpie aria2 apache2-utils wrk nghttp2-client gobuster ffuf sqlmap nikto
    nodejs npm golang-go default-jdk-headless php-cli php-curl ruby libwww-perl liblwp-protocol-https-perl
    chromium chromium-driver firefox-esr epiphany-browser webkit2gtk-driver surf falkon qutebrowser konqueror netsurf-gtk)
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get -qq update || echo "record.sh: the package lists could not be brought up to date" >&2
  for p in "${packages[@]}"; do
    # A program that is there from elsewhere is used as it is.
    case $p in
      nodejs) command -v node > /dev/null && continue ;;
      npm) command -v npm > /dev/null && continue ;;
      default-jdk-headless) command -v javac > /dev/null && continue ;;
    esac
    dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q 'install ok installed' && continue
    timeout 900 apt-get -qq install -y --no-install-recommends "$p" > "$work/apt.log" 2>&1 || skipped "$p" "the package cannot be installed"
  done
  if [ ! -x "$work/venv/bin/python" ]; then
    timeout 120 python3 -m venv "$work/venv" || exit 1
  fi
  timeout 900 "$work/venv/bin/pip" -q install --disable-pip-version-check -r "$here/requirements.txt" || {
    # One bad package must not take the others along.
    grep -v '^#' "$here/requirements.txt" | while read -r p; do
      timeout 300 "$work/venv/bin/pip" -q install --disable-pip-version-check "$p" || skipped "$p" "pip cannot install it"
    done
  }
  cp "$here/package.json" "$work/npm/"
  (cd "$work/npm" && timeout 600 npm install --silent --no-audit --no-fund --ignore-scripts) || skipped "npm clients" "npm cannot install them"
  if command -v go > /dev/null; then
    (cd "$here/clients" && GO111MODULE=off timeout 300 go build -o "$work/bin/goclient" main.go) || skipped go-net-http "does not build"
  fi
  if command -v cargo > /dev/null; then
    rm -rf "$work/rust-src"
    cp -r "$here/clients/rust" "$work/rust-src"
    (cd "$work/rust-src" && CARGO_TARGET_DIR="$work/rust" timeout 900 cargo build -q --release) &&
      cp "$work/rust/release/record-reqwest" "$work/bin/" || skipped "reqwest, ureq" "does not build"
  else
    skipped "reqwest, ureq" "no cargo"
  fi
fi
python=$work/venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" "$here/record.py" ${args[@]+"${args[@]}"}
