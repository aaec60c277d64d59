import dataclasses
import shutil
import socket
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from loopwright import settings
from loopwright.doctor import machine, stores
from loopwright.ledger import Ledger
from loopwright.loop import Loop


@pytest.fixture
def known(tmp_path: Path) -> settings.Settings:
    return settings.read(tmp_path, {})


def test_a_port_in_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        assert [one.state for one in machine.port(port)] == ["warning"]
    assert [one.state for one in machine.port(port)] == ["ok"]


@pytest.mark.parametrize(("free", "state"), [(50 * 2**20, "problem"), (2**30, "warning"), (5 * 2**30, "ok")])
def test_little_room_is_a_warning_and_none_a_problem(
    known: Any, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**40, 0, free))
    assert [one.state for one in machine.disk(known)] == [state]


def test_an_envoy_that_does_not_run_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "envoy"
    broken.write_text("#!/bin/sh\necho 'GLIBC_2.38 not found' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(machine.commands, "find_envoy", lambda: str(broken))
    (found,) = machine.envoy()
    assert found.state == "problem"
    assert "GLIBC_2.38 not found" in found.text


def test_envoy_tells_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tmp_path / "envoy"
    good.write_text("#!/bin/sh\necho 'envoy  version: 4bb1/1.35.3/Clean/RELEASE/BoringSSL'\n")
    good.chmod(0o755)
    monkeypatch.setattr(machine.commands, "find_envoy", lambda: str(good))
    (found,) = machine.envoy()
    assert found.text.startswith("Envoy 1.35.3 at ")


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_there", lambda name: name != "kserve")
    text = [one for one in machine.python() if one.state == "warning"]
    assert [one.do for one in text] == ["`pip install 'loopwright[predictor]'`, or `loopwright[local]` for all"]


def test_a_loop_that_has_not_run_has_nothing_wrong(known: Any, churn: Loop) -> None:
    found = [*stores.state(known), *stores.ledger(known, churn), *stores.registry(known, churn)]
    assert {one.state for one in found} == {"note"}
    assert not known.state.exists(), "nothing is made"


def test_a_ledger_that_was_changed_is_found(known: Any, churn: Loop) -> None:
    from loopwright.errors import LedgerError

    ledger = Ledger(known.ledger_url)
    ledger.append("churn", "started", {"a": 1})
    (found,) = stores.ledger(known, churn)
    assert found.text.startswith(known.ledger_url)
    assert "1 entries, the newest of churn" in found.text
    with ledger._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE loopwright_ledger SET facts = '{}'")
    with pytest.raises(LedgerError):
        list(stores.ledger(known, churn))


def test_a_driver_that_is_not_installed_is_told_without_the_password(known: Any, churn: Loop) -> None:
    from loopwright.errors import StateError

    url = "oracle+cx_oracle://ada:secret@db/ledger"
    with pytest.raises(StateError, match="postgresql\\+pg8000") as caught:
        list(stores.ledger(dataclasses.replace(known, ledger_url=url), churn))
    assert "secret" not in str(caught.value)


def test_a_state_folder_that_cannot_be_written_is_an_error(known: Any) -> None:
    from loopwright.errors import StateError

    known.state.write_text("a file")
    with pytest.raises(StateError, match="cannot be written"):
        list(stores.state(known))
