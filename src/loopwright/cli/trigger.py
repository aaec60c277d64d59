"""trigger: a person asks the running loop for a pipeline run, and for what follows from it."""

from datetime import UTC, datetime

import click

from loopwright.cli.context import Context, on_loop, user
from loopwright.errors import DeclarationError, RunError


@click.command(epilog="Example: loopwright trigger churn --reason 'new price list'")
@click.option("--reason", required=True, help="Why; written as the run's cause.")
@click.option("--since", type=click.DateTime(), help="Use the rows since this moment (UTC) only; by default all.")
@on_loop
def trigger(context: Context, reason: str, since: datetime | None) -> int:
    """Ask the trigger of `loopwright up` for a run, whose version is rolled out as an alarm's would be.

    A person's run waits for nothing but a run that is in flight: not for quiet hours, a cool-down, or a source that is
    suspected. Exit code 6 when the trigger says no, with its reason, 2 when the loop's rows have no time to go by.
    """
    import httpx

    from loopwright import http
    from loopwright.local import token
    from loopwright.rollout.state import running

    if since is not None and context.loop.data.timestamp is None:
        raise DeclarationError(
            "--since needs to know when a row was observed",
            expected="`data.timestamp` in loop.yaml",
            do="declare it, or leave --since out",
        )
    status = running(context.settings.live)
    if status is None:
        raise RunError(
            f"{context.loop.name} is not up",
            do=f"start it with `loopwright up`, or use `loopwright run {context.shown}`",
        )
    try:
        answer = httpx.post(
            f"{status.endpoints['trigger']}/v1/runs",
            json={
                "reason": reason,
                "by": user(),
                **({"since": since.replace(tzinfo=UTC).isoformat()} if since else {}),
            },
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
