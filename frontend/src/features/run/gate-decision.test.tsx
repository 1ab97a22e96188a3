// The decision at a gate.
import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { aRun, aStep } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { problem, server, url } from "@/test/server";
import { GateDecision } from "./gate-decision";

const gate = aStep({ id: 12, type: "approval", agent_name: null, status: "waiting_for_approval" });
const next = aStep({
  id: 13,
  order_index: 1,
  agent_name: "senior_reviewer",
  model: "openai/gpt-5.2",
  model_origin: "agent",
});
const run = aRun({ status: "waiting_for_approval", steps: [gate, next] });

const show = () => renderAt({ path: "/", address: "/" }, <GateDecision run={run} gate={gate} />);

it("sends the comment with the approval and says who goes on with which model", async () => {
  const bodies: unknown[] = [];
  server.use(
    http.post(url("/pipelines/42/approve"), async ({ request }) => {
      bodies.push(await request.json());
      return HttpResponse.json(run);
    }),
  );
  show();
  await userEvent.type(await screen.findByLabelText(/^Comment/), "keep the retry helper");
  expect(screen.getByText("Then senior_reviewer on")).toBeInTheDocument();
  await userEvent.click(screen.getByRole("button", { name: "Approve" }));
  await expect.poll(() => bodies).toEqual([{ comment: "keep the retry helper" }]);
});

it("approves by Ctrl Enter from within the comment", async () => {
  const bodies: unknown[] = [];
  server.use(
    http.post(url("/pipelines/42/approve"), async ({ request }) => {
      bodies.push(await request.json());
      return HttpResponse.json(run);
    }),
  );
  show();
  await userEvent.type(await screen.findByLabelText(/^Comment/), "{Control>}{Enter}{/Control}");
  await expect.poll(() => bodies).toEqual([{}]);
});

it("shows why a decision was refused", async () => {
  server.use(
    http.post(url("/pipelines/42/reject"), () =>
      problem(409, "not_waiting", "The run is done; there is nothing to decide."),
    ),
  );
  show();
  await userEvent.click(await screen.findByRole("button", { name: "Reject" }));
  expect(await screen.findByRole("alert")).toHaveTextContent("The run is done; there is nothing to decide.");
});
