// Requests of agents on the run page: what is shown before somebody allows it, and what each answer sends.
import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { aRequest, aRun, aStep, at } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { problem, server, url } from "@/test/server";
import type { AgentRequest } from "@/types/api";
import { askedFor, otherPatterns, RequestBox } from "./request-box";

const run = aRun({ status: "waiting_for_input", steps: [aStep({ status: "waiting_for_input" })] });
const question = aRequest({
  kind: "question",
  tool: "question",
  patterns: [],
  details: {
    ...aRequest().details,
    command: null,
    questions: [
      {
        question: "Which database?",
        header: "Storage",
        options: [
          { label: "SQLite", description: "one file" },
          { label: "PostgreSQL", description: "" },
        ],
        multiple: false,
        custom: true,
      },
    ],
  },
});

function show(request: AgentRequest): unknown[] {
  const bodies: unknown[] = [];
  server.use(
    http.post(url("/pipelines/42/requests/5/answer"), async ({ request: call }) => {
      bodies.push(await call.json());
      return HttpResponse.json(run);
    }),
  );
  renderAt({ path: "/", address: "/" }, <RequestBox run={run} request={request} now={Date.parse(at(170))} />);
  return bodies;
}

const press = async (name: string | RegExp) => userEvent.click(await screen.findByRole("button", { name }));

it("shows the whole command with hidden characters written out, its step, its place and its deadline", async () => {
  const command = `echo ${"x".repeat(500)}\n\u202erm -rf build`;
  show(aRequest({ sub_agent: true, patterns: [command, "rm *"], details: { ...aRequest().details, command } }));
  const box = await screen.findByRole("region", { name: "Request 5: bash" });
  expect(box).toHaveTextContent(`echo ${"x".repeat(500)} ⟨U+202E⟩rm -rf build`);
  expect(box).toHaveTextContent("rm *");
  expect(box).toHaveTextContent("step 1 developer, asked by a sub-agent");
  expect(box).toHaveTextContent("in /src/webshop");
  expect(box).toHaveTextContent("unless answered (29:40 left)");
  expect(box).toHaveTextContent("Permissions are no sandbox");
  await press("About limits");
  expect(await screen.findByRole("dialog")).toHaveTextContent("They do not confine it");
});

it.each([
  ["Allow once", { reply: "once", remember: false }],
  [/rest of the run/, { reply: "once", remember: true }],
  ["Reject", { reply: "reject", remember: false }],
] as const)("sends %s", async (name, body) => {
  const bodies = show(aRequest());
  await press(name);
  await expect.poll(() => bodies).toEqual([body]);
});

it("sends the message with a rejection, and none with a yes", async () => {
  const bodies = show(aRequest());
  await userEvent.type(await screen.findByLabelText(/^Message/), "use a branch");
  await press("Allow once");
  await press("Reject");
  await expect.poll(() => bodies).toHaveLength(2);
  expect(bodies).toEqual([
    { reply: "once", remember: false },
    { reply: "reject", remember: false, message: "use a branch" },
  ]);
});

it("wants an answer to each question, from the options or in own words", async () => {
  const bodies = show(question);
  await press("Answer");
  expect(await screen.findByRole("alert")).toHaveTextContent("Answer each question first.");
  await userEvent.click(screen.getByRole("radio", { name: /PostgreSQL/ }));
  await press("Answer");
  await expect.poll(() => bodies).toHaveLength(1);
  await userEvent.type(screen.getByLabelText("or in your own words"), "DuckDB");
  expect(screen.getByRole("radio", { name: /PostgreSQL/ })).not.toBeChecked();
  await press("Answer");
  await expect.poll(() => bodies).toHaveLength(2);
  expect(bodies).toMatchObject([{ answers: [["PostgreSQL"]] }, { answers: [["DuckDB"]] }]);
});

it("says that somebody else was faster", async () => {
  show(aRequest());
  server.use(
    http.post(url("/pipelines/42/requests/5/answer"), () =>
      problem(409, "state_conflict", "Request 5 was answered by ada."),
    ),
  );
  await press("Allow once");
  expect(await screen.findByRole("alert")).toHaveTextContent("Request 5 was answered by ada.");
});

it("names what is asked for and repeats no pattern", () => {
  expect(askedFor(aRequest())).toBe("May this command run?");
  expect(askedFor(aRequest({ tool: "webfetch" }))).toBe("May the tool webfetch be used?");
  expect(askedFor(question)).toBe("A question for you");
  expect(otherPatterns(aRequest())).toEqual([]);
  expect(otherPatterns(aRequest({ patterns: ["git push origin main", "ls"] }))).toEqual(["ls"]);
});
