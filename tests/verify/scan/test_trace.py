"""What is recorded of a module, and what is refused.

Parameters and inputs are small whole numbers, so that a run of the module itself in float64 is exact: hooks on its ReLU
modules (or the module's own notes, for functional ones) give the true pre-activations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from torch.nn import functional

from theorems.errors import InvalidInput
from verify.scan.result import Scan
from verify.scan.scanning import scan

pytestmark = pytest.mark.usefixtures("one_thread")

Floats = npt.NDArray[np.float64]


def whole(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give a module small whole numbers as parameters, in float64."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    for parameter in module.parameters():
        parameter.data = torch.randint(-3, 4, parameter.shape, generator=generator).double()
    return module


def images(*shape: int, rows: int = 12) -> Floats:
    return np.random.default_rng(1).integers(-2, 4, (rows, *shape)).astype(np.float64)


def truth(module: nn.Module, rows: Floats) -> list[npt.NDArray[np.bool_]]:
    """Which units of each ReLU module are dead, by running the module."""
    seen: list[torch.Tensor] = []
    hooks = [
        part.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
        for part in module.modules()
        if isinstance(part, nn.ReLU)
    ]
    with torch.no_grad():
        module.eval()(torch.from_numpy(rows))
    for hook in hooks:
        hook.remove()
    return [(z <= 0).all(dim=0).numpy() for z in seen]


def check(module: nn.Module, rows: Floats) -> Scan:
    found = scan(module, rows, initialization=None)
    expected = truth(module, rows)
    assert len(found.layers) == len(expected)
    for layer, dead in zip(found.layers, expected, strict=True):
        assert layer.shape == dead.shape
        assert not layer.undecided
        mine = np.zeros_like(dead)
        for unit in layer.dead:
            mine[unit.position] = True
        assert np.array_equal(mine, dead)
    return found


class Residual(nn.Module):
    """A residual block, a view, a concatenation, and scalars."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(8, 2)
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.relus[0](self.first(x))
        z = self.second(h)
        z += x
        z = self.relus[1](z * 2 - 1)
        both = torch.cat([h.reshape(-1, 2, 2).transpose(1, 2).flatten(1), -z], dim=1)
        out: torch.Tensor = self.relus[2](self.last(both))
        return out


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1)),
        (3,),
    ),
    "without biases": (
        lambda: nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 4, bias=False), nn.ReLU()),
        (3,),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, stride=2), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 2, groups=2), nn.ReLU()
        ),
        (2, 5, 6),
    ),
    "dilation and 1-d": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 3, 2, dilation=2, padding="same"), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(3, 2, 2), nn.ReLU()
        ),
        (2, 7),
    ),
    "3-d": (
        lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3), nn.ReLU()),
        (1, 3, 3, 3),
    ),
    "pooling": (
        lambda: nn.Sequential(
            nn.MaxPool2d(2, padding=1),
            nn.Conv2d(1, 2, 2),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(2, 3),
            nn.ReLU(),
        ),
        (1, 5, 5),
    ),
    "adaptive pooling": (
        lambda: nn.Sequential(
            nn.AdaptiveAvgPool2d((2, 3)), nn.Conv2d(1, 2, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.ReLU()
        ),
        (1, 4, 6),
    ),
    "residual": (Residual, (4,)),
    "linear on the last of two dimensions": (
        lambda: nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU()),
        (4, 3),
    ),
    "a nested module that is used twice": (
        lambda: (lambda block: nn.Sequential(nn.Linear(2, 3), block, nn.Linear(3, 3), block, nn.Linear(3, 1)))(
            nn.ReLU()
        ),
        (2,),
    ),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("seed", range(2))
def test_a_module_is_decided_like_its_own_run(name: str, seed: int) -> None:
    make, shape = MODULES[name]
    check(whole(make(), seed), images(*shape))


def test_dead_units_of_convolutions_have_a_channel_and_a_position() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    module[0].weight.data = torch.tensor([1.0, 1.0]).reshape(2, 1, 1, 1)
    module[0].bias.data = torch.tensor([-5.0, -0.5])
    rows = np.zeros((2, 1, 2, 2))
    rows[0, 0, 1, 0] = 1
    (layer,) = scan(module, rows, initialization=None).layers
    assert layer.shape == (2, 2, 2)
    assert {unit.position for unit in layer.dead if unit.position[0] == 1} == {(1, 0, 0), (1, 0, 1), (1, 1, 1)}
    assert layer.dead_channels == (0,)
    assert layer.alive == 1
    assert not layer.is_dead


def test_batch_normalization_is_looked_at_in_evaluation_mode_and_modes_are_restored() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 2))
    module(torch.randn(50, 3))
    module[3].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    found = scan(module, rows, initialization=None)
    assert [part.training for part in module] == [True, True, True, False, True]
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert any("evaluation mode" in note and "'1'" in note and "'3'" not in note for note in found.notes)
    exact = nn.Sequential(*module).double()
    (expected,) = truth(exact, rows.astype(np.float64))
    assert {unit.position[0] for unit in found.layers[0].dead} == set(np.flatnonzero(expected))


