import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from loopwright.errors import LedgerError, StateError
from loopwright.ledger import GENESIS, DuplicateEntry, Ledger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(path):
    return Ledger(f"sqlite:///{path}")


@pytest.fixture
def four(ledger):
    """A ledger with four entries, each the cause of the next."""
    cause = None
    for number, kind in enumerate(("alarm", "decision", "run", "run_ended"), start=1):
        cause = ledger.append("churn", kind, {"step": number}, cause=cause, key=f"k{number}").number
    return ledger


def change(path, *statements):
    """Do to the file what the ledger itself never does."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_an_entry_comes_back_as_it_was_written(ledger):
    at = datetime(2025, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
    first = ledger.append("churn", "alarm", {"score": 1.5, "features": ["age"]}, key="episode", at=at)
    second = ledger.append("churn", "decision", {"ü": None}, cause=first.number)
    assert (first.number, first.at, first.loop, first.kind, first.cause, first.key) == (
        1, at, "churn", "alarm", None, "episode",
    )  # fmt: skip
    assert dict(first.facts) == {"score": 1.5, "features": ["age"]}
    assert ledger.entries() == [first, second]
    assert ledger.get(2) == second
    assert len(first.hash) == 64
    assert first.hash != second.hash


def test_every_entry_stands_on_the_hash_before_it(four, path):
    rows = sqlite3.connect(path).execute("SELECT previous, hash FROM loopwright_ledger ORDER BY number").fetchall()
    assert [previous for previous, _hash in rows] == [GENESIS, *(own for _previous, own in rows[:-1])]
    assert four.verify() == 4


def test_an_empty_ledger_verifies(ledger):
    assert ledger.verify() == 0
    assert ledger.entries() == []


def test_a_time_is_kept_in_utc(ledger):
    at = datetime(2025, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    ledger.append("churn", "alarm", {}, at=at)
    entry = ledger.get(1)
    assert entry.at == at
    assert entry.at.utcoffset() == timedelta(0)


def test_without_a_time_an_entry_is_stamped_now(ledger):
    before = datetime.now(UTC)
    assert before <= ledger.append("churn", "alarm", {}).at <= datetime.now(UTC)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_is_refused(ledger, value):
    with pytest.raises(ValueError, match="JSON"):
        ledger.append("churn", "judged", {"roc_auc": value})
    assert ledger.verify() == 0


def test_entries_are_chosen_by_loop_kind_and_number(ledger):
    for loop, kind in [("churn", "run"), ("fraud", "run"), ("churn", "run_ended"), ("churn", "run")]:
        ledger.append(loop, kind, {})

    def numbers(*loop, **chosen):
        return [entry.number for entry in ledger.entries(*loop, **chosen)]

    assert numbers() == [1, 2, 3, 4]
    assert numbers("churn") == [1, 3, 4]
    assert numbers("churn", kind="run") == [1, 4]
    assert numbers(kind="run", after=1) == [2, 4]
    assert numbers(newest=2) == [3, 4]
    assert numbers("churn", newest=2, after=1) == [3, 4]


def test_a_key_is_taken_once_and_the_second_is_told_by_whom(ledger):
    first = ledger.append("churn", "run", {}, key="churn/run/1")
    with pytest.raises(DuplicateEntry, match="has 'churn/run/1' already, as entry 1") as taken:
        ledger.append("churn", "run", {}, key="churn/run/1")
    assert taken.value.number == first.number
    assert [ledger.append("churn", "run", {}).number for _ in range(2)] == [2, 3]
    assert ledger.verify() == 3


def test_causes_lead_back_to_the_first(four):
    unrelated = four.append("churn", "alarm", {})
    assert [entry.kind for entry in four.causes(4)] == ["alarm", "decision", "run", "run_ended"]
    assert [entry.number for entry in four.causes(2)] == [1, 2]
    assert four.causes(unrelated.number) == [unrelated]


def test_a_forged_circle_of_causes_ends(four, path):
    change(path, "UPDATE loopwright_ledger SET cause = 3 WHERE number = 1")
    assert [entry.number for entry in four.causes(3)] == [1, 2, 3]


def test_an_entry_that_is_not_there_is_an_error(ledger):
    with pytest.raises(LedgerError, match="no entry 7"):
        ledger.get(7)
    with pytest.raises(LedgerError, match="no entry 7"):
        ledger.causes(7)


@pytest.mark.parametrize(
    "column",
    ["at = '2020-01-01T00:00:00.000000+00:00'", "loop = 'fraud'", "kind = 'approved'", "cause = NULL", "key = NULL",
     "facts = '{\"step\":9}'", "facts = facts || ' '", f"hash = '{'f' * 64}'"],
)  # fmt: skip
@pytest.mark.parametrize("number", [2, 4])
def test_a_changed_entry_is_named(four, path, column, number):
    change(path, f"UPDATE loopwright_ledger SET {column} WHERE number = {number}")  # noqa: S608
    with pytest.raises(LedgerError, match=rf"entry {number} \(\w+\) was changed after it was written; expected every"):
        four.verify()


def test_the_first_changed_entry_is_named(four, path):
    change(path, "UPDATE loopwright_ledger SET facts = '{}' WHERE number > 1")
    with pytest.raises(LedgerError, match=r"entry 2 \(decision\) was changed"):
        four.verify()


@pytest.mark.parametrize(("number", "after", "then"), [(1, 0, 2), (2, 1, 3), (3, 2, 4)])
def test_a_missing_entry_is_named(four, path, number, after, then):
    change(path, f"DELETE FROM loopwright_ledger WHERE number = {number}")  # noqa: S608
    with pytest.raises(LedgerError, match=f"entry {number} is missing: after {after} comes {then}"):
        four.verify()


def test_a_missing_entry_is_found_when_the_rest_moved_up(four, path):
    change(
        path,
        "DELETE FROM loopwright_ledger WHERE number = 2",
        "UPDATE loopwright_ledger SET number = 2 WHERE number = 3",
        "UPDATE loopwright_ledger SET number = 3 WHERE number = 4",
    )
    with pytest.raises(LedgerError, match="entry 2 does not follow from entry 1"):
        four.verify()


def test_reordered_entries_are_named(four, path):
    change(
        path,
        "UPDATE loopwright_ledger SET number = 99 WHERE number = 2",
        "UPDATE loopwright_ledger SET number = 2 WHERE number = 3",
        "UPDATE loopwright_ledger SET number = 3 WHERE number = 99",
    )
    with pytest.raises(LedgerError, match="entry 2 does not follow from entry 1"):
        four.verify()


@pytest.mark.parametrize("kept", [3, 0])
def test_a_cut_off_end_is_named(four, path, kept):
    change(path, f"DELETE FROM loopwright_ledger WHERE number > {kept}")  # noqa: S608
    with pytest.raises(LedgerError, match=f"entry 4 is the newest that was written, and entry {kept} is there"):
        four.verify()


def test_an_entry_that_was_slipped_in_at_the_end_is_found(four, path, tmp_path):
    # A copy of the ledger goes on with the chain, so that the new entry itself is right.
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    Ledger(f"sqlite:///{copy}").append("churn", "approved", {"by": "nobody"})
    change(path, f"ATTACH '{copy}' AS copy", "INSERT INTO loopwright_ledger SELECT * FROM copy.loopwright_ledger "
                 "WHERE number = 5")  # fmt: skip
    with pytest.raises(LedgerError, match="entry 4 is the newest that was written, and entry 5 is there"):
        four.verify()


WRITER = """
import sys
from loopwright.ledger import DuplicateEntry, Ledger
ledger, name = Ledger(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
won = 0
for number in range(12):
    ledger.append("churn", "own", {"by": name, "number": number})
    try:
        ledger.append("churn", "claim", {"by": name}, key=f"claim/{number}")
        won += 1
    except DuplicateEntry:
        pass
print(won)
"""


def test_processes_that_write_at_once_make_one_chain_and_a_key_goes_to_one(ledger):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, ledger.url, f"w{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # all of them make the tables too, as nobody has used the ledger before
        writer.stdin.write("go\n")
        writer.stdin.flush()
    won = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sum(won) == 12
    assert ledger.verify() == 3 * 12 + 12
    for name in ("w0", "w1", "w2"):
        own = [e.facts["number"] for e in ledger.entries(kind="own") if e.facts["by"] == name]
        assert own == list(range(12))


def test_a_ledger_in_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"the ledger's folder .*file/state cannot be made"):
        Ledger(f"sqlite:///{tmp_path}/file/state/ledger.db").entries()


def test_a_file_that_is_no_database_says_so(tmp_path):
    (tmp_path / "ledger.db").write_text("not a database at all, but long enough to be taken for one" * 20)
    with pytest.raises(StateError, match=r"ledger\.db cannot be used: file is not a database"):
        Ledger(f"sqlite:///{tmp_path}/ledger.db").entries()


def test_a_message_shows_no_password():
    url = "postgresql+psycopg://loopwright:hush@127.0.0.1:1/ledger"
    with pytest.raises(StateError) as refused:
        Ledger(url).entries()
    assert "hush" not in str(refused.value)
    assert re.search(r"loopwright:\*\*\*@127\.0\.0\.1:1/ledger cannot be used", str(refused.value))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+nosuch://ada:hush@db/ledger", r"postgresql\+nosuch://\.\.\. cannot be opened"),
        ("ledger.db", "the ledger's URL is none"),
    ],
)
def test_a_url_that_names_no_ledger_or_no_driver_says_what_to_write(url, said):
    with pytest.raises(StateError, match=said) as refused:
        Ledger(url)
    assert "postgresql+pg8000://" in str(refused.value)
    assert "hush" not in str(refused.value)
