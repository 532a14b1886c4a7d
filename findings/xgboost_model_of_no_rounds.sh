#!/usr/bin/env bash
# Versions: xgboost 3.2.0, numpy 2.4.6, scipy 1.17.1.
#
# A model of no rounds (num_boost_round=0, n_estimators=0) is how one asks XGBoost
# for the baseline. Its configuration says base_score 0.5, and its predictions
# should be 0.5, or the base rate. They are 0.622459 = sigmoid(0.5), for every
# row and any labels: the score that was never estimated is taken for a margin.
# The model keeps saying so after it is saved and loaded. With base_score=0.5
# given, it predicts 0.5; after one round that splits nothing, the base rate.
#
# Seen for 5 positives of 100, binary:logistic:
#   no rounds:                  0.622459, logloss 0.949077, base_score [5E-1]
#   no rounds, base_score=0.5:  0.5, logloss 0.693147
#   one round without a split:  0.05, logloss 0.198515
#
# Why it matters: the loss of the base rate is 0.198515. Whoever takes the model of
# no rounds as the baseline compares with a loss 4.8 times that, and any model wins.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    xgboost==3.2.0 scipy==1.17.1 numpy==2.4.6
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import json
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import numpy as np
import xgboost as xgb

label = np.array([1.0] * 5 + [0.0] * 95)
data = xgb.DMatrix(np.arange(200.0).reshape(100, 2), label)


def model(rounds, **keywords):
    return xgb.train(dict(objective="binary:logistic", eval_metric="logloss", min_child_weight=1e9, nthread=1, **keywords), data, rounds)


def figures(booster):
    p = booster.predict(data)
    assert (p == p[0]).all()
    return [round(float(p[0]), 6), round(float(booster.eval(data).split(":")[1]), 6)]


none = model(0)
check("no rounds: prediction, logloss", figures(none), [0.622459, 0.949077])
base_score = json.loads(none.save_config())["learner"]["learner_model_param"]["base_score"]
check("no rounds: base_score in its configuration", base_score, "[5E-1]")
loaded = xgb.Booster()
loaded.load_model(none.save_raw("json"))
check("no rounds, saved and loaded: prediction", round(float(loaded.predict(data)[0]), 6), 0.622459)
check("no rounds, base_score=0.5: prediction, logloss", figures(model(0, base_score=0.5)), [0.5, 0.693147])
check("one round without a split: prediction, logloss", figures(model(1)), [0.05, 0.198515])
rate = label.mean()
check("loss of the base rate", round(float(-rate * np.log(rate) - (1 - rate) * np.log1p(-rate)), 6), 0.198515)
print("unchanged")
PY
