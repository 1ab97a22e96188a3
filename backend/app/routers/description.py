"""Makes the OpenAPI document tell the truth about refusals, the login, and who needs one."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from app.routers.problems import MEDIA_TYPE
from app.schemas.problem import Problem

Json = dict[str, Any]

REFUSALS = {
    400: "The body is not JSON.",
    401: "No or a wrong token.",
    403: "A write with the browser's login came from another page.",
    404: "There is no such thing.",
    409: "The state of the run forbids it; `detail` names the state.",
    413: "The body or the prompt is too large.",
    415: "The body is not declared as JSON.",
    421: "The Host header is not on the list.",
    422: "The request does not fit; `errors` names the places.",
    500: "A defect of Paceline.",
    503: "A part of the system is down; the same call works later.",
    507: "No space left for the database.",
}
_ALWAYS = (401, 421, 500, 503, 507)
_LOGINS: list[Json] = [{"token": []}, {"cookie": []}]
_OPEN = {("get", "/"), ("get", "/health"), ("post", "/login"), ("get", "/ui"), ("get", "/ui/{path}")}


def describe_truthfully(app: FastAPI, cookie: str) -> None:
    """Let `app.openapi()` name the problem document wherever it can come; `cookie` is the login's name."""
    generate = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            _complete(generate(), cookie)
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _complete(document: Json, cookie: str) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    problem = Problem.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs") | {"Problem": problem}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        f"Problem{status}": {"description": text, "content": content} for status, text in REFUSALS.items()
    }
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["security"] = [] if (method, path) in _OPEN else _LOGINS
            answers = operation["responses"]
            answers.pop("422", None)
            for status in _refusals(method, path, operation):
                answers.setdefault(str(status), {"$ref": f"#/components/responses/Problem{status}"})


def _refusals(method: str, path: str, operation: Json) -> Iterator[int]:
    """Which refusals an operation knows."""
    yield from _ALWAYS
    if method != "get":
        yield from (400, 403, 413, 415)
    if operation.get("parameters") or "requestBody" in operation:
        yield 422
    if "{" in path:
        yield 404
    if "{pipeline_id}/" in path and method == "post":
        yield 409
