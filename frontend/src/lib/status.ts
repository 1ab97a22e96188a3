// What each status is called and how it is toned; the one place for these words.
import type { RunStatus, StepStatus } from "@/types/api";
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

/** A run's status as words: its place in the queue, and "Rejected" for a failure that a person decided. */
export function runWord(run: { status: RunStatus; error_code: string | null; queue_position: number | null }): string {
  if (run.status === "pending") {
    return run.queue_position === null ? "Starting" : `Queued · ${ordinal(run.queue_position)}`;
  }
  return run.status === "failed" && run.error_code === "rejected" ? "Rejected" : WORDS[run.status];
}
