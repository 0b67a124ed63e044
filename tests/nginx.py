"""nginx for the tests, with the configuration that deploy/ ships.

The program is the machine's: the one that `DLS_NGINX` names, else `nginx` on PATH. Where there is
none, tests are skipped with the reason; with `CI=true` they fail.

Of the configuration only this is another: the ports, the servers' places, the folder for what nginx
writes, and for TLS what its comments say. Of the three servers that it names, those that the test
has not are addresses that refuse connections.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import trustme

from tests.children import tied
from tests.node import missing
from tests.redis_servers.ports import unused_port
from tests.waiting import until

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx.conf"

_SBIN = "/usr/sbin:/usr/local/sbin"


def require_nginx() -> str:
    """The program. Skips the test, or fails it in CI, where there is none."""
    named = os.environ.get("DLS_NGINX")
    program = shutil.which(named or "nginx", path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if program is None:
        missing("nginx is needed: apt-get install nginx, or set DLS_NGINX to its path")
    return program


class Nginx:
    """One nginx in the foreground. As an async context manager it is running, and gone at the end.

    Args:
        folder: where it gets a folder of its own.
        servers: the ports of the servers on 127.0.0.1, three at the most.
        tls: it takes TLS as well, with a certificate of a CA whose certificate is the file `ca`.
        path: it serves below this path, as in docs/deployment.md.
        strips: it hands requests on without that path.
        outer: the network of another proxy in front of it, or "".

    Attributes:
        url: where it takes plain requests.
        tls_url: where it takes TLS.
        tls_port: the port of that.
    """

    def __init__(
        self,
        folder: Path,
        servers: Sequence[int],
        *,
        tls: bool = False,
        path: str = "",
        strips: bool = False,
        outer: str = "",
    ) -> None:
        self._program = require_nginx()
        self._folder = folder / "nginx"
        self._folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        port, self.tls_port = unused_port(), unused_port()
        self.url = f"http://127.0.0.1:{port}"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}"
        self.ca = self._folder / "ca.pem"
        text = CONFIGURATION.read_text()
        if tls:
            text = re.sub(r"^(\s*)#tls ", r"\1", text, flags=re.MULTILINE)
            self._make_certificate()
        if outer:
            text = re.sub(r"^(\s*)#outer ", r"\1", text, flags=re.MULTILINE)
            text = text.replace("192.0.2.0/24", outer)
        text = _below(text, path, strips)
        places = [*servers, *(unused_port() for _ in range(3 - len(servers)))]
        changes = {
            "listen 8080": f"listen 127.0.0.1:{port}",
            "listen 8443": f"listen 127.0.0.1:{self.tls_port}",
            " /tmp": f" {self._folder}",
            "/etc/nginx/tls": str(self._folder),
        } | {f"server-{i}:8000": f"127.0.0.1:{place}" for i, place in enumerate(places, 1)}
        for shipped, here in changes.items():
            assert shipped in text, f"nginx.conf has no {shipped!r} any more"
            text = text.replace(shipped, here)
        (self._folder / "nginx.conf").write_text(text)

    @property
    def complaints(self) -> str:
        """What it has said about itself."""
        return (self._folder / "stderr").read_text(errors="replace")

    async def __aenter__(self) -> Self:
        settings = "daemon off; master_process off;"  # a worker would outlive a killed master
        if os.geteuid() == 0:
            settings += f" user {getpass.getuser()};"  # its workers would have another parent
        command = [self._program, "-c", str(self._folder / "nginx.conf"), "-e", "stderr"]
        with (self._folder / "stdout").open("ab") as out, (self._folder / "stderr").open("ab") as e:
            self._process = subprocess.Popen(
                tied([*command, "-g", settings]), stdin=subprocess.DEVNULL, stdout=out, stderr=e
            )
        try:
            await until(self._listens, what="nginx to listen")
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it, and what it still serves."""
        process = self._process
        if process is None:
            return
        process.terminate()
        await until(lambda: process.poll() is not None, what="the end of nginx")

    async def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"nginx ended:\n{self.complaints}"
        host, _, port = self.url.removeprefix("http://").partition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        return True

    def _make_certificate(self) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(self.ca)
        certificate.private_key_pem.write_to_path(self._folder / "privkey.pem")
        for part in certificate.cert_chain_pems:
            part.write_to_path(self._folder / "fullchain.pem", append=True)


def _below(text: str, path: str, strips: bool) -> str:
    """The configuration for a part of a site: its three locations begin with the path."""
    for location in ("location /", "location /api/", "location = /api/chat"):
        kind, _, where = location.rpartition(" ")
        old = f"{location} {{\n            proxy_pass http://servers;"
        assert old in text
        target = f"http://servers{where}" if strips else "http://servers"
        text = text.replace(old, f"{kind} {path}{where} {{\n            proxy_pass {target};")
    return text
