"""A rollout's steps as files to apply in order by hand, for each strategy: what `loopwright rollout` does by itself."""

import textwrap
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from loopwright.loop import Loop
from loopwright.serving.resources import names, routes, service
from loopwright.serving.resources.names import Manifest

STRATEGIES = ("canary", "blue-green", "ab", "shadow")
PARKED = "15-parked.yaml"
ROUTES_HAVE_IT = "kubectl get httproute {loop} -o jsonpath='{{.spec.rules[0].backendRefs}}'"


@dataclass(frozen=True)
class Step:
    """One file: what it is for, what is in it, and the command that applies it."""

    name: str
    about: str
    content: Manifest
    how: Literal["patch", "apply"] = "patch"

    def text(self, loop: Loop, folder: str) -> str:
        """The file, with the command in its head."""
        path = f"{folder}/{self.name}"
        patch = f"kubectl patch inferenceservice {loop.name} --type merge --patch-file {path}"
        command = patch if self.how == "patch" else f"kubectl apply -f {path}"
        return document(self.content, f"{self.about.strip()}\n\n    {command}")


@dataclass(frozen=True)
class Change:
    """From which version to which, and how either is named and reached."""

    loop: Loop
    champion: int
    version: int
    namespace: str = "default"
    digests: tuple[str | None, str | None] = (None, None)
    """The champion's and the version's; a predictor refuses a bundle that has another."""

    def canary(self, percent: int) -> Manifest:
        """The version as `spec.canary`'s entry."""
        entry = service.canary(self.loop, self.version, percent, self.digests[1], self.loop.serving.replicas.min)
        return {"spec": {"canary": [entry]}}

    def promoted(self) -> Manifest:
        """The version as the predictor."""
        return {"spec": {"predictor": service.predictor(self.loop, self.version, self.digests[1]), "canary": None}}

    def swapped(self, *, back: bool = False) -> Manifest:
        """One of the two as the predictor, and the other kept without traffic."""
        pair = ((self.version, self.digests[1]), (self.champion, self.digests[0]))
        (first, digest), (second, other) = reversed(pair) if back else pair
        kept = service.canary(self.loop, second, 0, other, self.loop.serving.replicas.min)
        return {"spec": {"predictor": service.predictor(self.loop, first, digest), "canary": [kept]}}


def steps(change: Change, strategy: str) -> list[Step]:
    """The files of one of STRATEGIES."""
    if change.loop.serving.mode == "knative":
        return _knative(change) if strategy == "canary" else []
    builders = {"canary": _canary, "blue-green": _blue_green, "ab": _ab, "shadow": _shadow}
    return builders[strategy](change)


