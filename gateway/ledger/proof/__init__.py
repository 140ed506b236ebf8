"""What anybody can check without the gateway: the public bytes of an entry, the Merkle tree, signed notes, receipts."""
