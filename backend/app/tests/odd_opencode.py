"""A stand-in binary for tests of the process: answers --version and /global/health, and misbehaves as ordered.

Orders come by the environment variable ODD: `deaf` ignores SIGTERM, `dying` ends while it starts,
`brief` ends half a second after its start,
`slow` answers only after a second, `litter` leaves a child behind that has its own session.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

VERSION = os.environ.get("ODD_VERSION", "1.18.33")
BORN = time.monotonic()


class Handler(http.server.BaseHTTPRequestHandler):
    """Health, and an empty list of providers."""

    def do_GET(self) -> None:
        """Answer as JSON."""
        if "slow" in os.environ.get("ODD", "") and time.monotonic() - BORN < 1:
            time.sleep(10)
        known = {"/global/health": {"healthy": True, "version": VERSION}, "/config/providers": {"providers": []}}
        body = json.dumps(known.get(self.path, {})).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def main() -> None:
    """Do what the command line of OpenCode would do."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"{VERSION}\n")
        return
    orders = os.environ.get("ODD", "")
    if "dying" in orders:
        sys.exit(3)
    if "deaf" in orders:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "litter" in orders:
        child = subprocess.Popen(["sleep", "300"], start_new_session=True)
        Path("litter.pid").write_text(str(child.pid))
    Path("environment.json").write_text(json.dumps(dict(os.environ)))
    with Path("starts").open("a") as starts:
        starts.write(f"{time.time()}\n")
    if "brief" in orders:
        threading.Timer(0.5, os._exit, [1]).start()
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
