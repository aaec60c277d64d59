"""A process that scores the file once, and prints what it took: `python -m bench.scoring.runners WHO FOLDER ROWS ...`.

What is timed begins when the model is loaded and ends when the last prediction is on the disk.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.scoring.made import Made, made, typed


def main() -> None:
    """Run one and print its seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=sorted(RUNNERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    work = RUNNERS[options.who](made(options.folder), options.rows, options.output, options.workers)
    begun, cpu = time.perf_counter(), _cpu()
    predictions = work()
    found = {"wall": time.perf_counter() - begun, "cpu": _cpu() - cpu, "predictions": predictions}
    found["loading"] = cpu
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def loopwright(where: Made, rows: int, output: Path, workers: int) -> Callable[[], int]:
    """The product: the plan, the contract, the drift counts, the receipts, everything."""
    from loopwright import declaration
    from loopwright.models import bundle as bundles
    from loopwright.scoring import begin, manifest, plan
    from loopwright.scoring import workers as working
    from loopwright.scoring.job import Job, Scorer, columns_of
    from loopwright.scoring.output import Output

    loop = declaration.parse(where.declared.read_text())
    job = Job(loop, where.bundle, where.digest, 1, str(output), "customer", name="bench")
    needed = columns_of(loop, bundles.read(where.bundle), "customer")
    scorer = Scorer(job) if workers == 1 else None

    def work() -> int:
        planned = plan.plan(str(where.rows(rows)), output.parent, needed, job.part_rows)
        begun = begin.begin(job, planned, Output(str(output)), None, _now())
        receipts = []
        if scorer is not None:
            for unit in begun.left():
                scorer.score(unit, {}, receipts.append)
        else:
            working.score(begun.job, begun.left(), {}, receipts.append, workers)
        ended = begin.end(begun, receipts, None)
        manifest.write(begun.output, ended)
        return int(ended.totals["scored"])

    return work


def mlflow(where: Made, rows: int, output: Path, workers: int) -> Callable[[], int]:
    """What people do today: a frame of a row group, the model's pyfunc, and a frame of predictions into a file."""
    import mlflow.pyfunc
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    model = mlflow.pyfunc.load_model(str(where.mlflow))

    def work() -> int:
        output.mkdir(parents=True)
        opened, total = pq.ParquetFile(where.rows(rows)), 0
        for group in range(opened.num_row_groups):
            frame = opened.read_row_group(group, use_threads=False).to_pandas()
            predictions = model.predict(typed(frame))
            told = pd.DataFrame({"customer": frame["customer"], "prediction": predictions, "model_version": 1})
            told["decision"] = (told["prediction"] >= 0.5).map({False: "0", True: "1"})
            pq.write_table(pa.Table.from_pandas(told, preserve_index=False), output / f"part-{group}.parquet")
            total += len(told)
        return total

    return work


def _now():  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    return datetime.now(UTC)


RUNNERS = {"loopwright": loopwright, "mlflow": mlflow}

if __name__ == "__main__":
    sys.exit(main())
