"""The declared gates: what a challenger must pass before it is registered, one line each."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loopwright.durations import Duration
from loopwright.loop.fields import Declared, Share

Confidence = Annotated[float, Field(ge=0.5, lt=1)]
RULES = ("no_worse_by", "max_drop", "better_by", "min_gain")


class Limit(Declared):
    """A limit that has to be shown, where a number alone is held against the value itself."""

    value: float = Field(description="The limit.")
    confidence: Confidence = Field(0.95, description="How sure it must be that the metric keeps the limit.")


class ChampionRule(Declared):
    """How a challenger's metric must compare with the champion's on the same rows: one of four rules, on evidence."""

    no_worse_by: Annotated[float, Field(ge=0)] | None = Field(
        None, description="The challenger is no worse than the champion by more than this."
    )
    max_drop: Share | None = Field(
        None, description="The same relative to the champion's value: 0.05 accepts a loss of at most 5 %."
    )
    better_by: Annotated[float, Field(ge=0)] | None = Field(
        None, description="The challenger is better than the champion by more than this."
    )
    min_gain: Annotated[float, Field(ge=0)] | None = Field(
        None, description="The same relative to the champion's value: 0.02 wants a gain of more than 2 %."
    )
    confidence: Confidence = Field(
        0.95, description="How sure the gate must be, 0.5 to 1; 0.5 compares the two values alone."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in RULES) != 1:
            raise ValueError(f"a champion rule has either {', '.join(RULES[:-1])} or {RULES[-1]}")
        return self

    @property
    def relative(self) -> bool:
        """Whether the margin is a share of the champion's value."""
        return self.max_drop is not None or self.min_gain is not None

    @property
    def superior(self) -> bool:
        """Whether the challenger has to be better, not only no worse."""
        return self.better_by is not None or self.min_gain is not None

    @property
    def margin(self) -> float:
        """What the gain over the champion has to reach: below zero where a loss is accepted."""
        asked = next(value for name in RULES if (value := getattr(self, name)) is not None)
        return float(asked if self.superior else -asked)


class FairnessRule(Declared):
    """What is asked of the decisions about the groups of a protected attribute; without a limit they are reported."""

    demographic_parity_difference: float | Limit | None = Field(
        None, description="The greatest difference of two groups' shares of positive decisions."
    )
    equalized_odds_difference: float | Limit | None = Field(
        None, description="The greatest difference of two groups' true, or false, positive rates."
    )
    disparate_impact: float | Limit | None = Field(
        None, description="The least ratio of two groups' shares of positive decisions, as 0.8."
    )
    min_rows: Annotated[int, Field(ge=1)] = Field(30, description="Groups of fewer rows are shown and not compared.")


class Served(Declared):
    """What the model may cost where it runs, measured in the server that it will run in."""

    latency_p99: Duration | None = Field(None, description="The 99th percentile of single predictions, in real time.")
    size: Annotated[float, Field(gt=0)] | None = Field(None, description="The model's files in megabytes.")


class Gates(Declared):
    """What a challenger must pass before it is registered."""

    minimum: dict[str, float | Limit] = Field(
        {}, description="The least value of a metric on the holdout; `{value: 0.9, confidence: 0.95}` wants it shown."
    )
    maximum: dict[str, float | Limit] = Field(
        {}, description="The greatest value of a metric on the holdout, in the same two forms."
    )
    champion: dict[str, ChampionRule] = Field({}, description="How each metric must compare with the champion's.")
    monotone: dict[str, Literal["increasing", "decreasing"]] = Field(
        {}, description="How the prediction must go when an input rises and all else stays; LightGBM is trained to it."
    )
    serving: Served = Served()
    fairness: dict[str, FairnessRule] = Field(
        {}, description="By protected attribute, a column of the contract; see `model.exclude`."
    )
    slices: tuple[str, ...] = Field(
        (), description="Columns of the contract whose values get metrics of their own; numbers by their quartiles."
    )
    approval: Literal["auto", "required"] = Field("auto", description="Whether a person must approve the version.")
    approvers: tuple[str, ...] = Field((), description="Who may approve or reject, by user name; empty is anybody.")
    approvals: int = Field(1, ge=1, description="How many different people must approve a version.")
    self_approval: bool = Field(True, description="Whether who asked for a run may approve what came of it.")

    @property
    def rules(self) -> dict[str, object]:
        """The rules of approval, as the ledger keeps them of a version: later changes of them do not count."""
        return {"approvals": self.approvals, "approvers": [*self.approvers], "self_approval": self.self_approval}

    @model_validator(mode="after")
    def _approvable(self) -> Self:
        if self.approval == "auto" and (self.approvers or self.approvals > 1 or not self.self_approval):
            raise ValueError("approvers, approvals and self_approval need `approval: required`")
        if self.approvers and self.approvals > len(set(self.approvers)):
            raise ValueError(f"approvals is {self.approvals}, and there are {len(set(self.approvers))} approvers")
        return self
