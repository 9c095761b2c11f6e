from __future__ import annotations

import base64
import json

import pytest
import yaml

from elasticdl_like.platforms.kubernetes.render import MADE_AT_SUBMISSION, render

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "digits"},
    "data": {"token": base64.b64encode(b"hidden").decode()},
}
CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "digits"},
    "data": {"model.py": "def loss():\n    return 'ä'\n", "on": "yes"},
}


@pytest.mark.parametrize("output_format", ["yaml", "json"])
def test_everything_is_shown_but_the_values_of_secrets(output_format: str) -> None:
    text = render([SECRET, CONFIG_MAP], output_format)
    if output_format == "yaml":
        secret, config_map = yaml.safe_load_all(text)
    else:
        secret, config_map = json.loads(text)["items"]
    assert config_map == CONFIG_MAP
    assert secret["stringData"] == {"token": MADE_AT_SUBMISSION}
    assert secret["metadata"] == SECRET["metadata"]
    assert "data" not in secret
    assert base64.b64encode(b"hidden").decode() not in text


def test_files_are_shown_as_they_are() -> None:
    assert "  model.py: |\n    def loss():\n        return 'ä'\n" in render([CONFIG_MAP], "yaml")
