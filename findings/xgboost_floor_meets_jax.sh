#!/usr/bin/env bash
# Versions: xgboost 3.2.0, jax 0.10.2 (CPU), scipy 1.17.1, numpy 2.4.6.
#
# XGBoost's float32 probability has a floor: every margin below about -88.7 gives
# the same 3.0066358e-39, a subnormal number, never 0 (SciPy's float32 expit
# gives 0.0 there). On the other side it is exactly 1.0 from margin 17 on. JAX on
# the CPU takes that floor for zero in comparisons, and its log of it is not the
# true -88.70 but -103.97 (the log of a number smaller than any float32).
#
# Seen: predict for margins [-90, -200, -1000] = 3.0066358e-39 each;
#   -numpy.log(p) = 88.7; -jax.numpy.log(p) = 103.97208; p > 0 in JAX: False.
#
# Why it matters: the exact loss from such a file is at most 88.7 for a wrong
# positive but infinite for a wrong negative from margin 17 on; and code that
# flushes subnormals (JAX here, many GPUs) reads another loss, 103.97 or
# infinity, out of the same bytes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    xgboost==3.2.0 jax==0.10.2 jaxlib==0.10.2 ml-dtypes==0.6.0 opt-einsum==3.3.0 \
    scipy==1.17.1 numpy==2.4.6
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import jax.numpy as jnp
import numpy as np
import xgboost as xgb
from scipy.special import expit

margin = np.array([-90.0, -200.0, -1000.0, 16.0, 17.0, 40.0], np.float32)
data = xgb.DMatrix(np.zeros((6, 1)), np.zeros(6), base_margin=margin)
p = xgb.Booster({"objective": "binary:logistic", "nthread": 1}, [data]).predict(data)
check("type", str(p.dtype), "float32")
check("XGBoost at -90, -200, -1000", [f"{v:.7e}" for v in p[:3]], ["3.0066358e-39"] * 3)
check("XGBoost at 16, 17, 40", [float(v) for v in p[3:]], [0.9999998807907104, 1.0, 1.0])
check("SciPy float32 expit at -90", float(expit(margin[:1])[0]), 0.0)
check("NumPy's loss", [round(float(v), 3) for v in -np.log(p[:3])], [88.7] * 3)
j = jnp.asarray(p[:3])
check("bits kept on the way into JAX", np.array_equal(np.asarray(j), p[:3]), True)
check("JAX: p > 0", np.asarray(j > 0).tolist(), [False] * 3)
check("JAX's loss", [round(float(v), 3) for v in -jnp.log(j)], [103.972] * 3)
print("unchanged")
PY
