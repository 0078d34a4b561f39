"""`codeword info`: a model folder in words and as JSON."""

import json


def test_info_describes_the_model(do, saved_model):
    out = do("info", saved_model)
    assert "samples of 8 × 8 numbers" in out
    assert "Fitted on 300 samples for 3 epochs" in out
    described = json.loads(do("info", saved_model, "--json"))
    assert described["parameters"]["n_components"] == 5
    assert len(described["history"]) == 3
