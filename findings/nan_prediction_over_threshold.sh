#!/usr/bin/env bash
# Versions: datafusion 55.0.0, polars 2.1.0, duckdb 2.0.1, pyarrow 26.0.1,
# numpy 2.4.6.
#
# "Is a NaN prediction at or above the threshold 0.5?" has three answers. NumPy
# and PyArrow say no. Polars and DuckDB say yes. DataFusion looks at the sign bit
# of the NaN: yes for NaN with a clear sign bit, no for one with it set, which it
# also sorts below every number. On x86 processors 0/0 and inf - inf give the NaN
# with the sign bit set, np.nan is the one without, so both kinds are common.
#
# Seen for [0.25, +NaN, -NaN] > 0.5:
#   NumPy, PyArrow [False, False, False]; Polars, DuckDB [False, True, True];
#   DataFusion [False, True, False], ordered by p: -NaN, 0.25, +NaN.
#
# Why it matters: accuracy, precision or a positive count over the same file
# differ by the number of NaN rows from one query engine to the next, and in
# DataFusion two NaN rows that print alike fall into different classes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    datafusion==55.0.0 cloudpickle==3.1.3 typing-extensions==4.16.0 duckdb==2.0.1 \
    polars==2.1.0 polars-runtime-32==2.1.0 pyarrow==26.0.1 numpy==2.4.6
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import datafusion
import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

p = np.array([0x3E800000, 0x7FC00000, 0xFFC00000], np.uint32).view(np.float32)
table = pa.table({"i": [0, 1, 2], "p": p})
print("values:", p.tolist(), "sign bits:", np.signbit(p).tolist())
check("NumPy", (p > 0.5).tolist(), [False, False, False])
check("PyArrow", pc.greater(table["p"], 0.5).to_pylist(), [False, False, False])
check("Polars", (pl.from_arrow(table)["p"] > 0.5).to_list(), [False, True, True])
con = duckdb.connect()
con.register("t", table)
rows = con.sql("select p > 0.5 from t order by i").fetchall()
check("DuckDB", [r[0] for r in rows], [False, True, True])
ctx = datafusion.SessionContext()
ctx.register_record_batches("t", [table.to_batches()])
check("DataFusion", ctx.sql("select p > 0.5 as over from t order by i").to_pydict()["over"],
      [False, True, False])
check("DataFusion, rows ordered by p",
      ctx.sql("select i from t order by p").to_pydict()["i"], [2, 0, 1])
check("DataFusion, p < 0.5", ctx.sql("select p < 0.5 as u from t order by i").to_pydict()["u"],
      [True, False, True])
print("unchanged")
PY
