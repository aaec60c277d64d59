"""An extract of the ledger with its proof: what anybody can check with Python alone, without the database.

A line an entry, from the first to the newest. Entries of the loop are whole, and their hashes can be computed again; of
the others there is a link: the hash, the hash before it, and the digest of the content, of which the two make the hash.
Changing any line changes the newest hash, so whoever keeps that elsewhere can tell that the extract is of the ledger
that had it. Links of entries that an earlier release hashed have no such digest, and prove nothing of what is before.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence

from loopwright.ledger import GENESIS, Entry, content_digest

FILE, PROGRAM = "ledger.jsonl", "verify_ledger.py"


def extract(entries: Iterable[Entry], whole: Callable[[Entry], bool]) -> str:
    """The extract as JSON lines; `whole` says of which entries the content is in it."""
    return "".join(json.dumps(_line(entry, whole(entry)), sort_keys=True) + "\n" for entry in entries)


def of(loop: str, code: int | None, *, all_loops: bool = False) -> Callable[[Entry], bool]:
    """Which entries are whole in a version's extract: the loop's, without the patches of other runs' code.

    `code` is the number of the entry of the version's own code.
    """

    def whole(entry: Entry) -> bool:
        other = entry.kind == "code" and entry.facts.get("patch") is not None and entry.number != code
        return (all_loops or entry.loop == loop) and not other

    return whole


def _line(entry: Entry, whole: bool) -> dict[str, object]:
    link = {"number": entry.number, "previous": entry.previous, "hash": entry.hash}
    # As the ledger writes it: the digest is over these texts (`ledger.content_digest`).
    content = {
        "number": entry.number,
        "at": entry.at.isoformat(timespec="microseconds"),
        "loop": entry.loop,
        "kind": entry.kind,
        "cause": entry.cause,
        "key": entry.key,
        "facts": json.dumps(entry.facts, sort_keys=True, separators=(",", ":")),
    }
    if whole:
        return {**link, **content}
    digest = content_digest(content)
    shown = hashlib.sha256((entry.previous + digest).encode()).hexdigest() == entry.hash
    return {**link, "content": digest} if shown else link


def check(lines: Sequence[str]) -> tuple[int, int, int]:
    """Follow an extract; returns how many whole entries are proven, how many are not, and how many are links only.

    Proven is what cannot be changed without changing the newest hash. An entry that is followed by a link without the
    digest of its content is not. Raises ValueError for the first entry that was changed, is missing or does not follow.
    The archive carries this function as a program.
    """
    previous, proven, unproven, links = GENESIS, 0, 0, 0

    def sha256(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        if entry["number"] != number:
            raise ValueError(f"entry {number} is missing: there is {entry['number']}")
        if entry["previous"] != previous:
            raise ValueError(f"entry {number} does not follow from entry {number - 1}")
        if "facts" in entry:
            content = [entry[name] for name in ("number", "at", "loop", "kind", "cause", "key", "facts")]
            # Entries of an earlier release have the hash before in the same text as their content.
            now = sha256(previous + sha256(json.dumps(content, separators=(",", ":"))))
            if entry["hash"] not in (now, sha256(json.dumps([*content, previous], separators=(",", ":")))):
                raise ValueError(f"entry {number} ({entry['kind']}) was changed after it was written")
            proven += 1
        elif "content" in entry:
            if len(entry["content"]) != 64 or sha256(previous + entry["content"]) != entry["hash"]:
                raise ValueError(f"entry {number}, a link, was changed after it was written")
            links += 1
        else:
            proven, unproven, links = 0, unproven + proven, links + 1
        previous = entry["hash"]
    return proven, unproven, links


def program() -> str:
    """`check` as a program of its own, which needs nothing but Python."""
    import inspect

    source = inspect.getsource(check).replace("Sequence[str]", "list[str]")
    return (
        '"""Verify ledger.jsonl, beside this file: python verify_ledger.py [THE NEWEST HASH, KEPT ELSEWHERE]"""\n\n'
        f'import hashlib\nimport json\nimport sys\nfrom pathlib import Path\n\nGENESIS = "{GENESIS}"\n\n\n{source}\n\n'
        'lines = (Path(__file__).parent / "ledger.jsonl").read_text(encoding="utf-8").splitlines()\n'
        "try:\n    proven, unproven, links = check(lines)\nexcept (ValueError, KeyError) as error:\n"
        '    sys.exit(f"the extract does not verify: {error}")\n'
        'newest = json.loads(lines[-1])["hash"] if lines else GENESIS\n'
        "if len(sys.argv) > 1 and sys.argv[1] != newest:\n"
        '    sys.exit(f"the newest entry has the hash {newest}, expected {sys.argv[1]}")\n'
        'print(f"the extract verifies: {proven} entries as they were written, {links} as links only; "\n'
        '      f"the newest hash is {newest}")\n'
        "if unproven:\n"
        '    print(f"not proven: {unproven} entries before a link without the digest of its content")\n'
    )
