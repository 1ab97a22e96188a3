// Brings the server's refusals to the fields that they are about.
import { ApiProblem } from "@/lib/api";
import type { ProblemError } from "@/types/api";

export type Field = "template" | "title" | "prompt" | "directory" | "branch" | `model ${number}`;

export interface FieldErrors {
  fields: Partial<Record<Field, ProblemError>>;
  /** What belongs to no field; shown above the buttons. */
  rest: string | null;
}

const POINTERS: Record<string, Field> = {
  "/template": "template",
  "/title": "title",
  "/prompt": "prompt",
  "/working_dir": "directory",
  "/branch": "branch",
};

/** The field that a JSON pointer of the request names; undefined when the form has none for it. */
export function fieldOf(pointer: string): Field | undefined {
  const model = /^\/step_models\/(\d+)(\/|$)/.exec(pointer);
  if (model) return `model ${Number(model[1])}`;
  return POINTERS[pointer];
}

/** All errors of a failed creation, each at its field; the first one of a field is shown. */
export function fieldErrors(error: unknown): FieldErrors {
  if (error === null || error === undefined) return { fields: {}, rest: null };
  if (!(error instanceof ApiProblem)) return { fields: {}, rest: String(error) };
  const fields: FieldErrors["fields"] = {};
  const homeless: string[] = [];
  for (const item of error.errors) {
    const field = fieldOf(item.pointer);
    if (field === undefined) homeless.push(item.message);
    else fields[field] ??= item;
  }
  const rest = error.errors.length === 0 ? error.message : homeless.join(" ");
  return { fields, rest: rest === "" ? null : rest };
}
