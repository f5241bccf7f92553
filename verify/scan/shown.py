"""What `nonconv scan` prints: for the terminal, and as JSON. Every number is rounded in the safe direction."""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from theorems.hypotheses import Status
from verify.enclosure import at_least, at_most, float_down, float_up
from verify.results import write_ratio
from verify.scan.result import Chance, Consequence, LayerScan, Scan, printable

__all__ = ["scan_json", "scan_text"]

SHOWN = 8
"""Units of a layer that are named in the terminal; JSON has them all."""


def scan_json(found: Scan) -> dict[str, object]:
    """One JSON document; `verify/scan/README.md` documents it. Rationals are strings "p/q"."""
    return {
        "target": found.target,
        "seed": found.seed,
        "parameters": found.parameters,
        "dtypes": list(found.dtypes),
        "data": {"name": found.data, "inputs": found.inputs, "shape": list(found.input_shape)},
        "dead_layers": [layer.number for layer in found.dead_layers],
        "layers": [_layer_json(layer) for layer in found.layers],
        "architecture": None if found.architecture is None else list(found.architecture),
        "why_not_plain": found.why_not_plain or None,
        "consequences": [_consequence_json(each) for each in found.consequences],
        "why_no_consequences": found.why_no_consequences or None,
        "probability": None
        if found.probability is None
        else {
            "initialization": found.probability.initialization,
            "p_dead": _chance_json(found.probability.p_dead),
            "found": [_chance_json(each) for each in found.probability.found],
        },
        "why_no_probability": found.why_no_probability or None,
        "advice": [{"what": each.what, "why": each.why} for each in found.advice],
        "notes": list(found.notes),
        "looked_at": found.looked_at,
        "beyond_floats": found.exactly,
        "seconds": round(found.seconds, 3),
    }


def _layer_json(layer: LayerScan) -> dict[str, object]:
    return {
        "number": layer.number,
        "name": layer.name,
        "module": layer.own,
        "after": layer.after or None,
        "shape": list(layer.shape),
        "units": layer.units,
        "alive": layer.alive,
        "dead": [
            {"position": list(unit.position), "on": unit.extent.name.lower(), "structural": unit.structural}
            for unit in layer.dead
        ],
        "undecided": [list(position) for position in layer.undecided],
        "dead_channels": list(layer.dead_channels),
        "verdict": "dead" if layer.is_dead else "undecided" if layer.may_be_dead else "alive",
    }


def _consequence_json(each: Consequence) -> dict[str, object]:
    return {
        "what": each.what,
        "theorem": each.theorem,
        "risk_at_least": write_ratio(each.risk),
        "risk_float": float_down(each.risk),
        "constant_output": each.constant,
        "above_noise_floor": each.costs,
        "misses_every_global_minimizer": each.misses,
        "optimizers": list(each.optimizers),
        "asked": None
        if each.asked is None
        else {"optimizer": each.asked[0], "status": each.asked[1].value, "why": each.asked[2]},
    }


def _chance_json(chance: Chance) -> dict[str, object]:
    return {
        "what": chance.what,
        "lo": write_ratio(chance.lo),
        "hi": write_ratio(chance.hi),
        "float_lo": float_down(chance.lo),
        "float_hi": float_up(chance.hi),
        "evidence": chance.evidence.value,
        "why": chance.why,
    }


# --- terminal ----------------------------------------------------------------------------------------------------


def scan_text(found: Scan) -> RenderableType:
    """The table of layers, then everything else in sentences."""
    table = Table(title=_title(found), title_justify="left")
    for column in ("ReLU", "layer", "units"):
        table.add_column(column, overflow="fold")
    for column in ("alive", "dead", "undecided"):
        table.add_column(column, justify="right")
    table.add_column("verdict", no_wrap=True)
    for layer in found.layers:
        table.add_row(
            str(layer.number),
            layer.title,
            _units(layer),
            str(layer.alive),
            str(len(layer.dead)),
            str(len(layer.undecided)),
            "DEAD" if layer.is_dead else "undecided" if layer.may_be_dead else "alive",
        )
    parts = [_answer(found), *map(_which, found.layers), *_meaning(found), *_chances(found), *_helps(found)]
    parts += [*(f"Note: {printable(note)}." for note in found.notes), _effort(found)]
    return Group(table, *(Text(part) for part in parts if part))


def _title(found: Scan) -> str:
    seed = "" if found.seed is None else f" (torch seed {found.seed})"
    return printable(f"{found.target}{seed} · {found.data}")


