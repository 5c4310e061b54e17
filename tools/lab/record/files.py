"""Files of recordings: one JSON object a line, compressed where the name ends in `.gz`."""

import gzip
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE / "data"
REQUESTS = HERE.parents[1] / "cli" / "data" / "requests.ndjson"


def lines(path):
    """The lines of a file that are not empty, with their numbers."""
    opened = gzip.open if pathlib.Path(path).suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if text.strip():
                yield number, text


def write(path, text):
    """Writes a file whole or not at all; the same text makes the same bytes."""
    path = pathlib.Path(path)
    data = text.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, 9, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)
