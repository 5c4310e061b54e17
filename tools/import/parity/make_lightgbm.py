"""Trains LightGBM models and keeps what LightGBM itself makes of rows that try every border.

For each model target/parity/lightgbm/NAME/ gets model.txt, rows.npy (f32), margins.npy (f64,
raw_score) and leaves.npy (i32, pred_leaf), all of the model loaded from model.txt. Rows are given
as f32, as a host has them.

With --fixtures the small model in tools/import/tests/data is made anew too.
"""

import os
import sys

# Before the library is loaded. Two OpenMP threads that wait for each other while others compute
# took seven times as long as one (60 trees, 2 busy cores), and many times that under more load.
os.environ["OMP_NUM_THREADS"] = "1"

import lightgbm as lgb
import numpy as np

from common import F32, FIXTURES, ROOT, border_rows, categorised, fresh, keep, keep_fixture, mixed

COMMON = {
    "objective": "binary",
    "verbose": -1,
    "num_threads": 1,
    "seed": 7,
    "deterministic": True,
    "force_row_wise": True,
}


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


def trained(rng, trees, rows=6_000, columns=12, nans=False, scale=1.0, names="auto", **params):
    """A model and its training rows."""
    x, signal = data(rng, rows, columns, nans)
    x *= np.float32(scale)
    y = (signal > np.median(signal)).astype(int)
    if params.get("objective") == "regression":
        y = signal
    if names == "given":
        names = [f"feature_{i}" for i in range(columns)]
    return lgb.train(COMMON | params, lgb.Dataset(x, y, feature_name=names), trees), x


def with_categories(rng, trees, counts=(8, 70, 240), ids=None, nans=True, rows=6_000, **params):
    """A model with categorical columns before numerical ones, and its training rows. Some values
    of categories are missing, and some negative, which LightGBM takes as missing."""
    x, signal = data(rng, rows, 8, False)
    effect = categorised(x, rng, counts, ids)
    if nans:
        x[rng.random(x.shape) < 0.05] = np.nan
        x[rng.random(len(x)) < 0.02, 0] = -3
    y = (signal + 2 * effect > 0).astype(int)
    params = COMMON | {"min_data_per_group": 10, "cat_smooth": 2} | params
    columns = list(range(len(counts)))
    return lgb.train(params, lgb.Dataset(x, y, categorical_feature=columns), trees), x


def with_frame(rng, trees):
    """The same on a data frame in which each category is its own code, one column of two ordered:
    LightGBM makes categorical splits of the other alone."""
    import pandas as pd

    counts = (6, 40)
    x, signal = data(rng, 3_000, 6, False)
    effect = categorised(x, rng, counts)
    columns = {f"f{i}": x[:, i] for i in range(6)}
    for i, count in enumerate(counts):
        codes = x[:, i].astype(np.int64)
        columns[f"f{i}"] = pd.Categorical(codes, categories=range(count), ordered=i == 1)
    y = (signal + 2 * effect > 0).astype(int)
    return lgb.train(COMMON, lgb.Dataset(pd.DataFrame(columns), y), trees), x


def edited(model, x, rng):
    """The model with the thresholds and decision types that need the most care in place of some
    others: all missing types on both sides, for categories too, where they mean nothing."""
    tiny = float(np.float32(1e-35))
    special = [0.0, -0.0, 1e-35, -1e-35, tiny, -tiny, np.nextafter(tiny, 1), np.nextafter(-tiny, 0)]
    special += [1e-45, -1e-45, 1.1e-38, 1e-60, 1.0000000180025095e-35, 1e300, np.inf, 3.5e38]
    special += [float(F32.max), -3.4e38, 0.1, 16777217.0]
    lines = model.model_to_string().split("\n")
    for at, line in enumerate(lines):
        if line.startswith("threshold="):
            thresholds = line.removeprefix("threshold=").split(" ")
            line_of_types = at + 1
            assert lines[line_of_types].startswith("decision_type=")
            types = lines[line_of_types].removeprefix("decision_type=").split(" ")
            for split, kind in enumerate(types):
                if rng.random() < 0.4:
                    bits = int(rng.choice([0, 2, 4, 6, 8, 10]))
                    types[split] = str(bits | int(kind) & 1)
                    if int(kind) & 1 == 0:
                        thresholds[split] = repr(float(rng.choice(special)))
            lines[at] = "threshold=" + " ".join(thresholds)
            lines[line_of_types] = "decision_type=" + " ".join(types)
    # The trees have other sizes now: LightGBM does without the list of them, and writes it anew.
    text = "\n".join(line for line in lines if not line.startswith("tree_sizes="))
    return lgb.Booster(model_str=text), x


