"""An extract of the ledger with its proof: what anybody can check with Python alone, without the database.

A line an entry, from the first to the newest. Entries of the loop are whole, and their hashes can be computed again;
of other loops' entries there is the hash, and the hash before it, so that the chain goes through. Whoever keeps the
newest hash elsewhere can tell that the extract is of the ledger that had it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence

from loopwright.ledger import GENESIS, Entry

FILE, PROGRAM = "ledger.jsonl", "verify_ledger.py"


def extract(entries: Iterable[Entry], loop: str, *, whole: bool = False) -> str:
    """The extract as JSON lines; with `whole` other loops' entries are whole, too."""
    return "".join(json.dumps(_line(entry, whole or entry.loop == loop), sort_keys=True) + "\n" for entry in entries)


def _line(entry: Entry, whole: bool) -> dict[str, object]:
    link = {"number": entry.number, "previous": entry.previous, "hash": entry.hash}
    if not whole:
        return link
    # As the ledger writes it: the hash is over these texts (`ledger._digest`).
    facts = json.dumps(entry.facts, sort_keys=True, separators=(",", ":"))
    at = entry.at.isoformat(timespec="microseconds")
    return {
        **link,
        "at": at,
        "loop": entry.loop,
        "kind": entry.kind,
        "cause": entry.cause,
        "key": entry.key,
        "facts": facts,
    }


def check(lines: Sequence[str]) -> tuple[int, int]:
    """Follow an extract; returns how many entries are whole, and how many are links only.

    Raises ValueError for the first entry that was changed, is missing or does not follow. The archive carries this
    function as a program.
    """
    previous, whole, links = GENESIS, 0, 0
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        if entry["number"] != number:
            raise ValueError(f"entry {number} is missing: there is {entry['number']}")
        if entry["previous"] != previous:
            raise ValueError(f"entry {number} does not follow from entry {number - 1}")
        if "facts" in entry:
            names = ("number", "at", "loop", "kind", "cause", "key", "facts", "previous")
            text = json.dumps([entry[name] for name in names], separators=(",", ":"))
            if hashlib.sha256(text.encode()).hexdigest() != entry["hash"]:
                raise ValueError(f"entry {number} ({entry['kind']}) was changed after it was written")
            whole += 1
        else:
            links += 1
        previous = entry["hash"]
    return whole, links


def program() -> str:
    """`check` as a program of its own, which needs nothing but Python."""
    import inspect

    source = inspect.getsource(check).replace("Sequence[str]", "list[str]")
    return (
        '"""Verify ledger.jsonl, beside this file: python verify_ledger.py [THE NEWEST HASH, KEPT ELSEWHERE]"""\n\n'
        f'import hashlib\nimport json\nimport sys\nfrom pathlib import Path\n\nGENESIS = "{GENESIS}"\n\n\n{source}\n\n'
        'lines = (Path(__file__).parent / "ledger.jsonl").read_text(encoding="utf-8").splitlines()\n'
        "try:\n    whole, links = check(lines)\nexcept (ValueError, KeyError) as error:\n"
        '    sys.exit(f"the extract does not verify: {error}")\n'
        'newest = json.loads(lines[-1])["hash"] if lines else GENESIS\n'
        "if len(sys.argv) > 1 and sys.argv[1] != newest:\n"
        '    sys.exit(f"the newest entry has the hash {newest}, expected {sys.argv[1]}")\n'
        'print(f"the extract verifies: {whole} entries as they were written, {links} of other loops as links only; "\n'
        '      f"the newest hash is {newest}")\n'
    )
