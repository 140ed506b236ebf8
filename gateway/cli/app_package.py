"""The client for apps as a package of npm, made here of `static/sdk` so that an installation without npm can hand it
out; `gateway recipe` prints it.
"""

import gzip
import io
import tarfile

import orjson

from gateway.web.shell.page import static

FOLDER = "sdk"
ALWAYS = ("package.json", "README.md", "LICENSE")  # npm packs these whatever `files` names
MOMENT = 499_162_500  # 26 October 1985, as npm dates every file: the same content is the same archive


def packed_client() -> bytes:
    """A .tgz as `npm pack` makes it, with each file below `package/`."""
    archive = io.BytesIO()
    names = (*ALWAYS, *orjson.loads(static(f"{FOLDER}/package.json"))["files"])
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            content = static(f"{FOLDER}/{name}")
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mtime, entry.mode = len(content), MOMENT, 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(archive.getvalue(), mtime=0)
