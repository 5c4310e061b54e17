#!/usr/bin/env python3
"""Checks a recording: fields, types, balance, traces of the recording machine.

Usage: check.py [FILE] [--small]   (--small leaves out the demands on size and balance)
Needs nothing but Python. Leaves with 1 if anything is wrong.
"""

import collections
import json
import os
import re
import sys

import files

FIELDS = {"id": str, "label": str, "source": str, "client": str, "basis": str, "hard": bool, "slice": str, "complete": bool, "order": str,
          "ts": (int, float), "ip": str, "session": str, "method": str, "scheme": str, "http": str, "host": str, "path": str, "status": int,
          "bytes": int, "headers": list}
VALUES = {"label": {"bot", "human"}, "basis": {"operator"}, "slice": {"full"}, "complete": {True}, "order": {"wire"}, "scheme": {"http", "https"},
          "http": {"1.0", "1.1", "2"}}
# Of a request as a host behind a proxy sees it (proxies.py).
BEHIND_FIELDS = dict(FIELDS, through=str, hop=str, client_http=(str, type(None)), scheme=(str, type(None)))
BEHIND_VALUES = dict(VALUES, order={"wire", "kept", "none"}, hop={"client", "proxy"}, scheme={"http", "https", None})
SOURCE = {"bot": "hedgerow-recorded-tools", "human": "hedgerow-recorded-headful"}
TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
TRACE = re.compile(r"/(root|home|tmp|mnt|usr|opt|var|proc|run)/|file:|localhost|127\.0\.")
MAX_BYTES, MIN_ROWS, MIN_CLIENTS, HUMAN_SHARE = 1_950_000, 2_000, 20, (0.40, 0.55)
# The first headers that these clients are known to send over HTTP/1.1: proof that the order is the wire's.
STARTS = {"requests/plain": ["Host", "User-Agent", "Accept-Encoding", "Accept", "Connection"], "curl/plain": ["Host", "User-Agent", "Accept"],
          "aiohttp/plain": ["Host", "Accept", "Accept-Encoding", "User-Agent"], "go-net-http/plain": ["Host", "User-Agent"],
          "urllib/plain": ["Accept-Encoding"], "fetch/plain": ["host", "connection"], "chromium/headful": ["Host", "Connection"],
          "firefox/headful": ["Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding"]}
# Clients whose pages were fetched again with a changed first header (Cache-Control after a reload) may differ in a few requests.
START_SHARE = 0.85


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    small = "--small" in sys.argv
    path = args[0] if args else str(files.REQUESTS)
    faults = []

    def fault(where, what):
        faults.append("%s: %s" % (where, what))

    rows = []
    for n, text in files.lines(path):
        where = "line %d" % n
        try:
            row = json.loads(text)
        except ValueError as err:
            fault(where, "no JSON: %s" % err)
            continue
        fields, allowed = (BEHIND_FIELDS, BEHIND_VALUES) if "through" in row else (FIELDS, VALUES)
        if set(row) != set(fields):
            fault(where, "fields: missing %s, unknown %s" % (sorted(set(fields) - set(row)), sorted(set(row) - set(fields))))
            continue
        for name, kind in fields.items():
            value = row[name]
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                fault(where, "%s is %r" % (name, value))
            elif name in allowed and value not in allowed[name]:
                fault(where, "%s is %r" % (name, value))
        rows.append(row)
        if row["label"] in SOURCE and row["source"] != SOURCE[row["label"]]:
            fault(where, "source %r for label %r" % (row["source"], row["label"]))
        if not isinstance(row["path"], str) or not (row["path"].startswith("/") or row["path"] == "*"):
            fault(where, "path %r" % row["path"])
        if isinstance(row["status"], int) and not 100 <= row["status"] <= 599:
            fault(where, "status %r" % row["status"])
        if not re.match(r"^127\.\d+\.\d+\.\d+$", str(row["ip"])):
            fault(where, "ip %r" % row["ip"])
        for pair in row["headers"] if isinstance(row["headers"], list) else []:
            if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)):
                fault(where, "header %r" % (pair,))
            elif not TOKEN.match(pair[0]):
                fault(where, "header name %r" % pair[0])
            elif row["http"] == "2" and pair[0] != pair[0].lower():
                fault(where, "upper case in HTTP/2: %r" % pair[0])
            elif TRACE.search(pair[1]):
                fault(where, "trace of the recording machine: %s: %s" % tuple(pair))
        if row["http"] == "1.1" and not any(p[0].lower() == "host" for p in row["headers"]):
            fault(where, "HTTP/1.1 without Host")

    ids = collections.Counter(r["id"] for r in rows)
    for name, count in ids.items():
        if count > 1:
            fault("id " + name, "used %d times" % count)
    for session, labels in sessions(rows).items():
        if len(labels) > 1:
            fault("session " + session, "has more than one client or address: %s" % sorted(labels))
    labels = collections.Counter(r["label"] for r in rows)
    clients = collections.Counter((r["label"], r["client"]) for r in rows)
    size = os.path.getsize(path)
    if not small:
        same = collections.Counter(json.dumps([r["session"], r["method"], r["host"], r["path"], r["headers"]]) for r in rows)
        again = sum(count - 1 for count in same.values())
        if again > len(rows) * 0.10:
            fault("file", "%d requests repeat one of the same session" % again)
        for client, start in STARTS.items():
            mine = [r for r in rows if r["client"] == client and r["http"] == "1.1"]
            good = sum([p[0] for p in r["headers"]][:len(start)] == start for r in mine)
            if mine and good < START_SHARE * len(mine):
                fault(client, "only %d of %d requests start with %s" % (good, len(mine), " ".join(start)))
        if size > MAX_BYTES:
            fault("file", "%d bytes, at most %d" % (size, MAX_BYTES))
        if len(rows) < MIN_ROWS:
            fault("file", "%d requests, at least %d" % (len(rows), MIN_ROWS))
        if len({c for _, c in clients}) < MIN_CLIENTS:
            fault("file", "%d clients, at least %d" % (len(clients), MIN_CLIENTS))
        share = labels["human"] / max(1, len(rows))
        if not HUMAN_SHARE[0] <= share <= HUMAN_SHARE[1]:
            fault("file", "%.0f %% human" % (100 * share))

    for (label, client), count in sorted(clients.items()):
        print("%-6s %-34s %d" % (label, client, count))
    print("%d requests, %d clients, %s, hard %d, %d bytes" % (
        len(rows), len(clients), dict(labels), sum(r["hard"] is True for r in rows), size))
    for text in faults[:50]:
        print("FAULT " + text, file=sys.stderr)
    if len(faults) > 50:
        print("FAULT and %d more" % (len(faults) - 50), file=sys.stderr)
    return 1 if faults else 0


def sessions(rows):
    out = collections.defaultdict(set)
    for r in rows:
        out[r["session"]].add((r["label"], r["client"], r["ip"]))
    return out


if __name__ == "__main__":
    sys.exit(main())
