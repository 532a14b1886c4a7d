#!/usr/bin/env bash
# Versions: fastparquet 2026.9.0, pyarrow 26.0.1, polars 2.1.0, duckdb 2.0.1,
# pandas 3.1.1, numpy 2.4.6.
#
# Two things about Parquet files that pass through fastparquet:
# 1. It reads a Float16 column (written by PyArrow or Polars) as two-byte bytes
#    objects, with no error. DuckDB reads the same file as FLOAT.
# 2. It writes NaN of a float column as a Parquet null, not as NaN. PyArrow and
#    Polars write the same array with the NaN kept. DuckDB copying from a pandas
#    frame also turns NaN into NULL, but keeps it when it copies from Arrow.
#
# Seen: fastparquet.to_pandas() -> [b'\x004', b'\x008'] for [0.25, 0.5]; the
# file that fastparquet wrote from [0.25, NaN] reads as [0.25, None].
#
# Why it matters: whether a broken prediction reaches a scorer as NaN (and makes
# the loss NaN or an error) or as a null (which many skip, so the loss is the
# mean over fewer rows) depends only on which library wrote the file. A scorer
# must refuse both alike.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    fastparquet==2026.9.0 cramjam==2.14.0 fsspec==2026.9.0 packaging==26.4 pandas==3.1.1 \
    python-dateutil==4.0.0 six==1.17.0 tzdata==2026.6 pyarrow==26.0.1 polars==2.1.0 \
    polars-runtime-32==2.1.0 duckdb==2.0.1 numpy==2.4.6
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import duckdb
import fastparquet
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

nan = float("nan")
half = np.array([0.25, 0.5], np.float16)
pq.write_table(pa.table({"p": half}), "half_arrow.parquet")
pl.DataFrame({"p": half}).write_parquet("half_polars.parquet")
for name in ("half_arrow", "half_polars"):
    got = fastparquet.ParquetFile(f"{name}.parquet").to_pandas()["p"].tolist()
    check(f"fastparquet reads {name}", got, [b"\x004", b"\x008"])
    rows = duckdb.sql(f"select typeof(p), p from '{name}.parquet'").fetchall()
    check(f"DuckDB reads {name}", rows, [("FLOAT", 0.25), ("FLOAT", 0.5)])

p = np.array([0.25, nan], np.float32)
frame, table = pd.DataFrame({"p": p}), pa.table({"p": p})
fastparquet.write("fast.parquet", frame)
pq.write_table(table, "arrow.parquet")
pl.DataFrame({"p": p}).write_parquet("polars.parquet")
duckdb.sql("copy (from frame) to 'duck_pandas.parquet'")
con = duckdb.connect()
con.register("t", table)
con.execute("copy (from t) to 'duck_arrow.parquet'")


def read(name):
    return pq.read_table(f"{name}.parquet")["p"].to_pylist()


check("written by fastparquet", read("fast"), [0.25, None])
check("written by DuckDB from pandas", read("duck_pandas"), [0.25, None])
check("written by DuckDB from Arrow", read("duck_arrow"), [0.25, nan])
check("written by PyArrow", read("arrow"), [0.25, nan])
check("written by Polars", read("polars"), [0.25, nan])
print("unchanged")
PY
