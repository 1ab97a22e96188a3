// What was decided about a run, as sentences: who, what, on what, and in which words.
import type { AuditEvent, Run } from "@/types/api";

/** One decision. `on` is a command or a path, `said` the words of whoever decided. */
export interface DecisionLine {
  who: string;
  what: string;
  on: string | null;
  said: string | null;
}

function textOf({ payload }: AuditEvent, key: string): string | null {
  const value = payload[key];
  return typeof value === "string" && value !== "" ? value : null;
}

function listOf({ payload }: AuditEvent, key: string): string[] {
  const value = payload[key];
  return Array.isArray(value) ? value.flat().map(String) : [];
}

/** `step 3`, counted from 1; of a step that the run does not have, only "a step". */
function stepName(run: Pick<Run, "steps">, id: number | null): string {
  const step = run.steps.find((item) => item.id === id);
  return step ? `step ${step.order_index + 1}` : "a step";
}

function requestLine(event: AuditEvent, step: string): Partial<DecisionLine> & { what: string } {
  const tool = textOf(event, "tool") ?? "a tool";
  const on = listOf(event, "patterns").join("\n") || null;
  const isQuestion = tool === "question";
  if (event.type === "request.expired") {
    return { who: "nobody", what: `answered ${step} in time, so ${isQuestion ? "it" : tool} was denied`, on };
  }
  if (event.type === "request.denied") {
    return { what: isQuestion ? `rejected the question of ${step}` : `denied ${step} the tool ${tool}`, on };
  }
  if (isQuestion) return { what: `answered ${step}`, said: listOf(event, "answers").join(" · ") || null };
  return { what: `allowed ${step} the tool ${tool}${event.payload.remember ? " for the rest of the run" : ""}`, on };
}

function lineParts(run: Pick<Run, "steps">, event: AuditEvent): Partial<DecisionLine> & { what: string } {
  const step = stepName(run, event.step_id);
  const target = `step ${event.payload.step}`;
  switch (event.type) {
    case "pipeline.created":
      return { what: "created the run" };
    case "pipeline.aborted":
      return { what: "aborted the run" };
    case "pipeline.restarted":
      return { what: `restarted the run at ${target}, as attempt ${event.payload.attempt}` };
    case "step.model_changed":
      return { what: `changed the model of ${step}`, on: textOf(event, "model") };
    case "handoff.edited":
      return { what: `edited the hand-off of ${step}` };
    case "approval.approved":
      return { what: `approved at ${step}` };
    case "approval.rejected":
      return { what: `rejected at ${step}` };
    case "approval.changes_requested":
      return { what: `sent the run back from ${step} to ${target}` };
    default:
      return requestLine(event, step);
  }
}

/** The sentence for one event of the kinds that are decisions. */
export function decisionLine(run: Pick<Run, "steps">, event: AuditEvent): DecisionLine {
  const said = textOf(event, "comment") ?? textOf(event, "message");
  return { who: event.actor, on: null, said, ...lineParts(run, event) };
}
