// The changes of the whole run, with their sum and the commit they are measured from.
import type { Run } from "@/types/api";
import { Changes, DiffCounts, useDiff } from "./changes";

export function ChangesTab({ run }: { run: Run }) {
  const { data: diff } = useDiff(run);
  return (
    <div className="tab-panel grid gap-2.5">
      <p className="text-ink-2">
        All changes in the directory
        {diff?.base && (
          <>
            {" since "}
            <code className="mono">{diff.base.slice(0, 10)}</code>
          </>
        )}
        {diff?.available && (
          <>
            {": "}
            <DiffCounts diff={diff} />
          </>
        )}
      </p>
      <Changes run={run} />
    </div>
  );
}
