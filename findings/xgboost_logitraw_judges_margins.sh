#!/usr/bin/env bash
# Versions: xgboost 3.2.0, numpy 2.4.6, scipy 1.17.1.
#
# With the objective binary:logitraw, XGBoost's own metrics logloss and error are
# computed on the raw margin as if it were a probability: logloss clips the
# margin into [0, 1], error counts a margin above 0.5 (not above 0) as positive.
# No warning. The same margins under binary:logistic give the right numbers.
#
# Seen for margins [0.3, -0.2, 1, 2], labels [1, 0, 0, 1]:
#   binary:logistic logloss 0.648171, error 0.25
#   binary:logitraw logloss 9.292467, error 0.50
#
# And a second surprise: AUC is computed after the float32 sigmoid, so margins of
# 40 and 60 are a tie under binary:logistic and not under binary:logitraw.
#
# Why it matters: people who pick logitraw to get logits out for a log loss of
# their own see a training log that is off by a factor of 14. The exact value
# comes from the margins only.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    xgboost==3.2.0 scipy==1.17.1 numpy==2.4.6
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import numpy as np
import xgboost as xgb


def judge(objective, margin, label, *metrics):
    data = xgb.DMatrix(np.zeros((len(label), 1)), label, base_margin=margin)
    booster = xgb.Booster({"objective": objective, "eval_metric": list(metrics), "nthread": 1},
                          [data])
    parts = booster.eval(data).split("\t")[1:]
    return [round(float(p.split(":")[1]), 6) for p in parts]


margin = np.array([0.3, -0.2, 1.0, 2.0])
label = np.array([1, 0, 0, 1])
exact = np.mean(np.logaddexp(0, margin) - label * margin)
check("exact log loss", round(float(exact), 6), 0.648171)
check("binary:logistic: logloss, error",
      judge("binary:logistic", margin, label, "logloss", "error"), [0.648171, 0.25])
check("binary:logitraw: logloss, error",
      judge("binary:logitraw", margin, label, "logloss", "error"), [9.292467, 0.5])
far, one_zero = np.array([60.0, 40.0]), np.array([1, 0])
check("binary:logistic: auc of 60 over 40", judge("binary:logistic", far, one_zero, "auc"), [0.5])
check("binary:logitraw: auc of 60 over 40", judge("binary:logitraw", far, one_zero, "auc"), [1.0])
print("unchanged")
PY
