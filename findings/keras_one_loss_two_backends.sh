#!/usr/bin/env bash
# Versions: keras 3.15.1, tensorflow-cpu 2.21.0, jax 0.10.2, numpy 2.4.6.
#
# Keras binary_crossentropy(from_logits=False) clips probabilities at 1e-7. On
# the TensorFlow backend that clip is skipped whenever the probabilities still
# carry the sigmoid that made them: keras.ops.sigmoid leaves the logits on the
# tensor, and inside tf.function the loss walks back through the graph to any
# Sigmoid operation. So for logits 20 (label 0) and -30 (label 1):
#   TensorFlow, tf.sigmoid, eager           15.942, 16.118   (clipped)
#   TensorFlow, tf.sigmoid, tf.function     20.0,   30.0     (exact)
#   TensorFlow, keras.ops.sigmoid, eager    20.0,   30.0     (exact)
#   JAX, any of them                        15.942, 16.118   (clipped)
#
# On either backend the function form clips nothing in float16 or bfloat16:
# there 1 - 1e-7 rounds to 1, and a perfect prediction p = 1, y = 1 gives NaN.
# The class form BinaryCrossentropy casts to float32 first and is finite.
#
# Why it matters: the same saved model evaluates to another log loss after a
# change of backend or a wrap in tf.function; only the unclipped values agree
# with an exact log loss.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    keras==3.15.1 tensorflow-cpu==2.21.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 \
    scipy==1.17.1 absl-py==2.5.1 astunparse==1.6.3 certifi==2026.10.19.post1 \
    charset-normalizer==3.5.3 flatbuffers==25.12.19 gast==0.7.0 google-pasta==0.2.0 \
    grpcio==1.85.3 h5py==3.14.0 idna==3.20 libclang==18.1.1 markdown-it-py==4.3.0 \
    mdurl==0.1.2 ml-dtypes==0.6.0 namex==0.1.0 opt-einsum==3.4.0 optree==0.20.0 \
    packaging==26.4 protobuf==7.36.2 pygments==2.21.0 requests==2.34.2 rich==15.0.0 \
    setuptools==65.5.0 six==1.17.0 termcolor==3.3.0 typing-extensions==4.16.0 urllib3==2.8.0 \
    wheel==0.48.0 wrapt==2.5.2
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import json
import os
import subprocess

CODE = r"""
import json, os
import numpy as np
import keras
x = np.array([[20.0], [-30.0]], np.float32)
y = np.array([[0.0], [1.0]], np.float32)
out = {}
if keras.backend.backend() == "tensorflow":
    import tensorflow as framework
    plain, wrap = framework.sigmoid, framework.function
else:
    import jax as framework
    plain, wrap = framework.nn.sigmoid, framework.jit
for name, sigmoid in (("own sigmoid", plain), ("keras.ops.sigmoid", keras.ops.sigmoid)):
    f = lambda v: keras.losses.binary_crossentropy(y, sigmoid(v))
    for mode, g in (("eager", f), ("compiled", wrap(f))):
        v = keras.ops.convert_to_tensor(x)
        out[f"{name}, {mode}"] = [round(float(r), 3) for r in np.asarray(g(v))]
one = np.array([[1.0]], np.float32)
for dtype in ("float16", "bfloat16", "float32"):
    p = keras.ops.cast(one, dtype)
    r = keras.losses.binary_crossentropy(p, p)
    out[f"{dtype}, p = y = 1, function"] = repr(round(float(keras.ops.cast(r, "float32")[0]), 6))
    out[f"{dtype}, p = y = 1, class"] = repr(
        round(float(keras.losses.BinaryCrossentropy()(p, p)), 6))
print("RESULT" + json.dumps(out))
"""


def run(backend):
    env = dict(os.environ, KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3", JAX_PLATFORMS="cpu",
               CUDA_VISIBLE_DEVICES="", KERAS_HOME=os.getcwd())
    done = subprocess.run([sys.executable, "-c", CODE], env=env, text=True, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = [r for r in done.stdout.splitlines() if r.startswith("RESULT")][0]
    return json.loads(line[len("RESULT"):])


clipped, exact = [15.942, 16.118], [20.0, 30.0]
results = {b: run(b) for b in ("tensorflow", "jax")}
for backend, first in (("tensorflow", [clipped, exact, exact, exact]), ("jax", [clipped] * 4)):
    names = [f"{s}, {m}" for s in ("own sigmoid", "keras.ops.sigmoid")
             for m in ("eager", "compiled")]
    for name, want in zip(names, first):
        check(f"{backend}: {name}", results[backend][name], want)
    for dtype, want in (("float16", "nan"), ("bfloat16", "nan"), ("float32", "0.0")):
        check(f"{backend}: {dtype} function", results[backend][f"{dtype}, p = y = 1, function"],
              want)
        check(f"{backend}: {dtype} class", results[backend][f"{dtype}, p = y = 1, class"], "0.0")
print("unchanged")
PY
