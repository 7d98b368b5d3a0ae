import time

import pytest

from doggan.metrics import pace
from doggan.metrics.pace import Pace, TimeUp


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def test_no_deadline(clock: Clock) -> None:
    with Pace(10, "work") as counted:
        clock.now += 1e6
        counted.advance(10)
    assert counted.done == 10


def warmed_up(clock: Clock, deadline: float) -> Pace:
    counted = Pace(1000, "work", deadline=deadline)
    clock.now += 3  # tracing and compiling count as time gone, not as speed
    counted.advance(10)
    counted.advance(10)
    clock.now += 1
    return counted


def test_stops_when_the_speed_does_not_suffice(clock: Clock) -> None:
    """After two warming steps 10 images take 1 s, so the other 970 end at 100 + 3 + 1 + 97 = 201 s."""
    counted = warmed_up(clock, deadline=198)
    with pytest.raises(TimeUp, match="work: 970 of 1,000 images remain and 94 s are left"):
        counted.advance(10)


def test_goes_on_when_the_speed_suffices(clock: Clock) -> None:
    counted = warmed_up(clock, deadline=202)
    for _ in range(98):
        counted.advance(10)
        clock.now += 1
    assert counted.done == 1000


def test_stops_at_a_deadline_that_has_passed() -> None:
    with pytest.raises(TimeUp, match="5 of 5"), Pace(5, "work", deadline=time.monotonic() - 1):
        pytest.fail("entered after the deadline")


def test_the_last_image_may_be_late(clock: Clock) -> None:
    with Pace(5, "work", deadline=101) as counted:
        clock.now = 102
        counted.advance(5)


def test_skipped_images_are_not_waited_for(clock: Clock) -> None:
    with Pace(1000, "work", deadline=110) as counted:
        counted.skip(960)
        for _ in range(4):
            clock.now += 1
            counted.advance(10)
    assert counted.done == counted.total == 40


def test_bar_only_when_asked(capfd: pytest.CaptureFixture[str]) -> None:
    for progress in (False, True):
        with Pace(3, "counting dogs", progress=progress) as counted:
            counted.advance(3)
        assert ("counting dogs" in capfd.readouterr().err) == progress
