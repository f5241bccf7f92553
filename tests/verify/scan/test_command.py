"""`nonconv scan` from the outside: exit statuses, JSON, refusals in one sentence, files read as numbers alone."""

from __future__ import annotations

import json
import pickle
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from verify.cli import main
from verify.scan.source import load_state

MODELS = """
import torch
from torch import nn

def mlp():
    return nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1))

def dead_layer():
    module = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    nn.init.constant_(module[2].weight, -1.0)
    nn.init.constant_(module[2].bias, -0.0)
    return module

def image():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))

def gelu():
    return nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 1))

def raises():
    raise RuntimeError("no\\nmodel")

def leaves():
    raise SystemExit(0)

def no_module():
    return [1, 2]

def needs_width(width):
    return nn.Linear(width, 1)

made = mlp()
number = 3

class Hostile(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("[bold]\\x1b[31m:smile:", nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)))
    def forward(self, x):
        for part in self.children():
            x = part(x)
        return x
"""
DATA = ["--data", "x**2", "--points", "9"]


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "scanned_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    path = list(sys.path)
    yield
    sys.path[:] = path
    sys.modules.pop("scanned_models", None)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["scan", *arguments])
    captured = capsys.readouterr()
    return int(caught.value.code or 0), captured.out, captured.err


def test_a_network_without_a_dead_layer(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "scanned_models:mlp", *DATA, "--init", "none", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["dead_layers"] == []
    assert found["architecture"] == [1, 8, 1]
    assert found["probability"] is None
    layer = found["layers"][0]
    assert layer["units"] == 8 == layer["alive"] + len(layer["dead"])
    assert all(set(unit) == {"position", "on", "structural"} for unit in layer["dead"])
    again = json.loads(run(capsys, "scanned_models:mlp", *DATA, "--init", "none", "--json")[1])
    assert again["layers"] == found["layers"], "the factory is seeded"
    other = json.loads(run(capsys, "scanned_models:mlp", *DATA, "--init", "none", "--json", "--seed", "1")[1])
    assert other["layers"] != found["layers"]


def test_a_dead_layer_is_exit_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "scanned_models:dead_layer", *DATA, "--optimizer", "adamw")
    assert status == 1
    assert "Layer 2 is dead on the data" in out
    assert "no global minimizer" in out
    assert "For adamw: it holds" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_convolutions_and_shapes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((6, 65)))
    status, out, _ = run(capsys, "scanned_models:image", "--data", "rows.npy", "--shape", "1,8,8", "--json")
    assert status == 0
    assert json.loads(out)["layers"][0]["shape"] == [2, 6, 6]


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "scanned_models:Hostile", *DATA, "--init", "none")
    assert "\x1b[31m" not in out
    assert "[bold]" in out
    assert ":smile:" in out


REFUSED = {
    "no factory": (["scanned_models"], "expected package.module:factory"),
    "hostile target": (["os;rm -rf /:x"], "expected package.module:factory"),
    "not importable": (["no_such_package:f"], "no_such_package is not found"),
    "misspelt": (["scanned_models:mpl"], "did you mean 'mlp'?"),
    "raises": (["scanned_models:raises"], "raised RuntimeError: no"),
    "leaves": (["scanned_models:leaves"], "raised SystemExit"),
    "no module": (["scanned_models:no_module"], "made list"),
    "arguments": (["scanned_models:needs_width"], "raised TypeError"),
    "a number": (["scanned_models:number"], "is int"),
    "GELU": (["scanned_models:gelu"], "the theorem speaks of ReLU; found GELU in layer '3'"),
    "no such state": (["scanned_models:mlp", "--state", "none.pt"], "is no file"),
    "shape": (["scanned_models:mlp", "--shape", "1,x"], "expected whole numbers separated by commas"),
    "another shape": (["scanned_models:mlp", "--shape", "2,2"], "has 4 entries"),
    "initialization": (["scanned_models:mlp", "--init", "pytroch"], "did you mean 'pytorch'?"),
    "optimizer": (["scanned_models:mlp", "--optimizer", "adma"], "expected one of sgd, momentum"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_sentence_and_exit_status_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = REFUSED[name]
    status, out, err = run(capsys, *arguments, *DATA)
    assert status == 2
    assert not out
    assert words in err
    assert err.startswith("nonconv: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("array", "extra", "words"),
    [
        (np.eye(4, 3), [], "its first linear layer takes 1 columns"),
        (np.array([[0.0, 1.0], [np.nan, 1.0]]), ["--labels", "none"], "row 2, entry 0: nan"),
        (np.array([["a", "b"]]), ["--labels", "none"], "expected integers or floats"),
        (np.zeros(5), ["--labels", "none"], "expected rows of inputs"),
        (np.zeros((0, 2)), ["--labels", "none"], "expected rows of inputs"),
        (np.zeros((2, 1)) + 2**60, ["--labels", "none", "--scale", "minmax"], "scaling is for tables"),
        (np.full((2, 1), 2**60), ["--labels", "none"], "a whole number below 2^53"),
    ],
)
def test_data_that_do_not_fit(
    array: np.ndarray, extra: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.save(tmp_path / "rows.npy", array)
    status, _, err = run(capsys, "scanned_models:mlp", "--data", "rows.npy", *extra)
    assert status == 2
    assert words in err


def test_large_arrays_and_arrays_of_images_are_inputs_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    np.savez(tmp_path / "images.npz", x=np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32), y=np.arange(5))
    status, out, _ = run(capsys, "scanned_models:image", "--data", "images.npz", "--json")
    assert status == 0
    assert json.loads(out)["data"] == {"name": "images.npz", "inputs": 5, "shape": [1, 8, 8]}
    monkeypatch.setattr("verify.scan.inputs.MOST_EXACT", 5)
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((50, 2)))
    status, out, _ = run(capsys, "scanned_models:mlp", "--data", "rows.npy", "--json")
    assert status == 0
    assert json.loads(out)["data"]["shape"] == [1], "the last column is the label"
    status, _, err = run(capsys, "scanned_models:mlp", "--data", "rows.npy", "--labels", "0")
    assert status == 2
    assert "choose columns of smaller files" in err


# --- parameter files ------------------------------------------------------------------------------------------------


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1))


