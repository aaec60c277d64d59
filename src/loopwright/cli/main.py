"""The `loopwright` command. Each command's module is imported when it is called, so that `--help` answers at once."""

import importlib
import json
import os
import sys

import click

from loopwright import __version__, processes
from loopwright.errors import LoopwrightError

# Where each command is: its module and its one line of help, so that listing them imports none.
COMMANDS = {
    "init": ("loopwright.cli.declare", "Write a commented loop.yaml, inferred from a data file."),
    "check": ("loopwright.cli.declare", "Hold the declaration and the data against each other."),
    "data": ("loopwright.cli.data", "What changed from one snapshot to another."),
    "run": ("loopwright.cli.run", "Run the pipeline once: snapshot to registered version."),
    "schedule": ("loopwright.cli.schedule", "Have Kubeflow Pipelines run it by retrain.schedule."),
    "serve": ("loopwright.cli.serve", "Serve one version on HTTP and gRPC."),
    "up": ("loopwright.cli.up", "Run everything: gateway, predictors, monitor, trigger, MLflow."),
    "score": ("loopwright.cli.score", "Predictions of a version for all rows of an input."),
    "render": ("loopwright.cli.render", "Write the KServe objects of a loop as manifests."),
    "publish": ("loopwright.cli.render", "Put a version's bundle where KServe reads it."),
    "deploy": ("loopwright.cli.render", "Serve a version on KServe."),
    "rollout": ("loopwright.cli.rollout", "Take a version live, judged on live traffic."),
    "labels": ("loopwright.cli.labels", "Send labels to a monitor, or join them with predictions."),
    "skew": ("loopwright.cli.skew", "Hold what the model was asked with against the offline values."),
    "attributions": ("loopwright.cli.attributions", "Whether live predictions rest on other features."),
    "estimate": ("loopwright.cli.estimate", "How wrong a regression should be, before labels come."),
    "approve": ("loopwright.cli.approve", "Approve a version that waits for a person."),
    "reject": ("loopwright.cli.approve", "Reject a version that waits for a person."),
    "promote": ("loopwright.cli.stages", "Make a version the champion in the registry, where nothing is served."),
    "demote": ("loopwright.cli.stages", "Take a version's alias; a champion's place takes the one before it."),
    "archive": ("loopwright.cli.stages", "Keep a version for the record only."),
    "trigger": ("loopwright.cli.trigger", "Ask the running loop for a pipeline run."),
    "status": ("loopwright.cli.status", "Champion, challenger, weights, drift, last run, last alarm."),
    "drift": ("loopwright.cli.drift", "How far live data is from the reference, by feature."),
    "domain": ("loopwright.cli.domain", "Whether live rows can be told from the reference, all columns together."),
    "profile": ("loopwright.cli.profile", "Make the profile of a model that another runtime serves."),
    "lineage": ("loopwright.cli.lineage", "Which data, code, environment and cause made a version."),
    "replay": ("loopwright.cli.replay", "Train a version again, and see whether the same model comes out."),
    "card": ("loopwright.cli.card", "Write the model card and the data sheet of a version."),
    "dossier": ("loopwright.cli.dossier", "Write one archive of all that was recorded of a version."),
    "history": ("loopwright.cli.history", "The ledger, as a story with causes."),
    "report": ("loopwright.cli.report", "Write the loop's story as one HTML page with pictures."),
    "events": ("loopwright.cli.events", "The archived predictions: list, count, export."),
    "audit": ("loopwright.cli.history", "Verify the ledger."),
    "doctor": ("loopwright.cli.doctor", "Look at this machine and a cluster, and say what to do."),
    "schema": ("loopwright.cli.declare", "Print the JSON schema of loop.yaml."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean `{close[0]}`?" if close else "see `loopwright --help`"
            raise click.UsageError(f"there is no command `{args[0]}`; {hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: loopwright init churn --data churn.csv --label Churn && loopwright run churn",
)
@click.version_option(__version__, prog_name="loopwright")
def command() -> None:
    """Closed-loop machine learning: train, judge, roll out, watch and retrain a declared model.

    A loop is a folder with a loop.yaml. Commands take the folder, and the current one when none is named.
    """


def main() -> None:
    """The entry point: run the command; a LoopwrightError becomes its message and its exit code."""
    processes.collect_seldom()
    try:
        code = command(standalone_mode=False)
    except LoopwrightError as error:
        if "--json" in sys.argv:
            click.echo(json.dumps({"error": str(error), "exit_code": error.exit_code}))
        else:
            click.echo(click.style("error: ", fg="red", bold=True) + str(error), err=True)
        code = error.exit_code
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
