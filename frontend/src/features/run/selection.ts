// Which step the page shows, and what belongs to it.
import type { AgentRequest, Approval, Handoff, Run, Step } from "@/types/api";

/** The step that matters now: the waiting one, else the running (or tried again), the failed, the last that began, the first. */
export function currentStep(steps: Step[]): Step | undefined {
  return (
    steps.find((step) => step.status.startsWith("waiting")) ??
    steps.find((step) => step.status === "running" || step.retry_at !== null) ??
    steps.find((step) => step.status === "failed") ??
    steps.findLast((step) => step.started_at !== null) ??
    steps[0]
  );
}

/** The step of the address (from 1), else the current one. */
export function chosenStep(run: Run, wanted: number | undefined): Step | undefined {
  return run.steps.find((step) => step.order_index + 1 === wanted) ?? currentStep(run.steps);
}

/** The hand-off that a gate is about: the nearest earlier agent step's. */
export function handoffBefore(run: Run, gate: Step): Handoff | null {
  return agentsBefore(run, gate).at(-1)?.latest_handoff ?? null;
}

/** The agent steps before a gate, to which it can send the run back. */
export function agentsBefore(run: Run, gate: Step): Step[] {
  return run.steps.filter((step) => step.type === "agent" && step.order_index < gate.order_index);
}

/** The agent steps after a gate; the first one goes on. */
export function agentsAfter(run: Run, gate: Step): Step[] {
  return run.steps.filter((step) => step.type === "agent" && step.order_index > gate.order_index);
}

/** What a person decided at a gate, as a word. */
export function decisionWord({ decision, status }: Pick<Approval, "decision" | "status">): string {
  return decision === "request_changes" ? "changes requested" : status;
}

/** The newest record of a gate. One that the run has yet to reach again has none, unless changes were asked for there. */
export function approvalOf(run: Run, gate: Step): Approval | null {
  const newest = run.approvals.findLast((approval) => approval.step_id === gate.id) ?? null;
  return gate.status === "pending" && newest?.decision !== "request_changes" ? null : newest;
}

/** The open requests of a step's agent, oldest first. */
export function requestsOf(run: Pick<Run, "requests">, step: Step): AgentRequest[] {
  return run.requests.filter((request) => request.step_id === step.id && request.status === "pending");
}

/** Since when a step waits for an answer to its agent; null while it does not. */
export function waitingSince(run: Pick<Run, "requests">, step: Step): string | null {
  return requestsOf(run, step)[0]?.asked_at ?? null;
}

/** How many open questions a hand-off lists: its bullet points, or one for a paragraph; "none" in words counts as none. */
export function countQuestions(handoff: Handoff | null): number {
  const text = handoff?.sections.open_questions?.trim() ?? "";
  if (text === "" || /^[-*\s]*(none|no|nothing|n\/a)\b[^?]*$/i.test(text)) return 0;
  return text.split("\n").filter((line) => /^\s*([-*+]|\d+[.)])\s/.test(line)).length || 1;
}
