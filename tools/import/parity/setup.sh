#!/bin/sh
# Makes the virtual environment target/peers with the libraries that the parity tests compare with.
set -eu
cd "$(dirname "$0")/../../.."
python3 -m venv target/peers
target/peers/bin/pip install --quiet --disable-pip-version-check catboost==1.2.10 lightgbm==4.7.0 numpy pandas
