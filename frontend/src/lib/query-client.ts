// The cache of everything read from the API, with the defaults that suit a page fed by an event stream.
import { QueryCache, QueryClient } from "@tanstack/react-query";
import { ApiProblem, isUnauthorized } from "./api";

export const sessionKey = ["session"] as const;
export const connectionKey = ["connection"] as const;

/** Answers that trying again cannot change. */
function isFinal(error: unknown): boolean {
  return error instanceof ApiProblem && error.status >= 400 && error.status < 500;
}

/** A client whose cache learns from any call that the login is gone. */
export function createQueryClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onError: (error) => {
        if (isUnauthorized(error)) client.setQueryData(sessionKey, "signed-out");
      },
    }),
    defaultOptions: {
      queries: {
        staleTime: 30_000,
        retry: (failures, error) => failures < 2 && !isFinal(error),
        refetchOnWindowFocus: false,
      },
      mutations: { retry: false },
    },
  });
  return client;
}
