#!/usr/bin/env python3
"""Compares logloss with its peers, on the same arrays, in one run.

    benches/peers/setup             once: installs NumPy, JAX and PyTorch in target/peers/venv
    benches/peers/peers.py          all installed competitors, on the CPU and on the best GPU: about ten minutes
    benches/peers/peers.py --quick  a short run of two minutes
    benches/peers/peers.py --json F writes the results to a file, too

Every competitor is a separate process that loads the arrays once. Its results are first compared with float64. Then, in
each round, each competitor runs once, in an order that rotates, so that a disturbance of the machine affects all of them.
A ratio is the median of the ratios within rounds. The memory bandwidth is measured in the same rounds, by the process of
logloss and on its arrays.

The work is `mean` (the mean loss, which reads 8 bytes per value) and `mean+grad` (the mean and its gradient, which also
writes 4 bytes per value). Logits are f32 ~ N(0, 3), labels f32 in {0, 1}. The pages are `4k` and `thp` (transparent huge
pages for every array of every competitor whose allocator is that of glibc). Competitors whose names end in `_warm` have
an allocator that keeps its pages.
"""
import argparse, contextlib, ctypes, datetime, json, math, os, pathlib, platform, re, shlex, statistics, subprocess
import sys, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
PYTHON = TARGET / "peers" / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
EXE = ".exe" if os.name == "nt" else ""
OURS = TARGET / "release" / "examples" / f"peers_ours{EXE}"
BURN = TARGET / "peers" / "burn" / "release" / f"burn_peer{EXE}"
DATA = TARGET / "peers" / "data"

WORKS = {"mean": 8, "mean+grad": 12}
# A competitor whose mean or gradient has a larger relative error is wrong, and cannot be "the fastest peer". Errors of
# single elements, which every peer has, are in the column "worst".
MEAN_ERROR, GRADIENT_ERROR = 1e-3, 1e-2
KEEP_PAGES = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=67108864"


# ---------------------------------------------------------------- the peers: child processes with the protocol of ours.rs

def torch_peer(device, threads):
    """who -> work -> a function that returns the mean (and stores the gradient in `last`)."""
    import torch
    import torch.nn.functional as F
    torch.set_num_threads(threads)
    bce = F.binary_cross_entropy_with_logits

    def fused(x, z):
        return bce(x, z), (torch.sigmoid(x) - z) * (1.0 / x.numel())

    torch._dynamo.config.cache_size_limit = 64
    compiled, compiled_fused = (torch.compile(f, dynamic=False) for f in (lambda x, z: bce(x, z), fused))
    last = {}

    def load(x, z):
        x, z = torch.from_numpy(x).to(device), torch.from_numpy(z).to(device)
        leaf = x.clone().requires_grad_(True)
        kept = torch.empty_like(x) if device == "cuda" else None

        def mean(f):
            def call():
                with torch.no_grad():
                    return f(x, z)
            return call

        def mean_grad(f):
            def call():
                leaf.grad = None
                loss = f(leaf, z)
                loss.backward()
                last["gradient"] = leaf.grad
                return loss.detach()
            return call

        def by_hand():
            with torch.no_grad():
                loss, last["gradient"] = compiled_fused(x, z)
                return loss

        calls = {
            "torch": {"mean": mean(bce), "mean+grad": mean_grad(bce)},
            "torch_compile": {"mean": mean(compiled), "mean+grad": mean_grad(compiled)},
            "torch_fused": {"mean+grad": by_hand},
        }
        if device == "cuda":
            calls["torch_copy"] = {work: (lambda: kept.copy_(x)) for work in WORKS}
        return calls

    def gradient():
        return last["gradient"].cpu().numpy()

    kernel = None
    if device == "cuda":
        def kernel(call, reps):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            start.record()
            for _ in range(reps):
                call()
            end.record()
            torch.cuda.synchronize()
            return start.elapsed_time(end) / 1e3 / reps

    name = torch.cuda.get_device_name() if device == "cuda" else f"{threads} threads"
    return load, gradient, kernel, f"PyTorch {torch.__version__}\t{name}"


