"""Train a model on the training rows, and write the bundle that serving loads."""

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.data import splits
from loopwright.loop import Loop
from loopwright.loop.scale import PARTED
from loopwright.scale.spread import Here, spread
from loopwright.steps.evaluate import target
from loopwright.steps.trained import expected, profile_of, seasons_kept, write
from loopwright.steps.tried import Prepared, layout_of

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.columns import Columns
    from loopwright.models.search import Place

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
    beside: bool = False,
) -> dict[str, Any]:
    """Fit the loop's estimator and write its bundle into the folder `model`.

    `features` is the feature code's source, or empty. Of the holdout only the inputs are used: the profile expects
    the predictions of rows that the model was not fitted to, as live rows are. `search` is where a declared search
    keeps its trials, so that it goes on after a kill; without it they are kept in memory. `threads` is as many as there
    are cores to be used on many rows; a repetition names those of before, and in `found` what the search found;
    `beside` takes workers on this machine where `scale` has an address, as its files are seen here alone. Raises
    DeclarationError when the feature code or a parameter is wrong, and DataError when the rows cannot be learnt from.
    """
    if loop.scaled is not None and loop.model.estimator in PARTED:
        from loopwright.steps.scaled import train as train_scaled

        return train_scaled(loop, features, training, holdout, model, beside=beside)
    import pandas as pd
    from joblib import cpu_count

    from loopwright.models import bundle as bundles
    from loopwright.models import columns, sampled
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
    with spread(loop.scaled, beside=beside) as where:
        # Beside what it writes, which is where workers of an address see it, too.
        parallel = None if isinstance(where, Here) else partial(where.joblib, model.parent)
        prepared = Prepared(loop, matrix, specs, wanted, choices, layout, threads, classes, parallel)
        # A repetition is about the model, which the curve says nothing of.
        learn = loop.model.learning_curve and found is None
        if found is None:
            found = prepared.search(search)
        parameters = found.get("parameters", {})
        fitted = prepared.fitted(parameters)
        curve = prepared.learning_curve(parameters) if learn else None

    def encode(frame: "pd.DataFrame") -> Any:
        some = columns.from_frame(inputs, frame[names])
        return code.encode(specs, code.load(features)(some) if features else some)

    def predict(frame: "pd.DataFrame") -> Any:
        return fitted.predict(encode(frame))

    def reference(newest: "pd.DataFrame") -> "Columns":
        return columns.from_frame(inputs, newest[names])

    profile = profile_of(loop, classes, rows, held, predict, reference, wanted)
    unseen = encode(held)
    contents = {
        **fitted.dump(),
        **expected(
            loop,
            fitted,
            specs,
            held,
            unseen,
            lambda: fitted.predict(unseen),
            classes,
            threads,
            sampled.reference(matrix, specs),
        ),
        bundles.EXAMPLE: json.dumps(columns.to_rows(raw, 3), indent=1).encode(),
    }
    digest = write(loop, features, classes, specs, profile, contents, threads, model)
    return {
        "estimator": loop.model.estimator,
        "rows": len(rows),
        "features": len(specs),
        "digest": digest,
        **({"trees": fitted.trees} if fitted.trees is not None else {}),
        **({"search": dict(found)} if found else {}),
        **({"learning_curve": curve} if curve is not None else {}),
        **({} if isinstance(where, Here) else {"scale": where.facts()}),
        **seasons_kept(profile),
        "seconds": round(time.monotonic() - began, 3),
    }
