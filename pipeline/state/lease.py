"""One run at a time on a state: a lock where the system has such, else an object with an owner.

An object can't keep others out by itself: a run that stood still for long, or a store that pays no
heed to conditions, may let two begin. So whoever finds the lease with another owner ends before it
writes the ledger, and entries of the journal name the one before (`ledger`): what two runs wrote
is never put together.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import StateError
from pipeline.state.places import NEW, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.state.places import Place

#: A lease that was not renewed for so long is that of a dead run.
LEASE_S = 300.0
#: Where writes can't be tied to a condition: of several that begin at once the last one has it.
_SETTLE_S = 1.0
_NAME = "lease"


@contextlib.contextmanager
def lock_folder(url: str, root: str) -> Iterator[None]:
    """Lock a file: the system frees it when the process ends, however it ends.

    Raises
    ------
    StateError
        Another run has it, or there can't be one.
    """
    import fcntl

    try:
        try:
            file = open(f"{root}/lock", "a+b")  # noqa: PTH123, SIM115
        except FileNotFoundError:
            os.makedirs(root, mode=0o700, exist_ok=True)  # noqa: PTH103
            file = open(f"{root}/lock", "a+b")  # noqa: PTH123, SIM115
    except OSError as error:
        raise StateError(f"{url} can't be used: {error}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read(200).decode(errors="replace") or "another run"
            raise StateError(_busy(url, owner)) from None
        file.truncate(0)
        file.write(_me().encode())
        file.flush()
        yield


class Lease:
    """An object that says who works on a state, renewed as long as that lasts.

    Parameters
    ----------
    url : str
        Of the state, for messages.
    place : Place
        Where it lies.
    """

    def __init__(self, url: str, place: Place) -> None:
        self._url = url
        self._place = place
        self._token = os.urandom(16).hex()
        self._mark: str | None = None
        self._renewed = 0.0
        self._is_lost = False

    @contextlib.contextmanager
    def held(self) -> Iterator[Lease]:
        """Take it, renew it, give it back.

        Raises
        ------
        StateError
            Another run has it, or the store can't be used.
        """
        try:
            self._take()
        except OSError as error:
            raise StateError(f"{self._url} can't be used: {error}") from None
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(LEASE_S / 5):
                with contextlib.suppress(OSError):
                    self._renew()

        thread = threading.Thread(target=renew, daemon=True, name="sawlog-lease")
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()
            self._give_back()

    def check(self) -> None:
        """Make sure that it is still this run's; before what can't be undone.

        Raises
        ------
        StateError
            It is not: another run has taken over.
        """
        try:
            owner = self._read()
        except OSError as error:
            raise StateError(f"{self._url} can't be used: {error}") from None
        if self._is_lost or (owner or {}).get("token") != self._token:
            by = (owner or {}).get("by", "another run")
            raise StateError(
                f"{self._url} was taken over by {by} meanwhile; what this run found is left out, "
                "and found again by the next"
            )

    def _take(self) -> None:
        owner = self._read()
        if owner is not None and not _is_over(owner):
            raise StateError(_busy(self._url, str(owner.get("by"))))
        only = NEW if owner is None else self._mark
        try:
            self._write(only)
            if self._place.is_conditional:
                return
        except RefusedError:
            pass  # another one was faster; or the answer was lost, and it was asked for again
        else:
            time.sleep(_SETTLE_S)
        owner = self._read()
        if (owner or {}).get("token") != self._token:
            raise StateError(_busy(self._url, str((owner or {}).get("by", "another run"))))

    def _renew(self) -> None:
        if (self._read() or {}).get("token") != self._token:
            self._is_lost = True
            return
        try:
            self._write(self._mark)
        except RefusedError:
            # An answer that was lost, or another owner.
            self._is_lost = (self._read() or {}).get("token") != self._token

    def _give_back(self) -> None:
        with contextlib.suppress(OSError):
            is_recent = 0 <= time.time() - self._renewed < LEASE_S / 2 and not self._is_lost
            if (is_recent and self._place.is_conditional) or (self._read() or {}).get(
                "token"
            ) == self._token:
                self._place.delete([_NAME])

    def _write(self, only: str | None) -> None:
        self._renewed = time.time()
        held = {"by": _me(), "token": self._token, "at": self._renewed, "process": _process()}
        self._mark = self._place.write(_NAME, json.dumps(held).encode(), only)

    def _read(self) -> dict[str, Any] | None:
        """Return what the lease says; None where there is none. An empty one says nothing."""
        try:
            text, self._mark = self._place.read(_NAME)
        except FileNotFoundError:
            return None
        try:
            held = json.loads(text)
        except ValueError:
            return {}
        return held if isinstance(held, dict) else {}


def _is_over(owner: dict[str, Any]) -> bool:
    """Tell whether a lease has ended: not renewed in time, or its process is gone from here."""
    at = owner.get("at", 0)
    if not isinstance(at, (int, float)) or time.time() - at >= LEASE_S:
        return True
    process = owner.get("process")
    here = _process()
    if not (isinstance(process, list) and len(process) == 3 and here and process[0] == here[0]):
        return False
    return bool(_begin_of(process[1]) != process[2])


def _process() -> list[Any] | None:
    """Return what tells this process from all others: where it runs, its number, its begin."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Numbers of processes hold within a namespace only: each container has its own.
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        return None
    return [f"{boot} {space}", os.getpid(), _begin_of(os.getpid())]


def _begin_of(pid: Any) -> str | None:
    try:
        return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, ValueError, IndexError):
        return None


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _busy(url: str, owner: str) -> str:
    return f"{url} is in use by {owner}: wait for it to end, or give this run a state of its own"
