#!/usr/bin/env bash
# Versions: paddlepaddle 3.3.1 (CPU), numpy 2.4.6.
#
# In PaddlePaddle the gradient of binary_cross_entropy_with_logits is wrong at a
# logit of exactly 0 (+0.0 and -0.0, float32 and float64): label 0 gives -0.5 in
# place of +0.5 and label 1 gives -1.5 in place of -0.5, one whole unit too low.
# One float away from 0 it is right. The loss itself is right. With a pos_weight
# of 1 the gradient is right too. A guess from memory would be sigmoid(x) - y.
#
# Seen: logits [-1e-06, 0, -0.0, 1e-06], label 0: gradients about
# [0.5, -0.5, -0.5, 0.5]; label 1: [-0.5, -1.5, -1.5, -0.5].
#
# Why it matters: a model whose weights start at zero has every logit at 0, so
# its first step on all-negative data goes the wrong way; a check of another
# loss's gradients against this one fails at exactly that point, and the other
# one is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    paddlepaddle==3.3.1 numpy==2.4.6 anyio==4.16.0 certifi==2026.10.19.post1 h11==0.16.0 \
    httpcore==1.0.9 httpx==0.28.1 idna==3.20 networkx==3.6.1 opt-einsum==3.3.0 \
    pillow==13.0.0 protobuf==7.36.2 safetensors==0.8.0 typing-extensions==4.16.0
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
import paddle
import paddle.nn.functional as F

paddle.set_device("cpu")


def gradient(logits, label, dtype="float32", **more):
    z = paddle.to_tensor(np.array(logits), dtype=dtype, stop_gradient=False)
    y = paddle.full(z.shape, label, dtype=dtype)
    loss = F.binary_cross_entropy_with_logits(z, y, reduction="sum", **more)
    loss.backward()
    return [round(float(g), 4) for g in z.grad.numpy()], round(float(loss) / len(logits), 4)


near = [-1e-6, 0.0, -0.0, 1e-6]
check("label 0: gradients, mean loss", gradient(near, 0.0), ([0.5, -0.5, -0.5, 0.5], 0.6931))
check("label 1: gradients, mean loss", gradient(near, 1.0), ([-0.5, -1.5, -1.5, -0.5], 0.6931))
check("float64, label 0", gradient([0.0], 0.0, "float64"), ([-0.5], 0.6931))
one = paddle.to_tensor([1.0])
check("label 0 with pos_weight 1", gradient([0.0], 0.0, pos_weight=one), ([0.5], 0.6931))

layer = paddle.nn.Linear(1, 1)
with paddle.no_grad():
    layer.weight.set_value(paddle.zeros([1, 1]))
    layer.bias.set_value(paddle.zeros([1]))
out = layer(paddle.ones([4, 1]))
paddle.nn.BCEWithLogitsLoss()(out, paddle.zeros([4, 1])).backward()
check("bias gradient of a zero model on labels that are all 0",
      [float(g) for g in layer.bias.grad.numpy()], [-0.5])
print("unchanged")
PY