def test_where_a_functional_relu_is() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.clamp(functional.threshold(functional.relu(self.inner(x)).relu(), 0, 0), min=0)

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.act = Block(), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.act(self.block(x)).relu_()
            return out

    layers = scan(Outer(), images(2), initialization=None).layers
    assert [(layer.name, layer.own, layer.after) for layer in layers] == [
        *[("block", False, "block.inner")] * 4,
        ("act", True, "block.inner"),
        ("", False, "block.inner"),
    ]
    assert len({tuple(unit.position for unit in layer.dead) for layer in layers}) == 1


# --- what is refused ------------------------------------------------------------------------------------------------


class Functional(nn.Module):
    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.between = nn.Linear(4, 3), nn.Linear(3, 1), between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.b(functional.relu(self.between(self.a(x))))
        return out


def left_and_came_back(z: torch.Tensor) -> torch.Tensor:
    return z + torch.from_numpy(z.detach().numpy() * 1.0)


def scaled_by_its_largest(z: torch.Tensor) -> torch.Tensor:
    return z * float(z.detach().numpy().max())


def changed_outside_torch(z: torch.Tensor) -> torch.Tensor:
    z.detach().numpy()[:] *= 3
    return z


def overwritten_through_a_view(z: torch.Tensor) -> torch.Tensor:
    view = z.view(-1, 3)
    view.relu_()
    return z


def branches_on_values(z: torch.Tensor) -> torch.Tensor:
    return z if bool(z[0, 0] > 0) else -z


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "no ReLU": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1)), "has no ReLU"),
    "GELU": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.GELU()), "found GELU in layer '3'"),
    "tanh": (lambda: Functional(torch.tanh), "found Tanh"),
    "LeakyReLU": (lambda: nn.Sequential(nn.Linear(4, 3), nn.LeakyReLU(), nn.ReLU()), "found LeakyReLU in layer '1'"),
    "ReLU6": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU6()), "found Hardtanh (or ReLU6) in layer '1'"),
    "PReLU": (lambda: nn.Sequential(nn.Linear(4, 3), nn.PReLU(), nn.ReLU()), "found PReLU"),
    "Softmax in the middle": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(1), nn.ReLU()), "found Softmax"),
    "LayerNorm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.ReLU()), "found LayerNorm in layer '1'"),
    "a gate": (lambda: Functional(lambda z: z * z), "found a product of two computed values"),
    "the batch is mixed": (lambda: Functional(lambda z: z - z.mean(0)), "mixes the rows of a batch"),
    "rows are swapped": (lambda: Functional(lambda z: z.flip(0)), "mixes the rows of a batch"),
    "branches": (lambda: Functional(branches_on_values), "mixes the rows"),
    "values leave torch as a batch": (lambda: Functional(left_and_came_back), "a constant batch"),
    "values leave torch as one number": (lambda: Functional(scaled_by_its_largest), "by the same operations"),
    "values are changed outside torch": (
        lambda: Functional(changed_outside_torch),
        "something else than the operations",
    ),
    "random": (lambda: Functional(lambda z: functional.dropout(z, 0.5, training=True)), "the operation"),
    "out=": (lambda: Functional(lambda z: torch.add(z, z, out=torch.empty_like(z))), "expected"),
    "random constants": (lambda: Functional(lambda z: z + torch.rand(3)), "draws random numbers"),
    "overwritten through a view": (lambda: Functional(overwritten_through_a_view), "overwritten through another view"),
    "weight normalization": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), nn.ReLU()),
        "from parameters alone",
    ),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3), nn.ReLU()), "not initialized (a lazy module)"),
    "meta": (lambda: nn.Sequential(nn.Linear(4, 3, device="meta"), nn.ReLU()), "has no values"),
    "input width": (lambda: nn.Sequential(nn.Linear(5, 3), nn.ReLU()), "its first linear layer takes 5 columns"),
    "attention": (lambda: nn.TransformerEncoderLayer(4, 2, 8), "expected"),
    "transposed convolution": (
        lambda: nn.Sequential(nn.Unflatten(1, (1, 4)), nn.ConvTranspose1d(1, 1, 2), nn.ReLU()),
        "transposed convolution",
    ),
    "ceil_mode": (
        lambda: nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()),
        "ceil_mode",
    ),
    "batch statistics": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False), nn.ReLU()),
        "statistics of the batch",
    ),
    "padding by ones": (lambda: nn.Sequential(nn.ConstantPad1d(1, 1.0), nn.Linear(6, 3), nn.ReLU()), "pads with 1"),
}


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused_in_one_sentence(name: str) -> None:
    make, words = REFUSED[name]
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    with pytest.raises(InvalidInput) as caught:
        scan(make(), rows, initialization=None)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("value", "words"), [(float("nan"), "NaN"), (float("inf"), "NaN or an infinity")])
def test_parameters_that_are_not_finite_are_refused(value: float, words: str) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    module[0].bias.data[1] = value
    with pytest.raises(InvalidInput, match=words):
        scan(module, images(4), initialization=None)


def test_a_module_that_returns_no_tensor_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x.relu(), x

    with pytest.raises(InvalidInput, match="returns tuple"):
        scan(Two(), images(2), initialization=None)


def test_a_softmax_at_the_end_is_the_business_of_the_loss() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.LogSoftmax(1))
    found = scan(module, (images(3), images(2)), initialization=None)
    assert found.architecture is None
    assert "ends with LogSoftmax" in found.why_not_plain
    assert not found.consequences
