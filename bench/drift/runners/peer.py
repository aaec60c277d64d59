"""A peer in its own environment: reads one JSON line a task, answers one JSON line; arrays come as .npy files.

`python peer.py evidently|nannyml|river`. A task has `reference` (m, features) and `stream` (rows, features), and
- for the windowed two: `window`, `every` (rows between two looks), `start` (no look ends before that row), `stop` (end
  when the statistic is above this; null: never). The answer: `ends` (the rows at which looks end), `statistic` (the
  greatest distance of a column), `default` (whether it alarms as it comes) and `columns` (the last look's distances).
- for river: `deltas`, `start`. The answer: `first`, the row of the first detection in any column for each delta.
"""

import json
import sys

import numpy as np


def evidently(reference, window):
    """Evidently's default for numbers and more than 1,000 reference rows; half the columns above 0.1 are drift."""
    import pandas
    from evidently.legacy.calculations.stattests.wasserstein_distance_norm import _wasserstein_distance_norm
    from evidently.legacy.core import ColumnType

    columns = [pandas.Series(column) for column in reference.T]

    def look(rows):
        pairs = zip(columns, rows.T, strict=True)
        distances = [
            _wasserstein_distance_norm(one, pandas.Series(two), ColumnType.Numerical, 0.1)[0] for one, two in pairs
        ]
        return distances, float(np.mean(np.array(distances) >= 0.1)) >= 0.5

    return look


def nannyml(reference, window):
    """NannyML's Jensen-Shannon distance; as it comes, a column alerts above mean + 3 deviations of reference chunks."""
    import pandas
    from nannyml.chunk import DefaultChunker, SizeBasedChunker
    from nannyml.drift.univariate.methods import ContinuousJensenShannonDistance
    from nannyml.thresholds import StandardDeviationThreshold

    chunker = SizeBasedChunker(chunk_size=window) if len(reference) >= 3 * window else DefaultChunker()
    methods = [
        ContinuousJensenShannonDistance(chunker=chunker, threshold=StandardDeviationThreshold()).fit(
            pandas.Series(column, name="x")
        )
        for column in reference.T
    ]

    def look(rows):
        pairs = zip(methods, rows.T, strict=True)
        distances = [float(method.calculate(pandas.Series(column))) for method, column in pairs]
        return distances, any(method.alert(value) for method, value in zip(methods, distances, strict=True))

    return look


def windowed(make, task):
    """Look at a sliding window from time to time."""
    reference, stream = np.load(task["reference"]), np.load(task["stream"])
    look, size = make(reference, task["window"]), task["window"]
    ends, statistics, defaults, distances = [], [], [], []
    for end in range(size, len(stream) + 1, task["every"]):
        if end <= task["start"]:
            continue
        distances, default = look(stream[end - size : end])
        ends.append(end)
        statistics.append(max(distances))
        defaults.append(bool(default))
        if task["stop"] is not None and statistics[-1] > task["stop"]:
            break
    return {"ends": ends, "statistic": statistics, "default": defaults, "columns": distances}


def river(task):
    """ADWIN a column, which has seen the reference; any column's detection is an alarm."""
    from river.drift import ADWIN

    reference, stream = np.load(task["reference"]), np.load(task["stream"])
    # ADWIN's bound is for values in [0, 1]; on skewed columns it alarms at every outlier. So it is given their ranks.
    ordered = np.sort(reference, axis=0)
    ranks = [np.searchsorted(ordered[:, i], stream[:, i]) / len(ordered) for i in range(stream.shape[1])]
    before = [np.searchsorted(ordered[:, i], reference[:, i]) / len(ordered) for i in range(stream.shape[1])]
    found = []
    for delta in task["deltas"]:
        first = len(stream)
        for column in range(stream.shape[1]):
            detector = ADWIN(delta=delta)
            for value in before[column].tolist():
                detector.update(value)
            for row, value in enumerate(ranks[column][:first].tolist()):
                detector.update(value)
                if detector.drift_detected and row >= task["start"]:
                    first = row
                    break
        found.append(first + 1 if first < len(stream) else None)
    return {"first": found}


def main():
    """Answer tasks until there are none."""
    answers = sys.stdout
    # What the packages print is not an answer.
    sys.stdout = sys.stderr
    name = sys.argv[1]
    for line in sys.stdin:
        task = json.loads(line)
        answer = river(task) if name == "river" else windowed({"evidently": evidently, "nannyml": nannyml}[name], task)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
