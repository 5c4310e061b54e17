"""Makes the models that peers and hedgerow are measured on, the rows, and what peers are compiled
from: C++ exports, shared libraries, ONNX graphs. Everything has a fixed seed.

    models.py FOLDER

FOLDER/rows.f32 has ROWS rows of FEATURES values, little-endian f32, none of which trained a model.
FOLDER/models.json lists the models; each has a folder of its own. What is there already, and was
made by the same scripts with the same packages on the same processor, is kept.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

# Before the libraries are loaded: two OpenMP threads that wait for each other on a busy machine
# take many times as long as one.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

import trees_to_onnx

HERE = Path(__file__).resolve().parent
FEATURES = 200
TRAINED_ON = 20_000
ROWS = 20_000
# Columns with missing values. Few, because a feature whose missing values go left here and right
# there takes two of a table's 256 lanes.
MISSING = slice(100, 120)
CURVE = [100, 250, 500, 1_000, 2_000, 4_000]
GXX = ["g++", "-O3", "-march=native", "-std=c++17", "-shared", "-fPIC"]
# The flags of tl2cgen's own compiler runs; without them it takes the compiler's default, -O3.
GCC = ["-O3", "-march=native"]


def data(seed, count):
    """Rows of several distributions (as requests have them: counts, flags, durations, ratios), and
    a signal that many of them carry, some together."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, FEATURES)).astype(np.float32)
    x[:, 1::4] = np.floor(np.abs(x[:, 1::4]) * 4)
    x[:, 2::4] = np.exp(3 * x[:, 2::4]).astype(np.float32)
    x[:, 3::20] = (x[:, 3::20] > 0.5).astype(np.float32)
    # The signal's own weights are the same for every set of rows.
    weight = np.random.default_rng(1).normal(size=FEATURES) / np.sqrt(FEATURES)
    signal = np.tanh(x) @ weight + 0.5 * np.tanh(x[:, 0]) * np.tanh(x[:, 4])
    signal = signal + 0.5 * np.tanh(x[:, 8]) * (x[:, 1] > 2) + 0.3 * rng.normal(size=count)
    holes = rng.random(x[:, MISSING].shape) < 0.1
    x[:, MISSING][holes] = np.nan
    return np.ascontiguousarray(x), (signal > 0).astype(int)


def run(command):
    """A compiler run that must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr[-2000:]}")


def catboost_files(folder, model, compiled):
    """What CatBoost's peers need: JSON, its exported C++, a .cbm for Python, and ONNX."""
    path = folder / "model.json"
    model.save_model(str(path), format="json")
    model.save_model(str(folder / "model.cbm"))
    text = json.loads(path.read_text())
    features = text["features_info"]["float_features"]
    borders = sum(len(feature["borders"] or []) for feature in features)
    used = {
        (split["float_feature_index"], split["border"])
        for tree in text["oblivious_trees"]
        for split in tree["splits"]
    }
    features_used = {feature for feature, _ in used}
    if compiled:
        # Another loader takes no null where a feature has no borders.
        for feature in features:
            feature["borders"] = feature["borders"] or []
        (folder / "no-null.json").write_text(json.dumps(text))
        trees_to_onnx.catboost(text, folder / "model.onnx")
        model.save_model(str(folder / "export.cpp"), format="cpp")
        shim = [folder / "export.cpp", HERE / "catboost_export.cpp"]
        run([*GXX, *shim, "-o", folder / "export.so"])
    return {
        "trees": len(text["oblivious_trees"]),
        "borders": borders,
        "borders_used": len(used),
        "features_used": len(features_used),
    }


def make_catboost(folder, x, y):
    """The curve's models are one model, cut: R1 is its first 1,000 trees."""
    from catboost import CatBoostClassifier

    def trained(trees, **params):
        model = CatBoostClassifier(
            iterations=trees, depth=6, learning_rate=0.05, border_count=22, nan_mode="Min",
            random_seed=7, thread_count=2, verbose=0, allow_writing_files=False, **params,
        )
        return model.fit(x, y)

    made = []
    whole = trained(CURVE[-1])
    for trees in reversed(CURVE):
        whole.shrink(trees)
        name = "R1" if trees == 1_000 else f"curve-{trees}"
        (folder / name).mkdir()
        facts = catboost_files(folder / name, whole, name == "R1")
        about = f"CatBoost 1.2.10, {trees:,} oblivious trees of depth 6"
        made.append({"name": name, "library": "catboost", "about": about, **facts})
    made.reverse()
    unused = trained(1_000, ignored_features=list(range(40, FEATURES)))
    (folder / "unused").mkdir()
    facts = catboost_files(folder / "unused", unused, False)
    about = "CatBoost 1.2.10, 1,000 oblivious trees of depth 6, 40 of the 200 features used"
    made.append({"name": "unused", "library": "catboost", "about": about, **facts})
    return made


