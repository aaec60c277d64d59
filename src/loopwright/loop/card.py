"""The declared card: what only people know of a model, for its card, its data sheet and its dossier.

Everything else on them is taken from what was recorded. What is left out here is listed there as still to be written.
"""

from pydantic import Field

from loopwright.loop.fields import Declared


class Card(Declared):
    """What people say of the model; each key is a passage of the card, the data sheet or the dossier."""

    owner: str = Field("", description="Who answers for the model: a person or a team, with the organisation.")
    contact: str = Field("", description="How to reach them.")
    intended_use: str = Field("", description="What the model is for, and which decisions rest on it.")
    users: str = Field("", description="Who uses its predictions, and who is affected by them.")
    out_of_scope: str = Field("", description="What it must not be used for.")
    limits: tuple[str, ...] = Field((), description="Known limits, a sentence each.")
    risks: tuple[str, ...] = Field((), description="What may go wrong for whom, and what is done about it.")
    oversight: str = Field("", description="How people oversee the model, and can overrule or stop it.")
    collection: str = Field("", description="How, when and by whom the data was collected.")
    labelling: str = Field("", description="How labels come about, and how right they are.")
    personal_data: str = Field("", description="Whether rows are about people, and on which ground they are used.")
