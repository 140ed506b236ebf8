"""The gateway with one fault: a state is gone on with whatever log it says that it follows."""

from gateway.app import state_keeper
from gateway.cli import main
from gateway.state import upkeep
from gateway.state.lookup import prove_made_here
from support import under_nemesis


def trusts(head, _, epoch):
    prove_made_here(head, epoch)


upkeep.prove_follows = state_keeper.prove_follows = trusts

if __name__ == "__main__":
    under_nemesis.serve()
    main()
