"""How well models tell bots from humans, on sources and tools that they did not see in training."""

import re
import tomllib

import numpy as np
from sklearn.metrics import roc_auc_score

from dataset import FOLDS, REAL, agent_of, fold, is_human, tool
from models import Model, obvious_rows, pattern_says_human

# What is known of a request, and what the model card calls it.
SLICES = {"full": "complete requests", "log": "log lines", "ua": "User-Agent only"}

BROWSERS = (
    ("Edge", re.compile(r"Edg(A|iOS)?/")),
    ("Opera", re.compile(r"OPR/")),
    ("Samsung Internet", re.compile(r"SamsungBrowser/")),
    ("Firefox", re.compile(r"(Firefox|FxiOS)/")),
    ("Chrome", re.compile(r"(Chrome|CriOS|Chromium)/")),
    ("Safari", re.compile(r"Safari/")),
)


def out_of_fold(library, names, rows, requests):
    """Each request's margin from a model that saw neither its source nor its tool."""
    folds = np.array([fold(r) for r in requests])
    margins = np.full(len(requests), np.nan)
    for number in range(FOLDS):
        held = folds == number
        kept = [r for r, h in zip(requests, held) if not h]
        model = Model(library, names).fit(rows[~held], kept)
        margins[held] = model.margins(rows[held])
    return margins


def left_out(library, names, rows, requests, sources):
    """Margins of all requests of some sources, from a model that saw none of them."""
    held = np.array([r["source"] in sources for r in requests])
    kept = [r for r, h in zip(requests, held) if not h]
    return held, Model(library, names).fit(rows[~held], kept).margins(rows[held])


def threshold(margins, share):
    """The margin below which a share of these requests lies."""
    return np.quantile(margins, share, method="lower")


def caught(margins, human, real):
    """AUC, and the share of bots caught at the thresholds that cost 1 % and 0.1 % of the real
    browsers' requests."""
    result = {"humans": int(human.sum()), "bots": int((~human).sum())}
    result["auc"] = float(roc_auc_score(human, margins))
    for name, share in (("at_1_percent", 0.01), ("at_0.1_percent", 0.001)):
        result[name] = float((margins[~human] < threshold(margins[human & real], share)).mean())
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


def lines(requests, ours, plain):
    """One line a slice, with and without the hard requests: ours, the baseline, the pattern."""
    human = is_human(requests)
    real = np.array([r["basis"] in REAL for r in requests])
    hard = np.array([bool(r["hard"]) for r in requests])
    kinds = np.array([r["slice"] for r in requests])
    found = []
    for kind, title in SLICES.items():
        for what, chosen in ((title, kinds == kind), (f"{title}, not hard", (kinds == kind) & ~hard)):
            some = [r for r, c in zip(requests, chosen) if c]
            sides = human[chosen], real[chosen]
            found.append(
                {
                    "what": what,
                    "ours": rounded(caught(ours[chosen], *sides)),
                    "baseline": rounded(caught(plain[chosen], *sides)),
                    "pattern": rounded(pattern(some)),
                }
            )
    return found


def browser(request):
    agent = agent_of(request)
    return next((name for name, pattern in BROWSERS if pattern.search(agent)), "another")


def by_source(requests, margins, scores):
    """Humans by source and browser, as they come: how many fall below the thresholds that cost 1 %
    and 0.1 % of all real browsers, and the median score."""
    human = is_human(requests)
    real = np.array([r["basis"] in REAL for r in requests])
    found = []
    own = np.array([not r.get("narrowed") for r in requests])
    limits = {}
    for kind in SLICES:
        of_kind = np.array([r["slice"] == kind for r in requests])
        limits[kind] = [threshold(margins[human & real & of_kind], s) for s in (0.01, 0.001)]
    keys = [(r["source"], browser(r), r["slice"]) for r in requests]
    for source, name, kind in sorted({k for k, h, o in zip(keys, human, own) if h and o}):
        chosen = human & own & np.array([k == (source, name, kind) for k in keys])
        lost = [float((margins[chosen] < limit).mean()) for limit in limits[kind]]
        found.append(
            {
                "source": source,
                "browser": name,
                "known": SLICES[kind],
                "requests": int(chosen.sum()),
                "lost_at_1_percent": round(lost[0], 4),
                "lost_at_0.1_percent": round(lost[1], 4),
                "median_score": int(np.median(scores[chosen])),
            }
        )
    return found


def by_tool(requests, margins, scores):
    """Bots by tool, complete requests: the share caught at the thresholds above."""
    human, full = is_human(requests), np.array([bool(r["complete"]) for r in requests])
    real = np.array([r["basis"] in REAL for r in requests])
    limits = [threshold(margins[human & real & full], share) for share in (0.01, 0.001)]
    tools = np.array([tool(r) for r in requests])
    hard = np.array([bool(r["hard"]) for r in requests])
    found = []
    for name in sorted(set(tools[full & ~human])):
        chosen = full & ~human & (tools == name)
        shares = [float((margins[chosen] < limit).mean()) for limit in limits]
        found.append(
            {
                "tool": str(name),
                "requests": int(chosen.sum()),
                "hard": round(float(hard[chosen].mean()), 2),
                "caught_at_1_percent": round(shares[0], 4),
                "caught_at_0.1_percent": round(shares[1], 4),
                "median_score": int(np.median(scores[chosen])),
            }
        )
    return sorted(found, key=lambda line: (line["caught_at_1_percent"], line["tool"]))


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
