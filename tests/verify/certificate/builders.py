"""Certificates made by hand: values come from mpmath, fractions and scipy, never from the checker."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import mpmath
from scipy.special import betaincinv

Json = Any
ROOT = Path(__file__).resolve().parents[3]

mpmath.mp.dps = 70
SLACK = Fraction(1, 2**60)


def seal(document: Json) -> Json:
    """Write the hash of the rest into a certificate."""
    content = {key: value for key, value in document.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return {**content, "sha256": hashlib.sha256(text.encode("ascii")).hexdigest()}


def encoded(document: Json) -> bytes:
    return json.dumps(document).encode()


def around(value: Any, slack: Fraction = SLACK) -> tuple[str, str]:
    """Rational ends a little outside of a number."""
    middle = Fraction(int(mpmath.floor(mpmath.mpf(value) * 2**180)), 2**180)
    return tuple(str(Fraction(round((middle + way) * 2**100), 2**100)) for way in (-slack, slack))  # type: ignore[return-value]


PYTORCH = ["uniform", "1"]


def data(rows: Sequence[Sequence[str]]) -> Json:
    text = "".join(",".join(row) + "\n" for row in rows)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"name": "a few points", "sha256": digest, "rows": [list(row) for row in rows], "numbers": None}


ZIGZAG = [["0", "0"], ["1/4", "1"], ["1/2", "0"], ["3/4", "1"], ["1", "0"]]
SIDES = [["-1", "0"], ["1", "1"], ["1/2", "2"]]


def case(
    widths: list[int], laws: Json, rows: Json = ZIGZAG, holds: Sequence[str] = ("F",), fails: Sequence[str] = ()
) -> Json:
    return {
        "name": "a case",
        "widths": widths,
        "initialization": {"name": "drawn somehow", "independent": bool(laws), "laws": laws},
        "data": data(rows),
        "optimizer": {"name": "sgd", "holds": list(holds), "fails": list(fails)},
    }


def theorem(ident: str, dead: int | None = None, **event: Json) -> Json:
    relation = {"T7": "p = B", "T11a": "p <= B"}.get(ident, "p >= B")
    found = {"layer": "dead", "neurons": dead, "nonpositive_bias": False} | event
    return {"id": ident, "relation": relation, "dead": dead, "event": found, "proof": "theorems/proofs"}


def hypotheses(*found: tuple[str, str] | tuple[str, str, Json]) -> Json:
    return [
        {"id": one[0], "status": one[1], "evidence": "certified", "why": "so", "certificate": (*one, None)[2]}
        for one in found
    ]


def holding(text: str, certificate: Json = None) -> Json:
    names = text.split()
    return hypotheses(*((name, "holds", certificate if name == "optimal-risk-above-noise" else None) for name in names))


def p_1(lo: str, hi: str | None, method: str = "uniform_1d", **more: Json) -> Json:
    return {"lo": lo, "hi": hi, "derivation": {"method": method, **more}}


def size(hi: str, method: str = "data", **more: Json) -> Json:
    return {"lo": None, "hi": hi, "derivation": {"method": method, **more}}


def bound(shape: Json, value: Any) -> Json:
    lo, hi = around(value)
    return {"shape": shape, "lo": lo, "hi": hi}


def limits(events: int, lost: int, trials: int, alpha: Fraction) -> tuple[str, str]:
    """Clopper-Pearson limits from scipy, moved out by more than its error."""

    def lower(k: int) -> Fraction:
        if k == 0:
            return Fraction(0)
        found = Fraction(float(betaincinv(k, trials - k + 1, float(alpha / 2)))) - Fraction(1, 10**9)
        return max(Fraction(int(found * 2**40), 2**40), Fraction(0))

    return str(lower(events)), str(1 - lower(trials - events - lost))


def comparison(events: int, trials: int, verdict: str, lost: int = 0, alpha: str = "1/20", **more: Json) -> Json:
    lo, hi = limits(events, lost, trials, Fraction(alpha))
    return {
        "events": events,
        "lost": lost,
        "trials": trials,
        "interval": "clopper-pearson",
        "alpha": alpha,
        "lo": lo,
        "hi": hi,
        "dtype": "float64",
        "resolution": "1/100000",
        "verdict": verdict,
    } | more


def certificate(
    the_case: Json,
    the_theorem: Json,
    the_hypotheses: Json,
    quantities: Json,
    the_bound: Json,
    the_comparison: Json = None,
    bits: int = 192,
    level: Json = None,
    training: Json = None,
) -> Json:
    return seal(
        {
            "format": "nonconv-certificate/2",
            "bits": bits,
            "case": the_case,
            "theorem": the_theorem,
            "hypotheses": the_hypotheses,
            "quantities": quantities,
            "bound": the_bound,
            "level": level,
            "comparison": the_comparison,
            "training": training,
        }
    )


# --- values, by mpmath -----------------------------------------------------------------------------------------------

mpf = mpmath.mpf
PI = mpmath.pi


def ratio(text: str) -> Any:
    value = Fraction(text)
    return mpf(value.numerator) / value.denominator


def tail(n: int, k: int, p: Any) -> Any:
    return sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))


def chain(widths: list[int], first: Any, bias: Any, enough: int | None) -> Any:
    """The probability of the chain by summing over all paths, layer by layer."""
    alive = [comb(widths[0], s) * first**s * (1 - first) ** (widths[0] - s) for s in range(widths[0] + 1)]
    alive = alive[: widths[0] if enough is None else enough]
    for before, width in itertools.pairwise(widths):
        now = [mpf(0)] * width
        for s, mass in enumerate(alive):
            q = bias * mpf(1) / 2 ** (before - s)
            for t in range(width):
                now[t] += mass * comb(width, t) * q**t * (1 - q) ** (width - t)
        alive = now
    return 1 - sum(alive)


def signs(widths: list[int], k: int, biased: bool = True) -> Any:
    return mpf(1) / 2 ** ((widths[k - 1] + biased) * widths[k])


def contraction(
    widths: list[int], size: Any, rho: Callable[[int], Any], phi: Callable[[int], Any], first: Any, biased: bool
) -> Any:
    c, a = rho(1) * size, first
    for k in range(2, len(widths) - 1):
        death = max(1 - phi(k) * c / a, 0) / 2
        c, a = rho(k) * c, a * (1 - max(death ** widths[k], signs(widths, k, biased)))
    return 1 - a


# --- one certificate of each kind ------------------------------------------------------------------------------------

II, LV, OK = "independent-initialization", "labels-vary", "optimizer-keeps-dead"
OR, ND, ZB, BD = "optimal-risk-above-noise", "neuron-can-be-dead", "zero-biases", "bounded-bias-density"
RUNS = {"kind": "runs", "inputs": None}
TORCH_1 = [[1, PYTORCH, PYTORCH]]


def torch(widths: list[int]) -> Json:
    """PyTorch's laws: half-width squared 1/fan_in."""
    return [[1, ["uniform", f"1/{n}"], ["uniform", f"1/{n}"]] if n > 1 else [1, PYTORCH, PYTORCH] for n in widths[:-2]]


