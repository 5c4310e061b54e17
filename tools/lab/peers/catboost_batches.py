"""Times CatBoost's batches when it is asked to, one line in, one line out. Started by the driver,
which binds it to its own core.

    time ROWS CALLS       median nanoseconds of a call on ROWS rows, on other rows each time
    margins ROWS FILE     the margins of all rows, in batches of ROWS, as little-endian f64
"""

import sys
import time

import numpy as np
from catboost import CatBoost, Pool


def main():
    model_file, rows_file, features = sys.argv[1:]
    model = CatBoost()
    model.load_model(model_file)
    rows = np.fromfile(rows_file, dtype="<f4").reshape(-1, int(features))
    pools = {}

    def pools_of(count):
        """Batches of so many rows: all of them, the last one overlapping with the one before."""
        if count not in pools:
            starts = [min(first, len(rows) - count) for first in range(0, len(rows), count)]
            pools[count] = [(first, Pool(rows[first : first + count])) for first in starts]
        return pools[count]

    def predict(pool):
        return model.predict(pool, prediction_type="RawFormulaVal", thread_count=1)

    cursor = 0
    for line in sys.stdin:
        what, count, rest = line.split(maxsplit=2)
        batches = pools_of(int(count))
        if what == "time":
            times = []
            for _ in range(int(rest)):
                _, pool = batches[cursor % len(batches)]
                cursor += 1
                start = time.perf_counter_ns()
                predict(pool)
                times.append(time.perf_counter_ns() - start)
            print(sorted(times)[len(times) // 2], flush=True)
        else:
            margins = np.full(len(rows), np.nan)
            for first, pool in batches:
                margins[first : first + int(count)] = predict(pool)
            margins.astype("<f8").tofile(rest.rstrip("\n"))
            print("ok", flush=True)


if __name__ == "__main__":
    main()
