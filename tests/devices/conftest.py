"""Two devices for the tests marked `two_devices`, which run in a process of their own: see tests/test_devices.py."""

import pytest


@pytest.fixture(scope="session")
def two():
    """Both halves of the processor, as devices."""
    from doggan.devices import open_devices

    return open_devices(2)
