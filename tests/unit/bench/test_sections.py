import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def sections(root: Path) -> Iterator[ModuleType]:
    sys.path.insert(0, str(root))
    yield importlib.import_module("bench.sections")
    sys.path.remove(str(root))


def test_a_section_is_replaced_and_the_rest_of_the_page_stays_as_it_was(sections):
    page = "# Page\n\n<!-- one: begin -->\nold\n<!-- one: end -->\n\n<!-- two: begin -->\nkept\n<!-- two: end -->\n"
    assert sections.replaced(page, "one", r"new \1 \g<0>") == page.replace("old", r"new \1 \g<0>")


def test_a_section_is_written_twice_as_once(sections):
    once = sections.replaced("# Page\n\nWords.\n", "one", "new")
    assert once == "# Page\n\nWords.\n\n<!-- one: begin -->\nnew\n<!-- one: end -->\n"
    assert sections.replaced(once, "one", "new") == once


def test_the_first_section_comes_after_the_first_paragraph(sections):
    page = "# Page\n\nWords.\n\n## Another\n"
    first = sections.replaced(page, "one", "new", first=True)
    assert first == "# Page\n\nWords.\n\n<!-- one: begin -->\nnew\n<!-- one: end -->\n\n## Another\n"
    assert sections.replaced(first, "one", "new", first=True) == first


@pytest.mark.parametrize("page", ["<!-- one: begin -->\nall that follows\n", "what is before\n<!-- one: end -->\n"])
def test_a_marker_without_the_other_loses_nothing(sections, tmp_path, page):
    path = tmp_path / "page.md"
    path.write_text(page)
    with pytest.raises(ValueError, match="has no"):
        sections.put(path, "one", "new")
    assert path.read_text() == page


def test_a_page_that_is_not_there_is_made_with_its_title(sections, tmp_path):
    sections.put(tmp_path / "page.md", "one", "new", title="Page")
    assert (tmp_path / "page.md").read_text() == "# Page\n\n<!-- one: begin -->\nnew\n<!-- one: end -->\n"


def test_every_part_of_the_suite_has_its_section_in_its_page(sections, root):
    for part in importlib.import_module("bench.suite").PARTS:
        text = (root / "docs" / part.page).read_text()
        begin, end = sections.marks(part.name)
        assert text.count(begin) == text.count(end) == 1, part.name
        assert text.index(begin) < text.index(end)


def test_a_part_that_fails_does_not_stop_the_others_and_the_suite_ends_with_1(
    sections, root, tmp_path, monkeypatch, capsys
):
    suite = importlib.import_module("bench.suite")
    calls = {"serving": "import sys; sys.exit(3)", "waiting": "print('measured')", "gates": "raise OSError"}
    monkeypatch.setattr(suite, "call", lambda part, smoke: [sys.executable, "-c", calls[part.name]])
    assert suite.main(["--only", *calls, "--work", str(tmp_path)]) == 1
    assert (tmp_path / "waiting.log").read_text() == "measured\n"
    told = capsys.readouterr().out
    assert "serving ended" in told
    assert "with exit code 3" in told
    assert "gates ended" in told


@pytest.mark.parametrize("part", ["serving", "events", "drift", "overhead", "estimates"])
def test_peers_are_locked_with_all_that_they_need(sections, root, part):
    folder = root / "bench" / part / "requirements"
    files = sorted(folder.glob("*.txt"))
    assert {file.stem for file in files} == {file.stem for file in folder.glob("*.in")} != set()
    for file in files:
        lines = [line for line in file.read_text().splitlines() if line and not line.lstrip().startswith("#")]
        assert all("==" in line for line in lines), file
    for wanted in folder.glob("*.in"):
        locked = wanted.with_suffix(".txt").read_text()
        pinned = [re.sub(r"\[.*\]", "", line) for line in wanted.read_text().splitlines() if "==" in line]
        assert pinned
        assert all(line in locked for line in pinned), wanted
