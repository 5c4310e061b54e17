"""Labelled requests: reading, what is left out, narrowed copies, weights, folds, rows of features."""

import collections
import csv
import hashlib
import json
import pathlib
import re
import subprocess
import tempfile

import numpy as np

# In these sources every bot has one User-Agent and every human another, so that a single request
# tells the label by the agent alone: what is learned there holds nowhere else.
LEFT_OUT = ("mklab-web-bot-p1", "mklab-web-bot-p2")

# Features that the library fills and this table does not use, by why: they tell how or where the
# requests were collected better than who sent them. Tables trained on one site's own traffic can
# use them all. A name that ends in * stands for all features that begin so.
LEFT_OUT_FEATURES = {
    "no request of the data has a TLS handshake": ("tls_*",),
    "recordings come from private addresses, samples from none": ("peer_*",),
    "the recorded sites and their servers decide the version": ("http_2_or_3", "http_1_on_tls"),
    "the recorded sites and their links decide targets": (
        "target_length_band", "target_depth", "target_parameters", "target_query_bits",
    ),
    "proxies that recorded, and sites with headers of their own, add or take headers": (
        "headers_count_band", "headers_unknown", "priority_missing",
    ),
    "the recorded sites decide whether a Referer is sent": ("fetch_without_referer",),
    "one recording machine has one list of languages": ("accept_languages",),
    "the recorded sites ask for hints, or do not": ("hints_asked_for",),
    # Out of fold at 1 %: log lines fall from 69 % to 35 %, complete requests from 74 % to 59 %.
    "forms of the agent that differ more between sources of humans than between humans and bots": (
        "ua_products", "ua_bare", "ua_spaces_odd", "ua_version_unreduced",
        "ua_platform_unreduced", "ua_platform_impossible", "ua_mobile_odd", "ua_safari_odd",
        "ua_in_app", "ua_safari", "ua_length_band",
    ),
}

# Sources with their own fold: the rest of the humans is one fold a source, and the rest of the
# bots is cut by tool, so that no tool is both trained on and judged.
FOLDS = 5
HUMAN_FOLDS = {
    "apify-header-generator": 0,
    "curl-impersonate-signatures": 1,
    "ulixee-real-user-agents": 1,
    "recorded-headful": 2,
    "ulixee-browser-profiles": 3,
    "hedgerow-recorded-headful": 4,
    "intoli-user-agents": 4,
}
BOT_FOLDS = {
    "crawler-user-agents": 0,
    "isbot-crawlers": 2,
    "advertools-logs": 1,
    "ocatak-acunetix": 3,
}

# Humans whose requests a real browser sent, or a recording of one; the others are samples.
REAL = ("operator", "recorded_profile", "recorded_signature")

CHROMIUM_VERSION = re.compile(r"Chrome/(\d+)\.0\.(\d+)\.")


def read(path):
    """The requests of a file, one JSON object a line."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def agent_of(request):
    """The User-Agent; empty where there is none."""
    return next((v for n, v in request["headers"] if n.lower() == "user-agent"), "")


def made_up(request):
    """Whether an agent that a script collected is a Chromium of many years ago, with a build that
    was never released: developers' device emulation and bots send those."""
    found = CHROMIUM_VERSION.search(agent_of(request))
    old = found and int(found[1]) < 90 and found[2] != "0"
    return request["source"] == "intoli-user-agents" and bool(old)


def load(folder, recordings):
    """All requests to train on: the labelled data of a folder and the project's recordings, each
    complete one also as a log and as an agent list would know it."""
    data = read(folder / "train.ndjson") + read(folder / "test.ndjson") + read(recordings)
    data = [r for r in data if r["source"] not in LEFT_OUT and not made_up(r)]
    narrow = [narrowed(r, known) for known in ("log", "ua") for r in data if r["complete"]]
    return data + narrow


def narrowed(request, known):
    """The same request as an access log or an agent list would know it.

    Without these, how much is known would give the label away: nearly all log lines of the data
    are bots.
    """
    names = {"log": ("user-agent", "referer"), "ua": ("user-agent",)}[known]
    narrow = dict(request, complete=False, slice=known, scheme=None, narrowed=True)
    narrow["headers"] = [h for h in request["headers"] if h[0].lower() in names]
    if known == "ua":
        narrow.update(method=None, http=None, path=None, host=None)
    return narrow


def is_human(requests):
    """One truth value a request."""
    return np.array([r["label"] == "human" for r in requests])


def tool(request):
    """The family of a client: `curl/8` and `curl:post` are both `curl`."""
    return re.split(r"[/:]", request["client"] or request["source"])[0]


def fold(request):
    """The fold in which a request is judged by a model that saw neither its source (humans, lists
    of bots) nor its tool (recorded bots)."""
    known = HUMAN_FOLDS if request["label"] == "human" else BOT_FOLDS
    if request["source"] in known:
        return known[request["source"]]
    name = tool(request) if request["label"] == "bot" else request["source"]
    return hashlib.sha256(name.encode()).digest()[0] % FOLDS


def weights(requests):
    """Of what is known of a request, each kind weighs the same, within it each class, and within
    that each source as the root of its size, so that a large source does not drown a diverse one.

    With the classes alike over all kinds together, log lines, of which there are twice as many
    bots as humans, taught that to know little means a bot.
    """
    keys = [(r["slice"], r["label"], r["source"]) for r in requests]
    counts = collections.Counter(keys)
    raw = np.array([counts[key] ** -0.5 for key in keys])
    sides = [key[:2] for key in keys]
    kinds = sorted(set(sides))
    for kind in kinds:
        side = np.array([s == kind for s in sides])
        raw[side] *= len(requests) / len(kinds) / raw[side].sum()
    return raw


def used(names):
    """The positions of the features that are trained on; a name that no feature has is an error."""
    left_out = set()
    for entry in (entry for group in LEFT_OUT_FEATURES.values() for entry in group):
        found = {n for n in names if n == entry or entry[-1] == "*" and n.startswith(entry[:-1])}
        if not found:
            raise SystemExit(f"LEFT_OUT_FEATURES: expected features of the library, got {entry}")
        left_out |= found
    return [at for at, name in enumerate(names) if name not in left_out]


def extract(hedgerow, requests):
    """Names of the features, and one row of them a request, by the code that a proxy runs."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "requests.ndjson"), pathlib.Path(folder, "rows.csv")
        source.write_text("".join(json.dumps(r) + "\n" for r in requests), encoding="utf-8")
        subprocess.run([hedgerow, "extract", source, "-o", target], check=True, capture_output=True)
        with open(target, newline="") as file:
            reader = csv.reader(file)
            names = next(reader)
            rows = [[float(v) if v else np.nan for v in row] for row in reader]
    return names, np.array(rows, dtype=np.float32)
