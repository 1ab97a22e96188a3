// The event stream: batches, breaks, refusals.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { at } from "@/test/fixtures";
import { openEventStream, readFrame } from "./event-stream";

/** The browser's EventSource, moved by hand; jsdom has none. */
class HandSource extends EventTarget {
  static readonly CLOSED = 2;
  static all: HandSource[] = [];
  readyState = 0;
  onopen?: () => void;
  onerror?: () => void;

  constructor() {
    super();
    HandSource.all.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  fail(readyState: number) {
    this.readyState = readyState;
    this.onerror?.();
  }

  send(event: string, data: string) {
    this.dispatchEvent(new MessageEvent(event, { data }));
  }

  close() {
    this.readyState = 2;
  }
}

const listener = { onFrames: vi.fn(), onConnection: vi.fn(), onGap: vi.fn(), onRefused: vi.fn() };
const newest = () => HandSource.all.at(-1) ?? expect.unreachable();

beforeEach(() => {
  HandSource.all = [];
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", HandSource);
  for (const mock of Object.values(listener)) mock.mockReset();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("brings the frames of a moment at once, under the names they came with, and drops what is no JSON", () => {
  openEventStream(listener);
  newest().open();
  newest().send("delta", JSON.stringify({ at: at(0), delta: "a" }));
  newest().send("audit", JSON.stringify({ id: 1 }));
  newest().send("delta", "{broken");
  newest().send("unknown", "{}");
  expect(listener.onFrames).not.toHaveBeenCalled();
  vi.advanceTimersByTime(100);
  expect(listener.onFrames).toHaveBeenCalledTimes(1);
  expect(listener.onFrames.mock.calls[0]?.[0].map((frame: { event: string }) => frame.event)).toEqual([
    "delta",
    "audit",
  ]);
  expect(readFrame("tool", "nonsense")).toBeUndefined();
});

it("says that there may be a gap when a broken stream is open again, and only then", () => {
  openEventStream(listener);
  newest().open();
  expect(listener.onGap).not.toHaveBeenCalled();
  newest().fail(0);
  expect(listener.onConnection).toHaveBeenLastCalledWith("lost");
  newest().open();
  expect(listener.onGap).toHaveBeenCalledTimes(1);
  expect(listener.onConnection).toHaveBeenLastCalledWith("live");
  expect(HandSource.all).toHaveLength(1);
});

it("tries a refused stream again with growing pauses, and stops when it is closed", () => {
  const close = openEventStream(listener);
  newest().fail(HandSource.CLOSED);
  expect(listener.onRefused).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1_000);
  expect(HandSource.all).toHaveLength(2);
  newest().fail(HandSource.CLOSED);
  vi.advanceTimersByTime(1_000);
  expect(HandSource.all).toHaveLength(2);
  vi.advanceTimersByTime(1_000);
  expect(HandSource.all).toHaveLength(3);
  newest().fail(HandSource.CLOSED);
  close();
  vi.advanceTimersByTime(60_000);
  expect(HandSource.all).toHaveLength(3);
});
