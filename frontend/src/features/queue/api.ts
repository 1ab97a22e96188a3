// The queue: how it is read, paused and resumed.
import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { answerOf, api } from "@/lib/api";
import type { Queue } from "@/types/api";

const RENEW_MS = 5_000;

export const queueKey = ["queue"] as const;

/** The queue as it is now; read again and again while it is being drained. */
export const queueOptions = queryOptions({
  queryKey: queueKey,
  queryFn: ({ signal }) => answerOf(api.GET("/queue", { signal })),
  refetchInterval: ({ state }) => (state.data?.paused ? RENEW_MS : false),
});

export type Steering = { action: "pause"; reason: string | null } | { action: "resume" };

function send(steering: Steering): Promise<Queue> {
  if (steering.action === "resume") return answerOf(api.POST("/queue/resume"));
  return answerOf(api.POST("/queue/pause", { body: { reason: steering.reason } }));
}

/** Pauses or resumes; the answer is the queue's new state. */
export function useSteering() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: send,
    onSuccess: (queue) => client.setQueryData(queueKey, queue),
  });
}
