#!/bin/sh
# A wrapper for cargo's RUSTC_WORKSPACE_WRAPPER: compiles with a slowdown in a kernel, to be found.
exec "$@" --cfg planted_slowdown
