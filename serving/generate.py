"""Write the churn example's KServe manifests beside this file, and a rollout of version 2 in each strategy's folder.

What `loopwright render examples/churn --to serving --strategy-steps --prometheus` writes where version 1 is the
champion and version 2 the newest, without digests, as nothing is registered here. serving/loop.yaml is
manifests/generate.py's.
"""

from pathlib import Path

from loopwright import declaration
from loopwright.cli.render import files
from loopwright.durations import Clock
from loopwright.observability import files as prometheus
from loopwright.serving.resources.steps import Change

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "churn"


def rendered() -> dict[str, str]:
    """What is generated: names in this folder and contents."""
    loop = declaration.load(EXAMPLE)
    texts = files(loop, 1, None, Change(loop, 1, 2), "serving")
    texts |= {f"prometheus/{name}": text for name, text in prometheus.files(loop, Clock(), "default").items()}
    return {name: text for name, text in texts.items() if name != "loop.yaml"}


def main() -> None:
    """Write the files."""
    for name, text in rendered().items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
