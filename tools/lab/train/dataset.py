"""Labelled requests: reading, what is left out, weights, folds, rows of features."""

import collections
import csv
import gzip
import hashlib
import json
import pathlib
import re
import subprocess
import tempfile

import numpy as np

from views import views

# In these sources every bot has one User-Agent and every human another, so that a single request
# tells the label by the agent alone: what is learned there holds nowhere else.
LEFT_OUT = ("mklab-web-bot-p1", "mklab-web-bot-p2")

# Other names of what the packages hold.
SAME = {"apify-header-generator", "ulixee-browser-profiles", "ulixee-real-user-agents",
        "random_user_agent", "recorded-tools", "recorded-headful"}

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

FOLDS = 5

# What each way of seeing a request weighs in training, people and bots alike.
VIEWS = {
    "full": 1, "proxy": 1, "order kept": 0.5, "forwarded": 0.5, "unordered": 0.5, "no version": 0.5,
    "log": 0.5, "ua": 1,
}

CHROMIUM_VERSION = re.compile(r"Chrome/(\d+)\.0\.(\d+)\.")


def read(path):
    """The requests of a file, one JSON object a line, every known field set."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [known(json.loads(line)) for line in lines if line.strip()]


def known(request):
    for field in ("class", "client", "basis", "method", "scheme", "http", "host", "path", "order"):
        request.setdefault(field, None)
    request.setdefault("slice", "full" if request.get("complete") else "ua")
    request["complete"] = request["slice"] == "full"
    request["hard"] = bool(request.get("hard"))
    return request


def agent_of(request):
    """The User-Agent; empty where there is none."""
    return next((v for n, v in request["headers"] if n.lower() == "user-agent"), "")


def made_up(request):
    """Whether an agent that a script collected is a Chromium of many years ago, with a build that
    was never released: developers' device emulation and bots send those."""
    found = CHROMIUM_VERSION.search(agent_of(request))
    old = found and int(found[1]) < 90 and found[2] != "0"
    return request["source"] == "intoli-user-agents" and bool(old)


def load(paths):
    """The requests to train on, each complete one in every view."""
    requests = [r for path in paths for r in read(path)]
    kept = [r for r in requests if r["label"] in ("human", "bot") and not made_up(r)]
    return [view for r in kept for view in views(r)]


def others(folder, trained):
    """The requests of a folder that are of no source and, where the agent is all that is known, of no
    agent that was trained on, in every view. Apps are neither people nor bots."""
    requests = [r for path in sorted(folder.glob("*.ndjson")) for r in read(path)]
    sources = {r["source"] for r in trained} | set(LEFT_OUT) | SAME
    agents = {agent_of(r) for r in trained if r["slice"] == "ua"}
    kept = [
        r for r in requests
        if r["label"] in ("human", "bot") and r["source"] not in sources and not made_up(r)
        and not (r["slice"] == "ua" and agent_of(r) in agents)
    ]
    return [view for r in kept for view in views(r)]


def is_human(requests):
    """One truth value a request."""
    return np.array([r["label"] == "human" for r in requests])


def tool(request):
    """The family of a client: `curl/8` and `curl:post` are both `curl`."""
    return re.split(r"[/:]", request["client"] or request["source"])[0]


def fold(request):
    """The fold in which a request is judged: by a model that did not see its class, or without one
    its browser of that source (humans), or its tool (bots)."""
    if request["class"]:
        name = request["class"]
    elif request["label"] == "bot":
        name = tool(request)
    else:
        name = request["source"] + (request["client"] or "")[:14]
    return hashlib.sha256(name.encode()).digest()[0] % FOLDS


def group(request):
    """What weighs as the root of its size, so that a large source does not drown a diverse one."""
    if request["label"] == "human":
        client = request["client"] if request["source"].startswith("hedgerow-") else None
        name = request["source"] + (request["class"] or client or "")
    else:
        name = request["source"] if request["slice"] == "ua" else tool(request)
    return request["view"], request["label"], name


def weights(requests):
    """Each view weighs as VIEWS says, within it people and bots the same, and within these each
    group as the root of its size."""
    keys = [group(r) for r in requests]
    counts = collections.Counter(keys)
    raw = np.array([counts[key] ** -0.5 for key in keys])
    sides = np.array([f"{view} {label}" for view, label, _ in keys])
    for side in set(sides):
        view = side.rpartition(" ")[0]
        raw[sides == side] *= VIEWS[view] / raw[sides == side].sum()
    return raw * len(requests) / raw.sum()


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
