"""Problems whose certificates are written, one or more for each theorem, and the certificates bundled for the selftest.

Run as a program this writes the bundle again.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from theorems.catalogue import THEOREMS
from theorems.hypotheses import OptimizerClass, Property
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.setting import Architecture, DataSet
from verify.audit import resolution
from verify.certificate.checker import check_bytes
from verify.certificate.selftest import EXAMPLES, INDEX
from verify.certificate.training import Compared, LevelSplit, Persistence, Run, Training
from verify.certificate.write import Certificate, write_certificate
from verify.evaluate import Evaluation, evaluate_theorem
from verify.inference import Count, Interval, Verdict, confidence_limits, judge
from verify.risk import best_witness

Json = Any
BUNDLE = Path(__file__).resolve().parents[3] / "verify" / "certificate" / EXAMPLES

ZIGZAG = ((0, 0), (1, 1), (2, 0), (3, 1), (4, 0), (5, 1))
TABLE = {
    "zigzag": tuple(((Fraction(x, 5),), (Fraction(y),)) for x, y in ZIGZAG),
    "both sides": tuple(((Fraction(x - 2, 3),), (Fraction(y),)) for x, y in ZIGZAG),
    "positive": tuple(((Fraction(x + 1),), (Fraction(y),)) for x, y in ZIGZAG),
    "plane": tuple(((Fraction(i), Fraction(j, 3)), (Fraction(i * i + j, 7),)) for i in range(4) for j in range(3)),
    "surrounded": tuple(((Fraction(i), Fraction(j)), (Fraction(i * j),)) for i in (-1, 0, 1) for j in (-1, 0, 1)),
    "line in the plane": tuple(((Fraction(x), Fraction(x, 2)), (Fraction(y),)) for x, y in ZIGZAG),
    "space": tuple(((Fraction(i), Fraction(i * i, 9), Fraction(2 * i % 3)), (Fraction(i % 2),)) for i in range(5)),
    "equal labels": tuple(((Fraction(x),), (Fraction(1, 3),)) for x in range(3)),
    "hat": tuple(((Fraction(x, 4),), (Fraction(min(x, 8 - x) - 2),)) for x in range(9)),
    "two hats": tuple(
        ((Fraction(x, 4),), (Fraction(min(x, 8 - x) - 2), Fraction(abs(x - 3) - 5, 7))) for x in range(9)
    ),
    "repeated": tuple(((Fraction(x // 2),), (Fraction(x % 3, 2),)) for x in range(8)),
}


@cache
def data(name: str) -> DataSet:
    inputs, labels = zip(*TABLE[name], strict=True)
    return DataSet.from_rows(name, inputs, labels)


def problem(widths: str, initialization: str, source: str, kept: str = "F", bias: str | None = None) -> Problem:
    properties = [Property[name] for name in kept.split() if name != "none"]
    laws = parse_initialization(initialization, bias)
    return Problem(Architecture.parse(widths), laws, data(source), OptimizerClass.having(*properties))


@dataclass(frozen=True)
class Written:
    """A theorem put to a problem; code and taken: what the checker says, and what it must take as stated, and why."""

    theorem: str
    problem: tuple[str, ...]
    code: int = 0
    taken: str = ""

    @property
    def id(self) -> str:
        return "-".join((self.theorem, *self.problem)).replace(" ", "_")

    def evaluate(self) -> tuple[Problem, Evaluation]:
        return _evaluated(self.theorem, self.problem)


@cache
def _evaluated(theorem: str, described: tuple[str, ...]) -> tuple[Problem, Evaluation]:
    posed = problem(*described)
    return posed, evaluate_theorem(THEOREMS[theorem], posed)


# The search for lines of T18, and p_1 or tours in several dimensions, have no derivation in the format: those
# certificates are accepted in part.
NUMBER, P_DEAD = "a number stands for a bound", "p_1 >="
EVALUATED = (
    Written("T1", ("1,3,3,1", "pytorch", "zigzag")),
    Written("T1", ("1,5,4,3,1", "he_uniform", "both sides", "S")),
    Written("T1", ("2,3,3,1", "he_normal", "surrounded")),
    Written("T1", ("2,3,3,1", "pytorch", "plane"), 4, P_DEAD),
    Written("T2", ("1,3*6,1", "pytorch", "zigzag")),
    Written("T2", ("1,5,4,3,1", "normal(1,1/3)", "both sides", "D")),
    Written("T3", ("1,4,1", "pytorch", "zigzag")),
    Written("T3", ("1,8,1", "normal(1,2)", "both sides", "D")),
    Written("T3", ("1,2000,1", "pytorch", "zigzag")),
    Written("T3", ("2,3,1", "he_uniform", "line in the plane", "S")),
    Written("T4", ("1,4,3,1", "pytorch", "zigzag")),
    Written("T5", ("1,4,3,1", "uniform(2)", "repeated")),
    Written("T7", ("1,3*8,1", "he_normal", "positive")),
    Written("T8", ("1,2,3,2,1", "keras", "both sides", "SL")),
    Written("T10", ("1,3*10,1", "pytorch", "zigzag")),
    Written("T10", ("1,5,3,2,1", "normal(1,1/3)", "both sides")),
    Written("T10", ("2,3,3,1", "normal(1,1)", "plane"), 4, P_DEAD),
    Written("T11a", ("3,3*8,1", "flax", "space")),
    Written("T11b", ("1,3*10,1", "he_normal", "both sides")),
    Written("T12", ("1,3,3,1", "pytorch", "zigzag")),
    Written("T12", ("1,3,3,1", "pytorch", "zigzag", "DJ")),
    Written("T12", ("1,3,3,1", "he_normal", "positive", "SL")),
    Written("T12", ("1,3,3,1", "normal(1,1)", "zigzag", "D")),
    Written("T12", ("1,5,5,1", "he_normal", "both sides"), 4, NUMBER),
    Written("T13", ("1,3*5,1", "pytorch", "both sides", "D")),
    Written("T13b", ("1,3*5,1", "pytorch", "both sides", "D")),
    Written("T13b", ("1,4,3,2,1", "normal(1,1)", "zigzag", "D")),
    Written("T14", ("1,3*5,1", "he_normal", "positive")),
    Written("T14", ("1,3*5,1", "he_normal", "both sides")),
    Written("T15", ("1,3*5,1", "he_uniform", "positive", "SL")),
    Written("T15", ("1,3,60,2*6,1", "he_uniform", "both sides")),
    Written("T15", ("3,3*8,1", "flax", "space"), 4, P_DEAD),
    Written("T16", ("1,3,3,1", "pytorch", "zigzag", "DJ")),
    Written("T16", ("1,4,3,2,1", "normal(1,1)", "both sides", "DW")),
    Written("T16", ("2,3,3,1", "normal(1,1)", "plane", "DJ"), 4, P_DEAD),
    Written("T16", ("1,3*30,1", "pytorch", "zigzag", "DJ")),  # beyond the fine layers
    Written("T18", ("1,3*5,1", "keras", "both sides"), 4, NUMBER),
    Written("T19", ("1,3*6,1", "pytorch", "zigzag", "D")),
    Written("T19", ("1,4,3,1", "normal(1,1/3)", "zigzag", "D")),
    Written("T3", ("1,40,1", "pytorch", "both sides")),  # many dead neurons
)


FAILING = (
    Written("T1", ("1,3,1", "orthogonal", "zigzag")),  # not independent
    Written("T2", ("1,3,1", "pytorch", "equal labels")),  # V = 0
    Written("T3", ("1,2,1", "he_uniform", "both sides")),  # p_1 = 0
    Written("T3", ("1,4,4,1", "pytorch", "zigzag")),  # two hidden layers
    Written("T3", ("1,9,1", "pytorch", "repeated", "none")),  # no property
    Written("T3", ("1,5,1", "pytorch", "hat", "none")),  # four neurons interpolate
    Written("T5", ("1,5,3,2,2", "pytorch", "two hats", "none")),  # also with two outputs, through later layers
    Written("T4", ("1,3,3,1", "orthogonal", "zigzag")),  # p_1 not known
    Written("T4", ("2,5,3,1", "pytorch", "surrounded", "SL"), 4, P_DEAD),  # no property of those asked
    Written("T5", ("1,5,3,1", "pytorch", "equal labels")),  # nothing can be lost
    Written("T7", ("1,3,1", "he_normal", "both sides")),  # two rays
    Written("T8", ("1,3,1", "he_normal", "positive")),  # one ray
    Written("T10", ("1,3,1", "pytorch", "zigzag", "SS")),  # no (FB)
    Written("T14", ("1,3,1", "he_uniform", "positive")),  # not normal
    Written("T16", ("1,3,1", "he_normal", "positive", "DJ")),  # no biases
)
CERTIFICATES = EVALUATED + FAILING


def compared(posed: Problem, found: Evaluation, events: int, trials: int, interval: str) -> Compared:
    """A comparison with made-up counts."""
    alpha, dtype = Fraction(1, 1000), "float32"
    limits = confidence_limits(Count(events, 1, trials), Interval(interval), alpha)
    gap = resolution(dtype, posed.architecture)
    judged = judge(
        bound=found.bound,
        limits=limits,
        hypotheses=found.status,
        hypothesis_reason="",
        resolution=gap,
        relation=found.theorem.relation,
    )
    return Compared(events, 1, trials, interval, alpha, limits, dtype, gap, judged.verdict)


@cache
def certificate(written: Written, events: int | None = None, trials: int = 1000, interval: str = "") -> Certificate:
    return written_anew(written, events, trials, interval)


def written_anew(written: Written, events: int | None = None, trials: int = 1000, interval: str = "") -> Certificate:
    posed, found = written.evaluate()
    made = None if events is None else compared(posed, found, events, trials, interval or "clopper-pearson")
    return write_certificate(posed, found, made)


# --- the bundle ------------------------------------------------------------------------------------------------------


def sealed(document: Json) -> bytes:
    """The text of a changed certificate, with the hash of its new content."""
    content = {key: value for key, value in document.items() if key != "sha256"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    content["sha256"] = hashlib.sha256(canonical.encode("ascii")).hexdigest()
    return (json.dumps(content, indent=1) + "\n").encode("ascii")


def _put(*path: Any) -> Callable[[Json], None]:
    """Change one member: the last entry is its new value."""

    def change(document: Json) -> None:
        *way, last, value = path
        for key in way:
            document = document[key]
        document[last] = value

    return change


def _all(*changes: Callable[[Json], None]) -> Callable[[Json], None]:
    def change(document: Json) -> None:
        for each in changes:
            each(document)

    return change


def _drop(document: Json) -> None:
    del document["hypotheses"][1]


def _drop_part(document: Json) -> None:
    steps = dict(document["bound"]["shape"]["steps"])
    name = next(name for name, term in steps.items() if term[0] == "join")
    document["bound"]["shape"]["steps"] = [
        [step, ["init", term] if step == name else term] for step, term in steps.items()
    ]


def trained(written: Written) -> Certificate:
    """A certificate with two comparisons that share a level, a risk level, a margin and one trained optimizer."""
    posed, found = written.evaluate()
    level = LevelSplit(Fraction(1, 450), Fraction(1, 10), 2)
    constant, reached = posed.data.noise_floor + posed.data.variance, best_witness(posed.architecture, posed.data).risk
    run = Run(
        posed.optimizer, compared(posed, found, 990, 1000, "clopper-pearson"), Persistence(5, 5, Verdict.CONSISTENT)
    )
    training = Training((constant + reached) / 2, (constant - reached) / 2, True, (run,))
    made = compared(posed, found, 800, 1000, "clopper-pearson")
    return write_certificate(posed, found, made, level=level, training=training)


BASE = Written("T3", ("1,4,1", "pytorch", "zigzag"))
GOOD = (
    ("width", BASE, (900, 1000), "T3, compared with Clopper-Pearson limits"),
    ("sequence", BASE, (900, 1000), "the same with a confidence sequence"),
    ("product", Written("T1", ("1,3,3,1", "pytorch", "zigzag")), None, "T1, a bound alone"),
    ("chain", Written("T2", ("1,3*6,1", "pytorch", "zigzag")), None, "T2, the live-set chain"),
    ("equality", Written("T7", ("1,3*8,1", "he_normal", "positive")), (660, 1000), "T7, an equality"),
    ("contraction", Written("T10", ("1,3*10,1", "pytorch", "zigzag")), (750, 1000), "T10, compared"),
    ("ceiling", Written("T11a", ("3,3*8,1", "flax", "space")), (500, 1000), "T11a, an upper bound"),
    ("hull", Written("T1", ("2,3,3,1", "he_normal", "surrounded")), None, "p_1 = 0, shown by multipliers"),
    ("tour", Written("T15", ("1,3*5,1", "he_uniform", "positive", "SL")), None, "T15, zero biases"),
    ("decay", Written("T13b", ("1,4,3,2,1", "normal(1,1)", "zigzag", "D")), None, "T13b, weight decay"),
    ("not-applicable", Written("T3", ("1,2,1", "he_uniform", "both sides")), (0, 1000), "a hypothesis fails"),
    (
        "lines",
        Written("T14", ("1,3*5,1", "he_normal", "both sides")),
        None,
        "T14, lines of survival through the layers",
    ),
    ("envelope", Written("T19", ("1,2,2,1", "pytorch", "zigzag", "D")), None, "T19, a law in parts, joined"),
    ("curve", Written("T16", ("1,3,3,1", "pytorch", "zigzag", "DJ")), None, "T16, vectors along the decay"),
    ("in-part", Written("T18", ("1,3*5,1", "keras", "both sides")), None, "T18, whose bound is found by a search"),
)
BAD: tuple[tuple[str, str, Callable[[Json], None], str], ...] = (
    ("bound-too-large", "width", _all(_put("bound", "lo", "1/2"), _put("bound", "hi", "1")), "a larger bound"),
    ("other-widths", "width", _put("case", "widths", [1, 5, 1]), "another architecture"),
    (
        "other-law",
        "width",
        _put("case", "initialization", "laws", 0, 1, ["uniform", "4"]),
        "another law of the weights",
    ),
    ("other-row", "width", _put("case", "data", "rows", 0, 0, "1/7"), "a row that is not the hashed one"),
    (
        "other-p1",
        "width",
        _put("quantities", "p_1", {"lo": "1/2", "hi": "1/2", "derivation": {"method": "uniform_1d"}}),
        "a larger p_1",
    ),
    ("hypothesis-missing", "width", _drop, "a hypothesis less"),
    ("hypothesis-turned", "width", _put("hypotheses", 4, "certificate", {"kind": "constant"}), "neurons are left"),
    ("no-freeze", "width", _put("case", "optimizer", "holds", []), "an optimizer with none of the properties"),
    ("wrong-relation", "width", _put("theorem", "relation", "p <= B"), "the other inequality"),
    ("wrong-event", "width", _put("theorem", "event", "neurons", 2), "another event"),
    ("limit-moved", "width", _put("comparison", "lo", "9/10"), "a lower limit too high"),
    ("counts-moved", "width", _put("comparison", "events", 880), "fewer events than the limits are for"),
    ("sequence-moved", "sequence", _put("comparison", "hi", "9/10"), "an upper limit too low"),
    ("verdict-changed", "width", _put("comparison", "verdict", "REFUTED"), "a verdict that does not follow"),
    ("resolution-changed", "width", _put("comparison", "resolution", "0"), "a resolution of 0"),
    ("term-changed", "chain", _put("bound", "shape", "first", "1/2"), "another term"),
    ("circle", "hull", _put("quantities", "p_1", "derivation", "multipliers", [[0, "1"]]), "no combination of 0"),
    ("share-too-large", "trained", _put("level", "comparisons", 9), "a larger share of the level"),
    ("risk-level", "trained", _put("training", "risk", "1/4"), "a risk level that constants reach"),
    ("margin-too-large", "trained", _put("training", "margin", "1/4"), "a margin that no network shows"),
    ("run-verdict", "trained", _put("training", "runs", 0, "risk", "verdict", "CONSISTENT"), "a run's other verdict"),
    ("not-persistent", "trained", _put("training", "runs", 0, "persistence", "kept", 4), "one replica lost its bits"),
    ("line-lowered", "lines", _put("bound", "shape", "lines", 0, 0, "1/2"), "a line of survival too low"),
    ("mass-lost", "envelope", _drop_part, "a law without its last part"),
    ("other-version", "width", _put("format", "nonconv-certificate/3"), "a version of the future"),
    ("unknown-key", "width", _put("case", "comment", "hello"), "a member that no one knows"),
    ("float", "width", _put("comparison", "alpha", 0.001), "a floating-point number"),
)


def bundle() -> dict[str, bytes]:
    """The files of the bundle, the index among them."""
    texts = {}
    for name, written, counts, _ in GOOD:
        events, trials = counts or (None, 1000)
        interval = "confidence-sequence" if name == "sequence" else "clopper-pearson"
        texts[name] = certificate(written, events, trials, interval).data
    texts["trained"] = trained(Written("T1", ("1,3,3,1", "pytorch", "zigzag"))).data
    about = {name: told for name, _, _, told in GOOD} | {"trained": "T1 in an audit: level, risk event, persistence"}
    for name, source, change, told in BAD:
        document = copy.deepcopy(json.loads(texts[source]))
        change(document)
        texts[name], about[name] = sealed(document), told
    texts["hash"] = json.dumps({**json.loads(texts["width"]), "sha256": "0" * 64}).encode("ascii")
    texts["cut-off"] = texts["width"][:-100]
    texts["no-certificate"] = b'{"format": "something else"}\n'
    about |= {"hash": "a changed hash", "cut-off": "a file that was cut off", "no-certificate": "some other JSON"}
    index = []
    for name, text in texts.items():
        outcome = check_bytes(text)
        verdict = outcome.verdict.partition(" (")[0]  # what a JSON reader says in brackets is its own affair
        index.append({"file": f"{name}.json", "about": about[name], "code": outcome.code, "verdict": verdict})
    files = {f"{name}.json": text for name, text in texts.items()}
    return files | {INDEX: (json.dumps(index, indent=1) + "\n").encode("ascii")}


def write_bundle() -> None:
    BUNDLE.mkdir(exist_ok=True)
    for old in BUNDLE.glob("*.json"):
        old.unlink()
    for name, text in bundle().items():
        (BUNDLE / name).write_bytes(text)


if __name__ == "__main__":
    write_bundle()