def jax_peer(_device, threads):
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp

    def mean(x, z):
        return jnp.mean(jnp.maximum(x, 0) - x * z + jnp.log1p(jnp.exp(-jnp.abs(x))))

    def fused(x, z):
        return mean(x, z), (jax.nn.sigmoid(x) - z) * (1.0 / x.size)

    mean_jit, grad_jit, fused_jit = jax.jit(mean), jax.jit(jax.value_and_grad(mean)), jax.jit(fused)
    last = {}

    def load(x, z):
        x, z = jnp.asarray(x), jnp.asarray(z)

        def with_gradient(f):
            def call():
                loss, last["gradient"] = jax.block_until_ready(f(x, z))
                return loss
            return call

        return {
            "jax": {"mean": lambda: mean_jit(x, z), "mean+grad": with_gradient(grad_jit)},
            "jax_fused": {"mean+grad": with_gradient(fused_jit)},
        }

    def gradient():
        import numpy
        return numpy.asarray(last["gradient"])

    return load, gradient, None, f"JAX {jax.__version__}\t{threads} threads"


def numpy_peer(_device, _threads):
    import numpy as np
    np.seterr(all="ignore")
    last = {}

    def load(x, z):
        scale = np.float32(1.0 / len(x))

        def loss(e):
            return (np.maximum(x, 0) - x * z + np.log1p(e)).mean()

        def mean_grad():
            e = np.exp(-np.abs(x))
            last["gradient"] = (np.where(x >= 0, 1 / (1 + e), e / (1 + e)) - z) * scale
            return loss(e)

        return {"numpy": {"mean": lambda: loss(np.exp(-np.abs(x))), "mean+grad": mean_grad}}

    return load, lambda: last["gradient"], None, f"NumPy {np.__version__}\t1 thread"


PEERS = {"torch": torch_peer, "jax": jax_peer, "numpy": numpy_peer}
# The most memory that a child process takes, in bytes per value of the batch.
FOOTPRINT = {"ours": 20, "torch": 40, "jax": 28, "numpy": 32, "burn": 48}


def aligned(path, len):
    """The first values of a file, in an array aligned to 64 bytes, which JAX uses without a copy."""
    import numpy as np
    memory = np.empty(4 * len + 64, np.uint8)
    offset = -memory.ctypes.data % 64
    array = memory[offset:offset + 4 * len].view(np.float32)
    with open(path, "rb") as file:
        assert file.readinto(memoryview(array).cast("B")) == 4 * len
    return array


def has_huge_malloc():
    """Whether malloc gives this process huge pages. (glibc 2.36 reads its tunable past the end of a string, so that the
    effect of the tunable is random.)"""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    block, found, inside = libc.malloc(1 << 26), False, False
    for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(bounds[1], 16) <= block < int(bounds[2], 16)
        elif inside and line.startswith("VmFlags:"):
            found = " hg" in line
    libc.free(block)
    return found


def child(peer, device, threads):
    tries = int(os.environ.get("PEER_TRIES", 0))
    if "hugetlb" in os.environ.get("GLIBC_TUNABLES", "") and tries < 30 and not has_huge_malloc():
        os.environ["PEER_TRIES"] = str(tries + 1)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of libraries does not become an answer
    suffix = os.environ.get("PEER_SUFFIX", "")
    try:
        make, gradient, kernel, about = PEERS[peer](device, threads)
    except Exception as error:
        print("error", f"{type(error).__name__}: {error}".splitlines()[0], file=answers, flush=True)
        return
    print("hello", about, file=answers, flush=True)
    calls = {}

    def answer(line):
        nonlocal calls
        command, *words = line.split(" ")
        if command == "load":
            calls = {}
            folder = " ".join(words[1:])
            made = make(aligned(f"{folder}/x.f32", int(words[0])), aligned(f"{folder}/z.f32", int(words[0])))
            calls = {who + suffix: works for who, works in made.items()}
            return " ".join(f"{who}:{work}" for who, works in calls.items() for work in works)
        call = calls[words[0]][words[1]]
        if command == "check":
            value = float(call())
            if words[1] == "mean+grad":
                gradient().tofile(" ".join(words[2:]))
            return repr(value)
        reps = int(words[2])
        if words[0].startswith("torch_copy"):
            call()
            seconds = kernel(call, reps) * WORKS[words[1]] / 8
            return f"{seconds!r} 0 {seconds!r}"
        float(call())
        started = time.perf_counter()
        for _ in range(reps):
            value = float(call())
        seconds = (time.perf_counter() - started) / reps
        return f"{seconds!r} {value!r}" + (f" {kernel(call, reps)!r}" if kernel else "")

    for line in sys.stdin:
        if line.strip() == "quit":
            break
        try:
            print("ok", answer(line.strip()), file=answers, flush=True)
        except Exception as error:
            print("error", (f"{type(error).__name__}: {error}".splitlines() or [""])[0], file=answers, flush=True)


