#!/bin/sh
# Makes the virtual environment target/peers with the libraries that the parity tests compare with.
# The tests make the reference models on their next run, and anew where a script here or a library
# is another than the one that made them.
set -eu
cd "$(dirname "$0")/../../.."
python3 -m venv target/peers
target/peers/bin/pip install --quiet --disable-pip-version-check \
    catboost==1.2.10 lightgbm==4.7.0 xgboost==3.2.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
target/peers/bin/python -c 'import catboost, lightgbm; print(
    f"target/peers: catboost {catboost.__version__}, lightgbm {lightgbm.__version__}")'
