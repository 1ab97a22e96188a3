"""OpenCode's lists of models, kept for a while: they are long, and asked for with every step."""

import time

from app.adapters.opencode_catalog import Catalog, read_catalog, read_known
from app.adapters.opencode_http import OpencodeHttp
from app.schemas.runtime import ModelEntry


class CatalogCache:
    """What OpenCode lists for each directory, read again when it is old."""

    def __init__(self, http: OpencodeHttp, seconds: float, known_seconds: float) -> None:
        """How long the usable models of a directory and the list of all that could be connected stay good."""
        self._http = http
        self._seconds = seconds
        self._known_seconds = known_seconds
        self._catalogs: dict[str, tuple[float, Catalog]] = {}
        self._known: tuple[float, int, list[ModelEntry]] = (float("-inf"), -1, [])

    async def read(self, directory: str, *, fresh: bool = False) -> Catalog:
        """The models that can be used in a directory; `fresh` asks OpenCode in any case."""
        read_at, catalog = self._catalogs.get(directory, (0.0, Catalog(())))
        if fresh or not read_at or time.monotonic() - read_at > self._seconds:
            catalog = await read_catalog(self._http, directory)
            self._catalogs[directory] = (time.monotonic(), catalog)
        return catalog

    async def all_models(self, directory: str) -> tuple[ModelEntry, ...]:
        """What can be used now, and the models of every provider that is not connected."""
        catalog = await self.read(directory, fresh=True)
        connected = {entry.provider for entry in catalog.entries}
        known = await self._known_models(directory)
        return (*catalog.entries, *(entry for entry in known if entry.provider not in connected))

    async def resolve(self, model: str, directory: str) -> str:
        """A bare name must be known; an unknown `provider/model` goes out as it is: OpenCode knows best."""
        catalog = await self.read(directory)
        return model if "/" in model and not catalog.hits(model) else catalog.resolve(model)

    async def _known_models(self, directory: str) -> list[ModelEntry]:
        read_at, instance, models = self._known
        now = self._http.endpoint().instance
        if instance != now or time.monotonic() - read_at > self._known_seconds:
            models = await read_known(self._http, directory)
            self._known = (time.monotonic(), now, models)
        return models
