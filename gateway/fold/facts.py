"""What is said beside a no and a yes: states, ages, notices, grants, a child that was found; and what stays with others
of somebody who is forgotten.
"""

from gateway.choice.law import AGES
from gateway.choice.place import is_named, is_state
from gateway.fold import record as told
from gateway.fold.kin import family, own_names, roots
from gateway.fold.noes import cover_edge, cover_own, end_yes, fold_out, leave_down, said_alike
from gateway.fold.reading import is_child
from gateway.fold.record import EVERYBODY, GrantName, KeyAge, Record
from gateway.fold.state import NO_RECORD, SEVERAL, Bit, Cover, GrantGiven, Slate, StateName, denied_by_state
from gateway.terms import CHOOSABLE, GrantKind, NoticeKind, Purpose

MOST_PLACES = 64  # of one identifier, as they were said


def fold_state(slate: Slate, record: Record, said: told.StateSaid) -> None:
    """The same source ends what it says, in the same installation; what speaks for the id itself ends all of it."""
    if said.began:
        began = {(said.source, said.mark, each): () for each in denied_by_state(said.source, said.purposes)}
        slate.put(record.key, states={**slate.row(record.key).states, **began})
        return
    row = slate.row(record.key)
    if len(row.targets) > 1:
        return  # a digest of several identifiers does not speak for them
    over = set(roots(slate, record.key))
    for name in own_names(slate, record.key):
        states, its = slate.row(name).states, set(roots(slate, name))
        left = {
            state: tuple(sorted({*ended, *over})) if _ends(said, state) else ended
            for state, ended in states.items()
            if not (_ends(said, state) and its <= {*ended, *over})
        }
        if left != states:
            slate.put(name, states=left)


def _ends(said: told.StateSaid, state: StateName) -> bool:
    return state[0] == said.source and said.mark in {"", state[1]}


def fold_age(slate: Slate, record: Record, said: told.AgeTold) -> None:
    """It never rises by a caller's word, but by the desk's; an installation's word counts for itself."""
    if said.mark:
        _fold_word(slate, record.key, said)
        return
    for name in own_names(slate, record.key):
        age = slate.row(name).age
        if age is None and name == record.key:
            _set_age(slate, name, KeyAge(said.band, said.band))
        elif age is not None and (said.may_rise if _younger(age.band, said.band) != said.band else name == record.key):
            _set_age(slate, name, KeyAge(said.band, _younger(age.youngest, said.band)))


def _fold_word(slate: Slate, key: bytes, said: told.AgeTold) -> None:
    words = slate.row(key).words
    left = {mark: band for mark, band in words.items() if said.mark not in {mark, EVERYBODY}}
    slate.put(key, words={**left, said.mark: said.band} if said.band else left)


def leave_facts(slate: Slate, account: bytes, member: bytes) -> None:
    """The age and the places that an identifier had got from an account whose link ends are its own from now on: it is
    in the same hands, and nobody gets older by it, or out of their law.
    """
    row = slate.row(account)
    if (had := row.age) is not None:
        own = slate.row(member).age or had
        _set_age(slate, member, KeyAge(_younger(own.band, had.band), _younger(own.youngest, had.youngest)))
    fold_place(slate, member, ",".join(row.places))


def _set_age(slate: Slate, key: bytes, age: KeyAge) -> None:
    before = slate.row(key).age
    if before is None or not before.fixed:
        slate.put(key, age=age)
        if before is not None and before.band == AGES[0] != age.band:
            _ask_again(slate, key)


def _ask_again(slate: Slate, key: bytes) -> None:
    """Whoever was a child by an age on record, as all who read it, says each yes again (R14). A parent's
    stays in the row and is good for a child alone: the verdict sees to that.
    """
    members = (member for member in slate.row(key).members if slate.edge(key, member).lives())
    for each in family(slate, key).union(*(family(slate, member) for member in members)):
        row = slate.row(each)
        ins = {purpose: allowed for purpose, allowed in row.ins.items() if allowed.parental}
        grants = {name: given._replace(child=name.kind is not GrantKind.DIRECTED) for name, given in row.grants.items()}
        if (ins, grants) != (row.ins, row.grants):
            slate.put(each, ins=ins, grants=grants)


def fold_place(slate: Slate, key: bytes, place: str) -> None:
    """Where somebody said that they are adds to all that they said before: nobody loosens a law by naming another
    place (R13). States and countries always do; of parts of other countries, which anybody can make up, the country
    once there are many.
    """
    places = before = slate.row(key).places
    for each in filter(is_named, place.split(",")):
        stays = len(places) < MOST_PLACES or is_state(each)
        if (name := each if stays else each.partition("-")[0]) not in places:
            places = (*places, name)
    if places != before:
        slate.put(key, places=places)


def _younger(one: str, other: str) -> str:
    return min(one, other, key=AGES.index)


