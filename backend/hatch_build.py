"""Puts what stands beside the package (migrations, alembic.ini, the shipped config) into the wheel, below app/shipped.

An editable installation gets no copy: it would go stale, and a checkout has the originals.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShippedFiles(BuildHookInterface):  # type: ignore[type-arg]
    """The hook that hatchling finds in this file by itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the files to a real wheel; hatchling fails when one of them is missing."""
        if version == "editable":
            return
        backend = Path(self.root)
        sources = {backend / "migrations": "migrations", backend / "alembic.ini": "alembic.ini"}
        sources[backend.parent / "config"] = "config"
        for source, name in sources.items():
            build_data["force_include"][str(source)] = f"app/shipped/{name}"
