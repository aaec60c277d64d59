"""A stand-in for uv takes its place: it makes a venv, and says of packages what uv said when it was tried."""

import subprocess
import sys

import pytest

from loopwright import __version__
from loopwright.errors import RecordError
from loopwright.governance import rebuilt

UV = """#!/bin/sh
echo "$@" >> {log}
case "$1 $4" in
  "venv 9.9.9") echo "error: No interpreter found for Python 9.9.9" >&2; exit 2;;
  venv*) exec {python} -m venv --without-pip "$5";;
esac
if grep -q gone {folder}/*.txt; then echo "{gone}" >&2; exit 1; fi
if grep -q away {folder}/*.txt; then echo "{away}" >&2; exit 1; fi
"""
GONE = "error: No solution found when resolving dependencies\n  cause: Because there is no version of gone==1 and ..."
AWAY = (
    "error: Request failed after 3 retries\n  cause: error sending request for url (https://ada:hidden@pypi.org/away/)"
)


@pytest.fixture
def uv(tmp_path, monkeypatch):
    path, log = tmp_path / "uv", tmp_path / "log"
    path.write_text(UV.format(log=log, python=sys.executable, folder=tmp_path, gone=GONE, away=AWAY))
    path.chmod(0o755)
    monkeypatch.setattr(rebuilt, "_uv", lambda: str(path))
    return log


def record(**packages):
    return {"python": "9.9.9", "implementation": "CPython", "packages": {"loopwright": __version__, **packages}}


def test_the_environment_has_what_was_recorded_and_the_running_release_itself(uv, tmp_path):
    python = rebuilt.made(record(numpy="1.0"), tmp_path / "env", str)
    assert (tmp_path / "env.txt").read_text() == "numpy==1.0\n"
    first, second, third = uv.read_text().splitlines()
    assert first.startswith("venv --quiet --python 9.9.9")
    # No such patch release is at hand, and another of the same minor one is taken.
    assert second.startswith("venv --quiet --python 9.9 ")
    assert "--no-deps" in third
    asked = "import loopwright, importlib.metadata as m; print(loopwright.__file__, m.version('loopwright'))"
    said = subprocess.run([python, "-I", "-c", asked], capture_output=True, text=True, check=True).stdout
    assert said.startswith(str(tmp_path / "env"))
    assert said.split()[1] == __version__


def test_another_release_of_ours_is_asked_of_the_index(uv, tmp_path):
    rebuilt.made(record(loopwright="0.0.1"), tmp_path / "env", str)
    assert (tmp_path / "env.txt").read_text() == "loopwright==0.0.1\n"


@pytest.mark.parametrize(
    ("package", "said", "do"),
    [("gone", "there is no version of gone==1", "UV_FIND_LINKS"), ("away", "error sending request", "can be reached")],
)
def test_a_package_that_is_not_to_be_had_is_named_with_what_to_do(uv, tmp_path, package, said, do):
    with pytest.raises(RecordError) as found:
        rebuilt.made(record(**{package: "1"}), tmp_path / "env", str)
    assert said in str(found.value)
    assert do in str(found.value)
    assert "--here" in str(found.value)
    assert "hidden" not in str(found.value)


def test_a_record_of_another_interpreter_is_refused_in_words(tmp_path):
    other = {"python": "3.11.1", "implementation": "PyPy", "packages": {"numpy": "1"}}
    with pytest.raises(RecordError, match=r"the record names PyPy 3\.11\.1 and 1 packages"):
        rebuilt.made(other, tmp_path / "env", str)


def test_without_uv_a_missing_interpreter_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(rebuilt, "_uv", lambda: None)
    with pytest.raises(RecordError, match=r"there is no Python 9\.9 here.*Install it, or uv"):
        rebuilt.made(record(), tmp_path / "env", str)


def test_what_fails_in_the_environment_is_told_by_its_last_words(tmp_path):
    with pytest.raises(RecordError, match="ModuleNotFoundError: No module named 'nowhere'"):
        rebuilt.run(sys.executable, ["-c", "import nowhere"], tmp_path)
