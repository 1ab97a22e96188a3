"""Commands about what there is: models, settings, the API's own description."""

import json
import os
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from app.cli.connection import connected, load_settings
from app.cli.exits import CommandError, ExitCode
from app.cli.output import count, put_json, put_table, say
from app.cli.run_commands import AsJson
from app.settings import Settings, default_data_dir

MASK = "********"


def models(
    directory: Annotated[
        Path | None, typer.Option("--directory", "-C", help="The models for this directory's configuration.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are not connected too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the models that a step can run on."""
    params = {"working_dir": os.path.abspath(directory)} if directory is not None else None
    with connected() as server:
        found = server.get("/models", params)
    if as_json:
        put_json(found)
        return
    shown = [model for model in found["items"] if everything or model["connected"]]
    put_table(
        ("MODEL", "NAME", "CONTEXT", "IN", "OUT", "RUNS", "NOTE"),
        [_model_row(model, found["default"]) for model in shown],
        right=("CONTEXT", "IN", "OUT"),
    )
    if not shown:
        say("No provider is connected. Log in with `opencode auth login`, then look with `paceline doctor`.")


def _model_row(model: dict[str, Any], default: str | None) -> tuple[str, ...]:
    note = "" if model["connected"] else model["reason"] or "not connected"
    return (
        model["ref"],
        model["name"],
        count(model["context"]) if model["context"] else "-",
        _price(model["price_input"]),
        _price(model["price_output"]),
        {"own_key": "own key", "local": "local", "third_party_free": "third party, free"}[model["kind"]],
        "default" if model["ref"] == default else note,
    )


def _price(price: float | None) -> str:
    return "-" if price is None else f"${price:g}"


@dataclass(frozen=True)
class SettingInForce:
    """One setting, secrets masked."""

    name: str
    value: str | float | list[str] | None
    source: str


def config(as_json: AsJson = False) -> None:
    """List the settings and where they come from.

    Secrets are masked.
    """
    found = list(settings_in_force(load_settings()))
    if as_json:
        put_json({"items": [vars(item) for item in found]})
        return
    rows = [(item.name, _written(item.value), item.source) for item in found]
    put_table(("SETTING", "VALUE", "FROM"), rows)


def settings_in_force(settings: Settings) -> Iterator[SettingInForce]:
    """Every setting with what is used for it, PACELINE_URL of the command line included."""
    file = default_data_dir() / "paceline.toml"
    in_file = set(tomllib.loads(file.read_text(encoding="utf-8"))) if file.is_file() else set[str]()
    used = {
        "database_url": settings.resolved_database_url,
        "config_dir": str(settings.resolved_config_dir),
        "token": _token_place(settings),
    }
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        variable = f"PACELINE_{name.upper()}"
        source = "environment" if os.environ.get(variable) else str(file) if name in in_file else "default"
        yield SettingInForce(variable, _shown(used.get(name) if value is None else value), source)
    url = os.environ.get("PACELINE_URL") or None
    yield SettingInForce("PACELINE_URL", url, "environment" if url else "default")


def _token_place(settings: Settings) -> str:
    return f"in {settings.data_dir / 'token'}"


def _shown(value: Any) -> str | float | list[str] | None:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple):
        return [str(part) for part in value]
    return _without_password(str(value))


def _without_password(text: str) -> str:
    """Addresses keep everything but their password, in the user part or as a parameter."""
    if "://" not in text:
        return text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except ArgumentError:
        return MASK
    secret = {name: MASK for name in url.query if "password" in name.lower()}
    return url.update_query_dict(secret).render_as_string(hide_password=True).replace("***@", f"{MASK}@")


def _written(value: str | float | list[str] | None) -> str:
    if value is None:
        return "-"
    return ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)


def openapi(file: Annotated[Path, typer.Argument(help="Where to write it; `-` is standard output.")]) -> None:
    """Write the API's description as JSON.

    Keys are sorted; nothing is started.
    """
    from app.main import create_app

    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder), token=SecretStr("none")))
        text = json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if str(file) == "-":
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}.", ExitCode.REFUSED) from None


COMMANDS = (models, config, openapi)
