"""Figures of a chaos run: as a table for a person, and as the block of docs/reliability.md."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.fail_points import ALL
from app.tests.chaos.killing import Killed
from app.tests.chaos.ledger import PLANNED, RANDOM
from app.tests.chaos.races import RACES

BEGIN, END = "<!-- figures: written by `make chaos WRITE=1` -->", "<!-- end of the figures -->"


@dataclass
class Figures:
    """What one run of the chaos found."""

    seed: int
    killed: Sequence[Killed] = ()
    rounds: int = 0
    """Of each race, over all databases."""
    cases: int = 0
    growth: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def unreached(self) -> list[str]:
        """Places that are still owed a kill on some database."""
        return [f"{place} on {one.database}" for one in self.killed for place in one.unreached]

    @property
    def kills(self) -> Counter[str]:
        """Over all databases."""
        return sum((one.kills for one in self.killed), Counter[str]())

    def wrong(self) -> list[str]:
        """Everything that makes the run a failure."""
        return [f"never reached: {place}" for place in self.unreached] + list(self.faults)

    def table(self) -> str:
        """Kills at each place on each database."""
        names = [one.database for one in self.killed]
        lines = [f"{'killed':36}" + "".join(f"{name:>12}" for name in names)]
        for place in (*ALL, RANDOM, PLANNED):
            lines.append(f"{place:36}" + "".join(f"{one.kills[place]:12}" for one in self.killed))
        return "\n".join(lines)

    def sentences(self) -> list[str]:
        """What there is to say, one figure after the other."""
        kills, named = self.kills, [self.kills[place] for place in ALL]
        steps = sum(one.steps for one in self.killed)
        runs = sum(one.runs for one in self.killed)
        databases = " and ".join(one.database for one in self.killed)
        outages = sum((one.outages for one in self.killed), Counter[int]())
        lost, doubled = sum(one.lost for one in self.killed), sum(one.doubled for one in self.killed)
        return [
            f"{sum(named) + kills[RANDOM]} kills of the server, at least {min(named, default=0)} at each of "
            f"{len(ALL)} named places and {kills[RANDOM]} at random moments, on {databases}; "
            f"places never reached: {', '.join(self.unreached) or 'none'}; "
            f"not counted: {kills[PLANNED]} more {PLANNED}",
            f"{runs} programs with {steps} model calls that had to be made: {lost} lost, {doubled} doubled; "
            f"{sum(outages.values())} answers with 503 or 507 were asked for again",
            f"{self.rounds} rounds of each of {len(RACES)} races, 8 clients each",
            f"{self.cases} generated requests, all checks of schemathesis",
            *self.growth,
            f"broken invariants and other faults: {len(self.faults)}{self._faults_in_words()}",
            f"seed {self.seed}; {sum(self.seconds.values()):.0f} s ("
            + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
            + ")",
        ]

    def _faults_in_words(self) -> str:
        kinds = Counter(fault.partition("\n")[0][:200] for fault in self.faults)
        return ": " + "; ".join(f"{kind} ({times}x)" for kind, times in kinds.items()) if kinds else ""

    def write_into(self, document: Path) -> None:
        """Replace the block of figures in the document."""
        before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        block = "\n".join(f"- {sentence}" for sentence in self.sentences())
        document.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}", encoding="utf-8")
