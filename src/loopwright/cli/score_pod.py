"""A pod of a scoring job: `python -m loopwright.cli.score_pod --input ... --output ... --share 3/8`.

The declaration comes in the environment, as a pod has no checkout; feature code and model come with the version's
bundle. It is written into a folder of the pod, and `loopwright score` is called on that. The pod that begins the job
leaves the shares for the others in a small file, which the workflow hands on.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from loopwright.errors import DeclarationError, LoopwrightError
from loopwright.settings import REQUEST

FOLDER = Path("/tmp/loop")  # noqa: S108 - the pod's own


def main(arguments: list[str] | None = None) -> int:
    """Run `loopwright score`; the exit code is its own."""
    parser = argparse.ArgumentParser(prog="python -m loopwright.cli.score_pod", allow_abbrev=False)
    parser.add_argument("--pods", type=int, default=0, help="begin the job: how many shares at most")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="a folder of this pod")
    parser.add_argument("--outputs", type=Path, default=Path("/tmp/out"), help="where the small file goes")  # noqa: S108
    options, more = parser.parse_known_args(arguments)
    try:
        loop = _asked(os.environ.get(REQUEST, ""))
        if not options.pods:
            return run(loop, more, options.folder)
        shares = begin(loop, more, options.pods, options.folder)
        options.outputs.mkdir(parents=True, exist_ok=True)
        (options.outputs / "shares").write_text(json.dumps(shares), encoding="utf-8")
    except LoopwrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    return 0


def begin(loop: str, arguments: Sequence[str], pods: int, folder: Path = FOLDER) -> list[str]:
    """Write the job's manifest; its shares, such as `0/8`: no more of them than `pods`, and than there are units.

    `loop` is the declaration as JSON. Raises what `loopwright score` does.
    """
    from loopwright.scoring import manifest
    from loopwright.scoring.output import Output

    run(loop, [*arguments, "--only", "begin"], folder)
    output = arguments[list(arguments).index("--output") + 1]
    found = manifest.read(Output(output))
    assert found is not None, "the job was just begun"
    count = max(1, min(found.units, pods))
    return [f"{number}/{count}" for number in range(count)]


def run(loop: str, arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Call `loopwright score` on a declaration, and return its exit code. Raises what it does."""
    from loopwright.cli.score import score
    from loopwright.declaration import FILE

    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    (folder / FILE).write_text(loop, encoding="utf-8")
    code = score.main([str(folder), *arguments], standalone_mode=False)
    return code if isinstance(code, int) else 0


def _asked(request: str) -> str:
    """The declaration of a request."""
    try:
        return json.dumps(json.loads(request)["loop"])
    except (ValueError, KeyError, TypeError) as error:
        raise DeclarationError(
            f"{REQUEST} is not what a job is asked for by: {error}",
            expected='JSON of the form {"loop": {...}}',
            do="submit the job by `loopwright score --engine argo`",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
