#!/usr/bin/env bash
# Versions: keras 3.15.1 (JAX backend), jax 0.10.2, numpy 2.4.6.
#
# Keras metrics count rows in float32 state variables. From 16,777,216 on, an
# update that adds 1 adds nothing: FalsePositives, the denominator of
# BinaryAccuracy and of BinaryCrossentropy stand still with no warning, while the
# total of BinaryCrossentropy goes on growing. A guess from memory would be
# integers or float64.
#
# Seen: after 2^24 false positives in one update, 100 updates of one more each
# leave the count at 16777216. BinaryCrossentropy after 2^24 rows at p = 0.5 and
# then 200 single rows at p = 0, y = 1: count still 16777216.
#
# Why it matters: over billions of streamed predictions the mean has the wrong
# denominator and the confusion counts are stuck; an exact tool does not agree
# with the number that the training loop printed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 absl-py==2.5.1 \
    h5py==3.16.0 markdown-it-py==4.3.0 mdurl==0.1.2 ml-dtypes==0.6.0 namex==0.1.0 \
    opt-einsum==3.3.0 optree==0.20.0 packaging==26.4 pygments==2.21.0 rich==15.0.0 \
    typing-extensions==4.16.0
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import os

os.environ.update(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", KERAS_HOME=os.getcwd())
import keras
import numpy as np

n = 2**24
ones = np.ones((n, 1), np.float32)
fp = keras.metrics.FalsePositives()
fp.update_state(np.zeros((n, 1), np.float32), ones)
before = int(fp.result())
for _ in range(100):
    fp.update_state([[0.0]], [[1.0]])
check("false positives before and after 100 more", (before, int(fp.result())), (n, n))
bce = keras.metrics.BinaryCrossentropy()
bce.update_state(ones, ones * np.float32(0.5))
total = float(bce.total)
for _ in range(200):
    bce.update_state([[1.0]], [[0.0]])
check("rows counted by BinaryCrossentropy, of 16777416", int(bce.count), n)
check("its total has grown by more than 3000", float(bce.total) - total > 3000, True)
acc = keras.metrics.BinaryAccuracy()
acc.update_state(ones, ones)
for _ in range(100):
    acc.update_state([[0.0]], [[1.0]])
check("BinaryAccuracy and its count after 100 wrong rows",
      (float(acc.result()), int(acc.count)), (1.0, n))
print("unchanged")
PY
