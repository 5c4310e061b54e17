"""Trains the default table: requests to rows by `hedgerow extract`, rows to trees by CatBoost,
trees to a table by `hedgerow compile`.

The table is trained on labelled requests from elsewhere (--data DIR with train.ndjson and
test.ndjson) and judged on the project's own recordings (data/requests.ndjson), a source that it
has never seen. Both are also judged by leaving sources out, because a score on the sources that
a model was trained on proves nothing.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from catboost import CatBoostClassifier, Pool
from sklearn.metrics import roc_auc_score

# In these sources every bot has one User-Agent and every human another, so that a single request
# tells the label by the agent alone: what is learned there holds nowhere else.
LEFT_OUT = ("mklab-web-bot-p1", "mklab-web-bot-p2")

# The baseline: what many sites use in place of a bot score.
AGENT_PATTERN = re.compile(
    r"bot|crawl|spider|curl|wget|python|http|java|go-|scrapy|headless|node|axios|libwww|ruby|php", re.I
)

PARAMETERS = {
    "iterations": 400,
    "depth": 6,
    "learning_rate": 0.06,
    "l2_leaf_reg": 6,
    "rsm": 0.6,
    "loss_function": "Logloss",
    "random_seed": 7,
    "thread_count": 2,
    "verbose": 0,
    "allow_writing_files": False,
}


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def narrowed(request, known):
    """The same request as an access log or an agent list would know it."""
    names = {"log": ("user-agent", "referer"), "ua": ("user-agent",)}[known]
    narrow = dict(request, complete=False, slice=known, scheme=None)
    narrow["headers"] = [h for h in request["headers"] if h[0].lower() in names]
    if known == "ua":
        narrow.update(method=None, http=None, path=None, host=None)
    return narrow


def with_narrowed(requests):
    """Adds each complete request as a log would know it, and as an agent list would.

    Without this, how much is known would give the label away: nearly all log lines of the data
    are bots.
    """
    full = [r for r in requests if r["complete"]]
    return requests + [narrowed(r, known) for known in ("log", "ua") for r in full]


def extract(hedgerow, requests):
    """Rows of features, by the code that a proxy runs."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "requests.ndjson"), pathlib.Path(folder, "rows.csv")
        source.write_text("".join(json.dumps(r) + "\n" for r in requests), encoding="utf-8")
        subprocess.run([hedgerow, "extract", source, "-o", target], check=True, capture_output=True)
        with open(target, newline="") as file:
            reader = csv.reader(file)
            names = next(reader)
            rows = [[float(v) if v else np.nan for v in row] for row in reader]
    return names, np.array(rows, dtype=np.float32)


def weights(requests):
    """Each class weighs the same, and within it each source as the root of its size, so that a
    large source does not drown a diverse one."""
    keys = [(r["label"], r["source"], r["slice"]) for r in requests]
    counts = {key: keys.count(key) for key in set(keys)}
    raw = np.array([counts[key] ** -0.5 for key in keys])
    human = np.array([r["label"] == "human" for r in requests])
    for side in (human, ~human):
        raw[side] *= len(requests) / 2 / raw[side].sum()
    return raw


def train(rows, requests):
    human = np.array([int(r["label"] == "human") for r in requests])
    model = CatBoostClassifier(**PARAMETERS)
    return model.fit(Pool(rows, human, weight=weights(requests)))


def margins(model, rows):
    return model.predict(rows, prediction_type="RawFormulaVal")


def fold_of(request):
    """Clients stay together: a tool is either trained on or judged, never both."""
    tool = re.split(r"[/:]", request["client"] or request["source"])[0]
    return hashlib.sha256(tool.encode()).digest()[0] % 4


def agent_says_human(request):
    agent = next((v for n, v in request["headers"] if n.lower() == "user-agent"), "")
    return float(bool(agent) and not AGENT_PATTERN.search(agent))


