"""The model in ONNX: the files of `codeword export --onnx` say what the estimator says, without torch."""

from __future__ import annotations

import functools
import json
import logging.handlers
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from torch import nn

from codeword import (
    MLP,
    AutoEncoder,
    Conv,
    Masked,
    Reconstruction,
    Residual,
    Sequence,
    Sparse,
    VectorQuantized,
)
from codeword.base.about import __version__
from codeword.base.errors import ModelError, ParameterError
from codeword.cli.main import run
from codeword.export import write_onnx
from codeword.export.onnx import FILES
from codeword.networks import ARCHITECTURES
from codeword.objectives import OBJECTIVES, resolve_objective
from codeword.objectives import mixed as layout

K = 4


class Attention(nn.Module):
    """Attention over the rows of an image, and `len(x)`: both are more than an exporter likes."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
        self.code = nn.Linear(42, width)

    def forward(self, x):
        return self.code(self.layer(x.reshape(len(x), 7, 6)).flatten(1))


def pair(encoder):
    torch.manual_seed(0)
    return encoder, nn.Sequential(nn.Linear(K, 12), nn.SiLU(), nn.Linear(12, 42), nn.Sigmoid())


def rows(kind):
    """Forty rows of six numbers' worth: images of bytes or in [0, 1], signals, or tables."""
    rng = np.random.default_rng(0)
    x = np.tanh(rng.normal(size=(40, 6)) @ rng.normal(size=(6, 42)) / 2) / 2 + 0.5
    if kind == "bytes":
        return np.round(255 * x).astype(np.uint8).reshape(40, 7, 2, 3)
    if kind == "signals":
        return 3 * x.reshape(40, 21, 2) - 7
    if kind == "large":  # float32 has one digit left of these for what makes rows differ
        return (1e6 + 10 * x[:, :8]).astype(np.float32)
    if kind == "gaps":
        table = 3 * x[:, :8] + 5
        table[rng.random(table.shape) < 0.2] = np.nan
        return table
    if kind == "mixed":
        words = np.where(x[:, 0] > 0.5, "red", "blue")
        return pd.DataFrame({"size": 10 * x[:, 1], "more": x[:, 2], "color": words, "ok": x[:, 3] > 0.5})
    return x.astype(np.float32).reshape(40, 7, 6)


# Every objective and every network occur, and every scaling; an objective's other ways with codes too.
CASES = {
    "reconstruction": (Reconstruction(), MLP((8,)), "bytes"),
    "reconstruction-bce": (Reconstruction("bce"), Residual((4,)), "unit"),
    "reconstruction-mixed": ("reconstruction", MLP((8,)), "mixed"),
    "denoising": ("denoising", Conv((4,)), "bytes"),
    "sparse": (Sparse(active=2), MLP((8,), tied=True, norm="layer"), "unit"),
    "contractive": ("contractive", MLP((8,), norm="batch", activation="gelu"), "large"),
    "variational": ("variational", Sequence((4, 4)), "signals"),
    "wasserstein": ("wasserstein", Residual((4,), linear_skip=False), "unit"),
    "adversarial": ("adversarial", pair(Attention(K)), "unit"),
    "regularized": ("regularized", MLP((8,), linear_skip=False), "large"),
    "vector_quantized": (VectorQuantized(codebook_size=8, groups=2), Conv((4,)), "unit"),
    "vector_quantized-residual": (VectorQuantized("residual", 8, 2), MLP((8,)), "signals"),
    "vector_quantized-finite": (VectorQuantized("finite", levels=(8, 5, 5, 3)), MLP((8,)), "unit"),
    "nested": ("nested", Sequence((4,), linear_skip=False), "signals"),
    "masked": ("masked", MLP((8,), activation="tanh", linear_skip=False), "bytes"),
    "masked-missing": (Masked(missing="mask"), MLP((8,)), "gaps"),
}
PARTS = ("encoder", "decoder", "reconstruction")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A fitted model of a case, its rows, and the folder of its files: made once for each."""
    made = {}
    folder = tmp_path_factory.mktemp("onnx")

    def get(case):
        if case not in made:
            objective, network, kind = CASES[case]
            ae = fitted(rows(kind), network, objective)
            write_onnx(ae, folder / case)
            made[case] = ae, rows(kind), folder / case
        return made[case]

    return get


@pytest.fixture(scope="module")
def digits_onnx(model, tmp_path_factory):
    """The files of the shared model of digits, and what `write_onnx` had to say of them."""
    folder = tmp_path_factory.mktemp("digits") / "onnx"
    return folder, write_onnx(model, folder)


@pytest.fixture(scope="module", autouse=True)
def _once():
    """Torch's exporter reads the source of its five hundred operators for each export: here once will do."""
    registry = pytest.importorskip("torch.onnx._internal.exporter._registration").ONNXRegistry
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "from_torchlib", staticmethod(functools.cache(registry.from_torchlib)))
        yield


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fitted(x, network, objective="reconstruction"):
    settings = {"epochs": 1, "batch_size": 16, "random_state": 0, "device": "cpu"}
    return AutoEncoder(K, network=network, objective=objective, **settings).fit(x)


