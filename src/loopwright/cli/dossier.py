"""dossier: one archive of all that was recorded of a version, in the order of the EU AI Act's Annex IV."""

import zipfile
from contextlib import suppress
from pathlib import Path

import click

from loopwright.cli.card import gathered
from loopwright.cli.context import Context
from loopwright.cli.versioned import on_version
from loopwright.errors import StateError


@click.command(epilog="Example: loopwright dossier churn@7")
@click.option("--to", "path", type=click.Path(path_type=Path), help="The .zip to write; by default in the loop.")
@click.option("--all-loops", is_flag=True, help="Have other loops' entries whole in the extract of the ledger, too.")
@on_version
def dossier(context: Context, version: str, path: Path | None, all_loops: bool) -> None:
    """Write the dossier of a version: card, data sheet, lineage, gates, approvals, ledger with its proof, environment.

    By default of the champion, else of the newest version. The ledger is verified first: exit code 5 when its chain
    does not hold. 7 when the archive cannot be written, 8 when there is no such version.
    """
    from loopwright.governance import document, proof
    from loopwright.governance import dossier as dossiers
    from loopwright.governance.pages import written

    context.ledger.verify()
    found = gathered(context, version)
    main = dossiers.dossier(found)
    text, pictures = document.markdown(main)
    contents = {"index.html": document.html(main), "dossier.md": text, **pictures, **written(found)}
    contents |= dossiers.files(found)
    code = found.lineage.code
    whole = proof.of(context.loop.name, None if code is None else code.number, all_loops=all_loops)
    contents[proof.FILE] = proof.extract(context.ledger.entries(), whole)
    contents[proof.PROGRAM] = proof.program()
    contents["SHA256SUMS"] = dossiers.sums(contents)
    name = f"{context.loop.name}-{found.version.number}-dossier"
    path = (path or context.folder / f"{name}.zip").expanduser().absolute()
    _pack(path, name, contents)
    open_points = [{"section": title, "what": one.what, "key": one.key or None} for title, one in main.missing]
    context.answer({"dossier": str(path), "files": sorted(contents), "to_be_written": open_points})
    context.console.print(f"the dossier: {path}", markup=False, soft_wrap=True)
    context.console.print(
        f"{len(open_points)} passages are still to be written by a person: index.html begins with them"
    )


def _pack(path: Path, name: str, contents: dict[str, str]) -> None:
    """Write the archive, whole or not at all. Raises StateError where that cannot be."""
    part = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, text in contents.items():
                archive.writestr(f"{name}/{file}", text)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise StateError(
            f"{path} cannot be written: {error.strerror or error}",
            expected="a file in a folder that this user may write",
            do="name another one with --to",
        ) from error