def he(widths: list[int], bias: Json = ("zero",)) -> Json:
    return [[1, ["normal", str(Fraction(2, n))], list(bias)] for n in widths[:-2]]


def recursion(state: str, parameters: str, start: Json, step: Json, layers: Json, result: Json) -> Json:
    return {
        "kind": "recursion",
        "state": state.split(),
        "start": start,
        "parameters": parameters.split(),
        "step": step,
        "layers": layers,
        "result": result,
    }


SURVIVAL = [["mul", "s", ["sub", "1", "q"]]]


def product(start: Json, layers: Json) -> Json:
    return recursion("s", "q", [start], SURVIVAL, layers, ["sub", "1", "s"])


def t3_all() -> Json:
    """The example of FORMAT.md."""
    rows = [["0", "0"], ["1/3", "1"], ["2/3", "0"], ["1", "1"]]
    asked = f"one-hidden-layer {II} {ND} {OK} {OR}"
    shape = {"kind": "closed", "term": ["pow", "p_1", 2]}
    return certificate(
        case([1, 2, 1], TORCH_1, rows),
        theorem("T3", 2, layer=None),
        holding(asked, {"kind": "constant"}),
        {"p_1": p_1("3/8", "3/8")},
        {"shape": shape, "lo": "9/64", "hi": "9/64"},
        comparison(1406, 10000, "CONSISTENT"),
    )


