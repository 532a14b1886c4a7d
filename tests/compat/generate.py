"""Writes the tables of values computed by the real libraries (see README.md).

    python generate.py            all seven files
    python generate.py torch ...  only these

Every case is also computed in 50-digit arithmetic from the conventions of the library in `oracle`. The run stops at a
case that differs from it by more than the tolerance of its file and is not marked `tails`, so the conventions that
README.md states are those of the libraries. Needs requirements.txt; shares nothing with the Rust code.
"""
import json
import os
import struct
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

os.environ.update(
    CUDA_VISIBLE_DEVICES="", KERAS_BACKEND="tensorflow", OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0"
)

import numpy as np
from mpmath import mp, mpf

mp.dps = 50
HERE = Path(__file__).resolve().parent
NAN = float("nan")


def f32(value):
    """The f32 nearest to value, as a Python float."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


# Inputs: dyadic numbers of few digits and a few f32 values with all digits, the same in every file. ------------------------------

LOGITS = [0.5, -0.25, 1.75, -3.0, 0.015625, -0.8125, 2.5, -5.25, 4.0, -1.125, 7.5, -9.75, f32(0.1), f32(-2.7), f32(11.3), f32(-6.6)]
HARD = [1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0]
SOFT = [0.25, 0.75, 0.0, 1.0, 0.5, f32(0.9), 0.125, f32(0.1), 0.625, 0.0, 1.0, f32(0.3), 0.875, 0.5, f32(0.99), 0.0625]
PROBABILITIES = [0.25, 0.75, 0.5, 0.125, 0.9375, f32(0.1), f32(0.9), 0.015625, 0.984375, f32(0.3), f32(0.7), f32(1e-3), f32(0.999), 0.375, 0.625, f32(0.05)]
WEIGHTS = [2.0, 0.5, 1.25, 3.0, 0.0, 0.75, 4.0, 1.0, 0.125, 2.5, 1.5, 0.25, 6.0, 0.0, 1.0, 0.375]
# Probabilities that are no f32: of real models (LightGBM, naive Bayes), so close to 0 or 1 that f32 cannot tell, and others.
CONFIDENT = [1 - 1e-7, 0.999999999, 1 - 1e-12, 1 - 2.0**-53, 1e-300, 1e-40, 1e-17, 1e-12, 1 / 3, 0.9]
ONE_DOWN, TWO_DOWN, THREE_DOWN = (1 - k * 2.0**-24 for k in (1, 2, 3))


# The conventions, in 50 digits ----------------------------------------------------------------------------------------

TORCH_EPSILON = mpf(f32(1e-12))  # a float constant in the C++ code, also for double
KERAS_LOW = {"float32": mpf(f32(1e-7)), "float64": mpf(1e-7)}
KERAS_HIGH = {"float32": mpf(TWO_DOWN), "float64": mpf(1 - 1e-7)}  # 1 - 1e-7 rounds to 1 - 2^-23 in f32
EPSILON = {"float32": mpf(2) ** -23, "float64": mpf(2) ** -52}
METRIC_CLIP = {"xgboost": mpf("1e-16"), "lightgbm": mpf("1e-15")}


def softplus(x):
    return max(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def of_logit(x, z, q, focal):
    """The unweighted loss and its first and second derivative with respect to x."""
    if focal is None:
        s = sigmoid(x)
        rest = sigmoid(-x)
        return (1 - z) * softplus(x) + q * z * softplus(-x), (1 - z) * s - q * z * rest, (1 - z + q * z) * s * rest
    gamma, alpha = focal
    alpha = mpf(1) if alpha is None else z * alpha + (1 - z) * (1 - alpha)

    def loss(t):
        u = z * sigmoid(-t) + (1 - z) * sigmoid(t)  # 1 - p_t
        return alpha * u**gamma * ((1 - z) * softplus(t) + z * softplus(-t))

    s, c = sigmoid(x), 2 * z - 1
    u, b = z * sigmoid(-x) + (1 - z) * s, (1 - z) * softplus(x) + z * softplus(-x)
    b1, b2 = (1 - z) * s - z * sigmoid(-x), s * sigmoid(-x)
    u1, u2 = -c * b2, -c * b2 * (sigmoid(-x) - s)
    v, v1 = u**gamma, gamma * u ** (gamma - 1) * u1
    v2 = gamma * (gamma - 1) * u ** (gamma - 2) * u1**2 + gamma * u ** (gamma - 1) * u2
    first, second = alpha * (v1 * b + v * b1), alpha * (v2 * b + 2 * v1 * b1 + v * b2)
    for order, closed in ((1, first), (2, second)):
        numeric = mp.diff(loss, x, order)
        assert abs(numeric - closed) <= mpf("1e-25") * (abs(closed) + mpf("1e-20")), (x, z, gamma, order)
    return loss(x), first, second


def of_probability(p, z, library, dtype, focal):
    """The unweighted loss and its first and second derivative with respect to p, clipped as the library does."""
    if library == "torch":
        logs = [max(mp.log(v), mpf(-100)) if v > 0 else mpf(-100) for v in (p, 1 - p)]
        loss = -(z * logs[0] + (1 - z) * logs[1])
        e = mpf("1e-12")
        second = (p * p - 2 * p * z + z) / ((p + e) ** 2 * (1 - p + e) ** 2)
        return loss, (p - z) / max(p * (1 - p), TORCH_EPSILON), second
    if library == "keras":
        low, high = KERAS_LOW[dtype], KERAS_HIGH[dtype]
    elif library == "sklearn":
        low, high = EPSILON[dtype], 1 - EPSILON[dtype]
    else:
        low, high = METRIC_CLIP[library], 1 - METRIC_CLIP[library]
    inside = low <= p <= high
    r = min(max(p, low), high)
    bce, first, second = -z * mp.log(r) - (1 - z) * mp.log(1 - r), (1 - z) / (1 - r) - z / r, (1 - z) / (1 - r) ** 2 + z / r**2
    if focal is None:
        return (bce, first, second) if inside else (bce, mpf(0), mpf(0))
    gamma, alpha = focal  # Keras computes p_t from the p that is not clipped
    alpha = mpf(1) if alpha is None else z * alpha + (1 - z) * (1 - alpha)
    u, u1 = z * (1 - p) + (1 - z) * p, 1 - 2 * z
    return alpha * u**gamma * bce, alpha * (gamma * u ** (gamma - 1) * u1 * bce + u**gamma * (first if inside else 0)), None


def oracle(case):
    """The results of a case by the conventions of its library: value, loss, gradient, hessian."""
    library, o, classes, dtype = case["mode"], case["options"], case["classes"], case["dtype"]
    kept, losses, firsts, seconds, weights = [], [], [], [], []
    focal = None if o["focal_gamma"] is None else (mpf(o["focal_gamma"]), None if o["focal_alpha"] is None else mpf(o["focal_alpha"]))
    for i, (x, label) in enumerate(zip(case["predictions"], case["targets"])):
        x = f32(x) if library == "xgboost" else x  # the only type that it has
        w = mpf(1)
        if case["weights"] is not None:
            w *= mpf(case["weights"][i // classes if case["weights_shape"] == "N" else i])
        if o["class_weights"] is not None:
            w *= mpf(o["class_weights"][i % classes])
        kept.append(o["ignore_label"] is None or label != o["ignore_label"])
        weights.append(w)
        if not kept[-1]:
            losses.append(mpf(0)), firsts.append(mpf(0)), seconds.append(mpf(0))
            continue
        z = mpf(1 if label > 0 else 0) if library == "lightgbm" else mpf(label)
        if o["label_smoothing"]:
            z = z * (1 - mpf(o["label_smoothing"])) + mpf(o["label_smoothing"]) / 2
        q = mpf(1)
        if o["pos_weight"] is not None:
            q = mpf(o["pos_weight"][i % classes if len(o["pos_weight"]) > 1 else 0])
            if library == "xgboost" and label != 1:
                q = mpf(1)
        scale = w
        if case.get("resolved_label_weights") is not None:
            scale *= mpf(case["resolved_label_weights"][1 if label > 0 else 0])
        if o["form"] == "logits":
            a = of_logit(mpf(x), z, q, focal)
            if library == "xgboost":  # the metric clips; the objective bounds the hessian from below
                clipped = of_probability(sigmoid(mpf(x)), z, library, dtype, None)[0]
                s = sigmoid(mpf(x)) * sigmoid(-mpf(x))
                a = clipped, a[1], max(s, mpf("1e-16")) * (q if label == 1 else 1)
            elif library == "lightgbm":
                a = of_probability(sigmoid(mpf(x)), z, library, dtype, None)[0], a[1], a[2]
        else:
            a = of_probability(mpf(x), z, library, dtype, focal)
        losses.append(scale * a[0]), firsts.append(scale * a[1]), seconds.append(None if a[2] is None else scale * a[2])
    total, count = sum(losses, mpf(0)), sum(kept)
    if library == "keras" and o["reduction"] in ("sum", "none") and classes > 1:
        denominator = classes  # Keras takes the mean over the last axis first
    else:
        denominator = {
            "sum": 1,
            "none": 1,
            "mean": count,
            "weighted-mean": sum((w for w, k in zip(weights, kept) if k), mpf(0)),
            "sum-by-nonzero-weights": sum(1 for w in weights if w != 0),
        }[o["reduction"]]
    if denominator == 0:
        empty = 0.0 if library in ("keras", "xgboost") or case["dtype"] == "v1" else NAN
        value, factor = empty, mpf(0)
    else:
        value, factor = total / denominator, 1 / mpf(denominator)
    return {
        "value": None if o["reduction"] == "none" else value,
        "loss": losses if case["loss_shape"] == "NC" else [sum(losses[r : r + classes]) / classes for r in range(0, len(losses), classes)],
        "gradient": [factor * v for v in firsts],
        "hessian": [None if v is None else factor * v for v in seconds],
    }


def deviation(got, want):
    """The absolute difference of a library's number from the oracle's."""
    if isinstance(want, float) and want != want:
        return mpf(0) if got != got else mp.inf
    return abs(mpf(got) - mpf(want))


# A case and a file ----------------------------------------------------------------------------------------------------

DEFAULTS = {
    "form": "logits", "reduction": "mean", "pos_weight": None, "label_weights": None, "label_smoothing": 0.0,
    "class_weights": None, "focal_gamma": None, "focal_alpha": None, "ignore_label": None,
}


def make(name, predictions, targets, expected, *, call, classes=1, weights=None, weights_shape=None, dtype="float64", loss_shape="NC", note=None, tails=None, resolved=None, **options):
    """One case. `expected` has the results of the library: value, loss, gradient, hessian, message."""
    assert not set(options) - set(DEFAULTS), options
    predictions, targets = [float(v) for v in predictions], [float(v) for v in targets]
    weights = None if weights is None else [float(v) for v in weights]
    wide = options.get("form") == "probabilities" and "confident" in name
    for values in ([] if wide else predictions, targets, weights or []):
        for v in values:
            assert v != v or v == f32(v), (name, v)
    if weights is not None and weights_shape is None:
        weights_shape = "N"
    case = {"name": name, "call": call, "dtype": dtype, "options": {**DEFAULTS, **options}, "classes": classes}
    case.update(predictions=predictions, targets=targets, weights=weights, weights_shape=weights_shape, loss_shape=loss_shape)
    if resolved is not None:
        case["resolved_label_weights"] = resolved
    full = dict.fromkeys(("value", "loss", "gradient", "hessian"))
    for key, v in expected.items():
        if v is not None and key != "message" and not isinstance(v, str):
            v = np.asarray(v, np.float64)
            v = float(v) + 0.0 if v.ndim == 0 else [float(n) + 0.0 for n in v.ravel()]
        full[key] = v
    case["expected"] = full
    if tails:
        case.update(tails=True, reason=tails)
    if note:
        case["note"] = note
    return case


def plain(value):
    """A value for JSON, with NaN and the infinities as strings."""
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return "nan" if value != value else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def write(file, mode, library, cases, tolerance, limits, extra=()):
    """Checks every case against the oracle and writes tests/compat/FILE."""
    worst = {}
    for case in (*cases, *extra):
        expected, o = case["expected"], case["options"]
        if expected["value"] == "error" or case.get("tails"):
            continue
        want = oracle({**case, "mode": mode})
        for key in ("value", "loss", "gradient", "hessian"):
            if expected[key] is None:
                continue
            got = expected[key] if isinstance(expected[key], list) else [expected[key]]
            right = want[key] if isinstance(want[key], list) else [want[key]]
            assert len(got) == len(right), (case["name"], key, len(got), len(right))
            limit = case.get("tolerance", tolerance)[key]
            for i, (g, r) in enumerate(zip(got, right)):
                d = deviation(g, r)
                if not d <= limit["relative"] * abs(r if r == r else 0) + limit["absolute"]:
                    raise SystemExit(f"{file}: {case['name']}: {key}[{i}] is {g!r}, the convention gives {mp.nstr(r, 20)}")
                if r == r and "tolerance" not in case:
                    rest = max(d - limit["absolute"], mpf(0))
                    w = worst.setdefault(key, [mpf(0), mpf(0)])
                    w[0] = max(w[0], rest / abs(r) if r else mpf(0))
                    w[1] = max(w[1], d if abs(r) <= 1 else mpf(0))
    head = {
        "library": library, "made_by": "tests/compat/generate.py", "mode": mode, "tolerance": tolerance,
        "measured": {k: {"relative_beyond_absolute": float(mp.nstr(a, 2)), "absolute_where_at_most_1": float(mp.nstr(b, 2))} for k, (a, b) in worst.items()},
        "limits": limits,
    }
    lines = ["{"] + [f"  {json.dumps(k)}: {json.dumps(plain(v), ensure_ascii=False)}," for k, v in head.items()]
    for title, group in (("cases", cases), ("extra_cases", extra)):
        if title == "extra_cases" and not group:
            continue
        body = []
        for case in group:
            rows = ",\n".join(f"      {json.dumps(k)}: {json.dumps(plain(v), allow_nan=False, ensure_ascii=False)}" for k, v in case.items())
            body.append("    {\n" + rows + "\n    }")
        last = title == "extra_cases" or not extra
        lines.append(f'  "{title}": [\n' + ",\n".join(body) + ("\n  ]" if last else "\n  ],"))
    text = "\n".join(lines) + "\n}\n"
    json.loads(text)
    (HERE / file).write_text(text)
    names = [c["name"] for c in (*cases, *extra)]
    assert len(set(names)) == len(names), names
    print(f"{file}: {len(cases)} cases, {len(extra)} extra, {len(text)} bytes; worst {head['measured']}", flush=True)


def tolerances(value, loss, gradient, hessian):
    return {k: {"relative": r, "absolute": a} for k, (r, a) in dict(value=value, loss=loss, gradient=gradient, hessian=hessian).items()}


def failure(call):
    """The expected result of a case in which `call` raises an exception, with its message."""
    try:
        result = call()
    except Exception as e:  # noqa: BLE001 - any exception of the library is the expected result
        return {"value": "error", "message": f"{type(e).__name__}: {str(e).splitlines()[0]}"[:300]}
    raise SystemExit(f"expected an error, got {result!r}")


# PyTorch --------------------------------------------------------------------------------------------------------------


def torch_file():
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    cases = []

    def tensor(values, classes, dtype=torch.float64):
        return torch.tensor(values, dtype=dtype).reshape(-1, classes)

    def case(name, predictions, targets, *, form="logits", reduction="mean", classes=1, weights=None, weights_shape=None, ignore=None, hessian=True, **rest):
        x = tensor(predictions, classes).requires_grad_()
        y = tensor(targets, classes)
        keywords, o = {}, {k: rest[k] for k in ("pos_weight", "class_weights") if k in rest}
        w = None
        if weights is not None:
            w = torch.tensor(weights, dtype=torch.float64).reshape(-1, 1 if (weights_shape or "N") == "N" else classes)
        if "class_weights" in o:
            w = torch.tensor(o["class_weights"], dtype=torch.float64)
        if "pos_weight" in o:
            keywords["pos_weight"] = torch.tensor(o["pos_weight"], dtype=torch.float64)
        f = F.binary_cross_entropy_with_logits if form == "logits" else F.binary_cross_entropy
        if ignore is None:
            a, b, c = x, y, None if w is None else w
        else:
            keep = y != ignore
            a, b, c = x[keep], y[keep], None if w is None else w.expand_as(x)[keep]
        value = f(a, b, weight=c, reduction=reduction, **keywords)
        elements = f(a, b, weight=c, reduction="none", **keywords).detach()
        loss = elements if ignore is None else torch.zeros_like(y).masked_scatter(keep, elements)
        (g,) = torch.autograd.grad(value.sum(), x, create_graph=hessian)
        h = torch.autograd.grad(g.sum(), x)[0] if hessian and x.numel() else None
        expected = {
            "value": None if reduction == "none" else value.item(), "loss": loss.numpy(), "gradient": g.detach().numpy(),
            "hessian": (h.numpy() if h is not None else np.zeros(0)) if hessian else None,
        }
        call = f"F.{f.__name__}(x, y, reduction={reduction!r}" + "".join(f", {k}" for k in [*(["weight"] if w is not None else []), *keywords]) + ")"
        call = call if ignore is None else call.replace("(x, y", "(x[y != 255], y[y != 255]")
        note, tails = rest.get("note"), rest.get("tails")
        cases.append(make(name, predictions, targets, expected, call=call, form=form, reduction=reduction, classes=classes, weights=weights, weights_shape=weights_shape, ignore_label=ignore, note=note, tails=tails, **o))

    x, p, w = LOGITS, PROBABILITIES, WEIGHTS
    x15, s15, w5, w15 = x[:15], SOFT[:15], w[:5], w[:15]
    for r in ("mean", "sum", "none"):
        case(f"logits_{r}", x, HARD, reduction=r)
        case(f"logits_soft_weighted_{r}", x, SOFT, weights=w, reduction=r, note="mean divides by the number of elements, not by the sum of the weights" if r == "mean" else None)
    case("logits_pos_weight_scalar_mean", x, HARD, pos_weight=[3.0])
    case("logits_pos_weight_scalar_soft_weighted_mean", x, SOFT, pos_weight=[0.25], weights=w)
    case("logits_pos_weight_per_class_mean", x15, s15, classes=3, pos_weight=[3.0, 0.5, 1.25])
    case("logits_pos_weight_per_class_weight_per_element_sum", x15, s15, classes=3, pos_weight=[3.0, 0.5, 1.25], weights=w15, weights_shape="NC", reduction="sum")
    case("logits_weight_per_sample_of_rows_mean", x15, s15, classes=3, weights=w5, note="weight given as [N, 1]; ÷ N·C")
    case("logits_class_weights_mean", x15, s15, classes=3, class_weights=[2.0, 0.5, 0.0], pos_weight=[1.0, 4.0, 2.0], note="weight given as [C]; ÷ N·C")
    case("logits_zero_weights_mean", x[:4], HARD[:4], weights=[0.0] * 4, note="0, not NaN")
    for form in ("logits", "probabilities"):
        for r in ("mean", "sum", "none"):
            case(f"{form}_empty_{r}", [], [], form=form, reduction=r)
    ignored = [255.0 if i % 3 == 1 else v for i, v in enumerate(HARD)]
    case("logits_ignored_mean", x, ignored, ignore=255, note="PyTorch has no ignore index here; the user's idiom is boolean indexing")
    case("logits_ignored_weighted_mean", x, ignored, ignore=255, weights=w)
    case("logits_all_ignored_mean", x[:3], [255.0] * 3, ignore=255)
    case("logits_all_ignored_sum", x[:3], [255.0] * 3, ignore=255, reduction="sum")
    for r in ("mean", "sum", "none"):
        case(f"probabilities_{r}", p, HARD, form="probabilities", reduction=r)
    case("probabilities_soft_weighted_mean", p, SOFT, form="probabilities", weights=w)
    case("probabilities_soft_weighted_sum", p, SOFT, form="probabilities", weights=w, reduction="sum")
    edge = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    edge_y = [0.0, 1.0, 0.0, 1.0, 0.25, 0.25]
    case("probabilities_zero_and_one_none", edge, edge_y, form="probabilities", reduction="none", hessian=False, note="logs at -100; gradient (p - y) / max(p(1 - p), 1e-12), so 0 where p = y")
    case("probabilities_zero_and_one_weighted_mean", edge, edge_y, form="probabilities", weights=[1.0, 2.0, 0.5, 4.0, 0.25, 0.0], hessian=False)
    tiny = [f32(1e-20), 2.0**-126, 2.0**-149, f32(1e-13), f32(1e-11), f32(1e-12), ONE_DOWN, ONE_DOWN, f32(1e-38)]
    case("probabilities_next_to_zero_and_one_none", tiny, [1, 1, 1, 1, 1, 0, 0, 1, 0.5], form="probabilities", reduction="none", hessian=False, note="2^-149 has a log of -103.28, clamped at -100")
    case("probabilities_zero_and_one_hessian", edge, edge_y, form="probabilities", reduction="none", tails="second derivative is PyTorch's own formula (p² - 2py + y) / ((p + 1e-12)²(1 - p + 1e-12)²), not the derivative of its clamped gradient")
    for r in ("mean", "none"):
        case(f"probabilities_confident_{r}", CONFIDENT * 2, [0] * 10 + [1] * 10, form="probabilities", reduction=r, hessian=False)
    far = [17.0, -17.0, 20.0, -20.0, 40.0, -40.0, 100.0, -100.0]
    case("logits_far_out", far + far, [0] * 8 + [1] * 8, reduction="none", tails="loss 0 at z = 0, x < -37; gradient 0 at z = 1, x > 37; the second derivative is 0 at x > 37 (float64; in float32 from 17)")
    for name, a, b in (("probability_above_one", [1.5, 0.5], [1.0, 0.0]), ("probability_nan", [NAN, 0.5], [1.0, 0.0]), ("target_above_one", [0.5, 0.5], [1.5, 0.0])):
        message = failure(lambda: F.binary_cross_entropy(tensor(a, 1), tensor(b, 1)))
        cases.append(make(name, a, b, message, call="F.binary_cross_entropy(x, y)", form="probabilities"))
    write(
        "torch.json", "torch", "torch " + version("torch").split("+")[0], cases,
        tolerances((1e-14, 1e-15), (1e-13, 3e-16), (1e-13, 2e-15), (1e-9, 1e-15)),
        "float64, |x| <= 12 but for the case marked tails. 1 - sigmoid and log(1 + e) lose their digits beyond: absolute errors of 1e-16. "
        "Hessians of probabilities: PyTorch adds 1e-12 to p and to 1 - p, so 1e-9 relative at the p here. binary_cross_entropy_with_logits accepts targets outside [0, 1] and x = ±inf gives NaN.",
    )


# Keras ----------------------------------------------------------------------------------------------------------------


def keras_file():
    import keras
    import tensorflow as tf

    assert keras.backend.backend() == "tensorflow" and keras.config.epsilon() == 1e-7
    names = {"mean": "sum_over_batch_size", "sum": "sum", "none": "none", "weighted-mean": "mean_with_sample_weight"}
    cases = []

    def case(name, predictions, targets, *, form="logits", reduction="mean", classes=1, weights=None, dtype="float64", ignore=None, smoothing=0.0, gamma=None, alpha=None, note=None, tails=None):
        keywords = dict(from_logits=form == "logits", reduction=names[reduction], label_smoothing=smoothing, dtype=dtype)
        if gamma is None:
            loss_of = lambda r: keras.losses.BinaryCrossentropy(**{**keywords, "reduction": r})
        else:
            keywords.update(gamma=gamma, apply_class_balancing=alpha is not None, **({} if alpha is None else {"alpha": alpha}))
            loss_of = lambda r: keras.losses.BinaryFocalCrossentropy(**{**keywords, "reduction": r})
        x = tf.constant(np.array(predictions).reshape(-1, classes), dtype)
        y = tf.constant(np.array(targets).reshape(-1, classes), dtype)
        w = None if weights is None else tf.constant(weights, dtype)
        if ignore is not None:
            assert classes == 1
            x._keras_mask = tf.constant([v != ignore for v in targets])
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = loss_of(names[reduction])(y, x, sample_weight=w)
            g = inner.gradient(value, x)
        h = outer.gradient(g, x) if form == "logits" else None
        rows = loss_of("none")(y, x, sample_weight=w)
        if np.ndim(value) and reduction != "none":  # for an empty batch Keras returns the empty array
            value, note = None, "Keras returns an empty array for an empty batch, neither 0 nor NaN"
        if value is not None:
            value = None if reduction == "none" else value.numpy()
        expected = {"value": value, "loss": rows.numpy(), "gradient": g.numpy(), "hessian": None if h is None else h.numpy()}
        shown = ", ".join(f"{k}={v!r}" for k, v in keywords.items() if k != "dtype" and v not in (0.0, None))
        call = f"keras.losses.Binary{'Focal' if gamma is not None else ''}Crossentropy({shown}, dtype={dtype!r})(y, x{', sample_weight=w' if w is not None else ''})"
        call += " with x._keras_mask = (y != 255)" if ignore is not None else ""
        cases.append(make(name, predictions, targets, expected, call=call, form=form, reduction=reduction, classes=classes, weights=weights, dtype=dtype, ignore_label=ignore, label_smoothing=smoothing, focal_gamma=gamma, focal_alpha=alpha, loss_shape="NC" if classes == 1 else "N", note=note, tails=tails))
        if dtype == "float32":  # f32 arithmetic has a separate tolerance
            cases[-1]["tolerance"] = F32

    F32 = tolerances((1e-6, 1e-7), (1e-6, 2e-7), (1e-6, 1e-6), (1e-6, 1e-6))
    x, p, w, HARD, SOFT = (v[:12] for v in (LOGITS, PROBABILITIES, WEIGHTS, globals()["HARD"], globals()["SOFT"]))
    for r in names:
        case(f"logits_{r}", x, HARD, reduction=r)
        case(f"logits_soft_smoothed_weighted_{r}", x, SOFT, reduction=r, weights=w, smoothing=0.125)
        case(f"logits_rows_weighted_{r}", x, SOFT, classes=3, weights=w[:4], reduction=r, note="Keras takes the mean over the last axis first: loss is [N], and sum and none are 1/C of the elements' sum" if r in ("sum", "none") else None)
    for r in ("mean", "sum", "weighted-mean"):
        case(f"logits_zero_weights_{r}", x[:4], HARD[:4], weights=[0.0] * 4, reduction=r, note="0 / 0 is 0")
        case(f"logits_all_masked_{r}", x[:3], [255.0] * 3, ignore=255, reduction=r)
    ignored = [255.0 if i % 3 == 1 else v for i, v in enumerate(HARD)]
    for r in ("mean", "weighted-mean"):
        case(f"logits_masked_{r}", x, ignored, ignore=255, reduction=r, note="÷ number of elements not masked")
        case(f"logits_masked_weighted_{r}", x, ignored, ignore=255, weights=w, reduction=r, note="÷ number of elements not masked" if r == "mean" else "÷ sum of the weights not masked")
    case("logits_empty_mean", [], [], reduction="mean", tails="an empty batch is not the case 'nothing counted': Keras returns an empty array ([0, 1]) or NaN ([0]); its metric, below, gives 0")
    metric = keras.metrics.BinaryCrossentropy(from_logits=True, dtype="float64")
    cases.append(make("metric_without_samples", [], [], {"value": float(metric.result())}, call="keras.metrics.BinaryCrossentropy().result()", reduction="weighted-mean"))
    metric.update_state(np.array(HARD, float).reshape(-1, 1), np.array(x).reshape(-1, 1), sample_weight=np.array(w))
    cases.append(make("metric_weighted_mean", x, HARD, {"value": float(metric.result())}, call="keras.metrics.BinaryCrossentropy(from_logits=True, dtype='float64') with sample_weight", reduction="weighted-mean", weights=w, note="the metric divides by the sum of the weights"))
    case("probabilities_mean", p, HARD, form="probabilities", dtype="float32")
    case("probabilities_soft_smoothed_weighted_mean", p, SOFT, form="probabilities", dtype="float32", weights=w, smoothing=0.25)
    case("probabilities_rows_weighted_weighted-mean", p, SOFT, form="probabilities", dtype="float32", classes=3, weights=w[:4], reduction="weighted-mean")
    edge = [0.0, 0.0, 1.0, 1.0, ONE_DOWN, TWO_DOWN, THREE_DOWN, TWO_DOWN, f32(1e-8), f32(1e-7), f32(2e-7), f32(1e-7), 0.0, 1.0]
    edge_y = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.25, 0.25]
    case("probabilities_clipped_none", edge, edge_y, form="probabilities", dtype="float32", reduction="none", note="clip to [f32(1e-7), 1 - 2^-23]: 16.118 at p = 0, y = 1 but 15.942 at p = 1, y = 0; gradient 0 outside; at the bounds themselves TensorFlow passes it, the torch backend gives 0")
    case("probabilities_clipped_mean", edge, edge_y, form="probabilities", dtype="float32")
    case("probabilities_clipped_smoothed_none", edge, edge_y, form="probabilities", dtype="float32", reduction="none", smoothing=0.5, note="labels are smoothed, then p is clipped")
    case("probabilities_clipped_float64", edge, edge_y, form="probabilities", dtype="float64", reduction="none", note="the upper bound is 1 - 1e-7, so 16.118 at p = 1, y = 0 as well")
    case("probabilities_confident_float64", CONFIDENT * 2, [0] * 10 + [1] * 10, form="probabilities", dtype="float64", reduction="none")
    for g in (0.0, 0.5, 2.0, 5.0):
        case(f"focal_logits_gamma_{g:g}", x, HARD, gamma=g)
    case("focal_logits_alpha_none", x, SOFT, gamma=2.0, alpha=0.25, reduction="none", note="alpha weighs class 1, 1 - alpha class 0, as in Lin et al.; without apply_class_balancing alpha is not used")
    case("focal_logits_smoothed_alpha_weighted_mean", x, SOFT, gamma=2.0, alpha=0.75, smoothing=0.125, weights=w, note="p_t and alpha_t use the smoothed label")
    case("focal_probabilities_mean", p, HARD, form="probabilities", gamma=2.0, dtype="float32")
    case("focal_probabilities_smoothed_alpha_sum", p, SOFT, form="probabilities", gamma=0.5, alpha=0.25, smoothing=0.25, dtype="float32", reduction="sum")
    write(
        "keras.json", "keras", f"keras {keras.__version__} (backend tensorflow {tf.__version__})", cases,
        tolerances((1e-13, 1e-15), (1e-12, 3e-16), (1e-11, 3e-15), (1e-10, 3e-15)),
        "float64 but for the cases of dtype float32, which have their own tolerance; |x| <= 12. Focal p_t uses p before the clip: at p = y with 0 <= gamma < 1 Keras' gradient is NaN, kept out. "
        "On this backend from_logits=False of a sigmoid's own output is unwound to logits; on the torch and jax backends it is clipped.",
    )


# TensorFlow -----------------------------------------------------------------------------------------------------------


def tensorflow_file():
    import tensorflow as tf

    cases, extra = [], []
    x, w = LOGITS, WEIGHTS

    def case(name, predictions, targets, *, reduction="mean", classes=1, pos_weight=None, gradient=True, note=None, tails=None):
        t = tf.constant(np.array(predictions).reshape(-1, classes), tf.float64)
        y = tf.constant(np.array(targets).reshape(-1, classes), tf.float64)
        reduce = {"mean": tf.reduce_mean, "sum": tf.reduce_sum, "none": lambda v: v}[reduction]
        q = None if pos_weight is None else tf.constant(pos_weight, tf.float64)

        def elements():
            if q is None:
                return tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=t)
            return tf.nn.weighted_cross_entropy_with_logits(labels=y, logits=t, pos_weight=q)

        with tf.GradientTape() as outer:
            outer.watch(t)
            with tf.GradientTape() as inner:
                inner.watch(t)
                value = reduce(elements())
            g = inner.gradient(value, t)
        h = outer.gradient(g, t)
        call = "tf.nn.sigmoid_cross_entropy_with_logits(y, x)" if q is None else "tf.nn.weighted_cross_entropy_with_logits(y, x, pos_weight)"
        call = call if reduction == "none" else f"tf.reduce_{reduction}({call})"
        expected = {"value": None if reduction == "none" else value.numpy(), "loss": elements().numpy(), "gradient": g.numpy() if gradient else None, "hessian": h.numpy() if gradient else None}
        cases.append(make(name, predictions, targets, expected, call=call, reduction=reduction, classes=classes, pos_weight=pos_weight, note=note, tails=tails))

    for r in ("mean", "sum", "none"):
        case(f"sigmoid_{r}", x, HARD, reduction=r)
        case(f"weighted_soft_{r}", x, SOFT, reduction=r, pos_weight=[3.0])
        case(f"sigmoid_empty_{r}", [], [], reduction=r)
    case("sigmoid_soft_mean", x, SOFT)
    case("weighted_hard_mean", x, HARD, pos_weight=[0.25])
    case("weighted_per_class_mean", x[:15], SOFT[:15], classes=3, pos_weight=[3.0, 0.5, 1.25])
    case("sigmoid_zero", [0.0, 0.0, 0.0], [0, 1, 0.25], reduction="none")
    case("weighted_zero_loss", [0.0, 0.0, 0.0], [0, 1, 0.25], reduction="none", pos_weight=[3.0], gradient=False)
    case("weighted_zero_gradient", [0.0, 0.0, 0.0], [0, 1, 0.25], reduction="none", pos_weight=[3.0], tails="at x = 0 exactly the derivative of weighted_cross_entropy_with_logits is 1 - z (truth: (1 - z - qz)/2), from abs and relu at their kinks")
    far = [17.0, -17.0, 40.0, -40.0, 100.0, -100.0]
    case("weighted_far_out", far + far, [0] * 6 + [1] * 6, reduction="none", pos_weight=[3.0], tails="the loss is 0 at z = 0, x < -37 (1e-16 absolute before), also in float64")
    case("sigmoid_far_out", far + far, [0] * 6 + [1] * 6, reduction="none", note="right everywhere but at ±inf, where it is NaN")

    v1 = tf.compat.v1.losses
    kinds = {"mean": "SUM_OVER_BATCH_SIZE", "sum": "SUM", "weighted-mean": "MEAN", "sum-by-nonzero-weights": "SUM_BY_NONZERO_WEIGHTS"}

    def v1_case(name, predictions, targets, weights, reduction, classes=1, smoothing=0.0, note=None):
        t = tf.constant(np.array(predictions).reshape(-1, classes), tf.float32)
        y = tf.constant(np.array(targets).reshape(-1, classes), tf.float32)
        u = tf.constant(np.array(weights).reshape(-1, 1), tf.float32)
        f = lambda r: v1.sigmoid_cross_entropy(y, t, weights=u, label_smoothing=smoothing, reduction=getattr(v1.Reduction, r))
        with tf.GradientTape() as tape:
            tape.watch(t)
            value = f(kinds[reduction])
        g = tape.gradient(value, t)
        expected = {"value": value.numpy(), "loss": f("NONE").numpy(), "gradient": g.numpy()}
        call = f"tf.compat.v1.losses.sigmoid_cross_entropy(y, x, weights, label_smoothing={smoothing}, reduction={kinds[reduction]})"
        extra.append(make(name, predictions, targets, expected, call=call, reduction=reduction, classes=classes, weights=weights, label_smoothing=smoothing, dtype="v1", note=note))
        extra[-1]["tolerance"] = tolerances((1e-6, 0), (1e-6, 3e-7), (1e-6, 2e-7), (0, 0))

    for r in kinds:
        v1_case(f"v1_{r}", x, HARD, w, r, note="the default of tf.compat.v1.losses: ÷ number of elements whose weight is not 0" if "nonzero" in r else None)
        v1_case(f"v1_rows_smoothed_{r}", x[:15], SOFT[:15], w[:5], r, classes=3, smoothing=0.25)
        v1_case(f"v1_zero_weights_{r}", x[:4], HARD[:4], [0.0] * 4, r)
    write(
        "tensorflow.json", "tensorflow", f"tensorflow {tf.__version__}", cases,
        tolerances((1e-14, 1e-15), (1e-13, 1e-15), (1e-13, 1e-15), (1e-11, 1e-15)),
        "float64, |x| <= 12 but for cases named far_out; extra_cases (tf.compat.v1.losses, the only TensorFlow loss with weights and reductions of its own) are float32 with their own tolerance, "
        "and one of their reductions is none of ours: sum-by-nonzero-weights.",
        extra,
    )


# scikit-learn ---------------------------------------------------------------------------------------------------------


def sklearn_file():
    import sklearn
    from sklearn._loss import HalfBinomialLoss
    from sklearn.metrics import log_loss
    from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

    cases = []
    F32 = tolerances((5e-7, 0), (5e-7, 1e-7), (0, 0), (0, 0))

    def case(name, predictions, targets, *, reduction="mean", weights=None, dtype="float64", error=False, balanced=False, given=None, **rest):
        keywords = {} if reduction != "sum" else {"normalize": False}
        sample, resolved = None, None
        if weights is not None:
            sample = np.array(weights)
        if balanced:
            resolved = [float(v) for v in compute_class_weight("balanced", classes=np.array([0, 1]), y=np.array(targets))]
            by_label = compute_sample_weight("balanced", np.array(targets))
            assert np.allclose(by_label, [resolved[int(v)] for v in targets], rtol=1e-15)
            sample = by_label if sample is None else sample * by_label
        y = np.array(targets) if any(v % 1 for v in targets) else np.array(targets, int)
        compute = lambda: {"value": log_loss(y, np.array(predictions, dtype), sample_weight=sample, **keywords, **(given or {}))}
        call = "log_loss(y, p" + (", sample_weight" if sample is not None else "") + (", normalize=False" if keywords else "") + (", labels=[0, 1]" if given else "") + f") with p of {dtype}"
        call += ", sample_weight = weights * compute_sample_weight('balanced', y)" if balanced else ""
        cases.append(make(name, predictions, targets, failure(compute) if error else compute(), call=call, form="probabilities", reduction=reduction, weights=weights, dtype=dtype, label_weights="balanced" if balanced else None, resolved=resolved, **rest))
        if dtype == "float32" and not error:
            cases[-1]["tolerance"] = F32

    p, w = PROBABILITIES, WEIGHTS
    for dtype in ("float64", "float32"):
        case(f"mean_{dtype}", p, HARD, dtype=dtype)
        case(f"sum_{dtype}", p, HARD, dtype=dtype, reduction="sum")
        case(f"weighted_mean_{dtype}", p, HARD, dtype=dtype, weights=w, reduction="weighted-mean", note="normalize=True: ÷ sum of the weights")
        case(f"weighted_sum_{dtype}", p, HARD, dtype=dtype, weights=w, reduction="sum")
        for name, q, y in (("p0_y0", 0.0, 0), ("p0_y1", 0.0, 1), ("p1_y0", 1.0, 0), ("p1_y1", 1.0, 1), ("below_eps_y1", f32(1e-20), 1), ("above_one_less_eps_y0", ONE_DOWN, 0)):
            case(f"clip_{name}_{dtype}", [q, 0.5], [y, 1 - y], dtype=dtype, reduction="sum", note="the second row only brings in the other label: it adds log 2")
    case("confident_mean", CONFIDENT * 2, [0] * 10 + [1] * 10)
    case("confident_weighted_mean", CONFIDENT, HARD[:10], weights=w[:10], reduction="weighted-mean")
    labels = [1, 0, 0, 0, 1, 0, 0, 0]
    # "balanced": the sum of w·l over the sum of the label weights times w, given here as the weights that a user passes.
    case("balanced_sum", p[:8], labels, balanced=True, reduction="sum", note="weights n / (2 n_k)")
    case("balanced_weighted_sum", p[:8], labels, balanced=True, weights=w[:8], reduction="sum", note="counts are of rows, not of weights")
    case("balanced_mean", p[:8], labels, balanced=True, reduction="mean", note="Σwl/Σw = ÷ n, since balanced weights sum to n")
    case("one_label_present", [0.25, 0.5], [1, 1], error=True)
    case("one_label_present_but_both_named", [0.25, 0.5], [1, 1], given={"labels": [0, 1]}, note="labels=[0, 1] lifts the error")
    case("one_label_left_by_weights", [0.25, 0.5], [0, 1], weights=[0.0, 1.0], reduction="weighted-mean", note="both labels present: zero weights do not count as absent")
    case("zero_weights", [0.25, 0.5], [0, 1], weights=[0.0, 0.0], reduction="weighted-mean", error=True)
    case("zero_weights_sum", [0.25, 0.5], [0, 1], weights=[0.0, 0.0], reduction="sum", error=True)
    case("empty", [], [], error=True)
    case("probability_above_one", [0.25, 1.5], [0, 1], error=True)
    case("probability_nan", [0.25, NAN], [0, 1], error=True)
    case("soft_label", [0.25, 0.5, 0.75], [0, 1, 0.5], error=True)

    loss = HalfBinomialLoss()
    for name, targets, weights in (("half_binomial_hard", HARD, None), ("half_binomial_soft_weighted", SOFT, WEIGHTS)):
        y, x = np.array(targets, float), np.array(LOGITS)
        u = None if weights is None else np.array(weights)
        g, h = loss.gradient_hessian(y, x, u)
        expected = {"value": loss(y, x, u), "loss": loss.loss(y, x, u), "gradient": g, "hessian": h}
        note = "value is a weighted mean, gradient and hessian are the elements' own, not divided"
        cases.append(make(name, LOGITS, targets, expected, call="sklearn._loss.HalfBinomialLoss: __call__, loss, gradient_hessian(y, x, sample_weight)", reduction="none", weights=weights, note=note))
        mean, total = expected["value"], np.average(expected["loss"] if u is None else loss.loss(y, x), weights=u)
        assert abs(mean - total) < 1e-14
        cases[-1]["expected"]["value"] = None
        cases.append(make(name + "_value", LOGITS, targets, {"value": mean}, call="sklearn._loss.HalfBinomialLoss()(y, x, sample_weight)", reduction="weighted-mean", weights=weights))
    write(
        "sklearn.json", "sklearn", f"scikit-learn {sklearn.__version__}", cases,
        tolerances((1e-14, 3e-16), (1e-14, 1e-15), (1e-13, 3e-16), (1e-12, 1e-15)),
        "log_loss has no gradient. eps is of the dtype of p: 2.2e-16 for float64, 1.19e-7 for float32 (whose cases have their own tolerance). log_loss rejects NaN, p outside [0, 1], soft labels and weights that are all 0; "
        "it accepts negative weights.",
    )


# XGBoost --------------------------------------------------------------------------------------------------------------


def xgboost_file():
    import xgboost as xgb

    xgb.set_config(verbosity=0)
    cases = []

    def row(x, y, w, scale):
        """G and H of one row: one tree on that row alone. The model stores sum_hessian and base_weight = -G / (H + lambda)."""
        data = xgb.DMatrix(np.zeros((1, 1), np.float32), label=[y], base_margin=[x], weight=None if w is None else [w])
        keywords = dict(objective="binary:logistic", eta=1, reg_lambda=1, min_child_weight=0, max_depth=1, scale_pos_weight=scale, nthread=1, base_score=0.5)
        tree = json.loads(xgb.train(keywords, data, 1).save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"][0]
        h, leaf = float(np.float32(tree["sum_hessian"][0])), float(np.float32(tree["base_weights"][0]))
        return -leaf * (h + 1), h

    def objective(name, predictions, targets, *, weights=None, pos_weight=None, error=False, note=None, tails=None):
        compute = lambda: [row(x, y, None if weights is None else weights[i], 1.0 if pos_weight is None else pos_weight[0]) for i, (x, y) in enumerate(zip(predictions, targets))]
        if error:
            expected = failure(compute)
            expected["message"] = expected["message"].split("] ")[-1].split(": ", 1)[-1]
        else:
            expected = dict(zip(("gradient", "hessian"), zip(*compute())))
        cases.append(make(name, predictions, targets, expected, call="xgboost.train(objective='binary:logistic'), one round on each row alone; H = sum_hessian, G = -base_weight * (H + lambda)", reduction="sum", weights=weights, pos_weight=pos_weight, dtype="float32", note=note, tails=tails))
        if not error:  # σ and 1 - σ have an absolute error of 2^-24, times weights; the lower bound has none
            absolute = 6e-8 * max(weights or [1.0]) * (pos_weight or [1.0])[0]
            floored = min(abs(v) for v in predictions) > 37
            cases[-1]["tolerance"] = tolerances((0, 0), (0, 0), (5e-7, absolute), (5e-7, 0 if floored else absolute))

    def metric(name, predictions, targets, *, form, weights=None, scale=None, note=None, tails=None):
        kind = "binary:logistic" if form == "logits" else "reg:squarederror"  # the second passes the margins to the metric unchanged
        data = xgb.DMatrix(np.zeros((len(predictions), 1), np.float32), label=np.array(targets, np.float32), base_margin=np.array(predictions, np.float32), weight=None if weights is None else np.array(weights, np.float32))
        keywords = dict(objective=kind, eval_metric="logloss", nthread=1, **({"scale_pos_weight": scale} if scale else {}))
        text = xgb.train(keywords, data, 0).eval_set([(data, "t")])
        call = f"Booster(objective={kind!r}{f', scale_pos_weight={scale}' if scale else ''}).eval_set, eval_metric='logloss', predictions as base_margin"
        cases.append(make(name, predictions, targets, {"value": float(text.split(":")[1])}, call=call, form=form, reduction="weighted-mean", weights=weights, dtype="float32", note=note, tails=tails))

    x, p, w = LOGITS, PROBABILITIES, WEIGHTS
    objective("objective_hard", x, HARD)
    objective("objective_soft", x, SOFT, note="labels in [0, 1] are accepted")
    objective("objective_weighted", x, HARD, weights=w)
    objective("objective_pos_weight", x, HARD, pos_weight=[3.0])
    objective("objective_pos_weight_soft_weighted", x, SOFT, pos_weight=[3.0], weights=w, note="scale_pos_weight only where the label is 1 exactly")
    floor = [-37.5, -40.0, -60.0, -100.0, 40.0, 60.0, 100.0, -37.5, -40.0, 40.0]
    objective("objective_hessian_floor", floor, [0, 0, 1, 1, 0, 0, 0, 1, 1, 1], note="h = max(σ(1 - σ), 1e-16); g at x = 40, y = 1 is 0 in f32 (truth 4e-18, within the absolute tolerance)")
    objective("objective_hessian_floor_weighted", floor, [0, 0, 1, 1, 0, 0, 0, 1, 1, 1], weights=[2.0, 0.5, 3.0, 0.0, 4.0, 0.25, 1.0, 2.0, 1.5, 8.0], pos_weight=[2.0], note="the floor comes before the weights")
    objective("objective_right_of_seventeen", [17.0, 20.0, 30.0, 36.0], [1, 0, 1, 0], tails="σ rounds to 1 in f32 from 16.6 on: h is 1e-16 (truth 4e-8 to 2e-16) and g at y = 1 is 0")
    objective("label_above_one", [0.0], [1.5], error=True)
    objective("label_below_zero", [0.0], [-1.0], error=True)
    near = [v if abs(v) <= 4 else v / 4 for v in x]  # 1 - σ keeps its digits
    for form, values in (("logits", near), ("probabilities", p)):
        metric(f"metric_{form}", values, HARD, form=form)
        metric(f"metric_{form}_soft_weighted", values, SOFT, form=form, weights=w, note="÷ sum of the weights")
        metric(f"metric_{form}_zero_weights", values[:4], HARD[:4], form=form, weights=[0.0] * 4, note="0, not NaN")
        metric(f"metric_{form}_empty", [], [], form=form, note="0, with a warning")
    metric("metric_ignores_scale_pos_weight", near, HARD, form="logits", weights=w, scale=5.0)
    for q in (0.0, 1.0):
        for y in (0, 1, 0.25):
            metric(f"metric_clip_p{q:g}_y{y:g}", [q], [y], form="probabilities")
    metric("metric_confident", CONFIDENT * 2, [0] * 10 + [1] * 10, form="probabilities", note="predictions are rounded to f32")
    metric("metric_clip_below", [f32(1e-20), f32(1e-17), f32(1e-15)], [1, 1, 1], form="probabilities")
    metric("metric_clip_logits", [-40.0, -200.0, -36.0], [1, 1, 1], form="logits", note="-log(1e-16) = 36.84 where σ(x) < 1e-16")
    metric("metric_clip_logits_right", [40.0, 200.0], [0, 0], form="logits")
    metric("metric_right_of_seventeen", [17.0, 20.0, 30.0], [0, 0, 0], form="logits", tails="1 - σ is 0 in f32: 36.84 instead of x")
    write(
        "xgboost.json", "xgboost", f"xgboost {xgb.__version__}", cases,
        tolerances((1e-6, 1e-6), (0, 0), (0, 0), (0, 0)),
        "float32 throughout. σ - y and 1 - σ have an absolute error of 6e-8, times weight and scale_pos_weight: each case of the objective has its own tolerance. |x| <= 12 (metric: 4), or beyond ±37.",
    )


# LightGBM -------------------------------------------------------------------------------------------------------------


def lightgbm_file():
    import lightgbm as lgb

    lgb.register_logger(type("Silent", (), {"info": lambda self, m: None, "warning": lambda self, m: None})())
    COPIES = 64
    loading = dict(min_data_in_bin=1, feature_pre_filter=False, min_data_in_leaf=1, verbose=-1)
    cases = []

    def dataset(columns, targets, scores, weights):
        return lgb.Dataset(columns, label=np.array(targets, np.float32), weight=None if weights is None else np.array(weights, np.float32), init_score=np.array(scores, np.float64), params=loading)

    def rows(predictions, targets, weights, **keywords):
        """G and H of each row, from a tree of two leaves over a feature that is 1 on that row only: leaf_value = -G / H, leaf_weight = H.

        LightGBM guesses a leaf's row count from its hessian, and refuses one that rounds to none: so 64 copies of the whole batch.
        """
        result = []
        predictions, targets, weights = (None if v is None else list(v) * COPIES for v in (predictions, targets, weights))
        for i in range(len(predictions) // COPIES):
            columns = np.zeros((len(predictions), 1))
            columns[i :: len(predictions) // COPIES] = 1
            settings = dict(objective="binary", num_leaves=2, min_sum_hessian_in_leaf=0, lambda_l2=0, min_gain_to_split=0, learning_rate=1, boost_from_average=False, num_threads=1, deterministic=True, **loading, **keywords)
            tree = lgb.train(settings, dataset(columns, targets, predictions, weights), 1).dump_model()["tree_info"][0]["tree_structure"]
            leaf = tree["right_child"]
            assert leaf["leaf_count"] == COPIES
            result.append((-leaf["leaf_value"] * leaf["leaf_weight"] / COPIES, leaf["leaf_weight"] / COPIES))
        return dict(zip(("gradient", "hessian"), zip(*result)))

    def objective(name, predictions, targets, *, weights=None, pos_weight=None, unbalance=False, error=False, note=None):
        keywords = {**({"scale_pos_weight": pos_weight[0]} if pos_weight else {}), **({"is_unbalance": True} if unbalance else {})}
        compute = lambda: rows(predictions, targets, weights, **keywords)
        positive = sum(v > 0 for v in targets)
        negative = len(targets) - positive
        resolved = None
        if unbalance and not error:
            resolved = [positive / negative, 1.0] if positive > negative else [1.0, negative / positive]
        shown = "".join(f", {k}={v}" for k, v in keywords.items())
        cases.append(make(name, predictions, targets, failure(compute) if error else compute(), call=f"lightgbm.train(objective='binary'{shown}), one split isolating each row; H = leaf_weight, G = -leaf_value * H", reduction="sum", weights=weights, pos_weight=pos_weight, label_weights="is_unbalance" if unbalance else None, resolved=resolved, note=note))

    def metric(name, predictions, targets, *, form, weights=None, note=None, tails=None, **keywords):
        columns = np.arange(len(predictions), dtype=float).reshape(-1, 1)
        kind = "binary" if form == "logits" else "none"  # without an objective the metric uses the scores unchanged
        booster = lgb.Booster(dict(objective=kind, metric="binary_logloss", num_threads=1, **loading, **keywords), dataset(columns, targets, predictions, weights))
        value = booster.eval_train()[0][2]
        shown = "".join(f", {k}={v}" for k, v in keywords.items())
        cases.append(make(name, predictions, targets, {"value": value}, call=f"lightgbm.Booster(objective={kind!r}, metric='binary_logloss'{shown}).eval_train(), predictions as init_score", form=form, reduction="weighted-mean", weights=weights, note=note, tails=tails))

    p, x = PROBABILITIES, [v for v in LOGITS if abs(v) < 5]
    x += [-0.375, 1.3125, -4.5, 3.625, 0.0]
    x = x[:16]
    w = [v or 0.625 for v in WEIGHTS]  # a row of weight 0 has no leaf
    many = [1 if i % 4 else 0 for i in range(16)]
    few = [0 if i % 8 else 1 for i in range(16)]
    objective("objective_hard", x, HARD)
    objective("objective_weighted", x, HARD, weights=w)
    objective("objective_pos_weight", x, HARD, pos_weight=[3.0])
    objective("objective_pos_weight_weighted", x, HARD, pos_weight=[0.25], weights=w)
    objective("objective_is_unbalance_few_positives", x, few, unbalance=True, note="positives × n₀/n₁; the larger class keeps weight 1")
    objective("objective_is_unbalance_many_positives", x, many, unbalance=True, note="negatives × n₁/n₀")
    objective("objective_is_unbalance_weighted", x, few, weights=w, unbalance=True, note="n₀ and n₁ count rows, not weights")
    objective("objective_any_positive_label", x[:8], [0.5, 2.0, 0.0, -1.0, 0.25, 1.0, 0.0, 7.0], note="labels > 0 are positive, the others negative")
    far = [9.75, -9.75, 15.0, -15.0, 0.0]
    pairs = [rows([v, v], [0, 1], None) for v in far]  # the same row with the other label has the same hessian
    expected = {k: [v for pair in pairs for v in pair[k]] for k in ("gradient", "hessian")}
    cases.append(make("objective_far", [v for v in far for _ in range(2)], [0, 1] * 5, expected, call="as objective_hard, each pair on its own", reduction="sum"))
    objective("is_unbalance_with_scale_pos_weight", x[:4], HARD[:4], pos_weight=[2.0], unbalance=True, error=True)
    for form, values in (("logits", x), ("probabilities", p)):
        metric(f"metric_{form}", values, HARD, form=form)
        metric(f"metric_{form}_weighted", values, HARD, form=form, weights=WEIGHTS, note="÷ sum of the weights")
        metric(f"metric_{form}_zero_weights", values[:4], HARD[:4], form=form, weights=[0.0] * 4, note="NaN: 0 / 0")
    metric("metric_ignores_scale_pos_weight", x, HARD, form="logits", weights=WEIGHTS, scale_pos_weight=5.0)
    metric("metric_ignores_is_unbalance", x, few, form="logits", is_unbalance=True)
    metric("metric_any_positive_label", p[:8], [0.5, 2.0, 0.0, -1.0, 0.25, 1.0, 0.0, 7.0], form="probabilities")
    for q in (0.0, 1.0):
        for y in (0, 1):
            metric(f"metric_clip_p{q:g}_y{y}", [q, q], [y, y], form="probabilities")
    metric("metric_confident", CONFIDENT * 2, [0] * 10 + [1] * 10, form="probabilities")
    metric("metric_clip_below", [f32(1e-20), f32(1e-16), f32(1e-14)], [1, 1, 1], form="probabilities")
    metric("metric_clip_logits", [-40.0, -200.0, -30.0, 40.0, 200.0], [1, 1, 1, 0, 0], form="logits", note="-log(1e-15) = 34.54 where σ(x) < 1e-15")
    metric("metric_right_of_thirty", [30.0, 34.0], [0, 0], form="logits", tails="1 - σ in f64 has an absolute error of 1e-16")
    write(
        "lightgbm.json", "lightgbm", f"lightgbm {lgb.__version__}", cases,
        tolerances((1e-9, 1e-15), (0, 0), (3e-7, 0), (3e-7, 0)),
        "the metric is float64; gradient and hessian are stored as float32 and recovered through a leaf, |x| <= 15. sigmoid = 1. A batch of one class only has no gradients: LightGBM stops training. No floor on the hessian is seen "
        "(leaves add 1e-15, so rows with h below 1e-12 are kept out). The clip's log is taken in float32 (34.538776397705).",
    )


# Focal ----------------------------------------------------------------------------------------------------------------


def focal_file():
    import torch
    from torchvision.ops import sigmoid_focal_loss

    torch.set_num_threads(1)
    x = [0.0, 0.0, 0.5, -0.5, 2.25, -2.25, 5.0, -5.0, f32(9.7), f32(-9.7), 20.0, -20.0, 30.0, -30.0, 0.0, 1.5, -4.0, 12.0, f32(-0.3), 25.0]
    z = [0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 0, 0.5, 0.25, f32(0.9), f32(0.1), 0.5, 0.875]
    x, z = x + [30.0, -30.0], z + [0, 1]
    cases = []
    for gamma in (0.0, 0.5, 2.0, 5.0):
        for alpha in (None, 0.25, 0.75):
            exact = [of_logit(mpf(a), mpf(b), mpf(1), (mpf(gamma), None if alpha is None else mpf(alpha))) for a, b in zip(x, z)]
            t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
            y = torch.tensor(z, dtype=torch.float64)
            loss = sigmoid_focal_loss(t, y, alpha=-1 if alpha is None else alpha, gamma=gamma)
            (g,) = torch.autograd.grad(loss.sum(), t, create_graph=True)
            (h,) = torch.autograd.grad(g.sum(), t)
            worst = 0.0
            for i in range(len(x)):
                for got, want in zip((loss, g, h), exact[i]):
                    error = abs(got[i].item() - float(want))
                    # 1 - p_t has an error of 1e-16 in float64, which matters where p_t is close to 1.
                    assert error <= 1e-11 * abs(float(want)) + 3e-15 + (abs(float(want)) * 0.05 if abs(x[i]) > 12 else 0), (gamma, alpha, x[i], z[i], got[i].item(), want)
                    if abs(x[i]) <= 12 and want:
                        worst = max(worst, error / max(abs(float(want)), 1e-12))
            columns = [[float(v) for v in column] for column in zip(*exact)]
            expected = dict(zip(("loss", "gradient", "hessian"), columns))
            name = f"gamma_{gamma:g}_alpha_" + ("none" if alpha is None else f"{alpha:g}")
            case = make(name, x, z, expected, call=f"torchvision.ops.sigmoid_focal_loss(x, y, alpha={-1 if alpha is None else alpha}, gamma={gamma})", reduction="none", focal_gamma=gamma, focal_alpha=alpha)
            case["torchvision_relative_up_to_12"] = float(f"{worst:.1e}")
            cases.append(case)
    library = f"torchvision {version('torchvision').split('+')[0]} sigmoid_focal_loss's formula, mpmath {version('mpmath')}"
    write(
        "focal.json", "focal", library, cases, tolerances((1e-15, 0), (3e-16, 0), (3e-16, 0), (3e-16, 0)),
        "values are 50-digit mpmath rounded to f64: loss by the formula l = a_t (1 - p_t)^gamma BCE, p_t = zp + (1 - z)(1 - p), a_t = z a + (1 - z)(1 - a); derivatives by the chain rule, equal to mpmath's numerical differentiation to 25 digits, "
        "and to torchvision in float64 with autograd (1e-11 relative + 3e-15 up to |x| = 12; beyond, float64 loses 1 - p_t and torchvision is off by up to 5 %). |x| <= 30.",
    )


FILES = {"torch": torch_file, "keras": keras_file, "tensorflow": tensorflow_file, "sklearn": sklearn_file, "xgboost": xgboost_file, "lightgbm": lightgbm_file, "focal": focal_file}

if __name__ == "__main__":
    names = sys.argv[1:] or list(FILES)
    if len(names) == 1:
        FILES[names[0]]()
    else:  # one process per library, because their thread pools and protobuf versions conflict
        for name in names:
            subprocess.run([sys.executable, __file__, name], check=True)