def write_safetensors(path: Path, values: dict[str, torch.Tensor]) -> None:
    names = {torch.float32: "F32", torch.float64: "F64", torch.bfloat16: "BF16"}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, tensor in values.items():
        raw = tensor.contiguous().view(torch.uint8).numpy().tobytes()
        offsets = [len(body), len(body) + len(raw)]
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def test_parameters_come_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(5)
    values = mlp().state_dict()
    torch.save(values, tmp_path / "a.pt")
    torch.save({"state_dict": values, "epoch": 3}, tmp_path / "b.pth")
    write_safetensors(tmp_path / "c.safetensors", values)
    write_safetensors(tmp_path / "d.safetensors", {name: value.bfloat16() for name, value in values.items()})
    for name in ("a.pt", "b.pth", "c.safetensors", "d.safetensors"):
        module = mlp()
        load_state(module, str(tmp_path / name), "mlp")
        expected = {key: v.bfloat16().float() if name.startswith("d") else v for key, v in values.items()}
        assert all(torch.equal(module.state_dict()[key], value) for key, value in expected.items())
    given = json.loads(run(capsys, "scanned_models:mlp", *DATA, "--state", "a.pt", "--json", "--init", "none")[1])
    same = json.loads(run(capsys, "scanned_models:mlp", *DATA, "--seed", "5", "--json", "--init", "none")[1])
    assert given["layers"] == same["layers"]


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path("trapped").write_text, ("yes",))


def test_parameter_files_run_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"0.weight": Trap()}, tmp_path / "trap.pt")
    (tmp_path / "trap2.pt").write_bytes(pickle.dumps({"0.weight": Trap()}))
    for name in ("trap.pt", "trap2.pt"):
        status, _, err = run(capsys, "scanned_models:mlp", *DATA, "--state", name)
        assert status == 2
        assert "--state" in err
        assert not (tmp_path / "trapped").exists()


def test_parameter_files_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = mlp().state_dict()
    files: dict[str, tuple[object, str]] = {
        "missing.pt": ({key: v for key, v in values.items() if key != "2.bias"}, "has no '2.bias'"),
        "more.pt": (values | {"evil\x1b[31m": torch.zeros(1)}, "does not know"),
        "shape.pt": (values | {"0.weight": torch.zeros(3, 3)}, "has shape (3, 3)"),
        "double.pt": (values | {"0.weight": torch.full((8, 1), 0.1, dtype=torch.float64)}, "would round"),
        "list.pt": ([1, 2], "holds list"),
        "nan.pt": (values | {"0.weight": torch.full((8, 1), torch.nan)}, "NaN"),
    }
    for name, (content, words) in files.items():
        torch.save(content, tmp_path / name)
        status, _, err = run(capsys, "scanned_models:mlp", *DATA, "--state", name)
        assert (status, words in err) == (2, True), err
        assert "\x1b" not in err
    write_safetensors(tmp_path / "whole.safetensors", values)
    raw = (tmp_path / "whole.safetensors").read_bytes()
    cut = [
        raw[:-1],
        raw[:20],
        b"",
        b"\xff" * 8,
        raw.replace(b"F32", b"X32", 1),
        raw.replace(b"[0,", b"[9,", 1),
        raw[8:],
    ]
    cut.append(raw.replace(b'"data_offsets": [0', b'"data_offsets": [1', 1))
    for damaged in cut:
        (tmp_path / "cut.safetensors").write_bytes(damaged)
        status, _, err = run(capsys, "scanned_models:mlp", *DATA, "--state", "cut.safetensors")
        assert status == 2
        assert "safetensors" in err
