"""A studio of the finished run, for all tests of the page."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def untouched_logging():
    """The server's set-up of logging closes the handlers of others, absl's with what pytest captures stderr in."""
    config = pytest.importorskip("uvicorn.config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.Config, "configure_logging", lambda self: None)
        yield


@pytest.fixture(scope="session")
def studio(finished_run):
    from doggan.play.studio import Studio

    return Studio(finished_run)
