"""Trains LightGBM models and keeps what LightGBM itself makes of rows that try every border.

For each model target/parity/lightgbm/NAME/ gets model.txt, rows.npy (f32), margins.npy (f64,
raw_score) and leaves.npy (i32, pred_leaf), all of the model loaded from model.txt. Rows are given
as f32, as a host has them.

A model that parts missing values from all others has the threshold infinity, and is refused. Of
each such model a second one is kept, NAME-finite, in whose file the largest f32 stands there.

With --fixtures the small model in tools/import/tests/data is made anew too.
"""

import os
import sys

# Before the library is loaded. Two OpenMP threads that wait for each other while others compute
# took seven times as long as one (60 trees, 2 busy cores), and many times that under more load.
os.environ["OMP_NUM_THREADS"] = "1"

import lightgbm as lgb
import numpy as np

from common import F32, FIXTURES, ROOT, border_rows, fresh, keep, keep_fixture, mixed

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
    # Each feature's missing values go left here and right there: 256 lanes, as many as there may be.
    yield "wide-128x1000", *trained(rng, 1_000, rows=8_000, columns=128, nans=True, max_bin=63)


def borders_of(model):
    """The f32 values next to every threshold, by column."""
    borders = {}

    def walk(node):
        if "threshold" in node:
            with np.errstate(over="ignore", under="ignore"):
                border = np.float32(node["threshold"])
            borders.setdefault(node["split_feature"], set()).add(border)
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in model.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    return {column: sorted(values) for column, values in borders.items()}


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


def thresholds(text):
    """Every threshold, as it is written."""
    for line in text.split("\n"):
        if line.startswith("threshold="):
            yield from line.removeprefix("threshold=").split(" ")


def finite(text):
    """The model with the largest f32 in the place of infinite thresholds."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if line.startswith("threshold="):
            values = line.removeprefix("threshold=").split(" ")
            values = [repr(float(F32.max)) if value == "inf" else value for value in values]
            lines[at] = "threshold=" + " ".join(values)
    # The trees have other sizes now: LightGBM does without the list of them, and writes it anew.
    text = "\n".join(line for line in lines if not line.startswith("tree_sizes="))
    return lgb.Booster(model_str=text).model_to_string()


def make(name, model, x, root, rng, ordinary=3_000):
    folder = fresh(root / name)
    path = folder / "model.txt"
    text = model.model_to_string()
    if name.endswith("-finite"):
        text = finite(text)
    path.write_text(text)
    loaded = lgb.Booster(model_file=str(path))
    special = border_rows(borders_of(loaded), x.shape[1], rng)
    sample = x[rng.integers(0, len(x), size=ordinary)]
    rows = np.ascontiguousarray(np.concatenate([sample, special, mixed(sample, special, rng)]))
    keep(folder, rows, *results(loaded, rows))
    print(f"{name}: {loaded.num_trees()} trees, {len(rows)} rows")


def fixture(name, rng):
    """A small model with two missing types for the tests that need no Python."""
    x, signal = data(rng, 800, 4, False)
    x[rng.random(800) < 0.1, 0] = np.nan
    y = (signal > 0).astype(int)
    model = lgb.train(COMMON | {"num_leaves": 6, "max_bin": 15}, lgb.Dataset(x, y), 3)
    path = FIXTURES / f"{name}.txt"
    model.save_model(str(path))
    special = border_rows(borders_of(model), 4, rng)
    rows = np.ascontiguousarray(np.concatenate([special, mixed(x[:40], special, rng)]))
    keep_fixture(name, rows, *results(lgb.Booster(model_file=str(path)), rows))


def main():
    rng = np.random.default_rng(20_240_602)
    for name, model, x in models(rng):
        root = ROOT / "target" / "parity" / "lightgbm"
        make(name, model, x, root, rng)
        if "inf" in set(thresholds(model.model_to_string())):
            make(f"{name}-finite", model, x, root, rng)
    if "--fixtures" in sys.argv[1:]:
        fixture("lightgbm", np.random.default_rng(1))


if __name__ == "__main__":
    main()
