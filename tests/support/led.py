"""What leads from keys to the rows of the log, as tests look at it and change it behind the gateway's back."""

from gateway.ledger.side import add_mentions, all_mentions, pack_mention, read_mention, remove_mentions


def led(db):
    """(key, way, place) of all that lies there."""
    return {tuple(read_mention(each)) for each in all_mentions(db)}


def led_otherwise(change):
    """`change` says of each mention what it is instead; None: it is gone. Returns how many are others."""

    def changed(db):
        before = led(db)
        after = {each for each in map(change, before) if each is not None}
        remove_mentions(db, [pack_mention(*each) for each in before - after])
        add_mentions(db, [pack_mention(*each) for each in after - before])
        return len(before ^ after)

    return changed


def leads_nowhere(seq):
    """From whoever an entry is about."""
    return _of_entry(seq, lambda _: None)


def leads_elsewhere(seq):
    """To the row behind."""
    return _of_entry(seq, lambda each: (*each[:2], each[2] + 1))


def _of_entry(seq, change):
    def changed(db):
        [key] = db.execute("SELECT key FROM detail WHERE seq = ?", (seq,)).fetchone()
        return led_otherwise(lambda each: change(each) if each[0] == key else each)(db)

    return changed
