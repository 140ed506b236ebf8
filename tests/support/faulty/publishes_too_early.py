"""The gateway with one fault: the last checkpoint is stored before the entries under it are committed."""

from gateway.cli import main
from gateway.ledger.publisher import Publisher
from gateway.ledger.transaction import Transaction

publishers = []
began, honest = Publisher.__init__, Transaction.write_head


def begin(self, *arguments):
    began(self, *arguments)
    publishers.append(self)


def write_head(self):
    honest(self)
    publishers[-1].publish(self.db)


Publisher.__init__ = begin
Transaction.write_head = write_head

if __name__ == "__main__":
    main()
