"""A local HTTP receiver that stands for Teemo. It is a process of its own, so that it can be killed.

    python -m support.receiver PORT FILE IGNORE_IDS SLOW TIMED

Every accepted row is appended to FILE, one JSON line, and synced before the answer. It drops rows that it already
has (read from FILE at start), unless told to ignore what tells them apart: the control. Timed, a line has
beside that and whom it is of when its request began to arrive, and nothing else.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock


def serve(port: int, path: Path, ignore_ids: bool, slow: float, timed: bool) -> None:
    lock = Lock()
    text = path.read_text() if path.exists() else ""
    path.write_text(text := text[: text.rfind("\n") + 1])  # one that was killed in a line had not answered for it
    have = {json.loads(line)["row"] for line in text.splitlines()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            began = time.time()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            rows = [json.loads(line) for line in body.splitlines()]
            with lock, path.open("a") as out:
                for row in rows:
                    if ignore_ids or row["row"] not in have:
                        out.write(
                            json.dumps({"row": row["row"], "ad_id": row["ad_id"], "began": began} if timed else row)
                            + "\n"
                        )
                        have.add(row["row"])
                out.flush()
                os.fsync(out.fileno())
            time.sleep(slow)
            self._answer()

        def do_GET(self):
            self._answer()

        def _answer(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


@dataclass
class Receiver:
    port: int
    path: Path
    ignore_ids: bool = False
    slow: float = 0.0
    timed: bool = False
    process: subprocess.Popen | None = None

    def start(self) -> "Receiver":
        arguments = [str(self.port), str(self.path), str(int(self.ignore_ids)), str(self.slow), str(int(self.timed))]
        here = Path(__file__).parent.parent
        self.process = subprocess.Popen([sys.executable, "-m", "support.receiver", *arguments], cwd=here)
        for _ in range(1200):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10).close()
                return self
            time.sleep(0.05)
        raise AssertionError("the receiver does not answer")

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def rows(self) -> list[dict]:
        """Those that are whole: it may be writing."""
        text = self.path.read_text() if self.path.exists() else ""
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1", float(sys.argv[4]), sys.argv[5] == "1")
