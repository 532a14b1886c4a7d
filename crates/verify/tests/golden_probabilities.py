"""Writes golden_probabilities.csv: 1,500 points of binary cross-entropy of a probability, from 60-digit arithmetic,
rounded once to f64. Needs mpmath. Columns: probability and target as the bits of an f32 (hexadecimal), loss,
derivative with respect to the probability, second derivative."""
import random
import struct

from mpmath import mp, mpf

mp.dps = 60
random.seed(20261122)


def value(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def bits(number):
    return struct.unpack("<I", struct.pack("<f", number))[0]


ONE = bits(1.0)


def probability():
    kind = random.randrange(4)
    if kind == 0:  # any exponent, including subnormal values
        return random.randrange(1, ONE)
    if kind == 1:  # uniform
        return bits(random.random()) or 1
    if kind == 2:  # near 1
        return ONE - random.randrange(1, 1 << random.randrange(1, 24))
    return bits(2.0 ** -random.randrange(1, 127))


def target():
    kind = random.randrange(4)
    if kind < 2:
        return [0, ONE][kind]
    if kind == 2:
        return bits(random.random())
    return random.choice([bits(2.0 ** -random.randrange(1, 149)), ONE - (1 << random.randrange(0, 23))])


rows = ["p_bits,z_bits,loss,gradient,hessian"]
for _ in range(1500):
    p_bits, z_bits = probability(), target()
    p, z = mpf(value(p_bits)), mpf(value(z_bits))
    loss = -(1 - z) * mp.log(1 - p) - z * mp.log(p)
    gradient = (1 - z) / (1 - p) - z / p
    hessian = (1 - z) / (1 - p) ** 2 + z / p**2
    rows.append(f"{p_bits:08x},{z_bits:08x},{float(loss)!r},{float(gradient)!r},{float(hessian)!r}")
with open("golden_probabilities.csv", "w") as file:
    file.write("\n".join(rows) + "\n")
