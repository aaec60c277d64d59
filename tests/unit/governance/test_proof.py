import hashlib
import json
import subprocess
import sys

import pytest

from loopwright.governance import proof
from loopwright.ledger import GENESIS, Ledger, _former_digest, content_digest


@pytest.fixture
def lines(tmp_path):
    """An extract of five entries, of which the second is another loop's."""
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    first = ledger.append("churn", "request", {"reason": "Ä <b>", "by": "ada", "share": 0.1})
    ledger.append("fraud", "request", {"secret": "theirs"}, key="fraud/1")
    for number in range(3):
        ledger.append("churn", "run", {"number": number, "none": None}, cause=first.number, key=f"churn/{number}")
    return proof.extract(ledger.entries(), proof.of("churn", None)).splitlines()


def test_the_extract_of_a_loop_verifies_and_holds_nothing_of_other_loops_but_links(lines):
    assert proof.check(lines) == (4, 0, 1)
    assert "theirs" not in "".join(lines)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[0].replace("ada", "eve"), "entry 1 (request) was changed after it was written"),
        (lambda lines: lines[0].replace('"churn"', '"other"'), "entry 1 (request) was changed"),
        (lambda lines: lines[1].replace('"hash": "', '"hash": "0'), "entry 2, a link, was changed"),
        (lambda lines: "", "entry 1 is missing: there is 2"),
    ],
)
def test_a_changed_or_missing_line_is_named(lines, change, said):
    at = 1 if "entry 2" in said else 0
    changed = change(lines)
    altered = [changed, *lines[1:]] if at == 0 else [lines[0], changed, *lines[2:]]
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        proof.check([one for one in altered if one])


def test_the_program_in_the_archive_checks_it_with_python_alone(lines, tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / proof.PROGRAM).write_text(proof.program())
    newest = json.loads(lines[-1])["hash"]

    def run(*arguments):
        command = [sys.executable, "-I", str(folder / proof.PROGRAM), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    (folder / proof.FILE).write_text("\n".join(lines) + "\n")
    assert "4 entries as they were written, 1 as links only" in run(newest).stdout
    cut = lines[:-1]
    (folder / proof.FILE).write_text("\n".join(cut) + "\n")
    assert run().returncode == 0, "a chain that was cut off at its end is one"
    found = run(newest)
    assert (found.returncode, f"expected {newest}" in found.stderr) == (1, True)
    (folder / proof.FILE).write_text("\n".join(lines).replace("ada", "eve"))
    assert "the extract does not verify: entry 1 (request) was changed" in run().stderr


def forged(lines):
    """The first entry changed and hashed again, and the link after it made to follow: the newest hash is the same."""
    entry, link = json.loads(lines[0].replace("ada", "eve")), json.loads(lines[1])
    entry["hash"] = link["previous"] = hashlib.sha256((GENESIS + content_digest(entry)).encode()).hexdigest()
    return [json.dumps(entry), json.dumps(link), *lines[2:]], link


def test_an_entry_before_a_link_cannot_be_forged(lines):
    made, link = forged(lines)
    with pytest.raises(ValueError, match="entry 2, a link, was changed"):
        proof.check(made)
    del link["content"]
    made[1] = json.dumps(link)
    # Such a link is of an earlier release's entry: what is before it is not said to be proven.
    assert proof.check(made) == (3, 1, 1)


def test_a_ledger_of_an_earlier_release_verifies_and_goes_on(tmp_path, monkeypatch):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with monkeypatch.context() as earlier:
        earlier.setattr("loopwright.ledger._digest", _former_digest)
        for loop in ("churn", "fraud", "churn"):
            ledger.append(loop, "request", {"by": "ada"})
    ledger.append("churn", "request", {"by": "ben"})
    assert ledger.verify() == 4
    text = proof.extract(ledger.entries(), proof.of("churn", None))
    assert proof.check(text.splitlines()) == (2, 1, 1)
    assert proof.check(proof.extract(ledger.entries(), lambda _: True).splitlines()) == (4, 0, 0)


def test_a_patch_of_another_version_is_a_link_and_the_versions_own_is_whole(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    for number in (1, 2):
        ledger.append("churn", "code", {"patch": f"secret {number}"})
    ledger.append("churn", "code", {"patch": None, "revision": "abc"})
    text = proof.extract(ledger.entries(), proof.of("churn", 2))
    assert ("secret 1" in text, "secret 2" in text) == (False, True)
    assert proof.check(text.splitlines()) == (2, 0, 1)