# ---------------------------------------------------------------- the driver

class Failure(Exception):
    """An error that a child process reported."""


class Child:
    def __init__(self, name, command, environment, prepare):
        self.name = name
        self.log = TARGET / "peers" / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], env={**os.environ, **environment}, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=prepare)
        self.about = self.read("hello").split("\t")

    def read(self, wanted):
        line = self.process.stdout.readline().rstrip("\n")
        word, _, rest = line.partition(" ")
        if word == wanted:
            return rest
        if word == "error":
            raise Failure(rest)
        tail = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise Failure(f"it ended: {tail[0] if tail else 'no message'}")

    def ask(self, *words):
        try:
            print(*words, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass
        return self.read("ok")

    def huge_pages(self):
        """MiB of this process that lie in transparent huge pages."""
        with contextlib.suppress(OSError, AttributeError):
            text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
            return int(re.search(r"AnonHugePages:\s+(\d+)", text)[1]) // 1024
        return None

    def end(self):
        with contextlib.suppress(OSError, ValueError):
            print("quit", file=self.process.stdin, flush=True)
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def preparation(cpus, pages):
    """The function that a child process runs before it starts: it sets the CPUs, and disables huge pages for `4k`."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def prepare():
        if cpus:
            os.sched_setaffinity(0, cpus)
        if pages == "4k":
            libc.prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE
    return prepare


def tunables(pages, keep):
    parts = ([KEEP_PAGES] if keep else []) + (["glibc.malloc.hugetlb=1"] if pages == "thp" else [])
    environment = {"GLIBC_TUNABLES": ":".join(parts)} if parts else {}
    return {**environment, "THP_MEM_ALLOC_ENABLE": "1"} if pages == "thp" else environment


def start(setting, wanted, say):
    """The child processes of a setting, and the reasons why others are missing."""
    device, threads, pages = setting["device"], setting["threads"], setting["pages"]
    prepare = preparation(setting["cpus"], pages)
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(TARGET / "peers" / "inductor"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    children, missing = [], {}

    def add(name, kind, command, **environment):
        if kind != "ours" and wanted and kind not in wanted:
            return
        say(f"starting {name}")
        try:
            children.append(Child(name, command, {**cache, **counts, **environment}, prepare))
            children[-1].kind = kind
        except (Failure, OSError) as error:
            missing[name] = str(error)

    python = [sys.executable, __file__, "--child"]
    if device == "cpu":
        add("ours", "ours", [OURS, "cpu", threads], PEER_PAGES=pages)
        for peer in PEERS:
            if peer == "numpy" and threads > 1:
                missing[peer] = "has one thread only"
                continue
            add(peer, peer, [*python, peer, "cpu", threads], **tunables(pages, False))
            if sys.platform == "linux":
                add(f"{peer}_warm", peer, [*python, peer, "cpu", threads], **tunables(pages, True), PEER_SUFFIX="_warm")
    else:
        add("ours", "ours", [OURS, "gpu", setting["adapter"]])
        add("torch", "torch", [*python, "torch", "cuda", threads])
        if BURN.exists():
            add("burn", "burn", [BURN])
        else:
            missing["burn"] = "not built: benches/peers/setup --burn"
    return children, missing


def make_data(sizes, say):
    """Writes the arrays and the gradient in float64 to files, and returns the mean for every size."""
    import numpy as np
    DATA.mkdir(parents=True, exist_ok=True)
    total, step, notes = max(sizes), 1 << 20, DATA / "truth.json"
    with contextlib.suppress(OSError, ValueError):
        truth = json.loads(notes.read_text())
        if truth["total"] >= total:
            return {int(n): mean for n, mean in truth["means"].items()}
    say(f"making 2^{total.bit_length() - 1} values")
    logits, labels = np.random.default_rng(12345), np.random.default_rng(54321)
    means, sum_, done = {}, [], 0
    with open(DATA / "x.f32", "wb") as xs, open(DATA / "z.f32", "wb") as zs, open(DATA / "g.f64", "wb") as gs:
        while done < total:
            x = logits.standard_normal(step, dtype=np.float32) * np.float32(3)
            z = (labels.random(step, dtype=np.float32) < 0.5).astype(np.float32)
            x.tofile(xs), z.tofile(zs)
            x, z = x.astype(np.float64), z.astype(np.float64)
            # For labels of 0 and 1 this formula has no cancellation.
            y = np.where(z == 1, -x, x)
            loss = np.logaddexp(0, y)
            (np.where(z == 1, -1, 1) / (1 + np.exp(-y))).tofile(gs)
            for exponent in range(10, 21) if done == 0 else []:
                means[1 << exponent] = math.fsum(loss[:1 << exponent]) / (1 << exponent)
            sum_.append(math.fsum(loss))
            done += step
            means[done] = math.fsum(sum_) / done
    means = {n: mean for n, mean in means.items() if n & (n - 1) == 0}
    notes.write_text(json.dumps({"total": done, "means": means}))
    return means


def gradient_error(path, n):
    """The relative error of the gradient in norm, and the largest of an element whose exact value is a normal f32."""
    import numpy as np
    got, want = np.memmap(path, np.float32, "r"), np.memmap(DATA / "g.f64", np.float64, "r", shape=(n,))
    if len(got) != n:
        return math.inf, math.inf
    difference = norm = worst = 0.0
    for first in range(0, n, 1 << 20):
        g, w = got[first:first + (1 << 20)].astype(np.float64), want[first:first + (1 << 20)] / n
        d = np.abs(g - w)
        if not np.isfinite(d).all():
            return math.inf, math.inf
        difference, norm = difference + float((d * d).sum()), norm + float((w * w).sum())
        normal = np.abs(w) >= 2.0 ** -126
        worst = max(worst, float((d[normal] / np.abs(w[normal])).max(initial=0)))
    return math.sqrt(difference / norm), worst


def quantile(values, q):
    values = sorted(values)
    at = q * (len(values) - 1)
    low = int(at)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (at - low)


def measure(children, n, work, mean, options, say):
    """Checks every competitor and times those that answer. Returns the rows of the table and the errors."""
    rows, errors = [], {}
    for kid in children:
        for who in kid.serves.get(work, []):
            row = {"competitor": who, "kid": kid, "ours": kid.name == "ours"}
            if who not in ("memory", "torch_copy"):
                say(f"checking {who}")
                out = DATA / "answer.f32"
                try:
                    got = float(kid.ask("check", who, work, out))
                    row["mean_error"] = abs(got / mean - 1)
                    if work == "mean+grad":
                        row["gradient_error"], row["gradient_worst"] = gradient_error(out, n)
                        out.unlink()
                except (Failure, OSError) as error:
                    errors[who] = str(error)
                    continue
                row["right"] = row["mean_error"] < MEAN_ERROR and row.get("gradient_error", 0) < GRADIENT_ERROR
                row["got"] = got
            rows.append(row)

    def sample(row, reps):
        seconds, value, *kernel = map(float, row["kid"].ask("time", row["competitor"], work, reps).split())
        if "got" in row and not abs(value - row["got"]) <= 1e-6 * abs(row["got"]):
            raise Failure(f"another answer when timed: {value}, was {row['got']}")
        return seconds, kernel[0] if kernel else None

    for row in rows[:]:
        say(f"warming {row['competitor']}")
        try:
            sample(row, 1)
            seconds, _ = sample(row, 1)
            row["reps"] = max(1, min(10_000, math.ceil(options.sample / seconds)))
            row["cost"], row["samples"] = seconds * (row["reps"] + 1), []
        except Failure as error:
            errors[row["competitor"]] = str(error)
            rows.remove(row)
    rounds = int(options.budget / max(sum(row["cost"] for row in rows), 1e-3))
    rounds = options.rounds or max(7, min(41, rounds))
    for turn in range(rounds):
        say(f"round {turn + 1} of {rounds}")
        for row in rows[turn % len(rows):] + rows[:turn % len(rows)]:
            if row["competitor"] in errors:
                continue
            time.sleep(options.settle)  # until the threads of the previous competitor sleep
            try:
                row["samples"].append(sample(row, row["reps"]))
            except Failure as error:
                errors[row["competitor"]] = str(error)
    rows = [row for row in rows if row["competitor"] not in errors]
    for row in rows:
        seconds, kernels = zip(*row["samples"])
        row["seconds"] = seconds
        row["kernels"] = kernels if None not in kernels else None
        row["rounds"] = rounds
    return rows, errors


def ratio(ours, theirs):
    """The ratio of our time to theirs over all rounds, by the device's clock if both have one."""
    a, b = (ours["kernels"], theirs["kernels"]) if ours["kernels"] and theirs["kernels"] else \
        (ours["seconds"], theirs["seconds"])
    ratios = [mine / other for mine, other in zip(a, b)]
    return {"median": statistics.median(ratios), "p10": quantile(ratios, 0.1), "p90": quantile(ratios, 0.9)}


def results(rows, setting, n, work):
    """The results of each competitor in a run, as JSON values."""
    by_name = {row["competitor"]: row for row in rows}
    middle = lambda row: statistics.median(row["kernels"] or row["seconds"])
    ours = by_name.get("logloss")
    memory = min((by_name[who] for who in ("memory", "torch_copy") if who in by_name), key=middle, default=None)
    peers = [row for row in rows if not row["ours"] and row.get("right")]
    fastest = min(peers, key=middle, default=None)
    made = []
    for row in rows:
        seconds = statistics.median(row["seconds"])
        kernel = statistics.median(row["kernels"]) if row["kernels"] else None
        best = kernel or seconds
        width = WORKS[work] - {"logloss_u8": 3, "logloss_bits": 3.875}.get(row["competitor"], 0)
        result = {
            "device": setting["name"], "threads": setting["threads"] if setting["device"] == "cpu" else None,
            "pages": setting["pages"], "work": work, "n": n, "competitor": row["competitor"],
            "predictions": "f32", "targets": {"logloss_u8": "u8", "logloss_bits": "bits"}.get(row["competitor"], "f32"),
            "resident": setting["device"] == "gpu", "ns_per_elem": seconds / n * 1e9,
            "kernel_ns_per_elem": kernel and kernel / n * 1e9,
            "best_ns_per_elem": min(row["kernels"] or row["seconds"]) / n * 1e9,
            "spread": (quantile(row["seconds"], 0.9) - quantile(row["seconds"], 0.1)) / seconds,
            "gb_per_s": width * n / best / 1e9, "rounds": row["rounds"], "calls_a_round": row["reps"],
            "mean_error": row.get("mean_error"), "gradient_error": row.get("gradient_error"),
            "gradient_worst_element": row.get("gradient_worst"), "right": row.get("right"),
            "fastest_peer": row is fastest,
        }
        if memory:
            result["limit_gb_per_s"] = WORKS[work] * n / middle(memory) / 1e9
            result["percent_of_limit"] = 100 * result["gb_per_s"] / result["limit_gb_per_s"]
        if ours:
            result["ours_over_this"] = ratio(ours, row)
        made.append(result)
    return made


def table(made):
    number = lambda value, form: "" if value is None else format(value, form)
    lines = [("", "ns/elem", "kernel", "best", "spread", "GB/s", "of limit", "ours / this", "p10-p90", "mean off", "grad off", "worst")]
    for r in sorted(made, key=lambda r: (r["competitor"] not in ("memory", "torch_copy"), r["kernel_ns_per_elem"] or r["ns_per_elem"])):
        over = r.get("ours_over_this")
        name = r["competitor"] + (" *" if r["fastest_peer"] else "") + ("  WRONG" if r["right"] is False else "")
        lines.append((
            name, number(r["ns_per_elem"], ".4f"), number(r["kernel_ns_per_elem"], ".4f"),
            number(r["best_ns_per_elem"], ".4f"), number(r["spread"], ".0%"),
            number(r["gb_per_s"], ".1f"), number(r.get("percent_of_limit"), ".0f") + "%" * ("percent_of_limit" in r),
            number(over and over["median"], ".3f"), f"{over['p10']:.3f}-{over['p90']:.3f}" if over else "",
            number(r["mean_error"], ".1e"), number(r["gradient_error"], ".1e"),
            number(r["gradient_worst_element"], ".1e")))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  " + "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                                      for i, (cell, w) in enumerate(zip(line, widths))) for line in lines)


