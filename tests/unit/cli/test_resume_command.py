"""The command that goes on with a job."""

from __future__ import annotations

import shlex
from pathlib import Path

from elasticdl_like.cli.resume_command import compose_command

HERE = Path("/home/me/my jobs")


def test_a_shell_takes_it_as_it_was_given() -> None:
    arguments = ["train", "--training_data", "my data", "--model_params", "a='x'; b=$HOME"]

    command = compose_command(arguments, {}, HERE)

    assert shlex.split(command) == ["cd", str(HERE), "&&", "elasticdl", *arguments]


def test_it_does_not_remove_what_it_goes_on_with() -> None:
    variables = {"ELASTICDL_OVERWRITE": "1", "ELASTICDL_NUM_EPOCHS": "3"}

    command = compose_command(["train", "--overwrite", "--seed", "1"], variables, HERE)

    assert command.endswith("&& ELASTICDL_NUM_EPOCHS=3 elasticdl train --seed 1")


def test_secrets_are_left_out() -> None:
    variables = {"ELASTICDL_CUSTOM_DATA_READER_PARAMS": "access_key=hunter2; region=eu"}
    arguments = [
        *("train", "--training_data", "https://me:hunter2@example.com/x"),
        *("--model_params", '{"hub_token": "hunter2", "width": 3}'),
        "--data_reader_params=password=hunter2;access_id=env:MY_ID",
        *("--token_file", "token"),
    ]

    command = compose_command(arguments, variables, HERE)

    assert "hunter2" not in command
    for kept in ("region=eu", '"width": 3', "@example.com/x", "env:MY_ID", "--token_file token"):
        assert kept in command
