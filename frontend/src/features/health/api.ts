// The state of the server, of OpenCode and of the event stream, for the foot of the side bar and the banner.
import { queryOptions } from "@tanstack/react-query";
import { answerOf, api } from "@/lib/api";
import type { Connection } from "@/lib/event-stream";
import { connectionKey } from "@/lib/query-client";
import type { Health } from "@/types/api";

const RENEW_MS = 30_000;

/** The OpenCode server as it is now. */
export const opencodeOptions = queryOptions({
  queryKey: ["health", "opencode"],
  queryFn: ({ signal }) => answerOf(api.GET("/health/opencode", { signal })),
  refetchInterval: RENEW_MS,
});

function isHealth(body: unknown): body is Health {
  return typeof body === "object" && body !== null && "database" in body;
}

/** The server as it is now; one that cannot work answers 503 with the same document. */
export const healthOptions = queryOptions({
  queryKey: ["health"],
  queryFn: async ({ signal }) => {
    const call = api.GET("/health", { signal });
    const { error } = await call.catch(() => ({ error: undefined }));
    return isHealth(error) ? error : answerOf(call);
  },
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
