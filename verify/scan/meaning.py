"""What dead neurons of a plain multilayer perceptron mean: risk that training cannot go below, chances, what helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from theorems.bounds import ClosedForm
from theorems.catalogue import THEOREMS
from theorems.catalogue.layers import binomial_at_least
from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence, OptimizerClass, Property, Status, weakest
from theorems.laws import Initialization
from theorems.problem import Problem
from theorems.rules import C4_RULES, every_rule
from theorems.setting import Architecture, DataSet
from theorems.theorem import LayerDeath
from verify.dead_neuron import DeadProbability, FirstLayer, dead_probability
from verify.enclosure import at_least, at_most, evaluate_bound
from verify.evaluate import evaluate_theorem
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.risk import best_witness, isolation_number, risk_floor
from verify.sampling import sampled_dead_probability
from verify.scan.program import Affine
from verify.scan.result import Advice, Chance, Consequence, LayerScan, Probability

__all__ = ["Plain", "advice", "asked_optimizer", "consequences", "probability"]

ALPHA = Fraction(1, 1_000_000)
NEURONS = 20_000
MOST_OPERATIONS = 40_000  # of the chains of the depth theorems: layers far wider than these do not die
NEARLY_SURE = Fraction(99, 100)
RARE = Fraction(1, 1_000_000)
WIDEST = 100_000

Alternatives = tuple[tuple[Property, Property | None], ...]
_WHOLE_NEURON: Alternatives = ((Property.FB, None), (Property.S, None))  # Lemma 1
_WITH_BIAS: Alternatives = ((Property.D, None),)  # Lemma 1, for neurons with bias <= 0
_LAYER: Alternatives = ((Property.FB, None),)  # Lemma 2
_BY_SIGNS: Alternatives = ((Property.FB, None), (Property.S, Property.SS))  # Lemma 3


@dataclass(frozen=True, eq=False)
class Plain:
    """A plain multilayer perceptron that was scanned, with data that have labels.

    Symbols: affine = its linear layers; layers = what was found at its ReLUs.
    """

    architecture: Architecture
    affine: tuple[Affine, ...]
    layers: tuple[LayerScan, ...]
    data: DataSet

    @property
    def dead(self) -> int:
        """Number of dead first-layer neurons."""
        return len(self.layers[0].dead)

    @property
    def dead_with_bias(self) -> int:
        """Number of dead first-layer neurons with bias `<= 0`."""
        bias = self.affine[0].bias
        if bias is None:
            raise TypeError("a plain network has biases")
        return int((bias[[unit.position[0] for unit in self.layers[0].dead]] <= 0).sum()) if self.dead else 0


def asked_optimizer(target: str | None) -> OptimizerClass | None:
    """The optimizer that was named, or a class named by its property. Fails: InvalidInput if there is none."""
    if target is None:
        return None
    bare = target.strip().strip("()")
    if bare in Property.__members__:
        return OptimizerClass.having(Property[bare])
    return resolve(OptimizerSpec(target)).properties


# --- what it implies ---------------------------------------------------------------------------------------------


def consequences(plain: Plain, optimizer: OptimizerClass | None) -> tuple[Consequence, ...]:
    """Lower bounds of the risk of every network that training can reach, and under which optimizers.

    Source:   math Lemmas 1, 2, 3 (what stays dead), 4 (constant outputs), 5, 6 (`I(l') > I(l)`), 7b (`risk_floor`).
    Rigour:   risks are lower bounds, exact or rounded down; undecided neurons are not counted as dead.
    """
    return tuple(_consequences(plain, optimizer))


def _consequences(plain: Plain, optimizer: OptimizerClass | None) -> Iterator[Consequence]:
    constant = plain.data.noise_floor + plain.data.variance
    dead_layers = [layer for layer in plain.layers if layer.is_dead]
    if dead_layers:
        layer = dead_layers[0]
        what = f"hidden layer {layer.number} is dead, so the output is constant on the data for ever"
        structural = all(unit.structural for unit in layer.dead)
        kept = _WHOLE_NEURON if layer.number == 1 else _BY_SIGNS if structural else _LAYER
        theorem = "T1" if layer.number == 1 or structural else "T10"
        costs = plain.data.variance > 0
        yield Consequence(what, theorem, constant, True, costs, costs, _nine(), _asked(kept, optimizer))
        return
    counted = [(plain.dead, "", _WHOLE_NEURON, optimizer)]
    if optimizer is not None and optimizer.keeps_one_of(_WHOLE_NEURON)[0] is not Status.HOLDS:
        counted.append((plain.dead_with_bias, " with bias <= 0", _WITH_BIAS, optimizer))
    for dead, which, kept, asked in counted:
        if dead:
            left = plain.architecture.hidden[0] - dead
            floor = risk_floor(left, plain.architecture.hidden[1:], plain.data).value
            what = (
                f"{dead} of {plain.architecture.hidden[0]} first-layer neurons are dead{which} and stay dead: what "
                f"remains is a network with {left} of them"
            )
            costs = floor > plain.data.noise_floor
            theorem = _width_theorem(plain) if costs else "Lemma 1"
            misses = costs and _misses(plain, dead, floor)
            names = _nine() if kept is _WHOLE_NEURON else ()
            yield Consequence(what, theorem, floor, False, costs, misses, names, _asked(kept, asked))


def _width_theorem(plain: Plain) -> str:
    if plain.architecture.is_shallow:
        return "T3"
    return "T4" if plain.architecture.output_dim == 1 else "Lemma 1"


def _misses(plain: Plain, dead: int, floor: Fraction) -> bool:
    """Whether the optimal risk without the dead neurons, above the noise floor, is known to be above `I(l)`."""
    if plain.architecture.is_shallow:
        return True
    if plain.architecture.output_dim == 1 and dead >= isolation_number(plain.data).value:
        return True
    return floor > best_witness(plain.architecture, plain.data).risk


def _asked(kept: Alternatives, optimizer: OptimizerClass | None) -> tuple[str, Status, str] | None:
    if optimizer is None:
        return None
    status, _, why = optimizer.keeps_one_of(kept)
    return optimizer.name, status, why


def _nine() -> tuple[str, ...]:
    """The rules of claim C4, if (FB) is proved for all of them together."""
    return tuple(C4_RULES) if every_rule().about(Property.FB).status is Status.HOLDS else ()


# --- how likely it is --------------------------------------------------------------------------------------------


def probability(plain: Plain, initialization: Initialization) -> Probability:
    """How likely what was found is under an initialization.

    Rigour:   ends are certified enclosures; where `p_1` is only bounded from below, upper ends rest on drawn neurons
              (wrong with probability at most ALPHA), and the evidence says so.
    Fails:    InvalidInput if single weights have no law.
    """
    problem = Problem(plain.architecture, initialization, plain.data, every_rule())
    p_dead = chance_of_dead(problem)
    width, dead = plain.architecture.hidden[0], plain.dead
    found = [_binomial(p_dead, width, max(dead, 1))]
    if dead == 0:
        found = [_complement(found[0], f"no dead neuron among {width} in the first layer")]
    layer = _dead_layer_chance(problem)
    if layer is not None:
        found.append(layer)
    return Probability(initialization.name, p_dead, tuple(found))


def chance_of_dead(problem: Problem) -> Chance:
    """`p_1` between two ends."""
    known = dead_probability(problem)
    if known is None:
        raise InvalidInput(f"initialization {problem.initialization.name!r} has dependent weights: p_1 is not known")
    what = "p_1: a first-layer neuron is dead on the data"
    if known.two_sided:
        return Chance(what, known.enclosure.lo, known.enclosure.hi, known.evidence, f"{known.method}: {known.why}")
    return _with_sampled(what, known, problem)


def _with_sampled(what: str, known: DeadProbability, problem: Problem) -> Chance:
    sampled = sampled_dead_probability(FirstLayer.of(problem), NEURONS, ALPHA, seed=0)
    why = f"from below {known.method}: {known.why}; from above {sampled.why}"
    hi = max(sampled.enclosure.hi, known.enclosure.lo)
    return Chance(what, known.enclosure.lo, hi, weakest([known.evidence, sampled.evidence]), why)


def _binomial(p_dead: Chance, width: int, count: int) -> Chance:
    """`P(Bin(width, p_1) >= count)`."""
    bound = ClosedForm(binomial_at_least(width, count))
    lo, hi = (evaluate_bound(bound, end) for end in (p_dead.lo, p_dead.hi))
    what = f"at least {count} of {width} first-layer neurons dead"
    return Chance(what, lo.lo, hi.hi, p_dead.evidence, "P(Bin(l_1, p_1) >= m)")


def _complement(chance: Chance, what: str) -> Chance:
    return Chance(what, 1 - chance.hi, 1 - chance.lo, chance.evidence, "(1 - p_1)^l_1")


def _dead_layer_chance(problem: Problem) -> Chance | None:
    """That some hidden layer is dead: the best of the depth theorems from below, T11a from above."""
    hidden = problem.architecture.hidden
    ceiling = evaluate_theorem(THEOREMS["T11a"], problem).bound
    if ceiling is None:
        return None
    lower, name = Fraction(0), ""
    if sum(width * width for width in hidden) <= MOST_OPERATIONS:
        for theorem in THEOREMS.values():
            found = evaluate_theorem(theorem, problem)
            plain_event = found.event.neurons is None and found.event.layer is LayerDeath.DEAD
            if found.bound is not None and plain_event and theorem.id != "T11a" and found.bound.lo > lower:
                lower, name = found.bound.lo, theorem.id
    why = f"from below {name}, from above T11a" if name else "from above T11a"
    return Chance("some hidden layer dead", lower, ceiling.hi, Evidence.CERTIFIED, why)


# --- what helps --------------------------------------------------------------------------------------------------


def advice(
    plain: Plain, initialization: Initialization, now: Probability, standardized: Callable[[], DataSet] | None
) -> tuple[Advice, ...]:
    """What makes dead neurons rarer, each with its number; nothing where nothing is dead.

    standardized: gives the same data with standardized inputs; None if they are, or cannot be had.
    """
    if not any(layer.dead for layer in plain.layers):
        return ()
    found = []
    if plain.dead:
        problem = Problem(plain.architecture, initialization, plain.data, every_rule())
        if standardized is not None:
            found.append(_about_scaling(problem, now, standardized))
        found += [*_about_width(now.p_dead, plain.architecture.hidden[0]), *_about_initialization(problem, now)]
        found.append(_about_seeds(now.p_dead, plain.architecture.hidden[0]))
    if any(layer.is_dead for layer in plain.layers):
        found += _about_layers(plain.architecture, now)
    return tuple(each for each in found if each is not None)


def _about_scaling(problem: Problem, now: Probability, standardized: Callable[[], DataSet]) -> Advice | None:
    other = chance_of_dead(replace(problem, data=standardized()))
    if other.hi >= now.p_dead.lo:
        return None
    return Advice(
        "standardize the inputs (--scale standard)",
        f"p_1 falls from at least {at_least(now.p_dead.lo)} to at most {at_most(other.hi)}{_marked(other)}",
    )


def _about_width(p_dead: Chance, width: int) -> Iterator[Advice]:
    """So wide that as many neurons as there are now are alive with probability 99 %."""
    alive = 1 - p_dead.hi
    if not 0 < alive < 1 or width > 1024:
        return
    low, high = width, width
    while not _enough(high, width, alive):
        low, high = high, 2 * high
        if high > WIDEST:
            return
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _enough(middle, width, alive) else (middle, high)
    yield Advice(
        f"a first layer of width {high}",
        f"with probability at least 0.99 at least {width} of its neurons start alive{_marked(p_dead)}",
    )


def _enough(n: int, width: int, alive: Fraction) -> bool:
    return evaluate_bound(ClosedForm(binomial_at_least(n, width)), alive).lo >= NEARLY_SURE


def _about_initialization(problem: Problem, now: Probability) -> Iterator[Advice]:
    """The initialization with the smallest certified `p_1` of a few; with zero biases only the law's family counts."""
    best: tuple[Fraction, str] | None = None
    for scheme in ("pytorch", "he_uniform", "he_normal"):
        if scheme == problem.initialization.name:
            continue
        other = dead_probability(replace(problem, initialization=Initialization(scheme)))
        if other is not None and other.two_sided and (best is None or other.enclosure.hi < best[0]):
            best = (other.enclosure.hi, scheme)
    if best is not None and best[0] < now.p_dead.lo:
        told = f"p_1 is at most {at_most(best[0])}, not at least {at_least(now.p_dead.lo)}"
        yield Advice(f"initialization {best[1]}", told)