def goals(made):
    """The goals of this project, compared with this run."""
    def pick(who, **where):
        for r in made:
            if r["competitor"] == who and all(r.get(key) == value for key, value in where.items()):
                return r

    lines = []

    def goal(text, value, limit, at_most=True):
        holds = value <= limit if at_most else value >= limit
        lines.append({"goal": text, "value": value, "limit": limit, "at_most": at_most, "met": holds})

    runs = sorted({(r["device"], r["threads"] or 0, r["pages"] or "", r["work"], r["n"], r["resident"]) for r in made})
    for device, threads, pages, work, n, resident in runs:
        where = dict(device=device, threads=threads or None, pages=pages or None, work=work, n=n, resident=resident)
        ours, peer = pick("logloss", **where), None
        if ours is None:
            continue
        # The fastest peer counts only if all peers that may be the fastest took part.
        if all(pick(who, **where) for who in ("torch_compile", "jax")):
            peer = next((r for r in made if r["fastest_peer"] and all(r[key] == value for key, value in where.items())), None)
        place = f"{work}, 2^{n.bit_length() - 1}, " + (f"{threads} thread{'s' * (threads > 1)}, {pages}" if threads else device)
        over = lambda r: r["ours_over_this"]["median"]
        if not resident:
            if threads == 2 and n >= 1 << 24:
                if peer:
                    goal(f"{place}: ours over the fastest peer, {peer['competitor']}", over(peer),
                         0.4 if work == "mean" else 0.28)
                if "percent_of_limit" in ours:
                    goal(f"{place}: percent of the memory limit", ours["percent_of_limit"], 80, False)
            if threads == 1 and n <= 1 << 16 and peer:
                goal(f"{place}: ours over the fastest peer, {peer['competitor']}", over(peer), 1 / 3.5)
        else:
            if (burn := pick("burn", **where)) and n == 1 << 24:
                goal(f"{place}: ours over Burn", over(burn), 1.0 if work == "mean" else 0.65)
            if work == "mean+grad":
                for who, limit in (("torch", 1 / 2), ("torch_compile", 1 / 1.3)):
                    if (r := pick(who, **where)) and n >= 1 << 20:
                        goal(f"{place}: ours over {who} on CUDA", over(r), limit)
            if n >= 1 << 20 and "percent_of_limit" in ours and "software" not in device:
                goal(f"{place}: percent of the copy bandwidth", ours["percent_of_limit"], 90, False)
    return lines


