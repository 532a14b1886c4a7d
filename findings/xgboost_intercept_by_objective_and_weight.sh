#!/usr/bin/env bash
# Versions: xgboost 3.2.0, numpy 2.4.6, scipy 1.17.1.
#
# The intercept that XGBoost estimates before its first tree depends on how the same
# thing is said:
# - binary:logistic starts at the base rate, 0.05: a margin of -2.944. binary:logitraw
#   differs in its predictions only, one would think, but starts at a margin of 0.05,
#   the base rate itself: a probability of 0.512.
# - scale_pos_weight=3 and a weight of 3 on each positive have the same gradients. The
#   weights start at 0.136364, the weighted base rate, scale_pos_weight at 0.189303: one
#   Newton step from 0.5.
#
# Seen for 5 positives of 100 after one round without a split, the margins:
#   binary:logistic  -2.944439, weights of 3 -1.845827, scale_pos_weight=3 -1.454545
#   binary:logitraw   0.05,     weights of 3  0.136364, scale_pos_weight=3 -1.454545
#
# Why it matters: an objective of one's own (obj=) that repeats XGBoost's gradients is
# compared with the built-in one, and differs from the first tree on unless it starts at the
# same margin. It is best given to both: base_score, or base_margin.
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

label = np.array([1.0] * 5 + [0.0] * 95)
threes = np.where(label == 1, 3.0, 1.0)
rows = np.arange(200.0).reshape(100, 2)


def margin(objective, weight=None, **keywords):
    data = xgb.DMatrix(rows, label, weight=weight)
    booster = xgb.train(dict(objective=objective, min_child_weight=1e9, nthread=1, **keywords), data, 1)
    margins = booster.predict(data, output_margin=True)
    assert (margins == margins[0]).all()
    return round(float(margins[0]), 5)


def of(objective):
    return [margin(objective), margin(objective, threes), margin(objective, scale_pos_weight=3)]


def logit(p):
    return round(float(np.log(p) - np.log1p(-p)), 5)


check("logits of the base rate, whole and weighted", [logit(5 / 100), logit(15 / 110)], [-2.94444, -1.84583])
check("binary:logistic: plain, weights of 3, scale_pos_weight=3", of("binary:logistic"), [-2.94444, -1.84583, -1.45455])
check("binary:logitraw: plain, weights of 3, scale_pos_weight=3", of("binary:logitraw"), [0.05, 0.13636, -1.45455])
print("unchanged")
PY
