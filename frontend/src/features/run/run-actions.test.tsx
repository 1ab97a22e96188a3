// Duplicate and restart from the head of a run.
import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { aRun, aStep } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { problem, server, url } from "@/test/server";
import { RunActions } from "./run-actions";

const failed = aRun({
  status: "failed",
  steps: [
    aStep({ id: 11, status: "done" }),
    aStep({ id: 12, order_index: 1, type: "approval", agent_name: null, status: "done" }),
    aStep({ id: 13, order_index: 2, agent_name: "senior_reviewer", status: "failed" }),
    aStep({ id: 14, order_index: 3, agent_name: "editor", status: "skipped" }),
  ],
});

const show = (run = failed) => renderAt({ path: "/runs/42", address: "/runs/42" }, <RunActions run={run} />);
const press = async (name: string) => userEvent.click(await screen.findByRole("button", { name }));

function restarts(): unknown[] {
  const bodies: unknown[] = [];
  server.use(
    http.post(url("/pipelines/42/restart"), async ({ request }) => {
      bodies.push(await request.json());
      return HttpResponse.json(aRun());
    }),
  );
  return bodies;
}

it("duplicates a run and goes to the new one", async () => {
  server.use(http.post(url("/pipelines/42/duplicate"), () => HttpResponse.json(aRun({ id: 43 }), { status: 201 })));
  const { router } = show(aRun());
  await press("Duplicate");
  await waitFor(() => expect(router.state.location.pathname).toBe("/runs/43"));
});

it("says why a run cannot be duplicated", async () => {
  server.use(http.post(url("/pipelines/42/duplicate"), () => problem(422, "no_directory", "The directory is gone.")));
  show();
  await press("Duplicate");
  expect(await screen.findByRole("alert")).toHaveTextContent("The directory is gone.");
});

it("offers to restart only what failed or was aborted", async () => {
  show(aRun({ status: "done" }));
  await screen.findByRole("button", { name: "Duplicate" });
  expect(screen.queryByRole("button", { name: "Restart from …" })).toBeNull();
});

it("restarts at the first step that is not done, and offers none after it", async () => {
  const bodies = restarts();
  show();
  await press("Restart from …");
  const field = await screen.findByLabelText("Begin again with step");
  expect(field).toHaveValue("2");
  expect([...field.querySelectorAll("option")].map((option) => option.textContent)).toEqual([
    "1 developer",
    "2 approval",
    "3 senior_reviewer",
  ]);
  await press("Restart");
  await expect.poll(() => bodies).toEqual([{ step: 2 }]);
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

it("says before a restart that what a step did may be done again", async () => {
  const interrupted = aStep({ status: "failed", error_code: "interrupted", attempts: 1 });
  show(
    aRun({
      status: "failed",
      steps: [aStep({ id: 10, attempts: 1, status: "done" }), { ...interrupted, order_index: 1 }],
    }),
  );
  await press("Restart from …");
  await screen.findByText(/^Step 2 was interrupted: the files stay as they are now/);
  await userEvent.selectOptions(await screen.findByLabelText("Begin again with step"), "1 developer");
  await screen.findByText(/^Step 1 has worked before/);
});

it("restarts at an earlier step with another model for a step from there on", async () => {
  const bodies = restarts();
  show();
  await press("Restart from …");
  await userEvent.selectOptions(await screen.findByLabelText("Begin again with step"), "1 developer");
  await userEvent.click(await screen.findByRole("combobox", { name: /^Model of step 1 developer/ }));
  await userEvent.click(await screen.findByRole("option", { name: /claude-opus-4-5/ }));
  await press("Restart");
  await expect.poll(() => bodies).toEqual([{ step: 0, step_models: { 0: "anthropic/claude-opus-4-5" } }]);
});
