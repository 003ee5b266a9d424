"""Fixtures for all: a company in a box, audited whole after each test that used it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from world import World


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company set up once. Copy it; never write to it."""
    return World(tmp_path_factory.mktemp("template"))


@pytest.fixture
def loose(template: World, tmp_path: Path) -> Iterator[World]:
    """A copy of the company, for tests that harm it: nobody audits it afterwards."""
    world = template.copy(tmp_path)
    yield world
    world.book.engine.dispose()


@pytest.fixture
def world(box: World) -> World:
    """The company in a box."""
    return box


@pytest.fixture
def box(loose: World) -> Iterator[World]:
    """A copy of the company, audited whole after the test: `world`, only quicker."""
    yield loose
    loose.check()
