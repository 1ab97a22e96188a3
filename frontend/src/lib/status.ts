// What each status is called and how it is toned; the one place for these words.
import type { RunSummary, StepStatus } from "@/types/api";
import { ordinal } from "./format";

export type Tone = "run" | "wait" | "ok" | "bad" | "idle";

/** Statuses that no longer change by themselves. */
const FINAL: ReadonlySet<StepStatus> = new Set(["done", "failed", "aborted", "skipped"]);

/** True for a run or step that has ended. */
export function isFinal(status: StepStatus): boolean {
  return FINAL.has(status);
}

const TONES: Record<StepStatus, Tone> = {
  pending: "idle",
  running: "run",
  waiting_for_approval: "wait",
  waiting_for_input: "wait",
  done: "ok",
  failed: "bad",
  aborted: "idle",
  skipped: "idle",
};

const WORDS: Record<StepStatus, string> = {
  pending: "Pending",
  running: "Running",
  waiting_for_approval: "Waiting for you",
  waiting_for_input: "Waiting for you",
  done: "Done",
  failed: "Failed",
  aborted: "Aborted",
  skipped: "Skipped",
};

export function toneOf(status: StepStatus): Tone {
  return TONES[status];
}

/** A step's status as a word. */
export function stepWord(status: StepStatus): string {
  return WORDS[status];
}

/** The status whose sign a run gets: one that is held or waits for a place is not at work, whatever its status. */
export function runSign(run: Pick<RunSummary, "status" | "waiting_for">): RunSummary["status"] {
  return run.waiting_for === "paused" || run.waiting_for === "limit" ? "pending" : run.status;
}

/** A run's status as words: its place in the queue, and "Rejected" for a failure that a person decided. */
export function runWord(run: Pick<RunSummary, "status" | "error_code" | "queue_position" | "waiting_for">): string {
  if (run.waiting_for === "paused") return "Held";
  if (run.waiting_for === "limit") return "Queued";
  if (run.status === "pending") {
    return run.queue_position === null ? "Starting" : `Queued · ${ordinal(run.queue_position)}`;
  }
  return run.status === "failed" && run.error_code === "rejected" ? "Rejected" : WORDS[run.status];
}
