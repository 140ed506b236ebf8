"""A second process on the same data folder: it opens what it is shown, does one thing, and closes it again."""

import contextlib
import multiprocessing

from support.installation import Clock, Installation


class SecondProcess:
    """Started once, asked often: starting takes longer than all that it does."""

    def __init__(self):
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()

    def __call__(self, installation, act, *arguments):
        """What a verb of `Installation` gives there; raises what it raises there."""
        return self._ask(_do, (installation.folder, installation.clock.now, act, arguments))

    def lying_in(self, folder, markers):
        """Which of these lie in the raw files. Whoever has them open must not read them so: closing a file drops all
        locks that its process has on it.
        """
        return self._ask(_search, (folder, markers)) if markers else []

    def _ask(self, *asked):
        self.pipe.send(asked)
        result, error = self.pipe.recv()
        if error is not None:
            raise error
        return result

    def end(self):
        self.pipe.send(None)
        self.process.join(120)
        self.process.close()
        self.pipe.close()


def _serve(pipe):
    while (asked := pipe.recv()) is not None:
        doing, arguments = asked
        try:
            answer = doing(*arguments), None
        except Exception as error:
            answer = None, error
        pipe.send(answer)


def _do(folder, now, act, arguments):
    clock = Clock()
    clock.now = now
    with contextlib.closing(Installation(folder, clock)) as here:
        return getattr(here, act)(*arguments)


def _search(folder, markers):
    raw = b"".join(path.read_bytes() for path in folder.glob("*.sqlite3*"))
    return [marker for marker in markers if marker in raw]
