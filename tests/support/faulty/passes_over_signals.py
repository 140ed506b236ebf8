"""The gateway with one fault: one recipient is answered as if nobody's request said anything."""

from gateway.choice import verdict
from gateway.choice.rules.case import Rule
from gateway.cli import main

DEAF = "teemo"


def _deaf(rule):
    return Rule(rule.name, rule.asks, lambda case: None if case.recipient.name == DEAF else rule.apply(case))


verdict.ORDER = tuple(_deaf(rule) if rule.name == "signal" else rule for rule in verdict.ORDER)

if __name__ == "__main__":
    main()
