"""Real stores on loopback: an S3 server, an SSH server, and a proxy that plays the bad network."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

KEY, SECRET = "AKIASAWLOG", "hunter2hunter2"
WEAK_KEY, WEAK_SECRET = "AKIAWEAK", "swordfish12345"

_WEED = Path(sys.executable).with_name("weed")
WEED = str(_WEED) if _WEED.exists() else shutil.which("weed")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    """Return a port nobody listens on; its own gRPC port of weed is 10,000 above."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port > 50_000:
                continue
            try:
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


class S3Server:
    """SeaweedFS with its S3 gateway; its objects outlive a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        ports = {"master": free_port(), "volume": free_port(), "filer": free_port()}
        self._ports = [self.port, *ports.values()]
        (folder / "data").mkdir(parents=True)
        identities = [
            {
                "name": "owner",
                "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            },
            {
                "name": "weak",
                "credentials": [{"accessKey": WEAK_KEY, "secretKey": WEAK_SECRET}],
                "actions": ["Read:other", "List:other"],
            },
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        self._command = [
            WEED, f"-logdir={folder}", "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.port={self.port}",
            f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-s3.iam=false", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
            "-volume.max=50", *(f"-{name}.port={port}" for name, port in ports.items()),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.url, timeout=5)
            except urllib.error.HTTPError as answer:
                answer.close()
                return  # it answers, and wants credentials
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    text = (self.folder / "weed.log").read_text(errors="replace")
                    raise RuntimeError(text[-2000:]) from None
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop it at once; it would take fifteen seconds to say goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            for port in self._ports:  # weed leaves its sockets in a folder that it can't be told
                for name in (f"seaweedfs-*-{port + 10_000}.sock", f"seaweedfs-*-{port}.sock"):
                    for socket_file in Path("/tmp").glob(name):
                        socket_file.unlink(missing_ok=True)

    def pause(self, seconds: float) -> None:
        """Let it hang."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def client(self):
        """Return a file system of its owner."""
        import s3fs

        return s3fs.S3FileSystem(
            key=KEY, secret=SECRET, endpoint_url=self.url, use_listings_cache=False
        )


@contextlib.contextmanager
def serving(folder: Path, objects: Path):
    """An S3 server whose bucket ``logs`` holds the files of a folder below ``mx1``."""
    server = S3Server(folder)
    try:
        server.start()
        client = server.client()
        client.mkdir("logs")
        for path in sorted(objects.glob("maillog*")):
            client.put_file(str(path), f"logs/mx1/{path.name}")
        yield server
    finally:
        server.stop()


def access(url: str, key: str = KEY, secret: str = SECRET) -> list[str]:
    """Return the options of a command that reads from a server."""
    return [
        f"--storage-option={pair}"
        for pair in (f"endpoint_url={url}", f"key={key}", f"secret={secret}")
    ]


class SshServer:
    """An OpenSSH server with keys of its own, which knows one key and serves SFTP."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.folder = folder
        self.port = free_port()
        for name in ("host", "user", "other"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
            )
        self.user_key = folder / "user"
        self.known_hosts = self._write_known("known_hosts", "host")
        self.wrong_hosts = self._write_known("wrong_hosts", "other")
        shutil.copy(folder / "user.pub", folder / "authorized")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder / 'host'}\n"
            f"AuthorizedKeysFile {folder / 'authorized'}\nPidFile {folder / 'pid'}\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
            "Subsystem sftp internal-sftp\nMaxStartups 100\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it
        self._process: subprocess.Popen[bytes] | None = None

    def _write_known(self, name: str, key: str) -> Path:
        kind, text, *_ = (self.folder / f"{key}.pub").read_text().split()
        path = self.folder / name
        path.write_text(f"[127.0.0.1]:{self.port} {kind} {text}\n")
        return path

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", self.folder / "sshd_config"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as one:
                    if one.recv(4) == b"SSH-":
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "sshd.log").read_text()[-2000:])
            time.sleep(0.05)

    def drop_all(self) -> None:
        """End every session, as a restart of the machine does."""
        parent = self._process.pid
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    os.kill(int(entry.name), 9)

    def stop(self) -> None:
        """Stop it, sessions and all."""
        if self._process is not None:
            self.drop_all()
            self._process.terminate()
            self._process.wait(15)
            self._process = None


class Proxy:
    """Passes connections on to a port; may wait, cut answers short, and do something in between.

    Attributes
    ----------
    delay_s : float
        Waited before what a client sent is passed on, so once a request.
    cuts : list of int
        Of each of the next connections that answer: bytes after which it is cut.
    n_passed : int
        Bytes of answers so far.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.delay_s = 0.0
        self.cuts: list[int] = []
        self.n_cut = 0
        self.n_passed = 0
        self._at: tuple[int, object] | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_closed = False
        self.port = 0
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def after(self, n_bytes: int, action) -> None:
        """Call ``action`` once, before more than so many further bytes of answers have passed."""
        with self._lock:
            self._at = self.n_passed + n_bytes, action

    def drop_all(self) -> None:
        """Cut every connection."""
        with self._lock:
            connections, self._open = self._open, set()
        for one in connections:
            _end(one)

    def go_away(self, seconds: float) -> None:
        """Cut every connection and refuse new ones, as where the server's process is gone."""
        self.close()
        time.sleep(seconds)
        self._is_closed = False
        self._listen()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._is_closed = True
        _end(self._listener)
        self.drop_all()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port), 10)
            except OSError:
                _end(client)
                continue
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._pass_up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pass_down, args=(server, client), daemon=True).start()

    def _pass_up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(1 << 16):
                time.sleep(self.delay_s)
                server.sendall(piece)
        _end(client), _end(server)

    def _pass_down(self, server: socket.socket, client: socket.socket) -> None:
        left = None
        with contextlib.suppress(OSError):
            while piece := server.recv(1 << 16):
                with self._lock:
                    if left is None and self.cuts:
                        left = self.cuts.pop(0)
                    due = (
                        self._at if self._at and self.n_passed + len(piece) > self._at[0] else None
                    )
                    if due:
                        self._at = None
                if due:
                    due[1]()
                if left is not None and len(piece) > left:
                    client.sendall(piece[:left])
                    self.n_cut += 1
                    break
                left = None if left is None else left - len(piece)
                client.sendall(piece)
                with self._lock:
                    self.n_passed += len(piece)
        _end(client), _end(server)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
