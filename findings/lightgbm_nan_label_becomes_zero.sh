#!/usr/bin/env bash
# Versions: lightgbm 4.7.0, xgboost 3.2.0, pandas 3.1.1, numpy 2.4.6.
#
# A LightGBM Dataset takes NaN or missing labels, weights and init scores without
# a word and stores 0.0; infinity becomes 1e38. So an unlabelled row is trained
# and scored as a negative, and its metrics equal those of a label 0. XGBoost
# refuses the same labels. A guess from memory would be an error, or NaN in the
# metric.
#
# Seen: label [0, NaN, 1, inf] -> [0, 0, 1, 1e38]; a pandas Int64 NA and an Arrow
# null label -> 0; weight NaN -> 0; init_score NaN -> 0; binary_logloss and auc
# with label NaN equal to those with label 0.
#
# Why it matters: a log loss computed from the same files by LightGBM is finite
# where a strict scorer refuses the file; the two then do not agree, and
# LightGBM's is the one that hides the missing labels as negatives.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    lightgbm==4.7.0 xgboost==3.2.0 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1 \
    python-dateutil==4.0.0 six==1.17.0 tzdata==2026.6 pyarrow==26.0.1 narwhals==2.29.0
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import xgboost as xgb

nan, inf = float("nan"), float("inf")
quiet = {"verbose": -1, "num_threads": 1}


def stored(field, value, label=(0, 1, 1, 0)):
    args = {"label": np.array(label, float), field: value}
    data = lgb.Dataset(np.arange(4.0)[:, None], params=quiet, **args).construct()
    return [float(f"{v:.6g}") for v in data.get_field(field)]


check("label", stored("label", np.array([0, nan, 1, inf])), [0.0, 0.0, 1.0, 1e38])
check("label, pandas Int64", stored("label", pd.Series([0, None, 1, 1], dtype="Int64")),
      [0.0, 0.0, 1.0, 1.0])
check("label, Arrow", stored("label", pa.chunked_array([[0.0, None, 1.0, 1.0]])),
      [0.0, 0.0, 1.0, 1.0])
check("weight", stored("weight", np.array([1, nan, 1, 1.0])), [1.0, 0.0, 1.0, 1.0])
check("init_score", stored("init_score", np.array([1, nan, 1, 1.0])), [1.0, 0.0, 1.0, 1.0])


def metrics(label):
    seen = {}
    data = lgb.Dataset(np.arange(4.0)[:, None], np.array(label), params=quiet,
                       init_score=np.array([-1.0, 3.0, 1.0, 1.0]))
    lgb.train({"objective": "binary", "metric": ["binary_logloss", "auc"],
               "learning_rate": 1e-300, **quiet}, data, 1, valid_sets=[data],
              callbacks=[lgb.record_evaluation(seen)])
    return [round(float(v[0]), 6) for v in seen["training"].values()]


check("metrics with label NaN", metrics([0, nan, 1, 1]), [0.997093, 0.5])
check("metrics with label 0", metrics([0, 0, 1, 1]), [0.997093, 0.5])
try:
    xgb.DMatrix(np.zeros((2, 1)), [0.0, nan])
    refused = False
except xgb.core.XGBoostError as e:
    refused = "Label contains NaN" in str(e)
check("XGBoost refuses a NaN label", refused, True)
print("unchanged")
PY
