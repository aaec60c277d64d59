"""Pages that go with a run: card and data sheet of its version, and what was found in its data and its model.

Card and data sheet are written into a folder, into a dossier, or logged with the version.

What is logged when a version is registered is the card of that moment, for whoever looks into MLflow; approvals and
rollouts come later, so that `loopwright card` and the dossier make it anew.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright import settings as environment
from loopwright.files import read_json, write_text
from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.registry import Registry
from loopwright.settings import Settings

if TYPE_CHECKING:
    from loopwright.governance.answers import Answers

FOLDER = "card"
"""Where the files are among the artifacts of the version's MLflow run."""

VALIDATION, JUDGEMENT = "validation.html", "judgement.html"
"""What a run on this machine leaves beside its files; on Kubeflow Pipelines they are artifacts of the two steps."""

log = logging.getLogger(__name__)


def written(found: "Answers") -> dict[str, str]:
    """The files of card and data sheet, by their names."""
    from loopwright.governance import card, document, sheet

    files: dict[str, str] = {}
    for name, made in (("model-card", card.card(found)), ("data-sheet", sheet.sheet(found))):
        text, pictures = document.markdown(made)
        files |= {f"{name}.html": document.html(made), f"{name}.md": text, **pictures}
    return files


def logged(loop: Loop, settings: Settings, number: int) -> bool:
    """Log the files with a version that was just registered; whether it could be done.

    A version is none the worse without: what goes wrong is a warning, and `loopwright card` writes the files any time.
    """
    from loopwright.governance import answers

    registry = Registry(settings)
    try:
        version = registry.get(loop.name, number)
        found = answers.gather(loop, registry, Ledger(settings.ledger_url), settings, version)
        registry.log_texts(version, FOLDER, written(found))
    except Exception as error:
        # The version is registered, and whatever is wrong with its card must not make its run a failed one.
        log.warning("the card of version %d is not in MLflow: %s", number, error)
        return False
    return True


def left(loop: str, folder: Path) -> None:
    """Write the pages of a run, whose files are in the folder, as far as it came; what goes wrong is a warning.

    What stopped the data, or did not pass the gates, is what one looks for on them.
    """
    from loopwright.report import data_page, page
    from loopwright.steps.pods import EVALUATION, REPORT, SET_ASIDE

    try:
        declared = Loop.from_json(loop)
        if (folder / REPORT).exists():
            text = data_page.render(declared.name, read_json(folder / REPORT), folder / SET_ASIDE)
            write_text(folder / VALIDATION, text)
        if (folder / EVALUATION).exists():
            generated = environment.read(Path.cwd()).clock.now()
            write_text(folder / JUDGEMENT, page.judgement(declared, read_json(folder / EVALUATION), generated))
    except Exception as error:
        log.warning("the run's pages are not in %s: %s", folder, error)
