"""Trains XGBoost models and keeps what XGBoost itself makes of rows that try every border.

For each model target/parity/xgboost/NAME/ gets model.json and model.ubj, rows.npy (f32),
margins.npy (f64, output_margin), leaves.npy (i32, pred_leaf), all of the model loaded from
model.json, and exact.npy (f64): the margins as the sum of base_score's margin and the leaves in
f64, where XGBoost adds in f32.

XGBoost takes no infinite values in a DMatrix, and only a DMatrix gives leaves. There the largest
and lowest f32 stand for them, which go the same way at every threshold that is imported; the
margins must be those that inplace_predict, which takes them, gives for the rows themselves.

With --fixtures the small models in tools/import/tests/data are made anew too.
"""

import json
import os
import sys

# Before the library is loaded, for the reason that make_lightgbm.py names.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import xgboost as xgb

from common import F32, FIXTURES, ROOT, border_rows, categorised, fresh, keep, keep_fixture, mixed

COMMON = {"objective": "binary:logistic", "nthread": 1, "seed": 7, "eta": 0.1, "verbosity": 1}


def data(rng, rows, columns, nans):
    """Rows of several distributions, with many zeros."""
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    x[:, 1::4] = np.floor(np.abs(x[:, 1::4]) * 4)
    x[:, 2::4] = np.where(rng.random(x[:, 2::4].shape) < 0.5, 0, x[:, 2::4])
    x[:, 3::4] = np.exp(3 * x[:, 3::4]).astype(np.float32)
    weight = rng.normal(size=columns) / np.sqrt(columns)
    signal = np.tanh(x) @ weight + 0.5 * np.tanh(x[:, 0]) * np.tanh(x[:, -1])
    signal = signal + 0.2 * rng.normal(size=rows)
    if nans:
        x[rng.random(x.shape) < 0.1] = np.nan
    return x, signal


def trained(rng, trees, rows=6_000, columns=12, nans=False, scale=1.0, names=None, **params):
    """A model and its training rows."""
    x, signal = data(rng, rows, columns, nans)
    with np.errstate(under="ignore"):
        x *= np.float32(scale)
    y = (signal > np.median(signal) + 0.3).astype(int)
    if params.get("objective", "").startswith("reg:"):
        y = signal
    if params.get("objective") == "count:poisson":
        y = np.floor(np.exp(signal))
    names = [f"feature {i}" for i in range(columns)] if names else None
    return xgb.train(COMMON | params, xgb.DMatrix(x, y, feature_names=names), trees), x


def with_categories(rng, trees, counts=(6, 50, 200), nans=True, rows=5_000, frame=False, **params):
    """A model with categorical columns before numerical ones, and its training rows."""
    x, signal = data(rng, rows, 7, False)
    effect = categorised(x, rng, counts)
    y = (signal + 2 * effect > 0).astype(int)
    params = COMMON | {"max_cat_to_onehot": 1} | params
    kinds = ["c"] * len(counts) + ["q"] * (7 - len(counts))
    if frame:
        import pandas as pd

        columns = {f"f{i}": x[:, i] for i in range(7)}
        for i, count in enumerate(counts):
            codes = x[:, i].astype(np.int64)
            columns[f"f{i}"] = pd.Categorical(codes, categories=range(count))
        d = xgb.DMatrix(pd.DataFrame(columns), y, enable_categorical=True)
        return xgb.train(params, d, trees), x
    if nans:
        x[rng.random(x.shape) < 0.05] = np.nan
    d = xgb.DMatrix(x, y, feature_types=kinds, enable_categorical=True)
    return xgb.train(params, d, trees), x


def pruned(model, x):
    """The model without its lesser splits: their nodes stay, as leaves that have categories. The
    updaters that make categorical splits prune none by themselves."""
    d = xgb.DMatrix(x, np.zeros(len(x)), feature_types=model.feature_types, enable_categorical=True)
    params = {"process_type": "update", "updater": "prune", "gamma": 8.0}
    return xgb.train(COMMON | params, d, model.num_boosted_rounds(), xgb_model=model), x


def old_form(model, x, base_score):
    """The model as a version before 3.1 writes it: one number as base_score, and no container."""
    text = as_json(model)
    text["version"] = [2, 1, 4]
    text["learner"]["learner_model_param"]["base_score"] = base_score
    del forest(text)["cats"]
    return OldForm(text), x


class OldForm:
    """A model whose file must be kept as it is: XGBoost would write it in its own form."""

    def __init__(self, text):
        self.text = text

    def save_model(self, path):
        if path.suffix == ".json":
            path.write_text(json.dumps(self.text))
        else:
            xgb.Booster(model_file=bytearray(json.dumps(self.text).encode())).save_model(path)


