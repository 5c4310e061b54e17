#!/bin/sh
# Makes a certificate authority and a server's certificate for it, for trying TLS between a fleet
# and its servers: ca.pem (for --ca), server.pem and server.key (for the servers' `tls` block).
#
#   tools/fleet/certificates.sh FOLDER [NAME|ADDRESS…]
#
# NAME|ADDRESS…   what the servers are called (localhost 127.0.0.1)
set -eu
if [ $# -lt 1 ] || [ "${1#-}" != "$1" ]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 2
fi
folder=$1
shift
[ $# -gt 0 ] || set -- localhost 127.0.0.1
names=
for name in "$@"; do
    case $name in
        *[!0-9.:]*) names="$names,DNS:$name" ;;
        *) names="$names,IP:$name" ;;
    esac
done
umask 077
mkdir -p "$folder"
cd "$folder"
key() { # FILE
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}
key ca.key
openssl req -x509 -new -key ca.key -days 3650 -subj '/CN=fleet authority' -out ca.pem \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
key server.key
openssl req -new -key server.key -subj '/CN=fleet server' -out server.csr
# Servers of a cluster are each other's clients.
printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n%s\n' \
    "${names#,}" 'extendedKeyUsage=serverAuth,clientAuth' >server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
    -extfile server.ext -out server.pem 2>server.log || { cat server.log >&2; exit 1; }
rm -f server.csr server.ext server.log ca.srl