def t3_runs() -> Json:
    shape = {"kind": "closed", "term": ["sub", "1", ["pow", ["sub", "1", "p_1"], 2]]}
    return certificate(
        case([1, 2, 1], TORCH_1),
        theorem("T3", 1, layer=None),
        holding(f"one-hidden-layer {II} {ND} {OK} {OR}", RUNS),
        {"p_1": p_1("3/8", "3/8")},
        {"shape": shape, "lo": "39/64", "hi": "39/64"},
        comparison(7000, 10000, "CONFIRMED", lost=3),
    )


def t3_decay() -> Json:
    """Only (D) holds: dead neurons count with a bias <= 0, and p_1 is that of the inputs with 0."""
    rows = [["1/2", "0"], ["3/4", "1"], ["1", "0"]]
    found = [("one-hidden-layer", "holds"), (II, "holds"), (ND, "holds"), (OK, "holds"), (OR, "unknown")]
    return certificate(
        case([1, 2, 1], TORCH_1, rows, holds=("D",), fails=("S",)),
        theorem("T3", 1, layer=None, nonpositive_bias=True),
        hypotheses(*found),
        {"p_1": p_1("3/8", "3/8")},
        None,
        comparison(5, 10, "UNDECIDED", dtype="float32"),
    )


def t4() -> Json:
    widths = [1, 4, 3, 1]
    asked = f"several-hidden-layers {II} {ND} {OK} scalar-output enough-dead-neurons {OR}"
    rows = [[str(Fraction(j, 20)), str(j % 2)] for j in range(21)]
    p = mpf(3) / 8
    return certificate(
        case(widths, torch(widths), rows),
        theorem("T4", 3, layer=None),
        holding(asked, RUNS),
        {"p_1": p_1("3/8", "3/8")},
        bound({"kind": "closed", "term": ["tail", 4, 3, "p_1"]}, tail(4, 3, p)),
        comparison(10, 10000, "REFUTED"),
    )


def t1() -> Json:
    widths = [1, 3, 3, 2, 1]
    p = mpf(3) / 8
    value = 1 - (1 - p**3) * (1 - signs(widths, 2)) * (1 - signs(widths, 3))
    layers = [[1, [["pow", "1/2", 12]]], [1, ["1/256"]]]
    return certificate(
        case(widths, torch(widths)),
        theorem("T1"),
        holding(f"{II} {LV} {OK}"),
        {"p_1": p_1("3/8", "3/8")},
        bound(product(["sub", "1", ["pow", "p_1", 3]], layers), value),
        comparison(600, 10000, "CONSISTENT"),
    )


def t1_structural() -> Json:
    """(S) without (FB): a structurally dead layer."""
    document = t1()
    document["case"]["optimizer"] |= {"holds": ["S"], "fails": ["FB"]}
    document["theorem"]["event"]["layer"] = "structural"
    return seal(document)


def t2() -> Json:
    widths = [1, 4, 3, 3, 1]
    success = [[2, ["mul", "1/2", ["pow", "1/2", "a"]]]]
    shape = {"kind": "chain", "widths": widths[1:-1], "first": "p_1", "success": success, "enough": None}
    return certificate(
        case(widths, torch(widths)),
        theorem("T2"),
        holding(f"{II} {LV} {OK}"),
        {"p_1": p_1("3/8", "3/8")},
        bound(shape, chain(widths[1:-1], mpf(3) / 8, mpf(1) / 2, None)),
        comparison(10000, 10000, "CONFIRMED"),
    )


