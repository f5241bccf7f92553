"""What a shell completes after Tab.

The names stand here a second time, so that Tab need not wait for the libraries behind them; tests compare them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

__all__ = [
    "ENGINES",
    "EXPLAINED",
    "INITIALIZATIONS",
    "LIBRARIES",
    "OPTIMIZERS",
    "PRESETS",
    "PROPERTIES",
    "REPORT_FORMATS",
    "SCALES",
    "SETS",
    "THEOREMS",
    "files",
    "names",
    "names_by_commas",
    "names_or_files",
]

PRESETS = ("quick", "sharpness")
ENGINES = ("eager", "fused", "exact1d", "gpu", "auto")
SETS = ("nile", "sunspots", "diabetes", "digits", "iris", "wine", "breast_cancer")
SCALES = ("none", "minmax", "standard")
LIBRARIES = ("torch", "pytorch_optimizer", "heavyball", "optax")
REPORT_FORMATS = ("html", "md", "csv", "latex")
PROPERTIES = ("F", "FB", "DJ", "DW", "SL", "S", "D", "SS")
THEOREMS = (
    *("T1", "T2", "T3", "T4", "T5", "T7", "T8", "T10", "T11a", "T11b", "T12", "T13", "T13b", "T14", "T15", "T16"),
    *("T18", "T19"),
)
INITIALIZATIONS = (
    *("pytorch", "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform"),
    *("keras", "flax", "standard_normal", "orthogonal"),
)
OPTIMIZERS = (
    *("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamax", "amsgrad", "nadam"),
    *("adamw", "adadelta", "radam", "rprop"),
)
EXPLAINED = (
    *("C1", "C2", "C3", "C4", *THEOREMS, "T6", "T9", *PROPERTIES, *INITIALIZATIONS, *OPTIMIZERS, *SETS, *ENGINES),
    *("adamw_amsgrad", "rmsprop_momentum", "rmsprop_centered", "rmsprop_centered_momentum", "sgdw", "sgdw_momentum"),
    *("nadamax", "lion", "adabelief"),
    *("independent-initialization", "bounded-bias-density", "zero-biases", "symmetric-laws", "normal-weights"),
    *("nonzero-input", "one-input-ray", "opposite-input-rays", "labels-vary", "optimizer-keeps-dead"),
    *("one-hidden-layer", "several-hidden-layers", "scalar-output", "enough-dead-neurons", "optimal-risk-above-noise"),
    "neuron-can-be-dead",
    *("uniform_1d", "normal_1d", "zero_bias_hull", "zero_bias_orthant", "uniform_planar", "normal_planar"),
    *("normal_cap", "box_uniform", "one_factor", "box_lattice", "box_clusters", "weight_cells", "pinned_normal"),
    "pinned_sums",
    *("CONFIRMED", "CONSISTENT", "REFUTED", "UNDECIDED", "VACUOUS", "NaN", "reset", "noise", "other"),
    *("proved", "certified", "statistical", "cited", "assumed", "tested", "violated"),
    *("nu", "V", "p_1", "U", "dead", "rate", "margin"),
)

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names(*known: str) -> Completer:
    """Complete names, in upper or lower case."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        return _beginning(begun, known)

    return complete


def names_by_commas(*known: str) -> Completer:
    """Complete the last name of a list."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        before, comma, last = begun.rpartition(",")
        left = [name for name in known if name not in before.split(",")]
        return [CompletionItem(f"{before}{comma}{item.value}") for item in _beginning(last, left)]

    return complete


def names_or_files(*known: str) -> Completer:
    """Complete names; where none fits, the shell looks for files."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        return [CompletionItem(begun, type="file"), *_beginning(begun, known)]  # bash forgets what comes before a file

    return complete


files = names_or_files()


def _beginning(begun: str, known: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in known if name.lower().startswith(begun.lower())]
