"""Counts kills: how many each fail point is still owed, and where the server really died."""

from collections import Counter
from collections.abc import Iterable
from random import Random

RANDOM = "at a random moment"
PLANNED = "by a program or between two waves"
"""Ordered by the chaos itself, often while nothing happens: told apart, and in no total."""


class Ledger:
    """Kills of one database. `owed` shrinks as they happen, `kills` grows."""

    def __init__(self, owed: Counter[str]) -> None:
        """`owed`: place (`before:name`) to number of kills."""
        self.owed = +owed
        self.kills: Counter[str] = Counter()

    def count(self, place: str) -> None:
        """The server died there."""
        self.kills[place] += 1
        self.owed[place] -= 1
        self.owed = +self.owed

    def arm(self, rng: Random, reachable: Iterable[str]) -> str:
        """A random part of what is owed and can be reached now, as PACELINE_FAIL_POINT takes it; may be empty."""
        places = sorted(place for place in self.owed if place.partition(":")[2] in set(reachable))
        if not places:
            return ""
        # Most of them at the first time: a place that is passed unarmed costs another wave.
        chosen = [place for place in places if rng.random() < 0.75] or [rng.choice(places)]
        return ",".join(f"{place}@{2 if rng.random() < 0.1 else 1}" for place in chosen)

    @property
    def total(self) -> int:
        """All kills at named places and at random moments."""
        return self.kills.total() - self.kills[PLANNED]
