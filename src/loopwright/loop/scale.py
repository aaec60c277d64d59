"""The declared scale: how many processes share what training and evaluation do, and where they are."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from loopwright.loop.fields import Declared

if TYPE_CHECKING:
    from loopwright.loop import Loop

PARTED = ("lightgbm",)
"""What is trained by several processes that hold a part of the rows each."""
ALONE = ("logistic_regression", "linear_regression")
"""What does nothing in parallel. Others of scikit-learn hold all rows and hand out what joblib parts: trees, folds."""

LEAST_MEGABYTES = 512
"""Of a worker; what it imports takes some 380 MB (bench/scale)."""
_MEGABYTES = {"M": 1, "G": 1000}


class Scale(Declared):
    """Dask workers: they go through the rows part by part, and none holds them all; or they make a forest's trees."""

    engine: Literal["dask"] = "dask"
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        2, description="How many train together; a model of LightGBM depends on it, as each has its own rows."
    )
    threads: Annotated[int, Field(ge=1, le=128)] = Field(1, description="Threads of LightGBM in each of them.")
    memory: str | None = Field(
        None,
        pattern=r"^[0-9]+(\.[0-9]+)?(MB|GB|MiB|GiB)$",
        description="Of each worker on this machine: beyond it one is started again, such as 2GiB, at least 512MB; "
        "default its share.",
    )
    address: str | None = Field(
        None,
        pattern=r"^(tcp|tls)://[^\s/@]+:[0-9]+$",
        description="A Dask scheduler whose workers are used, such as tls://dask:8786; default LOOPWRIGHT_DASK in "
        "the environment of the step (which a pod does not take over), else workers started beside each step.",
    )

    @field_validator("memory")
    @classmethod
    def _enough(cls, value: str | None) -> str | None:
        if value is not None:
            amount, unit = re.fullmatch(r"([0-9.]+)([MG])i?B", value).groups()  # type: ignore[union-attr]
            if float(amount) * _MEGABYTES[unit] < LEAST_MEGABYTES:
                raise ValueError(f"a worker begins at some 380 MB; give it {LEAST_MEGABYTES}MB or more")
        return value


def _kind(value: Any) -> str:
    return "[scale]" if isinstance(value, (dict, Scale)) else "[engine]"


AnyScale = Annotated[
    Annotated[Literal["dask"], Tag("[engine]")] | Annotated[Scale, Tag("[scale]")],
    Discriminator(_kind),
]
"""A scale, or its engine alone, which takes the defaults."""


def check(loop: "Loop") -> None:
    """Raise ValueError for what needs all rows in one process, and so is not had together with a scale."""
    model = loop.model
    if loop.scale is None:
        return
    if model.estimator in ALONE:
        raise ValueError(
            f"scale: {model.estimator} learns from all rows in one process and has nothing to hand out; "
            "leave scale out, the other steps go through the rows part by part without it, too"
        )
    if model.estimator not in PARTED:
        return
    needing = {
        "search": model.search is not None,
        "early_stopping": model.early_stopping is not None,
        "calibration": model.calibration is not None,
        "learning_curve": model.learning_curve,
    }
    for name, declared in needing.items():
        if declared:
            raise ValueError(
                f"scale: it does not go with model.{name}, which holds all rows at once; leave one of the two out"
            )