def tl2cgen_library(model, path):
    """A model as C, compiled. Its inputs are not quantised: that would overwrite them."""
    import tl2cgen

    tl2cgen.export_lib(
        model, toolchain="gcc", libpath=str(path), params={"parallel_comp": 8, "quantize": 0},
        options=GCC, nthread=2,
    )


def lleaves_library(text, folder):
    """The function that lleaves compiles, as a shared library. None where it fails."""
    import lleaves

    model = lleaves.Model(model_file=str(text))
    objects = folder / "lleaves.o"
    model.compile(cache=str(objects), fblocksize=34, raw_score=True)
    run(["g++", "-shared", objects, "-o", folder / "lleaves.so"])


def finite(lgb, text):
    """The model with the largest f32 for infinite thresholds, which part missing values from all
    others: every f32 goes the same way, and hedgerow takes no infinite threshold."""
    largest = repr(float(np.finfo(np.float32).max))
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if line.startswith("threshold="):
            values = line.removeprefix("threshold=").split(" ")
            values = [largest if float(value) > 3.5e38 else value for value in values]
            lines[at] = "threshold=" + " ".join(values)
    # The trees have other sizes now: LightGBM does without the list of them, and writes it anew.
    text = "\n".join(line for line in lines if not line.startswith("tree_sizes="))
    return lgb.Booster(model_str=text)


def make_lightgbm(folder, x, y):
    import lightgbm as lgb
    import treelite

    params = {
        "objective": "binary", "num_leaves": 31, "learning_rate": 0.05, "num_threads": 1,
        "seed": 7, "deterministic": True, "force_row_wise": True, "verbose": -1,
    }
    booster = lgb.train(params, lgb.Dataset(x, y), 500)
    booster = finite(lgb, booster.model_to_string())
    (folder / "R2").mkdir()
    path = folder / "R2" / "model.txt"
    booster.save_model(str(path))
    dump = booster.dump_model()
    trees_to_onnx.lightgbm(dump, folder / "R2" / "model.onnx")
    tl2cgen_library(treelite.frontend.load_lightgbm_model(path), folder / "R2" / "tl2cgen.so")
    lleaves_library(path, folder / "R2")
    about = "LightGBM 4.7.0, 500 trees of 31 leaves"
    return [{"name": "R2", "library": "lightgbm", "about": about, "trees": booster.num_trees()}]


def make_xgboost(folder, x, y):
    import treelite
    import xgboost as xgb

    params = {
        "objective": "binary:logistic", "max_depth": 6, "eta": 0.05, "nthread": 1, "seed": 7,
        "tree_method": "hist",
    }
    booster = xgb.train(params, xgb.DMatrix(x, y), 500)
    (folder / "R3").mkdir()
    path = folder / "R3" / "model.json"
    booster.save_model(str(path))
    text = json.loads(path.read_text())
    base = trees_to_onnx.xgboost(text, folder / "R3" / "model.onnx")
    # The form that the crate gbdt reads: base score, then the trees.
    trees = booster.get_dump(dump_format="json")
    (folder / "R3" / "gbdt.model").write_text(f"{base!r}\n[{','.join(trees)}]\n")
    model = treelite.frontend.load_xgboost_model(path, format_choice="json")
    tl2cgen_library(model, folder / "R3" / "tl2cgen.so")
    about = "XGBoost 3.2.0, 500 trees of depth 6"
    return [{"name": "R3", "library": "xgboost", "about": about, "trees": len(trees)}]


def stamp():
    """What the models depend on: these scripts, the packages, the processor."""
    known = hashlib.sha256()
    for name in ["models.py", "trees_to_onnx.py", "catboost_export.cpp", "requirements.txt"]:
        known.update((HERE / name).read_bytes())
    info = Path("/proc/cpuinfo").read_text().splitlines()
    flags = [line for line in info if line.startswith(("model name", "flags"))]
    known.update("\n".join(sorted(set(flags))).encode())
    return known.hexdigest()


def stage(folder, make, wanted):
    """The models of one library: as they lie there, or made now."""
    part = folder / make.__name__.removeprefix("make_")
    listed = part / "models.json"
    if listed.exists() and json.loads(listed.read_text())["stamp"] == wanted:
        print(f"models of {part.name}: as they were made before", flush=True)
    else:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        start = time.monotonic()
        models = make(part, *data(11, TRAINED_ON))
        # Last, so that a broken run leaves no list.
        listed.write_text(json.dumps({"stamp": wanted, "models": models}, indent=1) + "\n")
        print(f"models of {part.name}: made in {time.monotonic() - start:.0f} s", flush=True)
    models = json.loads(listed.read_text())["models"]
    return [{**model, "folder": f"{part.name}/{model['name']}"} for model in models]


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    wanted = stamp()
    models = []
    for make in [make_catboost, make_lightgbm, make_xgboost]:
        models += stage(folder, make, wanted)
    data(12, ROWS)[0].astype("<f4").tofile(folder / "rows.f32")
    known = {"rows": ROWS, "features": FEATURES, "models": models}
    (folder / "models.json").write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
