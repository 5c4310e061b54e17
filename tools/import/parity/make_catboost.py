"""Trains CatBoost models and keeps what CatBoost itself makes of rows that try every border.

For each model target/parity/catboost/NAME/ gets model.json, rows.npy (f32), margins.npy (f64,
RawFormulaVal) and leaves.npy (i32, calc_leaf_indexes). All results are of the model loaded from
model.json, the file that the importer reads: for a non-symmetric tree the process that trained it
numbers the leaves in another order. Its margins must be the same, and that is checked here.

CatBoost takes categories as integers or strings only, so each value of a categorical column is
given as the integer that it is, and as the string of its digits where it is none (a fraction, an
infinite or missing value): a category that training never saw.

With --fixtures the small models in tools/import/tests/data are made anew too.
"""

import json
import sys

import numpy as np
from catboost import CatBoost, CatBoostClassifier, CatBoostRegressor, Pool, sum_models

from common import FIXTURES, ROOT, border_rows, categorised, fresh, keep, keep_fixture, mixed

COMMON = {
    "verbose": 0,
    "thread_count": 2,
    "random_seed": 7,
    "allow_writing_files": False,
    "learning_rate": 0.1,
}


def data(rng, rows, columns, nans):
    """Rows of several distributions (as requests have them: counts, flags, durations, ratios)."""
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    x[:, 1::4] = np.floor(np.abs(x[:, 1::4]) * 4)
    x[:, 2::4] = (x[:, 2::4] > 0.5).astype(np.float32)
    x[:, 3::4] = np.exp(3 * x[:, 3::4]).astype(np.float32)
    weight = rng.normal(size=columns) / np.sqrt(columns)
    signal = np.tanh(x) @ weight + 0.5 * np.tanh(x[:, 0]) * np.tanh(x[:, -1])
    signal = signal + 0.2 * rng.normal(size=rows)
    if nans:
        x[rng.random(x.shape) < 0.1] = np.nan
    return x, signal


def trained(
    rng, rows=6_000, columns=12, nans=False, regression=False, scale=1.0, names=False, **params
):
    """A model and its training rows."""
    x, signal = data(rng, rows, columns, nans)
    with np.errstate(under="ignore"):
        x *= np.float32(scale)
    kind = CatBoostRegressor if regression else CatBoostClassifier
    y = signal if regression else (signal > np.median(signal)).astype(int)
    model = kind(**COMMON, **params)
    if names:
        import pandas as pd

        x_named = pd.DataFrame(x, columns=[f"feature {i}" for i in range(columns)])
        model.fit(x_named, y)
    else:
        model.fit(x, y)
    return model, x


class Categorical:
    """A model of categorical columns before numerical ones, which takes rows as others do."""

    def __init__(self, model, columns, pool=None):
        self.model, self.columns, self.training = model, columns, pool

    def pool(self, rows, y=None):
        import pandas as pd

        columns = {i: rows[:, i] for i in range(rows.shape[1])}
        for column in range(self.columns):
            values = [category(value) for value in rows[:, column]]
            columns[column] = pd.Series(values, dtype=object)
        return Pool(pd.DataFrame(columns), y, cat_features=list(range(self.columns)))

    def predict(self, rows, **how):
        return self.model.predict(self.pool(rows), **how)

    def calc_leaf_indexes(self, rows, **how):
        return self.model.calc_leaf_indexes(self.pool(rows), **how)

    def save_model(self, path, **how):
        self.model.save_model(path, pool=self.training, **how)

    def load_model(self, path, **how):
        self.model.load_model(path, **how)


def category(value):
    """A value as CatBoost takes it, which has no integers of more than 64 bits."""
    whole = np.isfinite(value) and value == np.floor(value)
    return int(value) if whole and abs(value) < 2**62 else str(value)


def with_categories(rng, counts=(4, 30, 100), ids=None, rows=5_000, columns=7, **params):
    """A model with one-hot splits, and its training rows."""
    x, signal = data(rng, rows, columns, True)
    effect = categorised(x, rng, counts, ids)
    y = (signal + 2 * effect > 0).astype(int)
    model = Categorical(CatBoostClassifier(**COMMON, one_hot_max_size=255, **params), len(counts))
    model.training = model.pool(x, y)
    model.model.fit(model.training)
    return model, x


