from __future__ import annotations

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.tolerations import parse_tolerations


def test_tolerations_are_written_as_taints() -> None:
    assert parse_tolerations("gpu=yes:NoSchedule, spot:NoExecute,a.b/c, d=e", "--t") == (
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute"},
        {"key": "a.b/c", "operator": "Exists"},
        {"key": "d", "operator": "Equal", "value": "e"},
    )
    assert parse_tolerations("", "--t") == ()


def test_tolerations_may_be_json() -> None:
    text = '[{"key": "spot", "operator": "Exists", "tolerationSeconds": 60}]'
    assert parse_tolerations(text, "--t") == (
        {"key": "spot", "operator": "Exists", "tolerationSeconds": 60},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:Never", "'Never' in 'a:Never' is none of NoSchedule"),
        ("a:", "'' in 'a:' is none of"),
        (":NoSchedule", "does not begin with the key"),
        ("=x", "does not begin with the key"),
        ("[", "is not a JSON list"),
        ("[1]", "1 is not a toleration"),
        ('[{"Key": "a"}]', "is not a toleration"),
    ],
)
def test_a_wrong_toleration_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_tolerations(text, "--t")
    assert message in str(caught.value)
