"""The ledger on a real PostgreSQL, with writers in several processes at once."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from tests.integration.postgresql import Server

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


@pytest.fixture(scope="module")
def server(postgresql: Callable[[], Server]) -> str:
    """The URL of a server of its own."""
    return postgresql().url


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
