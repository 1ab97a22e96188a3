// What the form reads besides the registry, and the call that creates a run.
import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { runKeys } from "@/features/runs/api";
import { answerOf, api } from "@/lib/api";
import { useRequestKey } from "@/lib/request-key";
import type { RunCreate } from "@/types/api";

export const newRunKeys = {
  models: (directory: string) => ["models", directory] as const,
  conflicts: (directory: string) => ["conflicts", directory] as const,
};

/** The models that OpenCode lists for a directory; without one, those of a neutral place. */
export function modelsOptions(directory: string) {
  const query = directory === "" ? {} : { working_dir: directory };
  return queryOptions({
    queryKey: newRunKeys.models(directory),
    queryFn: ({ signal }) => answerOf(api.GET("/models", { params: { query }, signal })),
  });
}

/** Active runs on a directory, for which a new one would wait. */
export function conflictsOptions(directory: string) {
  return queryOptions({
    queryKey: newRunKeys.conflicts(directory),
    queryFn: ({ signal }) =>
      answerOf(api.GET("/pipelines/conflicts", { params: { query: { working_dir: directory } }, signal })),
    enabled: directory !== "",
    staleTime: 5_000,
  });
}

/** Creates a run; lists are read again when somebody looks at them. */
export function useCreateRun() {
  const client = useQueryClient();
  const key = useRequestKey();
  return useMutation({
    mutationFn: (request: RunCreate) =>
      answerOf(api.POST("/pipelines", { body: request, params: { header: key.headerOf(request) } })),
    onSuccess: (run) => {
      key.forget();
      client.setQueryData(runKeys.detail(run.id), run);
      client.removeQueries({ queryKey: runKeys.lists });
      client.invalidateQueries({ queryKey: runKeys.recent });
    },
  });
}
