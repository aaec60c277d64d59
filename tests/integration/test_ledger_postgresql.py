"""The ledger on a real PostgreSQL, with writers in several processes at once."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from loopwright.errors import LedgerError, StateError
from loopwright.ledger import DuplicateEntry, Ledger
from loopwright.local import ports

WRITER = """
import sys
from loopwright.ledger import DuplicateEntry, Ledger
ledger = Ledger(sys.argv[1])
won = 0
for number in range(20):
    ledger.append("churn", "alarm", {"writer": sys.argv[2], "number": number})
    try:
        ledger.append("churn", "run", {"writer": sys.argv[2]}, key=f"churn/run/{number}")
        won += 1
    except DuplicateEntry:
        pass
print(won)
"""


def binaries() -> Path | None:
    """PostgreSQL's programs: on PATH, or where Debian keeps them."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server of its own, on a free port; it must not run as root."""
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL is not installed: no initdb on PATH or in /usr/lib/postgresql")
    # Not below pytest's folder: that is closed to other users again whenever another pytest begins.
    folder = Path(tempfile.mkdtemp(prefix="loopwright-postgresql-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)

    def call(*command: str) -> None:
        result = subprocess.run([str(found / command[0]), *command[1:]], user=user, capture_output=True, cwd=folder)
        assert result.returncode == 0, result.stderr.decode() + result.stdout.decode()

    port = ports.free(1)[0]
    data = str(folder / "data")
    call("initdb", "-D", data, "-U", "loopwright", "--auth=trust", "-E", "UTF8", "--locale=C")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    call("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    yield f"postgresql+psycopg://loopwright@127.0.0.1:{port}/postgres"
    call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)


@pytest.mark.slow
def test_concurrent_writers_make_one_chain_and_each_key_is_claimed_once(server: str) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, server, str(one)], stdout=subprocess.PIPE, text=True)
        for one in range(3)
    ]
    won = [int(writer.communicate(timeout=120)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sum(won) == 20
    ledger = Ledger(server)
    assert ledger.verify() == 3 * 20 + 20
    with pytest.raises(DuplicateEntry):
        ledger.append("churn", "run", {}, key="churn/run/7")


@pytest.mark.slow
def test_a_changed_entry_is_found(server: str) -> None:
    ledger = Ledger(server)
    number = ledger.append("fraud", "alarm", {"distance": 0.2}).number
    with sa.create_engine(server, poolclass=sa.NullPool).begin() as connection:
        changed = sa.text("UPDATE loopwright_ledger SET facts = :facts WHERE number = :number")
        connection.execute(changed, {"facts": '{"distance":0.1}', "number": number})
    with pytest.raises(LedgerError, match=f"entry {number} "):
        ledger.verify()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    ledger = Ledger(f"postgresql+psycopg://user:secret@127.0.0.1:{ports.free(1)[0]}/none")
    with pytest.raises(StateError, match="cannot be used") as caught:
        ledger.entries()
    assert "secret" not in str(caught.value)
