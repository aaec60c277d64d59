"""Train a model on the training rows, and write the bundle that serving loads."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.data import splits
from loopwright.loop import Loop
from loopwright.steps import origin
from loopwright.steps.evaluate import target
from loopwright.steps.reference_rows import newest_rows, seasons_of
from loopwright.steps.tried import Prepared, layout_of

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.features import FeatureSpec
    from loopwright.models.fit import Fitted
    from loopwright.models.search import Place
    from loopwright.statistics.profile import Profile

# Below this many rows threads wait for each other longer than they work, and on busy cores ten times as long.
ROWS_A_THREAD = 50_000


def train(
    loop: Loop,
    features: str,
    training: Path,
    holdout: Path,
    model: Path,
    search: "Place | None" = None,
    *,
    threads: int | None = None,
    found: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Fit the loop's estimator and write its bundle into the folder `model`.

    `features` is the feature code's source, or empty. Of the holdout only the inputs are used: the profile expects
    the predictions of rows that the model was not fitted to, as live rows are. `search` is where a declared search
    keeps its trials, so that it goes on after a kill; without it they are kept in memory. `threads` is as many as there
    are cores to be used on many rows; a repetition names those of before, and in `found` what the search found. Raises
    DeclarationError when the feature code or a parameter is wrong, and DataError when the rows cannot be learnt from.
    """
    import pandas as pd
    from joblib import cpu_count

    from loopwright.models import bundle, columns, fit
    from loopwright.models import features as code
    from loopwright.models.choices import Choices

    began = time.monotonic()
    rows, held = pd.read_parquet(training), pd.read_parquet(holdout)
    classes = splits.classes(rows, loop)
    inputs = columns.specs(loop.inputs)
    names = [spec.name for spec in inputs]
    raw = columns.from_frame(inputs, rows[names])
    derived = code.load(features)(raw) if features else raw
    specs = code.fit_spec(derived)
    wanted = target(loop, rows, classes)
    layout, choices = layout_of(loop, rows), Choices.of(loop.model, classes)
    # joblib knows the share of the processor that a pod's limit leaves it; LightGBM would count the node's.
    threads = threads or max(1, min(cpu_count(), len(rows) // ROWS_A_THREAD))
    matrix = code.encode(specs, derived)
    prepared = Prepared(loop, matrix, specs, wanted, choices, layout, threads, classes)
    # A repetition is about the model, which the curve says nothing of.
    learn = loop.model.learning_curve and found is None
    if found is None:
        found = prepared.search(search)
    fitted = fit.fit(
        loop.model.task,
        loop.model.estimator,
        {**loop.model.parameters, **found.get("parameters", {})},
        loop.model.seed,
        matrix,
        specs,
        wanted,
        threads=threads,
        monotone=loop.gates.monotone,
        choices=choices,
        layout=layout,
    )
    manifest = bundle.Manifest(
        loop=loop.name,
        task=loop.model.task,
        estimator=loop.model.estimator,
        classes=tuple(classes),
        inputs=inputs,
        features=specs,
        ignored=tuple(
            name
            for name in (loop.data.entity, loop.data.timestamp, loop.data.label.column, *loop.model.exclude)
            if name is not None
        ),
        threshold=loop.model.decided_at,
    )

    def encode(frame: "pd.DataFrame") -> Any:
        some = columns.from_frame(inputs, frame[names])
        return code.encode(specs, code.load(features)(some) if features else some)

    def predict(frame: "pd.DataFrame") -> Any:
        return fitted.predict(encode(frame))

    profile = _profile(loop, classes, rows, held, predict, wanted)
    contents = {
        **fitted.dump(),
        **_expected(loop, fitted, specs, held, encode(held), matrix, classes, threads),
        bundle.PROFILE: profile.to_json().encode(),
        bundle.EXAMPLE: json.dumps(columns.to_rows(raw, 3), indent=1).encode(),
        bundle.ORIGIN: origin.of(loop, threads),
    }
    if features:
        contents[code.FILE] = features.encode()
    digest = bundle.write(model, manifest, contents)
    return {
        "estimator": loop.model.estimator,
        "rows": len(rows),
        "features": len(specs),
        "digest": digest,
        **({"trees": fitted.trees} if fitted.trees is not None else {}),
        **({"search": dict(found)} if found else {}),
        **({"learning_curve": prepared.learning_curve(found.get("parameters", {}))} if learn else {}),
        **_seasons_kept(profile),
        "seconds": round(time.monotonic() - began, 3),
    }


def _expected(
    loop: Loop, fitted: "Fitted", specs: "Sequence[FeatureSpec]", held: "pd.DataFrame", matrix: Any, seen: Any,
    classes: list[str], threads: int,
) -> dict[str, bytes]:  # fmt: skip
    """What later windows are held against, of the held-out rows: what predictions rest on, and how wrong they are.

    `matrix` is of the held-out rows, and `seen` of those that were trained on.
    """
    from loopwright.models import bundle, sampled
    from loopwright.models.attributions import Attributions
    from loopwright.models.explain import contributions
    from loopwright.models.losses import Losses

    found = {}
    names = [spec.name for spec in specs]
    row = sampled.reference(seen, specs)
    contribute = contributions(fitted.estimator, len(specs), fitted.score, row, threads=threads)
    assert contribute is not None
    attributions = Attributions.of(contribute, names, matrix, loop.model.seed, row)
    if attributions is not None:
        found[bundle.ATTRIBUTIONS] = attributions.to_json().encode()
    if loop.model.task == "regression":
        losses = Losses.fit(
            matrix,
            fitted.predict(matrix),
            target(loop, held, classes),
            categories=[at for at, spec in enumerate(specs) if spec.kind == "category"],
            groups=None if loop.data.entity is None else held[loop.data.entity],
            seed=loop.model.seed,
            threads=threads,
        )
        if losses is not None:
            found[bundle.LOSSES] = losses.to_json().encode()
    return found


def _profile(
    loop: Loop, classes: list[str], rows: "pd.DataFrame", held: "pd.DataFrame", predict: Any, wanted: Any
) -> "Profile":
    """The profile of the reference rows: all training rows, or the newest where `monitor.reference` says so.

    Live labels are held against those of the held-out rows, which the model was not fitted to either.
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
    reference = columns.from_frame(inputs, newest[[spec.name for spec in inputs]])
    seasonality = Seasonality(loop.monitor.seasonality, loop.monitor.timezone) if loop.monitor.seasonality else None
    profile = Profile.build(
        loop.name,
        loop.model.task,
        classes,
        reference,
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


def _seasons_kept(profile: "Profile") -> dict[str, Any]:
    """How many seasons have a reference of their own: the rest is joined with those that follow (`Strata`)."""
    from loopwright.statistics.seasons import Strata

    if profile.seasonality is None or profile.prediction.seasonal is None:
        return {}
    parts = [next(iter(profile.features.values())).seasonal, profile.prediction.seasonal]
    inputs, predictions = (len(Strata(one.sum(axis=1), one)) for one in parts if one is not None)
    return {"seasons": {"by": profile.seasonality.by, "inputs": inputs, "predictions": predictions}}