def _about_seeds(p_dead: Chance, width: int) -> Advice:
    none = _complement(_binomial(p_dead, width, 1), "")
    return Advice(
        "another seed",
        f"it has no dead first-layer neuron with probability at least {at_least(none.lo)} and at most "
        f"{at_most(none.hi)}{_marked(p_dead)}",
    )


def _marked(chance: Chance) -> str:
    """Says that an end rests on sampled neurons."""
    return "" if chance.evidence is Evidence.CERTIFIED else f" ({chance.evidence.value})"


def _about_layers(architecture: Architecture, now: Probability) -> Iterator[Advice]:
    layer = next((chance for chance in now.found if chance.what == "some hidden layer dead"), None)
    if layer is None:
        return
    yield Advice(
        "another seed (for the dead layer)",
        f"it has no dead layer with probability at least {at_least(1 - layer.hi)} and at most {at_most(1 - layer.lo)}",
    )
    hidden = len(architecture.hidden)
    width = next(w for w in range(1, 4096) if hidden * Fraction(1, 2**w) <= RARE)
    told = "T11a's ceiling on a dead layer: a probability of at most one in a million, given a non-zero input"
    yield Advice(f"hidden layers of width {width} or more", _ceiling_words(hidden, width, told))


def _ceiling_words(hidden: int, width: int, told: str) -> str:
    ceiling = 1 - (1 - Fraction(1, 2**width)) ** hidden
    return f"{told} ({at_most(ceiling)})"
