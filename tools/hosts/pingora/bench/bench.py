"""What scoring costs a proxy: the same one without and with it, alternating runs.

usage: bench.py UPSTREAM PROXY [--rounds N] [--seconds N] [--log FILE] [--json FILE]

off      --no-scoring
silent   scores, and tells the upstream nothing: what scoring itself costs
on       scores, and tells the upstream in headers: what a proxy has by default

One thread of the proxy has the first core to itself; wrk and the upstream share the second, and
neither looks at the added headers. All proxies run all the time, and only one of them has work.
Throughput and processor time are measured with 32 connections, latency with one.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent


def free():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def spent(process):
    """Nanoseconds of the processor that a process has had."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


class Variant:
    def __init__(self, core, proxy, upstream, more):
        self.port, self.admin = free(), free()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), proxy, "--upstream", f"127.0.0.1:{upstream}",
             "--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}",
             "--threads", "1", *more], stderr=subprocess.DEVNULL)

    def load(self, core, connections, seconds):
        command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                   "-s", str(HERE / "browser.lua"), f"http://127.0.0.1:{self.port}/"]
        before = spent(self.process.pid)
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        result = json.loads(out.strip().splitlines()[-1])
        if result["failed"]:
            sys.exit(f"expected no failed request, got {result}")
        result["cpu"] = (spent(self.process.pid) - before) / 1000 / result["requests"]
        return result

    def scoring(self):
        """Microseconds of the calls, by the proxy's own clock: p50 and p99."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/status.json") as answer:
            latency = json.load(answer)["scoring_latency"]
        return latency["p50"] / 1000, latency["p99"] / 1000


def alternate(core, variants, connections, rounds, seconds):
    """Results by variant; which one comes first changes with each round."""
    results = {name: [] for name in variants}
    names = list(variants)
    for number in range(rounds):
        turn = number % len(names)
        order = names[turn:] + names[:turn]
        for name in order if number // len(names) % 2 == 0 else reversed(order):
            results[name].append(variants[name].load(core, connections, seconds))
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream")
    parser.add_argument("proxy")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--log", help="has all write an access log there")
    parser.add_argument("--json")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("expected two cores, got one")
    running = []
    with tempfile.TemporaryDirectory() as folder:
        quiet = Path(folder) / "quiet.toml"
        quiet.write_text("[default]\nheaders = false\n")
        log = ["--log", options.log] if options.log else []
        try:
            port = free()
            running.append(subprocess.Popen(
                ["taskset", "-c", str(cores[1]), options.upstream, f"127.0.0.1:{port}", "1024"],
                stdout=subprocess.DEVNULL))
            wait(port)
            variants = {}
            for name, more in {"off": ["--no-scoring"], "silent": ["--config", str(quiet)],
                               "on": []}.items():
                variants[name] = Variant(cores[0], options.proxy, port, [*more, *log])
                running.append(variants[name].process)
                wait(variants[name].port)
            for variant in variants.values():
                variant.load(cores[1], 32, 1)
            busy = alternate(cores[1], variants, 32, options.rounds, options.seconds)
            calls = variants["on"].scoring()
            calm = alternate(cores[1], variants, 1, options.rounds, options.seconds)
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(timeout=20)
    report(busy, calm, calls, options)


def report(busy, calm, calls, options):
    def middle(results, name, what):
        return statistics.median(one[what] for one in results[name])

    found = {"busy": busy, "calm": calm, "calls_us": calls, "ratio": {}, "cpu_us": {}}
    print(f"32 connections, medians of {len(busy['off'])} alternating runs: requests a second, the "
          "proxy's processor time a request")
    for name in busy:
        pairs = sorted(one["rate"] / off["rate"] for off, one in zip(busy["off"], busy[name]))
        found["ratio"][name] = statistics.median(pairs)
        found["cpu_us"][name] = middle(busy, name, "cpu")
        least = min(one["cpu"] for one in busy[name])
        print(f"  {name:7}{middle(busy, name, 'rate'):9.0f} = {statistics.median(pairs):.3f} of off "
              f"(pairs {pairs[0]:.3f} to {pairs[-1]:.3f})   {found['cpu_us'][name]:6.2f} µs "
              f"({found['cpu_us'][name] - found['cpu_us']['off']:+.2f}; least {least:.2f})")
    print(f"the calls themselves, by the proxy's clock: p50 {calls[0]:.2f} µs, p99 {calls[1]:.2f} µs")
    print("one connection, latency in µs:")
    for name in calm:
        p50, p99 = (middle(calm, name, share) for share in ("p50", "p99"))
        more = p50 - middle(calm, "off", "p50"), p99 - middle(calm, "off", "p99")
        print(f"  {name:7}p50 {p50:5.0f} ({more[0]:+.0f})   p99 {p99:5.0f} ({more[1]:+.0f})")
    if options.json:
        with open(options.json, "w") as out:
            json.dump(found, out, indent=1)


main()
