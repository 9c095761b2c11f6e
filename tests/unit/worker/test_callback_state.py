"""What callbacks have counted goes on where it was."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest

from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker.callback_state import capture_states, restore_states, without_state
from elasticdl_like.worker.plain_values import decode_value, encode_value

LOSSES = [1.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.4, 0.45, 0.46, 0.47]


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(optimizer=keras.optimizers.Adam(0.5, use_ema=True))
    model.optimizer.build(model.trainable_variables)
    return model


def begun(model, *callbacks):
    together = keras.callbacks.CallbackList([*callbacks], model=model, epochs=len(LOSSES))
    together.on_train_begin()
    return together


def run(together, epochs):
    """Tells callbacks of epochs; returns what they do to training."""
    model, done = together.model, []
    for epoch in epochs:
        together.on_epoch_begin(epoch)
        for batch in range(3):
            together.on_train_batch_begin(batch)
            model.set_weights([weight + 1.0 for weight in model.get_weights()])
            together.on_train_batch_end(batch, {"loss": LOSSES[epoch]})
        together.on_epoch_end(epoch, {"val_loss": LOSSES[epoch]})
        done.append((model.stop_training, round(float(model.optimizer.learning_rate), 6)))
    return done


def carried_over(captured):
    """What comes of it on its way to another process."""
    return decode_value(encode_value(captured))


def copy_of(model):
    copy = make_model(seed=1)
    for mine, other in zip(
        (*copy.variables, *copy.optimizer.variables),
        (*model.variables, *model.optimizer.variables),
        strict=True,
    ):
        mine.assign(other.numpy())
    copy.stop_training = model.stop_training
    return copy


@pytest.mark.parametrize("interrupted_at", range(1, len(LOSSES)))
@pytest.mark.parametrize(
    "make",
    [
        lambda path: keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True),
        lambda path: keras.callbacks.EarlyStopping(
            patience=4, baseline=0.55, start_from_epoch=1, min_delta=0.01
        ),
        lambda path: keras.callbacks.ReduceLROnPlateau(patience=2, cooldown=2, factor=0.5),
        lambda path: keras.callbacks.ModelCheckpoint(
            path / "{epoch}.weights.h5", save_best_only=True, save_weights_only=True
        ),
        lambda path: keras.callbacks.ModelCheckpoint(
            path / "{epoch}-{batch}.weights.h5", save_freq=4, save_weights_only=True
        ),
        lambda path: keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        lambda path: keras.callbacks.History(),
    ],
)
def test_keras_callbacks_go_on_as_if_nothing_had_happened(make, interrupted_at, tmp_path):
    paths = [tmp_path / "whole", tmp_path / "parts"]
    whole_model, model = make_model(), make_model()
    whole = begun(whole_model, make(paths[0]))
    expected = run(whole, range(len(LOSSES)))
    whole.on_train_end()

    first = begun(model, make(paths[1]))
    found = run(first, range(interrupted_at))
    captured = carried_over(capture_states(first.callbacks))
    model = copy_of(model)
    second = begun(model, make(paths[1]))
    # Keras says that training goes on; here the model says whether it does.
    model.stop_training = found[-1][0]
    restore_states(second.callbacks, captured)
    found += run(second, range(interrupted_at, len(LOSSES)))
    second.on_train_end()

    assert found == expected
    for mine, other in zip(model.get_weights(), whole_model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5)
    files = [sorted(each.name for each in path.glob("*")) for path in paths]
    assert files[0] == files[1]
    histories = [getattr(each.callbacks[0], "history", None) for each in (whole, second)]
    assert histories[0] == histories[1]


class Counter(keras.callbacks.Callback):
    """A user's callback that counts batches."""

    def __init__(self, state=None):
        super().__init__()
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


def restored(captured, *callbacks):
    restore_states(callbacks, carried_over(captured))
    return callbacks


def test_a_callback_of_the_user_may_say_what_its_state_is():
    array = np.arange(3)
    state = {"count": np.int64(3), "loss": np.float32(0.5), "pair": (1, None), "array": array}
    captured = capture_states([Counter(state)])
    array[:] = 7  # it goes on counting, while that is written
    [other] = restored(captured, Counter())
    np.testing.assert_array_equal(other.state.pop("array"), [0, 1, 2])
    assert other.state == {"count": 3, "loss": 0.5, "pair": [1, None]}
    assert {type(each) for each in other.state.values()} == {int, float, list}