def refused(rng):
    """Yields name, model and rows of what is refused by name."""
    x = np.column_stack([rng.integers(0, 3, 800), rng.normal(size=800)]).astype(np.float32)
    y = ((x[:, 0] == 1) ^ (x[:, 1] > 0)).astype(int)
    few = {"depth": 2, "iterations": 4}
    import pandas as pd

    for name, one_hot, encode, keep_pool in [
        ("refused-strings", 255, lambda value: "abc"[int(value)], True),
        ("refused-unnamed", 255, lambda value: int(value), False),
        ("refused-counters", 1, lambda value: int(value), True),
    ]:
        frame = pd.DataFrame({"a": [encode(value) for value in x[:, 0]], "b": x[:, 1]})
        pool = Pool(frame, y, cat_features=[0])
        model = CatBoostClassifier(**COMMON, **few, one_hot_max_size=one_hot)
        model.fit(pool)
        yield name, Categorical(model, 1, pool if keep_pool else None)


def with_constant_tree(model, path):
    """Puts a tree of depth 0 between the others: CatBoost trains none on this data."""
    model.save_model(str(path), format="json")
    text = json.loads(path.read_text())
    tree = {"leaf_values": [0.25], "leaf_weights": [1], "splits": []}
    text["oblivious_trees"].insert(1, tree)
    path.write_text(json.dumps(text))
    edited = CatBoost()
    edited.load_model(str(path), format="json")
    return edited


def models(rng, folder):
    """Yields name, model and training rows."""
    yield "depth1", *trained(rng, depth=1, iterations=60)
    yield "depth4-nan-min-named", *trained(
        rng, nans=True, nan_mode="Min", depth=4, iterations=100, names=True
    )
    yield "depth6-nan-max", *trained(rng, nans=True, nan_mode="Max", depth=6, iterations=100)
    yield "depth8-forbidden", *trained(rng, nan_mode="Forbidden", depth=8, iterations=60)
    yield "depthwise-nan-max", *trained(
        rng, nans=True, nan_mode="Max", depth=6, iterations=80, grow_policy="Depthwise"
    )
    yield "lossguide-nan-min-named", *trained(
        rng, nans=True, depth=16, max_leaves=64, iterations=80, grow_policy="Lossguide", names=True
    )
    yield "wide-200x1000", *trained(
        rng, rows=8_000, columns=200, nans=True, depth=6, iterations=1_000, border_count=64
    )
    yield "regression-bias", *trained(rng, regression=True, depth=5, iterations=80, nans=True)
    yield "many-borders", *trained(
        rng, rows=20_000, columns=4, depth=6, iterations=800, border_count=1_000, nans=True
    )
    # Borders are denormal f32 values here.
    yield "denormal-borders", *trained(rng, depth=4, iterations=60, scale=1e-40)

    yield "one-hot", *with_categories(rng, counts=(3, 40, 200), columns=3, depth=5, iterations=80)
    yield "one-hot-mixed", *with_categories(rng, depth=6, iterations=80, nan_mode="Max")
    yield "one-hot-lossguide", *with_categories(
        rng, depth=8, iterations=50, grow_policy="Lossguide", max_leaves=48
    )
    yield "one-hot-depth1", *with_categories(rng, counts=(20,), depth=1, iterations=60)
    # Negative categories, and the greatest that f32 can tell apart.
    ends = [-(2**24), 2**24, -(2**24) + 1, 2**24 - 1, 0, -1, 1234567, -12345678, 99, 100, 1000]
    far = lambda count, rng: np.resize(ends, count)
    yield "one-hot-far", *with_categories(rng, counts=(11, 6), ids=far, depth=4, iterations=60)

    scaled, x = trained(rng, nans=True, depth=6, iterations=60)
    scaled.set_scale_and_bias(-1.75, 0.3125)
    yield "scale-and-bias", scaled, x
    tall, x = trained(
        rng, columns=9, depth=10, iterations=20, grow_policy="Lossguide", max_leaves=40
    )
    tall.set_scale_and_bias(0.1, -2.5)
    yield "lossguide-scale-and-bias", tall, x

    deep, x = trained(rng, nans=True, depth=7, iterations=20)
    flat = CatBoostClassifier(**COMMON, depth=2, iterations=20)
    flat.fit(x, np.arange(len(x)) % 2)
    yield "mixed-depths", sum_models([deep, flat], weights=[1.0, 0.5]), x
    constant, x = trained(rng, depth=3, iterations=5)
    yield "constant-tree", with_constant_tree(constant, folder / "constant.json"), x
    stump, x = trained(
        rng, rows=50, regression=True, iterations=3, grow_policy="Lossguide", min_data_in_leaf=60
    )
    yield "constant-lossguide", stump, x