def models(rng):
    """Yields name, model and training rows. The missing type of a feature is: none without NaN in
    training or with use_missing=false, zero with zero_as_missing, NaN with NaN in training."""
    yield "none", *trained(rng, 100)
    yield "none-nan-unused", *trained(rng, 60, nans=True, use_missing=False)
    yield "zero-named", *trained(rng, 100, nans=True, zero_as_missing=True, names="given")
    yield "nan", *trained(rng, 100, nans=True)
    yield "stumps", *trained(rng, 60, nans=True, num_leaves=2)
    yield "deep-255", *trained(rng, 40, nans=True, num_leaves=255, min_data_in_leaf=3)
    yield "sigmoid-2", *trained(rng, 40, nans=True, sigmoid=2.0)
    yield "regression", *trained(rng, 80, nans=True, objective="regression")
    yield "forest", *trained(
        rng, 30, nans=True, boosting="rf", bagging_freq=1, bagging_fraction=0.6
    )
    yield "dart", *trained(rng, 60, nans=True, boosting="dart")
    yield "constant", *trained(rng, 3, rows=50, min_data_in_leaf=60)
    # Values and thresholds at, and around, the bound below which LightGBM takes them as zero.
    yield "tiny", *trained(rng, 60, scale=1e-35)
    yield "tiny-zero", *trained(rng, 60, nans=True, scale=1e-35, zero_as_missing=True)
    yield "500x31", *trained(rng, 500, columns=30, nans=True, rows=4_000)
    yield "edited", *edited(*trained(rng, 60, nans=True), rng)
    yield "categories", *with_categories(rng, 80)
    yield "categories-one-hot", *with_categories(rng, 60, max_cat_to_onehot=1_000)
    yield "categories-zero", *with_categories(rng, 40, zero_as_missing=True)
    yield "categories-none", *with_categories(rng, 40, use_missing=False, nans=False)
    yield "categories-dart", *with_categories(rng, 40, boosting="dart")
    # More categories than a table has room for: compared with the plain walk alone.
    yield "categories-beyond-capacity", *with_categories(rng, 20, counts=(600,))
    # Sets of one category and of nearly all, far from zero.
    far = lambda count, rng: np.sort(rng.choice(200_000, count, replace=False))
    yield "categories-far", *with_categories(
        rng, 20, counts=(5, 40), ids=far, max_cat_threshold=256
    )
    yield "categories-frame", *with_frame(np.random.default_rng(4), 20)
    yield "categories-edited", *edited(*with_categories(rng, 40, num_leaves=63), rng)
    # Each feature's missing values go left here and right there: 256 lanes, the capacity.
    yield "wide-128x1000", *trained(rng, 1_000, rows=8_000, columns=128, nans=True, max_bin=63)


def refused(rng):
    """Yields name and model of what is refused by name: data frames whose categories are other
    than their own codes, one of them ordered, which LightGBM splits like a number."""
    import pandas as pd

    x, signal = data(rng, 500, 4, False)
    codes = rng.integers(0, 3, len(x))
    for name, categories, ordered in [
        ("strings", ["a", "b", "c"], False),
        ("recoded", [3, 5, 9], False),
        ("ordered", [3, 5, 9], True),
    ]:
        column = pd.Categorical.from_codes(codes, categories, ordered=ordered)
        frame = pd.DataFrame({"c": column, "x": x[:, 0]})
        y = (signal + codes > 1).astype(int)
        yield f"refused-{name}", lgb.train(COMMON, lgb.Dataset(frame, y), 2)


