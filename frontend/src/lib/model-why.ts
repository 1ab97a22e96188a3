// What a model chip says about a step: which model, why that one, and whether another one ran than was asked.
import type { ModelOrigin, Step } from "@/types/api";

type ModelFacts = Pick<Step, "model" | "resolved_model" | "used_model" | "model_origin">;

/** What to write on the chip. `name` is null while OpenCode's own default has not said its name yet. */
export interface ModelWhy {
  provider: string | null;
  name: string | null;
  why: string;
  mismatch: boolean;
  sentence: string;
}

const ORIGIN: Record<ModelOrigin, string> = {
  run: "this run",
  custom_step: "own step",
  template: "template",
  agent: "agent default",
  opencode: "OpenCode default",
};

/** The origin of a model in words; a step without one leaves the choice to OpenCode. */
export function originWord(origin: ModelOrigin | null): string {
  return ORIGIN[origin ?? "opencode"];
}

/** `provider/` and the rest of a reference; a bare name has no provider. */
export function splitModel(reference: string): { provider: string | null; name: string } {
  const slash = reference.indexOf("/");
  if (slash < 0) return { provider: null, name: reference };
  return { provider: reference.slice(0, slash + 1), name: reference.slice(slash + 1) };
}

/** True when the model that ran is not the one that was chosen. */
export function isMismatch({ model, resolved_model, used_model }: ModelFacts): boolean {
  if (used_model === null || model === null) return false;
  if (resolved_model !== null) return resolved_model !== used_model;
  return model !== used_model && splitModel(used_model).name !== model;
}

/** The chip of a step: what ran if it is known, else what will run, and the reason. */
export function modelWhy(step: ModelFacts): ModelWhy {
  const shown = step.used_model ?? step.resolved_model ?? step.model;
  const mismatch = isMismatch(step);
  const origin = originWord(step.model_origin);
  const asked = step.model === null ? "No model was asked for" : `Asked for ${step.model}`;
  const ran = step.used_model === null ? "nothing ran yet" : `${step.used_model} ran`;
  return {
    ...(shown === null ? { provider: null, name: null } : splitModel(shown)),
    why: mismatch ? `asked ${step.resolved_model ?? step.model}` : origin,
    mismatch,
    sentence: `${asked} (${origin}); ${ran}.`,
  };
}
