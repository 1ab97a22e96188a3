// Says that a step is tried again: why the last try failed, and when the next one begins.
import { Notice } from "@/components/notice";
import { clock } from "@/lib/format";
import { showHidden } from "@/lib/visible";
import type { Step } from "@/types/api";
import { triedLine, untilRetry } from "./retry";

/** Nothing while the step does not wait for another try. */
export function RetryNotice({ step, now }: { step: Step; now: number }) {
  if (step.retry_at === null) return null;
  return (
    <Notice tone="wait">
      {triedLine(step)}. {showHidden(step.error_message ?? "")} Next try at {clock(step.retry_at, now)}
      {/* It counts down: a screen reader would read the whole sentence each second. */}
      <span aria-hidden="true"> ({untilRetry(step.retry_at, now)})</span>.
    </Notice>
  );
}