def _units(layer: LayerScan) -> str:
    if not layer.convolutional:
        return str(layer.units)
    positions = layer.units // max(layer.channels, 1)
    return f"{layer.channels} channels x {positions}"


def _answer(found: Scan) -> str:
    dead = sum(len(layer.dead) for layer in found.layers)
    undecided = sum(len(layer.undecided) for layer in found.layers)
    units = sum(layer.units for layer in found.layers)
    tail = f" {undecided} of {units} units are undecided." if undecided else ""
    if found.dead_layers:
        numbers = ", ".join(str(layer.number) for layer in found.dead_layers)
        one = len(found.dead_layers) == 1
        return f"Layer{'' if one else 's'} {numbers} {'is' if one else 'are'} dead on the data.{tail}"
    if any(layer.may_be_dead for layer in found.layers):
        return f"Whether a layer is dead is undecided: none of its units is proved alive.{tail}"
    told = f"No layer is dead; {dead} of {units} units are dead on the data" if dead else "No unit is proved dead"
    return f"{told}.{tail}"


def _which(layer: LayerScan) -> str:
    """Which units of a layer are dead, and on which inputs; the names of a few."""
    if not layer.dead and not layer.undecided:
        return ""
    parts = []
    if layer.dead:
        counts = Counter(unit.extent for unit in layer.dead)
        on = ", ".join(f"{count} on {extent.value}" for extent, count in counts.items())
        parts.append(f"dead {_named([unit.position for unit in layer.dead])} ({on})")
        structural = sum(unit.structural for unit in layer.dead)
        if layer.number > 1 and structural:
            parts.append(f"{structural} of them by the signs of their weights above what is dead (Lemma 3)")
        if layer.convolutional:
            parts.append(f"{len(layer.dead_channels)} of {layer.channels} channels are dead at every position")
    if layer.undecided:
        parts.append(f"undecided {_named(list(layer.undecided))}")
    return f"ReLU {layer.number}: {'; '.join(parts)}."


def _named(positions: list[tuple[int, ...]]) -> str:
    shown = [str(p[0]) if len(p) == 1 else str(p).replace(" ", "") for p in positions[:SHOWN]]
    return ", ".join(shown) + (f" and {len(positions) - SHOWN} more" if len(positions) > SHOWN else "")


def _meaning(found: Scan) -> list[str]:
    if found.why_no_consequences and not found.consequences:
        both = found.probability is None and found.why_no_probability == found.why_no_consequences
        head = "What it implies and how likely it is" if both else "What it implies"
        return [f"{head}: nothing is said here, because {printable(found.why_no_consequences)}."]
    told = []
    for each in found.consequences:
        risk = f"the risk (mean squared error) is at least {at_least(each.risk)} at every step"
        if not each.costs:
            risk = "no risk above the noise floor is certified for it"
        sentence = f"{each.what[0].upper()}{each.what[1:]}; {risk}"
        if each.misses:
            sentence += ", and no global minimizer is reached"
        sentence += f" ({each.theorem})."
        if each.optimizers:
            sentence += f" Under {', '.join(each.optimizers)} without weight decay, whatever the learning rate."
        if each.asked is not None:
            name, status, why = each.asked
            words = {Status.HOLDS: "it holds", Status.FAILS: "it is not proved: the property fails"}
            sentence += f" For {name}: {words.get(status, 'unknown whether it holds')} ({why})."
        told.append(sentence)
    return told


def _chances(found: Scan) -> list[str]:
    if found.probability is None and found.why_no_probability == found.why_no_consequences:
        return []
    if found.probability is None:
        return [f"How likely it is: nothing is said here, because {printable(found.why_no_probability)}."]
    told = [f"How likely it is under initialization {found.probability.initialization}:"]
    told += [f"  {_between(each)}" for each in (found.probability.p_dead, *found.probability.found)]
    return told


def _between(chance: Chance) -> str:
    evidence = f"{chance.evidence.value}; {chance.why}"
    if chance.lo == chance.hi and len(str(chance.lo)) <= 24:
        return f"{chance.what}: {chance.lo} ({evidence})"
    return f"{chance.what}: between {at_least(chance.lo)} and {at_most(chance.hi)} ({evidence})"


def _helps(found: Scan) -> list[str]:
    return (["What helps:"] if found.advice else []) + [f"  {each.what}: {each.why}" for each in found.advice]


def _effort(found: Scan) -> str:
    rows = "all" if found.looked_at == found.inputs else f"the first {found.looked_at} of"
    more = f"; {found.exactly} units were decided by signs or exact arithmetic" if found.exactly else ""
    return f"Looked at {rows} {found.inputs} inputs{more}, in {found.seconds:.1f} s."