def document(content: Manifest, about: str) -> str:
    """YAML below a comment."""
    filled = (line if line.startswith(" ") else textwrap.fill(line, 116) for line in about.splitlines())
    lines = "\n".join(filled).splitlines()
    head = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return head + yaml.dump(content, Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Without anchors: a part that stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _add(change: Change) -> Step:
    ready = "Wait until `.status.canaryStatuses[0].ready` is true."
    return Step("10-add.yaml", f"Version {change.version} comes, without traffic. {ready}", change.canary(0))


def _withdraw(change: Change, after: str) -> Step:
    about = f"{after}: version {change.version} goes."
    return Step("90-withdraw.yaml", about, {"spec": {"canary": None}})


def _promote(change: Change, number: int, after: str) -> Step:
    about = (
        f"{after}: version {change.version} becomes the predictor under the name that it has, so its pods stay, and "
        f"version {change.champion}'s go. Write the same into inferenceservice.yaml, or the next time that it is "
        f"applied brings version {change.champion} back."
    )
    return Step(f"{number}-promote.yaml", about, change.promoted())


def _shift(change: Change, number: int, percent: int, then: str) -> Step:
    about = f"Version {change.version} gets {percent} % of the traffic. {then}"
    return Step(f"{number}-shift-{percent}.yaml", about, change.canary(percent))


def _canary(change: Change) -> list[Step]:
    look = "Look at both versions before the next step: docs/rollouts.md."
    routed = f"Wait until the route has it:\n\n    {ROUTES_HAVE_IT.format(loop=change.loop.name)}\n"
    shares = change.loop.rollout.steps
    # Two digits, so that the files' order is the order of their names.
    apart = 10 if len(shares) <= 5 else max(1, 50 // len(shares))
    files = [_add(change)]
    for index, percent in enumerate(shares):
        files.append(_shift(change, 20 + apart * index, percent, routed if percent == 100 else look))
    back = f"In place of a next step: version {change.version} gets nothing more, and still runs. {routed}"
    return [
        *files,
        _promote(change, 20 + apart * len(shares), f"After {files[-1].name}"),
        Step("80-roll-back.yaml", back, change.canary(0)),
        _withdraw(change, "After 80-roll-back.yaml"),
    ]


def _blue_green(change: Change) -> list[Step]:
    loop, host = change.loop, names.preview_host(change.loop, change.namespace)
    switch = (
        f"Version {change.version} takes all the traffic at once, and version {change.champion} stays without any. Its "
        "pods run on, so 40-restore.yaml brings it back within a second."
    )
    restore = f"The way back: version {change.champion} takes all the traffic again, and 90-retire.yaml ends the other."
    return [
        _add(change),
        Step(
            "20-preview.yaml",
            f"Version {change.version} answers at {host}, and has no traffic yet.",
            routes.preview(loop, change.version, host, loop.serving.gateway),
            "apply",
        ),
        Step("30-switch.yaml", switch, change.swapped()),
        Step(
            "40-restore.yaml",
            restore,
            change.swapped(back=True),
        ),
        Step(
            "90-retire.yaml",
            "The version without traffic goes, and with it the way back. The preview's route goes with "
            f"`kubectl delete httproute {routes.route_name(loop.name, 'preview')}`.",
            {"spec": {"canary": None}},
        ),
    ]


def _ab(change: Change) -> list[Step]:
    loop, ab = change.loop, change.loop.rollout.ab
    host, name = names.host(change.loop, change.namespace), routes.route_name(loop.name, "ab")
    split = routes.split(loop, change.champion, change.version, ab, host, loop.serving.gateway)
    how = f"with the header {ab.header}" if ab.header else f"that draw it at first, {ab.share} %, by a cookie"
    return [
        _add(change),
        _parked(split),
        Step(
            "20-split.yaml",
            f"Callers are divided, and stay with their version; the new one gets those {how}.",
            split,
            "apply",
        ),
        _shift(change, 30, 100, f"It does so when the callers are not divided any more, after {_ended(name)}."),
        _promote(change, 40, "After 30-shift-100.yaml"),
        _withdraw(change, f"In place of 30 and 40, after {_ended(name)}"),
    ]


def _shadow(change: Change) -> list[Step]:
    loop, host = change.loop, names.host(change.loop, change.namespace)
    name = routes.route_name(loop.name, "shadow")
    mirror = routes.mirror(loop, change.champion, change.version, host, loop.serving.gateway)
    about = f"Version {change.version} gets a copy of every request; its answers are thrown away."
    return [
        _add(change),
        _parked(mirror),
        Step("20-mirror.yaml", about, mirror, "apply"),
        _withdraw(change, f"After {_ended(name)}"),
    ]


def _parked(route: Manifest) -> Step:
    about = (
        "The route of the next file, which no request matches yet: a gateway may take rules before what they lead to "
        "and answer 503 meanwhile. Give it a few seconds. Before the route is deleted, this one is applied again."
    )
    spec = route["spec"] | {"rules": routes.parked(route["spec"]["rules"])}
    return Step(PARKED, about, route | {"spec": spec}, "apply")


def _ended(name: str) -> str:
    return f"{PARKED} was applied again and, some seconds later, the HTTPRoute {name} deleted"


def _knative(change: Change) -> list[Step]:
    """Knative keeps the former revision, and `canaryTrafficPercent` is the share of the newest one."""
    predictor = service.predictor(change.loop, change.version, change.digests[1])
    # A name would make it another Knative service, and not the next revision of this one.
    del predictor["name"]
    look = "Look at both revisions before the next step: docs/rollouts.md."
    files = []
    for index, percent in enumerate((0, *(share for share in change.loop.rollout.steps if share < 100))):
        content = {"spec": {"predictor": predictor | {"canaryTrafficPercent": percent}}}
        about = f"Version {change.version}, as the newest revision, gets {percent} % of the traffic. {look}"
        files.append(Step(f"{10 + 10 * index}-shift-{percent}.yaml", about, content))
    promoted = {"spec": {"predictor": predictor | {"canaryTrafficPercent": None}}}
    champion = service.predictor(change.loop, change.champion, change.digests[0])
    back = {"spec": {"predictor": {"model": champion["model"], "canaryTrafficPercent": None}}}
    return [
        *files,
        Step("80-promote.yaml", f"Version {change.version} gets everything.", promoted),
        Step("90-roll-back.yaml", f"Back to version {change.champion}, as a new revision of the same.", back),
    ]


def about(loop: Loop, file: str) -> str:
    """What stands at the head of a manifest that is applied as a whole."""
    service = (
        "The service, with the drift monitor beside the model. It needs, in the same namespace:\n"
        f"  - the Secret `{loop.serving.secret}` with the key `token`, which both containers and the trigger read;\n"
        "  - what storageUri names: a folder with the files of the version's bundle (docs/kserve.md);\n"
        "  - the trigger, where alarms go."
    )
    texts = {
        "servingruntime.yaml": "How a bundle of this loop is served; the InferenceService names it.",
        "loop.yaml": "The declaration, as the monitor reads it.",
        "inferenceservice.yaml": service,
    }
    return f"Made of loop.yaml by `loopwright render`, for KServe >= 0.21. {texts.get(file, '')}".strip()
