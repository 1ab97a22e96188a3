// The one event stream of the page: opens it, reads its frames, gathers them into batches, and opens it again.
import type { AuditFrame, DeltaFrame, ResetFrame, SnapshotFrame, StateFrame, ToolFrame } from "@/types/api";

/** A frame with the name under which the stream sent it. */
export type StreamFrame =
  | { event: "audit"; data: AuditFrame }
  | { event: "delta"; data: DeltaFrame }
  | { event: "tool"; data: ToolFrame }
  | { event: "state"; data: StateFrame }
  | { event: "snapshot"; data: SnapshotFrame }
  | { event: "reset"; data: ResetFrame };

export type Connection = "connecting" | "live" | "lost";

const EVENTS: readonly StreamFrame["event"][] = ["audit", "delta", "tool", "state", "snapshot", "reset"];
const BATCH_MS = 60;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 15_000;

interface Listener {
  onFrames: (frames: StreamFrame[]) => void;
  onConnection: (state: Connection) => void;
  /** The stream is open again after a break, in which changes may have been missed. */
  onGap: () => void;
  /** The server did not let the stream open; the login may be gone. */
  onRefused: () => void;
}

/** Reads one frame; undefined when it is not JSON. */
export function readFrame(event: StreamFrame["event"], text: string): StreamFrame | undefined {
  try {
    return { event, data: JSON.parse(text) } as StreamFrame;
  } catch {
    return undefined;
  }
}

/** Gathers frames for a moment, so that a fast model does not redraw the page for every token. */
class Batch {
  private frames: StreamFrame[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly deliver: (frames: StreamFrame[]) => void;

  constructor(deliver: (frames: StreamFrame[]) => void) {
    this.deliver = deliver;
  }

  add(frame: StreamFrame): void {
    this.frames.push(frame);
    this.timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  private flush(): void {
    const frames = this.frames;
    this.frames = [];
    this.timer = undefined;
    this.deliver(frames);
  }
}

function listen(stream: EventSource, batch: Batch): void {
  for (const event of EVENTS) {
    stream.addEventListener(event, (message: MessageEvent<string>) => {
      const frame = readFrame(event, message.data);
      if (frame) batch.add(frame);
    });
  }
}

/**
 * Keeps `/events` open until the returned function is called.
 * The browser opens a broken stream again by itself; a refused one is tried again with growing pauses.
 */
export function openEventStream({ onFrames, onConnection, onGap, onRefused }: Listener): () => void {
  const batch = new Batch(onFrames);
  let source: EventSource | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let pause = FIRST_RETRY_MS;
  let broken = false;

  const onOpen = () => {
    pause = FIRST_RETRY_MS;
    onConnection("live");
    if (broken) onGap();
    broken = false;
  };
  const onError = (stream: EventSource) => {
    broken = true;
    onConnection("lost");
    if (stream.readyState !== EventSource.CLOSED) return;
    onRefused();
    retry = setTimeout(connect, pause);
    pause = Math.min(pause * 2, LAST_RETRY_MS);
  };
  const connect = () => {
    const stream = new EventSource("/events");
    source = stream;
    listen(stream, batch);
    stream.onopen = onOpen;
    stream.onerror = () => onError(stream);
  };

  connect();
  return () => {
    clearTimeout(retry);
    source?.close();
  };
}
