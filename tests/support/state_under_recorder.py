"""A process that keeps a state while it is recorded: python -m support.state_under_recorder FOLDER RECORDS.

It folds some records, stops cleanly, goes on, makes a copy, and so on to the end.
"""

import pickle
import sys
from pathlib import Path

from gateway.state import upkeep
from gateway.state.upkeep import HostState
from support.states import ListedLog

STEP, FEW = 12, 5  # records of one turn, and of one transaction


def lived(folder, records):
    upkeep.SLICE = FEW
    state, log = HostState(folder), ListedLog()
    for number, at in enumerate(range(0, len(records), STEP)):
        log.extend(records[at : at + STEP])
        state.catch_up(log)
        if number % 3 == 0:
            state.stop()
        if number % 5 == 2:
            state.copy()
    state.close()


if __name__ == "__main__":
    lived(Path(sys.argv[1]), pickle.loads(Path(sys.argv[2]).read_bytes()))
