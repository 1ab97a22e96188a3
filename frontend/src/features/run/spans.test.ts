// The timeline's arithmetic.
import { expect, it } from "vitest";
import { anAttempt, aRun, aStep, aTool, at } from "@/test/fixtures";
import type { TranscriptMessage } from "@/types/api";
import { extent, queueSpan, type Span, stepSpans, ticks } from "./spans";

const seconds = (spans: Span[]) =>
  spans.map(({ kind, from, to }) => [kind, (from - Date.parse(at(0))) / 1000, (to - Date.parse(at(0))) / 1000]);
const now = Date.parse(at(200));
const transcript = [{ parts: [{ type: "tool", text: "", tool: aTool() }] }] as unknown as TranscriptMessage[];

it("draws tools over the model's time of an attempt, and a failed attempt as failed", () => {
  const attempts = [
    anAttempt({ outcome: "provider_error", started_at: at(1), finished_at: at(5) }),
    anAttempt({ number: 2, started_at: at(6), finished_at: at(120), transcript }),
  ];
  expect(seconds(stepSpans({ step: aStep(), attempts, live: null }, now))).toEqual([
    ["failed", 1, 5],
    ["model", 6, 120],
    ["tool", 100, 106.2],
  ]);
});

it("draws an open attempt up to now, with the tools that are seen live", () => {
  const live = {
    state: "busy",
    detail: null,
    parts: [{ part_id: "t", kind: "tool", text: "", tool: aTool({ finished_at: null }) }],
  } as const;
  const attempts = [anAttempt({ started_at: at(90), finished_at: null, outcome: null, transcript: null })];
  expect(seconds(stepSpans({ step: aStep(), attempts, live }, now))).toEqual([
    ["live", 90, 200],
    ["tool", 100, 200],
  ]);
});

it("draws one piece while attempts are not known, and a gate as waiting", () => {
  const open = { started_at: at(10) };
  expect(seconds(stepSpans({ step: aStep(open), attempts: undefined, live: null }, now))).toEqual([["live", 10, 200]]);
  expect(stepSpans({ step: aStep(), attempts: undefined, live: null }, now)).toEqual([]);
  const gate = aStep({ ...open, type: "approval", finished_at: at(20) });
  expect(seconds(stepSpans({ step: gate, attempts: undefined, live: null }, now))).toEqual([["wait", 10, 20]]);
});

it("draws the time in which a person is asked over the work", () => {
  const asked = [
    { asked_at: at(20), answered_at: at(60) },
    { asked_at: at(150), answered_at: null },
  ];
  const times = { step: aStep({ started_at: at(10) }), attempts: undefined, live: null, asked };
  expect(seconds(stepSpans(times, now))).toEqual([
    ["live", 10, 200],
    ["wait", 20, 60],
    ["wait", 150, 200],
  ]);
});

it("shows time in the queue only when there was some", () => {
  expect(queueSpan(aRun({ started_at: at(0.4) }), now)).toEqual([]);
  expect(seconds(queueSpan(aRun({ started_at: at(30) }), now))).toEqual([["queue", 0, 30]]);
  expect(seconds(queueSpan(aRun({ started_at: null }), now))).toEqual([["queue", 0, 200]]);
});

it("never divides by nothing and spreads its ticks from end to end", () => {
  const [start, end] = extent(aRun({ finished_at: at(0) }), now);
  expect(end - start).toBe(1000);
  expect(ticks([0, 100], 5)).toEqual([0, 25, 50, 75, 100]);
});
