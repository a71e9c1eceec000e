#!/usr/bin/env python3
"""Fashion-MNIST as two Parquet files: fashion_mnist_{base,query}.parquet (id, label, vector uint8[784]).

The images are those of Debian's package dataset-fashion-mnist (MIT, Zalando SE):
    apt-get install dataset-fashion-mnist && python3 fetch_fashion_mnist.py OUT_DIR
Needs numpy and pyarrow.
"""
import gzip
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SOURCE = Path("/usr/share/datasets/fashion-mnist")


def idx(name: str, header_bytes: int) -> np.ndarray:
    """The payload of an IDX file: bytes behind a header of known length."""
    return np.frombuffer(gzip.open(next(SOURCE.rglob(name))).read(), np.uint8, offset=header_bytes)


def convert(part: str, out: Path) -> None:
    vectors, labels = idx(f"{part}-images-idx3-ubyte.gz", 16), idx(f"{part}-labels-idx1-ubyte.gz", 8)
    columns = {
        "id": pa.array(np.arange(len(labels), dtype=np.int64)),
        "label": pa.array(labels),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors), 784),
    }
    pq.write_table(pa.table(columns), out, row_group_size=10_000)
    print(f"{out}: {len(labels)} rows")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not SOURCE.is_dir():
        sys.exit("first: apt-get install dataset-fashion-mnist")
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    convert("train", target / "fashion_mnist_base.parquet")
    convert("t10k", target / "fashion_mnist_query.parquet")
