"""What the managed OpenCode gets to see, and what we lay over the user's configuration."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.adapters.opencode_environment import (
    ChildSetup,
    child_environment,
    disables_third_party,
    opencode_data_dir,
    overrides,
)

SECRETS = {
    "PACELINE_TOKEN": "t",
    "PACELINE_OPENCODE_PASSWORD": "p",
    "GITHUB_TOKEN": "g",
    "GH_TOKEN": "g",
    "GH_ENTERPRISE_TOKEN": "g",
    "DATABASE_URL": "postgresql://u:p@h/d",
    "TEST_DATABASE_URL": "x",
    "PGPASSWORD": "p",
    "DBOS_SYSTEM": "x",
    "OPENCODE_SERVER_PASSWORD": "old",
    "SOMETHING": "postgres://u:p@h/d",
    "OTHER": "ghp_0123456789",
}
KEPT = {"PATH": "/bin", "HOME": "/users/home", "ANTHROPIC_API_KEY": "key", "LANG": "C.UTF-8", "JAVA_HOME": "/jdk"}


def content(environment: Mapping[str, str]) -> dict[str, object]:
    """The configuration that is laid over the user's."""
    found: dict[str, object] = json.loads(environment["OPENCODE_CONFIG_CONTENT"])
    return found


def home_with(tmp_path: Path, text: str | None, name: str = "opencode.json") -> dict[str, str]:
    """An environment whose home holds this global configuration."""
    folder = tmp_path / ".config" / "opencode"
    folder.mkdir(parents=True)
    if text is not None:
        (folder / name).write_text(text)
    return {"HOME": str(tmp_path)}


def test_secrets_stay_here_and_tools_and_provider_keys_go_along(tmp_path: Path) -> None:
    seen = child_environment({**SECRETS, **KEPT}, ChildSetup(tmp_path), "fresh", "mark")
    assert {name: seen[name] for name in KEPT} == KEPT
    assert set(seen) & set(SECRETS) == {"OPENCODE_SERVER_PASSWORD"}
    assert seen["OPENCODE_SERVER_PASSWORD"] == "fresh"
    assert not any(name.startswith("PACELINE_") for name in seen)


def test_nothing_is_shared_and_nothing_updates_itself(tmp_path: Path) -> None:
    laid = content(child_environment({"HOME": str(tmp_path)}, ChildSetup(tmp_path), "p", "m"))
    assert (laid["share"], laid["autoupdate"]) == ("disabled", False)


@pytest.mark.parametrize(
    ("text", "disabled"),
    [
        (None, True),
        ("{}", True),
        ('{"model": "anthropic/claude"}', False),
        ('{"enabled_providers": ["ollama"]}', False),
        ('// comment with "model"\n{"theme": "x", /* "model": 1 */ "username": "a//b",}', True),
        ('{"model": "a/b", // mine\n}', False),
        ("not json", True),
    ],
)
def test_the_third_party_is_disabled_exactly_when_nothing_says_where_prompts_go(
    tmp_path: Path, text: str | None, disabled: bool
) -> None:
    environment = home_with(tmp_path, text, "opencode.jsonc")
    assert disables_third_party(environment) is disabled
    assert ("disabled_providers" in overrides(environment)) is disabled


def test_providers_that_the_user_disabled_stay_disabled(tmp_path: Path) -> None:
    environment = home_with(tmp_path, '{"disabled_providers": ["openai"]}')
    assert overrides(environment)["disabled_providers"] == ["openai", "opencode"]


def test_the_users_own_override_is_kept(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "OPENCODE_CONFIG_CONTENT": '{"model": "a/b", "share": "auto"}'}
    laid = content(child_environment(environment, ChildSetup(tmp_path), "p", "m"))
    assert laid == {"model": "a/b", "share": "disabled", "autoupdate": False}


def test_a_given_configuration_comes_with_folders_of_its_own(tmp_path: Path) -> None:
    config = tmp_path / "opencode.json"
    config.write_text('{"model": "a/b"}')
    mine, own = tmp_path / "own", {"HOME": "/users/home", "XDG_DATA_HOME": "/users/home/data"}
    seen = child_environment(own, ChildSetup(mine, config), "p", "m")
    assert seen["OPENCODE_CONFIG"] == str(config)
    assert opencode_data_dir(seen) == mine / "data" / "opencode"
    assert seen["HOME"] == "/users/home"
    assert "disabled_providers" not in content(seen)
    users = child_environment(own, ChildSetup(mine), "p", "m")
    assert opencode_data_dir(users) == Path("/users/home/data/opencode")
