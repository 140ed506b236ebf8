"""The fold: one record, and what it changes. Called by whoever follows the log: replay, `gateway verify`, the tests;
later the folder of each host, restore and replicas.
"""

from typing import Any

from gateway.fold import links, noes, said
from gateway.fold.record import (
    ActUsed,
    AgeTold,
    ChildFound,
    GrantSaid,
    KeptAge,
    KeptEnd,
    KeptNo,
    KeptNotice,
    KeptRevoked,
    LinkOver,
    LinkSaid,
    NamesLearnt,
    NoticeGiven,
    Record,
    Released,
    SaidIn,
    SaidOut,
    ScreenVoided,
    StateSaid,
)
from gateway.fold.state import Get, Place, Slate

ACTS: dict[type, Any] = {
    SaidOut: noes.fold_out,
    SaidIn: noes.fold_in,
    ScreenVoided: noes.fold_screen,
    LinkSaid: links.fold_link,
    LinkOver: links.fold_over,
    Released: links.fold_release,
    NamesLearnt: links.fold_names,
    StateSaid: said.fold_state,
    AgeTold: said.fold_age,
    ChildFound: said.fold_child,
    NoticeGiven: said.fold_notice,
    GrantSaid: said.fold_grant,
    ActUsed: said.fold_use,
    KeptNo: said.fold_kept_no,
    KeptEnd: said.fold_kept_end,
    KeptRevoked: said.fold_kept_revoked,
    KeptAge: said.fold_kept_age,
    KeptNotice: said.fold_kept_notice,
}


def fold(record: Record, get: Get) -> dict[Place, Any]:
    """What the record changes, by place; nothing where it says nothing new. `get` gives what lies at a place before it,
    or None.
    """
    slate = Slate(get)
    ACTS[type(record.said)](slate, record, record.said)
    return slate.changes