def models(rng):
    """Yields name, model and training rows."""
    yield "depth6", *trained(rng, 100)
    yield "depth6-nan-named", *trained(rng, 100, nans=True, names=True)
    yield "exact-pruned", *trained(
        rng, 40, rows=2_000, nans=True, tree_method="exact", max_depth=8, gamma=1.0
    )
    yield "approx", *trained(rng, 40, nans=True, tree_method="approx")
    yield "lossguide-255", *trained(
        rng, 40, nans=True, grow_policy="lossguide", max_depth=0, max_leaves=255, max_bin=128
    )
    yield "depth12", *trained(rng, 30, nans=True, max_depth=12, min_child_weight=0.01)
    yield "dart", *trained(
        rng, 60, nans=True, booster="dart", rate_drop=0.3, one_drop=True, normalize_type="forest"
    )
    yield "base-score-given", *trained(rng, 40, nans=True, base_score=0.03)
    yield "regression", *trained(rng, 80, nans=True, objective="reg:squarederror")
    yield "poisson", *trained(rng, 40, nans=True, objective="count:poisson")
    yield "logitraw", *trained(rng, 40, nans=True, objective="binary:logitraw")
    yield "stumps", *trained(rng, 60, nans=True, max_depth=1)
    yield "single-leaves", *trained(rng, 5, gamma=1e9)
    yield "forest", *trained(
        rng, 10, nans=True, num_parallel_tree=6, subsample=0.6, colsample_bynode=0.5
    )
    # Thresholds are denormal f32 values here.
    yield "denormal", *trained(rng, 60, nans=True, scale=1e-40, tree_method="exact", rows=1_000)
    yield "base-score-least", *trained(rng, 20, base_score=1e-6, min_child_weight=0, eta=0.01)
    yield "base-score-most", *trained(rng, 20, base_score=0.999998, min_child_weight=0, eta=0.01)
    yield "base-score-zero", *trained(rng, 20, objective="reg:squarederror", base_score=0.0)
    yield "base-score-tiny", *trained(rng, 20, objective="reg:squarederror", base_score=-1e-38)
    yield "old-form-scalar", *old_form(*trained(rng, 20, nans=True), "3.25E-1")
    yield "old-form-plain", *old_form(*trained(rng, 20, nans=True), "0.75")
    yield "categories", *with_categories(rng, 60)
    yield "categories-one-hot", *with_categories(rng, 60, max_cat_to_onehot=1_000)
    yield "categories-pruned", *pruned(*with_categories(rng, 30, max_depth=7))
    yield "categories-dart", *with_categories(
        rng, 30, booster="dart", rate_drop=0.3, one_drop=True
    )
    yield "categories-approx", *with_categories(rng, 30, tree_method="approx", max_cat_threshold=4)
    yield "categories-lossguide", *with_categories(
        rng, 20, grow_policy="lossguide", max_depth=0, max_leaves=64, nans=False
    )
    yield "categories-frame", *with_categories(rng, 20, counts=(6, 50), frame=True)
    yield "categories-old-form", *old_form(*with_categories(rng, 20), "5E-1")
    yield "edited", *edited(*trained(rng, 30, nans=True), rng)
    # With missing values in training too, the features would need two lanes each, of 256 in all.
    # With larger steps the f32 sums of so many trees are more than 1e-5 from the real ones.
    yield "wide-200x500", *trained(
        rng, 500, rows=8_000, columns=200, max_bin=64, eta=0.03
    )


def refused(rng):
    """Yields name and model of what is refused by name."""
    x, signal = data(rng, 500, 4, False)
    y = (signal > 0).astype(int)
    d = xgb.DMatrix(x, y)
    few = COMMON | {"max_depth": 2}
    yield "refused-linear", xgb.train(COMMON | {"booster": "gblinear"}, d, 2)
    classes = xgb.DMatrix(x, np.arange(500) % 3)
    several = {"objective": "multi:softprob", "num_class": 3}
    yield "refused-classes", xgb.train(few | several, classes, 2)
    both = xgb.DMatrix(x, np.stack([signal, -signal], axis=1))
    targets = few | {"objective": "reg:squarederror"}
    yield "refused-targets", xgb.train(targets, both, 2)
    vectors = {"multi_strategy": "multi_output_tree"}
    yield "refused-vectors", xgb.train(targets | vectors, both, 2)
    import pandas as pd

    for name, categories in [("strings", ["a", "b", "c"]), ("recoded", [3, 5, 9])]:
        codes = rng.integers(0, 3, len(x))
        frame = pd.DataFrame({"c": pd.Categorical.from_codes(codes, categories), "x": x[:, 0]})
        kinds = xgb.DMatrix(frame, codes == 1, enable_categorical=True)
        yield f"refused-{name}", xgb.train(few, kinds, 2)


