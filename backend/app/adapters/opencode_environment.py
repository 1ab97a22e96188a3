"""Environment and configuration of the managed OpenCode: the user's own, without our secrets."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.adapters.opencode_catalog import THIRD_PARTY

MARK = "OPENCODE_STARTED_BY"
"""Variable by which processes that an OpenCode of ours started are found after its death."""

_SECRET_NAMES = re.compile(
    r"PACELINE_.*|DBOS_.*|PG[A-Z]+|(.*_)?DATABASE_URL|(.*_)?(GITHUB|GH)_(.*_)?(TOKEN|PAT)|GITHUB_TOKEN|GH_TOKEN"
    r"|OPENCODE_SERVER_(PASSWORD|USERNAME)"
)
_SECRET_VALUES = re.compile(r"(postgres(ql)?|mysql|mariadb|mongodb|redis|sqlite)(\+\w+)?://|gh[pousr]_|github_pat_")
_COMMENTS = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMAS = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', re.DOTALL)


@dataclass(frozen=True)
class ChildSetup:
    """How the managed server is set up.

    With `config` it gets that file and an OpenCode folder of its own below `own_folder`; without,
    the user's configuration and logins.
    """

    own_folder: Path
    config: Path | None = None
    extra: Mapping[str, str] | None = None

    @property
    def folders(self) -> Mapping[str, str]:
        """XDG folders of a server that does not use the user's own."""
        if self.config is None:
            return {}
        names = ("DATA", "CONFIG", "STATE", "CACHE")
        return {f"XDG_{name}_HOME": str(self.own_folder / name.lower()) for name in names}


def child_environment(own: Mapping[str, str], setup: ChildSetup, password: str, mark: str) -> dict[str, str]:
    """What the server process sees: the user's tools and provider keys, none of our secrets."""
    environment = {name: value for name, value in own.items() if not _is_secret(name, value)}
    environment.update(setup.folders)
    environment.update(setup.extra or {})
    if setup.config is not None:
        environment["OPENCODE_CONFIG"] = str(setup.config)
    environment["OPENCODE_CONFIG_CONTENT"] = json.dumps(overrides(environment))
    environment["OPENCODE_DISABLE_AUTOUPDATE"] = "1"
    environment["OPENCODE_SERVER_PASSWORD"] = password
    environment[MARK] = mark
    return environment


def opencode_data_dir(environment: Mapping[str, str]) -> Path:
    """Where an OpenCode with this environment keeps its sessions; two servers must never share it."""
    return _base(environment, "XDG_DATA_HOME", ".local/share") / "opencode"


def overrides(environment: Mapping[str, str]) -> dict[str, object]:
    """What we lay over the user's configuration: nothing shared, no updates, no silent third party."""
    own = _parse(environment.get("OPENCODE_CONFIG_CONTENT", "{}"))
    own |= {"share": "disabled", "autoupdate": False}
    if disables_third_party(environment):
        own["disabled_providers"] = sorted({*_disabled(environment), THIRD_PARTY})
    return own


def disables_third_party(environment: Mapping[str, str]) -> bool:
    """Whether nothing in the user's configuration says where prompts go.

    OpenCode would then send them to its own hosted provider without asking.
    """
    configured = [config for config in _configurations(environment) if config]
    return not any("enabled_providers" in config or "model" in config for config in configured)


def _disabled(environment: Mapping[str, str]) -> list[str]:
    """Providers that the user disabled: the list is replaced as a whole, so it must contain them."""
    lists = [config.get("disabled_providers") for config in _configurations(environment)]
    return [str(name) for names in lists if isinstance(names, list) for name in names]


def _configurations(environment: Mapping[str, str]) -> Iterator[dict[str, object]]:
    folder = _base(environment, "XDG_CONFIG_HOME", ".config") / "opencode"
    files = [folder / name for name in ("config.json", "opencode.json", "opencode.jsonc")]
    if environment.get("OPENCODE_CONFIG_DIR"):
        files += [Path(environment["OPENCODE_CONFIG_DIR"]) / name for name in ("opencode.json", "opencode.jsonc")]
    if environment.get("OPENCODE_CONFIG"):
        files.append(Path(environment["OPENCODE_CONFIG"]))
    for file in files:
        try:
            yield _parse(file.read_text(encoding="utf-8"))
        except OSError:
            continue
    yield _parse(environment.get("OPENCODE_CONFIG_CONTENT", "{}"))


def _parse(text: str) -> dict[str, object]:
    """JSON with comments and trailing commas; what OpenCode itself cannot read counts as empty."""
    plain = _TRAILING_COMMAS.sub(
        lambda found: found.group(1) or "", _COMMENTS.sub(lambda found: found.group(1) or "", text)
    )
    try:
        parsed = json.loads(plain)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _base(environment: Mapping[str, str], variable: str, below_home: str) -> Path:
    chosen = environment.get(variable)
    return Path(chosen) if chosen else Path(environment.get("HOME") or Path.home()) / below_home


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRET_NAMES.fullmatch(name) or _SECRET_VALUES.match(value))
