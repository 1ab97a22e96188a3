// A step that failed and waits for its next try: how often it was tried, why that failed, how long it waits.
import { duration } from "@/lib/format";
import type { Step } from "@/types/api";

/** `Tried 1 of 3: provider error`; null while the step does not wait for another try. */
export function triedLine(step: Step): string | null {
  if (step.retry_at === null) return null;
  const why = step.error_code?.replaceAll("_", " ") ?? "failed";
  return `Tried ${step.attempts_made} of ${step.attempts_allowed}: ${why}`;
}

/** `in 0:20`, or `now` when its time has come. */
export function untilRetry(moment: string, now: number): string {
  const left = Date.parse(moment) - now;
  return left > 0 ? `in ${duration(left + 999)}` : "now";
}