def machine():
    """The properties of the machine and the software that the figures depend on."""
    def run(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ""

    def read(path):
        with contextlib.suppress(OSError):
            return pathlib.Path(path).read_text().strip()
        return ""

    info = read("/proc/cpuinfo")
    facts = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.*)$", info, re.M))
    cpu = facts.get("model name") or run("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    memory = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))
    return {
        "cpu": cpu + (f" (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else ""),
        "cores": os.cpu_count(), "memory_gib": memory and round(int(memory[1]) / 2 ** 20, 1),
        "os": platform.platform(), "huge_pages": read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "load_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(), "rustc": run("rustc", "--version"),
        "gpu": run("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
        "commit": run("git", "rev-parse", "--short=12", "HEAD"), "changed": bool(run("git", "status", "--porcelain")),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def groups(children, n):
    """The child processes in groups, such that each group and our process fit in memory together."""
    available = 8 << 30
    with contextlib.suppress(OSError, TypeError):
        text = pathlib.Path("/proc/meminfo").read_text()
        available = int(re.search(r"MemAvailable:\s+(\d+)", text)[1]) * 1024 * 3 // 4
    ours = [kid for kid in children if kid.name == "ours"]
    free = available - FOOTPRINT["ours"] * n
    parts, used = [[]], 0
    for kid in children:
        if kid.name == "ours":
            continue
        need = FOOTPRINT[kid.kind] * n
        if parts[-1] and used + need > free:
            parts.append([])
            used = 0
        parts[-1].append(kid)
        used += need
    return [ours + group for group in parts]


def load(children, n, errors):
    for kid in children:
        kid.serves = {}
        try:
            said = kid.ask("load", n, DATA).split()
        except Failure as error:
            errors[kid.name] = str(error)
            continue
        names = kid.about[-1].split(",") if kid.kind in ("ours", "burn") else []
        pairs = [pair.split(":") for pair in said] or [(who, work) for who in names for work in WORKS]
        for who, work in pairs:
            kid.serves.setdefault(work, []).append(who)


def settings(options):
    """All combinations of device, number of threads and page size to run."""
    made = []
    if "cpu" in options.devices:
        cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        for pages in options.pages:
            for threads in options.threads:
                if not cpus or threads <= len(cpus):
                    made.append({"device": "cpu", "threads": threads, "pages": pages, "cpus": cpus[-threads:],
                                 "sizes": options.sizes})
    if "gpu" in options.devices:
        made.append({"device": "gpu", "threads": os.cpu_count(), "pages": None, "cpus": None,
                     "adapter": options.adapter, "sizes": options.gpu_sizes})
    return made


def numbers(text):
    return [int(part) for part in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds, small pages only")
    parser.add_argument("--devices", default="cpu,gpu", help="cpu, gpu or both")
    parser.add_argument("--adapter", default="best", help="the GPU: an index of `logloss devices`, part of a name, or "
                        "best, which takes a software one if there is no other")
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="1,2")
    parser.add_argument("--pages", help="of 4k, thp (default: both)")
    parser.add_argument("--sizes", type=numbers, help="exponents of 2 (default: 16,24,26)")
    parser.add_argument("--gpu-sizes", type=numbers, help="the same for the GPU (default: 20,24,26; 18,20,22,24 for Burn)")
    parser.add_argument("--works", default="mean,mean+grad")
    parser.add_argument("--only", default="", help="of torch, jax, numpy, burn (default: all)")
    parser.add_argument("--rounds", type=int, help="this many, in place of as many as fit the budget (7 to 41)")
    parser.add_argument("--budget", type=float, help="seconds for the rounds of one size and work (default: 20)")
    parser.add_argument("--sample", type=float, default=0.02, help="shortest sample, in seconds")
    parser.add_argument("--settle", type=float, default=0.02, help="pause between two competitors, in seconds")
    parser.add_argument("--json", type=pathlib.Path, help="write everything here")
    parser.add_argument("--no-build", action="store_true", help="do not rebuild the child process of logloss")
    parser.add_argument("--ready", action="store_true", help="check whether the peers can run, and exit")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    exponents = options.sizes or ([16, 22] if options.quick else [16, 24, 26])
    gpu = options.gpu_sizes or ([20, 22] if options.quick else [18, 20, 22, 24] if BURN.exists() else [20, 24, 26])
    options.sizes, options.gpu_sizes = [1 << e for e in exponents], [1 << e for e in gpu]
    options.budget = options.budget or (4 if options.quick else 20)
    options.pages = (options.pages or ("4k" if options.quick else "4k,thp")).split(",")
    options.devices, options.works = options.devices.split(","), options.works.split(",")
    options.only = [name for name in options.only.split(",") if name]
    return options


def main():
    options = parse()
    if options.child:
        peer, device, threads = options.child
        return child(peer, device, int(threads))
    if PYTHON.exists() and pathlib.Path(sys.prefix).resolve() != PYTHON.parent.parent.resolve():
        sys.exit(subprocess.run([str(PYTHON), *sys.argv]).returncode)
    try:
        import numpy  # noqa: F401
    except ImportError:
        sys.exit("peers.py: there is no NumPy: run benches/peers/setup")
    return 0 if options.ready else drive(options)


def drive(options):
    tty = sys.stderr.isatty()
    sys.stdout.reconfigure(line_buffering=True)

    def say(text):
        if tty:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    if not options.no_build:
        subprocess.run([str(PYTHON if PYTHON.exists() else sys.executable), str(HERE / "setup"), "--ours"], check=True,
                       stdout=sys.stderr)
    facts = machine()
    truth = make_data([n for setting in settings(options) for n in setting["sizes"]], say)
    all_results, skipped, versions = [], {}, {}
    print("\n".join(f"{key}: {value}" for key, value in facts.items() if value not in (None, "")))
    if (facts["load_at_start"] or 0) > 0.5:
        print("The machine is busy: ratios are more reliable than times.")
    for setting in settings(options):
        children, missing = start(setting, options.only, say)
        if not children or children[0].name != "ours":
            print(f"\n{setting['device']}: skipped: {missing.get('ours', 'no device')}")
            skipped[setting["device"]] = missing.get("ours", "no device")
            for kid in children:
                kid.end()
            continue
        about = children[0].about
        software = " (software adapter)" if about[2] == "software adapter" else ""
        setting["name"] = f"{facts['cpu']}, {about[0]}" if setting["device"] == "cpu" else f"{about[0]}{software}"
        where = f"{setting['threads']} thread{'s' * (setting['threads'] > 1)}, {setting['pages']} pages" \
            if setting["device"] == "cpu" else f"data on the device; {about[1]}, {about[3]}"
        versions.update({kid.kind: kid.about[0] for kid in children if kid.kind != "ours"})
        skipped.update({f"{name} on {setting['device']}": reason for name, reason in missing.items()})
        for n in setting["sizes"]:
            for group in groups(children, n):
                errors = {}
                say(f"loading 2^{n.bit_length() - 1}")
                load(group, n, errors)
                for work in options.works:
                    rows, failed = measure(group, n, work, truth[n], options, say)
                    made = results(rows, setting, n, work)
                    for result in made:
                        result["commit"] = facts["commit"]
                    all_results += made
                    say("")
                    print(f"\n{work}, 2^{n.bit_length() - 1} values, {setting['name']}, {where}"
                          f"   (* fastest peer; {rows[0]['rounds'] if rows else 0} rounds)")
                    print(table(made))
                    for name, reason in {**errors, **failed}.items():
                        print(f"  {name}: {reason}")
                        skipped[f"{name}, {work}, {n}, {setting['device']}"] = reason
                if setting["pages"] and (huge := [(kid.name, kid.huge_pages()) for kid in group]) and huge[0][1] is not None:
                    print("  in huge pages, MiB: " + ", ".join(f"{name} {size}" for name, size in huge))
        for kid in children:
            kid.end()
    met = goals(all_results)
    if met:
        print("\nGoals")
        for goal in met:
            sign = "<=" if goal["at_most"] else ">="
            print(f"  {'met    ' if goal['met'] else 'NOT MET'}  {goal['goal']}: {goal['value']:.3g} ({sign} {goal['limit']:.3g})")
    if skipped:
        print("\nSkipped")
        for name, reason in skipped.items():
            print(f"  {name}: {reason}")
    if options.json:
        command = shlex.join(["benches/peers/peers.py", *sys.argv[1:]])
        whole = {"command": command, "machine": facts, "versions": versions, "results": all_results, "goals": met,
                 "skipped": skipped}
        options.json.write_text(json.dumps(whole, indent=1) + "\n")
        print(f"\nwritten: {options.json}")


if __name__ == "__main__":
    sys.exit(main())
