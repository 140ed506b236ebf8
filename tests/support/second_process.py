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
        self.pipe.send((installation.folder, installation.clock.now, act, arguments))
        result, error = self.pipe.recv()
        if error is not None:
            raise error
        return result

    def end(self):
        self.pipe.send(None)
        self.process.join(10)
        self.process.close()
        self.pipe.close()


def _serve(pipe):
    while (asked := pipe.recv()) is not None:
        folder, now, act, arguments = asked
        clock = Clock()
        clock.now = now
        try:
            with contextlib.closing(Installation(folder, clock)) as here:
                pipe.send((getattr(here, act)(*arguments), None))
        except Exception as error:
            pipe.send((None, error))
