"""kill -9 of the server, of OpenCode and of both, on the real thing: nothing is lost, nothing runs twice."""

import asyncio
from datetime import datetime, timedelta

import psutil  # type: ignore[import-untyped]
import pytest

from app.tests.live_server import LiveServer

pytestmark = pytest.mark.contract


async def test_each_step_runs_on_its_own_model_through_a_gate(server: LiveServer) -> None:
    write = '[[tool:write:{"filePath":"new.txt","content":"made by an agent"}]] [[say:Wrote it.]]'
    run_id = await server.create(write, "gated", step_models={"2": "scripted/gamma"})
    waiting = await server.finished(run_id, "waiting_for_approval", "failed")
    assert waiting["status"] == "waiting_for_approval", waiting["error_message"]
    assert (server.project / "new.txt").read_text() == "made by an agent"
    diff = (await server.http.get(f"/pipelines/{run_id}/diff")).json()
    assert (diff["files"], "made by an agent" in diff["text"]) == (1, True)
    assert (await server.http.post(f"/pipelines/{run_id}/approve", json={"comment": "Fine."})).status_code == 200
    assert (await server.http.post(f"/pipelines/{run_id}/approve")).status_code == 409
    done = await server.finished(run_id)
    assert done["status"] == "done", done["error_message"]
    facts = [(s["model"], s["resolved_model"], s["model_origin"], s["used_model"]) for s in done["steps"]]
    assert facts == [
        ("scripted/alpha", "scripted/alpha", "agent", "scripted/alpha"),
        (None, None, None, None),
        ("scripted/gamma", "scripted/gamma", "run", "scripted/gamma"),
    ]
    assert server.provider.models_called() == ["alpha", "alpha", "gamma", "gamma"]
    attempts = (await server.http.get(f"/pipelines/{run_id}/steps/{done['steps'][2]['id']}/attempts")).json()
    assert "Fine." in attempts["items"][0]["prompt"]
    assert "Wrote it." in attempts["items"][0]["prompt"]
    assert done["cost"] > 0


async def test_the_answer_that_finished_while_we_were_dead_is_adopted(server: LiveServer) -> None:
    run_id = await server.create("[[slow:10:0.1]] [[say:It went on without you.]]", "two")
    await server.called(1)
    server.kill()
    await asyncio.sleep(2.5)
    await server.start()
    done = await server.finished(run_id)
    assert done["status"] == "done", done["error_message"]
    assert "without you" in done["steps"][0]["latest_handoff"]["text"]
    assert server.provider.models_called() == ["alpha", "beta"], "no model call was repeated"
    assert [step["attempts"] for step in done["steps"]] == [1, 1]


async def test_a_turn_that_still_runs_is_joined(server: LiveServer) -> None:
    run_id = await server.create("[[slow:60:0.1]] [[say:Slow but sure.]]")
    await server.called(1)
    server.kill()
    await server.start()
    done = await server.finished(run_id)
    assert done["status"] == "done", done["error_message"]
    assert server.provider.models_called() == ["alpha"]
    assert "step.resumed" in await server.events(run_id)


async def test_a_gate_survives_and_its_decision_goes_on(server: LiveServer) -> None:
    run_id = await server.create("[[say:Please look.]]", "gated")
    before = (await server.finished(run_id, "waiting_for_approval"))["approval"]
    server.kill()
    await server.start()
    run = await server.run(run_id)
    assert run["status"] == "waiting_for_approval"
    # The reminder, due at once here, may have come meanwhile; its deadline stays the first one.
    assert run["approval"] | {"reminded_at": None} == before | {"reminded_at": None}
    await server.http.post(f"/pipelines/{run_id}/approve", json={"comment": "After the crash."})
    done = await server.finished(run_id)
    assert done["status"] == "done", done["error_message"]
    assert done["approval"]["comment"] == "After the crash."