def serve(folder, part, given):
    session = onnxruntime.InferenceSession(folder / f"{part}.onnx")
    (name,) = (value.name for value in session.get_inputs())
    (made,) = session.run(None, {name: np.asarray(given, np.float32)})
    assert made.dtype == np.float32
    return made


def untraced(monkeypatch, folder):
    """Take the graphs of a folder in the place of traced ones."""
    monkeypatch.setattr(
        "codeword.export.graphs.traced",
        lambda module, rows, names, what: onnx.load(folder / f"{what.removeprefix('the ')}.onnx"),
    )


def without(*packages):
    """`find_spec` on a machine that lacks these."""
    return lambda name: None if name in packages else find_spec(name)


# -- the files say what the estimator says ------------------------------------------------------------------


def test_every_objective_and_network_has_its_case():
    assert {type(resolve_objective(objective)) for objective, _, _ in CASES.values()} == {
        *OBJECTIVES.values()
    }
    assert {type(network) for _, network, _ in CASES.values()} == {*ARCHITECTURES.values(), tuple}


@pytest.mark.parametrize("case", CASES)
def test_files_say_what_the_estimator_says(case, exported):
    """In the units of the data, the scaling inside, for one row and for several from the same files."""
    ae, x, folder = exported(case)
    codes = ae.transform(x)
    numbers = ae.columns_.transform(x).x if case == "reconstruction-mixed" else x
    x_hat = ae.scaling_.inverse(ae.model_.decode(torch.from_numpy(codes)))
    # Of numbers in the millions the last digit of float32 is more than 1e-5 of their deviation.
    scale = ae.scaling_.scale.reshape(ae.sample_shape_ if ae.scaling_.scale.size > 1 else ())
    within = 1e-5 + np.spacing(x_hat) / scale
    for n in (1, 7):
        served = serve(folder, "encoder", numbers[:n])
        assert served.shape == (n, K)
        np.testing.assert_allclose(served, codes[:n], rtol=0, atol=1e-5)
        for part, given in (("decoder", codes), ("reconstruction", numbers)):
            made = serve(folder, part, given[:n])
            assert made.shape == (n, *ae.sample_shape_)
            assert (np.abs(made.astype(float) - x_hat[:n]) / scale <= within[:n]).all()
    check_metadata(case, ae, folder)


def check_metadata(case, ae, folder):
    objective, _, kind = CASES[case]
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    names = getattr(ae, "feature_names_in_", None)
    for part in PARTS:
        model = onnx.load(folder / f"{part}.onnx")
        onnx.checker.check_model(model, full_check=True)
        shapes = [
            [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)
        ]
        shape, code = ["batch", *ae.sample_shape_], ["batch", K]
        assert shapes == {"encoder": [shape, code], "decoder": [code, shape]}.get(part, [shape, shape])
        session = onnxruntime.InferenceSession(folder / f"{part}.onnx")
        about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
        assert about.pop("objective").startswith(type(resolve_objective(objective)).__name__)
        network = "Attention(" if case == "adversarial" else type(CASES[case][1]).__name__
        assert network in about.pop("network")
        assert about == {
            **{"codeword_version": __version__, "part": part, "n_components": K, "dtype": ae.model_.dtype},
            **{"sample_shape": list(ae.sample_shape_), "scaling": ae.scaling_.kind},
            **{"takes_missing": kind in ("gaps", "mixed"), "ordered": case == "nested"},
            "feature_names": None if names is None else list(names),
            "columns": ae.columns_.to_json() if kind == "mixed" else None,
        }


def test_a_file_tells_nothing_of_the_machine_that_made_it(exported):
    folder = exported("denoising")[2]
    for file in folder.iterdir():
        for words in (b"/site-packages/", str(Path(torch.__file__).parent).encode(), b"stack_trace"):
            assert words not in file.read_bytes()


