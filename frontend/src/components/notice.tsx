// Sentences that stand apart: a failure, a warning, a list that is still empty.
import type { ReactNode } from "react";

/** A framed sentence. Failures are read out at once, the rest when there is a pause. */
export function Notice({ tone, children }: { tone: "bad" | "wait" | "idle"; children: ReactNode }) {
  return (
    <div className="notice" data-tone={tone} role={tone === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}

/** What stands in place of a list that has nothing to show: what that means and what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="grid justify-items-center gap-2 px-4 py-12 text-center text-ink-2">
      <p className="font-semibold text-ink">{title}</p>
      {children}
    </div>
  );
}

/** Stands where content will be; says so to those who cannot see it. */
export function Loading({ what }: { what: string }) {
  return (
    <p role="status" className="p-4 text-ink-3">
      Loading {what} …
    </p>
  );
}
