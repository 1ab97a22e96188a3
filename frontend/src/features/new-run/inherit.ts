// What a step runs on when nobody chooses: the template's word, else the agent's, else OpenCode's default.
import { type ModelWhy, splitModel } from "@/lib/model-why";
import type { Agent, TemplateStep } from "@/types/api";

export interface Inherited {
  model: string | null;
  why: string;
}

/** The same order as the server's; `model` is null when only OpenCode knows. */
export function inherited(step: TemplateStep, agents: Agent[], fallback: string | null): Inherited {
  if (step.type !== "agent") return { model: null, why: "you" };
  if (step.model) return { model: step.model, why: "template" };
  const agent = agents.find((item) => item.name === step.agent);
  if (agent?.default_model) return { model: agent.default_model, why: "agent default" };
  return { model: fallback, why: "OpenCode default" };
}

/** The chip of a row: the choice made here, else what is inherited. */
export function rowModel(chosen: string | undefined, from: Inherited): Pick<ModelWhy, "provider" | "name" | "why"> {
  const model = chosen ?? from.model;
  return {
    ...(model === null ? { provider: null, name: null } : splitModel(model)),
    why: chosen === undefined ? `inherit: ${from.why}` : "chosen here",
  };
}
