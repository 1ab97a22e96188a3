// The filters of the list and the line under its pips.
import { describe, expect, it } from "vitest";
import { aStep, aSummary } from "@/test/fixtures";
import { lets, readFilters, statusesOf } from "./filters";
import { stepLine } from "./step-line";

describe("filters", () => {
  it("reads what it knows from the address and drops the rest", () => {
    expect(readFilters({ status: "active", template: "quick_fix", q: 42, page: 3 })).toEqual({
      status: "active",
      template: "quick_fix",
      q: "42",
    });
    expect(readFilters({ status: "toString", template: "", q: " " })).toEqual({});
  });

  it("asks for every status of a group", () => {
    expect(statusesOf({ status: "active" })).toEqual(["pending", "running"]);
    expect(statusesOf({})).toBeUndefined();
  });

  it("lets a run through only when all filters do", () => {
    const run = aSummary({ status: "failed", template: "quick_fix", title: "Fix Login" });
    expect(lets({ status: "failed", template: "quick_fix", q: "login" }, run)).toBe(true);
    expect(lets({ status: "done" }, run)).toBe(false);
    expect(lets({ template: "other" }, run)).toBe(false);
    expect(lets({ q: "logout" }, run)).toBe(false);
  });
});

describe("the line under the pips", () => {
  const done = aStep({ status: "done" });

  it("names agent and model of the running step, what ran before what was asked", () => {
    const running = aStep({ order_index: 1, status: "running", model: "gpt", used_model: "openai/gpt" });
    expect(stepLine(aSummary({ steps: [done, running] }))).toBe("developer · openai/gpt");
  });

  it("names the agent before an open gate", () => {
    const gate = aStep({ type: "approval", agent_name: null, order_index: 1, status: "waiting_for_approval" });
    expect(stepLine(aSummary({ status: "waiting_for_approval", steps: [done, gate] }))).toBe("gate after developer");
    expect(stepLine(aSummary({ steps: [{ ...gate, order_index: 0 }] }))).toBe("gate at the start");
  });

  it("says the place in the queue, the reason of a failure, or how far it came", () => {
    expect(stepLine(aSummary({ steps: [done, aStep({ retry_at: "2026-11-22T10:42:00Z" })] }))).toBe(
      "developer waits for its next try",
    );
    expect(stepLine(aSummary({ status: "pending", queue_position: 2 }))).toBe("2nd in line for its directory");
    expect(stepLine(aSummary({ waiting_for: "paused" }))).toBe("held by the paused queue");
    expect(stepLine(aSummary({ waiting_for: "limit" }))).toBe("waits for a place");
    expect(stepLine(aSummary({ status: "failed", error_message: "429", steps: [done] }))).toBe("429");
    expect(stepLine(aSummary({ status: "done", steps: [done, done] }))).toBe("2 of 2 steps done");
  });
});
