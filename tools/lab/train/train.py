"""Trains the default table: requests to rows by `hedgerow extract`, rows to trees by CatBoost,
LightGBM or XGBoost, trees to a table by `hedgerow compile`, and writes the model card beside it.

Every request is judged by a model that saw neither its source nor its tool, because a score on
the sources that a model was trained on proves nothing. The score map comes from those margins too.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn.metrics import roc_curve

import dataset
import judge
from calibrate import Calibration, reliability
from card import Axes, Card, bar_list
from models import PARAMETERS, Model

HERE = pathlib.Path(__file__).parent
DETECTIONS = HERE / "detections.toml"

# Both recordings of one laboratory, left out together.
LABORATORIES = {
    "the project's own recordings": ("hedgerow-recorded-headful", "hedgerow-recorded-tools"),
    "the other laboratory's recordings": ("recorded-headful", "recorded-tools"),
}


def say(start, text):
    print(f"[{time.monotonic() - start:4.0f} s] {text}", file=sys.stderr, flush=True)


def percent(share):
    return f"{100 * share:.1f} %"


def left_out_lines(args, names, rows, requests):
    """Quality on each laboratory's complete requests, from a model that saw none of either kind."""
    found = []
    for title, sources in LABORATORIES.items():
        held, margins = judge.left_out(args.library, names, rows, requests, sources)
        some = [r for r, h in zip(requests, held) if h]
        full = np.array([bool(r["complete"]) for r in some])
        hard = np.array([bool(r["hard"]) for r in some])
        for what, chosen in ((title, full), (f"{title}, not hard", full & ~hard)):
            kept = [r for r, c in zip(some, chosen) if c]
            human = dataset.is_human(kept)
            line = judge.rounded(judge.caught(margins[chosen], human, np.ones(len(kept), bool)))
            found.append({"what": what, "ours": line, "pattern": judge.rounded(judge.pattern(kept))})
    return found


def quality_table(card, lines, baseline):
    header = ["judged on", "humans", "bots", "AUC", "bots caught at 1 %", "at 0.1 %"]
    if baseline:
        header += ["baseline: AUC", "at 1 %", "at 0.1 %"]
    header += ["pattern: bots caught", "humans lost"]

    def cells(line):
        ours = line["ours"]
        yield from (line["what"], ours["humans"], ours["bots"])
        for result in [ours] + ([line["baseline"]] if baseline else []):
            yield f"{result['auc']:.3f}"
            yield percent(result["at_1_percent"])
            yield percent(result["at_0.1_percent"])
        yield percent(line["pattern"]["bots_caught"])
        yield percent(line["pattern"]["humans_lost"])

    card.table(header, [list(cells(line)) for line in lines])


def not_beaten(lines):
    """Where the baseline or the pattern does better, in words."""
    found = []
    for line in lines:
        ours, plain, pattern = line["ours"], line["baseline"], line["pattern"]
        for key, name in (("auc", "AUC"), ("at_1_percent", "1 %"), ("at_0.1_percent", "0.1 %")):
            if plain[key] >= ours[key]:
                found.append(f"{line['what']}, {name}: the baseline has {plain[key]:.3f}, "
                             f"the table {ours[key]:.3f}")
        if pattern["bots_caught"] >= ours["at_0.1_percent"]:
            found.append(f"{line['what']}: the pattern catches {percent(pattern['bots_caught'])}")
    if not found:
        return "Neither the baseline nor the pattern does better on any line."
    return "Where the baseline or the pattern does better: " + "; ".join(found) + "."


