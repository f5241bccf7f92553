"""Writes a Coq file from an accepted certificate: theorems about its bound, its confidence limits and its verdict.

Rigour: the file states what the certificate says, as ordinary formulas; Coq decides whether it is true. What it does
          not state is listed in its head and in `CoqFile.omitted`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import comb, factorial
from typing import Any

from theorems.errors import InvalidInput
from verify.certificate.checker import (
    Answer,
    Arithmetic,
    Case,
    Claim,
    Work,
    check_bytes,
    parse,
    read_case,
    read_theorem,
    shown,
    verdict_of,
)
from verify.certificate.coq_limits import point_terms, tail_terms
from verify.certificate.coq_terms import CannotBeStated, Formula, Scope, formula_of, number, powers_named
from verify.certificate.coq_vectors import unrolled

__all__ = ["MARK", "CoqFile", "coq_file"]

Json = Any
MARK = "(* Theorems from a certificate of nonconv"  # how every file begins
SPARE_BITS = 24  # beyond the precision of the certificate
LONGEST_SERIES = 200  # inputs of several coordinates
MOST_OPERATIONS = 100_000  # at 128 bits, one or two milliseconds each
COQ_NAMES = {"R": "R_x"}  # R is the type of real numbers
OF_TWO = {"p >= B": "bound <= P", "p <= B": "P <= bound", "p = B": "P = bound"}
CONTRARY = {"p >= B": "P < bound", "p <= B": "bound < P", "p = B": "P <> bound"}
HEAD = """From Coq Require Import Reals ZArith NArith List Lra.
From Nonconv Require Import Binomial Erf Enclosure Chain DeadNeuron.
Import ListNotations.
Open Scope R_scope.
"""


@dataclass(frozen=True)
class CoqFile:
    """The text of a Coq file, the theorems it states, and what it leaves out with the reasons."""

    text: str
    theorems: tuple[str, ...]
    omitted: tuple[str, ...]


def coq_file(data: bytes) -> CoqFile:
    """Write the Coq file of a certificate.

    Fails: InvalidInput unless the checker accepts the certificate, at least in part.
    """
    outcome = check_bytes(data)
    if outcome.code not in (0, 4):
        raise InvalidInput(
            f"a Coq file is only written from an accepted certificate; the checker says {outcome.verdict}"
        )
    writer = _Writer(parse(data))
    writer.write()
    return CoqFile(writer.text(), tuple(writer.theorems), tuple(writer.omitted))


def _comment(text: str) -> str:
    """Text from a certificate inside a comment: nothing in it opens or ends a comment or a string."""
    return shown(text).replace('"', "'").replace("(*", "( *").replace("*)", "* )")


def _data_list(items: Sequence[str]) -> str:
    return f"[{'; '.join(items)}]"


@dataclass
class _Writer:
    """One file in the making: its lines, and what can be used in terms so far.

    Symbols: reals = what the names of quantities stand for; ranges, known = the data of the ends of the quantity that
    is only enclosed, and the proof that it lies between them.
    """

    document: dict[str, Json]
    lines: list[str] = field(default_factory=list)
    theorems: list[str] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)
    reals: dict[str, Formula] = field(default_factory=dict)
    names: str = "[]"
    ranges: str = "[]"
    known: str = "Logic.I"

    @property
    def precision(self) -> str:
        return f"(F.PtoP {self.document['bits'] + SPARE_BITS})"

    def text(self) -> str:
        parts = [*self._head(), HEAD, *self.lines]
        if self.theorems:
            parts.append(f"Definition all_theorems := ({', '.join(self.theorems)}).")
        return "\n".join(parts) + "\n"

    def write(self) -> None:
        """Write all parts; each one that cannot be written says why."""
        answer = Answer()
        case = read_case(self.document["case"], answer)
        claim = read_theorem(self.document["theorem"], case, answer)
        bound, comparison = self.document["bound"], self.document["comparison"]
        self._part("p_1", lambda: self._derivation(case, claim))
        self._quantities()
        has_bound = bound is not None and self._part("bound", lambda: self._bound(bound))
        if comparison is not None and bound is not None:
            self._part("verdict", lambda: self._verdict(comparison, bound, claim.relation, has_bound))
        if self.names != "[]":
            self.lines.append("End Quantity.\n")
        if bound is None:
            self.omitted.append("bound: the certificate states none")
        if comparison is not None:
            self._limits(comparison)
        if self.document["training"] is not None:
            self.omitted.append("training: risk events, margin and persistence of trained replicas")

    def _part(self, name: str, make: Callable[[], None]) -> bool:
        """Add a part; if it cannot be stated its lines are taken back and the reason is kept."""
        before = len(self.lines), len(self.theorems)
        try:
            make()
        except (CannotBeStated, LookupError, TypeError, ValueError) as error:
            # What the checker never evaluates (the step of a recursion without layers) may be no term at all.
            reason = error if isinstance(error, CannotBeStated) else "it holds something that is no term"
            del self.lines[before[0] :], self.theorems[before[1] :]
            self.omitted.append(f"{name}: {reason}")
            return False
        return True

    def _head(self) -> list[str]:
        theorem, case = self.document["theorem"], self.document["case"]
        told = [
            f"{MARK}, sha256 {self.document['sha256']}",
            f"   Case: {_comment(case['name'])}",
            f"   Theorem {theorem['id']} ({theorem['relation']}), proof: {_comment(theorem['proof'])}",
            "",
            f"   Proved in this file: {', '.join(self.theorems) or 'nothing'}.",
            *(f"   Not in this file: {_comment(item)}." for item in self.omitted),
            "   Not in this file: that the formula is the bound of the theorem for this case, that its hypotheses",
            "   hold, and whatever the certificate rests on. The checker says more about these. *)",
        ]
        return [*told, ""]

    # --- quantities --------------------------------------------------------------------------------------------------

    def _quantities(self) -> None:
        """Points become definitions; p_1, where it is only enclosed, a variable of the section."""
        for name, quantity in sorted(self.document["quantities"].items()):
            shown_name = COQ_NAMES.get(name, name)
            low, high = quantity["lo"], quantity["hi"]
            if low is not None and high is not None and low != high:
                ends = number(Fraction(low)), number(Fraction(high))
                self.reals[name] = Formula(shown_name, "(Name 0)")
                self.names, self.ranges = f"[{shown_name}]", f"[({ends[0].data}, {ends[1].data})]"
                self.known = f"(conj {shown_name}_known Logic.I)"
                self.lines += [
                    "Section Quantity.\n",
                    f"Variable {shown_name} : R.",
                    f"Hypothesis {shown_name}_known : {ends[0].plain} <= {shown_name} <= {ends[1].plain}.\n",
                ]
                continue
            point = number(Fraction(low if low is not None else high))
            self.reals[name] = Formula(shown_name, point.data)
            one_sided = "" if low is not None and high is not None else "  (* the end that is known *)"
            self.lines.append(f"Definition {shown_name} : R := {point.plain}.{one_sided}\n")

    def _derivation(self, case: Case, claim: Claim) -> None:
        """The formula for p_1 lies between its ends, where it has one."""
        quantity = self.document["quantities"].get("p_1")
        if quantity is None:
            return
        method = quantity["derivation"]["method"]
        low = number(Fraction(quantity["lo"]))
        high = number(Fraction(1 if quantity["hi"] is None else quantity["hi"]))
        zero = Fraction(0)
        ranges = [(min(a, zero), max(b, zero)) for a, b in case.ranges] if claim.nonpositive_bias else case.ranges
        formula, before = _dead_formula(method, case, ranges)
        exact = method == "box_uniform"  # a rational number; rounding would lose an end that is the number itself
        evaluation = [
            f"  {before}refine (closed_enclosed {self.precision} [] []",
            f"    {formula.data} {low.data} {high.data} Logic.I _).",
            "  vm_cast_no_check (eq_refl true).",
        ]
        self.lines += [
            f"(** The probability that a first-layer neuron is dead, by its formula ({method}). *)",
            f"Theorem p_1_enclosure : {low.plain} <= {formula.plain} <= {high.plain}.",
            "Proof.",
            *(["  lra."] if exact else evaluation),
            "Qed.\n",
        ]
        self.theorems.append("p_1_enclosure")

    # --- bound -------------------------------------------------------------------------------------------------------

    def _bound(self, bound: Json) -> None:
        shape, low, high = bound["shape"], Fraction(bound["lo"]), Fraction(bound["hi"])
        if shape["kind"] != "best":
            self._shape(shape, "bound", low, high)
        else:
            parts = shape["bounds"]
            names = [f"bound_{i + 1}" for i in range(len(parts))]
            for part, name in zip(parts, names, strict=True):
                self._shape(part, name, *self._hint(part))
            largest = names[0]
            for name in names[1:]:
                largest = f"(Rmax {largest} {name})"
            self.lines += [
                f"Definition bound : R := {largest}.",
                f"Theorem bound_enclosure : {number(low).plain} <= bound <= {number(high).plain}.",
                "Proof.",
                *(f"  pose proof {name}_enclosure." for name in names),
                "  unfold bound, Rmax. repeat destruct (Rle_dec _ _); lra.",
                "Qed.\n",
            ]
        self.theorems.append("bound_enclosure")

    def _hint(self, shape: Json) -> tuple[Fraction, Fraction]:
        """An enclosure of one of several bounds, by the checker's arithmetic."""
        arithmetic = Arithmetic(self.document["bits"], Work())
        values = {}
        for name, quantity in self.document["quantities"].items():
            ends = [Fraction(end) for end in (quantity["lo"], quantity["hi"]) if end is not None]
            values[name] = arithmetic.span(ends[0], ends[-1])
        low, high = arithmetic.shape(shape, values)
        return Fraction(low, arithmetic.one), Fraction(high, arithmetic.one)

    def _shape(self, shape: Json, name: str, low: Fraction, high: Fraction) -> None:
        """Define one bound and enclose it."""
        ends = number(low), number(high)
        match shape["kind"]:
            case "closed":
                self._costs(_size(shape["term"]))
                proof = self._closed(shape["term"], name)
            case "recursion":
                proof = self._recursion(shape, name)
            case "chain":
                proof = self._chain(shape, name)
            case "program":
                proof = self._program(shape, name)
            case "backward":
                raise CannotBeStated("that its lines hold for all lengths is shown by the checker alone")
            case _:
                raise CannotBeStated("a number found by a search, taken as stated")
        self.lines += [
            f"Theorem {name}_enclosure : {ends[0].plain} <= {name} <= {ends[1].plain}.",
            "Proof.",
            "  " + proof.format(lo=ends[0].data, hi=ends[1].data),
            "  vm_cast_no_check (eq_refl true).",
            "Qed.\n",
        ]

    def _costs(self, operations: int) -> None:
        words = 1 + (self.document["bits"] + SPARE_BITS) // 160
        if operations * words * words > MOST_OPERATIONS:
            raise CannotBeStated(f"{operations} operations with {self.document['bits']} bits take Coq too long")

    def _closed(self, term: Json, name: str) -> str:
        formula = formula_of(term, Scope(self.reals))
        self.lines.append(f"Definition {name} : R := {formula.plain}.\n")
        return (
            f"refine (closed_enclosed {self.precision} {self.ranges} {self.names}\n"
            f"    {formula.data} {{lo}} {{hi}} {self.known} _)."
        )

    def _recursion(self, shape: Json, name: str) -> str:
        state, parameters, layers = shape["state"], shape["parameters"], shape["layers"]
        steps = sum(map(_size, shape["step"]))
        self._costs(steps * sum(entry[0] for entry in layers) + _size(["add", *shape["start"], shape["result"]]))
        whole = [p for p in parameters if p in set().union(*map(powers_named, shape["step"]))]
        real = [p for p in parameters if p not in whole]
        inner = Scope(
            self.reals
            | {v: Formula(f"v_{v}", f"(State {i})") for i, v in enumerate(state)}
            | {v: Formula(f"v_{v}", f"(Given {i})") for i, v in enumerate(real)},
            {v: Formula(f"v_{v}", str(i)) for i, v in enumerate(whole)},
        )
        outer = Scope(self.reals)
        start = [formula_of(t, outer) for t in shape["start"]]
        step = [formula_of(t, inner) for t in shape["step"]]
        result = formula_of(shape["result"], Scope(self.reals | {v: inner.reals[v] for v in state}))
        plain, data = [], []
        for count, given in layers:
            values = dict(zip(parameters, given, strict=True))
            reals = [formula_of(values[p], outer) for p in real]
            integers = _data_list([f"({values[p]})%Z" for p in whole])
            plain.append(f"({count}%N, ({_data_list([v.plain for v in reals])}, {integers}))")
            data.append(f"({count}%N, ({_data_list([v.data for v in reals])}, {integers}))")
        read = [f"  let v_{v} := nth {i} given 0 in" for i, v in enumerate(real)]
        read += [f"  let v_{v} := nth {i} whole 0%Z in" for i, v in enumerate(whole)]
        unpack = [f"  let v_{v} := nth {i} state 0 in" for i, v in enumerate(state)]
        self.lines += [
            f"Definition {name}_start : list R := {_data_list([v.plain for v in start])}.\n",
            f"Definition {name}_step (given : list R) (whole : list Z) (state : list R) : list R :=",
            *read,
            *unpack,
            f"  {_data_list([v.plain for v in step])}.\n",
            f"Definition {name}_layers : list (layer R) :=",
            f"  {_data_list(plain)}.\n",
            f"Definition {name}_result (state : list R) : R :=",
            *unpack,
            f"  {result.plain}.\n",
            f"Definition {name} : R := {name}_result (run {name}_step {name}_layers {name}_start).\n",
        ]
        return (
            f"refine (recursion_enclosed {self.precision} {self.ranges} {self.names}\n"
            f"    {_data_list([v.data for v in start])}\n    {_data_list([v.data for v in step])}\n"
            f"    {_data_list(data)}\n    {result.data}\n    {{lo}} {{hi}}\n"
            f"    {name}_start {name}_step {name}_layers {name}_result {self.known}\n"
            "    eq_refl (fun _ _ _ => eq_refl) eq_refl (fun _ => eq_refl) _)."
        )

    def _chain(self, shape: Json, name: str) -> str:
        widths = shape["widths"]
        first = formula_of(shape["first"], Scope(self.reals))
        scope = Scope(self.reals, {"a": Formula("a", "0")})
        each = [(count, formula_of(term, scope)) for count, term in shape["success"]]
        order = [success for count, success in each for _ in range(count)]
        self._costs(widths[0] + sum(a * (b + 1) * 12 for a, b in pairwise(widths)))
        layers: list[tuple[int, int, Formula]] = []
        for width, success in zip(widths[1:], order, strict=True):
            if layers and layers[-1][1:] == (width, success):
                layers[-1] = (layers[-1][0] + 1, width, success)
            else:
                layers.append((1, width, success))
        enough = widths[0] if shape["enough"] is None else shape["enough"]
        plain = _data_list([f"({c}%N, {w}%N, fun a : Z => {s.plain})" for c, w, s in layers])
        data = _data_list([f"({c}%N, {w}%N, {s.data})" for c, w, s in layers])
        self.lines += [
            "(** [chain width enough first layers]: in Chain.v; a is the number of neurons below that are not dead. *)",
            f"Definition {name} : R := chain {widths[0]} {enough} {first.plain} {plain}.\n",
        ]
        return (
            f"refine (chain_enclosed {self.precision} {self.ranges} {self.names} {widths[0]} {enough} {first.data}\n"
            f"    {data} {{lo}} {{hi}} {self.known} _)."
        )

    def _program(self, shape: Json, name: str) -> str:
        shape = unrolled(shape)
        self._costs(sum(_size(t) for _, t in shape["steps"]) + _size(shape["result"]))
        scope = dict(self.reals)
        data, variables = [], []
        for i, (variable, term) in enumerate(shape["steps"]):
            formula = formula_of(term, Scope(scope))
            told = f"{name}_v_{variable}"
            self.lines.append(f"Definition {told} : R := {formula.plain}.")
            data.append(formula.data)
            variables.append(told)
            scope[variable] = Formula(told, f"(State {i})")
        result = formula_of(shape["result"], Scope(scope))
        self.lines.append(f"Definition {name} : R := {result.plain}.\n")
        return (
            f"refine (program_enclosed {self.precision} {self.ranges} {self.names}\n    {_data_list(data)}\n"
            f"    {_data_list(variables)}\n    {result.data} {{lo}} {{hi}} {self.known} eq_refl _)."
        )

    # --- comparison --------------------------------------------------------------------------------------------------

    def _limits(self, comparison: Json) -> None:
        """The two limits at their level."""
        n, alpha = comparison["trials"], Fraction(comparison["alpha"])
        k, most = comparison["events"], comparison["events"] + comparison["lost"]
        lo, hi = Fraction(comparison["lo"]), Fraction(comparison["hi"])
        sequence = comparison["interval"] == "confidence-sequence"
        name = "confidence sequence" if sequence else "Clopper and Pearson"
        self.lines += [
            f"(** {k} events and {most - k} lost ones in {n} replicas; limits at level {alpha} ({name}). *)",
            f"Definition alpha : R := {number(alpha).plain}.\n",
        ]
        for lower, limit, count in ((True, lo, k), (False, hi, most)):
            told = "lower_limit" if lower else "upper_limit"
            if limit == (0 if lower else 1):
                self.omitted.append(f"{told}: {limit} needs no proof")
            else:
                self._part(told, partial(self._limit, told, n, count, limit, alpha, sequence))

    def _limit(self, told: str, n: int, k: int, limit: Fraction, alpha: Fraction, sequence: bool) -> None:
        x, y, level = limit.numerator, limit.denominator, f"{alpha.numerator} {alpha.denominator}"
        lower = told == "lower_limit"
        if sequence:
            terms = point_terms(n, k, limit, alpha)
            side = f"{_text(limit)} <= {k} / {n}" if lower else f"{k} / {n} <= {_text(limit)}"
            statement = f"{n + 1} * probability {n} {k} {_text(limit)} <= alpha /\\ {side}"
            proof = f"split; [|lra].\n  refine (sequence_limit_valid {n} {k} {x} {y} {level}"
        elif lower:
            terms = tail_terms(n, k, limit, alpha)
            statement = f"forall p, 0 <= p <= {_text(limit)} -> at_least {n} {k} p <= alpha / 2"
            proof = f"refine (lower_limit_valid {n} {k} {x} {y} {level}"
        else:
            terms = tail_terms(n, n - k, 1 - limit, alpha)
            statement = f"forall p, {_text(limit)} <= p <= 1 -> at_most {n} {k} p <= alpha / 2"
            proof = f"refine (upper_limit_valid {n} {k} {x} {y} {level}"
        self.lines += [
            f"Theorem {told} : {statement}.",
            "Proof.",
            f"  {proof} {terms.more} {terms.fewer} {terms.bits} _).",
            "  vm_cast_no_check (eq_refl true).",
            "Qed.\n",
        ]
        self.theorems.append(told)

    def _verdict(self, comparison: Json, bound: Json, relation: str, has_bound: bool) -> None:
        """What the verdict says, from the enclosure of the bound and the limits; P is the probability of the event."""
        low, high = Fraction(bound["lo"]), Fraction(bound["hi"])
        x, y, step = (Fraction(comparison[key]) for key in ("lo", "hi", "resolution"))
        verdict = comparison["verdict"]
        known = "" if has_bound else f"forall bound : R, {number(low).plain} <= bound <= {number(high).plain} -> "
        widened = max(x - step, Fraction(0)), min(y + step, Fraction(1))
        claim = f"forall P : R, {_text(widened[0])} <= P <= {_text(widened[1])} -> "
        if verdict == "CONFIRMED":
            statement = known + claim + OF_TWO[relation]
        elif verdict == "REFUTED":
            statement = known + claim + CONTRARY[relation]
        elif verdict == "VACUOUS":
            statement = f"{number(low).plain} <= 0" if relation == "p >= B" else f"1 <= {number(high).plain}"
        elif verdict == "CONSISTENT":
            statement = _undecided(relation, (low, high), (x, y))
        elif verdict == "UNDECIDED":
            narrow = verdict_of(relation, "holds", (low, high), (x, y), Fraction(0))
            reached = OF_TWO if narrow == "CONFIRMED" else CONTRARY
            ends = f"forall P : R, {_text(x)} <= P <= {_text(y)} -> "
            statement = f"({known}{ends}{reached[relation]}) /\\ {_undecided(relation, (low, high), widened)}"
        else:
            raise CannotBeStated(f"{verdict}, which no number decides")
        use = ["  pose proof bound_enclosure."] if has_bound else []
        self.lines += [
            f"(** {verdict}: the limits, widened by the resolution {step}, and the enclosure of the bound. *)",
            f"Theorem verdict : {statement}.",
            "Proof.",
            *use,
            "  repeat split; intros; lra.",
            "Qed.\n",
        ]
        self.theorems.append("verdict")


