"""Commands against a real server process: ids and data on stdout, progress on stderr, outcomes as exit codes."""

import asyncio
import json
from pathlib import Path

import pytest

from app.tests.cli_server import Place, ServeProcess, cli

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_run_from_its_creation_through_its_gate_to_its_end(place: Place) -> None:
    created = await cli("run", "gated", "Do it. [[say:Please look.]]", "--follow", "-m", "first=beta")
    assert created.code == 3, created.err
    run_id = created.out.strip()
    assert run_id.isdigit()
    assert "[1 first] started on scripted/beta" in created.err
    assert "Shall it go on?" in created.err
    gate = (await place.json("show", run_id))["approval"]["id"]
    assert f"paceline approve {run_id} --gate {gate}" in created.err
    assert (await cli("watch", run_id)).out == "waiting_for_approval\n"

    shown = await cli("show", run_id)
    assert "Please look." in shown.out
    assert "Shall it go on?" in shown.out
    assert str(place.project) in shown.out
    approved = await cli("approve", run_id, "--comment", "It is fine.", "--gate", gate)
    assert (approved.code, approved.out) == (0, "")
    again = await cli("approve", run_id)
    assert (again.code, "cannot be approved" in again.err) == (2, True)
    watched = await cli("watch", run_id)
    assert (watched.code, watched.out) == (0, "done\n"), watched.err

    prompt = await cli("show", run_id, "--prompt", 3)
    assert "It is fine." in prompt.out
    assert prompt.out == (await place.json("show", run_id, "--prompt", 3))["prompt"]
    refused = await cli("show", run_id, "--prompt", 2)
    assert (refused.code, "was sent no prompt" in refused.err) == (2, True)
    run = await place.json("show", run_id)
    assert [step["used_model"] for step in run["steps"]] == ["scripted/beta", None, "scripted/beta"]
    assert [step["model_origin"] for step in run["steps"]] == ["run", None, "agent"]
    assert place.fake.provider.models_called() == ["beta", "beta"]


async def test_a_decision_names_its_gate_and_the_changes_that_were_seen(place: Place) -> None:
    asked = await cli("run", "gated", "Do it.", "--follow", "--json")
    run_id, gate = json.loads(asked.out)["id"], json.loads(asked.out)["approval"]["id"]
    looked = await cli("show", run_id, "--diff")
    digest = (await place.json("show", run_id, "--diff"))["digest"]
    assert f"--seen {digest}" in looked.err
    for way in ("approve", "reject"):
        other = await cli(way, run_id, "--gate", gate + 1)
        assert (other.code, "waits at another one" in other.err) == (2, True), "only the gate that was looked at"
    assert (await cli("request-changes", run_id, "--gate", gate + 1, "-c", "No.")).code == 2
    (place.project / "new.txt").write_text("by somebody else")
    unseen = await cli("approve", run_id, "--seen", digest)
    assert (unseen.code, "have changed" in unseen.err) == (2, True), unseen.err
    (place.project / "new.txt").unlink()
    approved = await cli("approve", run_id, "--gate", gate, "--seen", digest)
    assert approved.code == 0, approved.err


async def test_failed_rejected_aborted_and_restarted_runs_say_so_by_their_exit_code(place: Place) -> None:
    failed = await cli("run", "one", "[[finish:length]]", "-f")
    assert (failed.code, "truncated" in failed.err) == (1, True)

    asked = await cli("run", "gated", "Do it.", "--follow", "--json")
    run_id = json.loads(asked.out)["id"]
    assert asked.code == 3
    assert (await cli("reject", run_id, "-c", "No.")).code == 0
    rejected = await cli("watch", run_id)
    assert (rejected.code, rejected.out, "No." in rejected.err) == (1, "failed\n", True), rejected.err
    restarted = await place.json("restart", run_id)
    assert restarted["attempt"] == 2
    assert (await cli("watch", run_id)).code == 3

    watching = asyncio.create_task(cli("watch", run_id))
    aborted = await cli("abort", run_id)
    assert (aborted.code, "aborted" in aborted.err) == (0, True)
    assert (await watching).code in (3, 4)
    assert (await cli("watch", run_id)).code == 4
    assert (await cli("abort", run_id)).code == 2


async def test_lists_diffs_and_models(place: Place) -> None:
    first = await cli("run", "one", "A rare word.", "--title", "The first", "-f", "-b", "main")
    assert first.code == 0, first.err
    (place.folder / "other").mkdir()
    second = await cli("run", "one", "Second line with a rare word\nof two", "-C", "../other", "-f")
    assert second.code == 0, second.err
    one, two = int(first.out), int(second.out)
    table = [line.split("\t") for line in (await cli("runs", "-q", "rare word")).out.splitlines()]
    assert [(row[0], row[1], row[3]) for row in table] == [
        ("ID", "STATUS", "TITLE"),
        (str(two), "done", "Second line with a rare word"),
        (str(one), "done", "The first"),
    ]
    assert table[1][7] == str(place.folder / "other")
    assert [run["id"] for run in (await place.json("runs", "-q", "The first"))["items"]] == [one]
    assert [run["id"] for run in (await place.json("runs", "--limit", 1))["items"]] == [two]
    assert (await place.json("runs", "--status", "waiting_for_input", "--status", "pending"))["items"] == []
    assert (await cli("runs", "--status", "bogus")).code == 2
    nothing = await cli("runs", "-q", "never written anywhere")
    assert (nothing.code, nothing.out) == (0, "")

    (place.project / "new.txt").write_text("made by an agent\n")
    diff = await cli("show", one, "--diff")
    (place.project / "new.txt").unlink()
    assert "+made by an agent" in diff.out
    assert "1 files, +1 -0" in diff.err
    assert (await place.json("show", one, "--diff"))["additions"] == 0
    no_git = await cli("show", two, "--diff")
    assert (no_git.out, "no git repository" in no_git.err) == ("", True)

    models = await cli("models", "-C", ".")
    assert [line.split("\t")[0] for line in models.out.splitlines()] == ["MODEL", "scripted/alpha", "scripted/beta"]
    assert (await place.json("models"))["default"] == "scripted/alpha"


