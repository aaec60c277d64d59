"""Each part of bench/ runs, small and without peers, and writes its page: none rots between two measurements."""

import subprocess
from pathlib import Path

import pytest
from bench import sections, suite

PAGES = {"serving", "waiting", "overhead"}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("part", suite.PARTS, ids=lambda part: part.name)
def test_a_part_of_the_suite_measures_and_writes_its_page(part: suite.Part, tmp_path: Path) -> None:
    command = suite.call(part, tmp_path)
    page = tmp_path / part.page
    before = page.read_text() if page.exists() else ""
    numbers = tmp_path / f"{part.name}.json"
    numbers_before = numbers.read_text() if numbers.exists() else ""
    ended = subprocess.run(command, cwd=suite.ROOT, capture_output=True, text=True, timeout=300)
    # 1 is for a promise that was not kept, which so few repeats cannot tell; what does not work ends in a traceback.
    assert ended.returncode in (0, 1), ended.stderr
    assert "Traceback" not in ended.stderr
    if "--write-only" in part.smoke:
        assert page.read_text() == before, "the page is what the committed numbers give"
    else:
        assert page.read_text() != before
        assert numbers.read_text() != numbers_before
    if part.name in PAGES:
        assert f"<!-- {part.name}: begin -->" in page.read_text()


def test_the_suite_is_planned_for_half_an_hour_and_has_every_part() -> None:
    minutes = [part.minutes if part.timed else part.minutes / 2 for part in suite.PARTS]
    assert sum(minutes) < 30
    folders = {path.parent.name for path in (suite.ROOT / "bench").glob("*/__main__.py")}
    assert {part.name for part in suite.PARTS} == folders


def test_what_the_suite_ran_stands_once_however_often_it_is_written() -> None:
    ended = [{"part": part, "seconds": 60.0, "code": 0} for part in suite.PARTS]
    begun = "# Benchmarks\n\nFirst.\n\n<!-- serving: begin -->\n"
    page = sections.replaced(begun, "suite", suite.section(ended, 1200.0), first=True)
    again = sections.replaced(page, "suite", suite.section(ended, 1260.0), first=True)
    assert page.startswith("# Benchmarks\n\nFirst.\n\n<!-- suite: begin -->\n## The suite")
    assert again == page.replace("in 20 minutes", "in 21 minutes")
    assert again.endswith("<!-- suite: end -->\n\n<!-- serving: begin -->\n")