def test_the_same_model_gives_the_same_bytes_and_draws_no_numbers(model, digits_onnx):
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    write_onnx(model, "again")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    for name in FILES:
        assert (Path("again") / name).read_bytes() == (digits_onnx[0] / name).read_bytes()


def test_missing_values_are_nan_and_filled_in(exported):
    ae, x, folder = exported("masked-missing")
    assert np.isnan(x[:7]).any()
    made = serve(folder, "reconstruction", x[:7])
    assert made == pytest.approx(ae.reconstruct(x[:7]), rel=1e-4, abs=1e-5)
    bad = x[:3].copy()
    bad[1, 2] = np.inf
    assert np.isnan(serve(folder, "encoder", bad)).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("case", ["sparse", "vector_quantized", "masked"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_the_estimator_refuses_comes_out_as_nan(case, value, exported):
    """Whatever is chosen, rounded or bounded on the way; and it spoils no other row."""
    ae, x, folder = exported(case)
    bad = x[:3].astype(np.float32)
    bad[1].flat[5] = value
    for part, given in (("encoder", bad), ("reconstruction", bad)):
        made = serve(folder, part, given).reshape(3, -1)
        assert np.isnan(made).all(axis=1).tolist() == [False, True, False]
    codes = ae.transform(x[:3])
    codes[1, 0] = value
    assert np.isnan(serve(folder, "decoder", codes).reshape(3, -1)).all(axis=1).tolist() == [
        False,
        True,
        False,
    ]


def test_a_code_that_was_cut_is_decoded_with_zeros(exported):
    ae, x, folder = exported("nested")
    first = ae.transform(x[:5], k=2)
    made = serve(folder, "decoder", np.pad(first, ((0, 0), (0, K - 2))))
    assert made == pytest.approx(ae.inverse_transform(first), abs=1e-5)


def test_a_mixed_table_is_served_by_its_numbers(exported):
    ae, x, folder = exported("reconstruction-mixed")
    numbers = serve(folder, "reconstruction", ae.columns_.transform(x).x)
    table, wanted = ae.columns_.inverse_transform(numbers), ae.reconstruct(x)
    pd.testing.assert_frame_equal(table, wanted, rtol=0, atol=1e-4)  # in units of tens
    assert "the numbers that columns_.transform makes" in (folder / "README.md").read_text("utf-8")


def test_what_a_model_keeps_for_later_is_not_of_the_export(exported):
    """The first to use a model may be the exporter, whose tensors are empty stand-ins."""
    ae, x, _ = exported("reconstruction-mixed")
    wanted = ae.reconstruct(x)
    layout._tensors.cache_clear()
    write_onnx(ae, "mixed")
    pd.testing.assert_frame_equal(ae.reconstruct(x), wanted)


# -- what is refused ----------------------------------------------------------------------------------------


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(42, K)

    def forward(self, x):
        return self.layer(x) if x.mean() > 0 else -self.layer(x)


class Rare(Branching):
    def forward(self, x):
        return torch.special.bessel_j1(self.layer(x))


class Looping(Branching):
    def forward(self, x):
        return torch.stack([self.layer(row) for row in x])


class Drawing(Branching):
    def forward(self, x):
        code = self.layer(x)
        return code + torch.randn_like(code)


class Neighboring(Branching):
    def forward(self, x):
        return self.layer(x) * x.max()


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Drawing, "the encoder cannot be exported to ONNX: a row's values are drawn at random"),
        (Neighboring, "the encoder cannot be exported to ONNX: .* depend on the rows it comes with"),
        (Branching, r"the encoder cannot be exported to ONNX: .*[Dd]ata-dependent"),
        (Rare, "the encoder cannot be exported to ONNX: .*No ONNX function found for .*bessel_j1"),
        (Looping, "the encoder cannot be exported to ONNX: the number of rows is not free in it"),
    ],
)
def test_modules_that_cannot_be_exported_say_why(module, reason, capfd, monkeypatch, tmp_path):
    ae = fitted(rows("unit"), pair(module()))
    logged = logging.handlers.BufferingHandler(1000)
    monkeypatch.setattr(logging.getLogger("torch"), "handlers", [logged])
    capfd.readouterr()
    with pytest.raises(ModelError, match=reason) as refusal:
        write_onnx(ae, "own")
    assert len(str(refusal.value).splitlines()) == 1
    # The exporter would tell its own story of every failure, at length.
    assert capfd.readouterr() == ("", "")
    assert logged.buffer == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_give_torch_s_values_is_not_written(model, monkeypatch, tmp_path):
    import onnx_ir

    from codeword.export import graphs

    verify = graphs.verify_onnx_program

    def differing(program, args):
        weights = max(program.model.graph.initializers.values(), key=lambda each: each.const_value.nbytes)
        weights.const_value = onnx_ir.tensor(weights.const_value.numpy() + np.float32(1))
        return verify(program, args)

    monkeypatch.setattr(graphs, "verify_onnx_program", differing)
    with pytest.raises(
        ModelError, match="the decoder cannot be exported to ONNX: its values differ from torch's by "
    ):
        write_onnx(model, "wrong")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_nothing(saved_model, digits_onnx, monkeypatch, tmp_path):
    def fail(*_):
        raise OSError("no space left")

    untraced(monkeypatch, digits_onnx[0])
    monkeypatch.setattr(Path, "write_bytes", fail)
    assert run(["export", str(saved_model), "--onnx", "d", "-q"]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_network_too_large_for_a_file_is_refused(model, monkeypatch, tmp_path):
    monkeypatch.setattr("codeword.export.onnx.MOST_BYTES", 10_000)
    with pytest.raises(
        ModelError, match=r"weights take [\d,]+ bytes, and a file of ONNX holds at most 10,000"
    ):
        write_onnx(model, "large")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lacking", "named"), [(["onnx"], "onnx"), (["onnx", "onnxscript"], "onnx and onnxscript")]
)
def test_without_the_extra(lacking, named, model, refused, saved_model, monkeypatch):
    monkeypatch.setattr("codeword.export.onnx.find_spec", without(*lacking))
    line = refused("export", saved_model, "--onnx", "d")
    assert f"ONNX files need {named}, not installed here: pip install 'codeword[onnx]'" in line
    with pytest.raises(ParameterError, match="ONNX files need"):
        write_onnx(model, "d")


