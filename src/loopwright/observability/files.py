"""What `loopwright render --prometheus` writes: a loop's rules and routes, for either way that Prometheus is run."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml

from loopwright.durations import Clock
from loopwright.loop import Loop
from loopwright.loop.serving import Serving
from loopwright.observability import alertmanager, rules

RULES, RULE_OBJECT = "rules.yml", "prometheusrule.yaml"
ROUTES, ROUTE_OBJECT = "alertmanager.yml", "alertmanagerconfig.yaml"
ABOUT = {
    RULES: "Recording and alerting rules, for `rule_files` of Prometheus (2.42 or newer).",
    RULE_OBJECT: "The same rules for Prometheus' operator.",
    ROUTES: "Routes for Alertmanager: to people, whose receiver is for you to fill in, and to the trigger.",
    ROUTE_OBJECT: "The same routes for Prometheus' operator; the token comes from the loop's Secret.",
}


def files(
    loop: Loop,
    clock: Clock,
    namespace: str,
    *,
    prediction: str = rules.PREDICTION,
    links: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The files by their names; `namespace` is where the trigger is reached, the rest as `rules.groups` has it."""
    groups = rules.groups(loop, clock, prediction=prediction, links=links)
    url = trigger(loop, namespace)
    contents: dict[str, Any] = {
        RULES: {"groups": groups},
        RULE_OBJECT: rules.prometheus_rule(loop, groups),
        ROUTES: alertmanager.config(loop, clock, url),
        ROUTE_OBJECT: alertmanager.resource(loop, clock, url),
    }
    texts = {name: f"# {ABOUT[name]} docs/prometheus.md\n{text(content)}" for name, content in contents.items()}
    return {**texts, alertmanager.TEMPLATES: alertmanager.TEXTS}


def trigger(loop: Loop, namespace: str) -> str:
    """The trigger's URL as Alertmanager reaches it, which is in another namespace: a bare name gets the trigger's."""
    parts = urlsplit(loop.serving.alerts or str(Serving.model_fields["alerts"].default))
    host = parts.hostname or ""
    if "." in host or ":" in host or host == "localhost":
        return urlunsplit(parts)
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{host}.{namespace}.svc{port}"))


def text(content: Any) -> str:
    """YAML with expressions as they are read, line by line."""
    return yaml.dump(content, Dumper=_Blocks, sort_keys=False, width=120)


class _Blocks(yaml.SafeDumper):
    """Without anchors, and with a block for what has lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Blocks.add_representer(str, _text)
