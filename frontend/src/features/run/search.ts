// What the address of a run's page says: which step, which tab, which attempt.

export const TABS = ["output", "handoff", "changes", "prompt", "details"] as const;
export type Tab = (typeof TABS)[number];

export const TAB_WORDS: Record<Tab, string> = {
  output: "Output",
  handoff: "Hand-off",
  changes: "Changes",
  prompt: "Prompt",
  details: "Details",
};

/** `step` and `attempt` count from 1, as people read them. Without `step` the page follows the run. */
export interface RunSearch {
  step?: number;
  tab?: Tab;
  attempt?: number;
}

function positive(value: unknown): number | undefined {
  const number = Number(value);
  return Number.isInteger(number) && number > 0 ? number : undefined;
}

/** Reads the address; what is not understood is left out. */
export function readRunSearch(search: Record<string, unknown>): RunSearch {
  const step = positive(search.step);
  const attempt = positive(search.attempt);
  const tab = TABS.find((name) => name === search.tab);
  return {
    ...(step !== undefined && { step }),
    ...(tab !== undefined && { tab }),
    ...(attempt !== undefined && { attempt }),
  };
}
