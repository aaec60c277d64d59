"""A stand-in for uv takes its place: it makes a venv, and says of packages what uv said when it was tried."""

import subprocess
import sys

import pytest

from loopwright import __version__
from loopwright.errors import RecordError
from loopwright.governance import rebuilt

UV = """#!/bin/sh
echo "$PWD $@" >> {log}
case "$1 $5" in
  "venv 9.9.9") echo "error: No interpreter found for Python 9.9.9" >&2; exit 2;;
  venv*) exec {python} -m venv --without-pip "$6";;
esac
cat {folder}/*.txt >> {folder}/installed
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


def record(local=(), release=__version__, **packages):
    return {
        "python": "9.9.9",
        "implementation": "CPython",
        "loopwright": release,
        "packages": {"loopwright": release, **packages},
        "local": [*local],
    }


def made(tmp_path, record):
    (tmp_path / "loop").mkdir()
    return rebuilt.made(record, tmp_path / "env", tmp_path / "loop", str)


def test_the_environment_has_what_was_recorded_and_the_running_release_itself(uv, tmp_path):
    found = made(tmp_path, record(numpy="1.0", local=["loopwright"]))
    assert (tmp_path / "installed").read_text() == "numpy==1.0\n"
    first, second, third = uv.read_text().splitlines()
    # In the loop's folder, where uv finds what configures it.
    assert first.startswith(f"{tmp_path / 'loop'} venv --quiet --no-project --python 9.9.9")
    # No such patch release is at hand, and another of the same minor one is taken.
    assert " venv --quiet --no-project --python 9.9 " in second
    assert "--no-deps" in third
    asked = "import loopwright, importlib.metadata as m; print(loopwright.__file__, m.version('loopwright'))"
    asked += "; from loopwright import environment; print(environment.read()['local'])"
    said = subprocess.run([found.python, "-I", "-c", asked], capture_output=True, text=True, check=True).stdout
    assert said.startswith(str(tmp_path / "env"))
    assert said.split()[1:] == [__version__, "['loopwright']"]
    assert found.notes == ()


def test_what_was_of_no_index_is_not_asked_of_one_and_is_noted(uv, tmp_path):
    (note,) = made(tmp_path, record(local=["ours", "loopwright"], ours="1.0", numpy="1.0")).notes
    assert "left out: ours" in note
    assert (tmp_path / "installed").read_text() == "numpy==1.0\n"


def test_of_an_older_record_what_is_of_no_index_here_is_taken_for_that(uv, tmp_path, monkeypatch):
    monkeypatch.setattr(rebuilt.environment, "read", lambda: {"local": ["ours"]})
    older = record(ours="1.0", numpy="1.0")
    del older["local"]
    (note,) = made(tmp_path, older).notes
    assert "left out: ours" in note
    assert (tmp_path / "installed").read_text() == "numpy==1.0\n"


def test_the_running_release_is_given_though_the_record_names_no_such_package(uv, tmp_path):
    of_a_folder = record(numpy="1.0")
    del of_a_folder["packages"]["loopwright"]
    python = made(tmp_path, of_a_folder).python
    subprocess.run([python, "-I", "-c", "import loopwright"], check=True)


def test_another_release_of_ours_is_asked_of_the_index_first_and_whether_it_can_be_asked(uv, tmp_path):
    with pytest.raises(RecordError, match=r"Loopwright 0\.0\.1 of the record cannot be asked.*expected a release from"):
        made(tmp_path, record(release="0.0.1", numpy="1.0"))
    assert (tmp_path / "installed").read_text() == "loopwright==0.0.1\n"


def test_another_release_of_ours_that_was_of_no_index_is_refused(uv, tmp_path):
    with pytest.raises(RecordError, match=r"Loopwright 0\.0\.1, which was installed from no index"):
        made(tmp_path, record(release="0.0.1", local=["loopwright"]))
    assert not uv.exists()


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("numpy @ file:///tmp/numpy.whl #", "1.0"),
        ("numpy", "1.*"),
        ("numpy", "1.0 @ file:///tmp/other"),
        ("numpy", "1.0\n-i https://example.org"),
        ("-r", "1.0"),
    ],
)
def test_what_is_no_name_with_one_version_is_refused(uv, tmp_path, name, version):
    with pytest.raises(RecordError, match="the record names a package"):
        made(tmp_path, record(**{name: version}))
    assert not uv.exists()


@pytest.mark.parametrize(
    ("package", "said", "do"),
    [("gone", "there is no version of gone==1", "UV_FIND_LINKS"), ("away", "error sending request", "can be reached")],
)
def test_a_package_that_is_not_to_be_had_is_named_with_what_to_do(uv, tmp_path, package, said, do):
    with pytest.raises(RecordError) as found:
        made(tmp_path, record(**{package: "1"}))
    assert said in str(found.value)
    assert do in str(found.value)
    assert "--here" in str(found.value)
    assert "hidden" not in str(found.value)


def test_a_record_of_another_interpreter_is_refused_in_words(tmp_path):
    other = {"python": "3.11.1", "implementation": "PyPy", "packages": {"numpy": "1"}}
    with pytest.raises(RecordError, match=r"the record names PyPy 3\.11\.1 and 1 packages"):
        made(tmp_path, other)


def test_without_uv_a_missing_interpreter_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(rebuilt, "_uv", lambda: None)
    with pytest.raises(RecordError, match=r"there is no Python 9\.9 here.*Install it, or uv"):
        made(tmp_path, record())


def test_pip_imports_nothing_of_the_loops_folder(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(rebuilt, "_uv", lambda: None)
    monkeypatch.setattr(rebuilt.programs, "run", lambda command, *_rest, **_more: ran.append(command) or str(tmp_path))
    monkeypatch.setattr(rebuilt, "_give_ourselves", lambda *_: None)
    python = ".".join(map(str, sys.version_info[:3]))
    made(tmp_path, {**record(numpy="1.0"), "python": python})
    venv, install, uninstall, *_ = [[*command][1:] for command in ran]
    assert venv[:3] == ["-I", "-m", "venv"]
    assert install[:3] == uninstall[:3] == ["-I", "-m", "pip"]
    assert uninstall[-4:] == ["uninstall", "--yes", "setuptools", "pip"]