def t5() -> Json:
    widths = [1, 4, 3, 1]
    success = [[1, ["mul", "1/2", ["pow", "1/2", "a"]]]]
    shape = {"kind": "chain", "widths": [4, 3], "first": "p_1", "success": success, "enough": 3}
    rows = [[str(Fraction(j, 20)), str(j % 2)] for j in range(21)]
    return certificate(
        case(widths, torch(widths), rows),
        theorem("T5", 3),
        holding(f"{II} {LV} {OK} scalar-output enough-dead-neurons {OR}", RUNS),
        {"p_1": p_1("3/8", "3/8")},
        bound(shape, chain([4, 3], mpf(3) / 8, mpf(1) / 2, 3)),
    )


def t7() -> Json:
    widths = [1, 3, 2, 1]
    layers = [[1, ["1/8"]], [1, ["1/4"]]]
    return certificate(
        case(widths, he(widths)),
        theorem("T7"),
        holding(f"{II} {ZB} one-input-ray {LV} {OK}"),
        {},
        bound(product("1", layers), ratio("11/32")),
        comparison(3438, 10000, "CONSISTENT"),
    )


def t8() -> Json:
    widths = [1, 3, 2, 2, 1]
    step = [
        ["mul", ["sub", "1", "q"], "s"],
        [
            "add",
            ["mul", "l", "q", "q", "s"],
            ["mul", ["sub", "1", ["add", ["mul", "2", "q"], ["mul", ["sub", "l", "1"], "q", "q"]]], "b"],
        ],
    ]
    result = ["add", ["mul", "1/4", ["sub", "1", "s"]], ["mul", "3/4", ["add", "1", ["mul", "-2", "s"], "b"]]]
    s = b = Fraction(1)
    for n in (2, 2):
        q = Fraction(1, 2**n)
        s, b = (1 - q) * s, n * q**2 * s + (1 - 2 * q - (n - 1) * q**2) * b
    value = (1 - s) / 4 + Fraction(3, 4) * (1 - 2 * s + b)
    return certificate(
        case(widths, he(widths), SIDES, holds=("SL",)),
        theorem("T8"),
        holding(f"{II} {ZB} opposite-input-rays {LV} {OK}"),
        {},
        bound(recursion("s b", "l q", ["1", "1"], step, [[2, ["2", "1/4"]]], result), ratio(str(value))),
        comparison(1, 2, "CONSISTENT"),
    )


