// Opens the one event stream while somebody is logged in, and feeds it into the query cache.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { RunFeed } from "@/features/runs/feed";
import { openEventStream } from "@/lib/event-stream";
import { connectionKey, sessionKey } from "@/lib/query-client";

export function useLiveFeed(): void {
  const client = useQueryClient();
  useEffect(() => {
    const feed = new RunFeed(client);
    return openEventStream({
      onFrames: (frames) => feed.take(frames),
      onConnection: (state) => client.setQueryData(connectionKey, state),
      onGap: () => client.invalidateQueries(),
      onRefused: () => client.invalidateQueries({ queryKey: sessionKey }),
    });
  }, [client]);
}
