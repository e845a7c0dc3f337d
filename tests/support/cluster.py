"""A scheduler and workers as separate processes on loopback, and what may happen to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
_SETTINGS = {
    "DASK_DISTRIBUTED__DASHBOARD__LINK": "",
    # A worker that is gone is missed soon.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "15s",
}
_PLAIN = ["--no-dashboard", "--no-show"]
_WORKER = ["--no-nanny", "--no-dashboard", "--memory-limit", "4GB", "--death-timeout", "20"]


class Processes:
    """Starts `dask scheduler` and `dask worker`; all end with the ``with``."""

    def __init__(self, folder: Path, workers: int = 2, threads: int = 1, **options: object) -> None:
        self.folder = folder
        self.n_workers, self.threads = workers, threads
        self.host = str(options.get("host", "127.0.0.1"))
        self.env = {**_SETTINGS, **options.get("env", {})}  # type: ignore[dict-item]
        self.prefix = options.get("prefix", {})  # by worker's number: before its command
        self.arguments = [*map(str, options.get("arguments", ()))]  # for both
        self.scheduler_arguments = [*map(str, options.get("scheduler_arguments", ()))]
        self.worker_arguments = [*map(str, options.get("worker_arguments", ()))]
        self.file = folder / "scheduler.json"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def __enter__(self) -> Self:
        try:
            self.start_scheduler()
            for _ in range(self.n_workers):
                self.start_worker()
            self.await_workers(self.n_workers)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_scheduler(self, port: int = 0) -> None:
        self.file.unlink(missing_ok=True)
        self.scheduler = self._start(
            "scheduler",
            "dask_scheduler",
            [
                "--host",
                self.host,
                "--port",
                port,
                "--scheduler-file",
                self.file,
                *_PLAIN,
                *self.scheduler_arguments,
            ],
        )
        _wait(lambda: self.file.exists() and self.file.read_text().strip().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]

    def start_worker(self, *arguments: object, env: dict[str, str] | None = None) -> int:
        number = len(self.workers)
        self.workers.append(
            self._start(
                f"worker-{number}",
                "dask_worker",
                [
                    *(self.address, "--nthreads", self.threads, "--name", f"w{number}"),
                    *("--local-directory", self.folder / f"w{number}", *_WORKER),
                    *(*self.worker_arguments, *arguments),
                ],
                number=number,
                env=env,
            )
        )
        return number

    def await_workers(self, n: int) -> None:
        def have_come() -> bool:
            logs = [(self.folder / f"worker-{k}.log").read_text() for k in range(len(self.workers))]
            return sum("Registered to:" in log for log in logs) >= n

        _wait(have_come)

    def kill(self, number: int, sign: int = signal.SIGKILL) -> None:
        os.kill(self.workers[number].pid, sign)

    def stop(self) -> None:
        """End all of them; a stopped one takes only SIGKILL."""
        ours = [*self.workers, *([self.scheduler] if self.scheduler else [])]
        for process in ours:
            with suppress(ProcessLookupError):
                process.kill()
        for process in ours:
            process.wait()

    def _start(self, name, module, arguments, number=None, env=None):
        log = (self.folder / f"{name}.log").open("wb")
        prefix = [*self.prefix.get(number if number is not None else "scheduler", ())]
        command = [sys.executable, "-m", f"distributed.cli.{module}"]
        command = [*prefix, *command, *map(str, arguments), *self.arguments]
        with log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **self.env, **(env or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )


def _wait(is_true, timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < end, "it does not come up"
        time.sleep(0.05)
