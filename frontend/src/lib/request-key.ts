// Names a request that creates something, so that sending it twice creates one thing.
import { useRef } from "react";

// Not crypto.randomUUID: a page that is not served from this machine may lack it.
function freshKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The header of a request: one key for one and the same request until `forget` says that it has succeeded. */
export function useRequestKey() {
  const named = useRef<{ text: string; key: string } | null>(null);
  return {
    headerOf(request: unknown): { "idempotency-key": string } {
      const text = JSON.stringify(request) ?? "";
      if (named.current?.text !== text) named.current = { text, key: freshKey() };
      return { "idempotency-key": named.current.key };
    },
    forget(): void {
      named.current = null;
    },
  };
}
