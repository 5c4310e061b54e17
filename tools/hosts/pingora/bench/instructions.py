"""The instructions that a request takes in a proxy's own code, without and with scoring, and where
those that scoring adds are: what other programs on the machine do not change.

usage: instructions.py UPSTREAM PROXY          hedgerow-proxy: off, silent and on, as in bench.py
       instructions.py UPSTREAM --nginx MODULE nginx: off, const (a header that is always the same),
                                               silent and on

Runs each under callgrind, without the kernel's part: a few seconds each.
"""

import argparse
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

REQUESTS = 500
CHROME = "Chrome/142.0.0.0 Safari/537.36"
REQUEST = "\r\n".join([
    "GET / HTTP/1.1", "Host: shop.example", "Connection: keep-alive",
    'sec-ch-ua: "Chromium";v="142", "Not_A Brand";v="99", "Google Chrome";v="142"',
    "sec-ch-ua-mobile: ?0", 'sec-ch-ua-platform: "Linux"', "Upgrade-Insecure-Requests: 1",
    f"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) {CHROME}",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document", "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9", "", ""]).encode()

NGINX = """load_module {module}; user root; daemon off; master_process off; pid nginx.pid;
error_log error.log warn; events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; {temporary}
  upstream behind {{ server 127.0.0.1:{upstream}; keepalive 8; }}
  proxy_http_version 1.1; proxy_set_header Connection "";
  server {{ listen 127.0.0.1:{port}; {score}
    location / {{ proxy_set_header Connection ""; {header} proxy_pass http://behind; }} }}
}}
"""


def free():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def connected(port, process=None):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except OSError:
            if process and process.poll() is not None:
                break
            time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def ask(stream, times):
    for _ in range(times):
        stream.sendall(REQUEST)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += stream.recv(65536)
        head, body = answer.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"expected 200, got {head[:60]!r}")
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(body) < length:
            body += stream.recv(65536)


def count(folder, name, command, port):
    """Instructions of each function, for REQUESTS requests on one connection."""
    out = folder / f"callgrind.{name}"
    with open(folder / f"{name}.log", "w") as log:
        process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--separate-threads=yes",
             f"--callgrind-out-file={out}", *command],
            stdout=log, stderr=log)
    try:
        stream = connected(port, process)
        ask(stream, 50)
        control = ["callgrind_control", "-z", str(process.pid)]
        subprocess.run(control, capture_output=True, check=True)
        ask(stream, REQUESTS)
        control[1] = "-d"
        subprocess.run(control, capture_output=True, check=True)
        # The dump is written by the process itself, at its next turn.
        ask(stream, 1)
    finally:
        process.terminate()
        process.wait(timeout=60)
    # One thread has the requests; what others do now and then is no request's.
    threads = [annotated(dump) for dump in folder.glob(f"{out.name}.1-*")]
    return max(threads, key=lambda thread: thread["PROGRAM TOTALS"])


def annotated(dump):
    text = subprocess.run(
        ["callgrind_annotate", "--auto=no", "--threshold=100", dump],
        capture_output=True, text=True, check=True).stdout
    found = Counter()
    for line in text.splitlines():
        entry = re.match(r"\s*([\d,]+) \([^)]*\)\s+(.*)", line)
        if entry:
            where = re.sub(r"\s*\[[^]]*\]\s*$", "", entry.group(2))
            where = where if where == "PROGRAM TOTALS" else where.split(":", 1)[-1]
            found[where] += int(entry.group(1).replace(",", "")) / REQUESTS
    return found


def proxies(options, folder, upstream):
    quiet = folder / "quiet.toml"
    quiet.write_text("[default]\nheaders = false\n")
    variants = {"off": ["--no-scoring"], "silent": ["--config", str(quiet)], "on": []}
    for name, more in variants.items():
        port = free()
        yield name, port, [options.proxy, "--upstream", f"127.0.0.1:{upstream}", "--listen",
                           f"127.0.0.1:{port}", "--admin", "off", "--threads", "1", *more]


def servers(options, folder, upstream):
    header = "proxy_set_header X-Bot-Score"
    variants = {"off": ("", ""), "const": ("", f"{header} 88;"), "silent": ("bot_score on;", ""),
                "on": ("bot_score on;", f"{header} $bot_score;")}
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    for name, (score, added) in variants.items():
        port, place = free(), folder / name
        (place / "temp").mkdir(parents=True)
        conf = NGINX.format(module=options.nginx, upstream=upstream, port=port, score=score,
                            header=added,
                            temporary="".join(f"{kind}_temp_path temp/{kind};" for kind in kinds))
        (place / "nginx.conf").write_text(conf)
        yield name, port, ["/usr/sbin/nginx", "-p", str(place), "-c", "nginx.conf", "-e", "error.log"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream")
    parser.add_argument("proxy", nargs="?")
    parser.add_argument("--nginx", metavar="MODULE")
    options = parser.parse_args()
    if (options.proxy is None) == (options.nginx is None):
        parser.error("expected PROXY or --nginx MODULE")
    upstream = free()
    behind = subprocess.Popen([options.upstream, f"127.0.0.1:{upstream}", "1024"],
                              stdout=subprocess.DEVNULL)
    try:
        connected(upstream).close()
        with tempfile.TemporaryDirectory() as folder:
            make = servers if options.nginx else proxies
            counts = {name: count(Path(folder), name, command, port)
                      for name, port, command in make(options, Path(folder), upstream)}
    finally:
        behind.terminate()
        behind.wait(timeout=20)
    names = list(counts)
    total = {name: counts[name].pop("PROGRAM TOTALS") for name in names}
    for name in names:
        print(f"{name:7}{total[name]:9.0f} instructions a request "
              f"({total[name] - total['off']:+.0f})")
    for before, after in zip(["off", *names[1:]], names[1:]):
        before = "off" if after == "silent" else before
        more = Counter({where: counts[after][where] - counts[before][where]
                        for where in counts[before] | counts[after]})
        print(f"{after} beyond {before}:")
        # What stands below everything is counted with all that it calls.
        own = [(where, added) for where, added in more.most_common()
               if added < 0.95 * (total[after] - total[before])]
        for where, added in own[:10]:
            print(f"{added:9.0f} {where[:90]}")


main()
