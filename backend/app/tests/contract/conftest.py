"""Every contract case runs twice: on the fake and on the real OpenCode of this installation."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.tests.contract.real_opencode import RealOpenCode, running_opencode
from app.tests.contract.runtimes import SETUP, Case, fake_case, real_case


@pytest.fixture(scope="session")
def real_opencode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOpenCode]:
    """One real server for the session; the first case that needs it starts it."""
    with running_opencode(tmp_path_factory.mktemp("opencode"), SETUP) as real:
        yield real


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.contract)])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    """A server, a client and an empty directory; on the real server a warm one, the first use of each takes seconds."""
    if request.param == "fake":
        async with fake_case(tmp_path) as made:
            yield made
    else:
        async with real_case(request.getfixturevalue("real_opencode")) as made:
            yield made
