from loopwright.governance import document
from loopwright.governance.document import Document, Items, Missing, Picture, Section, Table, Text
from loopwright.report import svg

WRONG = "<script>alert(1)</script> a|b [x](http://y) *z*"


def made(*blocks):
    return Document("A <title>", "about `code`", [Section("One", blocks)])


def test_no_value_becomes_markup_on_the_page():
    page = document.html(made(Text(WRONG), Items([WRONG]), Table((WRONG,), [[WRONG]], WRONG), Missing(WRONG, "owner")))
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 7
    assert "default-src 'none'" in page
    assert "<code>code</code>" in page


def test_no_value_becomes_markup_in_markdown_and_a_table_keeps_its_cells():
    text, pictures = document.markdown(made(Text(WRONG), Table(("a", "#n"), [[f"`x|y` {WRONG}", "1\n2"]])))
    assert r"\<script\>alert(1)\</script\> a\|b \[x\](http://y) \*z\*" in text
    row = text.splitlines()[-1]
    assert row.replace(r"\|", "").count("|") == 3
    assert row.startswith(r"| `x\|y` ")
    assert "| --- | ---: |" in text
    assert pictures == {}


def test_pictures_are_files_that_are_complete_in_themselves():
    from xml.etree import ElementTree

    drawn = svg.picture(100, 50, "A picture", "of nothing", [svg.text(1, 1, "a < b")])
    text, pictures = document.markdown(made(Picture("one", drawn, "what it shows")))
    assert "![what it shows](pictures/one.svg)" in text
    root = ElementTree.fromstring(pictures["pictures/one.svg"])  # noqa: S314 our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "--paper" in next(root.iter("{http://www.w3.org/2000/svg}style")).text


def test_what_is_missing_is_known_with_its_section():
    found = made(Text("there"), Missing("The owner.", "owner"))
    assert [(title, one.key) for title, one in found.missing] == [("One", "owner")]
