"""Write what chart, kustomize base and serving example hold of other files (`make generate`).

The churn example's declaration is copied into the chart and the base, as neither may read outside its own folder, and
into serving/loop.yaml as the JSON that the monitor reads. The chart's README has a table of values.yaml. The component
`rollouts` has the WorkflowTemplate that Loopwright makes; a test compares the chart's with it. The chart and the
component `prometheus-rules` have the example's rules for Prometheus.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from loopwright import __version__, declaration
from loopwright.durations import Clock
from loopwright.engines import argo_objects
from loopwright.observability import files as prometheus
from loopwright.rollout import workflow

ROOT = Path(__file__).parent.parent
EXAMPLE, CHART, BASE = ROOT / "examples" / "churn", ROOT / "helm" / "loopwright", ROOT / "manifests" / "base"
TRAINING_IMAGE = f"loopwright/component-python:{__version__}"
BEGIN, END = "<!-- values: generated from values.yaml by `make generate` -->", "<!-- end of values -->"

_KEY = re.compile(r"^( *)([A-Za-z]+): ?(.*)$")


def files() -> dict[Path, str]:
    """What is generated: paths and contents."""
    loop = declaration.load(EXAMPLE)
    text, features = ((EXAMPLE / name).read_text("utf-8") for name in ("loop.yaml", "features.py"))
    table = readme((CHART / "README.md").read_text("utf-8"), (CHART / "values.yaml").read_text("utf-8"))
    rules = prometheus.files(loop, Clock(), "default")
    return {
        CHART / "files" / "loop.yaml": text,
        CHART / "files" / "features.py": features,
        BASE / "loop.yaml": text,
        BASE / "features.py": features,
        ROOT / "serving" / "loop.yaml": monitor_config(),
        BASE.parent / "components" / "rollouts" / "workflowtemplate.yaml": rollouts(),
        BASE.parent / "components" / "prometheus-rules" / "prometheusrule.yaml": rules[prometheus.RULE_OBJECT],
        BASE.parent / "components" / "training-argo" / "workflowtemplate.yaml": training(
            argo_objects.Place(
                TRAINING_IMAGE, claim="loopwright-state", data="loopwright-data", labels=labels("training")
            )
        ),
        CHART / "files" / "training.yaml": training(argo_objects.Place(TRAINING_IMAGE)),
        CHART / "files" / "rules.yml": rules[prometheus.RULES],
        CHART / "README.md": table,
    }


def monitor_config() -> str:
    """The ConfigMap that the monitor beside the churn predictor reads."""
    about = "# The declaration of examples/churn as the monitor reads it; `make generate` writes this file.\n"
    nouns = {"name": "loopwright", "instance": "churn", "component": "monitor", "part-of": "loopwright"}
    labels = {f"app.kubernetes.io/{key}": text for key, text in nouns.items()}
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "churn-loop", "labels": labels},
        "data": {"loop.json": declaration.load(EXAMPLE).to_json()},
    }
    return about + yaml.safe_dump(config, sort_keys=False, width=120)


def rollouts() -> str:
    """The WorkflowTemplate of rollouts, as the chart makes it for a release named `loopwright`."""
    about = "# What src/loopwright/rollout/workflow.py makes; `make generate` writes this file.\n"
    place = workflow.Place(f"loopwright/trigger:{__version__}", labels=labels("rollout"))
    return about + _dumped(workflow.template(place))


def training(place: argo_objects.Place) -> str:
    """The WorkflowTemplate of runs on Argo; the chart puts its values into it."""
    about = "# What src/loopwright/engines/argo_objects.py makes; `make generate` writes this file.\n"
    return about + _dumped(argo_objects.template(place))


def labels(component: str) -> dict[str, str]:
    """The labels that chart and kustomizations put on the objects of a component."""
    return {
        "app.kubernetes.io/name": "loopwright",
        "app.kubernetes.io/instance": "loopwright",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/version": __version__,
        "app.kubernetes.io/part-of": "loopwright",
    }


def _dumped(content: dict[str, Any]) -> str:
    ordered = {key: content[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    return yaml.safe_dump(ordered, sort_keys=False, width=120)


def values(text: str) -> list[tuple[str, str, str]]:
    """(key, default, description) of every value: those that a `# --` comment stands above."""
    rows: list[tuple[str, str, str]] = []
    parsed = yaml.safe_load(text)
    path: list[str] = []
    comment = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# --"):
            comment = stripped.removeprefix("# --").strip()
            continue
        match = _KEY.match(line)
        if match is None or (not comment and match[3]):
            continue
        path = [*path[: len(match[1]) // 2], match[2]]
        if comment:
            default = parsed
            for part in path:
                default = default[part]
            rows.append((".".join(path), yaml.safe_dump(default, default_flow_style=True, width=1000), comment))
        comment = ""
    return [(key, default.removesuffix("\n").removesuffix("\n...").strip(), about) for key, default, about in rows]


def readme(text: str, chart_values: str) -> str:
    """The chart's README with the table of values put in."""
    rows = [f"| `{key}` | `{default}` | {about} |" for key, default, about in values(chart_values)]
    table = "\n".join([BEGIN, "", "| value | default | what it is |", "| --- | --- | --- |", *rows, "", END])
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return before + table + after


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