def t10() -> Json:
    widths = [1, 2, 2, 2, 1]
    law = [[3, ["normal", "1/100"], ["normal", "4"]]]
    m, f, s = mpmath.sqrt(2 / PI) / 10, 1 / (2 * mpmath.sqrt(2 * PI)), mpf(1) / 10
    c = mpmath.atan(mpf(1) / 20)
    p = mpf(1) / 2 - c / (2 * PI)
    spread = mpmath.sqrt(mpf(5) / 8)
    first = 1 - p**2
    parts = [
        contraction(widths, mpf(1), lambda k: m, lambda k: f * m, first, True),
        contraction(widths, mpf(1), lambda k: s, lambda k: f * m, first, True),
        contraction(widths, spread, lambda k: s, lambda k: f * s * mpmath.sqrt(2), first, True),
    ]
    density = ["div", "1", ["mul", "2", ["sqrt", ["mul", "2", "pi"]]]]
    mean = ["mul", "1/10", ["sqrt", ["div", "2", "pi"]]]
    step = [
        ["mul", "r", "c"],
        [
            "mul",
            "s",
            [
                "sub",
                "1",
                ["max", ["pow", ["div", ["max", "0", ["sub", "1", ["mul", "f", ["div", "c", "s"]]]], "2"], "l"], "x"],
            ],
        ],
    ]

    def one(size: Json, rho: Json, phi: Json) -> Json:
        start = [["mul", rho, size], ["sub", "1", ["pow", "p_1", 2]]]
        return recursion("c s", "f r l x", start, step, [[2, [phi, rho, "2", "1/64"]]], ["sub", "1", "s"])

    shapes = [
        one("1", mean, ["mul", density, mean]),
        one("tau", "1/10", ["mul", density, mean]),
        one("sigma_x", "1/10", ["mul", density, "1/10", ["sqrt", "2"]]),
    ]
    low, high = around(p)
    best = {"kind": "best", "names": ["oscillation", "tree", "spread"], "bounds": shapes}
    return certificate(
        case(widths, law),
        theorem("T10"),
        holding(f"{II} {BD} {LV} {OK}"),
        {"p_1": p_1(low, high, "normal_1d"), "tau": size("1"), "sigma_x": size(around(spread)[1])},
        {"shape": best, **dict(zip(("lo", "hi"), around(max(parts), Fraction(1, 2**50)), strict=True))},
        comparison(900, 1000, "CONFIRMED"),
    )


def t11a() -> Json:
    widths = [1, 3, 2, 1]
    return certificate(
        case(widths, he(widths)),
        theorem("T11a"),
        holding(f"{II} symmetric-laws nonzero-input"),
        {},
        bound(product("1", [[1, ["1/8"]], [1, ["1/4"]]]), ratio("11/32")),
        comparison(2000, 10000, "CONFIRMED", interval="confidence-sequence", lo="1/10", hi="3/10"),
    )


def t11b() -> Json:
    widths = [2, 3, 2, 1]
    rows = [["1", "0", "0"], ["0", "1", "1"], ["0", "2", "1"]]
    value = 1 - 2 * Fraction(7, 8) * Fraction(3, 4)
    return certificate(
        case(widths, he(widths), rows),
        theorem("T11b"),
        holding(f"{II} {ZB} {LV} {OK}"),
        {},
        bound(product("2", [[1, ["1/8"]], [1, ["1/4"]]]), ratio(str(value))),
        comparison(10, 20, "VACUOUS"),
    )


def t12() -> Json:
    """The oscillation alone, for PyTorch's laws."""
    widths = [1, 4, 3, 1]
    rows = [[str(Fraction(j, 20)), str(j % 2)] for j in range(21)]
    c = [mpf(1), mpmath.sqrt(mpf(1) / 4)]
    first = 1 - tail(4, 3, mpf(3) / 8)
    value = contraction(widths, mpf(1), lambda k: widths[k] * c[k - 1] / 4, lambda k: mpf(1) / 4, first, True)
    death = ["pow", ["div", ["max", ["sub", "1", ["mul", "1/4", ["div", "c", "s"]]], "0"], "2"], 3]
    step = [["mul", "3/8", "c"], ["mul", "s", ["sub", "1", ["max", death, "x"]]]]
    start = ["1", ["sub", "1", ["tail", 4, 3, "p_1"]]]
    shape = recursion("c s", "x", start, step, [[1, [["pow", "1/2", 15]]]], ["sub", "1", "s"])
    return certificate(
        case(widths, torch(widths), rows),
        theorem("T12", 3),
        holding(f"{II} {BD} {LV} {OK} scalar-output enough-dead-neurons {OR}", RUNS),
        {"p_1": p_1("3/8", "3/8")},
        bound(shape, value),
        comparison(0, 10000, "REFUTED"),
    )


