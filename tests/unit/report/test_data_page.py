import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from loopwright.errors import ContractError
from loopwright.loop import Loop
from loopwright.report import data_page
from loopwright.steps.validate import validate


class Text(HTMLParser):
    """The words of a page, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


def page(small: Loop, rows: pd.DataFrame, folder: Path) -> Text:
    rows.to_parquet(folder / "rows.parquet", index=False)
    paths = [folder / name for name in ("valid.parquet", "aside.parquet", "report.json")]
    try:
        validate(small, folder / "rows.parquet", *paths)
    except ContractError:
        assert not paths[0].exists()
    return Text(data_page.render("small", json.loads(paths[2].read_text()), paths[1]))


def test_broken_rules_and_the_rows_set_aside_are_on_the_page(
    small: Loop, small_rows: pd.DataFrame, tmp_path: Path
) -> None:
    rows = small_rows.copy()
    rows.loc[[3, 4], "age"] = ["17", "<script>alert(1)</script>"]
    told = page(small, rows, tmp_path)
    assert "script" not in told.tags
    words = " ".join(told.words)
    assert "800 rows: 798 kept, 2 set aside (0.2%)" in words
    assert "may be used" in words
    assert "age: min (at least 18)" in words
    assert "<script>alert(1)</script>" in words
    assert rows.loc[3, "customer"] in told.words


def test_data_that_is_stopped_has_a_page_too(small: Loop, small_rows: pd.DataFrame, tmp_path: Path) -> None:
    words = " ".join(page(small, small_rows.assign(age="old"), tmp_path).words)
    assert "breaks its contract" in words
    assert "The first 100 are shown." in words


def test_clean_data_has_a_short_page(small: Loop, small_rows: pd.DataFrame, tmp_path: Path) -> None:
    words = " ".join(page(small, small_rows, tmp_path).words)
    assert "None was." in words
    assert "There are none." in words
