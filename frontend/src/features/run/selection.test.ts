// Which step a run's page shows, what a gate is about, and how a tool call reads.
import { describe, expect, it } from "vitest";
import { aHandoff, anApproval, aRequest, aRun, aStep, aTool, at } from "@/test/fixtures";
import { readRunSearch } from "./search";
import {
  agentsAfter,
  agentsBefore,
  approvalOf,
  chosenStep,
  countQuestions,
  currentStep,
  decisionWord,
  handoffBefore,
  requestsOf,
  waitingSince,
} from "./selection";
import { toolLine, toolTime } from "./tool-line";

const steps = [
  aStep({ id: 1, status: "done", started_at: at(0), latest_handoff: aHandoff() }),
  aStep({ id: 2, order_index: 1, type: "approval", agent_name: null, status: "waiting_for_approval" }),
  aStep({ id: 3, order_index: 2, agent_name: "senior_reviewer" }),
];
const run = aRun({ steps });

describe("the step that is shown", () => {
  it("is the waiting, else the running, else the failed, else the last begun, else the first", () => {
    const some = (...statuses: Parameters<typeof aStep>[0][]) =>
      currentStep(statuses.map((part, id) => aStep({ id, ...part })));
    expect(currentStep(steps)?.id).toBe(2);
    expect(some({ status: "failed" }, { status: "running" })?.id).toBe(1);
    expect(some({ status: "done", started_at: at(0) }, { retry_at: at(9) }, {})?.id).toBe(1);
    expect(some({ status: "done" }, { status: "failed" }, { status: "skipped" })?.id).toBe(1);
    expect(some({ started_at: at(0) }, { started_at: at(1) }, {})?.id).toBe(1);
    expect(some({}, {})?.id).toBe(0);
  });

  it("is the one of the address when there is one, counted from 1", () => {
    expect(chosenStep(run, 3)?.id).toBe(3);
    expect(chosenStep(run, 9)?.id).toBe(2);
    expect(readRunSearch({ step: "2", tab: "prompt", attempt: -1 })).toEqual({ step: 2, tab: "prompt" });
    expect(readRunSearch({ step: "x", tab: "evil" })).toEqual({});
  });
});

describe("a gate", () => {
  const gate = steps[1] ?? expect.unreachable();

  it("is about the nearest earlier hand-off and leads to the next agent", () => {
    expect(handoffBefore(run, gate)).toBe(steps[0]?.latest_handoff);
    expect(agentsAfter(run, gate).map((step) => step.agent_name)).toEqual(["senior_reviewer"]);
    expect(agentsBefore(run, gate).map((step) => step.id)).toEqual([1]);
  });

  it("says what was decided", () => {
    expect(decisionWord(anApproval({ status: "rejected", decision: "request_changes" }))).toBe("changes requested");
    expect(decisionWord(anApproval({ status: "rejected", decision: "reject" }))).toBe("rejected");
  });

  it("knows its own newest record, also when another gate is the newest of the run", () => {
    const of = (id: number, step_id: number) => anApproval({ id, step_id });
    expect(approvalOf(aRun({ approvals: [of(5, 2), of(6, 2), of(7, 99)] }), gate)?.id).toBe(6);
    expect(approvalOf(aRun({ approvals: [of(7, 99)] }), gate)).toBeNull();
  });

  it("takes no old approval for one of a gate that will be asked again", () => {
    const again = { ...gate, status: "pending" as const };
    const of = (decision: "approve" | "request_changes") => aRun({ approvals: [anApproval({ step_id: 2, decision })] });
    expect(approvalOf(of("approve"), again)).toBeNull();
    expect(approvalOf(of("request_changes"), again)?.id).toBe(7);
  });

  it.each([
    ["- one?\n- two?", 2],
    ["1. one?\n2. two?\n3. three?", 3],
    ["Should it move?", 1],
    ["None.", 0],
    ["- none", 0],
    ["No open questions", 0],
    ["Nothing works. Why?", 1],
    [null, 0],
  ])("counts the open questions of %j as %d", (open_questions, number) => {
    expect(countQuestions(aHandoff({ open_questions }))).toBe(number);
  });
});

describe("a step whose agent asks", () => {
  it("waits since its oldest open request", () => {
    const [step = expect.unreachable(), , other = expect.unreachable()] = steps;
    const requests = [
      aRequest({ id: 1, step_id: 1, status: "answered", asked_at: at(10) }),
      aRequest({ id: 2, step_id: 1, asked_at: at(20) }),
      aRequest({ id: 3, step_id: 1, asked_at: at(30) }),
    ];
    expect(requestsOf({ requests }, step).map((request) => request.id)).toEqual([2, 3]);
    expect(waitingSince({ requests }, step)).toBe(at(20));
    expect(waitingSince({ requests }, other)).toBeNull();
  });
});

describe("a tool call", () => {
  it("is its most telling argument, with paths seen from the run's directory", () => {
    expect(toolLine(aTool(), "/w")).toBe("pytest -q tests/login");
    expect(toolLine(aTool({ input: { limit: 3, filePath: "/w/a/b.py" } }), "/w")).toBe("a/b.py");
    expect(toolLine(aTool({ input: {}, title: "todo list" }), "/w")).toBe("todo list");
    expect(toolLine(aTool({ input: { command: "a\nb" }, error: "exit 1\nmore" }), "/w")).toBe("a → exit 1");
  });

  it("says how long it took, or what it is doing", () => {
    expect(toolTime(aTool())).toBe("6.2 s");
    expect(toolTime(aTool({ finished_at: null, status: "running" }))).toBe("running");
  });
});
