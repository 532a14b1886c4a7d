#!/usr/bin/env bash
# Versions: ml-dtypes 0.6.0, numpy 2.4.6, safetensors 0.8.0.
#
# 1. np.save of ml_dtypes float8_e5m2 writes the type '<f1' and np.load refuses
#    the file it wrote. Every sibling (float8_e4m3fn, float8_e5m2fnuz,
#    float8_e8m0fnu, ...) is written as '<V1' and loads as raw bytes. The 4-bit
#    and 6-bit types are also '<V1': one whole byte for each element.
# 2. safetensors.numpy.save writes BF16 and the F8 types, but
#    safetensors.numpy.load of those very bytes raises KeyError('BF16').
#
# A guess from memory would be '<V1' for all the eight-bit types, and that a
# library reads what it wrote.
#
# Why it matters: '<f1' in a .npy header names one type only, float8_e5m2, and
# can be read exactly; '<V1' is any of a dozen types and has to be named by the
# user. And people who cannot load their BF16 files with safetensors.numpy will
# look for a tool that does.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    ml-dtypes==0.6.0 safetensors==0.8.0 numpy==2.4.6
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import io

import ml_dtypes
import numpy as np
from safetensors.numpy import load, save


def saved(name):
    buffer = io.BytesIO()
    np.save(buffer, np.array([0.5, 1.0], getattr(ml_dtypes, name)))
    raw = buffer.getvalue()
    descr = raw.split(b"'descr': '")[1].split(b"'")[0].decode()
    buffer.seek(0)
    try:
        back = str(np.load(buffer).dtype)
    except ValueError:
        back = "refused"
    return descr, len(raw) - 128, back


check("float8_e5m2: type, data bytes, np.load", saved("float8_e5m2"), ("<f1", 2, "refused"))
for name in ("float8_e4m3fn", "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn",
             "float4_e2m1fn"):
    check(name, saved(name), ("<V1", 2, "|V1"))


def again(name):
    raw = save({"p": np.array([0.5, 1.0], getattr(ml_dtypes, name))})
    try:
        return str(load(raw)["p"].dtype)
    except KeyError as e:
        return f"KeyError {e}"


check("safetensors.numpy, bfloat16", again("bfloat16"), "KeyError 'BF16'")
check("safetensors.numpy, float8_e4m3fn", again("float8_e4m3fn"), "KeyError 'F8_E4M3'")
half = load(save({"p": np.array([0.5, 1.0], np.float16)}))["p"]
check("safetensors.numpy, float16", str(half.dtype), "float16")
print("unchanged")
PY
