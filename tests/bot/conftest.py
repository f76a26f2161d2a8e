"""The office that most tests of the bot stand in: the lab's servers, and the bot's parts over them."""

import contextlib
from pathlib import Path

import pytest

from tests.bot.office import Office


@pytest.fixture
def quiet_office(tmp_path: Path):
    """Everything is up; the watcher has seen that the organisation has nothing."""
    with contextlib.ExitStack() as stack:
        office = Office(tmp_path, stack)
        office.look()
        yield office
        office.stop()


@pytest.fixture
def office(quiet_office: Office) -> Office:
    """A model was published, its card is in the channel, and the bot listens."""
    quiet_office.publish()
    quiet_office.look()
    quiet_office.chat.connect()
    return quiet_office