def borders_of(model):
    """The f32 values next to every threshold, by column, and the categories of every set."""
    borders, categories = {}, {}

    def walk(node):
        if "threshold" in node:
            column = node["split_feature"]
            if node["decision_type"] == "==":
                numbers = map(int, node["threshold"].split("||"))
                categories.setdefault(column, set()).update(numbers)
            else:
                with np.errstate(over="ignore", under="ignore"):
                    border = np.float32(node["threshold"])
                borders.setdefault(column, set()).add(border)
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in model.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    ordered = lambda lists: {column: sorted(values) for column, values in lists.items()}
    return ordered(borders), ordered(categories)


def results(model, rows):
    """Margins and leaves. The raw score of a random forest is the sum of its trees; what LightGBM
    turns into a probability is their average, so that is the margin."""
    margins = model.predict(rows, raw_score=True, num_threads=1)
    if "\naverage_output\n" in model.model_to_string(num_iteration=1):
        margins = margins / model.num_trees()
        probabilities = model.predict(rows, num_threads=1)
        assert np.allclose(probabilities, 1 / (1 + np.exp(-margins)), rtol=0, atol=1e-12)
    leaves = model.predict(rows, pred_leaf=True, num_threads=1)
    return margins, leaves.reshape(len(rows), -1).astype(np.int32)


def make(name, model, x, root, rng, ordinary=1_500):
    folder = fresh(root / name)
    path = folder / "model.txt"
    path.write_text(model.model_to_string())
    loaded = lgb.Booster(model_file=str(path))
    borders, categories = borders_of(loaded)
    assert bool(categories) == name.startswith("categories"), name
    special = border_rows(borders, x.shape[1], rng, categories)
    sample = x[rng.integers(0, len(x), size=ordinary)]
    rows = np.ascontiguousarray(np.concatenate([sample, special, mixed(sample, special, rng)]))
    keep(folder, rows, *results(loaded, rows))
    print(f"{name}: {loaded.num_trees()} trees, {len(rows)} rows")


def small(rng):
    """A small model with two missing types, and its training rows."""
    x, signal = data(rng, 800, 4, False)
    x[rng.random(800) < 0.1, 0] = np.nan
    y = (signal > 0).astype(int)
    return lgb.train(COMMON | {"num_leaves": 6, "max_bin": 15}, lgb.Dataset(x, y), 3), x


def small_categories(rng):
    """The same with categories."""
    return with_categories(rng, 3, counts=(5, 40), rows=800, num_leaves=6, max_bin=15)


def fixture(name, model, x, rng):
    """A small model for the tests that need no Python."""
    path = FIXTURES / f"{name}.txt"
    model.save_model(str(path))
    borders, categories = borders_of(model)
    special = border_rows(borders, x.shape[1], rng, categories)
    rows = np.ascontiguousarray(np.concatenate([special, mixed(x[:40], special, rng)]))
    keep_fixture(name, rows, *results(lgb.Booster(model_file=str(path)), rows))


def fixtures():
    rng = np.random.default_rng(1)
    fixture("lightgbm", *small(rng), rng)
    rng = np.random.default_rng(2)
    fixture("lightgbm-categories", *small_categories(rng), rng)


def main():
    root = ROOT / "target" / "parity" / "lightgbm"
    for name, model in refused(np.random.default_rng(3)):
        folder = fresh(root / name)
        model.save_model(folder / "model.txt")
        # Nothing to compare with: its presence says that the folder is complete.
        keep(folder, *[np.zeros((1, 1), dtype=np.float32)] * 3)
    rng = np.random.default_rng(20_240_602)
    for name, model, x in models(rng):
        make(name, model, x, root, rng)
    if "--fixtures" in sys.argv[1:]:
        fixtures()


if __name__ == "__main__":
    main()