@pytest.mark.usefixtures("place")
async def test_refusals_are_sentences_with_what_was_meant() -> None:
    before = (await cli("runs")).out
    wrong = await cli("run", "gatd", "Do it.")
    assert (wrong.code, wrong.out, "gated" in wrong.err) == (2, "", True)
    wrong = await cli("run", "gatd", "Do it.", "-m", "1=alpha")
    assert (wrong.code, "did you mean gated?" in wrong.err) == (2, True)
    wrong = await cli("run", "gated", "Do it.", "-m", "3=scripted/alpa")
    assert wrong.code == 2
    assert "scripted/alpa" in wrong.err
    assert "step 3" in wrong.err
    assert "instead: scripted/alpha" in wrong.err
    assert wrong.err.count("OpenCode lists no model") == 1, "said once"
    wrong = await cli("run", "one", "Do it.", "-C", "/")
    assert (wrong.code, "PACELINE_FS_ROOTS" in wrong.err) == (2, True)
    wrong = await cli("run", "one", " ")
    assert (wrong.code, "prompt: must not be blank" in wrong.err) == (2, True)
    assert ((await cli("show", 77)).code, (await cli("watch", 77)).code) == (2, 2)
    assert len((await cli("runs")).out.splitlines()) == len(before.splitlines()), "nothing was created"


async def test_the_address_and_the_token_can_be_given(
    place: Place, served: tuple[Place, ServeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACELINE_DATA_DIR", str(place.folder / "elsewhere"))
    monkeypatch.setenv("PACELINE_URL", served[1].url)
    monkeypatch.setenv("PACELINE_TOKEN", (place.data_dir / "token").read_text().strip())
    assert (await cli("runs")).code == 0
    monkeypatch.setenv("PACELINE_TOKEN", "wrong")
    refused = await cli("runs")
    assert (refused.code, "The token is wrong" in refused.err) == (2, True)


async def test_a_gate_sends_back_edits_the_handoff_and_changes_the_next_model(place: Place, tmp_path: Path) -> None:
    created = await cli("run", "gated", "[[say:A first try.]]", "-f")
    run_id = created.out.strip()
    vague = await cli("request-changes", run_id)
    assert vague.code == 2, "changes need a comment"
    sent_back = await cli("request-changes", run_id, "--comment", "Try harder.")
    assert (sent_back.code, "sent back" in sent_back.err) == (0, True)
    assert (await cli("watch", run_id)).code == 3
    assert "Try harder." in (await cli("show", run_id, "--prompt", 1)).out
    better = tmp_path / "handoff.md"
    better.write_text("## What was done\nWhat a person wrote instead.\n")
    assert (await cli("approve", run_id, "--handoff", str(better), "-m", "3=alpha")).code == 0
    assert (await cli("watch", run_id)).out == "done\n"
    assert "What a person wrote instead." in (await cli("show", run_id, "--prompt", 3)).out
    run = await place.json("show", run_id)
    assert (run["steps"][2]["used_model"], run["steps"][2]["model_origin"]) == ("scripted/alpha", "run")
    assert run["steps"][0]["latest_handoff"]["edited_by"] == "owner"
    assert "A first try." in run["steps"][0]["latest_handoff"]["original"]


async def test_restart_from_a_step_and_duplicate(place: Place) -> None:
    run_id = (await cli("run", "one", "[[finish:length]]", "-f")).out.strip()
    assert (await cli("restart", run_id, "--from", 2)).code == 2
    assert (await cli("restart", run_id, "--from", 1, "-m", "1=beta")).code == 0
    assert (await cli("watch", run_id)).code == 1
    assert place.fake.provider.models_called()[-1] == "beta"
    copy = (await cli("duplicate", run_id)).out.strip()
    assert int(copy) > int(run_id)
    assert (await cli("watch", copy)).code == 1


async def test_a_step_that_is_tried_again_says_so(place: Place) -> None:
    followed = await cli("run", "stubborn", "[[say:Fine.]] [[empty:1]]", "--follow")
    assert followed.code == 0, followed.err
    before, _, after = followed.err.partition("[1 first] tried 1 of 2: empty_output: The model finished")
    assert "The next try begins in" in after, before
    assert "[1 first] done in" in after
    run = await place.json("show", followed.out.strip())
    assert [(step["status"], step["attempts"], step["retry_at"]) for step in run["steps"]] == [("done", 2, None)]


async def test_a_step_that_waits_for_its_next_try_is_shown_and_can_be_aborted(place: Place) -> None:
    run_id = (await cli("run", "patient", "[[empty]]")).out.strip()
    while "tried 1 of 3" not in (shown := (await cli("show", run_id)).out):
        assert (await place.json("show", run_id))["status"] in ("pending", "running"), shown
        await asyncio.sleep(0.1)
    assert "Step 1 (first) tried 1 of 3: empty_output: The model finished" in shown
    assert "The next try begins in 2 h." in shown or "The next try begins in 1 h." in shown
    assert (await cli("abort", run_id)).code == 0
    assert (await cli("watch", run_id)).code == 4
    assert place.fake.provider.models_called() == ["alpha"]
