"""Counters of the whole service, in Prometheus' text format. Never a person, an address or an id in a label.

Where several processes serve one folder, any of them answers for all: counters and histograms add up, and of a gauge
that tells of one process the worst counts. All other gauges tell of the installation, whoever looks.
"""

import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from gateway import __version__
from gateway.consent.asked import Checked
from gateway.consent.decision_log import DRY_RUN, LIVE, Cell
from gateway.consent.telling import Open
from gateway.desk.disclosures import DESPITE_NO
from gateway.signals.heard import Heard
from gateway.terms import Malformed

Counted = list[Metric]  # what one process has of what adds up
ADDED = frozenset({"counter", "histogram"})
WORST: Mapping[str, Callable[[Iterable[float]], float]] = {
    "gateway_ledger_fresh": min, "gateway_ledger_keeps": min, "gateway_turns_waiting": sum,
    "gateway_app_strict_alarm": max,
    "gateway_deletion_list_days_left": min,
}  # fmt: skip


OneMore = Callable[[], int]


class QuickCounter(Collector):
    """A counter whose cells are counted up in one step of the interpreter, whichever thread does: of what each answer
    counts, for which the library's, with a lock and its checks, takes a twentieth of the whole.
    """

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: Sequence[str]) -> None:
        self._name, self._text, self._labelnames = f"gateway_{name}", text, labels
        self._cells: dict[tuple[str, ...], tuple[OneMore, float]] = {}
        self._looks = 0  # each of which took a number of every cell, too
        self._looking = threading.Lock()
        registry.register(self)

    def of(self, *labels: str) -> OneMore:
        """To be called for one more."""
        if labels not in self._cells:
            with self._looking:
                self._cells.setdefault(labels, (itertools.count(self._looks).__next__, time.time()))
        return self._cells[labels][0]

    def describe(self) -> list[Metric]:
        """What it is, without its cells: by it the registry sees that nothing is told twice."""
        return [CounterMetricFamily(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterator[Metric]:
        found = CounterMetricFamily(self._name, self._text, labels=self._labelnames)
        with self._looking:
            for labels, (one_more, created) in self._cells.items():
                found.add_metric(labels, one_more() - self._looks, created)
            self._looks += 1
        yield found


class Metrics:
    """One registry an application, so that two of them in one process (tests) do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._of_hearing()
        self._of_request: dict[tuple[str, str, int], Histogram] = {}
        self._malformed = self._counter("malformed_signals", "Signals that could not be read", "channel", "reason")
        self._choices = self._counter("choices", "Choices accepted, by kind and source", "kind", "source")
        self._requests = self._counter("requests", "Requests accepted, by kind and manner", "kind", "manner")
        text = "Opt-outs kept beside a ledger that cannot be written, by kind"
        self.kept = self._counter("choices_kept", text, "kind")
        self.hosts = self._counter("hosts_seen", "Hosts that pages named, by what became of the name", "outcome")
        self.refused_forms = self._counter("forms_refused", "Forms refused or not kept, by why", "why")
        text = "Checks that name what is not configured"
        self.misconfigured = self._counter("checks_misconfigured", text, "key_name")
        self.entries = self._gauge("ledger_entries", "Entries in the ledger")
        self.healthy = self._gauge("ledger_fresh", "1 while checks may trust the ledger")
        self.keeps = self._gauge("ledger_keeps", "1 while an opt-out would be kept")
        self.state_used = self._gauge("state_used", "How much of its room the state takes, 0 to 1")
        self.dropped = self._gauge("replicas_dropped", "Replicas that have missed three terms of their lease")
        self.witnesses_away = self._gauge("witnesses_away", "Witnesses that do not sign any more")
        self.waiting = self._gauge("emergency_waiting", "1 while opt-outs wait to be entered")
        self.unread = self._gauge("emergency_unread", "1 while kept lines lie aside that nobody can enter")
        self.turns = self._gauge("turns_waiting", "Opt-outs that wait for their turn")
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Requests by method, route and status",
            ("method", "route", "status"),
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10),
            registry=self.registry,
        )
        self._of_answers()
        self._of_rehearsals()
        self._gauge("build_info", "The version that runs", "version").labels(__version__).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gateway_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"gateway_{name}", text, labels, registry=self.registry)

    def _of_hearing(self) -> None:
        """What requests say by themselves."""
        self._signals = QuickCounter(
            self.registry, "signals", "Signals heard that deny, by door and kind", ("channel", "kind")
        )
        self._unwritten = self._counter("signals_unwritten", "Signals honored that left no row, by kind", "kind")
        self.gpc_unwritten = self._unwritten.labels("gpc")

    def _of_answers(self) -> None:
        """How apps start; what was answered to questions and rows, and what became of it (`mode` is live or dry_run);
        what was told to recipients.
        """
        text = "Starts of apps, by key and whether the answer was that for who said no"
        self._starts = self._counter("app_starts", text, "key_name", "strict")
        text = "1: too many starts of an hour got the answer for who said no"
        self._too_strict = self._gauge("app_strict_alarm", text, "key_name")
        self._verdicts = QuickCounter(
            self.registry, "verdicts", "Verdicts by recipient and reason", ("recipient", "allowed", "reason", "mode")
        )
        self.shares = self._counter(
            "share_rows", "Rows of shares by recipient and outcome", "recipient", "outcome", "mode"
        )
        text = "Answers to checks and bid requests by what became of them"
        self._disclosures = self._counter("disclosures", text, "recipient", "outcome")
        text = "Sends that a caller reported of a denied decision: alarm on any"
        self._violations = self._counter("sent_despite_no", text, "recipient")
        self.unlogged = self._counter("decisions_not_logged", "Lines of the decision log that could not be kept")
        text = "Messages to recipients tried, by outcome"
        self._tried = self._counter("delivery_tries", text, "recipient", "outcome")
        text = "Messages to recipients that are open, by state"
        self._deliveries = self._gauge("deliveries", text, "recipient", "state")
        text = "1: a recipient gave its endpoint up"
        self._gone = self._gauge("delivery_endpoint_gone", text, "recipient")

    def _of_rehearsals(self) -> None:
        text = "1 while the last nightly verify found a difference or is overdue"
        self.verify_alarm = self._gauge("verify_alarm", text)
        self._rehearsal_alarm = self._gauge("rehearsal_alarm", "1 while the last rehearsal failed or is overdue")
        self._rehearsal_passed = self._gauge("rehearsal_passed", "1 while the last rehearsal on record passed")
        text = "When the last rehearsal on record ended; 0: none is"
        self._rehearsal_ended = self._gauge("rehearsal_last_timestamp_seconds", text)
        text = "Days until a state's deletion list is to be answered, or the next one fetched; below 0: late"
        self._lists_due = self._gauge("deletion_list_days_left", text, "place", "what")
        text = "1 in shadow mode: what would be denied for want of a yes is counted, and not denied"
        self.shadow = self._gauge("shadow", text)
        self._shadowed = self._counter(
            "shadow_answers", "Answers in shadow mode, as enforced", "door", "recipient", "verdict", "reason"
        )

    def lists_due(self, days: Mapping[tuple[str, str], int]) -> None:
        """Of each state's lists, for both of what is due, how many days are left."""
        self._lists_due.clear()
        for (place, what), left in days.items():
            self._lists_due.labels(place, what).set(left)

    def rehearsal(self, alarm: bool, passed: bool, ended: float) -> None:
        """How the last rehearsal went, and when it ended, in seconds since 1970."""
        self._rehearsal_alarm.set(alarm)
        self._rehearsal_passed.set(passed)
        self._rehearsal_ended.set(ended)

    def heard(self, channel: str, heard: Heard) -> None:
        for said in heard.said:
            self._signals.of(channel, said.source)()
        if heard.malformed:
            self.malformed(heard.malformed)

    def chosen(self, kind: str, source: str, manner: str = "", count: int = 1) -> None:
        """One request of a person, about `count` identifiers. Without a manner the source tells how it came."""
        self._choices.labels(kind, source).inc(count)
        self._requests.labels(kind, manner or source).inc()

    def started(self, key: str, *, strict: bool, alarm: bool) -> None:
        """Counts one start of an app. `key`: the name of its key."""
        self._starts.labels(key, str(strict).lower()).inc()
        self._too_strict.labels(key).set(alarm)

    def tried(self, recipient: str, outcome: str) -> None:
        self._tried.labels(recipient, outcome).inc()

    def open(self, found: Iterable[Open]) -> None:
        """What is open for recipients; `overdue` ones count as pending or failed too."""
        self._deliveries.clear()
        self._gone.clear()
        for each in found:
            for state, count in (("pending", each.pending), ("failed", each.failed), ("overdue", each.overdue)):
                self._deliveries.labels(each.recipient, state).set(count)
            self._gone.labels(each.recipient).set(each.gone)

    def malformed(self, found: Iterable[Malformed]) -> None:
        for item in found:
            self._malformed.labels(item.channel, item.reason).inc()

    def of_verdicts(self, checked: Checked, known: Collection[str], *, dry_run: bool) -> list[OneMore]:
        """What to call of an answer, once a recipient, whenever it is given."""
        mode, found = DRY_RUN if dry_run else LIVE, list[OneMore]()
        for name, verdict in checked.verdicts.items():
            recipient = name if name in known else "unknown"  # a label must not grow with what strangers send
            found.append(self._verdicts.of(recipient, str(verdict.allowed).lower(), verdict.reason, mode))
        return found

    def took(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request. `route` is a pattern of ours or `other`, never a path."""
        histogram = self._of_request.get((method, route, status))
        if histogram is None:
            histogram = self._of_request[method, route, status] = self._duration.labels(method, route, str(status))
        histogram.observe(seconds)

    def counted(self) -> dict[str, dict[str, int]]:
        """What was counted since the start, by table and labels: what the day's evidence is made of."""
        tables = {
            "signals": self._signals,
            "honored_unwritten": self._unwritten,
            "unreadable": self._malformed,
            "decisions": self._verdicts,
            "choices": self._choices,
            "requests": self._requests,
            "rows": self.shares,
            "forms": self.refused_forms,
            "disclosures": self._disclosures,
        }
        return {
            name: {_cell(sample): int(sample.value) for sample in _totals(counter)} for name, counter in tables.items()
        }

    def in_shadow(self, cell: Cell) -> None:
        self._shadowed.labels(cell.door, cell.recipient, cell.verdict, cell.reason).inc()

    def disclosed(self, recipient: str, outcome: str, count: int) -> None:
        """What became of answers; what was sent although the answer was no has an alarm of its own."""
        self._disclosures.labels(recipient, outcome).inc(count)
        if outcome == DESPITE_NO:
            self._violations.labels(recipient).inc(count)

    def watch(self, fresh: Callable[[], bool], keeps: Callable[[], bool]) -> None:
        """From now on the gauges of this process say whether checks and opt-outs are safe in it."""
        self.healthy.set_function(fresh)
        self.keeps.set_function(keeps)

    def shared(self) -> Counted:
        """What the others need for answering for all."""
        return [each for each in self.registry.collect() if each.type in ADDED or each.name in WORST]

    def text(self, others: Sequence[Counted] = ()) -> bytes:
        """`others`: what other processes of the same service counted."""
        if not others:
            return generate_latest(self.registry)
        return generate_latest(_Joined([list(self.registry.collect()), *others]))


class _Joined(Collector):
    """What several processes counted, as one registry."""

    def __init__(self, found: Sequence[Counted]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from join_counted(self._found)


def join_counted(found: Iterable[Counted]) -> Counted:
    """As of one process that had done all of it."""
    families: dict[str, Metric] = {}
    cells: dict[str, dict[tuple[object, ...], list[Sample]]] = {}
    for each in (family for counted in found for family in counted):
        families.setdefault(each.name, each)
        of = cells.setdefault(each.name, {})
        for sample in each.samples:
            of.setdefault((sample.name, *sorted(sample.labels.items())), []).append(sample)
    joined = list[Metric]()
    for name, family in families.items():
        metric = Metric(name, family.documentation, family.type, family.unit)
        metric.samples = [_joined_sample(name, samples) for samples in cells[name].values()]
        joined.append(metric)
    return joined


def _joined_sample(family: str, samples: Sequence[Sample]) -> Sample:
    first = samples[0]
    how = min if first.name.endswith("_created") else WORST.get(family, sum)
    return first if len(samples) == 1 else first._replace(value=how([each.value for each in samples]))


def without_gauges(counted: Counted) -> Counted:
    """What stays of a process that is gone."""
    return [each for each in counted if each.type in ADDED]


def _totals(counter: Collector) -> list[Sample]:
    return [sample for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")]


def _cell(sample: Sample) -> str:
    """The labels as one word each; a verdict that counts needs no mode, and a dry run is told as one."""
    return " ".join(value for name, value in sample.labels.items() if (name, value) != ("mode", LIVE))
