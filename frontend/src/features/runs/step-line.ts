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
  run: Pick<RunSummary, "status" | "steps" | "queue_position" | "waiting_for" | "error_code" | "error_message">,
): string {
  const { steps } = run;
  const current = steps.find((step) => step.status === "running" || step.status.startsWith("waiting"));
  if (current?.type === "approval") return waitingLine(steps, current);
  if (current?.status === "waiting_for_input") return `${current.agent_name} asks you`;
  if (current) return withModel(current);
  const again = steps.find((step) => step.retry_at !== null);
  if (again) return `${again.agent_name} waits for its next try`;
  if (run.status === "pending" && run.queue_position !== null) {
    return `${ordinal(run.queue_position)} in line for its directory`;
  }
  if (run.waiting_for === "paused") return "held by the paused queue";
  if (run.waiting_for === "limit") return "waits for a place";
  if (run.status === "failed") return run.error_message ?? run.error_code ?? "failed";
  const done = steps.filter((step) => step.status === "done").length;
  return `${done} of ${steps.length} steps done`;
}
