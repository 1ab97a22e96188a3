// What goes to the server with a decision: only what a person really gave.
import type { Choices } from "@/features/new-run/choice";
import type { ApproveBody, RestartBody, Run, Step } from "@/types/api";
import { agentsBefore } from "./selection";

/** What a person has put into the form of a gate. `handoff` is undefined while nobody edits it. */
export interface GateForm {
  comment: string;
  handoff: string | undefined;
  models: Choices;
}

export const EMPTY_GATE: GateForm = { comment: "", handoff: undefined, models: {} };

/** The choices for steps from one index on, with the keys as JSON has them; nothing when there are none. */
function modelsFrom(models: Choices, first: number): { step_models?: Record<string, string> } {
  const entries = Object.entries(models).filter(([index]) => Number(index) >= first);
  return entries.length > 0 ? { step_models: Object.fromEntries(entries) } : {};
}

/**
 * The body of an approval; a hand-off that reads as before is not sent, so that nothing counts as edited.
 * `seen` is the digest of the diff on the page: the server refuses when the files differ by now.
 */
export function approval(form: GateForm, written: string | undefined, seen: string | null | undefined): ApproveBody {
  const comment = form.comment.trim();
  const edited = form.handoff?.trim() && form.handoff.trim() !== written?.trim();
  return {
    ...(comment && { comment }),
    ...(edited && form.handoff !== undefined && { handoff: form.handoff }),
    ...modelsFrom(form.models, 0),
    ...(seen && { seen }),
  };
}

/** The step that changes go back to when nobody chooses: the agent step before the gate. */
export function returnStep(run: Run, gate: Step, wanted: number | null): Step | undefined {
  const before = agentsBefore(run, gate);
  return before.find((step) => step.order_index === wanted) ?? before.at(-1);
}

/** The steps that a restart can begin with: all up to the first one that is not done. */
export function restartable(run: Pick<Run, "steps">): Step[] {
  const open = run.steps.findIndex((step) => step.status !== "done");
  return open < 0 ? run.steps : run.steps.slice(0, open + 1);
}

/** The body of a restart; choices for steps before its beginning are left out. */
export function restart(start: number, models: Choices): RestartBody {
  return { step: start, ...modelsFrom(models, start) };
}