def expected(model, loaded, rows):
    """Margins and leaves of the loaded model, after a look whether the trained one agrees."""
    margins = loaded.predict(rows, prediction_type="RawFormulaVal", thread_count=2)
    ours = model.predict(rows, prediction_type="RawFormulaVal", thread_count=2)
    assert np.abs(margins - ours).max() < 1e-9, "the file does not say what the trained model does"
    leaves = loaded.calc_leaf_indexes(rows, thread_count=2)
    return margins, leaves


def opened(model, x, path):
    """The model of a file, and its borders and categories by column."""
    hot = isinstance(model, Categorical)
    loaded = Categorical(CatBoost(), model.columns) if hot else CatBoost()
    loaded.load_model(str(path), format="json")
    features = json.loads(path.read_text())["features_info"].get("float_features") or []
    borders = {f["flat_feature_index"]: f["borders"] or [] for f in features}
    columns = range(model.columns) if hot else []
    categories = {column: sorted({int(value) for value in x[:, column]}) for column in columns}
    return loaded, borders, categories


def make(name, model, x, root, rng, ordinary=1_500):
    folder = fresh(root / name)
    path = folder / "model.json"
    model.save_model(str(path), format="json")
    loaded, borders, categories = opened(model, x, path)
    columns = x.shape[1]
    special = border_rows(borders, columns, rng, categories)
    sample = x[rng.integers(0, len(x), size=ordinary)]
    rows = np.concatenate([sample, special, mixed(sample, special, rng)])
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    margins, leaves = expected(model, loaded, rows)
    keep(folder, rows, margins, leaves)
    trees = leaves.shape[1]
    print(f"{name}: {trees} trees, {sum(map(len, borders.values()))} borders, {len(rows)} rows")


def fixture(name, model, x, rng):
    """A small model for the tests that need no Python."""
    path = FIXTURES / f"{name}.json"
    model.save_model(str(path), format="json")
    text = json.loads(path.read_text())
    info = text["model_info"]
    # Kept small, and the same every time.
    text["model_info"] = {
        "catboost_version_info": "Branch: tags/v1.2.10",
        "class_params": info["class_params"],
        "params": {
            "flat_params": info["params"]["flat_params"],
            "loss_function": info["params"]["loss_function"],
            "random_seed": info["params"]["random_seed"],
        },
    }
    path.write_text(json.dumps(text, indent=1) + "\n")
    loaded, borders, categories = opened(model, x, path)
    special = border_rows(borders, x.shape[1], rng, categories)
    rows = np.ascontiguousarray(np.concatenate([special, mixed(x[:40], special, rng)]))
    keep_fixture(name, rows, *expected(model, loaded, rows))


def fixtures():
    small = {"rows": 800, "iterations": 4, "border_count": 6}
    rng = np.random.default_rng(1)
    for name, params in [
        ("catboost-oblivious", {"depth": 3, "nan_mode": "Max"}),
        ("catboost-nonsymmetric", {"depth": 4, "grow_policy": "Lossguide", "max_leaves": 7}),
    ]:
        model, x = trained(rng, columns=4, nans=True, **small, **params)
        model.set_scale_and_bias(0.5, 0.125)
        fixture(name, model, x, rng)
    one_hot_fixture(small)


def one_hot_fixture(small):
    rng = np.random.default_rng(2)
    model, x = with_categories(rng, counts=(4, 9), columns=4, depth=3, **small)
    fixture("catboost-one-hot", model, x, rng)


def main():
    root = ROOT / "target" / "parity" / "catboost"
    work = fresh(ROOT / "target" / "parity" / "work")
    rng = np.random.default_rng(20_240_601)
    for name, model in refused(rng):
        folder = fresh(root / name)
        model.save_model(str(folder / "model.json"), format="json")
        # Nothing to compare with: its presence says that the folder is complete.
        keep(folder, *[np.zeros((1, 1), dtype=np.float32)] * 3)
    for name, model, x in models(rng, work):
        make(name, model, x, root, rng)
    if "--fixtures" in sys.argv[1:]:
        fixtures()


if __name__ == "__main__":
    main()
