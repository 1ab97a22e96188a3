// One tool call as one line: what it was called with, and how long it took.
import { shortSpan } from "@/lib/format";
import type { ToolCall } from "@/types/api";

// The argument that says most about a call, in this order.
const TELLING = ["command", "filePath", "path", "pattern", "url", "query", "description", "prompt"];

function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0] ?? "";
}

/** The most telling argument, without the directory that all paths of a run share; else the call's own title. */
export function toolLine(tool: ToolCall, directory: string): string {
  const key = TELLING.find((name) => typeof tool.input[name] === "string" && tool.input[name] !== "");
  const argument = key === undefined ? (tool.title ?? "") : String(tool.input[key]);
  const line = firstLine(argument).replaceAll(`${directory}/`, "");
  return tool.error ? `${line} → ${firstLine(tool.error)}` : line;
}

/** How long the call took; what it is doing while it has no end. */
export function toolTime(tool: ToolCall): string {
  if (!tool.started_at || !tool.finished_at) return tool.status === "completed" ? "" : tool.status;
  return shortSpan(Date.parse(tool.finished_at) - Date.parse(tool.started_at));
}