def as_json(model):
    return json.loads(model.save_raw("json"))


def forest(text):
    """The part of a model's JSON that holds the trees."""
    booster = text["learner"]["gradient_booster"]
    return booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]


def edited(model, x, rng):
    """The model with the thresholds that need the most care in place of some others."""
    special = [0.0, -0.0, F32.smallest_subnormal, -F32.smallest_subnormal, F32.smallest_normal]
    special += [F32.max, np.nextafter(F32.min, np.float32(0)), 1e-35, -1e-35]
    text = as_json(model)
    for tree in forest(text)["trees"]:
        for node, left in enumerate(tree["left_children"]):
            if left != -1 and rng.random() < 0.3:
                tree["split_conditions"][node] = float(np.float32(rng.choice(special)))
    return xgb.Booster(model_file=bytearray(json.dumps(text).encode())), x


def borders_of(text):
    """The thresholds by column, of the nodes that can be reached, and the categories."""
    borders, categories = {}, {}
    for tree in forest(text)["trees"]:
        lists = [tree.get(f"categories_{key}", []) for key in ("nodes", "segments", "sizes")]
        sets = {node: tree["categories"][at : at + size] for node, at, size in zip(*lists)}
        kinds = tree.get("split_type", [0] * len(tree["left_children"]))
        waiting = [0]
        while waiting:
            node = waiting.pop()
            if tree["left_children"][node] != -1:
                column = tree["split_indices"][node]
                if kinds[node] == 1:
                    categories.setdefault(column, set()).update(sets[node])
                else:
                    threshold = np.float32(tree["split_conditions"][node])
                    borders.setdefault(column, set()).add(threshold)
                waiting += [tree["left_children"][node], tree["right_children"][node]]
    ordered = lambda lists: {column: sorted(values) for column, values in lists.items()}
    return ordered(borders), ordered(categories)


def bias_of(text):
    """The margin of base_score."""
    score = np.float32(text["learner"]["learner_model_param"]["base_score"].strip("[]"))
    objective = text["learner"]["objective"]["name"]
    if objective == "binary:logistic":
        return -np.log(np.float32(1) / score - np.float32(1))
    return np.log(score) if objective == "count:poisson" else score


def results(model, text, rows):
    """Margins, leaves, and margins added up in f64."""
    kinds = {"feature_names": model.feature_names, "feature_types": model.feature_types}
    clean = np.clip(rows, F32.min, F32.max)
    d = xgb.DMatrix(clean, nthread=1, enable_categorical=True, **kinds)
    margins = model.predict(d, output_margin=True)
    infinite = model.inplace_predict(rows, predict_type="margin", validate_features=False)
    # In a dart model inplace_predict adds up in another order.
    tolerance = 1e-5 if "weight_drop" in text["learner"]["gradient_booster"] else 0
    assert np.abs(margins - infinite).max() <= tolerance, "infinite values go another way"
    leaves = model.predict(d, pred_leaf=True).reshape(len(rows), -1).astype(np.int32)
    exact = np.full(len(rows), np.float64(bias_of(text)))
    trees = forest(text)["trees"]
    weights = text["learner"]["gradient_booster"].get("weight_drop", [1.0] * len(trees))
    for tree, weight, leaf in zip(trees, weights, leaves.T, strict=True):
        values = np.array(tree["split_conditions"], dtype=np.float32) * np.float32(weight)
        exact += values.astype(np.float64)[leaf]
    return margins, leaves, exact


def make(name, model, x, root, rng, ordinary=1_500):
    folder = fresh(root / name)
    path = folder / "model.json"
    model.save_model(path)
    model.save_model(folder / "model.ubj")
    loaded = xgb.Booster(model_file=path)
    text = json.loads(path.read_text())
    borders, categories = borders_of(text)
    assert bool(categories) == name.startswith("categories"), name
    special = border_rows(borders, x.shape[1], rng, categories)
    sample = x[rng.integers(0, len(x), size=ordinary)]
    rows = np.ascontiguousarray(np.concatenate([sample, special, mixed(sample, special, rng)]))
    margins, leaves, exact = results(loaded, text, rows)
    np.save(folder / "exact.npy", exact)
    keep(folder, rows, margins, leaves)
    deleted = sum(int(tree["tree_param"]["num_deleted"]) for tree in forest(text)["trees"])
    weights = set(text["learner"]["gradient_booster"].get("weight_drop", []))
    assert deleted > 0 or "pruned" not in name, "nothing was pruned"
    assert len(weights) > 1 or "dart" not in name, "nothing was dropped"
    error = np.abs(margins - exact).max()
    print(f"{name}: {leaves.shape[1]} trees, {len(rows)} rows, f32 sums off by {error:.1e}")


