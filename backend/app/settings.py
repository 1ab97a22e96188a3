"""Settings: environment variables win over `paceline.toml` in the data directory."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

Names = Annotated[tuple[str, ...], NoDecode]
Folders = Annotated[tuple[Path, ...], NoDecode]


def default_data_dir() -> Path:
    """PACELINE_DATA_DIR, else the per-user data directory of this system."""
    chosen = os.environ.get("PACELINE_DATA_DIR")
    return Path(chosen).expanduser() if chosen else user_data_path("paceline", appauthor=False)


class Settings(BaseSettings):
    """Every setting of Paceline, frozen. Each field is the variable PACELINE_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="PACELINE_", frozen=True, extra="forbid", env_ignore_empty=True)

    data_dir: Path = Field(default_factory=default_data_dir)
    """Database, token, config, workspaces, state of the managed OpenCode."""
    database_url: str | None = None
    """sqlite+aiosqlite:///… or postgresql+psycopg://…; default: a file in the data directory."""
    config_dir: Path | None = None
    """Folder with agents.yaml and pipelines.yaml; default: <data dir>/config."""
    opencode_url: str | None = None
    """Attach to this OpenCode instead of starting one."""
    opencode_password: SecretStr | None = None
    """Password of the OpenCode at `opencode_url`."""
    opencode_bin: Path | None = None
    """The OpenCode binary; default: the one of this installation, then PATH."""
    opencode_config: Path | None = None
    """An opencode.json for the managed server; default: the user's own configuration and logins."""
    token: SecretStr | None = None
    """API token; default: generated into <data dir>/token."""
    allowed_hosts: Names = ("127.0.0.1", "localhost", "[::1]")
    """Host names that are served."""
    fs_roots: Folders = Field(default_factory=lambda: (Path.home(),))
    """Directories to work in, their subdirectories included."""
    step_timeout_seconds: float = Field(default=7200, gt=0)
    """Wall clock of a step."""
    step_silence_seconds: float = Field(default=300, gt=0)
    """Silence while a model call is open."""
    max_active_steps: int = Field(default=10, ge=1)
    """Steps at work at once."""
    max_model_calls: int = Field(default=500, ge=1)
    """Model calls in one step."""
    retry_total_seconds: float = Field(default=300, ge=0)
    """Time that provider retries may take in a step."""
    step_attempts: int = Field(default=1, ge=1, le=10)
    """How often a step is tried in all when it fails in a way that may pass; a template's step may say otherwise."""
    step_backoff_seconds: float = Field(default=10, ge=0, le=86400)
    """Pause before the second try of a step; it doubles for each further one."""
    max_cost_usd: float | None = Field(default=None, gt=0)
    """A run stops when its known cost passes this."""
    request_deadline_seconds: float = Field(default=86400, gt=0)
    """How long a permission or question may wait for a person before it is denied."""
    github_api_url: str = "https://api.github.com"
    """GitHub's API, or a stand-in for it."""
    worker_id: str | None = None
    """Name of this worker; default: made once and kept in the data directory."""
    worker_lease_seconds: float = Field(default=30, ge=1)
    """How long a server that shares its database may be silent before another one takes its work over."""
    test_postgres_url: str | None = None
    """Server for the PostgreSQL tests; default: the tests start their own."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much goes to standard error."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("fs_roots", mode="before")
    @classmethod
    def _split_folders(cls, value: object) -> object:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, list | tuple):
            return tuple(Path(part).expanduser() for part in value)
        return value

    @field_validator("data_dir", "config_dir", "opencode_bin", "opencode_config", mode="after")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then paceline.toml; no .env file and no secrets folder."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=default_data_dir() / "paceline.toml")
        return init_settings, env_settings, toml

    @property
    def resolved_database_url(self) -> str:
        """The database that is used."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'paceline.db'}"

    @property
    def resolved_config_dir(self) -> Path:
        """The registry folder that is used."""
        return self.config_dir or self.data_dir / "config"


def supported_platform() -> bool:
    """True where process groups and file locks work as this program needs them."""
    return sys.platform != "win32"
