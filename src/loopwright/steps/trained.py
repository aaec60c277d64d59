"""What a bundle holds beside its estimator: what live traffic is held against, and what the model was made of.

Both ways to train end here, with all rows held and part by part (`scaled`); so rows are asked for by what is needed.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.loop import Loop
from loopwright.steps import origin
from loopwright.steps.evaluate import target
from loopwright.steps.reference_rows import newest_rows, seasons_of

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.features import FeatureSpec
    from loopwright.models.fit import Fitted
    from loopwright.statistics.profile import Profile


def write(
    loop: Loop, features: str, classes: list[str], specs: "Sequence[FeatureSpec]", profile: "Profile",
    contents: dict[str, bytes], threads: int, model: Path,
) -> str:  # fmt: skip
    """Write the bundle of a fitted model into the folder `model`; returns its digest."""
    from loopwright.models import bundle, columns
    from loopwright.models import features as code

    manifest = bundle.Manifest(
        loop=loop.name,
        task=loop.model.task,
        estimator=loop.model.estimator,
        classes=tuple(classes),
        inputs=columns.specs(loop.inputs),
        features=tuple(specs),
        ignored=tuple(
            name
            for name in (loop.data.entity, loop.data.timestamp, loop.data.label.column, *loop.model.exclude)
            if name is not None
        ),
        threshold=loop.model.decided_at,
    )

    contents = {
        **contents,
        bundle.PROFILE: profile.to_json().encode(),
        bundle.ORIGIN: origin.of(loop, threads),
    }
    if features:
        contents[code.FILE] = features.encode()
    return bundle.write(model, manifest, contents)


def expected(
    loop: Loop, fitted: "Fitted", specs: "Sequence[FeatureSpec]", held: "pd.DataFrame", matrix: Any,
    predicted: Callable[[], Any], classes: list[str], threads: int, row: Any = None,
) -> dict[str, bytes]:  # fmt: skip
    """What later windows are held against, of the held-out rows: what predictions rest on, and how wrong they are.

    Of the matrix of the held-out rows, where it is long, only some are asked for, by their places. `row` is what
    sampled contributions begin at (`sampled.reference`); without it only exact ones are kept.
    """
    from loopwright.models import bundle
    from loopwright.models.attributions import Attributions
    from loopwright.models.explain import contributions
    from loopwright.models.losses import Losses

    found = {}
    names = [spec.name for spec in specs]
    contribute = contributions(fitted.estimator, len(specs), fitted.score, row, threads=threads)
    attributions = None
    if contribute is not None:
        attributions = Attributions.of(contribute, names, matrix, loop.model.seed, row)
    if attributions is not None:
        found[bundle.ATTRIBUTIONS] = attributions.to_json().encode()
    if loop.model.task == "regression":
        losses = Losses.fit(
            matrix,
            predicted(),
            target(loop, held, classes),
            categories=[at for at, spec in enumerate(specs) if spec.kind == "category"],
            groups=None if loop.data.entity is None else held[loop.data.entity],
            seed=loop.model.seed,
            threads=threads,
        )
        if losses is not None:
            found[bundle.LOSSES] = losses.to_json().encode()
    return found


def profile_of(
    loop: Loop, classes: list[str], rows: "pd.DataFrame", held: "pd.DataFrame",
    predict: "Callable[[pd.DataFrame], Any]", reference: "Callable[[pd.DataFrame], Mapping[str, Any]]", wanted: Any,
) -> "Profile":  # fmt: skip
    """The profile of the reference rows: all training rows, or the newest where `monitor.reference` says so.

    Of `rows` and `held` labels and times are looked at; `predict` and `reference` give predictions and inputs of some
    of them. Live labels are held against those of the held-out rows, which the model was not fitted to either.
    """
    from dataclasses import replace

    import numpy as np

    from loopwright.models import columns
    from loopwright.statistics.labelled import tally
    from loopwright.statistics.profile import Profile
    from loopwright.statistics.seasons import Seasonality
    from loopwright.statistics.several import top

    unseen = newest_rows(loop, held)
    predicted, decided = predict(unseen), None
    if loop.several:
        predicted, decided = top(predicted)
    inputs = columns.specs(loop.inputs)
    newest = newest_rows(loop, rows)
    seasonality = Seasonality(loop.monitor.seasonality, loop.monitor.timezone) if loop.monitor.seasonality else None
    profile = Profile.build(
        loop.name,
        loop.model.task,
        classes,
        reference(newest),
        {spec.name: spec.kind for spec in inputs},
        predicted,
        bins=loop.monitor.bins,
        decided=decided,
        label_variance=float(wanted.var()) if loop.model.task == "regression" else None,
        seasonality=seasonality,
        threshold=loop.model.decided_at,
        seasons=(seasons_of(loop, newest, seasonality), seasons_of(loop, unseen, seasonality)) if seasonality else None,
    )
    truth = target(loop, unseen, classes).astype(np.float64)
    told = predicted if decided is None else decided.astype(np.float64)
    return replace(profile, labelled=tuple(tally(profile).of(truth, told).tolist()))


def seasons_kept(profile: "Profile") -> dict[str, Any]:
    """How many seasons have a reference of their own: the rest is joined with those that follow (`Strata`)."""
    from loopwright.statistics.seasons import Strata

    if profile.seasonality is None or profile.prediction.seasonal is None:
        return {}
    parts = [next(iter(profile.features.values())).seasonal, profile.prediction.seasonal]
    inputs, predictions = (len(Strata(one.sum(axis=1), one)) for one in parts if one is not None)
    return {"seasons": {"by": profile.seasonality.by, "inputs": inputs, "predictions": predictions}}
