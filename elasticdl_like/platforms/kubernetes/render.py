"""What a job asks the cluster for, as text for people and for `kubectl`; secrets stay out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from elasticdl_like.data_readers.extras import import_extra

MADE_AT_SUBMISSION = "<made at submission>"
"""What stands in place of secrets and of what the cluster chooses."""


def without_secret_values(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object of the cluster; a Secret has `MADE_AT_SUBMISSION` in place of its values.

    They are under `stringData`, as that may hold them unencoded.
    """
    if plain["kind"] != "Secret":
        return dict(plain)
    values = dict.fromkeys(plain["data"], MADE_AT_SUBMISSION)
    shown = {name: value for name, value in plain.items() if name != "data"}
    return {**shown, "stringData": values}


def render(objects: Sequence[Mapping[str, Any]], output_format: str) -> str:
    """Returns objects of the cluster as text, without the values of secrets.

    Args:
        objects: the objects.
        output_format: "yaml", one document each, or "json", a list of the API.

    Raises:
        ConfigError: the package that writes YAML is not installed.
    """
    shown = [without_secret_values(each) for each in objects]
    if output_format == "json":
        items = {"apiVersion": "v1", "kind": "List", "items": shown}
        return json.dumps(items, indent=2, ensure_ascii=False) + "\n"
    yaml = import_extra("yaml", "kubernetes", "writing YAML")

    class Dumper(yaml.SafeDumper):  # type: ignore[misc, name-defined]
        """Shows text of several lines as such, which a file of a model zoo is."""

        def represent_str(self, text: str) -> Any:
            style = "|" if "\n" in text else None
            return self.represent_scalar("tag:yaml.org,2002:str", text, style)

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(str, Dumper.represent_str)
    text: str = yaml.dump_all(
        shown, Dumper=Dumper, sort_keys=False, allow_unicode=True, explicit_start=True, width=100
    )
    return text
