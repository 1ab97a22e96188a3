// A step that failed and is tried again: what the list of steps and the step itself say until then.
import { screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { anAttempt, aRun, aStep, at, NOW } from "@/test/fixtures";
import { renderAt } from "@/test/render";
import { triedLine, untilRetry } from "./retry";
import { RetryNotice } from "./retry-notice";
import { stepSpans } from "./spans";
import { StepList } from "./step-list";

const later = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();
const step = aStep({
  error_code: "provider_error",
  error_message: "APIError: overloaded (HTTP 529)",
  attempts: 1,
  attempts_made: 1,
  attempts_allowed: 3,
  retry_at: later(20),
});

it("counts down to the next try, and says when it is due", () => {
  expect(triedLine(step)).toBe("Tried 1 of 3: provider error");
  expect(triedLine(aStep())).toBeNull();
  expect(untilRetry(later(20), NOW)).toBe("in 0:20");
  expect(untilRetry(later(0.4), NOW)).toBe("in 0:01");
  expect(untilRetry(later(-3), NOW)).toBe("now");
});

it("says in the list of steps why a step waits and for how long", async () => {
  const run = aRun({ steps: [step] });
  renderAt({ path: "/runs/$runId", address: "/runs/42" }, <StepList run={run} selected={step} now={NOW} />);
  expect(await screen.findByText("next try in 0:20")).toBeVisible();
  expect(screen.getByText("Tried 1 of 3: provider error")).toBeVisible();
});

it("shows the provider's words, and reads no countdown aloud", async () => {
  renderAt({ path: "/", address: "/" }, <RetryNotice step={step} now={NOW} />);
  const notice = await screen.findByRole("status");
  expect(notice).toHaveTextContent(/Tried 1 of 3: provider error. APIError: overloaded \(HTTP 529\) Next try at/);
  expect(notice).toHaveTextContent(/\(in 0:20\)/);
  expect(notice.querySelector("[aria-hidden]")).toHaveTextContent("(in 0:20)");
});

it("draws the pause on the timeline, from the end of the last try", () => {
  const attempts = [anAttempt({ outcome: "provider_error", started_at: at(1), finished_at: at(5) })];
  const spans = stepSpans({ step, attempts, live: null }, NOW);
  expect(spans.map((span) => span.kind)).toEqual(["failed", "wait"]);
  expect(spans[1]).toMatchObject({ from: Date.parse(at(5)), to: NOW });
});
