"""Whether overlapping operations can have happened one after another, each at some moment between its call and its
answer (linearizability). The search of Wing and Gong with Lowe's memory, one subject at a time: a history has an order
exactly when that of every subject has one (Herlihy and Wing 1990).

The second half says what a choice and a check do: a register that remembers who wrote it. Knows no HTTP.
"""

import math
from collections import defaultdict
from typing import Any, NamedTuple

MOST = (
    300_000  # steps of a search; whoever has an order has it in hundreds, or some thousands where much was not answered
)
NEVER = math.inf  # the answer did not come: it may have happened at any time since, or not at all


ANYBODY = object()  # whose no it was that stood at another machine


class Operation(NamedTuple):
    """`call` and `answered` are of one clock, the same for all processes."""

    subject: Any
    call: float
    answered: float
    act: Any


def has_order(operations, start, step, most=MOST):
    """`step(state, act)` is the state after an act, or None where it cannot have been answered so in this state. What
    is not found in so many steps counts as none: to try all of them may take for ever.
    """
    ordered = sorted(operations, key=lambda one: one.call)
    needed = sum(1 << index for index, one in enumerate(ordered) if one.answered != NEVER)
    tried, waiting = set(), [(0, start)]
    while waiting:
        done, state = waiting.pop()
        if done & needed == needed:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        if len(tried) > most:
            break
        for index in _may_be_next(ordered, done):
            after = step(state, ordered[index].act)
            if after is not None:
                waiting.append((done | 1 << index, after))
    return False


def _may_be_next(ordered, done):
    """Those that were called before any other open one was answered; the first answered comes last, to be tried
    first."""
    found, first_answer = [], NEVER
    for index in range((~done & (done + 1)).bit_length() - 1, len(ordered)):
        if done >> index & 1:
            continue
        if ordered[index].call > first_answer:
            break
        found.append(index)
        first_answer = min(first_answer, ordered[index].answered)
    return sorted((index for index in found if ordered[index].call <= first_answer), key=lambda i: -ordered[i].answered)


class No(NamedTuple):
    """An opt-out. `event` None: its answer did not come."""

    number: Any
    event: str | None


class Asked(NamedTuple):
    """The first act of opting in; it changes nothing, and its token remembers what stood then. `elsewhere`: at another
    machine than the one whose checks are looked at; what stood there nobody here knows.
    """

    token: Any
    elsewhere: bool = False


class Yes(NamedTuple):
    """The second act: taken, or refused because an opt-out came after the first. None: its answer did not come.
    `elsewhere`: at another machine than the one whose checks are looked at, which may know of a no that is not answered
    yet, as here nobody does: whether that machine judged rightly is seen by the acts alone.
    """

    number: Any
    token: Any
    taken: bool | None
    elsewhere: bool = False


class Check(NamedTuple):
    """What a check said: `out` and by which event, `in`, or `none`. `strange`: an event that nobody was told of."""

    word: str
    event: str | None = None
    strange: bool = False


class Register(NamedTuple):
    """What is on record of one subject: the word, whose act it was, its event; and what stood when each token was
    made."""

    word: str = "none"
    writer: Any = None
    event: str | None = None
    asked: frozenset = frozenset()


def step(state, act):
    match act:
        case No():
            return state._replace(word="out", writer=act.number, event=act.event)
        case Asked():
            return state._replace(asked=state.asked | {(act.token, ANYBODY if act.elsewhere else state.writer)})
        case Yes():
            return _confirmed(state, act)
        case Check():
            return _checked(state, act)


def _confirmed(state, act):
    then = dict(state.asked)
    if act.token not in then:
        return None
    if act.elsewhere:
        return state if act.taken is False else state._replace(word="in", writer=act.number, event=None)
    superseded = state.word == "out" and state.writer != then[act.token]
    if act.taken is False:
        return state if superseded else None
    return (
        None if superseded and then[act.token] != ANYBODY else state._replace(word="in", writer=act.number, event=None)
    )


def _checked(state, act):
    if act.word != state.word:
        return None
    if act.strange and state.event is None:  # of an opt-out whose answer did not come: from now on its event is known
        return state._replace(event=act.event)
    return state if act.event == state.event else None


def without_order(history, start=Register(), step=step, most=MOST):  # noqa: B008 - it cannot be changed
    """The subjects whose history cannot have happened one after another, with that history."""
    history, by_subject = list(history), defaultdict(list)
    for operation in history:
        by_subject[operation.subject].append(operation)
    told = {one.act.event for one in history if hasattr(one.act, "number") and hasattr(one.act, "event")}
    found = {}
    for subject, operations in by_subject.items():
        if not has_order([_marked(one, told) for one in operations], start, step, most):
            found[subject] = sorted(operations, key=lambda one: one.call)
    return found


def _marked(operation, told):
    """A check that tells an event which nobody was told of."""
    if hasattr(operation.act, "strange") and operation.act.event not in {*told, None}:
        return operation._replace(act=operation.act._replace(strange=True))
    return operation
