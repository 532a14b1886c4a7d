#!/usr/bin/env bash
# Versions: mlx 0.32.4 with mlx-cpu 0.32.4, numexpr 2.14.2, polars 2.1.0,
# numpy 2.4.6.
#
# The mean of 33,554,432 float32 ones is 0.5 in MLX on the CPU: the sum is one
# running float32 that stops at 16,777,216. numexpr's sum() stops there too.
# Polars is split: Series.sum() is right, but the sum of the same column in a
# group_by, on one thread, is 16,777,216, and with more threads it changes from
# run to run, while group_by's mean is right. NumPy sums in pairs and is right.
#
# Seen: MLX mean 0.5, sum 16777216; numexpr 16777216; Polars sum 33554432,
# group_by sum 16777216 (POLARS_MAX_THREADS=1), group_by mean 1.0.
#
# Why it matters: the mean loss of a large float32 batch is too low by half with
# no warning, and a log loss summed per group with Polars is neither the sum nor
# repeatable. Cast to Float64 first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    mlx==0.32.4 mlx-cpu==0.32.4 numexpr==2.14.2 polars==2.1.0 polars-runtime-32==2.1.0 \
    numpy==2.4.6
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import os

os.environ["POLARS_MAX_THREADS"] = "1"
os.environ["NUMEXPR_MAX_THREADS"] = "1"
import mlx.core as mx
import numexpr as ne
import numpy as np
import polars as pl

n = 2**25
ones = np.ones(n, np.float32)
check("NumPy sum, mean", (float(ones.sum()), float(ones.mean())), (33554432.0, 1.0))
mx.set_default_device(mx.cpu)
m = mx.ones(n)
check("MLX sum, mean", (float(m.sum()), float(m.mean())), (16777216.0, 0.5))
check("numexpr sum", float(ne.evaluate("sum(ones)")), 16777216.0)
frame = pl.DataFrame({"g": np.zeros(n, np.int8), "p": ones})
check("Polars sum", float(frame["p"].sum()), 33554432.0)
p = pl.col("p")
row = frame.group_by("g").agg(p.sum(), p.mean().alias("m"), p.cast(pl.Float64).sum().alias("d"))
check("Polars group_by: sum, mean, sum of Float64", row.row(0)[1:],
      (16777216.0, 1.0, 33554432.0))
print("unchanged")
PY
