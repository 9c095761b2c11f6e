"""The state of a model in memory."""

import contextlib
import functools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import data, integers

from elasticdl_like.errors import CorruptDataError, ModelDefinitionError
from elasticdl_like.worker.model_state import pack_state, unpack_state


def make_model(units=3, seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.25 + seed))
    model.optimizer.build(model.trainable_variables)
    return model


def packed(model, extra=None, step=7):
    memory = bytearray()

    def allocate(size):
        memory.extend(bytes(size))
        return memoryview(memory)

    pack_state(step, model, extra, allocate)
    return memory


def values(model):
    return [each.numpy() for each in (*model.variables, *model.optimizer.variables)]


@functools.cache
def model_and_state():
    model = make_model()
    return model, packed(model, {"best": np.arange(5.0)})


def test_a_model_gets_the_state_of_another():
    theirs, ours = make_model(seed=1), make_model(seed=2)
    theirs.optimizer.iterations.assign(2**40)
    extra = {"epochs_done": 3, "best": np.arange(5.0)}
    step, found = unpack_state(memoryview(packed(theirs, extra)), ours)
    assert step == 7
    assert found["epochs_done"] == 3
    np.testing.assert_array_equal(found["best"], extra["best"])
    for mine, other in zip(values(ours), values(theirs), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert float(ours.optimizer.learning_rate) == 1.25


def test_the_state_of_another_model_is_refused_and_changes_nothing():
    ours = make_model(units=2)
    before = values(ours)
    with pytest.raises(ModelDefinitionError, match="from another worker is of another model"):
        unpack_state(memoryview(packed(make_model())), ours)
    for mine, other in zip(values(ours), before, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_piece_of_a_state_is_refused():
    model = make_model()
    whole = packed(model)
    for size in (0, 5, 12, 40, len(whole) // 2, len(whole) - 1):
        with pytest.raises(CorruptDataError):
            unpack_state(memoryview(whole)[:size], model)


def test_a_damaged_header_is_refused():
    model = make_model()
    whole = packed(model)
    for position in range(0, 16 + int.from_bytes(whole[8:16], "little"), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        with pytest.raises((CorruptDataError, ModelDefinitionError)):
            unpack_state(memoryview(damaged), model)


def test_neither_model_shares_memory_with_what_was_packed():
    theirs, ours = make_model(seed=1), make_model(seed=2)
    memory = packed(theirs)
    whole = bytes(memory)
    unpack_state(memoryview(memory), ours)
    for model in (theirs, ours):
        for variable in model.trainable_variables:
            variable.assign_add(variable * 0 + 1)
    assert bytes(memory) == whole
    before = values(ours)
    memory[:] = bytes(len(memory))
    for mine, other in zip(values(ours), before, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "int8", "bool"])
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_all_types_and_shapes_come_back(dtype, shape):
    def with_variable(value):
        model = make_model()
        model.extra = keras.Variable(keras.ops.full(shape, value, dtype), dtype=dtype, name="extra")
        assert any(each is model.extra for each in model.variables)
        return model

    theirs, ours = with_variable(1), with_variable(0)
    unpack_state(memoryview(packed(theirs)), ours)
    assert ours.extra.numpy().tobytes() == theirs.extra.numpy().tobytes()
    assert ours.extra.numpy().dtype == theirs.extra.numpy().dtype


def test_text_is_refused_in_words():
    model = make_model()
    model.text = keras.Variable(np.array(["a"]), dtype="string", trainable=False, name="text")
    with pytest.raises(ModelDefinitionError, match=r"'text' is of type string.*use numbers"):
        packed(model)


@given(data())
@settings(max_examples=200, deadline=None)
def test_no_damage_is_more_than_an_error(draws):
    model, whole = model_and_state()
    damaged = bytearray(whole)
    for _ in range(draws.draw(integers(1, 4))):
        damaged[draws.draw(integers(0, len(whole) - 1))] = draws.draw(integers(0, 255))
    size = draws.draw(integers(0, len(whole)))
    for memory in (damaged, damaged[:size]):
        with contextlib.suppress(CorruptDataError, ModelDefinitionError):
            unpack_state(memoryview(memory), model)