async def test_opencode_dies_in_a_step_and_the_step_goes_on(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    run_id = await server.create("[[slow:40:0.1]] [[say:Once more.]]")
    await server.called(1)
    server.kill_opencode()

    async def interrupted() -> bool:
        return "step.interrupted" in await server.events(run_id)

    await server.until(interrupted, 10)
    step = (await server.run(run_id))["steps"][0]
    assert step["status"] == "running"
    assert "tools may" in step["note"]
    done = await server.finished(run_id, seconds=90)
    assert done["status"] == "done", done["error_message"]
    assert server.provider.models_called() == ["alpha", "alpha"], "the answer was lost with OpenCode"
    attempts = (await server.http.get(f"/pipelines/{run_id}/steps/{done['steps'][0]['id']}/attempts")).json()["items"]
    assert len(attempts) == 1
    assert "may have run twice" in attempts[0]["note"]


async def test_both_die_and_what_opencode_left_running_is_ended(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    sleep = '[[tool:bash:{"command":"sleep 300","description":"wait"}]] [[say:Slept.]]'
    run_id = await server.create(sleep)
    await server.called(1)

    async def sleeping() -> bool:
        return bool(_children_named("sleep", "300", server.opencode_pid()))

    await server.until(sleeping, 20)
    left = _children_named("sleep", "300", server.opencode_pid())
    server.kill()
    server.kill_opencode()
    await server.start()

    async def gone() -> bool:
        return not any(process.is_running() and process.status() != "zombie" for process in left)

    await server.until(gone, 20)
    await server.called(2)
    assert (await server.http.post(f"/pipelines/{run_id}/abort")).status_code == 200
    aborted = await server.run(run_id)
    assert aborted["status"] == "aborted"
    path = f"/pipelines/{run_id}/steps/{aborted['steps'][0]['id']}/attempts"
    assert "may have run twice" in (await server.http.get(path)).json()["items"][0]["note"]


async def test_sigterm_keeps_the_step_and_the_next_start_goes_on(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    run_id = await server.create("[[slow:30:0.1]] [[say:Still here.]]", "two")
    await server.called(1)
    await server.terminate(10)
    await server.start()
    done = await server.finished(run_id, seconds=90)
    assert done["status"] == "done", done["error_message"]


async def test_abort_in_mid_stream_leaves_opencode_idle_and_the_directory_free(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    run_id = await server.create("[[slow:600:0.1]] [[say:Never to the end.]]", "two")
    next_id = await server.create("[[say:My turn.]]")
    assert (await server.run(next_id))["queue_position"] == 1
    await server.called(1)
    aborted = (await server.http.post(f"/pipelines/{run_id}/abort")).json()
    assert (aborted["status"], [step["status"] for step in aborted["steps"]]) == ("aborted", ["aborted"] * 2)
    assert (await server.finished(next_id))["status"] == "done"
    restarted = await server.http.post(f"/pipelines/{run_id}/restart")
    assert restarted.status_code == 200
    await server.called(3)
    assert (await server.http.post(f"/pipelines/{run_id}/abort")).json()["status"] == "aborted"
    attempts = (await server.http.get(f"/pipelines/{run_id}/steps/{aborted['steps'][0]['id']}/attempts")).json()
    assert [attempt["outcome"] for attempt in attempts["items"]] == ["aborted", "aborted"]


def _children_named(name: str, argument: str, parent: int) -> list[psutil.Process]:
    try:
        children = psutil.Process(parent).children(recursive=True)
        return [child for child in children if {name, argument} <= set(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


async def test_a_step_that_waits_for_its_next_try_still_waits_after_a_crash(sqlite_server: LiveServer) -> None:
    server = sqlite_server
    steps = [{"agent": "first", "retry": {"attempts": 2, "backoff_seconds": 4}}]
    run_id = await server.create("[[say:At last.]] [[empty:1]]", None, custom_steps=steps)

    async def waits() -> bool:
        return (await server.run(run_id))["steps"][0]["retry_at"] is not None

    await server.until(waits, 60)
    server.kill()
    await server.start()
    done = await server.finished(run_id)
    assert done["status"] == "done", done["error_message"]
    tries = (await server.http.get(f"/pipelines/{run_id}/steps/{done['steps'][0]['id']}/attempts")).json()["items"]
    assert [one["outcome"] for one in tries] == ["empty_output", "done"]
    assert tries[0]["session_id"] != tries[1]["session_id"]
    pause = datetime.fromisoformat(tries[1]["started_at"]) - datetime.fromisoformat(tries[0]["finished_at"])
    assert pause >= timedelta(seconds=4)
    assert server.provider.models_called() == ["alpha", "alpha"]
    assert (await server.events(run_id)).count("step.retry_scheduled") == 1