def _text(value: Fraction) -> str:
    """A rational number in a formula."""
    return number(value).plain


def _undecided(relation: str, bound: tuple[Fraction, Fraction], limits: tuple[Fraction, Fraction]) -> str:
    """Neither the relation nor its contrary follows for all numbers between the limits."""
    (low, high), (x, y) = ([_text(v) for v in pair] for pair in (bound, limits))
    against = f"{low} <= {y}", f"{x} <= {high}"
    if relation == "p >= B":
        return f"({x} < {high} /\\ {against[0]})"
    if relation == "p <= B":
        return f"({low} < {y} /\\ {against[1]})"
    return f"({against[0]} /\\ {against[1]})"


def _dead_formula(method: str, case: Case, ranges: Sequence[Sequence[Fraction]]) -> tuple[Formula, str]:
    """The formula of FORMAT section 6 for p_1, and what comes before its evaluation. Fails: CannotBeStated."""
    if method == "taken":
        raise CannotBeStated("taken as stated")
    if method == "box_uniform":
        used = sum(any(pair) for pair in ranges)
        if used > LONGEST_SERIES:
            raise CannotBeStated(f"its series of {used + 1} terms takes Coq too long")
        series = ["add", *(str(Fraction(comb(used, k), factorial(k + 1))) for k in range(used + 1))]
        return formula_of(["div", series, str(2 ** (used + 1))], Scope({})), ""
    if method not in ("normal_1d", "uniform_1d"):
        raise CannotBeStated("derived by counting rays or adding up inputs, which only the checker does")
    weight, bias = case.laws[0]
    (left, right), root = ranges[0], ["sqrt", ["div", weight.square, bias.square]]
    if method == "normal_1d":
        angle = ["sub", ["atan", ["mul", root, str(right)]], ["atan", ["mul", root, str(left)]]]
        return formula_of(["sub", ["div", "1", "2"], ["div", angle, ["mul", "2", "pi"]]], Scope({})), ""
    places = [["mul", root, str(place)] for place in (-right, left)]
    below, above = (formula_of(place, Scope({})).plain for place in places)
    inner = ["div", ["add", *map(_area, places)], "4"]
    return Formula(f"((G {below} + G {above}) / 4)", formula_of(inner, Scope({})).data), "rewrite !G_closed. "


def _area(place: Json) -> Json:
    """`G` of `DeadNeuron.v` without cases."""
    size = ["max", "1", ["max", place, ["sub", "0", place]]]
    return ["sub", ["add", "1", ["div", place, size]], ["div", place, ["mul", "2", ["mul", size, size]]]]


def _size(term: Json) -> int:
    """Operations in a term, functions counted by what they take."""
    if not isinstance(term, list):
        return 1
    own = {"sqrt": 30, "exp": 100, "log": 200, "atan": 200, "erf": 2000}.get(term[0], 1)
    if term[0] == "tail":
        own = 10 * min(term[2], term[1] - term[2] + 1)
    return own + sum(map(_size, term[1:]))
