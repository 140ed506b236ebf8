"""Somebody who goes through pages by accessible names alone, as whoever listens to them does.

At each page it hears each control's role, name and state out of the browser's accessibility tree, and uses the one
whose name has most in common with what it came for, by the keyboard. It goes by no address, class, text or place.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

PRESSED = {"button", "link", "switch", "checkbox", "radio", "DisclosureTriangle"}
TYPED = {"textbox", "combobox", "searchbox"}
ONWARD = frozenset({"go", "yes", "next", "continue"})  # what anybody presses who wants to go on
IDLE = frozenset(
    re.findall("[a-z]+", "a an and at by for from how i in is it my of on or so that the this to what you your")
)


class Lost(Exception):
    """Nothing that is named says that it leads on."""


@dataclass(frozen=True)
class HeardControl:
    """A control as it is told. `node`: what the keyboard's focus is set on."""

    role: str
    name: str
    node: int
    checked: bool
    expanded: bool
    value: str


class NamesAlone:
    """`words`: what it came for. `types`: what it would type, by what that is called."""

    def __init__(self, page, words: str, types: Mapping[str, str], planted: str = "") -> None:
        self._page = page
        self._words, self._types, self._planted = bare(words), types, planted
        self._used: set[tuple[str, str, str]] = set()
        self._left: set[str] = set()
        self._cdp = page.context.new_cdp_session(page)
        self._cdp.send("Accessibility.enable")
        self._cdp.send("DOM.enable")

    def until(self, done: Callable[[], bool], most: int) -> int:
        """How many controls it used. Raises `Lost`, also after `most` of them."""
        used = 0
        while not done():
            if used == most:
                raise Lost(f"{used} controls used, the last on {self._page.url}: {sorted(self._used)}")
            self._uses()
            used += 1
        return used

    def _uses(self) -> None:
        """The next control: what can be typed first, then the best name that was not used; else back, as anybody goes
        from a page that leads nowhere.
        """
        if self._planted:
            self._page.evaluate(self._planted)
        heard = self._hears()
        for control in heard:
            typed = self._typed(control)
            if typed and not control.value:
                return self._types_into(control, typed)
        best = max(heard, key=self._fits, default=None)
        if best is not None and self._fits(best) > 0:
            return self._presses(best)
        if self._page.url in self._left:
            raise Lost(f"nothing on {self._page.url} leads on: {[(each.role, each.name) for each in heard]}")
        self._left.add(self._page.url)
        self._page.go_back()
        if self._page.url == "about:blank":
            raise Lost("back before where it began")
        return None

    def _hears(self) -> list[HeardControl]:
        self._cdp.send("DOM.getDocument")
        nodes = self._cdp.send("Accessibility.getFullAXTree")["nodes"]
        return [self._heard(each) for each in nodes if not each["ignored"] and _role(each) in PRESSED | TYPED]

    def _heard(self, node) -> HeardControl:
        state = {each["name"]: each["value"].get("value") for each in node.get("properties", ())}
        name, value = (node.get(part, {}).get("value", "") for part in ("name", "value"))
        checked = state.get("checked") == "true"
        return HeardControl(
            _role(node), name, node["backendDOMNodeId"], checked, bool(state.get("expanded")), str(value)
        )

    def _typed(self, control: HeardControl) -> str:
        """What it would type into a field of that name."""
        if control.role not in TYPED:
            return ""
        return next((value for name, value in self._types.items() if bare(name) & bare(control.name)), "")

    def _fits(self, control: HeardControl) -> float:
        """How much of its name is what was come for; what is on or open already leads nowhere."""
        names = bare(control.name)
        gone = control.checked and control.role in {"checkbox", "radio"}
        if control.role in TYPED or gone or control.expanded or self._key(control) in self._used or not names:
            return 0.0
        shared = len(names & self._words)
        first = {"radio": 2.0, "checkbox": 2.0}.get(control.role, 1.0)  # what is chosen comes before what sends it
        return first * shared * shared / len(names) + (0.01 if names & ONWARD else 0.0)

    def _key(self, control: HeardControl) -> tuple[str, str, str]:
        return self._page.url.partition("?")[0], control.role, control.name

    def _types_into(self, control: HeardControl, text: str) -> None:
        self._cdp.send("DOM.focus", {"backendNodeId": control.node})
        self._page.keyboard.type(text)

    def _presses(self, control: HeardControl) -> None:
        self._used.add(self._key(control))
        before = self._page.url
        self._cdp.send("DOM.focus", {"backendNodeId": control.node})
        self._page.keyboard.press("Space" if control.role in {"checkbox", "radio"} else "Enter")
        if control.role in {"button", "link", "switch"}:
            deadline = time.monotonic() + 2
            while self._page.url == before and time.monotonic() < deadline:
                self._page.wait_for_timeout(20)
            self._page.wait_for_load_state()


def _role(node) -> str:
    return node.get("role", {}).get("value", "")


def bare(text: str) -> frozenset[str]:
    """The words of a name, by their beginnings, without those that say nothing."""
    return frozenset(word[:5] for word in re.findall(r"[a-z]+", text.lower()) if word not in IDLE)
