"""The commented loop.yaml of what was inferred: every rule with what was seen beside it."""

from loopwright.data.infer import TOLD, Inference, plain


def declaration(name: str, source: str, label: str, inferred: Inference) -> str:
    """The loop.yaml of a loop with this name and label, whose rows are in `source`."""
    by = "time" if inferred.timestamp else "entity" if inferred.entity else "random"
    classification = inferred.task == "classification"
    lines = [
        "# The declaration of one loop; every key is explained in docs/loop.md.",
        "apiVersion: loopwright/v1",
        "kind: Loop",
        f"metadata: {{name: {name}}}",
        "",
        "data:",
        f"  source: {plain(source)}  # {inferred.rows:,} rows when this was written",
    ]
    if inferred.entity:
        lines.append(f"  entity: {plain(inferred.entity)}  # names what a row is about; not an input")
    if inferred.timestamp:
        lines.append(f"  timestamp: {plain(inferred.timestamp)}  # when the row was observed; not an input")
    several = classification and bool(inferred.classes)
    listed = ", ".join(map(plain, inferred.classes))
    declared = f"column: {plain(label)}" + (f", classes: [{listed}]" if several else "")
    lines.append(f"  label: {{{declared}}}  # add `delay: 30d` if labels come later than rows")
    if inferred.classes and not several:
        lines.append(f"  # If these numbers are classes: `classes: [{listed}]` there, and `task: classification`.")
    lines += [
        f"  holdout: {{share: 0.2, by: {by}}}",
        "  contract:  # what the data must satisfy; a row that does not is set aside, with the reason",
    ]
    columns = (*filter(None, [inferred.naming]), *inferred.columns)
    if inferred.rules or any(TOLD in (column.rule or "") for column in columns):
        lines += [
            "    # `policy: warn` keeps such a row and tells of it, as forms and orders are guesses from this data;",
            "    # where they are right, leave it out to set such rows aside, or write `policy: fail` to stop the run.",
        ]
    for column in columns:
        if column.rule is None:
            lines.append(f"    # {plain(column.name)}: not used: {column.seen}")
        else:
            lines.append(f"    {plain(column.name)}: {column.rule}  # {column.seen}")
    if inferred.rules:
        lines.append("  rules:  # so in every row that was seen; leave out what need not be so")
        lines += [
            f"    - {{name: {plain(one)}, expression: {plain(text)}{TOLD}}}  # {seen}"
            for one, text, seen in inferred.rules
        ]
    metric = ("roc_auc_ovr" if several else "roc_auc") if classification else "rmse"
    rule = "{no_worse_by: 0.01, confidence: 0.95}" if classification else "{max_drop: 0.02}"
    lines += [
        "",
        "model:",
        f"  task: {inferred.task}",
        "  estimator: lightgbm  # or "
        + ("logistic_regression" if classification else "linear_regression")
        + ", random_forest, module:factory",
        "  # features: features.py  # one function, used in training and in serving",
        "  seed: 7",
        "",
        "gates:",
    ]
    if classification:
        lines.append(f"  minimum: {{{metric}: 0.7}}")
    else:
        lines.append("  minimum: {r2: 0.1}")
    lines += [
        f"  champion: {{{metric}: {rule}}}",
        "  approval: auto  # or required",
        "",
        "rollout:",
        "  strategy: canary  # or blue_green",
        "  steps: [5, 25, 50, 100]  # percent of the traffic",
        "  bake: 10m",
        "  analysis:",
        "    error_rate: {max: 0.01}",
        "    latency_p99: {max: 50ms}",
        "    prediction_shift: {max: 0.5}",
        "    label_metric: {max_increase: 0.01}  # judged as labels come in",
        "",
        "monitor:",
        "  window: 1h",
        "  false_alarms: 1 per 90d  # for the whole loop",
        "  min_effect: 0.1  # Jensen-Shannon distance",
        "",
        "retrain:",
        "  on: [drift]",
        "  cooldown: 24h",
        "  min_new_rows: 1000",
        "",
    ]
    return "\n".join(lines)
