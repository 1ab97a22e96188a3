// The decision at a gate: what each answer sends, and what is asked for before it is sent.
import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { beforeEach, expect, it } from "vitest";
import { aDiff, aHandoff, anApproval, aRun, aStep, at, DIFF_TEXT } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { problem, server, url } from "@/test/server";
import { GatePanel } from "./gate-panel";

const gate = aStep({ id: 12, type: "approval", agent_name: null, order_index: 2, status: "waiting_for_approval" });
const steps = [
  aStep({ id: 10, agent_name: "analyst", status: "done" }),
  aStep({ id: 11, order_index: 1, status: "done", latest_handoff: aHandoff() }),
  gate,
  aStep({ id: 13, order_index: 3, agent_name: "senior_reviewer", model: "openai/gpt-5.2", model_origin: "agent" }),
];
/** Every decision names the gate that was on the page. */
const about = { approval_id: 7 };
const run = aRun({ status: "waiting_for_approval", steps, approval: anApproval(), approvals: [anApproval()] });

let sent: [string, unknown][] = [];

beforeEach(() => {
  sent = [];
  server.use(
    http.post(url("/pipelines/42/:action"), async ({ request, params }) => {
      sent.push([String(params.action), await request.json()]);
      return HttpResponse.json(run);
    }),
  );
});

const show = (shown = run) =>
  renderAt({ path: "/", address: "/" }, <GatePanel run={shown} gate={gate} now={Date.parse(at(200))} />);
const comment = () => screen.findByLabelText(/^Comment/);
const press = async (name: string | RegExp) => userEvent.click(await screen.findByRole("button", { name }));

it("sends the comment with the approval and says who goes on with which model", async () => {
  show();
  await userEvent.type(await comment(), "keep the retry helper");
  expect(screen.getByText("Then senior_reviewer on")).toBeInTheDocument();
  await press("Approve");
  await expect.poll(() => sent).toEqual([["approve", { ...about, comment: "keep the retry helper" }]]);
});

it("approves by Ctrl Enter from within the comment", async () => {
  show();
  await userEvent.type(await comment(), "{Control>}{Enter}{/Control}");
  await expect.poll(() => sent).toEqual([["approve", about]]);
});

it("wants a comment for changes, which go back to the agent before the gate", async () => {
  show();
  await press("Request changes → developer");
  expect(await comment()).toHaveFocus();
  expect(await comment()).toHaveAccessibleDescription("Say what shall change.");
  await userEvent.type(await comment(), "use a fixture");
  await press("Request changes → developer");
  await expect.poll(() => sent).toEqual([["request-changes", { ...about, comment: "use a fixture", step: 1 }]]);
});

it("sends changes back to another step when one is chosen", async () => {
  show();
  await userEvent.selectOptions(await screen.findByLabelText("Changes go back to"), "1 analyst");
  await userEvent.type(await comment(), "wrong cause");
  await press("Request changes → analyst");
  await expect.poll(() => sent).toEqual([["request-changes", { ...about, comment: "wrong cause", step: 0 }]]);
});

it("offers no changes where no agent worked before", async () => {
  show({ ...run, steps: steps.slice(2) });
  await screen.findByRole("button", { name: "Approve" });
  expect(screen.queryByRole("button", { name: /^Request changes/ })).toBeNull();
});

it("sends an edited hand-off with the approval, and none that reads as before", async () => {
  show();
  await press("Edit before it goes on");
  const field = await screen.findByLabelText(/^Hand-off/);
  expect(field).toHaveValue(aHandoff().text);
  await press("Approve");
  await expect.poll(() => sent).toEqual([["approve", about]]);
  await userEvent.clear(field);
  await userEvent.type(field, "## What was done");
  await press("Approve");
  await expect.poll(() => sent[1]).toEqual(["approve", { ...about, handoff: "## What was done" }]);
  await press("Discard my edit");
  await screen.findByRole("heading", { name: "Decisions made" });
});

it("sends another model for a step to come", async () => {
  show();
  await press("change model");
  await userEvent.click(await screen.findByRole("combobox", { name: /^Model of step 4 senior_reviewer/ }));
  await userEvent.click(await screen.findByRole("option", { name: /claude-opus-4-5/ }));
  await press("Approve");
  await expect.poll(() => sent).toEqual([["approve", { ...about, step_models: { 3: "anthropic/claude-opus-4-5" } }]]);
});

it("names the changes that are shown, and shows the new ones when the server says that they are others now", async () => {
  const diffs = [
    aDiff({ digest: "first" }),
    aDiff({ digest: "second", text: DIFF_TEXT.replaceAll("test_session", "other") }),
  ];
  let read = 0;
  server.use(
    http.get(url("/pipelines/42/diff"), () => HttpResponse.json(diffs[read++])),
    http.post(url("/pipelines/42/approve"), async ({ request }) => {
      sent.push(["approve", await request.json()]);
      return sent.length > 1 ? HttpResponse.json(run) : problem(409, "stale_diff", "The files have changed.");
    }),
  );
  show();
  await screen.findByText("tests/login/test_session.py");
  await press("Approve");
  await screen.findByText("The files have changed.");
  await screen.findByText("tests/login/other.py");
  await press("Approve");
  await expect
    .poll(() => sent.map(([, body]) => body))
    .toEqual([
      { ...about, seen: "first" },
      { ...about, seen: "second" },
    ]);
});

it("shows why a decision was refused", async () => {
  server.use(
    http.post(url("/pipelines/42/reject"), () =>
      problem(409, "not_waiting", "The run is done; there is nothing to decide."),
    ),
  );
  show();
  await press("Reject");
  expect(await screen.findByText("The run is done; there is nothing to decide.")).toBeInTheDocument();
});

it("says at a closed gate that changes were requested, and shows both versions of an edited hand-off", async () => {
  const closed = { ...gate, status: "pending" as const };
  const approval = anApproval({
    status: "rejected",
    decision: "request_changes",
    decided_by: "ada",
    decided_at: at(1),
  });
  const handoff = { ...aHandoff(), edited_by: "ada", original: "As the agent had it." };
  const [first = expect.unreachable(), second = expect.unreachable(), ...rest] = steps;
  const shown = {
    ...run,
    approval,
    approvals: [approval],
    steps: [first, { ...second, latest_handoff: handoff }, ...rest],
  };
  renderAt({ path: "/", address: "/" }, <GatePanel run={shown} gate={closed} now={Date.parse(at(200))} />);
  const panel = within(await screen.findByRole("region", { name: "Approval" }));
  expect(panel.getByText("changes requested")).toBeInTheDocument();
  await press("show original");
  expect(panel.getByText("As the agent had it.")).toBeInTheDocument();
  await press("show the edited one");
  expect(panel.getByRole("heading", { name: "Decisions made" })).toBeInTheDocument();
});
