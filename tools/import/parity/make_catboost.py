"""Trains CatBoost models and keeps what CatBoost itself makes of rows that try every border.

For each model target/parity/catboost/NAME/ gets model.json, rows.npy (f32), margins.npy (f64,
RawFormulaVal) and leaves.npy (i32, calc_leaf_indexes). All results are of the model loaded from
model.json, the file that the importer reads: for a non-symmetric tree the process that trained it
numbers the leaves in another order. Its margins must be the same, and that is checked here.

With --fixtures the small models in tools/import/tests/data are made anew too.
"""

import json
import sys

import numpy as np
from catboost import CatBoost, CatBoostClassifier, CatBoostRegressor, sum_models

from common import FIXTURES, ROOT, border_rows, fresh, keep, keep_fixture, mixed

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


def make(name, model, x, root, rng, ordinary=1_500):
    folder = fresh(root / name)
    path = folder / "model.json"
    model.save_model(str(path), format="json")
    loaded = CatBoost()
    loaded.load_model(str(path), format="json")
    text = json.loads(path.read_text())
    features = text["features_info"]["float_features"]
    borders = {f["flat_feature_index"]: f["borders"] or [] for f in features}
    columns = x.shape[1]
    special = border_rows(borders, columns, rng)
    sample = x[rng.integers(0, len(x), size=ordinary)]
    rows = np.concatenate([sample, special, mixed(sample, special, rng)])
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    margins, leaves = expected(model, loaded, rows)
    keep(folder, rows, margins, leaves)
    trees = leaves.shape[1]
    print(f"{name}: {trees} trees, {sum(map(len, borders.values()))} borders, {len(rows)} rows")


def fixture(name, rng, **params):
    """A small model for the tests that need no Python."""
    model, x = trained(rng, rows=800, columns=4, nans=True, iterations=4, border_count=6, **params)
    model.set_scale_and_bias(0.5, 0.125)
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
    loaded = CatBoost()
    loaded.load_model(str(path), format="json")
    features = text["features_info"]["float_features"]
    borders = {f["flat_feature_index"]: f["borders"] for f in features}
    special = border_rows(borders, 4, rng)
    rows = np.ascontiguousarray(np.concatenate([special, mixed(x[:40], special, rng)]))
    keep_fixture(name, rows, *expected(model, loaded, rows))


def main():
    root = ROOT / "target" / "parity" / "catboost"
    work = fresh(ROOT / "target" / "parity" / "work")
    rng = np.random.default_rng(20_240_601)
    for name, model, x in models(rng, work):
        make(name, model, x, root, rng)
    if "--fixtures" in sys.argv[1:]:
        rng = np.random.default_rng(1)
        fixture("catboost-oblivious", rng, depth=3, nan_mode="Max")
        fixture("catboost-nonsymmetric", rng, depth=4, grow_policy="Lossguide", max_leaves=7)


if __name__ == "__main__":
    main()
