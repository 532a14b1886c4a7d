#!/usr/bin/env bash
# Versions: chdb 4.4.0 with chdb-core 26.9.0 (ClickHouse 26.9 in process),
# numpy 2.4.6.
#
# ClickHouse's output format Npy writes .npy files of format version 3.0 (a
# four-byte header length) for every file, with no spaces in the header and with
# '<u1' for bytes and booleans where NumPy writes '|u1' and '|b1'. NumPy itself
# writes 1.0 unless a field name needs more. A nullable column is refused.
#
# Seen: b"\x93NUMPY\x03\x00" + 4 bytes + "{'descr':'<f4','fortran_order':False,
# 'shape':(3,),}", data at byte 64.
#
# Why it matters: a reader that knows versions 1.0 and 2.0 only, that looks for
# "'descr': " with its space, or that knows '|u1' only for labels, fails on valid
# files that NumPy opens.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/site" \
    chdb==4.4.0 chdb-core==26.9.0 numpy==2.4.6 pandas==3.1.1 python-dateutil==4.0.0 \
    six==1.17.0 tzdata==2026.6 pyarrow==26.0.1
cd "$work"
PYTHONPATH="$work/site" python3 - <<'PY'
import sys


def check(what, got, want):
    print(f"{what}: {got!r}")
    if repr(got) != repr(want):
        sys.exit(f"CHANGED: {what}: expected {want!r}")


import chdb
import numpy as np


def write(expression, name):
    chdb.query(f"select {expression} as v from numbers(3) into outfile '{name}' format Npy")
    return open(name, "rb").read()


def header(raw):
    size = int.from_bytes(raw[8:12], "little")
    return (raw[6], raw[7]), raw[12:12 + size].decode().rstrip(), 12 + size


end = "'fortran_order':False,'shape':(3,),}"
check("Float32", header(write("toFloat32(number / 4)", "p.npy")),
      ((3, 0), "{'descr':'<f4'," + end, 64))
check("UInt8", header(write("number > 1", "y.npy")), ((3, 0), "{'descr':'<u1'," + end, 64))
check("Bool", header(write("toBool(number > 1)", "b.npy")), ((3, 0), "{'descr':'<u1'," + end, 64))
check("NumPy reads them", [np.load(f).tolist() for f in ("p.npy", "y.npy", "b.npy")],
      [[0.0, 0.25, 0.5], [0, 0, 1], [0, 0, 1]])
np.save("own.npy", np.zeros(3, np.uint8))
own = open("own.npy", "rb").read()
check("NumPy's own version and type", (own[6], own[7], b"'descr': '|u1'" in own), (1, 0, True))
try:
    write("toNullable(toFloat32(number))", "n.npy")
    refused = False
except Exception as e:
    refused = "not supported for Npy" in str(e)
check("a nullable column is refused", refused, True)
print("unchanged")
PY
