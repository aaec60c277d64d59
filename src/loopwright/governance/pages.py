"""Card and data sheet of a version as files: written into a folder, into a dossier, or logged with the version.

What is logged when a version is registered is the card of that moment, for whoever looks into MLflow; approvals and
rollouts come later, so that `loopwright card` and the dossier make it anew.
"""

import logging
from typing import TYPE_CHECKING

from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.registry import Registry
from loopwright.settings import Settings

if TYPE_CHECKING:
    from loopwright.governance.answers import Answers

FOLDER = "card"
"""Where the files are among the artifacts of the version's MLflow run."""

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