def _zeros(widths: list[int], z: Any, p: Any, needed: int, rays: int) -> list[Any]:
    def rho(n: int) -> Any:
        return mpf(0) if n == 1 else 1 - mpf(n + 2) / 2 ** (n + 1)

    first = 1 - tail(widths[1], needed, max(p, mpf(1) / 2 - z / 4))
    recursive = contraction(widths, z, lambda k: rho(widths[k]), lambda k: mpf(1) / 2, first, False)
    alive = min(mpf(rays), 1 + z / 2)
    for n in widths[1:-1]:
        alive *= 1 - mpf(1) / 2**n
    return [recursive, 1 - alive]


def t15() -> Json:
    widths = [1, 2, 2, 2, 1]
    z = mpf(2)
    start = [["mul", "1/2", "nu_0"], ["sub", "1", ["pow", ["max", "p_1", ["sub", "1/2", ["div", "nu_0", "4"]]], 2]]]
    death = ["pow", ["div", ["max", ["sub", "1", ["div", "c", ["mul", "2", "s"]]], "0"], "2"], 2]
    step = [["mul", "1/2", "c"], ["mul", "s", ["sub", "1", ["max", death, "1/16"]]]]
    first = recursion("c s", "", start, step, [[2, []]], ["sub", "1", "s"])
    second = product(["min", "2", ["add", "1", ["div", "nu_0", "2"]]], [[3, ["1/4"]]])
    return certificate(
        case(widths, he(widths), SIDES),
        theorem("T15"),
        holding(f"{II} {ZB} {LV} {OK}"),
        {"p_1": p_1("0", "0", "zero_bias_hull", multipliers=[[0, "1/2"], [2, "1/2"]]), "nu_0": size("2")},
        bound({"kind": "best", "names": ["a", "b"], "bounds": [first, second]}, max(_zeros(widths, z, mpf(0), 2, 2))),
        comparison(9000, 10000, "CONFIRMED"),
    )


def t14_number() -> Json:
    """A backward program stands in as a number: accepted in part."""
    widths = [1, 2, 2, 1]
    closed = product("1", [[2, ["1/4"]]])
    number = {"kind": "number", "value": "1/2"}
    return certificate(
        case(widths, he(widths)),
        theorem("T14"),
        holding(f"{II} {ZB} normal-weights {LV} {OK}"),
        {},
        {"shape": {"kind": "best", "names": ["a", "b"], "bounds": [closed, number]}, "lo": "1/2", "hi": "1/2"},
    )


def t16() -> Json:
    """A bound that is not rebuilt: the term is cited."""
    widths = [2, 2, 2, 1]
    rows = [["0", "0", "0"], ["1", "0", "1"], ["1", "1", "1/2"], ["0", "1", "1"]]
    steps = [["x", ["exp", ["sub", "0", ["mul", "tau", "r_0"]]]], ["y", ["erf", ["log", ["add", "x", "R"]]]]]
    shape = {"kind": "program", "steps": steps, "result": ["mul", "p_1", ["atan", ["add", "y", "e"]]]}
    p = ratio("13/48")
    root = around(mpmath.sqrt(2))[1]
    value = p * mpmath.atan(mpmath.erf(mpmath.log(1 + ratio(root))) + mpmath.e)
    quantities = {
        "p_1": p_1("13/48", None, "box_uniform"),
        "tau": size("3", "tree", parents=[1, 3, 0, -1]),
        "r_0": size("0"),
        "R": size(root),
    }
    return certificate(
        case(widths, [[2, ["uniform", "1/2"], ["uniform", "1/2"]]], rows, holds=("DJ",)),
        theorem("T16", layer="joint"),
        holding(f"{II} {BD} {LV} {OK}"),
        quantities,
        bound(shape, value),
    )


def t13() -> Json:
    """Decay: robustly dead, biases <= 0; withheld rows, so accepted in part."""
    widths = [1, 2, 2, 1]
    document = certificate(
        case(widths, torch(widths), holds=("D",)),
        theorem("T13", layer="robust", nonpositive_bias=True),
        holding(f"{II} {BD} {LV} {OK}"),
        {"p_1": p_1("3/8", "3/8")},
        {"shape": {"kind": "closed", "term": ["pow", "p_1", 2]}, "lo": "9/64", "hi": "9/64"},
    )
    document["case"]["data"] |= {"rows": None, "numbers": {"ranges": [["0", "1"]], "rays": 1, "opposite": False}}
    return seal(document)


