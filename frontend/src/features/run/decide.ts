// What a person can decide about a run, and the calls that say so to the server.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { runKeys } from "@/features/runs/api";
import { ApiProblem, answerOf, api } from "@/lib/api";
import { useRequestKey } from "@/lib/request-key";
import type { AnswerBody, ApproveBody, ChangesBody, RejectBody, RestartBody, Run } from "@/types/api";

export type Decision =
  | { action: "approve"; body: ApproveBody }
  | { action: "request-changes"; body: ChangesBody }
  | { action: "reject"; body: RejectBody }
  | { action: "abort" }
  | { action: "restart"; body: RestartBody }
  | { action: "answer"; request: number; body: AnswerBody };

function send(id: number, decision: Decision): Promise<Run> {
  const path = { pipeline_id: id };
  const params = { path };
  switch (decision.action) {
    case "approve":
      return answerOf(api.POST("/pipelines/{pipeline_id}/approve", { params, body: decision.body }));
    case "request-changes":
      return answerOf(api.POST("/pipelines/{pipeline_id}/request-changes", { params, body: decision.body }));
    case "reject":
      return answerOf(api.POST("/pipelines/{pipeline_id}/reject", { params, body: decision.body }));
    case "abort":
      return answerOf(api.POST("/pipelines/{pipeline_id}/abort", { params, body: {} }));
    case "restart":
      return answerOf(api.POST("/pipelines/{pipeline_id}/restart", { params, body: decision.body }));
    case "answer":
      return answerOf(
        api.POST("/pipelines/{pipeline_id}/requests/{request_id}/answer", {
          params: { path: { ...path, request_id: decision.request } },
          body: decision.body,
        }),
      );
  }
}

/** Sends a decision; the run is read again in any case, as a refusal means that it, or its files, have moved on. */
export function useDecision(id: number) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (decision: Decision) => send(id, decision),
    onError: (error) => {
      if (error instanceof ApiProblem && error.code === "stale_diff") {
        client.invalidateQueries({ queryKey: runKeys.diff(id) });
      }
    },
    onSettled: () => client.invalidateQueries({ queryKey: runKeys.detail(id) }),
  });
}

/** Makes a new run from this one; lists are read again when somebody looks at them. */
export function useDuplicate(id: number) {
  const client = useQueryClient();
  const key = useRequestKey();
  return useMutation({
    mutationFn: () => {
      const params = { path: { pipeline_id: id }, header: key.headerOf(id) };
      return answerOf(api.POST("/pipelines/{pipeline_id}/duplicate", { params }));
    },
    onSuccess: (run) => {
      key.forget();
      client.setQueryData(runKeys.detail(run.id), run);
      client.removeQueries({ queryKey: runKeys.lists });
      client.invalidateQueries({ queryKey: runKeys.recent });
    },
  });
}
