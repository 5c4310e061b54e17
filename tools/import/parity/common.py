"""What the makers of reference models share: rows that try every border, and how they are kept."""

import json
import shutil
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "data"

F32 = np.finfo(np.float32)
TINY = np.float32(1e-35)

# Values at which libraries differ: zeros, LightGBM's bound for zero, denormals, extremes, missing.
SPECIALS = np.array(
    [0.0, -0.0, TINY, -TINY, np.nextafter(TINY, np.float32(1)), np.nextafter(-TINY, np.float32(-1))]
    + [F32.smallest_subnormal, -F32.smallest_subnormal, F32.smallest_normal, -F32.smallest_normal]
    + [F32.max, F32.min, np.inf, -np.inf, np.nan],
    dtype=np.float32,
)


def around(border):
    """A border and its two neighbours."""
    b = np.float32(border)
    with np.errstate(over="ignore", under="ignore"):
        return [b, np.nextafter(b, np.float32(np.inf)), np.nextafter(b, np.float32(-np.inf))]


# Values at which libraries differ in what category they are, if any.
NO_CATEGORIES = np.array(
    [-0.5, np.nextafter(np.float32(-1), np.float32(0)), -1, -1.5, -7, 0.5, 2**24 - 1, 2**24]
    + [1e9, 2**31, 2**32, 2**32 + 512, -(2.0**31), -(2.0**40), 1e20],
    dtype=np.float32,
)


def around_category(category):
    """A category, its neighbours as numbers, and as f32."""
    return [np.float32(category + step) for step in (-1, -0.5, 0.5, 1, 32)] + around(category)


def categorised(x, rng, counts, ids=None):
    """Makes the first columns of training rows categories, this many each, of which some mean
    much; returns what they add to the signal too. `ids` numbers the categories of a column."""
    signal = np.zeros(len(x))
    for column, count in enumerate(counts):
        codes = rng.integers(0, count, len(x))
        signal += rng.normal(size=count)[codes]
        numbers = np.arange(count) if ids is None else ids(count, rng)
        x[:, column] = numbers[codes]
    return signal / np.sqrt(len(counts))


def border_rows(borders, columns, rng, categories={}, rows_max=20_000):
    """Rows that put on every column each of its borders and categories, their neighbours and the
    specials at least once: row k has every column's k-th value, so as few rows as the longest
    list."""
    lists = []
    for column in range(columns):
        values = [value for border in borders.get(column, []) for value in around(border)]
        for category in categories.get(column, []):
            values += around_category(category)
        if column in categories:
            values += list(NO_CATEGORIES)
        values = np.concatenate([np.array(values, dtype=np.float32), SPECIALS])
        lists.append(rng.permutation(values))
    count = max(len(values) for values in lists)
    assert count <= rows_max, f"{count} rows would be needed for every border"
    rows = np.empty((count, columns), dtype=np.float32)
    for column, values in enumerate(lists):
        rows[:, column] = np.resize(values, count)
    return rows


def mixed(rows, specials, rng):
    """Ordinary rows in which every tenth value is one of the border rows' values: borders are met
    on more paths than all-border rows take."""
    rows = rows.copy()
    swap = rng.random(rows.shape) < 0.1
    picks = rng.integers(0, len(specials), size=rows.shape)
    rows[swap] = np.take_along_axis(specials, picks, axis=0)[swap]
    return rows


def keep(folder, rows, margins, leaves):
    """Writes the three arrays beside a model, last, so that a broken run leaves none."""
    assert rows.dtype == np.float32 and rows.flags.c_contiguous
    assert leaves.shape[0] == margins.shape[0] == rows.shape[0]
    np.save(folder / "rows.npy", rows)
    np.save(folder / "margins.npy", np.ascontiguousarray(margins, dtype=np.float64))
    np.save(folder / "leaves.npy", np.ascontiguousarray(leaves, dtype=np.int32))


def fresh(folder):
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def keep_fixture(name, rows, margins, leaves):
    """Expected results of a checked-in model. Values are bit patterns: JSON has no NaN."""
    expected = {
        "rows": rows.view(np.uint32).tolist(),
        "margins": margins.tolist(),
        "leaves": leaves.tolist(),
    }
    text = json.dumps(expected, separators=(",", ":")).replace("],[", "],\n[")
    (FIXTURES / f"{name}.expected.json").write_text(text + "\n")
