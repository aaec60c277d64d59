import json
from importlib import metadata

import pytest

from loopwright import environment


def test_the_environment_names_every_package_and_its_lock_is_what_pip_reads():
    found = environment.read()
    assert found == environment.read()
    assert found["packages"]["scikit-learn"]
    assert f"numpy=={found['packages']['numpy']}\n" in environment.lock(found)


def test_the_packages_are_those_that_importlib_names():
    named = {one.metadata["Name"]: one.version for one in metadata.distributions()}
    assert environment.read()["packages"] == {environment._normal(name): version for name, version in named.items()}


def test_differences_name_what_it_was_and_what_it_is_now():
    then = {"python": "3.11.1", "packages": {"numpy": "1", "gone": "2"}}
    now = {"python": "3.12.0", "packages": {"numpy": "2", "new": "1"}}
    assert environment.differences(then, now) == [
        "python 3.11.1, now 3.12.0",
        "gone 2, now not there",
        "new not there, now 1",
        "numpy 1, now 2",
    ]
    assert environment.differences(now, now) == []


def test_a_package_whose_egg_info_is_a_file_is_among_them(tmp_path):
    (tmp_path / "old_tool-1.2.egg-info").write_text("Metadata-Version: 1.1\nName: old_tool\nVersion: 1.2\n\nText\n")
    (found,) = metadata.distributions(path=[str(tmp_path)])
    assert environment._package(found) == ("old-tool", "1.2")


@pytest.mark.parametrize(
    ("origin", "installer", "local"),
    [
        ({"url": "file:///here", "dir_info": {"editable": True}}, "uv", True),
        ({"url": "https://example.org/it.git", "vcs_info": {"vcs": "git", "commit_id": "1"}}, "pip", True),
        ({"url": "https://example.org/it.whl", "archive_info": {}}, "pip", False),
        # Of all packages that conda installs, this is where they were built.
        ({"url": "file:///croot/it/work", "dir_info": {}}, "conda", False),
        (None, "pip", False),
    ],
)
def test_what_was_installed_from_a_folder_or_a_repository_is_local(tmp_path, monkeypatch, origin, installer, local):
    folder = tmp_path / "it-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: it\nVersion: 1.0\n\n")
    (folder / "INSTALLER").write_text(f"{installer}\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    found = list(metadata.distributions(path=[str(tmp_path)]))
    monkeypatch.setattr(metadata, "distributions", lambda: found)
    assert environment.read()["local"] == (["it"] if local else [])
