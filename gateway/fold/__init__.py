"""The fold: what stands of an identifier, made from the records of the log one after the other (`gateway help fold`).
Called by who keeps the state behind the log and by `gateway verify`. Pure: it knows no pepper, clock or database.
"""

from typing import Any

from gateway.fold import facts, links, noes, record
from gateway.fold.record import Record
from gateway.fold.state import Get, Place, Slate

ACTS: dict[type, Any] = {
    record.SaidOut: noes.fold_out,
    record.OrderOver: noes.fold_order_over,
    record.SaidPruned: noes.fold_pruned,
    record.SaidIn: noes.fold_in,
    record.ScreenVoided: noes.fold_screen,
    record.LinkSaid: links.fold_link,
    record.Released: links.fold_release,
    record.NamesLearnt: links.fold_names,
    record.StateSaid: facts.fold_state,
    record.AgeTold: facts.fold_age,
    record.ChildFound: facts.fold_child,
    record.NoticeGiven: facts.fold_notice,
    record.NoticeBounced: facts.fold_bounce,
    record.GrantSaid: facts.fold_grant,
    record.ActUsed: facts.fold_use,
    record.KeptNo: facts.fold_kept_no,
    record.KeptEnd: facts.fold_kept_end,
    record.KeptRevoked: facts.fold_kept_revoked,
    record.KeptAge: facts.fold_kept_age,
    record.KeptNotice: facts.fold_kept_notice,
}


def fold(said: Record, get: Get) -> dict[Place, Any]:
    """What a record changes, by place; nothing where it says nothing new. `get` gives what lay there, or None."""
    slate = Slate(get)
    ACTS[type(said.said)](slate, said, said.said)
    if place := getattr(said.said, "place", ""):
        facts.fold_place(slate, said.key, place)
    return slate.changes
