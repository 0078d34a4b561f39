"""What a model is worth: `codeword evaluate` and `codeword info`."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

from codeword.commands.common import app, load_rows, open_model
from codeword.options import Device, Json, LabelColumn, Model, Size, Source, Split

__all__: list[str] = []


@app.command(epilog="Example: codeword evaluate digits.ae mnist --split test")
def evaluate(
    model: Model,
    source: Source,
    split: Split = "test",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Say how much the codes keep, beside PCA.

    PCA has as many numbers in a code and was fitted on the model's own training rows. Errors are in scaled
    units, so that they compare from one data set to another.
    """
    from codeword.evaluation import evaluate as judge

    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    ae.score(replace(data, x=data.x[:1], y=None))  # shape and names are checked in the model's own words
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the names have just been checked
        figures = judge(ae, data.x)
    if json_:
        print(json.dumps(figures))
    else:
        from codeword.data.named import NAMES
        from codeword.showing import evaluation_table

        print(evaluation_table(figures, f"{source} ({split})" if source in NAMES else source))


@app.command(epilog="Example: codeword info digits.ae --json")
def info(model: Model, json_: Json = False) -> None:
    """Describe a model folder.

    The data it was fitted on, its parameters and its training.
    """
    from codeword.modelcard import model_card
    from codeword.modelfolder import read_folder

    folder = read_folder(model)
    open_model(model, "cpu")  # a folder that cannot be opened is not described as if it could
    if json_:
        print(json.dumps({**folder.config, "history": folder.history}))
    else:
        print(model_card(folder.config, folder.history).split("\n## Use")[0].strip())
