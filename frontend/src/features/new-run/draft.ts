// What a person has put into the form so far; kept in the browser until the run is created.
import { readStored, writeStored } from "@/lib/store";
import type { RunCreate, TemplateStep } from "@/types/api";

const KEY = "paceline.draft.1";
const LONGEST_TITLE = 80;

/** `models` holds the choices by the index of the step, from 0; a step without a choice inherits. */
export interface Draft {
  template: string;
  title: string;
  prompt: string;
  directory: string;
  branch: string;
  models: Record<number, string>;
}

export const EMPTY_DRAFT: Draft = { template: "", title: "", prompt: "", directory: "", branch: "", models: {} };

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function modelsOf(value: unknown): Record<number, string> {
  if (typeof value !== "object" || value === null) return {};
  const entries = Object.entries(value).filter(([index, model]) => /^\d+$/.test(index) && typeof model === "string");
  return Object.fromEntries(entries);
}

/** A draft from whatever was stored; parts that cannot be read are empty. */
export function draftFrom(stored: unknown): Draft {
  const fields = (typeof stored === "object" && stored !== null ? stored : {}) as Record<string, unknown>;
  return {
    template: textOf(fields.template),
    title: textOf(fields.title),
    prompt: textOf(fields.prompt),
    directory: textOf(fields.directory),
    branch: textOf(fields.branch),
    models: modelsOf(fields.models),
  };
}

/** True when there is something in it that a person would miss. */
export function isWorthKeeping(draft: Draft): boolean {
  return draft.prompt.trim() !== "" || draft.title.trim() !== "" || Object.keys(draft.models).length > 0;
}

export function loadDraft(): Draft {
  return draftFrom(readStored(KEY));
}

/** Stores the draft; one that nobody would miss is removed. */
export function saveDraft(draft: Draft): void {
  writeStored(KEY, isWorthKeeping(draft) ? draft : undefined);
}

export function dropDraft(): void {
  writeStored(KEY, undefined);
}

/** A title for those who give none: the first line of the task, cut at a word. */
export function titleFrom(prompt: string): string {
  const line = prompt.trim().split("\n", 1)[0]?.trim() ?? "";
  if (line.length <= LONGEST_TITLE) return line;
  const cut = line.slice(0, LONGEST_TITLE);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), LONGEST_TITLE / 2)).trimEnd()} …`;
}

/** The choices that the template's steps can take: not those of another template's longer list, none for gates. */
export function fittingModels(draft: Draft, steps: TemplateStep[]): Record<number, string> {
  const fits = (index: string) => steps[Number(index)]?.type === "agent";
  return Object.fromEntries(
    Object.entries(draft.models).filter(([index, model]) => fits(index) && model.trim() !== ""),
  );
}

/** The request that creates the run. */
export function requestOf(draft: Draft, steps: TemplateStep[]): RunCreate {
  const models = fittingModels(draft, steps);
  return {
    template: draft.template,
    title: draft.title.trim() || titleFrom(draft.prompt),
    prompt: draft.prompt,
    ...(draft.branch.trim() && { branch: draft.branch.trim() }),
    ...(draft.directory.trim() && { working_dir: draft.directory.trim() }),
    ...(Object.keys(models).length > 0 && { step_models: models }),
  };
}
