// Templates and agents of the registry, as they can be picked, and what is wrong with its files.
import { queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "@/lib/api";

export const registryKeys = {
  all: ["registry"] as const,
  templates: ["registry", "templates"] as const,
  agents: ["registry", "agents"] as const,
  problems: ["registry", "problems"] as const,
};

export const templatesOptions = queryOptions({
  queryKey: registryKeys.templates,
  queryFn: async ({ signal }) => (await answerOf(api.GET("/registry/pipelines", { signal }))).items,
});

export const agentsOptions = queryOptions({
  queryKey: registryKeys.agents,
  queryFn: async ({ signal }) => (await answerOf(api.GET("/registry/agents", { signal }))).items,
});

/** Why the files on disk are not in use; empty when they are. */
export const problemsOptions = queryOptions({
  queryKey: registryKeys.problems,
  queryFn: async ({ signal }) => (await answerOf(api.GET("/registry/status", { signal }))).problems,
});
