#!/usr/bin/env bash
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, scipy 1.17.1 (CPU provider).
#
# ONNX Runtime's CPU Sigmoid operator on float32 returns exactly 0.0 for every
# input of -18 or less. At -17 it is more than twice the true value. The double
# version returns 0.0 at -50, where the true value is 1.9e-22. Softplus in the
# same runtime keeps all of these. A guess from memory would be "right to a few
# units in the last place, zero only below about -88".
#
# Seen: Sigmoid(-17) = 8.940697e-08 (true 4.139938e-08), Sigmoid(-18) = 0.0
# (true 1.522998e-08), Sigmoid(+17) = 0.9999998807907104, Sigmoid(+18) = 1.0,
# Softplus(-50) = 1.928750e-22.
#
# Why it matters: probabilities exported from a served model hold exact zeros and
# ones from |logit| = 18 on, so one wrong row makes the exact binary cross-entropy
# infinite where it should be 18, and rows near 1e-7 are off by a factor of two.
# Ask for logits from the model, not for probabilities.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 scipy==1.17.1 ml-dtypes==0.6.0 \
    protobuf==7.36.2 flatbuffers==25.12.19 packaging==26.4 typing-extensions==4.16.0
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper
from scipy.special import expit


def run(op, values, kind):
    node = helper.make_node(op, ["x"], ["y"])
    io = [helper.make_tensor_value_info(n, kind, [len(values)]) for n in "xy"]
    graph = helper.make_graph([node], "g", io[:1], io[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    opts = ort.SessionOptions()
    opts.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), opts, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]


low = np.array([-17, -18, -19, -20, -50, -80], np.float32)
got = run("Sigmoid", low, TensorProto.FLOAT)
true = expit(low.astype(np.float64))
print("true values:", true.tolist())
check("float32 Sigmoid at -18, -19, -20, -50, -80", got[1:].tolist(), [0.0] * 5)
check("smallest of the true values is a normal float32",
      bool(true.min() > np.finfo(np.float32).tiny), True)
check("float32 Sigmoid at -17 over the true value, to 2 digits",
      round(float(got[0] / true[0]), 2), 2.16)
high = run("Sigmoid", -low[:2], TensorProto.FLOAT)
check("float32 Sigmoid at 17 and 18", high.tolist(), [0.9999998807907104, 1.0])
double = run("Sigmoid", np.array([-50.0]), TensorProto.DOUBLE)
check("double Sigmoid at -50", double.tolist(), [0.0])
soft = run("Softplus", np.array([-50.0], np.float32), TensorProto.FLOAT)
check("float32 Softplus at -50", f"{soft[0]:.3e}", "1.929e-22")
with np.errstate(divide="ignore"):
    check("loss of label 1 at logit -18 from the Sigmoid", float(-np.log(got[1])), float("inf"))
print("unchanged")
PY
