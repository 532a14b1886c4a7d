#!/usr/bin/env bash
# Versions: scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1.
#
# scikit-learn's log_loss and brier_score_loss return exactly 0.0, a perfect
# score, when predictions and sample_weight are both float16 and the weights sum
# to 65520 or more: the sum of weights overflows to infinity in float16 and the
# loss is divided by it. 65518 rows of weight 1 still work, and so does float16
# with weights of a wider type. With normalize=False the overflow shows as inf.
# NumPy's own warning about the overflow is all there is to see.
#
# Seen for p = 0.5 everywhere (true loss 0.6931): 60000 rows 0.693359375,
# 70000 rows 0.0; 2000 rows with weight 40: 0.0; float32 weights 0.693...
#
# Why it matters: half-precision files are common, 70000 rows are few, and a
# loss of 0.0 is believed. Convert to float64 before calling.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6 joblib==1.6.0 threadpoolctl==3.8.0 \
    narwhals==2.29.0 cloudpickle==3.1.3
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import warnings

warnings.filterwarnings("ignore")
import numpy as np
from sklearn.metrics import brier_score_loss, log_loss

half = np.float16


def score(f, rows, weight=1.0, p_type=half, w_type=half, **more):
    y = np.arange(rows) % 2
    w = np.full(rows, weight, w_type)
    return round(float(f(y, np.full(rows, 0.5, p_type), sample_weight=w, **more)), 4)


check("log_loss, 60000 rows", score(log_loss, 60000), 0.6934)
check("log_loss, 65518 rows", score(log_loss, 65518), 0.6938)
check("log_loss, 65520 rows", score(log_loss, 65520), 0.0)
check("log_loss, 70000 rows", score(log_loss, 70000), 0.0)
check("brier_score_loss, 70000 rows", score(brier_score_loss, 70000), 0.0)
check("log_loss, 2000 rows of weight 40", score(log_loss, 2000, 40.0), 0.0)
check("log_loss, float32 weights", score(log_loss, 70000, w_type=np.float32), 0.6934)
check("log_loss, float64 predictions", score(log_loss, 70000, p_type=np.float64), 0.6931)
print("unchanged")
PY
