#!/usr/bin/env bash
# Versions: duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1, numpy 2.4.6.
#
# DuckDB orders NaN above every number, so `p > 0.5` is true for NaN in a table
# in memory. Over the very same rows in a Parquet file written by PyArrow or
# Polars the answer turns round. Those writers leave NaN out of the min/max
# statistics, as the format says; DuckDB takes the statistics as a bound for
# every row and answers from them: NaN passes `p < 0.5` and `p BETWEEN 0 AND 1`,
# max(p) is a number, and isnan(p) is false even for the rows that print as NaN.
# isfinite(p) is right. A file that DuckDB wrote itself (no min/max where there
# is NaN) is right. Polars, with the same order of NaN, is right on all of them.
#
# Seen for p = [0.25, NaN, 0.375, NaN], rows that pass:
#              > 0.5  < 0.5  between 0 and 1  isnan  isfinite  max
#   in memory    2      2           2           2       2      NaN
#   Parquet      0      4           4           0       2      0.375
#
# Why it matters: `BETWEEN 0 AND 1` and isnan are how people check a file of
# probabilities before they score it. Both pass a file with NaN in it, and the
# score is then NaN, or refused by a strict scorer that is thought to be wrong.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    duckdb==2.0.1 polars==2.1.0 polars-runtime-32==2.1.0 pyarrow==26.0.1 numpy==2.4.6
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

nan = float("nan")
table = pa.table({"p": np.array([0.25, nan, 0.375, nan], np.float32)})
pq.write_table(table, "arrow.parquet")
pl.from_arrow(table).write_parquet("polars.parquet")
con = duckdb.connect()
con.execute("set threads = 1")
tests = ["p > 0.5", "p < 0.5", "p between 0 and 1", "isnan(p)", "isfinite(p)"]


def counts(source):
    return [con.sql(f"select count(*) from {source} where {t}").fetchall()[0][0] for t in tests]


con.register("arrow_table", table)
con.execute("create table native as select * from arrow_table")
print("tests:", tests)
check("DuckDB, own table", counts("native"), [2, 2, 2, 2, 2])
check("DuckDB, Arrow table in memory", counts("arrow_table"), [2, 2, 2, 2, 2])
check("DuckDB, Parquet of PyArrow", counts("'arrow.parquet'"), [0, 4, 4, 0, 2])
check("DuckDB, Parquet of Polars", counts("'polars.parquet'"), [0, 4, 4, 0, 2])
con.execute("copy native to 'duck.parquet'")
check("DuckDB, Parquet of DuckDB", counts("'duck.parquet'"), [2, 2, 2, 2, 2])
check("DuckDB, Parquet of PyArrow, p and isnan(p)",
      con.sql("select p, isnan(p) from 'arrow.parquet'").fetchall(),
      [(0.25, False), (nan, False), (0.375, False), (nan, False)])
check("DuckDB max, own table", con.sql("select max(p) from native").fetchall()[0][0], nan)
check("DuckDB max, Parquet", con.sql("select max(p) from 'arrow.parquet'").fetchall()[0][0], 0.375)


def polars_counts(frame):
    p = pl.col("p")
    return [frame.filter(e).select(pl.len()).collect().item()
            for e in (p > 0.5, p < 0.5, p.is_between(0, 1), p.is_nan())]


check("Polars, in memory", polars_counts(pl.from_arrow(table).lazy()), [2, 2, 2, 2])
check("Polars, Parquet of PyArrow", polars_counts(pl.scan_parquet("arrow.parquet")), [2, 2, 2, 2])
print("unchanged")
PY
