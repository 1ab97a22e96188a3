// Folding the frames of the stream into what a running step shows.
import { expect, it } from "vitest";
import type { StreamFrame } from "@/lib/event-stream";
import { aTool, at } from "@/test/fixtures";
import type { LivePart } from "@/types/api";
import { foldFrame, type LiveStep, liveSummary, NOTHING_YET } from "./live";

const about = { pipeline_id: 42, step_id: 11, at: at(0) };

function delta(
  part_id: string,
  change: { delta?: string; text?: string },
  kind: "text" | "reasoning" = "text",
): StreamFrame {
  return { event: "delta", data: { ...about, type: "delta", part_id, kind, delta: null, text: null, ...change } };
}

function tool(part_id: string, status: "running" | "completed"): StreamFrame {
  return { event: "tool", data: { ...about, type: "tool", part_id, tool: aTool({ status }) } };
}

const fold = (...frames: StreamFrame[]): LiveStep => frames.reduce(foldFrame, NOTHING_YET);
const texts = (live: LiveStep) => live.parts.map((part) => part.text);

it("appends text to its part and keeps the order in which parts began", () => {
  const live = fold(delta("a", { delta: "He" }), delta("b", { delta: "x" }, "reasoning"), delta("a", { delta: "llo" }));
  expect(texts(live)).toEqual(["Hello", "x"]);
  expect(live.parts[1]?.kind).toBe("reasoning");
});

it("replaces what was shown when a frame brings the whole text", () => {
  expect(texts(fold(delta("a", { delta: "Hel" }), delta("a", { text: "Goodbye" })))).toEqual(["Goodbye"]);
});

it("shows the newest state of a tool call in its place", () => {
  const live = fold(tool("t", "running"), delta("a", { delta: "x" }), tool("t", "completed"));
  expect(live.parts.map((part) => part.tool?.status ?? part.text)).toEqual(["completed", "x"]);
});

it("begins anew with a snapshot, so that a reconnect never shows text twice", () => {
  const parts: LivePart[] = [{ part_id: "a", kind: "text", text: "Hello", tool: null }];
  const snapshot: StreamFrame = {
    event: "snapshot",
    data: { ...about, type: "snapshot", state: "busy", detail: null, parts },
  };
  const live = fold(delta("a", { delta: "Hel" }), delta("z", { delta: "gone" }), snapshot, delta("a", { delta: "!" }));
  expect(texts(live)).toEqual(["Hello!"]);
  expect(live.state).toBe("busy");
});

it("leaves untouched parts the same objects, so that only what grew is drawn again", () => {
  const before = fold(delta("a", { delta: "x" }), delta("b", { delta: "y" }));
  const after = foldFrame(before, delta("b", { delta: "z" }));
  expect(after.parts[0]).toBe(before.parts[0]);
  expect(after.parts[1]).not.toBe(before.parts[1]);
});

it("ignores frames that are not about output", () => {
  const audit: StreamFrame = {
    event: "audit",
    data: { ...about, type: "step.started", id: 1, actor: "owner", payload: {} },
  };
  expect(foldFrame(NOTHING_YET, audit)).toBe(NOTHING_YET);
});

it("says what happens now, with the provider's words while it is asked again", () => {
  const retry: StreamFrame = {
    event: "state",
    data: { ...about, type: "state", state: "retry", detail: "429 slow down" },
  };
  expect(liveSummary(fold(retry))).toBe("The provider is being asked again: 429 slow down");
  const away: StreamFrame = { event: "state", data: { ...about, type: "state", state: "interrupted", detail: null } };
  expect(liveSummary(fold(away))).toBe("Interrupted, waiting for OpenCode");
  expect(liveSummary(fold(tool("t", "running")))).toBe("bash running");
  expect(liveSummary(fold(delta("a", { delta: "x" }, "reasoning")))).toBe("Thinking");
});
