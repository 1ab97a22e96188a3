// The state of OpenCode and of the event stream, for the foot of the side bar.
import { queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "@/lib/api";
import type { Connection } from "@/lib/event-stream";
import { connectionKey } from "@/lib/query-client";

const RENEW_MS = 30_000;

/** The OpenCode server as it is now. */
export const opencodeOptions = queryOptions({
  queryKey: ["health", "opencode"],
  queryFn: ({ signal }) => answerOf(api.GET("/health/opencode", { signal })),
  refetchInterval: RENEW_MS,
});

/** The event stream's state; written by the page's frame, read anywhere. */
export const connectionOptions = queryOptions<Connection>({
  queryKey: connectionKey,
  queryFn: () => "connecting",
  enabled: false,
  initialData: "connecting",
  staleTime: Number.POSITIVE_INFINITY,
});
