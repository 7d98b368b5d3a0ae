"""Several processes of a run end together; what begins slowly is given time."""

from types import SimpleNamespace

import pytest

from doggan.config import Config, Ema, Schedule
from doggan.devices import Devices, _jax_cluster
from doggan.errors import DogganError
from doggan.runs.health import GRACE, patience
from doggan.runs.stop import TIME_UP, Agreement, Stop


class Told(Devices):
    """Devices of a run whose other process says this number."""

    def __init__(self, said):
        super().__init__(replicas=2, process=0, processes=2)
        object.__setattr__(self, "said", said)

    def highest(self, number):
        return max(number, self.said)


@pytest.mark.parametrize(
    ("own", "stopping", "said", "reason", "ends"),
    [
        (None, False, 0, None, False),
        (None, False, 1, None, True),  # the other's run collapsed: whether that ends it is for it to say
        (None, False, 2, TIME_UP, True),
        (None, False, 3, "SIGTERM", True),
        ("SIGINT", True, 3, "SIGINT", True),
        (TIME_UP, True, 0, TIME_UP, True),
        (None, True, 0, None, True),
        ("a reason of its own", True, 0, "a reason of its own", True),
    ],
)
def test_all_processes_end_for_the_gravest_reason(own, stopping, said, reason, ends):
    stop = Stop()
    if own:
        stop.ask(own)
    agreement = Agreement(stop, Told(said))
    agreement.set_model(SimpleNamespace(stop_training=stopping))
    agreement.on_train_batch_end(0)
    assert (stop.reason, agreement._model.stop_training) == (reason, ends)


def test_what_the_chief_fails_in_fails_everywhere_and_what_differs_is_refused():
    with pytest.raises(DogganError, match="Process 0 could not go on"):
        Devices.chief_first(SimpleNamespace(chief=False, highest=lambda number: 1), lambda: 3)
    said = []
    chief = SimpleNamespace(chief=True, highest=said.append)
    with pytest.raises(ZeroDivisionError):
        Devices.chief_first(chief, lambda: 1 // 0)
    assert Devices.chief_first(chief, lambda: 3) == 3
    assert said == [1, 0]
    Devices().check_same("this", "recipes")
    with pytest.raises(DogganError, match="different recipes"):
        Told(2**31 - 1).check_same("this", "recipes")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("a:1", None, "0"), "only JAX_COORDINATOR_ADDRESS, JAX_PROCESS_ID is set"),
        (("a:1", "two", "0"), "must be a number below"),
        (("a:1", "2", "2"), "must be a number below"),
    ],
)
def test_jax_variables_that_make_no_sense_are_refused(values, message, monkeypatch):
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    for name, value in zip(names, values, strict=True):
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(DogganError, match=message):
        _jax_cluster()


def test_what_begins_slowly_is_given_time():
    assert patience(Config(), 64) == GRACE
    slow = Config(lr=Schedule(warm_up=500), ema=Ema(half_life=640, ramp_up=0.0))
    assert patience(slow, 64) == GRACE + 500 + 20
