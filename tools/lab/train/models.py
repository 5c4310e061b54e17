"""What is trained: one model a library, a plain baseline of obvious features, and an agent pattern."""

import re

import numpy as np

from dataset import agent_of, is_human, weights

SEED = 7

# Depth and regularisation by the laboratories left out (bots caught at 1 % of humans lost, complete
# requests): the project's own 56.2 % with depth 4 and 30, 49.9 % with depth 6 and 6; the other's
# 90.5 % and 87.3 %.
CATBOOST = {
    "iterations": 400,
    "depth": 4,
    "learning_rate": 0.06,
    "l2_leaf_reg": 30,
    "rsm": 0.6,
    "loss_function": "Logloss",
    "random_seed": SEED,
    "thread_count": 2,
    "verbose": 0,
    "allow_writing_files": False,
}
LIGHTGBM = {
    "n_estimators": 400,
    "num_leaves": 31,
    "learning_rate": 0.06,
    "reg_lambda": 6,
    "colsample_bytree": 0.6,
    "random_state": SEED,
    "n_jobs": 2,
    "verbose": -1,
}
XGBOOST = {
    "n_estimators": 400,
    "max_depth": 6,
    "learning_rate": 0.06,
    "reg_lambda": 6,
    "colsample_bytree": 0.6,
    "random_state": SEED,
    "n_jobs": 2,
    "tree_method": "hist",
}
PARAMETERS = {"catboost": CATBOOST, "lightgbm": LIGHTGBM, "xgboost": XGBOOST}

# What many sites use in place of a bot score.
AGENT_PATTERN = re.compile(
    r"bot|crawl|spider|curl|wget|python|http|java|go-|scrapy|headless|node|axios|libwww|ruby|php", re.I
)


class Model:
    """A boosted ensemble of one library; its margin is the log-odds of a human."""

    def __init__(self, library, names):
        self.library, self.names = library, names

    def fit(self, rows, requests):
        human, weight = is_human(requests).astype(int), weights(requests)
        if self.library == "catboost":
            import catboost

            self.pool = catboost.Pool(rows, human, weight=weight, feature_names=self.names)
            self.model = catboost.CatBoostClassifier(**CATBOOST).fit(self.pool)
        elif self.library == "lightgbm":
            import lightgbm

            self.model = lightgbm.LGBMClassifier(**LIGHTGBM)
            self.model.fit(rows, human, sample_weight=weight, feature_name=list(self.names))
        else:
            import xgboost

            self.model = xgboost.XGBClassifier(**XGBOOST)
            self.model.fit(rows, human, sample_weight=weight)
            self.model.get_booster().feature_names = list(self.names)
        return self

    def margins(self, rows):
        if self.library == "catboost":
            return self.model.predict(rows, prediction_type="RawFormulaVal")
        if self.library == "lightgbm":
            return self.model.booster_.predict(rows, raw_score=True)
        return self.model.predict(rows, output_margin=True, validate_features=False)

    def importance(self):
        """The features with their shares of the importance, as the library counts it."""
        values = np.array(self.model.feature_importances_, dtype=float)
        shares = values / max(values.sum(), 1e-12)
        return sorted(zip(self.names, shares.tolist()), key=lambda pair: -pair[1])

    def save(self, folder):
        """Writes the model as `hedgerow compile` reads it; returns the path."""
        if self.library == "catboost":
            path = folder / "model.json"
            self.model.save_model(str(path), format="json", pool=self.pool)
        elif self.library == "lightgbm":
            path = folder / "model.txt"
            self.model.booster_.save_model(str(path))
        else:
            path = folder / "model.json"
            self.model.save_model(str(path))
        return path


HEADERS = (
    "accept", "accept-language", "accept-encoding", "connection", "referer", "cookie", "origin",
    "upgrade-insecure-requests", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
    "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user", "cache-control",
    "pragma", "te", "priority", "content-type",
)
AGENT_WORDS = (
    "mozilla", "chrome", "firefox", "safari", "edg", "windows", "macintosh", "linux", "android",
    "iphone", "compatible", "bot", "http",
)


def obvious(request):
    """Some forty features that come to mind first: presence of headers, words of the agent,
    lengths. What a record does not know is missing here too."""
    agent, unknown = agent_of(request).lower(), np.nan
    present = {name.lower() for name, _ in request["headers"]}
    full = request["complete"]
    path = request.get("path")
    methods = {"GET": 0, "POST": 1, "HEAD": 2}
    return [
        *(float(name in present) if full else unknown for name in HEADERS),
        *(float(word in agent) for word in AGENT_WORDS),
        len(agent),
        sum(c.isdigit() for c in agent) / max(len(agent), 1),
        len(request["headers"]) if full else unknown,
        len(path) if path else unknown,
        float("?" in path) if path else unknown,
        path.count("/") if path else unknown,
        methods.get(request["method"], 3) if request["method"] else unknown,
        float(request["http"]) if request.get("http") in ("1.0", "1.1", "2", "3") else unknown,
    ]


def obvious_rows(requests):
    """The baseline's features: names and rows."""
    rows = np.array([obvious(r) for r in requests], dtype=np.float32)
    return [f"obvious_{at}" for at in range(rows.shape[1])], rows


def pattern_says_human(requests):
    """1 where the agent is there and no word of the pattern stands in it."""
    agents = [agent_of(r) for r in requests]
    return np.array([float(bool(a) and not AGENT_PATTERN.search(a)) for a in agents])
