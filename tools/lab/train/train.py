"""Trains the default table: requests to rows by `hedgerow extract`, rows to trees by CatBoost,
LightGBM or XGBoost, trees to a table by `hedgerow compile`, and writes the model card.

The data are the project's recordings and packages that sources.py fetches by name. Every request is
judged by a model that saw neither its class nor its tool. A folder of other labelled requests
(`--data`) is not trained on, but judged by the finished model.
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
from sources import PACKAGES

HERE = pathlib.Path(__file__).parent
DETECTIONS = HERE / "detections.toml"
RECORDED = HERE.parent / "record" / "data"
RECORDINGS = [pathlib.Path("tools/cli/data/requests.ndjson"), RECORDED / "clients.ndjson.gz",
              RECORDED / "kinds.ndjson.gz"]


def say(start, text):
    print(f"[{time.monotonic() - start:4.0f} s] {text}", file=sys.stderr, flush=True)


def percent(share):
    return f"{100 * share:.1f} %"


def quality_table(card, lines):
    header = ["judged on", "people", "bots", "people below 30", "bots at 30 or more", "AUC",
              "bots caught at 1 %", "at 0.1 %"]
    baseline = all("baseline" in line for line in lines)
    if baseline:
        header += ["baseline: AUC", "at 1 %"]
    header += ["pattern: bots caught", "people lost"]

    def cells(line):
        ours = line["ours"]
        yield from (line["what"], ours["humans"], ours["bots"])
        yield percent(line["humans_below"])
        yield percent(line["bots_above"])
        yield f"{ours['auc']:.3f}"
        yield percent(ours["at_1_percent"])
        yield percent(ours["at_0.1_percent"])
        if baseline:
            yield f"{line['baseline']['auc']:.3f}"
            yield percent(line["baseline"]["at_1_percent"])
        yield percent(line["pattern"]["bots_caught"])
        yield percent(line["pattern"]["humans_lost"])

    card.table(header, [list(cells(line)) for line in lines])


def class_table(card, lines, kind, wrong):
    """The classes over 5 % whole, and how many there are under it."""
    over = [line for line in lines if line["wrong"] > 0.05]
    card.text(f"{len(lines) - len(over)} of {len(lines)} classes of {kind} have at most 5 % {wrong}. "
              "The others, and the ten next:")
    rows = [[line["class"], line["known"], line["requests"], percent(line["wrong"]), line["median"]]
            for line in lines[:len(over) + 10]]
    card.table(["class", "known", "requests", wrong, "median score"], rows)


def plots(card, requests, margins, scores, calibration, model):
    human = dataset.is_human(requests)
    kinds = np.array([r["view"] for r in requests])
    roc = Axes((1e-3, 1), (0, 1), "humans lost", "bots caught", log_x=True)
    for kind, title in judge.TITLES.items():
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
        "Made by tools/lab/train/train.sh; do not edit. The table scores one HTTP request by its "
        "headers, their order and consistency, its User-Agent and its target. A score below 30 is "
        "what operators block. Train on your own traffic before you block anybody."
    )
    card.heading("What it was trained on")
    licences = {source: (f"{name} {version} ({registry})", licence)
                for source, registry, name, version, licence, _ in PACKAGES}
    counts = {}
    for request in requests:
        if not request.get("narrowed"):
            key = (request["source"], request["label"], judge.TITLES[request["view"]])
            counts[key] = counts.get(key, 0) + 1
    card.table(
        ["source", "label", "known of a request", "requests", "package", "licence"],
        [[*key, count, *licences.get(key[0], ("recorded by this project", "as the project"))]
         for key, count in sorted(counts.items())],
    )
    card.text(
        f"{report['rows']} rows of {len(model.names)} features: every complete request is there as it "
        "is, behind a proxy that the host knows of, behind one that keeps the order, behind one that the "
        "host does not know of, without its order, without its version, as a log line and as a User-Agent. Weights of these: "
        f"{json.dumps(dataset.VIEWS)}; within each, people and bots weigh the same, and within those "
        "each class, source or tool as the root of its size. "
        f"Library: {args.library}, {json.dumps(PARAMETERS[args.library])}."
    )
    card.text(
        "Features that the table does not use, because they tell how requests were collected: "
        + "; ".join(f"{', '.join(group)} ({why})" for why, group in dataset.LEFT_OUT_FEATURES.items())
        + "."
    )
    card.heading("Quality on its own sources")
    card.text(
        "Out of fold: every request is judged by a model that saw neither its class (people) nor its "
        "tool (bots). The last columns compare: the baseline is the same library on some forty "
        "obvious features, the pattern is one regular expression over the User-Agent. The baseline "
        "also sees lengths of paths and counts of headers, by which it knows some sources again. Hard "
        "requests "
        "carry next to no trace of automation; they are left out except where a line names them. In "
        "log lines and agents most bots here say what a browser says, so that nothing can find them."
    )
    quality_table(card, report["out_of_fold"])
    if report["others"]:
        card.heading("Quality on other sources")
        card.text(
            "Requests of sources that nothing was trained on, judged by the finished model: "
            + ", ".join(report["other_sources"]) + "."
        )
        quality_table(card, report["others"])
        card.text("What each part of the training data adds: the same, trained without it.")
        header = ["without", "complete: AUC", "people below 30", "bots at 30 or more",
                  "User-Agent only: AUC", "people below 30", "bots at 30 or more"]
        card.table(header, report["parts"])
        class_table(card, report["other_people"], "people", "below 30")
        class_table(card, report["other_bots"], "bots", "at 30 or more")
    card.heading("People, by class")
    card.text("Its own sources, out of fold.")
    class_table(card, report["people"], "people", "below 30")
    plots(card, requests, margins, scores, calibration, model)
    card.heading("Bots, by tool")
    card.text("Complete requests, out of fold, the least caught first.")
    card.table(["tool", "requests", "hard", "below 30", "median score"],
               [[percent(v) if k == "below_30" else v for k, v in line.items()]
                for line in report["tools"]])
    card.heading("Detections")
    card.text(
        "Rules with scores of their own, which come before the trees. An active one gives its score "
        "to what it matches; a shadow is only counted. Active are those that match no person here."
    )
    header = ["detection", "id", "mode", "score", "bots matched", "people matched"]
    card.table(header, [list(line.values()) for line in report["detections"]])
    card.text(
        "The table holds no verified bots: operators change their addresses, and a bundled table "
        "does not change. tools/lab/train/README.md says how to add the lists of the day."
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
            "--positive", "human", "--detections", DETECTIONS,
            "--golden", folder / "golden.csv", "--score-map", folder / "map.json",
            "--provenance", folder / "training.json",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"hedgerow compile: {done.stderr}")
        print(done.stdout)


def without_parts(args, names, rows, requests, other_rows, others, calibration):
    """Quality on the other sources of models that were trained without one part each."""
    parts = {"nothing": lambda r: False}
    for source in sorted({r["source"] for r in requests}):
        parts[source] = lambda r, source=source: r["source"] == source
    views = {"proxy", "order kept", "forwarded", "unordered", "no version"}
    parts["the views behind proxies, without order, without version"] = lambda r: r["view"] in views
    found = []
    for name, left_out in parts.items():
        held = np.array([left_out(r) for r in requests])
        model = Model("lightgbm", names).fit(
            rows[~held], [r for r, h in zip(requests, held) if not h])
        margins = model.margins(other_rows)
        lines = judge.lines(others, margins, calibration.scores(margins))
        cells = [name]
        for title in (judge.TITLES["full"], judge.TITLES["ua"]):
            line = next(line for line in lines if line["what"] == title)
            cells += [f"{line['ours']['auc']:.3f}", percent(line["humans_below"]),
                      percent(line["bots_above"])]
        found.append(cells)
    return found


def check_reports(requests, scores):
    """Requests that were reported as mistakes must be on the right side of 30 now."""
    wrong = [
        r["id"] for r, score in zip(requests, scores)
        if r["source"] == "report" and r["view"] == r["slice"]
        and (score < judge.BLOCKED) == (r["label"] == "human")
    ]
    if wrong:
        raise SystemExit(f"reports that the new table still gets wrong: {', '.join(wrong)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hedgerow", required=True, help="the hedgerow binary")
    parser.add_argument("--packages", required=True, type=pathlib.Path, help="what sources.py wrote")
    parser.add_argument("--data", type=pathlib.Path, help="a folder of other requests, to judge by")
    parser.add_argument("--reports", type=pathlib.Path, help="what `hedgerow why --report` wrote")
    parser.add_argument("--library", default="catboost", choices=sorted(PARAMETERS))
    parser.add_argument("--out", default="data/default.hedge", type=pathlib.Path)
    parser.add_argument("--card", default="data/model-card", type=pathlib.Path,
                        help="writes CARD.md and CARD.html")
    args = parser.parse_args()

    start = time.monotonic()
    requests = dataset.load([args.packages, *RECORDINGS, *filter(None, [args.reports])])
    all_names, all_rows = dataset.extract(args.hedgerow, requests)
    used = dataset.used(all_names)
    names, rows = [all_names[at] for at in used], all_rows[:, used]
    say(start, f"{len(requests)} requests, {len(names)} of {len(all_names)} features")
    detections = judge.detections(DETECTIONS, all_names, all_rows, requests)
    margins = judge.out_of_fold(args.library, names, rows, requests)
    say(start, "judged out of fold")
    plain = judge.baseline_margins("lightgbm", requests)
    say(start, "judged the baseline")
    calibration = Calibration(margins, requests)
    scores = calibration.scores(margins)
    model = Model(args.library, names).fit(rows, requests)
    check_reports(requests, calibration.scores(model.margins(rows)))
    report = {
        "rows": len(requests),
        "out_of_fold": judge.lines(requests, margins, scores, plain),
        "people": judge.by_class(requests, scores, "human"),
        "tools": judge.by_tool(requests, scores),
        "detections": detections,
        "others": [],
    }
    if args.data:
        others = dataset.others(args.data, requests)
        other_rows = dataset.extract(args.hedgerow, others)[1][:, used]
        other_margins = model.margins(other_rows)
        other_scores = calibration.scores(other_margins)
        report |= {
            "others": judge.lines(others, other_margins, other_scores),
            "other_sources": sorted({r["source"] for r in others}),
            "other_people": judge.by_class(others, other_scores, "human"),
            "other_bots": judge.by_class(others, other_scores, "bot"),
            "parts": without_parts(args, names, rows, requests, other_rows, others, calibration),
        }
        say(start, "judged other sources")
    compile_table(args, model, all_names, all_rows, requests, calibration, report)
    card = make_card(args, report, requests, margins, scores, calibration, model)
    html_path = args.card.with_suffix(".html")
    html_path.write_text(card.html(), encoding="utf-8")
    args.card.with_suffix(".md").write_text(card.markdown(html_path.name), encoding="utf-8")
    for line in report["out_of_fold"] + report["others"]:
        print(json.dumps(line))
    say(start, f"wrote {args.out}, {args.card}.md and .html")


if __name__ == "__main__":
    main()
