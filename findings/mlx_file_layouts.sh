#!/usr/bin/env bash
# Versions: mlx 0.32.4 with mlx-cpu 0.32.4, numpy 2.4.6, safetensors 0.8.0.
#
# MLX writes valid but unusual files:
# 1. Every 1-D .npy says 'fortran_order': True (both orders are the same in 1-D),
#    the header has a space after the shape's comma, and it is padded to no
#    multiple of 64: the data of 5 float32 begin at byte 70, so a memory-mapped
#    float32 is not aligned to 4 bytes. NumPy always pads to 64.
# 2. Its .safetensors carry "__metadata__": null, and neither the header is padded
#    nor are wide types put first (safetensors does both), so float32 data may
#    begin at an odd byte. safetensors reads it all the same.
#
# Seen: data offsets 70 (5 rows), 76 (1000 rows), 84 (12345678 rows); float32
# tensor at file byte 137 behind a one-byte boolean tensor.
#
# Why it matters: a reader that refuses Fortran order even for one dimension, or
# that maps the file and casts the bytes to a float slice (in Rust that panics or
# is refused), fails on files that NumPy and safetensors open without a word.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    mlx==0.32.4 mlx-cpu==0.32.4 numpy==2.4.6 safetensors==0.8.0
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import json

import mlx.core as mx
import numpy as np
from safetensors.numpy import load_file

mx.set_default_device(mx.cpu)
for rows, start in ((5, 70), (1000, 76)):
    mx.save("p.npy", mx.full((rows,), 0.25))
    head = open("p.npy", "rb").read(128)
    data = 10 + int.from_bytes(head[8:10], "little")
    text = head[10:data].decode().rstrip()
    check(f"{rows} rows: header", text,
          "{'descr': '<f4', 'fortran_order': True, 'shape': (%d, )}" % rows)
    check(f"{rows} rows: first data byte", data, start)
    check(f"{rows} rows: values by NumPy", np.unique(np.load("p.npy")).tolist(), [0.25])
mx.save("p.npy", mx.full((5,), 0.25))
check("mapped float32 is aligned", bool(np.load("p.npy", mmap_mode="r").flags.aligned), False)
np.save("q.npy", np.full(5, 0.25, np.float32))
check("the same by NumPy", bool(np.load("q.npy", mmap_mode="r").flags.aligned), True)

mx.save_safetensors("a.safetensors", {"p": mx.array([0.25, 0.5]), "y": mx.array([True])})
raw = open("a.safetensors", "rb").read()
size = int.from_bytes(raw[:8], "little")
header = json.loads(raw[8:8 + size])
check("metadata entry", "__metadata__" in header and header["__metadata__"], None)
start = 8 + size + header["p"]["data_offsets"][0]
check("file byte of the float32 tensor, modulo 4", start % 4, 1)
got = load_file("a.safetensors")
check("safetensors reads it", (got["p"].tolist(), got["y"].tolist()), ([0.25, 0.5], [True]))
print("unchanged")
PY
