"""The README.md of a model folder."""

from __future__ import annotations

from typing import Any

__all__ = ["model_card"]


def model_card(config: dict[str, Any], history: list[dict[str, Any]]) -> str:
    """A model in words and figures: what it was fitted on, how, and what came of it."""
    data, parameters = config["data"], config["parameters"]
    shape = " × ".join(str(s) for s in data["sample_shape"])
    lines = [
        "# An auto-encoder made with codeword",
        "",
        f"It takes samples of {shape} numbers ({data['dtype']}) to codes of "
        f"{parameters['n_components']} numbers, and back.",
        "",
        f"- Fitted on {data['n']:,} samples for {len(history)} epochs.",
    ]
    if history:
        last = history[-1]
        lines.append(f"- Mean training loss of the last epoch, in scaled units: {last['train_loss']:.6f}.")
        if last.get("validation_loss") is not None:
            least = min(row["validation_loss"] for row in history)
            lines.append(f"- Least loss on held-out rows: {least:.6f}.")
    lines += [
        f"- Scaling of the data: `{config['scaling']}`.",
        "",
        "## Parameters",
        "",
        "| parameter | value |",
        "|---|---|",
        *(f"| `{name}` | `{value}` |" for name, value in parameters.items()),
        "",
        "## Use",
        "",
        "```python",
        "from codeword import AutoEncoder",
        "",
        'ae = AutoEncoder.load("this-folder")',
        "codes = ae.transform(x)",
        "x_hat = ae.inverse_transform(codes)",
        "```",
        "",
    ]
    return "\n".join(lines)
