"""What scoring costs a proxy: the same one with scoring off and on, alternating runs.

usage: bench.py UPSTREAM PROXY [--rounds N] [--seconds N] [--json FILE]

One thread of the proxy has the first core to itself; wrk and the upstream share the second. Both
proxies run all the time, and only one of them has work. Throughput is measured with 32 connections,
latency with one.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
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


def wrk(core, port, connections, seconds):
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
               "-s", str(HERE / "browser.lua"), f"http://127.0.0.1:{port}/"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result = json.loads(out.strip().splitlines()[-1])
    if result["failed"]:
        sys.exit(f"expected no failed request, got {result}")
    return result


def alternate(cores, ports, connections, rounds, seconds):
    """Results by variant; which of the two comes first changes with each round."""
    results = {name: [] for name in ports}
    for number in range(rounds):
        names = list(ports) if number % 2 == 0 else list(reversed(ports))
        for name in names:
            results[name].append(wrk(cores[1], ports[name], connections, seconds))
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream")
    parser.add_argument("proxy")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--log", help="has both write an access log there")
    parser.add_argument("--json")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("expected two cores, got one")
    running = []
    try:
        port = free()
        running.append(subprocess.Popen(
            ["taskset", "-c", str(cores[1]), options.upstream, f"127.0.0.1:{port}", "1024"],
            stdout=subprocess.DEVNULL))
        wait(port)
        ports = {}
        for name, more in {"off": ["--no-scoring"], "on": []}.items():
            ports[name] = free()
            log = ["--log", options.log] if options.log else []
            running.append(subprocess.Popen(
                ["taskset", "-c", str(cores[0]), options.proxy, "--upstream", f"127.0.0.1:{port}",
                 "--listen", f"127.0.0.1:{ports[name]}", "--admin", "off", "--threads", "1",
                 *more, *log], stderr=subprocess.DEVNULL))
            wait(ports[name])
        for name in ports:
            wrk(cores[1], ports[name], 32, 1)
        busy = alternate(cores, ports, 32, options.rounds, options.seconds)
        calm = alternate(cores, ports, 1, options.rounds, options.seconds)
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(timeout=20)
    report(busy, calm, options)


def report(busy, calm, options):
    pairs = list(zip(busy["off"], busy["on"]))
    ratios = sorted(on["rate"] / off["rate"] for off, on in pairs)
    middle = {name: statistics.median(one["rate"] for one in busy[name]) for name in busy}
    best = {name: max(one["rate"] for one in busy[name]) for name in busy}
    print(f"requests a second, 32 connections: {middle['off']:.0f} without scoring, "
          f"{middle['on']:.0f} with (medians of {len(pairs)} alternating runs)")
    print(f"throughput with scoring: {statistics.median(ratios):.3f} of that without "
          f"(median of pairs; {ratios[0]:.3f} to {ratios[-1]:.3f}; "
          f"medians' ratio {middle['on'] / middle['off']:.3f}, "
          f"best runs' ratio {best['on'] / best['off']:.3f})")
    added = {}
    for share in ("p50", "p99"):
        value = {name: statistics.median(one[share] for one in calm[name]) for name in calm}
        added[share] = value["on"] - value["off"]
        print(f"latency {share}, one connection: {value['off']:.1f} µs without, "
              f"{value['on']:.1f} µs with: {added[share]:+.1f} µs")
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"busy": busy, "calm": calm, "ratio": statistics.median(ratios),
                       "added_us": added}, out, indent=1)


main()
