"""A PostgreSQL server of its own, which a test may stop and start again."""

import os
import shutil
import subprocess
from pathlib import Path

from loopwright.local import ports


def binaries() -> Path | None:
    """PostgreSQL's programs: on PATH, or where Debian keeps them."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Server:
    """A server in `folder`, on a free port; it must not run as root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self.folder = programs, folder
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._port = ports.free(1)[0]
        self.url = f"postgresql+psycopg://loopwright@127.0.0.1:{self._port}/postgres"
        self._call("initdb", "-D", self._data, "-U", "loopwright", "--auth=trust", "-E", "UTF8", "--locale=C")

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        options = f"-p {self._port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._call("pg_ctl", "-D", self._data, "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        self._call("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def ask_for_passwords(self) -> None:
        """From now on whoever connects needs a password, which nobody has."""
        Path(self._data, "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        self._call("pg_ctl", "-D", self._data, "reload")

    def _call(self, *command: str) -> None:
        program = str(self._programs / command[0])
        result = subprocess.run([program, *command[1:]], user=self._user, capture_output=True, cwd=self.folder)
        assert result.returncode == 0, result.stderr.decode() + result.stdout.decode()