def plots(card, requests, margins, scores, calibration, model):
    human = dataset.is_human(requests)
    kinds = np.array([r["slice"] for r in requests])
    roc = Axes((1e-3, 1), (0, 1), "humans lost", "bots caught", log_x=True)
    for kind, title in judge.SLICES.items():
        chosen = kinds == kind
        lost, caught, _ = roc_curve(~human[chosen], -margins[chosen])
        step = max(len(lost) // 300, 1)
        points = [(max(x, 1e-3), y) for x, y in zip(lost[::step], caught[::step])]
        roc.line(title, points + [(1, 1)])
    card.plot(
        "Bots caught against humans lost, out of fold.",
        roc.svg((0.001, 0.01, 0.1, 1), (0, 0.25, 0.5, 0.75, 1)),
    )
    edges = np.arange(0, 101, 5)
    full = kinds == "full"
    shares = {
        name: np.histogram(scores[full & side], bins=edges)[0] / max((full & side).sum(), 1)
        for name, side in (("humans", human), ("bots", ~human))
    }
    top = max(share.max() for share in shares.values())
    chart = Axes((0, 100), (0, top), "score", "share of the class")
    for name, heights in shares.items():
        chart.bars(name, edges, heights)
    card.plot(
        "Scores of complete requests by class, out of fold.",
        chart.svg(range(0, 101, 20), [round(top * k / 4, 2) for k in range(5)]),
    )
    found = reliability(margins, requests, calibration)
    chart = Axes((0, 1), (0, 1), "promised share of humans (score / 100)", "observed share")
    chart.line("observed", [(promised, observed) for promised, observed, _ in found], dots=True)
    chart.line("as promised", [(0, 0), (1, 1)])
    card.plot("Calibration, out of fold, sources weighed alike.", chart.svg(*[(0, 0.25, 0.5, 0.75, 1)] * 2))
    card.plot("The twenty most important features of the final model.", bar_list(model.importance()[:20]))


def make_card(args, report, requests, margins, scores, calibration, model):
    card = Card("Model card of the default table")
    card.text(
        "Made by tools/lab/train/train.sh; do not edit. The table scores one HTTP request by what it "
        "says of itself: headers, their order and consistency, User-Agent, target. It is a start: "
        "train on your own traffic before you block anybody."
    )
    card.heading("What it was trained on")
    counts = {}
    for request in requests:
        if not request.get("narrowed"):
            key = (request["source"], request["label"], judge.SLICES[request["slice"]])
            counts[key] = counts.get(key, 0) + 1
    card.table(
        ["source", "label", "known of a request", "requests"],
        [[*key, count] for key, count in sorted(counts.items())],
    )
    card.text(
        f"{report['rows']} rows of {len(model.names)} features: every complete request stands there "
        "three times, as it is, as an access log would know it, and as a list of agents would. "
        f"Left out: {', '.join(dataset.LEFT_OUT)}, where the agent alone gives the label away, and "
        "agents of browsers that never were. What is known of a request, and within that the classes, "
        f"weigh alike, and within a class each source by the root of its size. Library: {args.library}, {json.dumps(PARAMETERS[args.library])}."
    )
    card.text(
        "Features that the table does not use, because they tell how requests were collected: "
        + "; ".join(f"{', '.join(group)} ({why})" for why, group in dataset.LEFT_OUT_FEATURES.items())
        + "."
    )
    card.heading("How well it tells")
    card.text(
        "Out of fold: every request is judged by a model that saw neither its source (humans, lists "
        "of bots) nor its tool (recorded bots). Thresholds cost 1 % and 0.1 % of the requests of "
        "real browsers. The baseline is the same library on some forty obvious features (presence "
        "of headers, words and length of the agent, length of the path) with the same folds; the "
        "pattern is one regular expression over the User-Agent. Hard requests carry next to no "
        "trace of automation, or come from rare human browsers. Features and parameters were chosen "
        "among a handful by these very lines and the laboratories', so both are a little too kind."
    )
    quality_table(card, report["out_of_fold"], True)
    card.text(not_beaten(report["out_of_fold"]))
    card.text("A whole laboratory left out, its browsers and its tools, complete requests:")
    quality_table(card, report["laboratories"], False)
    plots(card, requests, margins, scores, calibration, model)
    card.heading("Humans, by source and browser")
    header = ["source", "browser", "known", "requests", "lost at 1 %", "lost at 0.1 %", "median score"]
    card.table(header, [[percent(v) if k.startswith("lost") else v for k, v in line.items()]
                        for line in report["humans"]])
    card.heading("Bots, by tool")
    card.text("Complete requests, the least caught first.")
    header = ["tool", "requests", "hard", "caught at 1 %", "caught at 0.1 %", "median score"]
    card.table(header, [[percent(v) if k.startswith("caught") or k == "hard" else v
                         for k, v in line.items()] for line in report["tools"]])
    card.heading("Detections")
    card.text(
        "Rules beside the trees, with scores of their own. An active one gives its score to what it "
        "matches; a shadow is only counted. Active are those that match no human here. Requests "
        "are counted as they come, without the copies that know less."
    )
    header = ["detection", "id", "mode", "score", "bots matched", "humans matched"]
    card.table(header, [list(line.values()) for line in report["detections"]])
    card.text(
        "The table holds no verified bots: operators change their addresses, a bundled table stays as "
        "it is, and an address that was given up would verify whoever has it next. "
        "tools/lab/train/README.md says how to add the lists of the day."
    )
    card.heading("Known weaknesses")
    for weakness in json.loads((HERE / "weaknesses.json").read_text(encoding="utf-8")):
        card.text(weakness)
    return card


def compile_table(args, model, names, rows, requests, calibration, report):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        own = [at for at, r in enumerate(requests)
               if r["source"].startswith("hedgerow-") and not r.get("narrowed")]
        with open(folder / "golden.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            for at in own[:: max(len(own) // 128, 1)][:128]:
                writer.writerow(["" if np.isnan(v) else repr(float(v)) for v in rows[at]])
        (folder / "map.json").write_text(json.dumps(calibration.score_map()))
        training = {
            "script": "tools/lab/train/train.py",
            "library": args.library,
            "sources": sorted({r["source"] for r in requests}),
            "rows": len(requests),
            "parameters": PARAMETERS[args.library],
            "out_of_fold": report["out_of_fold"],
        }
        (folder / "training.json").write_text(json.dumps(training))
        command = [
            args.hedgerow, "compile", model.save(folder), "-o", args.out, "--schema", "http",
            "--detections", DETECTIONS,
            "--golden", folder / "golden.csv", "--score-map", folder / "map.json",
            "--provenance", folder / "training.json",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"hedgerow compile: {done.stderr}")
        print(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path, help="train.ndjson and test.ndjson")
    parser.add_argument("--hedgerow", required=True, help="the hedgerow binary")
    parser.add_argument("--recordings", default="tools/cli/data/requests.ndjson", type=pathlib.Path)
    parser.add_argument("--library", default="catboost", choices=sorted(PARAMETERS))
    parser.add_argument("--out", default="data/default.hedge", type=pathlib.Path)
    parser.add_argument("--card", default="data/model-card", type=pathlib.Path,
                        help="writes CARD.md and CARD.html")
    args = parser.parse_args()

    start = time.monotonic()
    requests = dataset.load(args.data, args.recordings)
    all_names, all_rows = dataset.extract(args.hedgerow, requests)
    used = dataset.used(all_names)
    names, rows = [all_names[at] for at in used], all_rows[:, used]
    say(start, f"{len(requests)} requests, {len(names)} of {len(all_names)} features")
    margins = judge.out_of_fold(args.library, names, rows, requests)
    say(start, "judged out of fold")
    plain = judge.baseline_margins(args.library, requests)
    say(start, "judged the baseline")
    calibration = Calibration(margins, requests)
    scores = calibration.scores(margins)
    report = {
        "rows": len(requests),
        "out_of_fold": judge.lines(requests, margins, plain),
        "laboratories": left_out_lines(args, names, rows, requests),
        "humans": judge.by_source(requests, margins, scores),
        "tools": judge.by_tool(requests, margins, scores),
        "detections": judge.detections(DETECTIONS, all_names, all_rows, requests),
    }
    say(start, "judged laboratories")
    model = Model(args.library, names).fit(rows, requests)
    compile_table(args, model, all_names, all_rows, requests, calibration, report)
    card = make_card(args, report, requests, margins, scores, calibration, model)
    html_path = args.card.with_suffix(".html")
    html_path.write_text(card.html(), encoding="utf-8")
    args.card.with_suffix(".md").write_text(card.markdown(html_path.name), encoding="utf-8")
    for line in report["out_of_fold"] + report["laboratories"]:
        print(json.dumps(line))
    say(start, f"wrote {args.out}, {args.card}.md and .html")


if __name__ == "__main__":
    main()
