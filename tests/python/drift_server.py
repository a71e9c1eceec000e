"""A real `drift serve` in a process of its own, to be stopped, killed and started again."""

import os
import signal
import subprocess
import threading
from pathlib import Path

from pyarrow import flight

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("DRIFT_BIN", ROOT / "target/debug/drift"))
LISTENING = "listening on "
START_SECONDS = 60
STOP_SECONDS = 60


class StartRefused(Exception):
    """The server ended instead of listening; the message is what it wrote to stderr."""


class DriftServer:
    """One database directory and the server that has it open, if any.

    The database is elsewhere if there is a `store`: its `uri` and the `environment` to reach it. Then
    the directory is only what the server's files are named after.

    `settings` are engine settings by name: `memtable_rows_max=1500` is passed on as
    `DRIFT_MEMTABLE_ROWS_MAX=1500`.
    """

    def __init__(self, directory, *flags, store=None, **settings):
        self.directory = Path(directory)
        self._place = store.uri if store else self.directory
        self.log = self.directory.with_name(self.directory.name + ".log")
        self.address = None
        self._flags = flags
        self._environment = os.environ | {f"DRIFT_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment |= store.environment if store else {}
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def runs(self):
        return self._process is not None

    @property
    def pid(self):
        return self._process.pid

    def spawn(self):
        """Starts the process without waiting until it listens."""
        assert self._process is None, "the server runs already"
        if not BINARY.exists():
            raise FileNotFoundError(f"no binary at {BINARY}: run `cargo build --workspace`, or set DRIFT_BIN")
        command = [BINARY, "serve", self._place, "--listen", "127.0.0.1:0", *self._flags]
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=self._environment, text=True
            )

    def start(self):
        """Starts the process and waits for its address."""
        self.spawn()
        return self.wait_until_it_listens()

    def wait_until_it_listens(self):
        # A process that neither listens nor ends would block the read below for ever.
        impatience = threading.Timer(START_SECONDS, self._process.kill)
        impatience.start()
        try:
            line = self._process.stdout.readline()
        finally:
            impatience.cancel()
        if not line.startswith(LISTENING):
            self.kill9()
            raise StartRefused(self._stderr())
        self.address = line.removeprefix(LISTENING).strip()
        return self

    def client(self):
        """A new connection. Whoever asks closes it, best by `with`."""
        return flight.connect(self.address)

    def kill9(self):
        """Ends the process as a crash would: nothing of it runs any more."""
        self._process.kill()
        self._ended()

    def stop(self):
        """Kills the process if there is one."""
        if self.runs:
            self.kill9()

    def terminate(self):
        """Asks the process to stop; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def restart(self):
        """Kills the process and starts another on the same directory."""
        self.kill9()
        return self.start()

    def _ended(self):
        code = self._process.wait(STOP_SECONDS)
        self._process.stdout.close()
        self._process = None
        return code

    def _stderr(self):
        return self.log.read_bytes()[self._log_start :].decode()


def sql(client, statement):
    """Runs a statement; its rows, or its count."""
    return client.do_get(flight.Ticket(statement)).read_all()
