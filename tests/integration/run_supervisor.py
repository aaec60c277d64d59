"""`loopwright up` with stand-ins, as a process: run_supervisor.py FOLDER '{"gateway_port": ..., "work": ...}'."""

import json
import sys
from pathlib import Path

from loopwright import declaration, settings
from loopwright.errors import LoopwrightError
from loopwright.local import commands
from loopwright.local.options import Options
from loopwright.local.supervisor import Supervisor
from loopwright.rollout.state import Placement

STAND_IN = [sys.executable, str(Path(__file__).with_name("stand_in.py"))]


def main() -> None:
    folder, given = Path(sys.argv[1]), json.loads(sys.argv[2])

    def predictor(name, placement, http, grpc, monitor):
        work = str(given.get("work", 0))
        ports = ["--http-port", str(http), "--grpc-port", str(grpc)]
        return [*STAND_IN, "--version", str(placement.version), "--bundle", placement.bundle, *ports, "--work", work]

    def other(_, port, *rest):
        return [*STAND_IN, "--http-port", str(port)]

    options = Options(
        gateway_port=given.get("gateway_port", 0),
        with_mlflow=given.get("with_mlflow", False),
        initial=Placement(**given["initial"]) if given.get("initial") else None,
        commands=commands.Commands(predictor=predictor, monitor=other, trigger=other, mlflow=other),
        on_event=lambda text: print(text, flush=True),
        on_ready=lambda status: print("everything is ready", flush=True),
        grace=given.get("grace", 5.0),
    )
    try:
        Supervisor(declaration.load(folder), folder, settings.prepare(settings.read(folder)), options).run()
    except LoopwrightError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
