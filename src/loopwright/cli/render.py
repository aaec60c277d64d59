"""render and deploy: a loop's objects on KServe, as files to read and commit, or applied at once."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loopwright.cli.context import Context, on_loop
from loopwright.cli.versioned import unchanged

if TYPE_CHECKING:
    from loopwright.loop import Loop
    from loopwright.registry import ModelVersion
    from loopwright.serving.resources.steps import Change


STDOUT = "-"


@click.command(epilog="Example: loopwright render churn --to manifests/churn --strategy-steps")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder; - prints."
)
@click.option("--version", type=int, help="The version; by default the champion, else the newest.")
@click.option("--namespace", default="default", show_default=True, help="The namespace, which is part of host names.")
@click.option("--strategy-steps", is_flag=True, help="Also a rollout of --version from the champion, step by step.")
@click.option("--argo", is_flag=True, help="Also the pipeline as Argo Workflows, and its schedule.")
@click.option("--prometheus", is_flag=True, help="Also rules for Prometheus and routes for Alertmanager.")
@on_loop
def render(
    context: Context,
    folder: Path,
    version: int | None,
    namespace: str,
    strategy_steps: bool,
    argo: bool,
    prometheus: bool,
) -> None:
    """Write the KServe objects of a loop as plain manifests: to read, to commit, and to `kubectl apply`.

    With --strategy-steps there is a folder for each strategy, with one file a step, for taking --version live by
    hand. The service itself is then written with the champion. With --prometheus there is a folder `prometheus` with
    the drift alarm as rules, in files and as objects of Prometheus' operator. With --argo there is a folder `argo` with
    the WorkflowTemplate of the pipeline and, where `retrain.schedule` is declared, a CronWorkflow; it needs no version,
    and where there is none yet it is all that is written. `--to -` prints the service as one
    document after another, for `kubectl apply -f -`.
    """
    from loopwright.errors import StateError
    from loopwright.serving.resources.steps import Change

    if argo and str(folder) != STDOUT and not context.registry.versions(context.loop.name):
        _say(context, folder, None, write_argo(context, folder))
        return
    served, challenger = _pair(context, version, strategy_steps)
    change = None
    if strategy_steps:
        digests = (served.digest, challenger.digest)
        change = Change(context.loop, served.number, challenger.number, namespace, digests)
    if str(folder) == STDOUT:
        if strategy_steps or argo or prometheus or context.json:
            raise click.UsageError(
                "`--to -` prints the service alone: leave --strategy-steps, --argo, --prometheus, --json away"
            )
        click.echo("---\n".join(files(context.loop, served.number, served.digest).values()), nl=False)
        return
    try:
        names = write(context.loop, folder, served.number, served.digest, change)
        names += write_argo(context, folder) if argo else []
        names += write_prometheus(context, folder, served, namespace) if prometheus else []
    except OSError as error:
        raise StateError(f"{error.filename} cannot be written: {error.strerror}", do="check the folder") from error
    _say(context, folder, served.number, names)


def _say(context: Context, folder: Path, version: int | None, names: list[str]) -> None:
    context.answer({"version": version, "files": [str(folder / name) for name in names]})
    for name in names:
        context.console.print(str(folder / name), markup=False)


def write(
    loop: "Loop", folder: Path, version: int, digest: str | None = None, change: "Change | None" = None
) -> list[str]:
    """Write the manifests of a version, and the steps of a change; returns the files' names in the folder."""
    return _write(folder, files(loop, version, digest, change, str(folder)))


def write_prometheus(context: Context, folder: Path, version: "ModelVersion", namespace: str) -> list[str]:
    """Write rules and routes into the folder `prometheus`; returns the files' names in the folder."""
    from loopwright.models.bundle import PROFILE
    from loopwright.monitor.drift import prediction_name
    from loopwright.observability.files import files
    from loopwright.statistics.profile import Profile

    found = context.registry.fetch(context.loop.name, version) / PROFILE
    name = prediction_name(Profile.from_json(found.read_bytes()).features)
    texts = files(context.loop, context.settings.clock, namespace, prediction=name)
    return _write(folder, {f"prometheus/{name}": text for name, text in texts.items()})


def write_argo(context: Context, folder: Path) -> list[str]:
    """Write the pipeline's objects into the folder `argo`; returns the files' names in the folder."""
    import yaml

    from loopwright import __version__
    from loopwright.cli import features
    from loopwright.engines import argo_objects

    name, image = context.settings.training_template, f"loopwright/component-python:{__version__}"
    place = argo_objects.Place(image, name=name, claim="loopwright-state", data="loopwright-data")
    made = {
        "workflowtemplate": argo_objects.template(place),
        "cronworkflow": argo_objects.cron(context.loop, features.read(context), name),
    }
    about = f"# Written by `loopwright render --argo` for {context.loop.name}; docs/argo.md says what it needs.\n"
    keys = ("apiVersion", "kind", "metadata", "spec")
    texts = {
        f"argo/{kind}.yaml": about + yaml.safe_dump({key: one[key] for key in keys}, sort_keys=False, width=120)
        for kind, one in made.items()
        if one is not None
    }
    return _write(folder, texts)


