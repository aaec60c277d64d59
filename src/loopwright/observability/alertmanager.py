"""Where a loop's alerts go: every one to people, in words, and those that may start a run to the trigger.

The same route twice: for a plain Alertmanager, to be taken into its file, and as its operator's AlertmanagerConfig.
The token never stands in either: a file of Alertmanager's, or a Secret, has it.
"""

from datetime import timedelta
from typing import Any

from loopwright.durations import Clock, format_duration
from loopwright.loop import Loop
from loopwright.monitor.drift import Rule
from loopwright.serving.resources import names
from loopwright.trigger.causes import MAX_ALERTS, SOURCES

TOKEN_FILE = "/etc/alertmanager/secrets/loopwright/token"  # noqa: S105 - where it is, not what it is
TEMPLATES = "loopwright.tmpl"
PEOPLE, TRIGGER = "loopwright-people", "loopwright-trigger"
GROUPED = ("alertname", "namespace", "loop", "version")
# The trigger keeps alarms that wait in memory only, and hears of them again this soon after a restart. For people, a
# day: what still fires was said.
AGAIN, AGAIN_PEOPLE = "5m", "24h"

# What people read, for any receiver that takes a title and a text:
#   slack_configs:  [{title: '{{ template "loopwright.title" . }}', text: '{{ template "loopwright.text" . }}', ...}]
TEXTS = """\
{{ define "loopwright.title" -}}
{{ if eq .Status "resolved" }}Over: {{ end -}}
{{ .CommonLabels.loop }}{{ with .CommonLabels.version }} version {{ . }}{{ end }}:
{{- if eq .CommonLabels.alertname "LoopwrightDrift" }} drift in
{{- range $index, $alert := .Alerts }}{{ if $index }},{{ end }} {{ $alert.Labels.feature }}
{{- if eq $alert.Labels.against "recent" }} (against recent traffic){{ end }}{{ end }}
{{- else }} {{ .CommonLabels.alertname }}{{ end }}
{{- end }}

{{ define "loopwright.text" -}}
{{ range .Alerts -}}
- {{ .Annotations.summary }}
{{- with .Annotations.score }} {{ reReplaceAll "([.][0-9])[0-9]*$" "$1" . }} times what chance explains by the budget;
{{- end }}
{{- " since" }} {{ .StartsAt.Format "2006-01-02 15:04 MST" }}
{{- if eq .Status "resolved" }}, over since {{ .EndsAt.Format "2006-01-02 15:04 MST" }}{{ end }}.
{{- with .Annotations.advice }} {{ . }}{{ end }}
{{ end -}}
{{ with .CommonAnnotations.description }}
{{ . }}
{{ end -}}
{{ range $name, $url := .CommonAnnotations -}}
{{ if match "_url$" $name }}{{ $name }}: {{ $url }}
{{ end }}{{ end -}}
{{ end }}
"""


def sources() -> tuple[str, ...]:
    """The alerts that the trigger takes for a cause, by their names."""
    return tuple(SOURCES)


def config(loop: Loop, clock: Clock, url: str, *, token_file: str = TOKEN_FILE) -> dict[str, Any]:
    """A whole configuration of Alertmanager with this loop's routes; `url` is the trigger's, `.../v1/alerts`.

    Alerts of other things end at a receiver that tells nobody.
    """
    webhook = {
        "url": url,
        "send_resolved": True,
        "max_alerts": MAX_ALERTS,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": token_file}},
    }
    return {
        "templates": [TEMPLATES],
        "route": {
            "receiver": "nobody",
            "routes": [
                {
                    "matchers": [f'loop="{loop.name}"', 'alertname=~"Loopwright.*"'],
                    "group_by": list(GROUPED),
                    "group_wait": _wait(loop, clock),
                    "group_interval": AGAIN,
                    "repeat_interval": AGAIN_PEOPLE,
                    "receiver": PEOPLE,
                    "routes": [
                        {
                            "matchers": [f'alertname=~"{"|".join(sources())}"'],
                            "receiver": TRIGGER,
                            "repeat_interval": AGAIN,
                            "continue": True,
                        },
                        {"receiver": PEOPLE},
                    ],
                }
            ],
        },
        "receivers": [{"name": "nobody"}, {"name": PEOPLE}, {"name": TRIGGER, "webhook_configs": [webhook]}],
    }


def resource(loop: Loop, clock: Clock, url: str) -> names.Manifest:
    """The same as the operator's AlertmanagerConfig, with the token of the loop's own Secret.

    The operator adds a matcher of the object's namespace to its routes
    (https://prometheus-operator.dev/docs/developer/alerting/#alertmanagerconfig-resource).
    """
    webhook = {
        "url": url,
        "sendResolved": True,
        "maxAlerts": MAX_ALERTS,
        "httpConfig": {"authorization": {"credentials": {"name": loop.serving.secret, "key": "token"}}},
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": f"loopwright-{loop.name}", "labels": names.labels(loop, "monitor")},
        "spec": {
            "route": {
                "receiver": PEOPLE,
                "matchers": [_matcher("loop", "=", loop.name), _matcher("alertname", "=~", "Loopwright.*")],
                "groupBy": list(GROUPED),
                "groupWait": _wait(loop, clock),
                "groupInterval": AGAIN,
                "repeatInterval": AGAIN_PEOPLE,
                "routes": [
                    {
                        "receiver": TRIGGER,
                        "matchers": [_matcher("alertname", "=~", "|".join(sources()))],
                        "repeatInterval": AGAIN,
                        "continue": True,
                    },
                    {"receiver": PEOPLE},
                ],
            },
            "receivers": [{"name": PEOPLE}, {"name": TRIGGER, "webhookConfigs": [webhook]}],
        },
    }


def _matcher(name: str, kind: str, value: str) -> dict[str, str]:
    return {"name": name, "matchType": kind, "value": value}


def _wait(loop: Loop, clock: Clock) -> str:
    """Inputs that drift at one look are one message: they come within one evaluation, and 30 s are enough for it."""
    return format_duration(timedelta(seconds=min(Rule.of(loop, clock).look, 30.0)))
