"""The OpenAPI document says what the server does: refusals, logins, numbers, methods."""

from typing import Any

import pytest

from app.routers.guard import COOKIE
from app.schemas.problem import Problem
from app.tests.app_fixtures import Api

OPEN = {"GET /", "GET /health", "POST /login", "GET /ui", "GET /ui/{path}"}


@pytest.fixture
def document(sqlite_api: Api) -> dict[str, Any]:
    """What GET /openapi.json answers."""
    return sqlite_api.app.openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Operations by method and path."""
    return {f"{method.upper()} {path}": one for path, its in document["paths"].items() for method, one in its.items()}


def test_every_refusal_is_a_problem_document(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        refused = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
        assert {"401", "421", "500", "503", "507"} <= set(refused), name
        shapes = {status for status, answer in refused.items() if "$ref" not in answer}
        assert shapes == ({"503"} if name == "GET /health" else set()), name
    for response in document["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]
    assert not [name for name in document["components"]["schemas"] if "Validation" in name]


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("GET /pipelines", {"200", "422"}),
        ("POST /pipelines", {"201", "400", "403", "413", "415", "422"}),
        ("GET /pipelines/{pipeline_id}", {"200", "404", "422"}),
        ("POST /pipelines/{pipeline_id}/approve", {"200", "400", "403", "404", "409", "413", "415", "422"}),
        ("DELETE /login", {"204", "400", "403", "413", "415"}),
    ],
)
def test_each_operation_names_its_own(document: dict[str, Any], operation: str, statuses: set[str]) -> None:
    answers = set(operations(document)[operation]["responses"])
    assert answers - {"401", "421", "500", "503", "507"} == statuses


def test_who_needs_no_login_is_said(document: dict[str, Any]) -> None:
    assert {name for name, one in operations(document).items() if one["security"] == []} <= OPEN
    schemes = document["components"]["securitySchemes"]
    assert (schemes["token"]["scheme"], schemes["cookie"]["name"]) == ("bearer", COOKIE)


async def test_a_refusal_has_the_described_shape(sqlite_api: Api) -> None:
    refused = await sqlite_api.http.post("/pipelines", json={"title": " ", "template": "two_steps", "prompt": "p"})
    assert refused.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(refused.json())
    assert (problem.status, problem.errors[0].pointer) == (422, "/title")
    assert "candidates" not in refused.json()["errors"][0]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/pipelines", "GET, POST"), ("GET", "/pipelines/1/abort", "POST"), ("PUT", "/login", "DELETE, POST")],
)
async def test_a_method_that_is_not_there_is_told_which_are(
    sqlite_api: Api, method: str, path: str, allowed: str
) -> None:
    answer = await sqlite_api.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("days", [True, "30", 30.5, None])
async def test_numbers_are_numbers(sqlite_api: Api, days: object) -> None:
    assert (await sqlite_api.http.post("/audit/retention", json={"older_than_days": days})).status_code == 422


async def test_a_whole_number_may_have_a_point(sqlite_api: Api) -> None:
    answer = await sqlite_api.http.post("/audit/retention", json={"older_than_days": 30.0})
    assert (answer.status_code, answer.json()["older_than_days"]) == (200, 30)


@pytest.mark.parametrize("moment", ["5", "0.5", "-1", "+3.25"])
async def test_a_number_is_no_moment(sqlite_api: Api, moment: str) -> None:
    answer = await sqlite_api.http.get("/audit", params={"since": moment})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/since")
