"""Write the dashboards' JSON here, and into the chart and the kustomize component (`make generate`)."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.boards import boards

HERE = Path(__file__).parent
COPIES = (HERE.parent / "helm" / "loopwright" / "dashboards", HERE.parent / "manifests" / "components" / "dashboards")


def files() -> dict[str, str]:
    """The dashboards' JSON by the name of the file."""
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {name: encoder.encode(board.build()) + "\n" for name, board in boards().items()}


def main() -> None:
    """Write the files."""
    for name, text in files().items():
        for folder in (HERE, *COPIES):
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