def t1_trained() -> Json:
    """An audit's certificate: the level split, the risk event of two optimizers, and persistence."""
    document = t1()
    best = Fraction(0)  # the risk of the network below
    rows = [[Fraction(v) for v in row] for row in document["case"]["data"]["rows"]]
    mean = sum(y for _, y in rows) / len(rows)
    constant = sum((y - mean) ** 2 for _, y in rows) / len(rows)
    network = [[["1", "0"], ["1", "-1/4"], ["1", "-1/2"]], [["4", "-8", "4", "0"]]]
    for x, y in rows:
        found = 4 * x - 8 * max(x - Fraction(1, 4), 0) + 4 * max(x - Fraction(1, 2), 0)
        best += (y - found) ** 2 / len(rows)
    document["case"]["optimizer"]["holds"] = ["FB"]
    document["level"] = {"total": "2/9", "reserved": "1/10", "comparisons": 4}
    alpha = "1/20"
    sgd = {"name": "sgd", "holds": ["F"], "fails": []}
    decayed = {"name": "another", "holds": ["FB"], "fails": ["F"]}
    document["training"] = {
        "risk": str((constant + best) / 2),
        "network": network,
        "margin": str((constant - best) / 3),
        "runs": [
            {
                "optimizer": sgd,
                "risk": comparison(100, 128, "CONFIRMED", lost=2, alpha=alpha),
                "persistence": {"claimed": 9, "kept": 9, "verdict": "CONSISTENT"},
            },
            {
                "optimizer": decayed,
                "risk": comparison(0, 1000, "REFUTED", alpha=alpha),
                "persistence": {"claimed": 9, "kept": 8, "verdict": "REFUTED"},
            },
        ],
    }
    return seal(document)


def t16_vectors() -> Json:
    """A law of two parts, doubled and joined, and the mean of a convex function of it."""
    steps = [
        ["x", ["vector", "0", ["vector", "1/2", "1"]]],
        ["u", ["vector", "1/2", "1/4", "1/4"]],
        ["v", ["mul", "x", "u"]],
        ["w", ["join", [[0, 1, 2], [1, 2, 2], [2, 2, 3]], "u", "u"]],
        ["y", ["join", [[0, 1, 2], [1, 2, 2], [2, 2, 3]], "u", "v", "v", "u"]],
        ["z", ["div", "y", "w"]],
        ["s", ["sub", ["rest", "z"], ["init", "z"]]],
    ]
    result = ["mul", "p_1", ["sum", ["mul", "w", ["exp", ["sub", "0", ["mul", "z", ["div", ["sum", "s"], "2"]]]]]]]
    u, x = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)], [Fraction(0), Fraction(1, 2), Fraction(1)]
    cells = [[0, 1, 2], [1, 2, 2], [2, 2, 3]]
    w, y = [Fraction(0)] * 4, [Fraction(0)] * 4
    for i in range(3):
        for j in range(3):
            w[cells[i][j]] += u[i] * u[j]
            y[cells[i][j]] += u[i] * u[j] * (x[i] + x[j])
    slope = mpf(1)  # the last mean less the first one, halved
    means = [ratio(str(b / a)) for a, b in zip(w, y, strict=True)]
    value = ratio("13/48") * sum(ratio(str(a)) * mpmath.exp(-m * slope) for a, m in zip(w, means, strict=True))
    document = t16()
    document["quantities"] = {"p_1": document["quantities"]["p_1"]}
    document["bound"] = bound({"kind": "program", "steps": steps, "result": result}, value)
    return seal(document)


