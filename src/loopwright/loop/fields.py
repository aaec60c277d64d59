"""What the sections of a declaration share: their base, and the types of their values."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Scalar = bool | int | float | str


class Declared(BaseModel):
    """A section of loop.yaml: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
