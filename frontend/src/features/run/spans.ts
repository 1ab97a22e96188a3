// The timeline as numbers: which stretch of time each step spent in the model, in tools, or waiting.
import type { LiveStep } from "@/features/runs/live";
import type { AgentRequest, Attempt, Run, Step, ToolCall } from "@/types/api";

export interface Span {
  kind: "model" | "tool" | "wait" | "queue" | "live" | "failed";
  from: number;
  to: number;
}

export interface StepTimes {
  step: Step;
  attempts: Attempt[] | undefined;
  live: LiveStep | null | undefined;
  /** What its agent asked a person, answered or not. */
  asked?: Pick<AgentRequest, "asked_at" | "answered_at">[];
}

const SHORTEST_QUEUE_MS = 1_000;

/** From creation to the end, or to now. Never empty, so that it can be divided by. */
export function extent(run: Pick<Run, "created_at" | "started_at" | "finished_at">, now: number): [number, number] {
  const start = Date.parse(run.created_at);
  const end = run.finished_at === null ? now : Date.parse(run.finished_at);
  return [start, Math.max(end, start + 1_000)];
}

function toolSpan(tool: ToolCall | null | undefined, until: number): Span[] {
  if (!tool?.started_at) return [];
  return [
    { kind: "tool", from: Date.parse(tool.started_at), to: tool.finished_at ? Date.parse(tool.finished_at) : until },
  ];
}

function attemptSpans(attempt: Attempt, now: number, live: LiveStep | null | undefined): Span[] {
  const from = Date.parse(attempt.started_at);
  if (attempt.finished_at === null) {
    return [{ kind: "live", from, to: now }, ...(live?.parts ?? []).flatMap((part) => toolSpan(part.tool, now))];
  }
  const to = Date.parse(attempt.finished_at);
  const calls = (attempt.transcript ?? []).flatMap((message) => message.parts.map((part) => part.tool));
  const kind = attempt.outcome === null || attempt.outcome === "done" ? "model" : "failed";
  return [{ kind, from, to }, ...calls.flatMap((call) => toolSpan(call, to))];
}

/** The spans of one step, later ones drawn over earlier ones. Without its attempts a step is one piece. */
export function stepSpans(times: StepTimes, now: number): Span[] {
  const asked = (times.asked ?? []).map(({ asked_at, answered_at }) => ({
    kind: "wait" as const,
    from: Date.parse(asked_at),
    to: answered_at === null ? now : Date.parse(answered_at),
  }));
  const failedAt = times.step.retry_at === null ? null : times.attempts?.at(-1)?.finished_at;
  const pause: Span[] = failedAt ? [{ kind: "wait", from: Date.parse(failedAt), to: now }] : [];
  return [...workSpans(times, now), ...asked, ...pause];
}

function workSpans({ step, attempts, live }: StepTimes, now: number): Span[] {
  if (attempts?.length) return attempts.flatMap((attempt) => attemptSpans(attempt, now, live));
  if (step.started_at === null) return [];
  const from = Date.parse(step.started_at);
  if (step.type === "approval")
    return [{ kind: "wait", from, to: step.finished_at ? Date.parse(step.finished_at) : now }];
  if (step.finished_at === null) return [{ kind: "live", from, to: now }];
  return [{ kind: step.status === "failed" ? "failed" : "model", from, to: Date.parse(step.finished_at) }];
}

/** The time in the queue, drawn before the first step; nothing when it was short. */
export function queueSpan(run: Pick<Run, "created_at" | "started_at" | "finished_at">, now: number): Span[] {
  const from = Date.parse(run.created_at);
  const to = Date.parse(run.started_at ?? run.finished_at ?? new Date(now).toISOString());
  return to - from < SHORTEST_QUEUE_MS ? [] : [{ kind: "queue", from, to }];
}

/** Moments for the axis: evenly spread, the first and the last at the ends. */
export function ticks([start, end]: [number, number], number: number): number[] {
  return Array.from({ length: number }, (_, index) => start + ((end - start) * index) / (number - 1));
}
