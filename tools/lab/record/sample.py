"""The choice among what visits sent: a spread sample of every client and every kind of request."""

import collections
import json
import random

import files
import shop

BUDGET = 1_935_000  # bytes of the finished file
WANTED_HUMAN, WANTED_BOT = 1130, 1350

# Driven browsers that send exactly what the same browser sends in a person's hands: a few are
# worth having, many would only teach that an ordinary browser may be anything.
TWINS = {"puppeteer/headful", "selenium/headful", "puppeteer-firefox/headless", "firefox-headless/screenshot", "selenium-webkit/headful"}


def select(rows, out, seed):
    """A spread sample under the byte budget: every client, every kind of request, not many of the same."""
    rng = random.Random(seed + 2)
    by_client = collections.defaultdict(list)
    for row in rows:
        row["kind"] = shop.kind_of(row["method"], row["path"], row["host"])
        by_client[row["client"]].append(row)
    pools = {}
    for client in sorted(by_client):
        pool = pools[client] = collections.defaultdict(list)
        seen = collections.Counter()
        members = sorted(by_client[client], key=lambda r: (r["job"], r["ts"]))
        rng.shuffle(members)
        for row in members:
            names = tuple(n for n, _ in row["headers"])
            key = (row["session"], row["kind"], names)
            same = (row["session"], row["path"], names)
            seen[key] += 1
            seen[same] += 1
            if seen[key] <= (8 if row["kind"] == "document" else 3) and seen[same] <= 2:
                pool[row["kind"]].append(row)

    def cut(label, wanted):
        """Each client's share; within it the kinds of requests in the same proportions for both labels."""
        size = {c: sum(map(len, p.values())) for c, p in pools.items() if any(p.values()) and by_client[c][0]["label"] == label}
        low, high = 0.0, 400.0
        for _ in range(40):
            mid = (low + high) / 2
            if sum(min(n, round(share(c, label) * mid)) for c, n in size.items()) <= wanted:
                low = mid
            else:
                high = mid
        quota = {c: min(n, round(share(c, label) * low)) for c, n in size.items()}
        total, own, used = collections.Counter(), {c: collections.Counter() for c in quota}, collections.Counter()
        out = []
        while any(used[c] < quota[c] for c in quota):
            for c in sorted(quota):
                if used[c] < quota[c]:
                    left = [k for k in sorted(KINDS) if len(pools[c][k]) > own[c][k]]
                    kind = max(left, key=lambda k: KINDS[k] / (total[k] + 1) * (KINDS[k] / (own[c][k] + 1)) ** 0.5)
                    out.append(pools[c][kind][own[c][kind]])
                    own[c][kind] += 1
                    total[kind] += 1
                    used[c] += 1
        return out

    scale = 1.0
    while True:
        picked = cut("human", int(WANTED_HUMAN * scale)) + cut("bot", int(WANTED_BOT * scale))
        picked.sort(key=lambda r: r["ts"])
        text = "".join(line(n, r) for n, r in enumerate(picked, 1))
        if len(text.encode()) <= BUDGET or scale < 0.2:
            break
        scale -= 0.01
    files.write(out, text)
    return picked


# The proportions of kinds of requests: the same for both labels, so that what is asked for does not tell who asks.
KINDS = {"document": 0.32, "style": 0.07, "script": 0.08, "image": 0.10, "font": 0.04, "fetch": 0.08, "post": 0.10, "embed": 0.06,
         "well-known": 0.06, "cdn": 0.07, "options": 0.02, "head": 0.005}


def share(client, label):
    """How much of the sample a client gets, against 1 for a scripted one."""
    if client in ("chromium/headful", "firefox/headful"):
        return 14.0
    if client == "epiphany/headful":
        return 5.0
    if label == "human":
        return 3.0
    name = client.split("/")[0]
    if client not in TWINS and name in ("puppeteer", "playwright", "selenium", "chromium-headless"):
        return 3.0
    return 1.0


def line(n, r):
    return json.dumps({
        "id": "hr%05d" % n, "label": r["label"], "source": "hedgerow-recorded-headful" if r["label"] == "human" else "hedgerow-recorded-tools",
        "client": r["client"], "basis": "operator", "hard": r["hard"], "slice": "full", "complete": True, "order": "wire", "ts": r["ts"], "ip": r["ip"],
        "session": r["session"], "method": r["method"], "scheme": r["scheme"], "http": r["http"], "host": r["host"], "path": r["path"],
        "status": r["status"], "bytes": r["bytes"], "headers": r["headers"]}, separators=(",", ":"), ensure_ascii=False) + "\n"
