"""What is wrong in the registry files, and the state of the last attempt to read them."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from app.schemas.registry import RegistryConfig


class RegistryProblem(BaseModel):
    """One wrong place; line and column count from 1 and are None when the file could not be read at all."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)

    file: str
    line: int | None = None
    column: int | None = None
    message: str

    def __str__(self) -> str:
        """`agents.yaml:3:5: …`, the form that editors and terminals link."""
        place = "".join(f":{number}" for number in (self.line, self.column) if number is not None)
        return f"{self.file}{place}: {self.message}"


class RegistryStatus(BaseModel):
    """Which registry is in use, and why the files on disk are not, if they are not."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)

    loaded_at: datetime | None
    """When the registry in use was read; None when none could be read since the start."""
    checked_at: datetime | None
    """When the files were last looked at."""
    agents: int
    pipelines: int
    problems: list[RegistryProblem]
    """Empty when the files on disk are the registry in use."""
    sources: list[str]


@dataclass(frozen=True)
class SourceFile:
    """A registry file as it was found: its bytes, or why they could not be read."""

    name: str
    content: bytes | None
    problem: str | None = None


@dataclass(frozen=True)
class RegistrySources:
    """Both files at one moment; equal fingerprints mean equal content."""

    fingerprint: str
    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class RegistryReading:
    """What the files mean: a registry, or every problem that keeps them from being one."""

    config: RegistryConfig | None
    problems: tuple[RegistryProblem, ...] = ()
