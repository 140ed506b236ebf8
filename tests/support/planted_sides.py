"""Words of a ledger that somebody changes where they stand beside the entries, as whoever has the file could."""

from gateway.fold import record as told
from gateway.fold.record import Record
from gateway.ledger.log_records import SAY, all_sides, rewrite_sides, sides_of_entries
from gateway.ledger.side import add_mentions, all_mentions, led_by, mentioned, pack_mention, pack_side
from support.led import led_otherwise


def said_otherwise(word, seq=None, **fields):
    """Of the first record that has such a word (of an entry): with other fields. A step for `tampering.tamper`."""

    def change(db):
        rows = sides_of_entries(db, [seq]) if seq is not None else all_sides(db)
        row, record = next((row, each) for row in rows for each in row.records() if isinstance(each.said, word))
        values = {name: make(db, record) if callable(make) else make for name, make in fields.items()}
        other = record._replace(said=record.said._replace(**values))
        return len(list(rewrite_sides(db, [row], lambda _, each: other if each == record else each)))

    return change


def unsaid(word, seq=None):
    """The first record that has such a word is gone."""

    def change(db):
        rows = sides_of_entries(db, [seq]) if seq is not None else all_sides(db)
        row, record = next((row, each) for row in rows for each in row.records() if isinstance(each.said, word))
        return len(list(rewrite_sides(db, [row], lambda _, each: None if each == record else each)))

    return change


def said_too(seq, said, key=None):
    """Something more beside an entry: of its own person, or of a key."""

    def change(db):
        [row] = sides_of_entries(db, [seq])
        its = row.records()
        [whose] = db.execute("SELECT key FROM detail WHERE seq = ?", (seq,)).fetchone() if key is None else [key]
        more = Record(seq, row.side.at, whose, said(whose) if callable(said) and not isinstance(said, tuple) else said)
        packed = pack_side([*its, more], row.side.at, row.side.peppers)
        add_mentions(db, {pack_mention(*each, row.place) for each in mentioned(more)} - {*all_mentions(db)})
        return db.execute("UPDATE side SET packed = ? WHERE place = ?", (packed, row.place)).rowcount

    return change


def swapped(one, other):
    """Two entries are told each in the place of the other."""

    def change(db):
        sql = "SELECT place FROM side WHERE seq = ? AND entered"
        [first], [second] = (db.execute(sql, (seq,)).fetchone() for seq in (one, other))
        for was, now in ((first, 0), (second, first), (0, second)):
            db.execute("UPDATE side SET place = ? WHERE place = ?", (now, was))
            led_otherwise(lambda each, was=was, now=now: (*each[:2], now if each[2] == was else each[2]))(db)
        return 1

    return change


def told_again(seq, as_if=None):
    """An entry's row once more behind all others; `as_if`: of another entry."""

    def change(db):
        db.execute("DROP INDEX side_entry")
        [row] = sides_of_entries(db, [seq])
        [last] = db.execute("SELECT max(place) FROM side").fetchone()
        its, of = row.records(), seq if as_if is None else as_if
        db.execute(SAY, (last + 1, of, True, pack_side(its, row.side.at, row.side.peppers)))
        add_mentions(db, led_by(last + 1, its))
        return 1

    return change


def told_at(seq, at):
    """A row that says another time before all that it tells, which has its own times as before."""

    def change(db):
        [row] = sides_of_entries(db, [seq])
        packed = pack_side(row.records(), at, row.side.peppers)
        return db.execute("UPDATE side SET packed = ? WHERE place = ?", (packed, row.place)).rowcount

    return change


def told_earlier(milliseconds):
    """Everything was said so long before."""

    def change(db):
        for row in list(all_sides(db)):
            records = [each._replace(at=each.at - milliseconds) for each in row.records()]
            packed = pack_side(records, row.side.at - milliseconds, row.side.peppers)
            db.execute("UPDATE side SET packed = ? WHERE place = ?", (packed, row.place))
        return db.execute("UPDATE detail SET at = at - ?", (milliseconds,)).rowcount

    return change


def names_of(db, key):
    """The exact names that were learnt of a key."""
    records = (each for row in all_sides(db) for each in row.records())
    return [
        name
        for each in records
        if each.key == key and isinstance(each.said, told.NamesLearnt)
        for name in each.said.same
    ]