def quality(human, scores):
    """AUC, and the share of bots below the score that costs 1 % of the humans."""
    threshold = np.quantile(scores[human], 0.01, method="lower")
    return {
        "auc": round(float(roc_auc_score(human, scores)), 4),
        "bots_caught_at_1_percent": round(float((scores[~human] < threshold).mean()), 4),
        "humans": int(human.sum()),
        "bots": int((~human).sum()),
    }


def judge(model, requests, rows):
    """How well a model tells these requests apart, and how well the agent pattern does."""
    human = np.array([r["label"] == "human" for r in requests])
    result = quality(human, margins(model, rows))
    says_human = np.array([agent_says_human(r) for r in requests])
    result["agent_pattern"] = against_pattern(human, says_human)
    return result


def leave_one_source_out(rows, requests):
    """Each human source in turn is judged by a model that saw neither it nor the bots beside it."""
    results = {}
    original = np.array([not r.get("narrowed") for r in requests])
    sources = sorted({r["source"] for r in requests if r["label"] == "human"})
    for number, source in enumerate(sources):
        held = np.array(
            [
                r["source"] == source
                if r["label"] == "human"
                else fold_of(r) == number % 4
                for r in requests
            ]
        )
        kept = [r for r, h in zip(requests, held) if not h]
        model = train(rows[~held], kept)
        for kind in ("full", "ua"):
            judged = held & original & np.array([r["slice"] == kind for r in requests])
            chosen = [r for r, j in zip(requests, judged) if j]
            if {r["label"] for r in chosen} == {"bot", "human"}:
                results[f"{source} ({kind})"] = judge(model, chosen, rows[judged])
    return results


def against_pattern(human, says_human):
    return {
        "humans_lost": round(float((says_human[human] == 0).mean()), 4),
        "bots_caught": round(float((says_human[~human] == 0).mean()), 4),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path, help="train.ndjson and test.ndjson")
    parser.add_argument("--hedgerow", required=True, help="the hedgerow binary")
    parser.add_argument("--out", default="data/default.hedge", type=pathlib.Path)
    parser.add_argument("--judge", default="data/requests.ndjson", type=pathlib.Path)
    args = parser.parse_args()

    data = read(args.data / "train.ndjson") + read(args.data / "test.ndjson")
    data = [r for r in data if r["source"] not in LEFT_OUT]
    originals = len(data)
    data = with_narrowed(data)
    for request in data[originals:]:
        request["narrowed"] = True
    names, rows = extract(args.hedgerow, data)
    print(f"{len(data)} requests ({originals} before narrowing), {len(names)} features", file=sys.stderr)

    report = {"left_one_source_out": leave_one_source_out(rows, data)}
    model = train(rows, data)

    judged = read(args.judge)
    _, judged_rows = extract(args.hedgerow, judged)
    plain = np.array([not r["hard"] for r in judged])
    report["own_recordings"] = judge(model, judged, judged_rows)
    without_hard = [r for r in judged if not r["hard"]]
    report["own_recordings_without_hard"] = judge(model, without_hard, judged_rows[plain])

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pool = Pool(rows, feature_names=names)
        model.set_feature_names(names)
        model.save_model(str(folder / "model.json"), format="json", pool=pool)
        with open(folder / "golden.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            step = len(judged_rows) // 128
            for row in judged_rows[::step][:128]:
                writer.writerow(["" if np.isnan(v) else repr(float(v)) for v in row])
        training = {
            "script": "tools/train/train.py",
            "sources": sorted({r["source"] for r in data}),
            "rows": len(data),
            "parameters": PARAMETERS,
            "quality": report,
        }
        (folder / "training.json").write_text(json.dumps(training))
        compile_command = [
            args.hedgerow, "compile", folder / "model.json", "-o", args.out, "--schema", "http",
            "--golden", folder / "golden.csv", "--provenance", folder / "training.json",
        ]
        print(subprocess.run(compile_command, check=True, capture_output=True, text=True).stdout)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
