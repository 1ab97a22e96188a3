// The browser's login: a token is exchanged once for a cookie that scripts cannot read.
import { queryOptions } from "@tanstack/react-query";
import { answerOf, api, isUnauthorized } from "@/lib/api";
import { sessionKey } from "@/lib/query-client";

export type Session = "signed-in" | "signed-out";

/** Exchanges a token for the cookie. */
export function logIn(token: string): Promise<void> {
  return answerOf(api.POST("/login", { body: { token } }));
}

/** Takes the cookie back. */
export function logOut(): Promise<void> {
  return answerOf(api.DELETE("/login"));
}

/** Whether the browser is logged in, found out by asking something that needs it. */
export const sessionOptions = queryOptions<Session>({
  queryKey: sessionKey,
  queryFn: async ({ signal }) => {
    try {
      await answerOf(api.GET("/health/opencode", { signal }));
      return "signed-in";
    } catch (error) {
      if (isUnauthorized(error)) return "signed-out";
      throw error;
    }
  },
  staleTime: Number.POSITIVE_INFINITY,
});

/** The token in the address, such as `#token=…`; the address must not keep it. */
export function tokenIn(hash: string): string | null {
  const token = new URLSearchParams(hash.replace(/^#/, "")).get("token");
  return token === null || token.trim() === "" ? null : token.trim();
}

/** Uses the token of the address, if there is one, and takes it out of the address and its history. */
export async function logInFromAddress(): Promise<void> {
  const token = tokenIn(location.hash);
  if (token === null) return;
  history.replaceState(history.state, "", location.pathname + location.search);
  await logIn(token).catch(() => undefined);
}
