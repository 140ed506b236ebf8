"""The gateway with one fault: a signal is no news from the moment that one like it is written, durable or not."""

import time

from gateway.cli import main
from gateway.ledger.acts import records
from gateway.web.api.observe import Observe
from support import under_nemesis

written = set()
hears, is_news = records.hear_signal, Observe._is_news


def hear(tx, subject, *more):
    found = hears(tx, subject, *more)
    written.add(subject.key)
    time.sleep(0.05)  # the commit is still to come
    return found


def asked(self, subjects, heard):
    return not {each.key for each in subjects} <= written and is_news(self, subjects, heard)


records.hear_signal, Observe._is_news = hear, asked

if __name__ == "__main__":
    under_nemesis.serve()
    main()
