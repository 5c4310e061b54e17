#!/usr/bin/env bash
# Makes in a folder a certificate for 127.0.0.1 (site.crt, site.key, both in site.pem), and the one
# that signed it (ca.crt).
#
#   certificates.sh FOLDER
set -euo pipefail
cd "$1"
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Test" -keyout ca.key -out ca.crt \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
openssl req -newkey rsa:2048 -nodes -subj "/CN=127.0.0.1" -keyout site.key -out site.csr
printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >ext
openssl x509 -req -in site.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile ext \
    -out site.crt
cat site.crt site.key >site.pem
