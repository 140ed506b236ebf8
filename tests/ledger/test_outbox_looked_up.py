"""What is due of the outbox is found at the two ends of its index, however much waits."""

from gateway.desk import outbox
from gateway.desk.outbox import FARTHEST

NOW = 10 * FARTHEST


def plans(story, act):
    """How each statement on the outbox is looked up."""

    def job(tx):
        asked = []
        tx.db.set_trace_callback(asked.append)
        act(tx)
        tx.db.set_trace_callback(None)
        return [row[3] for sql in asked if "outbox" in sql for row in tx.db.execute(f"EXPLAIN QUERY PLAN {sql}")]

    return [plan for plan in story.do(job) if "outbox" in plan]


def test_what_is_due_is_looked_up_at_both_ends_of_the_index(story):
    for act in (
        lambda tx: outbox.is_due(tx.db, "teemo", NOW),
        lambda tx: outbox.read_messages(tx, "teemo", NOW, 5),
        lambda tx: outbox.put_off(tx, "teemo", NOW),
    ):
        found = plans(story, act)
        assert [plan.split("(")[1] for plan in found] == ["recipient=? AND due<?)", "recipient=? AND due>?)"]
        assert all("outbox_due" in plan for plan in found)


def test_both_ends_are_due_and_put_off_and_nothing_between_them(story):
    def job(tx):
        for due in (NOW - 1, NOW + 1, NOW + FARTHEST + 1):
            outbox.queue(tx, "teemo", {"type": "delete"}, due)
        before = len(outbox.read_messages(tx, "teemo", NOW))
        outbox.put_off(tx, "teemo", NOW)
        return before, sorted(due for (due,) in tx.db.execute("SELECT due FROM outbox"))

    assert story.do(job) == (2, [NOW, NOW, NOW + 1])