def _write(folder: Path, texts: dict[str, str]) -> list[str]:
    from loopwright.files import write_text

    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return list(texts)


def files(
    loop: "Loop", version: int, digest: str | None = None, change: "Change | None" = None, folder: str = "."
) -> dict[str, str]:
    """The manifests of a version, and the steps of a change, by their names in the folder."""
    from loopwright.serving.resources import service, steps

    texts = {
        name: steps.document(manifest, steps.about(loop, name))
        for name, manifest in service.manifests(loop, version, digest).items()
    }
    if change is not None:
        for strategy in steps.STRATEGIES:
            for step in steps.steps(change, strategy):
                texts[f"{strategy}/{step.name}"] = step.text(loop, f"{folder}/{strategy}")
    return texts


@click.command(epilog="Example: loopwright deploy churn --version 1 --namespace models")
@click.option("--version", type=int, help="The version; by default the champion, else the newest.")
@click.option(
    "--namespace", default="", envvar="LOOPWRIGHT_NAMESPACE", help="The namespace; by default your kubeconfig's."
)
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait until it serves.")
@click.option("--force", is_flag=True, help="Overwrite fields that somebody else has set.")
@on_loop
def deploy(context: Context, version: int | None, namespace: str, timeout: int, force: bool) -> None:
    """Serve a version on KServe: apply its objects server-side, and wait until it answers.

    This is for the first version, and for changes of loop.yaml. Another version takes the place of one that serves by
    `loopwright rollout --on kserve`. Exit codes: 9 when the cluster lacks something or the pods do not start, 10 when
    the API server or a rollout under way does not let it.
    """
    from loopwright.cli.going_live import adopt
    from loopwright.governance import approvals
    from loopwright.rollout import kserve
    from loopwright.rollout.kserve.deploy import deploy as apply

    served, _ = _pair(context, version, False)
    approvals.require(context.loop, context.ledger.entries(context.loop.name), served, context.shown)
    cluster = kserve.connect(namespace)
    say = context.console.print
    if not _published(context, served):
        uri = context.loop.serving.storage_uri(context.loop.name, served.number)
        say(f"the bundle has to lie at {uri}, which is mounted nowhere here", markup=False)
    url = apply(
        context.loop, served.number, served.digest, cluster, lambda text: say(text, markup=False), timeout_s=timeout,
        force=force,
    )  # fmt: skip
    if context.registry.champion(context.loop.name) is None:
        adopt(context, served.number)
    context.answer({"version": served.number, "namespace": cluster.namespace, "url": url})
    say(f"[bold green]version {served.number} serves[/] at {url}")


@click.command(epilog="Example: loopwright publish churn --version 2")
@click.option("--version", type=int, help="The version; by default the champion, else the newest.")
@on_loop
def publish(context: Context, version: int | None) -> None:
    """Put a version's bundle where KServe reads it: `serving.models` of the loop.

    `deploy` and `rollout --on kserve` do it themselves; this is for manifests that are applied by hand or from Git. A
    claim is written where it is mounted: LOOPWRIGHT_MODELS names the folder. Exit code 9 when it cannot be written.
    """
    from loopwright.errors import ServingError

    served, _ = _pair(context, version, False)
    uri = context.loop.serving.storage_uri(context.loop.name, served.number)
    if not _published(context, served):
        raise ServingError(
            f"{uri} is a claim, which is mounted nowhere here",
            expected="LOOPWRIGHT_MODELS to name the folder where it is",
            do="run this in a pod that has it (`kubectl exec`), or copy the bundle with `kubectl cp`",
        )
    context.answer({"version": served.number, "uri": uri})
    context.console.print(f"version {served.number} lies at {uri}", markup=False)


def _published(context: Context, version: "ModelVersion") -> bool:
    from loopwright.models import places

    loop, folder = context.loop, context.registry.fetch(context.loop.name, version)
    return places.publish(folder, loop.serving.storage_uri(loop.name, version.number), context.settings.models)


def _pair(context: Context, version: int | None, both: bool) -> "tuple[ModelVersion, ModelVersion]":
    """The version that is served, and the one that a rollout is for: the same one unless both are asked for.

    Raises BundleError where the registry has another digest for one of them than the ledger.
    """
    from loopwright.errors import RegistryError

    registry, loop = context.registry, context.loop.name
    champion = registry.champion(loop)
    newest = registry.newest(loop) if version is None else registry.get(loop, version)
    if not both:
        served = newest if version is not None or champion is None else champion
        return unchanged(context, served), served
    if champion is None or champion.number == newest.number:
        raise RegistryError(
            f"version {newest.number} of {loop} has no champion beside it to take the place of",
            expected="a champion, and another version for --version",
            do="leave --strategy-steps away, or name a challenger",
        )
    return unchanged(context, champion), unchanged(context, newest)
