#!/usr/bin/env bash
# What scoring costs in nginx: one worker that proxies to another nginx, loaded by wrk in turns
#
#   off      without scoring
#   const    without, and with a header for the server behind that is always the same
#   silent   with scoring, and nothing told to the server behind
#   on       with scoring, told in a header
#
# Prints the medians, their ratio to off, and what is added to p50 and p99; and the processor's time
# that the worker took a request, which others on the machine change least.
#
#   tools/hosts/nginx/bench.sh [ROUNDS [SECONDS]]     9 rounds of 3 seconds by default: four minutes
#
# MODULE=PATH takes a module that is built already. The worker under test has a core of its own; wrk
# and the server behind share the others. Requests carry the headers of a browser. Another program on
# the machine shows in the figures: the turns are short and alternate, so that it shows in both.
set -euo pipefail
cd "$(dirname "$0")/../../.."

rounds="${1:-9}"
seconds="${2:-3}"
command -v wrk >/dev/null || apt-get install --yes --quiet wrk >/dev/null
module="${MODULE:-$(bash tools/hosts/nginx/build.sh)}"
work="$(mktemp -d)"
started=()
cleanup() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap cleanup EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
behind="$(free_port)"
off="$(free_port)" const="$(free_port)" silent="$(free_port)" on="$(free_port)"

# serve NAME CPUS: what comes in on standard input becomes the block http.
serve() {
    local folder="$work/$1"
    mkdir -p "$folder/temp"
    {
        echo "load_module $module; user root; daemon off; worker_processes 1; pid nginx.pid;"
        echo "error_log error.log warn; events { worker_connections 4096; }"
        echo "http { access_log off; keepalive_requests 100000000;"
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path temp/$kind;"; done
        cat
        echo "}"
    } >"$folder/nginx.conf"
    taskset -c "$2" /usr/sbin/nginx -p "$folder" -c nginx.conf -e error.log &
    started+=("$!")
}

last=$(($(nproc) - 1))
serve behind "0-$((last > 0 ? last - 1 : 0))" <<CONF
server { listen 127.0.0.1:$behind; return 200 "hello\n"; }
CONF
serve tested "$last" <<CONF
upstream behind { server 127.0.0.1:$behind; keepalive 64; }
proxy_http_version 1.1;
proxy_set_header Connection "";
server {
    listen 127.0.0.1:$off;
    location / { proxy_pass http://behind; }
}
server {
    listen 127.0.0.1:$const;
    location / {
        proxy_set_header Connection "";
        proxy_set_header X-Bot-Score 88;
        proxy_pass http://behind;
    }
}
server {
    listen 127.0.0.1:$silent;
    bot_score on;
    location / { proxy_pass http://behind; }
}
server {
    listen 127.0.0.1:$on;
    bot_score on;
    location / {
        # A location with headers of its own inherits none.
        proxy_set_header Connection "";
        proxy_set_header X-Bot-Score \$bot_score;
        proxy_pass http://behind;
    }
}
CONF
for _ in $(seq 100); do
    if curl --silent --output /dev/null "127.0.0.1:$on" && curl --silent --output /dev/null "127.0.0.1:$behind"; then break; fi
    sleep 0.05
done

master="${started[1]}"
worker="$(tr -d ' ' <"/proc/$master/task/$master/children")"
spent() { cut -d ' ' -f 1 "/proc/$worker/schedstat"; }

# load PORT CONNECTIONS: requests a second, p50 and p99 in microseconds, and the worker's time a
# request in microseconds.
load() {
    local before
    before="$(spent)"
    taskset -c "0-$((last > 0 ? last - 1 : 0))" wrk -t1 -c"$2" -d"$seconds" --latency \
        -H 'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"' \
        -H 'sec-ch-ua-mobile: ?0' -H 'sec-ch-ua-platform: "Linux"' \
        -H 'Upgrade-Insecure-Requests: 1' \
        -H 'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36' \
        -H 'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8' \
        -H 'Sec-Fetch-Site: none' -H 'Sec-Fetch-Mode: navigate' -H 'Sec-Fetch-User: ?1' \
        -H 'Sec-Fetch-Dest: document' -H 'Accept-Encoding: gzip, deflate, br, zstd' \
        -H 'Accept-Language: en-US,en;q=0.9' "http://127.0.0.1:$1/" >"$work/wrk.out"
    if grep -E 'Socket errors|Non-2xx' "$work/wrk.out" >&2; then exit 1; fi
    awk -v spent="$(($(spent) - before))" 'function us(t) { return t ~ /us$/ ? t + 0 : t ~ /ms$/ ? 1000 * t : 1000000 * t }
        $1 == "50%" { p50 = us($2) } $1 == "99%" { p99 = us($2) } /^Requests\/sec/ { rate = $2 }
        / requests in / { count = $1 }
        END { print rate, p50, p99, spent / count / 1000 }' "$work/wrk.out"
}

# Two kinds of rounds: a full worker for the throughput, a quiet one for the latency.
load "$on" 32 >/dev/null
load "$off" 32 >/dev/null
for round in $(seq "$rounds"); do
    for connections in 32 1; do
        # Who goes first alternates, too.
        turns=(off const silent on)
        if [ $((round % 2)) = 0 ]; then turns=(on silent const off); fi
        for turn in "${turns[@]}"; do
            echo "$connections $turn $(load "${!turn}" "$connections")" >>"$work/results"
        done
    done
done

awk '
    function median(list, count,   i, j, t) {
        for (i = 2; i <= count; i++)
            for (j = i; j > 1 && list[j] < list[j - 1]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
        return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
    }
    { n = ++count[$1, $2]; rate[$1, $2, n] = $3; p50[$1, $2, n] = $4; p99[$1, $2, n] = $5; cpu[$1, $2, n] = $6 }
    function of(values, c, turn,   i, list) {
        for (i = 1; i <= count[c, turn]; i++) list[i] = values[c, turn, i]
        return median(list, count[c, turn])
    }
    function line(what, values, c, digits,   i, format) {
        printf "%-34s", what
        format = "%s %." digits "f" (c == 1 ? " (%+." digits "f)" : " (%.3f)") "   "
        for (i = 1; i <= 4; i++) {
            now = of(values, c, turns[i])
            if (i == 1) first = now
            printf format, turns[i], now, c == 1 ? now - first : now / first
        }
        print ""
    }
    END {
        split("off const silent on", turns, " ")
        line("requests a second, 32 connections", rate, 32, 0)
        line("worker, µs a request", cpu, 32, 2)
        line("p50 in µs, 1 connection", p50, 1, 0)
        line("p99 in µs, 1 connection", p99, 1, 0)
    }' "$work/results"
