// The filters of the runs list: how they stand in the address, and which runs they let through.
import type { RunStatus, RunSummary } from "@/types/api";

const GROUPS = {
  waiting: ["waiting_for_approval", "waiting_for_input"],
  active: ["pending", "running"],
  failed: ["failed"],
  aborted: ["aborted"],
  done: ["done"],
} as const satisfies Record<string, readonly RunStatus[]>;

export type StatusGroup = keyof typeof GROUPS;

export interface RunFilters {
  status?: StatusGroup;
  template?: string;
  q?: string;
}

export const GROUP_WORDS: Record<StatusGroup, string> = {
  waiting: "Waiting for you",
  active: "Active",
  failed: "Failed",
  aborted: "Aborted",
  done: "Done",
};

function isGroup(value: unknown): value is StatusGroup {
  return typeof value === "string" && Object.hasOwn(GROUPS, value);
}

/** A search value as text: the address `?q=42` reads as a number. */
function textOf(value: unknown): string | undefined {
  const text = typeof value === "string" || typeof value === "number" ? String(value) : "";
  return text.trim() === "" ? undefined : text;
}

/** Reads the filters from the address; what is not understood is left out. */
export function readFilters(search: Record<string, unknown>): RunFilters {
  const template = textOf(search.template);
  const q = textOf(search.q);
  return {
    ...(isGroup(search.status) && { status: search.status }),
    ...(template !== undefined && { template }),
    ...(q !== undefined && { q }),
  };
}

/** The statuses to ask the API for; undefined for all. */
export function statusesOf(filters: RunFilters): RunStatus[] | undefined {
  return filters.status && [...GROUPS[filters.status]];
}

/** True when a run would be in the list; a search is judged by the title alone, as prompts are the server's. */
export function lets(filters: RunFilters, run: Pick<RunSummary, "status" | "template" | "title">): boolean {
  const statuses: readonly RunStatus[] | undefined = statusesOf(filters);
  if (statuses && !statuses.includes(run.status)) return false;
  if (filters.template !== undefined && filters.template !== run.template) return false;
  return filters.q === undefined || run.title.toLowerCase().includes(filters.q.toLowerCase());
}
