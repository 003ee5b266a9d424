"""Fixtures for all: a company in a box, audited whole after each test that used it."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from postgresql import Server
from stub import Stub
from world import World

settings.register_profile("patient", deadline=None)  # no test depends on how fast this machine is just now
settings.load_profile("patient")


ON_BOTH = ("store", "witness")
"""Folders whose tests that use a book run on both databases; elsewhere a test says so (`on`)."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test in those folders that asks for a company meets it in SQLite and in PostgreSQL."""
    on = metafunc.definition.get_closest_marker("on")
    both = ("sqlite", "postgresql") if metafunc.definition.path.parent.name in ON_BOTH else ()
    databases = on.args if on else both
    if "database" in metafunc.fixturenames and databases:
        metafunc.parametrize("database", databases, indirect=True, scope="session")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL of this test process's own."""
    with Server() as server:
        yield server.begin()


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> Server | None:
    """Where books are made: in PostgreSQL, or (None) in SQLite in their folders."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    server: Server = request.getfixturevalue("postgresql")
    return server


@pytest.fixture(scope="session")
def template(database: Server | None, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company set up once. Copy it; never write to it."""
    return World(tmp_path_factory.mktemp("template"), server=database)


@pytest.fixture(scope="session")
def setting_out(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same with C-1, two media, just picked up by Carl and watched by A-2. Copy it; never write to it."""
    world = template.copy(tmp_path_factory.mktemp("setting_out"))
    world.dispatch(2)
    return world


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


@pytest.fixture
def road(setting_out: World, tmp_path: Path) -> Iterator[World]:
    """The company in a box with C-1 on its way: what `dispatch` makes, only quicker."""
    world = setting_out.copy(tmp_path)
    yield world
    world.check()
    world.book.engine.dispose()


@pytest.fixture(scope="module")
def shared(template: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One copy for a module: for refusals, which change nothing, and for what minds its own trip and things.

    It is audited whole at the end.
    """
    world = template.copy(tmp_path_factory.mktemp("shared"))
    yield world
    world.check()
    world.book.engine.dispose()


@pytest.fixture
def stub() -> Iterator[Callable[..., Stub]]:
    """Makes servers that answer as they are told to."""
    made: list[Stub] = []

    def make(answer: bytes | Callable[[socket.socket], None]) -> Stub:
        made.append(Stub(answer))
        return made[-1]

    yield make
    for each in made:
        each.close()
