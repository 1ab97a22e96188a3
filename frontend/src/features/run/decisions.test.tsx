// The list of what people decided about a run.
import { screen, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { describe, expect, it } from "vitest";
import { anEvent, aRun, aStep, at } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { server, url } from "@/test/server";
import type { AuditEvent } from "@/types/api";
import { decisionLine } from "./decision-lines";
import { Decisions } from "./decisions";

const run = aRun({ steps: [aStep(), aStep({ id: 12, order_index: 1, type: "approval", agent_name: null })] });
const created = anEvent();
const approved = anEvent({ id: 9, at: at(60), type: "approval.approved", step_id: 12, payload: { comment: "Fine." } });

describe("a decision as a sentence", () => {
  it.each([
    ["pipeline.restarted", null, { step: 2, attempt: 3 }, "restarted the run at step 2, as attempt 3", null],
    ["step.model_changed", 11, { model: "a/b" }, "changed the model of step 1", "a/b"],
    ["handoff.edited", 11, {}, "edited the hand-off of step 1", null],
    ["approval.approved", 12, {}, "approved at step 2", null],
    ["approval.changes_requested", 12, { step: 1 }, "sent the run back from step 2 to step 1", null],
    ["request.answered", 11, { tool: "bash", patterns: ["ls"] }, "allowed step 1 the tool bash", "ls"],
    [
      "request.answered",
      11,
      { tool: "bash", patterns: ["ls"], remember: true },
      "allowed step 1 the tool bash for the rest of the run",
      "ls",
    ],
    ["request.denied", 11, { tool: "edit", patterns: ["a", "b"] }, "denied step 1 the tool edit", "a\nb"],
    ["request.denied", 11, { tool: "question", patterns: [] }, "rejected the question of step 1", null],
  ] as const)("says %s", (type, step_id, payload, what, on) => {
    expect(decisionLine(run, anEvent({ type, step_id, payload: { ...payload } }))).toMatchObject({
      who: "ada",
      what,
      on,
    });
  });

  it("keeps the words of whoever decided", () => {
    expect(decisionLine(run, approved).said).toBe("Fine.");
    const answers = { tool: "question", answers: [["pg", "own text"], ["yes"]] };
    expect(decisionLine(run, anEvent({ type: "request.answered", step_id: 11, payload: answers }))).toMatchObject({
      what: "answered step 1",
      said: "pg · own text · yes",
    });
    const denied = { tool: "bash", patterns: ["rm"], message: "Use make clean." };
    expect(decisionLine(run, anEvent({ type: "request.denied", payload: denied })).said).toBe("Use make clean.");
  });

  it("says that nobody answered", () => {
    const expired = anEvent({
      type: "request.expired",
      actor: "system",
      step_id: 11,
      payload: { tool: "bash", patterns: [] },
    });
    expect(decisionLine(run, expired)).toMatchObject({
      who: "nobody",
      what: "answered step 1 in time, so bash was denied",
    });
  });
});

/** Shows the list when the server answers these events, newest first. */
function show(items: AuditEvent[], next_cursor: string | null = null): URLSearchParams[] {
  const asked: URLSearchParams[] = [];
  server.use(
    http.get(url("/audit"), ({ request }) => {
      asked.push(new URL(request.url).searchParams);
      return HttpResponse.json({ items, next_cursor });
    }),
  );
  renderAt({ path: "/", address: "/" }, <Decisions run={run} now={Date.parse(at(90))} />);
  return asked;
}

it("lists who decided what, when and in which words, oldest first", async () => {
  const asked = show([approved, created]);
  const list = within(await screen.findByRole("region", { name: "Decisions" }));
  expect(list.getAllByRole("listitem").map((item) => item.textContent)).toEqual([
    expect.stringContaining("ada created the run"),
    expect.stringContaining("ada approved at step 2Fine."),
  ]);
  expect(asked[0]?.get("pipeline_id")).toBe("42");
  expect(asked[0]?.getAll("type")).toContain("request.denied");
});

it("says what is missing", async () => {
  show([approved]);
  await screen.findByText(/removed from the audit log/);
});

it("says that there is more", async () => {
  show([approved], "x");
  await screen.findByText(/oldest decisions are not shown/);
});

it("stays away while there is nothing to tell", async () => {
  const asked = show([created]);
  await expect.poll(() => asked).toHaveLength(1);
  expect(screen.queryByRole("region", { name: "Decisions" })).toBeNull();
});
