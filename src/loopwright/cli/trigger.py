"""trigger: a person asks the running loop for a pipeline run, and for what follows from it."""

import getpass

import click

from loopwright.cli.context import Context, on_loop
from loopwright.errors import RunError


@click.command(epilog="Example: loopwright trigger churn --reason 'new price list'")
@click.option("--reason", required=True, help="Why; written as the run's cause.")
@on_loop
def trigger(context: Context, reason: str) -> int:
    """Ask the trigger of `loopwright up` for a run, whose version is rolled out as an alarm's would be.

    Exit code 6 when it says no, with its reason.
    """
    import httpx

    from loopwright import http
    from loopwright.local import token
    from loopwright.rollout.state import running

    status = running(context.settings.live)
    if status is None:
        raise RunError(
            f"{context.loop.name} is not up",
            do=f"start it with `loopwright up`, or use `loopwright run {context.shown}`",
        )
    try:
        answer = httpx.post(
            f"{status.endpoints['trigger']}/v1/runs",
            json={"reason": reason, "by": getpass.getuser()},
            headers=http.bearer(token.find(context.settings)),
            timeout=30,
            trust_env=False,
        )
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise RunError(f"the trigger does not answer: {error}", do="see `loopwright status`") from error
    if answer.is_error:
        raise RunError(f"the trigger refused: {body.get('error', answer.status_code)}")
    context.answer(body)
    context.console.print(f"[green]{body['run']}[/] starts; follow it with `loopwright status {context.shown}`")
    return 0
