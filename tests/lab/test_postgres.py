"""The lab's Postgres: a real server in a folder, without a port, there again after it was stopped."""

from pathlib import Path

import psycopg
import pytest

from lab.postgres.__main__ import main
from lab.postgres.server import Server, missing, temporary

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def test_a_crash_loses_nothing_that_was_committed() -> None:
    """Stopped as a crash stops it and started again: the row is there; nothing listens on a port."""
    with temporary() as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE t (n int)")
            connection.execute("INSERT INTO t VALUES (7)")
        server.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url)
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT n FROM t").fetchall() == [(7,)]
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert not Path(server.folder).exists()


def test_by_hand(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` prints the address, `down` ends it."""
    with temporary() as server:
        server.stop()
        monkeypatch.setattr("sys.argv", ["lab.postgres", "up", "--dir", str(server.folder)])
        assert main() == 0 and capsys.readouterr().out.strip() == server.url
        monkeypatch.setattr("sys.argv", ["lab.postgres", "down", "--dir", str(server.folder)])
        assert main() == 0
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(Server(server.folder).url)
