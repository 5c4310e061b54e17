#!/usr/bin/env bash
# Installs the browser that looks at the report's pages, where it is missing.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet --quiet update
apt-get install --yes --quiet --no-install-recommends chromium
