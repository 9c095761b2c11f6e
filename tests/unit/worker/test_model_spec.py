"""What a model definition file must have, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from elasticdl_like.config import ModelConfig
from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker.model_spec import load_model_spec

WHOLE = """
import keras

def custom_model(units=1):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])

def loss(labels, predictions):
    return keras.ops.mean((labels - predictions) ** 2)

def optimizer(lr=0.1):
    return keras.optimizers.SGD(lr)

def feed_batch(records, mode, metadata):
    return records, records
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """Loads a model file of the given text."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def load_text(text: str, **config):
        name = f"model_{abs(hash(request.node.name))}"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return load_model_spec(ModelConfig(str(tmp_path), f"{name}.custom_model", **config))

    return load_text


def test_a_whole_model_file(load):
    spec = load(WHOLE, params={"units": 3})
    assert spec.model.output_shape == (None, 3)
    assert spec.feed is None
    assert spec.feed_batch is not None
    assert spec.eval_metrics == {}
    assert spec.callbacks == []


def test_names_can_be_changed(load):
    text = WHOLE.replace("def loss", "def my_loss").replace("def feed_batch", "def dataset_fn")
    spec = load(text, loss="my_loss")
    assert spec.loss.__name__ == "my_loss"
    assert spec.feed.__name__ == "dataset_fn"


def test_a_model_class_is_called(load):
    text = WHOLE.replace("def custom_model(units=1)", "def make()") + (
        "\nclass custom_model(keras.Model):\n    def call(self, x):\n        return x\n"
    )
    assert type(load(text.replace("units", "1")).model).__name__ == "custom_model"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def loss", "def other", "has no 'loss'"),
        ("def optimizer", "def other", "has no 'optimizer'"),
        ("def custom_model", "def other", "has no 'custom_model'"),
        ("def feed_batch", "def other", "neither 'feed_batch' nor 'feed'"),
        ("return keras.optimizers.SGD(lr)", "return 'adam'", "not a Keras optimizer"),
        ("return keras.Sequential", "return [] or keras.layers.Dense(1) or", "not a Keras model"),
        ("import keras", "import keras\nraise OSError('broken')", "OSError: broken"),
        ("import keras", "import keras\n)", "SyntaxError"),
        ("def loss", "def eval_metrics_fn():\n    return [1]\n\ndef loss", "Keras metric or func"),
        ("def loss", "def callbacks():\n    return [1]\n\ndef loss", "list of Keras callbacks"),
        ("def loss", "def learning_rate_scheduler(x):\n    pass\n\ndef loss", "would be ignored"),
    ],
)
def test_what_is_refused(load, old, new, said):
    with pytest.raises(ModelDefinitionError, match=said):
        load(WHOLE.replace(old, new))


def test_a_train_step_of_its_own_is_refused_with_the_reason(load):
    text = WHOLE + (
        "\nclass Own(keras.Model):\n    def train_step(self, data):\n        pass\n"
        "\ndef custom_model():\n    return Own()\n"
    )
    with pytest.raises(ModelDefinitionError, match="train_step of its own, which would be ignored"):
        load(text)


def test_model_params_that_the_model_does_not_take(load):
    with pytest.raises(ModelDefinitionError, match="--model_params"):
        load(WHOLE, params={"depth": 3})


@pytest.mark.parametrize(
    ("model_def", "said"),
    [
        ("custom_model", "not of the form"),
        ("no_such.custom_model", "there is no file"),
        ("a b.custom_model", "not of the form"),
    ],
)
def test_a_model_def_that_names_no_file(tmp_path, model_def, said):
    with pytest.raises(ModelDefinitionError, match=said):
        load_model_spec(ModelConfig(str(tmp_path), model_def))


def test_a_module_of_the_same_name_elsewhere_is_noticed(tmp_path):
    (tmp_path / "json.py").write_text(WHOLE, encoding="utf-8")
    with pytest.raises(ModelDefinitionError, match="in the way of"):
        load_model_spec(ModelConfig(str(tmp_path), "json.custom_model"))


@pytest.mark.parametrize("is_installed", [False, True])
def test_keras_callback_for_tensorboard_needs_its_package(load, monkeypatch, is_installed):
    text = WHOLE + (
        "\ndef callbacks():\n    return [keras.callbacks.TensorBoard('logs', update_freq=1)]\n"
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: is_installed or None)
    if is_installed:
        assert len(load(text).callbacks) == 1
    else:
        with pytest.raises(ModelDefinitionError, match="needs the package tensorboard; install"):
            load(text)