def fold_child(slate: Slate, record: Record, _: told.ChildFound) -> None:
    """On an identifier and its names, and on all that an account has by more than an app's word."""
    fold_out(slate, record, told.SaidOut(CHOOSABLE, ""))
    for key in _reached(slate, record):
        slate.put(key, age=KeyAge(AGES[0], AGES[0], fixed=True))


def _reached(slate: Slate, record: Record, at: int | None = None, *, had: bool = False) -> set[bytes]:
    """The names of an identifier; of an account all that it has. `had`: also what it had, whoever claims it now, unless
    that was given back since, by which whatever lay there went.
    """
    found = family(slate, record.key)
    for member in slate.row(record.key).members:
        edge = slate.edge(record.key, member)
        if edge.carries(at) or (had and edge.whole >= slate.row(member).since):
            found |= family(slate, member)
    return found


def fold_notice(slate: Slate, record: Record, said: told.NoticeGiven) -> None:
    """Written to each key that an account has then: whoever is linked later was not told. The later day wins."""
    for key in _reached(slate, record, at=record.at):
        _put_day(slate, key, said.notice, max(said.day, slate.row(key).told.get(said.notice, 0)))


def fold_bounce(slate: Slate, record: Record, said: told.NoticeBounced) -> None:
    """What came back told nobody: whoever a notice reached was told nothing by that day, also by a link that is over,
    and nobody knows any more of an earlier one, so the day on which everybody was told counts. A later one stays.
    """
    for key in _reached(slate, record, had=True):
        if 0 < slate.row(key).told.get(said.notice, 0) <= said.day:
            _put_day(slate, key, said.notice, 0)


def _put_day(slate: Slate, key: bytes, notice: NoticeKind, day: int) -> None:
    """0: it was told none."""
    others = {each: of for each, of in slate.row(key).told.items() if each != notice}
    slate.put(key, told={**others, notice: day} if day else others)


def fold_grant(slate: Slate, record: Record, said: told.GrantSaid) -> None:
    purposes = (Purpose.SERVICE,) if said.kind is GrantKind.DIRECTED else said.purposes  # of an act, whatever was named
    child = said.kind is not GrantKind.DIRECTED and is_child(slate, record.key)
    given = GrantGiven(record.seq, said.screen, said.until, child)
    new = {GrantName(said.recipient, each, said.data_class, said.kind): given for each in purposes}
    slate.put(record.key, grants={**slate.row(record.key).grants, **new})


def fold_use(slate: Slate, record: Record, said: told.ActUsed) -> None:
    """One use ends every act that was asked for before it and is in time."""
    grants = slate.row(record.key).grants
    over = {each for each, given in grants.items() if given.until is not None and given.until > record.at}
    over = {each for each in over if each.recipient == said.recipient}
    slate.put(record.key, grants={each: given for each, given in grants.items() if each not in over})


def fold_kept_no(slate: Slate, record: Record, said: told.KeptNo) -> None:
    """Where it came through an account it lies where that account's own would: sent up to it, or kept from it."""
    key, via, bit = record.key, said.via, Bit(said.origin, NO_RECORD, record.seq, "", SEVERAL)
    up = slate.edge(via, said.origin).up
    mine = said_alike(sent := up.get(said.purpose, ()), bit)
    if not slate.row(via).members:
        slate.put(key, kept={**slate.row(key).kept, (said.purpose, said.origin, via): bit})
    elif any(each.denies(slate.voids) for each in mine) and (key == via or _reads(slate, via, key)):
        return
    elif key == via:
        orders = filter(Bit.is_order, sent)
        slate.put_edge(via, said.origin, record.seq, up={**up, said.purpose: (*orders, bit)})
    else:
        leave_down(slate, via, key, record.seq, [(said.purpose, bit)])


def _reads(slate: Slate, account: bytes, key: bytes) -> bool:
    """Whether what an account passes on is read by a key, itself or a looser form of what it has."""
    names = (name for each in (key, *slate.row(key).owners) for name in family(slate, each))
    return any(slate.edge(account, name).lives() for name in names)


def fold_kept_end(slate: Slate, record: Record, said: told.KeptEnd) -> None:
    end_yes(slate, record.key, (said.purpose,))
    if said.no:
        cover = Cover(b"", record.seq, said.screen)
        cover_own(slate, record.key, said.purpose, cover, ("own",))  # what a list says stands until it takes it back
        for account in slate.row(record.key).accounts:
            cover_edge(slate, account, record.key, "up", said.purpose, cover, lambda bit: not bit.is_order())


def fold_kept_revoked(slate: Slate, record: Record, said: told.KeptRevoked) -> None:
    grants = slate.row(record.key).grants
    slate.put(record.key, grants={name: given for name, given in grants.items() if name != said.grant})


def fold_kept_age(slate: Slate, record: Record, said: told.KeptAge) -> None:
    _set_age(slate, record.key, said.age)


def fold_kept_notice(slate: Slate, record: Record, said: told.KeptNotice) -> None:
    _put_day(slate, record.key, said.notice, said.day)
