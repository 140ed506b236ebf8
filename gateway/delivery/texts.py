"""A text message to one person, by the operator's own sender: it is told by a POST, signed as a Standard Webhook.

    {"type": "code", "to": "+14155550100", "text": "...", "language": "en"}

The gateway itself sends no text messages. Each costs its sender money, and some numbers pay whoever has texts sent to
them: texts go to the countries that have a price, and no more of them than a day may cost. Signed with the secret that
`gateway deliveries --secret texts` prints.
"""

import secrets as random
from collections.abc import Callable, Mapping
from datetime import datetime

import orjson
import phonenumbers

from gateway.delivery import post
from gateway.delivery.guard import EVERYWHERE
from gateway.delivery.letter import Letter
from gateway.delivery.post import Courier
from gateway.keys import Secrets

NAME = "texts"  # whose secret signs it
ALARM = 0.8  # of what a day may cost


class Texts:
    """`endpoint`: https, or http on loopback. `prices`: of one text, by country. `a_day`: what they may cost, counted
    by each process from its start.
    """

    def __init__(
        self, endpoint: str, secrets: Secrets, clock: Callable[[], datetime], prices: Mapping[str, int], a_day: int
    ) -> None:  # fmt: skip
        self._endpoint = endpoint
        self._secret = post.secret_of(secrets, NAME)
        self._clock = clock
        self._courier = Courier(EVERYWHERE)  # the operator's own, wherever it is
        self._prices = {country.upper(): price for country, price in prices.items()}
        self._a_day = a_day
        self._day, self._spent, self._refused = clock().date(), 0, 0

    async def send(self, to: str, letter: Letter) -> bool:
        """Whether the sender took it (2xx). Not tried for a country without a price, or beyond the day's cost."""
        price = self._prices.get(_country_of(to))
        self._of_today()
        if price is None or self._spent + price > self._a_day:
            self._refused += price is not None
            return False
        self._spent += price
        body = orjson.dumps({"type": "code", "to": to, "text": letter.text, "language": letter.language})
        name = "msg_" + random.token_urlsafe(16)
        return (await self._courier.post(self._endpoint, [self._secret], name, self._clock(), body)).taken

    def alarms(self) -> list[str]:
        """That texts cost more than they should."""
        self._of_today()
        if self._spent < ALARM * self._a_day and not self._refused:
            return []
        return [
            f"texts with codes cost {self._spent} of the day's {self._a_day}; {self._refused} were not sent: [texts]"
        ]

    def _of_today(self) -> None:
        today = self._clock().date()
        if today != self._day:
            self._day, self._spent, self._refused = today, 0, 0

    async def close(self) -> None:
        await self._courier.close()


def _country_of(number: str) -> str:
    """Of a number in full; +1 has two dozen countries, and some of them cost a hundred times what the others do."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""
    except phonenumbers.NumberParseException:
        return ""
