"""How well models tell bots from people, on classes, sources and tools that they did not see."""

import collections
import tomllib

import numpy as np
from sklearn.metrics import roc_auc_score

from dataset import FOLDS, VIEWS, fold, is_human, tool
from models import Model, obvious_rows, pattern_says_human

# What is known of a request, and what the model card calls it.
TITLES = {
    "full": "complete requests",
    "proxy": "behind a proxy that the host knows of",
    "order kept": "behind one that keeps the order",
    "forwarded": "behind a proxy that the host does not know of",
    "unordered": "complete, order lost",
    "no version": "complete, version unknown",
    "log": "log lines",
    "ua": "User-Agent only",
}

# Scores below this are what operators block.
BLOCKED = 30


def out_of_fold(library, names, rows, requests):
    """Each request's margin from a model that saw neither its class nor its tool."""
    folds = np.array([fold(r) for r in requests])
    margins = np.full(len(requests), np.nan)
    for number in range(FOLDS):
        held = folds == number
        kept = [r for r, h in zip(requests, held) if not h]
        model = Model(library, names).fit(rows[~held], kept)
        margins[held] = model.margins(rows[held])
    return margins


def threshold(margins, share):
    """The margin below which a share of these requests lies."""
    return np.quantile(margins, share, method="lower")


def caught(margins, human):
    """AUC, and the share of bots caught at the thresholds that cost 1 % and 0.1 % of the people."""
    result = {"humans": int(human.sum()), "bots": int((~human).sum())}
    result["auc"] = float(roc_auc_score(human, margins))
    for name, share in (("at_1_percent", 0.01), ("at_0.1_percent", 0.001)):
        result[name] = float((margins[~human] < threshold(margins[human], share)).mean())
    return result


def rounded(result):
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in result.items()}


def pattern(requests):
    """What a pattern over the User-Agent loses and catches."""
    human, says = is_human(requests), pattern_says_human(requests)
    return {
        "humans_lost": float((says[human] == 0).mean()),
        "bots_caught": float((says[~human] == 0).mean()),
    }


def lines(requests, margins, scores, plain=None):
    """One line a view, without the hard requests, and complete ones with them, too."""
    human = is_human(requests)
    hard = np.array([r["hard"] for r in requests])
    view = np.array([r["view"] for r in requests])
    found = []
    for name in VIEWS:
        kinds = [(TITLES[name], (view == name) & ~hard)]
        if name == "full":
            kinds.append((f"{TITLES[name]}, hard ones too", view == name))
        for title, chosen in kinds:
            if len(set(human[chosen])) < 2:
                continue
            some = [r for r, c in zip(requests, chosen) if c]
            line = {"what": title, "ours": rounded(caught(margins[chosen], human[chosen]))}
            low = scores[chosen] < BLOCKED
            line["humans_below"] = round(float(low[human[chosen]].mean()), 4)
            line["bots_above"] = round(float((~low)[~human[chosen]].mean()), 4)
            line["pattern"] = rounded(pattern(some))
            if plain is not None:
                line["baseline"] = rounded(caught(plain[chosen], human[chosen]))
            found.append(line)
    return found


def class_of(request):
    return request["class"] or request["source"]


def by_class(requests, scores, label, least=20):
    """Each class in each view: requests, the share on the wrong side of 30, the median score. The
    worst come first; classes of fewer than `least` requests are joined."""
    groups = collections.defaultdict(list)
    for request, score in zip(requests, scores):
        if request["label"] == label and not request["hard"]:
            groups[request["view"], class_of(request)].append(score)
    joined = collections.defaultdict(list)
    for (view, name), group in groups.items():
        joined[view, name if len(group) >= least else "smaller classes"] += group
    found = []
    for (view, name), group in joined.items():
        group = np.array(group)
        wrong = group < BLOCKED if label == "human" else group >= BLOCKED
        found.append({"class": name, "known": TITLES[view], "requests": len(group),
                      "wrong": round(float(wrong.mean()), 4), "median": int(np.median(group))})
    return sorted(found, key=lambda line: (-line["wrong"], line["median"], line["class"]))


def by_tool(requests, scores):
    """Bots by tool, complete requests: the share below 30, and the median score."""
    groups = collections.defaultdict(list)
    for request, score in zip(requests, scores):
        if request["label"] == "bot" and request["view"] == "full":
            groups[tool(request), request["hard"]].append(score)
    found = [
        {"tool": name, "requests": len(group), "hard": "yes" if hard else "",
         "below_30": round(float((np.array(group) < BLOCKED).mean()), 4),
         "median": int(np.median(group))}
        for (name, hard), group in groups.items()
    ]
    return sorted(found, key=lambda line: (line["below_30"], line["tool"]))


def baseline_margins(library, requests):
    """Out-of-fold margins of the plain baseline, with the same library and folds."""
    names, rows = obvious_rows(requests)
    return out_of_fold(library, names, rows, requests)


def holds(condition, column):
    """Where one condition of a detection holds; a missing value meets only `missing`."""
    tests = {
        "above": lambda v: column > v,
        "at_most": lambda v: column <= v,
        "equals": lambda v: column == v,
        "missing": lambda v: np.isnan(column) == v,
        "present": lambda v: np.isnan(column) != v,
    }
    name, value = next((k, v) for k, v in condition.items() if k != "feature")
    return tests[name](value)


def detections(path, names, rows, requests):
    """What each detection of a file matches, of requests as they come. An active one that matches
    a human is an error: it would overrule the trees there."""
    own = np.array([not r.get("narrowed") for r in requests])
    human, found = is_human(requests), []
    for rule in tomllib.loads(path.read_text(encoding="utf-8"))["detections"]:
        match = own.copy()
        for condition in rule["conditions"]:
            match &= holds(condition, rows[:, names.index(condition["feature"])])
        active, humans = rule.get("active", False), int((match & human).sum())
        if active and humans:
            raise SystemExit(f"{path.name}: {rule['name']}: active, and matches {humans} humans")
        found.append(
            {
                "detection": rule["name"],
                "id": rule["id"],
                "mode": "active" if active else "shadow",
                "score": rule["score"],
                "bots": int((match & ~human).sum()),
                "humans": humans,
            }
        )
    return found
