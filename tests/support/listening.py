"""A service on a real socket, in a thread of the test's process."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from matcaps.service.app import create_app
from matcaps.service.backends.session import Session
from matcaps.service.engine.engine import Engine
from matcaps.service.engine.loader import Load
from matcaps.service.server import Server, listen
from matcaps.service.settings import Settings
from tests.support.doubles import GatedSession, fake_models

LIMIT_S = 30.0


class Listening(NamedTuple):
    """The address, and what serves there."""

    address: str
    server: Server
    engine: Engine
    thread: threading.Thread


@contextmanager
def listening(folder: Path, sessions: Mapping[str, Session], **settings: object) -> Iterator[Listening]:
    """A service over fake sessions (the first is the default); at the end it lets all batches through, and ends."""
    default = next(iter(sessions)).partition("/")[0]
    chosen = Settings.model_validate({"models": folder, "default_model": default, **settings})
    with listening_with(chosen, fake_models(folder, sessions)) as running:
        try:
            yield running
        finally:
            for session in sessions.values():
                if isinstance(session, GatedSession):
                    session.gate.release(99)


@contextmanager
def listening_with(settings: Settings, load: Load) -> Iterator[Listening]:
    """A service on a free port, whatever the settings say."""
    app = create_app(settings, load)
    server = Server(app, settings)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Listening(f"http://127.0.0.1:{listener.getsockname()[1]}", server, app.state.engine, thread)
        finally:
            server.should_exit = True
            thread.join(LIMIT_S)
            assert not thread.is_alive(), "the server did not end"
