// The line under a run's pips: who works on what, what it waits for, or how it ended.
import { ordinal } from "@/lib/format";
import type { RunSummary, StepPip } from "@/types/api";

function withModel(step: StepPip): string {
  const model = step.used_model ?? step.model;
  return [step.agent_name, model].filter(Boolean).join(" · ");
}

function waitingLine(steps: StepPip[], gate: StepPip): string {
  const before = steps.filter((step) => step.order_index < gate.order_index && step.agent_name !== null).at(-1);
  return before ? `gate after ${before.agent_name}` : "gate at the start";
}

/** One line of text for the list. */
export function stepLine(
  run: Pick<RunSummary, "status" | "steps" | "queue_position" | "error_code" | "error_message">,
): string {
  const { steps } = run;
  const current = steps.find((step) => step.status === "running" || step.status.startsWith("waiting"));
  if (current?.type === "approval") return waitingLine(steps, current);
  if (current?.status === "waiting_for_input") return `${current.agent_name} asks you`;
  if (current) return withModel(current);
  if (run.status === "pending" && run.queue_position !== null) {
    return `${ordinal(run.queue_position)} in line for its directory`;
  }
  if (run.status === "failed") return run.error_message ?? run.error_code ?? "failed";
  const done = steps.filter((step) => step.status === "done").length;
  return `${done} of ${steps.length} steps done`;
}
