// The form of a new run, against the answers of the API.
import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { aRun } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { problem, server, url } from "@/test/server";
import { NewRunPage } from "./new-run-page";

const show = () => renderAt({ path: "/new", address: "/new" }, <NewRunPage />);
const task = () => screen.findByLabelText("Task");
const start = () => screen.getByRole("button", { name: "Start" });

it("says at the directory that permissions are no sandbox, and more on demand", async () => {
  show();
  await screen.findByText(/^Agents work there as you: their permissions are no sandbox/);
  await userEvent.click(screen.getByRole("button", { name: "About limits" }));
  const dialog = within(await screen.findByRole("dialog"));
  dialog.getByRole("heading", { name: "Tools may run twice" });
  await userEvent.click(dialog.getByRole("button", { name: "Close" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

it("does not send a run without a task", async () => {
  show();
  await task();
  await userEvent.click(start());
  expect(await screen.findByText("Say what is to be done.")).toBeInTheDocument();
});

it("shows each refusal at its field, and takes a candidate with a click", async () => {
  const bodies: { step_models?: Record<string, string> }[] = [];
  server.use(
    http.post(url("/pipelines"), async ({ request }) => {
      bodies.push((await request.json()) as object);
      if (bodies.length > 1) return HttpResponse.json(aRun(), { status: 201 });
      return problem(422, "unknown_model", "Two things are wrong.", [
        {
          pointer: "/step_models/0",
          message: "OpenCode knows no model x/y.",
          candidates: ["anthropic/claude-opus-4-5"],
        },
        { pointer: "/branch", message: "The directory is not on that branch." },
      ]);
    }),
  );
  localStorage.setItem("paceline.draft.1", JSON.stringify({ prompt: "Fix it", branch: "b", models: { 0: "x/y" } }));
  const { router } = show();
  expect(await task()).toHaveValue("Fix it");
  await userEvent.click(start());
  await userEvent.click(await screen.findByRole("button", { name: "anthropic/claude-opus-4-5" }));
  expect(screen.getByLabelText("Branch")).toHaveAccessibleDescription(/^The directory is not on that branch\./);
  await userEvent.click(start());
  await waitFor(() => expect(router.state.location.pathname).toBe("/runs/42"));
  expect(bodies.map((body) => body.step_models)).toEqual([{ 0: "x/y" }, { 0: "anthropic/claude-opus-4-5" }]);
  expect(localStorage).toHaveLength(0);
});

it("names a submission, so that one whose answer was lost creates nothing twice", async () => {
  const keys: (string | null)[] = [];
  server.use(
    http.post(url("/pipelines"), ({ request }) => {
      keys.push(request.headers.get("idempotency-key"));
      return keys.length < 3 ? HttpResponse.error() : HttpResponse.json(aRun(), { status: 201 });
    }),
  );
  const { router } = show();
  await userEvent.type(await task(), "Fix it");
  for (const words of ["", "", " at once"]) {
    if (words) await userEvent.type(await task(), words);
    const sent = keys.length;
    await userEvent.click(await screen.findByRole("button", { name: "Start" }));
    await waitFor(() => expect(keys).toHaveLength(sent + 1));
  }
  await waitFor(() => expect(router.state.location.pathname).toBe("/runs/42"));
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(keys[1]).toBe(keys[0]);
  expect(keys[2]).not.toBe(keys[0]);
});

it("keeps a draft, says so, and forgets it on demand", async () => {
  localStorage.setItem("paceline.draft.1", JSON.stringify({ prompt: "Fix it" }));
  show();
  await userEvent.click(await screen.findByRole("button", { name: "Discard it" }));
  expect(await task()).toHaveValue("");
  await userEvent.type(await task(), "Another");
  await waitFor(() => expect(localStorage.getItem("paceline.draft.1")).toContain("Another"));
});

it("takes a model from the picker and sends it for that step", async () => {
  let body: unknown;
  server.use(
    http.post(url("/pipelines"), async ({ request }) => {
      body = await request.json();
      return HttpResponse.json(aRun(), { status: 201 });
    }),
  );
  show();
  await userEvent.type(await task(), "Fix it");
  await userEvent.click(screen.getByRole("combobox", { name: /^Model of step 3/ }));
  await userEvent.type(await screen.findByLabelText("Search models"), "opus");
  await userEvent.click(await screen.findByRole("option", { name: /claude-opus-4-5/ }));
  await userEvent.click(start());
  await waitFor(() => expect(body).toMatchObject({ step_models: { 2: "anthropic/claude-opus-4-5" } }));
});

it("says where the registry on disk is wrong", async () => {
  const problems = [{ file: "agents.yaml", line: 3, column: 5, message: "unknown key nmae" }];
  server.use(http.get(url("/registry/status"), () => HttpResponse.json({ problems })));
  show();
  expect(await screen.findByText("agents.yaml, line 3, column 5")).toBeInTheDocument();
  expect(screen.getByRole("alert")).toHaveTextContent("unknown key nmae");
});
