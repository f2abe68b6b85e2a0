"""A PostgreSQL server of a test's own: started from the system's binaries, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/postgresql")  # the binaries of each version stand in a folder of their own
OWNER = "postgres"  # who runs it where the tests run as root, which PostgreSQL refuses


def binaries() -> Path | None:
    """Return the folder with `initdb` and `postgres`, or None where there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(DEBIAN.glob("*/bin"), default=None)


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server and give the SQLAlchemy URL of an empty database; skips where there is none.

    It listens on a socket in its own folder, so there is no port to be taken.
    """
    programs = binaries()
    if programs is None:
        reason = "There is no PostgreSQL here. On Debian: apt-get install postgresql"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    user = OWNER if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg") as place:
        if user is not None:
            shutil.chown(place, user)
        data = f"{place}/data"

        def run(program: str, *words: str) -> None:
            command = [str(programs / program), "-D", data, *words]
            subprocess.run(command, user=user, cwd=place, check=True, stdout=subprocess.DEVNULL)

        run("initdb", "-U", OWNER, "-A", "trust", "-N", "-E", "UTF8")
        options = f"-k {place} -c listen_addresses='' -c fsync=off"
        run("pg_ctl", "-w", "-t", "30", "-l", f"{place}/log", "-o", options, "start")
        try:
            yield f"postgresql+asyncpg://{OWNER}@/{OWNER}?host={place}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