def test_a_class_derived_from_one_of_keras_may_have_a_state_of_its_own_as_well():
    class Patient(Counter, keras.callbacks.EarlyStopping):
        def __init__(self, state=None):
            keras.callbacks.EarlyStopping.__init__(self)
            self.state = state

    first = Patient("a")
    first.wait = 2
    [other] = restored(capture_states([first]), Patient())
    assert (other.wait, other.state) == (2, "a")


def test_callbacks_of_one_class_are_told_apart_by_their_order():
    stopping = keras.callbacks.EarlyStopping()
    stopping.wait = 5
    captured = capture_states([Counter(1), stopping, Counter(2)])
    others = restored(captured, keras.callbacks.EarlyStopping(), Counter(), Counter())
    assert (others[0].wait, others[1].state, others[2].state) == (5, 1, 2)


def test_what_does_not_fit_is_logged_and_left_out(caplog):
    caplog.set_level(logging.WARNING)
    stopping = keras.callbacks.EarlyStopping()
    stopping.wait = 5
    captured = capture_states([Counter(1), Counter(2), stopping])
    captured["EarlyStopping"][0]["attributes"]["of_an_older_keras"] = 1
    others = restored(
        captured, Counter(), keras.callbacks.ReduceLROnPlateau(), keras.callbacks.EarlyStopping()
    )
    assert (others[0].state, others[2].wait) == (1, 5)
    assert not hasattr(others[2], "of_an_older_keras")
    told = " / ".join(each.getMessage() for each in caplog.records)
    assert "the state of 1 callbacks Counter was saved" in told
    assert "nothing was saved of a callback ReduceLROnPlateau" in told
    assert "EarlyStopping has no of_an_older_keras any more" in told
    assert len(caplog.records) == 3


def test_a_callback_that_has_got_or_lost_its_methods_starts_anew(caplog):
    captured = capture_states([Counter(1)])
    del captured["Counter"][0]["own"]
    assert restored(captured, Counter(9))[0].state == 9
    assert "Counter has got or lost get_state()" in caplog.text


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"a": [object()]}, "a object in it"),
        ({1: 2}, "a dict whose keys are not all strings"),
        (np.array(["a"]), "ndarray of type <U1"),
        (np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]), "ndarray of type"),
        ({1, 2}, "a set in it"),
    ],
)
def test_a_state_that_cannot_be_saved_is_refused_in_words(state, found):
    with pytest.raises(ModelDefinitionError, match=rf"Counter\.get_state\(\) has {found}|{found}"):
        capture_states([Counter(state)])


def test_an_error_of_the_users_methods_says_where_it_is_from():
    class Failing(Counter):
        def get_state(self):
            raise KeyError("count")

        set_state = None

    class FailingLater(Counter):
        def set_state(self, state):
            raise KeyError("count")

    assert capture_states([Failing()]) == {}  # one method alone is something else
    Failing.set_state = Counter.set_state
    with pytest.raises(ModelDefinitionError, match=r"Failing\.get_state\(\) failed: KeyError"):
        capture_states([Failing()])
    captured = capture_states([FailingLater(1)])
    with pytest.raises(ModelDefinitionError, match=r"FailingLater\.set_state\(state\) failed"):
        restore_states([FailingLater()], captured)


def test_half_precision_weights_keep_their_type():
    [value] = keras.ops.convert_to_numpy(keras.ops.ones((1, 3), "bfloat16"))
    [other] = restored(capture_states([Counter([value])]), Counter())
    assert other.state[0].dtype == value.dtype
    assert other.state[0].tobytes() == value.tobytes()


def test_those_that_start_anew_are_named(tmp_path):
    class WithAttribute(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = 0

    class WithoutAttribute(keras.callbacks.Callback):
        pass

    class Derived(keras.callbacks.LambdaCallback):
        def __init__(self):
            super().__init__()
            self.seen = 0

    known = [
        keras.callbacks.EarlyStopping(),
        keras.callbacks.LambdaCallback(on_epoch_end=print),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.TensorBoard(tmp_path),
        keras.callbacks.BackupAndRestore(tmp_path),
        keras.callbacks.CSVLogger(tmp_path / "a", append=True),
        Counter(),
        WithoutAttribute(),
    ]
    unknown = [WithAttribute(), Derived(), keras.callbacks.CSVLogger(tmp_path / "b")]
    begun(make_model(), *known).on_train_end()
    assert without_state([*known, *unknown]) == ["WithAttribute", "Derived", "CSVLogger"]
