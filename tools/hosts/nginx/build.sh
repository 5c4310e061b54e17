#!/usr/bin/env bash
# Builds the dynamic module for Debian's nginx, and prints where it is:
#
#   tools/hosts/nginx/build.sh [--installed]
#
# Installs first what is missing (tools/hosts/nginx/setup.sh); with --installed it fails instead.
# In nginx.conf, at the top: load_module /the/printed/path;
set -euo pipefail
cd "$(dirname "$0")/../../.."

bash tools/hosts/nginx/setup.sh "$@"

HEDGEROW_LIBRARY="$(bash tools/capi/build.sh)"
HEDGEROW_INCLUDE="$PWD/include"
export HEDGEROW_LIBRARY HEDGEROW_INCLUDE
target="${CARGO_TARGET_DIR:-$PWD/target}/nginx"
module="$target/objs/ngx_http_bot_score_module.so"
source="$PWD/tools/hosts/nginx"

# nginx is configured once; afterwards make looks at what has changed. It knows nothing of the
# library, so the module goes where that is newer.
mkdir -p "$target"
exec 9>"$target/lock"
flock 9
version="$(nginx -v 2>&1)"
if [ "$version" != "$(cat "$target/version" 2>/dev/null)" ]; then
    rm -rf "$target/auto" "$target/src" "$target/objs"
    cp -r /usr/share/nginx/src/. "$target"
    (
        cd "$target"
        # shellcheck source=/dev/null
        . ./conf_flags
        ./configure "${NGX_CONF_FLAGS[@]}" --with-cc-opt="-O2 -fPIC -Wall -Wextra -Werror" \
            --add-dynamic-module="$source" >configured.log 2>&1 ||
            { cat configured.log >&2 && exit 1; }
    )
    echo "$version" >"$target/version"
fi
for newer in "$HEDGEROW_LIBRARY" include/hedgerow.h tools/hosts/nginx/*.c; do
    if [ "$newer" -nt "$module" ]; then rm -f "$module" "$target"/objs/addon/nginx/*.o; fi
done
make --silent -C "$target" -f objs/Makefile modules >&2
echo "$module"
