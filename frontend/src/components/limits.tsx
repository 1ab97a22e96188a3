// The way to the two things that nobody can promise, from wherever they matter.
import { lazy, Suspense, useState } from "react";

const LimitsDialog = lazy(async () => ({ default: (await import("./limits-dialog")).LimitsDialog }));

/** A link that opens the explanation. The sentence beside it says what matters there. */
export function AboutLimits() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="btn-link" onClick={() => setOpen(true)}>
        About limits
      </button>
      {open && (
        <Suspense>
          <LimitsDialog onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}