def t15_lines() -> Json:
    """Lines of survival for two layers of two neurons: the tangent of `1 - (1-y)^2/4` at 1/4."""
    widths = [1, 2, 2, 1]
    start = ["sub", "1", ["pow", ["max", "p_1", ["sub", "1/2", ["div", "nu_0", "4"]]], 2]]
    shape = {
        "kind": "backward",
        "first": start,
        "turns": ["div", "nu_0", "2"],
        "widths": [2, 2],
        "rays": 2,
        "two_rays": False,
        "lines": [["49/64", "3/8", ["1/2"]]],
    }
    return certificate(
        case(widths, he(widths), SIDES),
        theorem("T15"),
        holding(f"{II} {ZB} {LV} {OK}"),
        {"p_1": p_1("0", "0", "zero_bias_hull", multipliers=[[0, "1/2"], [2, "1/2"]]), "nu_0": size("2")},
        {"shape": shape, "lo": "3/64", "hi": "1/16"},  # the line gives 3/64, the recursion 1/16
    )


def not_applicable() -> Json:
    """T3 with a network that the remaining neuron suffices for."""
    rows = [["0", "0"], ["1/2", "1/2"], ["1", "1"]]
    network = {"kind": "network", "layers": [[["1", "0"]], [["1", "0"]]]}
    return certificate(
        case([1, 2, 1], TORCH_1, rows, holds=(), fails=("SS",)),
        theorem("T3", 1, layer=None, nonpositive_bias=True),
        hypotheses(("one-hidden-layer", "holds"), (II, "holds"), (ND, "holds"), (OK, "fails"), (OR, "fails", network)),
        {"p_1": p_1("3/8", "3/8")},
        None,
        comparison(5, 10, "NOT APPLICABLE"),
    )


def orthogonal() -> Json:
    return certificate(
        case([2, 2, 1], [], [["1", "2", "0"], ["2", "4", "0"]], holds=()),
        theorem("T14"),
        hypotheses((II, "fails"), (ZB, "fails"), ("normal-weights", "fails"), (LV, "fails"), (OK, "unknown")),
        {},
        None,
    )


def zero_orthant() -> Json:
    widths = [2, 3, 1]
    rows = [
        ["1", "2", "0"],
        ["2", "1", "1"],
        ["1", "1", "0"],
        ["3", "3", "1"],
        ["0", "0", "0"],
        ["2", "2", "2"],
        ["4", "4", "5"],
    ]
    return certificate(
        case(widths, he(widths), rows),
        theorem("T3", 2, layer=None),
        holding(f"one-hidden-layer {II} {ND} {OK} {OR}", {"kind": "runs", "inputs": [0, 1, 4, 5, 6]}),
        {"p_1": p_1("1/4", None, "zero_bias_orthant")},
        bound({"kind": "closed", "term": ["tail", 3, 2, "p_1"]}, ratio("5/32")),
    )


GOLDEN: dict[str, tuple[Callable[[], Json], int]] = {
    "t1": (t1, 0),
    "t1_structural": (t1_structural, 0),
    "t1_trained": (t1_trained, 0),
    "t2": (t2, 0),
    "t3_all": (t3_all, 0),
    "t3_runs": (t3_runs, 0),
    "t3_decay": (t3_decay, 0),
    "t4": (t4, 0),
    "t5": (t5, 0),
    "t7": (t7, 0),
    "t8": (t8, 0),
    "t10": (t10, 0),
    "t11a": (t11a, 0),
    "t11b": (t11b, 0),
    "t12": (t12, 0),
    "t13": (t13, 4),
    "t14_number": (t14_number, 4),
    "t15": (t15, 0),
    "t15_lines": (t15_lines, 0),
    "t16": (t16, 0),
    "t16_vectors": (t16_vectors, 0),
    "not_applicable": (not_applicable, 0),
    "orthogonal": (orthogonal, 0),
    "zero_orthant": (zero_orthant, 0),
}


def golden(name: str) -> Json:
    return copy.deepcopy(GOLDEN[name][0]())