def by_hand(version, base_score, booleans):
    """Two trees, the second with two pruned nodes in its lists."""
    flag = bool if booleans else int

    def tree(index, lefts, rights, features, conditions, defaults, deleted):
        count = len(lefts)
        built = {
            "base_weights": [9.0] * count,
            "default_left": [flag(value) for value in defaults],
            "id": index,
            "left_children": lefts,
            "loss_changes": [0.0] * count,
            # Pruned nodes keep a parent: XGBoost looks at it, and crashes where there is none.
            "parents": [2147483647] + [0] * (count - 1),
            "right_children": rights,
            "split_conditions": conditions,
            "split_indices": features,
            "sum_hessian": [1.0] * count,
            "tree_param": {
                "num_deleted": str(deleted),
                "num_feature": "3",
                "num_nodes": str(count),
                "size_leaf_vector": "0" if booleans else "1",
            },
        }
        for at, pair in enumerate(zip(lefts, rights)):
            for child in pair:
                if child != -1:
                    built["parents"][child] = at
        empty = ["categories", "categories_nodes", "categories_segments", "categories_sizes"]
        if not booleans:
            built |= {key: [] for key in empty} | {"split_type": [0] * count}
        return built

    first = tree(
        0, [1, 3, -1, -1, -1], [2, 4, -1, -1, -1], [0, 1, 0, 0, 0],
        [0.0, 1.5, 0.25, -0.5, 0.125], [1, 0, 0, 0, 0], 0,
    )  # fmt: skip
    second = tree(
        1, [3, -1, -1, -1, -1], [4, -1, -1, -1, -1], [2, 2147483647, 2147483647, 0, 0],
        [-0.1, 7.0, 8.0, 0.3, -0.7], [0, 1, 1, 0, 0], 2,
    )  # fmt: skip
    learner = {
        "attributes": {"best_iteration": "0", "best_score": "0.5"},
        "gradient_booster": {
            "model": {
                "gbtree_model_param": {"num_trees": "2", "size_leaf_vector": "0"},
                "tree_info": [0, 0],
                "trees": [first, second],
            },
            "name": "gbtree",
        },
        "learner_model_param": {"base_score": base_score, "num_class": "0", "num_feature": "3"},
        "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    if not booleans:
        learner |= {"feature_names": ["asn age", "paths", "ratio"], "feature_types": ["q"] * 3}
    return {"learner": learner, "version": version}


def fixture(name, text, x, rng):
    """What XGBoost makes of a small model, for the tests that need no Python."""
    path = FIXTURES / f"{name}.json"
    model = xgb.Booster(model_file=path)
    borders, categories = borders_of(text)
    special = border_rows(borders, x.shape[1], rng, categories)
    rows = np.ascontiguousarray(np.concatenate([special, mixed(x[:40], special, rng)]))
    margins, leaves, _ = results(model, text, rows)
    keep_fixture(name, rows, margins.astype(np.float64), leaves)


def fixtures(rng):
    small = {"max_depth": 3, "max_bin": 8, "rows": 800, "columns": 4, "nans": True}
    model, x = trained(rng, 3, booster="dart", rate_drop=0.5, one_drop=True, **small)
    model.save_model(FIXTURES / "xgboost.json")
    model.save_model(FIXTURES / "xgboost.ubj")
    fixture("xgboost", as_json(model), x, rng)
    for name, by in [
        ("xgboost-3.1", by_hand([3, 1, 0], "[4.995E-1]", False)),
        ("xgboost-1.0", by_hand([1, 0, 0], "2.5E-1", True)),
    ]:
        (FIXTURES / f"{name}.json").write_text(json.dumps(by, indent=1) + "\n")
        fixture(name, by, x[:, :3], rng)


def category_fixture(rng):
    model, x = with_categories(rng, 3, counts=(5, 40), rows=800, max_depth=3, max_bin=8)
    model.save_model(FIXTURES / "xgboost-categories.json")
    model.save_model(FIXTURES / "xgboost-categories.ubj")
    fixture("xgboost-categories", as_json(model), x, rng)


def main():
    root = ROOT / "target" / "parity" / "xgboost"
    rng = np.random.default_rng(20_240_603)
    for name, model in refused(rng):
        folder = fresh(root / name)
        model.save_model(folder / "model.json")
        model.save_model(folder / "model.ubj")
        # Nothing to compare with: its presence says that the folder is complete.
        keep(folder, *[np.zeros((1, 1), dtype=np.float32)] * 3)
    for name, model, x in models(rng):
        make(name, model, x, root, rng)
    if "--fixtures" in sys.argv[1:]:
        fixtures(np.random.default_rng(1))
        category_fixture(np.random.default_rng(2))


if __name__ == "__main__":
    main()