# -- the command --------------------------------------------------------------------------------------------


def test_the_command_writes_the_model(do, saved_model, digits_onnx):
    assert do("export", saved_model, "--onnx", "d").splitlines() == ["wrote d"]
    for name in FILES:
        assert (Path("d") / name).read_bytes() == (digits_onnx[0] / name).read_bytes()
    assert digits_onnx[1] == []


def test_codes_and_model_in_one_call_and_what_float32_loses(do):
    x = np.random.default_rng(0).normal(size=(50, 3))
    frame = pd.DataFrame(x + np.array([1e7, 0, 0]), columns=["time", "a", "b"])
    frame.to_parquet("t.parquet")
    fitted(frame, MLP((4,))).save("t.ae")
    words = [
        "export",
        "t.ae",
        "t.parquet",
        "--parquet",
        "p.parquet",
        "--onnx",
        "t",
        "--json",
    ]
    said = json.loads(do(*words, "--method", "pca"))
    assert said | {"notes": 0, "columns": 0} == {
        **{"n": 50, "k": K, "parquet": "p.parquet", "columns": 0, "neighbors": 10},
        **{"renamed": {}, "onnx": "t", "notes": 0},
    }
    assert said["notes"][0].startswith("float32 rounds column 'time' by up to 0.5 of its deviation")
    assert len(said["notes"]) == 1
    assert said["notes"][0] in (Path("t") / "README.md").read_text("utf-8")


def test_nothing_is_overwritten_unasked_nor_a_folder_of_others(
    do, refused, saved_model, digits_onnx, monkeypatch
):
    untraced(monkeypatch, digits_onnx[0])
    Path("d").mkdir()
    Path("d/README.md").write_text("old")
    assert "d already exists" in refused("export", saved_model, "--onnx", "d")
    do("export", saved_model, "--onnx", "d", "--overwrite", "-q")
    assert sorted(path.name for path in Path("d").iterdir()) == sorted(FILES)
    Path("d/notes.txt").touch()
    line = refused("export", saved_model, "--onnx", "d", "--overwrite")
    assert "d holds 'notes.txt', which is no part of a folder of ONNX files" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to write: give --parquet FILE, --onnx DIR, or both"),
        (["digits", "--onnx", "d"], "--onnx writes the model, and has no use for digits: leave it out"),
        (["--parquet", "d.parquet", "--onnx", "d"], "--parquet writes the codes of a SOURCE"),
        (["--onnx", "no/d"], "there is no folder no; create it first"),
    ],
)
def test_requests_that_are_refused(words, said, refused, saved_model):
    assert said in refused("export", saved_model, *words)
