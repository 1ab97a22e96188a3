// Folds the frames of the event stream into what a running step shows. Pure: the same frames give the same result.
import type { StreamFrame } from "@/lib/event-stream";
import type { DeltaFrame, LivePart, SnapshotFrame, ToolFrame } from "@/types/api";

export interface LiveStep {
  state: SnapshotFrame["state"];
  detail: string | null;
  parts: readonly LivePart[];
}

export const NOTHING_YET: LiveStep = { state: "idle", detail: null, parts: [] };

/** Replaces the part of that id, or adds it at the end; untouched parts stay the same objects. */
function putPart(parts: readonly LivePart[], id: string, change: (part: LivePart | undefined) => LivePart): LivePart[] {
  const known = parts.some((part) => part.part_id === id);
  if (!known) return [...parts, change(undefined)];
  return parts.map((part) => (part.part_id === id ? change(part) : part));
}

function addText(live: LiveStep, frame: DeltaFrame): LiveStep {
  const { part_id, kind, delta, text } = frame;
  const parts = putPart(live.parts, part_id, (part) => ({
    part_id,
    kind,
    tool: null,
    text: text ?? (part?.text ?? "") + (delta ?? ""),
  }));
  return { ...live, parts };
}

function putTool(live: LiveStep, { part_id, tool }: ToolFrame): LiveStep {
  return { ...live, parts: putPart(live.parts, part_id, () => ({ part_id, kind: "tool", text: "", tool })) };
}

/** What the step shows after one more frame. Frames that are not about a step's output change nothing. */
export function foldFrame(live: LiveStep, frame: StreamFrame): LiveStep {
  switch (frame.event) {
    case "snapshot":
      return { state: frame.data.state, detail: frame.data.detail, parts: frame.data.parts };
    case "delta":
      return addText(live, frame.data);
    case "tool":
      return putTool(live, frame.data);
    case "state":
      return { ...live, state: frame.data.state, detail: frame.data.detail };
    default:
      return live;
  }
}

const TROUBLE: Partial<Record<LiveStep["state"], string>> = {
  retry: "The provider is being asked again",
  interrupted: "Interrupted, waiting for OpenCode",
};

/** What happens now, in a few words, for those who do not watch the text grow. */
export function liveSummary(live: LiveStep): string {
  const trouble = TROUBLE[live.state];
  if (trouble) return live.detail ? `${trouble}: ${live.detail}` : trouble;
  if (live.state === "waiting") return live.detail ?? "Waiting for a person";
  const last = live.parts.at(-1);
  if (last?.kind === "tool" && last.tool) return `${last.tool.tool} ${last.tool.status}`;
  if (last) return last.kind === "reasoning" ? "Thinking" : "Writing";
  return live.state === "busy" ? "Waiting for the model" : "Nothing shown yet";
}
