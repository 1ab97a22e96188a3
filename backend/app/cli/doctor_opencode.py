"""What `paceline doctor` asks OpenCode: whether it answers, who is connected, where prompts go; a model if wanted."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from app.adapters.opencode_binary import TESTED_VERSION, find_binary
from app.adapters.opencode_children import ServerRecord
from app.adapters.opencode_client import OpenCodeClient
from app.adapters.opencode_environment import ChildSetup
from app.adapters.opencode_http import Endpoint, EndpointSource, FixedEndpoint, probe
from app.adapters.opencode_process import STATE_FILE, ManagedSettings, OpenCodeServer
from app.cli.findings import Finding, fault, note, ok
from app.errors import OpencodeUnavailable, PacelineError
from app.schemas.runtime import ModelEntry, ModelKind, SessionBinding, StepLimits
from app.settings import Settings

_START_SECONDS = 60.0
_TRIAL_SECONDS = 120.0
_TRIAL_PROMPT = "This is a test of the connection. Use no tools. Answer with the single word: ready"


async def opencode_findings(settings: Settings, try_model: str | None) -> AsyncIterator[Finding]:
    """Everything about OpenCode, in the order in which one thing needs the other."""
    if settings.opencode_url is None:
        binary = await asyncio.to_thread(_binary, settings)
        yield binary
        if binary.state == "fault":
            return
    try:
        async with _opencode(settings) as (source, where):
            async for finding in _answers(settings, source, where, try_model):
                yield finding
    except OpencodeUnavailable as error:
        fix = "Mend PACELINE_OPENCODE_URL, or start that server." if settings.opencode_url else "Mend what it says."
        yield fault("OpenCode", error.detail, fix)


def _binary(settings: Settings) -> Finding:
    try:
        path, version = find_binary(settings.opencode_bin)
    except OpencodeUnavailable as error:
        return fault("OpenCode binary", error.detail, "Run `make setup`, or set PACELINE_OPENCODE_BIN.")
    if version != TESTED_VERSION:
        return note("OpenCode binary", f"{version} at {path}; Paceline was tested with {TESTED_VERSION}")
    return ok("OpenCode binary", f"{version} at {path}")


@asynccontextmanager
async def _opencode(settings: Settings) -> AsyncIterator[tuple[EndpointSource, str]]:
    """The attached one, the one that a running server of ours has, or one for this moment only."""
    if settings.opencode_url is not None:
        password = settings.opencode_password.get_secret_value() if settings.opencode_password else None
        yield FixedEndpoint(Endpoint(settings.opencode_url.rstrip("/"), password)), "attached"
        return
    record = ServerRecord.read(settings.data_dir / STATE_FILE)
    if record is not None and record.identity.alive():
        yield FixedEndpoint(Endpoint(record.url, record.password)), "started by `paceline serve`"
        return
    with tempfile.TemporaryDirectory(prefix="paceline-doctor-", ignore_cleanup_errors=True) as folder:
        server = _managed(settings, Path(folder))
        await server.start()
        try:
            if not await server.wait_ready(_START_SECONDS):
                raise OpencodeUnavailable((await server.health()).detail or "OpenCode did not start.")
            yield server, "started for this check"
        finally:
            await server.stop()


def _managed(settings: Settings, folder: Path) -> OpenCodeServer:
    setup = ChildSetup(settings.data_dir / "opencode", settings.opencode_config)
    return OpenCodeServer(ManagedSettings(folder, setup, settings.opencode_bin))


async def _answers(
    settings: Settings, source: EndpointSource, where: str, try_model: str | None
) -> AsyncIterator[Finding]:
    generation, version = await probe(source.endpoint(), timeout=10)
    if generation == "v2":
        yield fault("OpenCode", "it is of the newer generation (V2)", f"Use version {TESTED_VERSION}.")
        return
    yield ok("OpenCode", f"{version} answers at {source.endpoint().url} ({where})")
    client = OpenCodeClient(source)
    try:
        with tempfile.TemporaryDirectory(prefix="paceline-doctor-", ignore_cleanup_errors=True) as directory:
            entries = [entry for entry in await client.list_models(directory) if entry.connected]
            for finding in _connected(settings, entries, await client.default_model(directory)):
                yield finding
            if try_model is not None:
                yield await _trial(client, directory, try_model)
    finally:
        await client.aclose()


def _connected(settings: Settings, entries: Sequence[ModelEntry], default: str | None) -> Iterator[Finding]:
    providers = {entry.provider: entry.kind for entry in entries}
    if providers:
        named = ", ".join(f"{name} ({_KINDS[kind]})" for name, kind in providers.items())
        yield ok("providers", f"{named}: {len(entries)} models, see `paceline models`")
    else:
        yield fault("providers", "none is connected", f"Log in with `{_program(settings)} auth login`, or set a key.")
    if default is not None:
        yield ok("default model", f"steps that name no model run on {default}")
    elif providers:
        yield note(
            "default model",
            "none is configured: OpenCode chooses one for steps that name none",
            'Set "model" in your opencode.json, or give each step a model.',
        )
    yield _third_party(settings, providers)


def _program(settings: Settings) -> str:
    """How the user calls OpenCode: by its name where that is known, else by its path."""
    if settings.opencode_url is not None or shutil.which("opencode"):
        return "opencode"
    return str(find_binary(settings.opencode_bin)[0])


_KINDS = {ModelKind.OWN_KEY: "own key", ModelKind.LOCAL: "local", ModelKind.THIRD_PARTY_FREE: "third party, free"}


def _third_party(settings: Settings, providers: dict[str, ModelKind]) -> Finding:
    """Whether prompts can leave for OpenCode's own hosted provider, and whose doing that is."""
    subject = "hosted provider"
    if ModelKind.THIRD_PARTY_FREE in providers.values():
        return note(
            subject,
            "`opencode` is on: steps that name one of its models send their prompts to a third party",
            'Add "disabled_providers": ["opencode"] to opencode.json to switch it off.',
        )
    if settings.opencode_url is not None:
        return ok(subject, "`opencode` is not connected at the attached server")
    with tempfile.TemporaryDirectory() as folder:
        ours = _managed(settings, Path(folder)).disables_third_party
    if ours:
        return note(
            subject,
            "`opencode` was switched off by Paceline: your configuration names neither a model nor providers, "
            "so prompts would go to a third party unnoticed",
            'To use it, set "model" or "enabled_providers" in your opencode.json.',
        )
    return ok(subject, "`opencode` is not among the connected providers; your configuration says where prompts go")


async def _trial(client: OpenCodeClient, directory: str, model: str) -> Finding:
    """Ask the model for one word: the only model call that a doctor ever makes."""
    subject = f"model {model}"
    limits = StepLimits(wall_clock=_TRIAL_SECONDS, model_calls=3, retry_total=30)
    message_id = client.new_message_id()
    binding = SessionBinding(
        directory=os.path.realpath(directory), message_id=message_id, title="paceline doctor",
        pipeline_id=0, step_id=0, attempt=1, limits=limits,
    )  # fmt: skip
    began = time.monotonic()
    try:
        session = await client.create_session(binding)
        try:
            answer = await client.send_message(session, _TRIAL_PROMPT, agent="build", model=model)
        finally:
            await client.stop_session(session, binding.directory)
    except PacelineError as error:
        return fault(subject, error.detail, "See `paceline models` for the models that can be used.")
    seconds = time.monotonic() - began
    if answer.error is not None or not answer.text.strip():
        reason = answer.error.message if answer.error else "an answer without text"
        return fault(subject, f"did not answer: {reason}", "Check the provider's key and its limits.")
    return ok(subject, f"answered {answer.text.strip()[:60]!r} in {seconds:.1f} s as {answer.used_model}")
