// Asks whether a run is really to be aborted, and waits until its agent has stopped.
import { Dialog } from "@/components/dialog";
import { Notice } from "@/components/notice";
import { sentenceOf } from "@/lib/api";
import { showHidden } from "@/lib/visible";
import type { Run } from "@/types/api";
import { useDecision } from "./decide";

export function AbortDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const action = useDecision(run.id);
  const abort = () => action.mutate({ action: "abort" }, { onSuccess: onClose });
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()} title="Abort this run?">
      <p className="mt-2 text-ink-2">
        “{showHidden(run.title)}” stops now; its agent is told to stop too. What it has changed in the directory stays.
        It can be restarted later.
      </p>
      {action.isError && (
        <div className="mt-3">
          <Notice tone="bad">{sentenceOf(action.error)}</Notice>
        </div>
      )}
      <div className="mt-4 flex justify-end gap-2">
        <button type="button" className="btn" onClick={onClose}>
          Keep running
        </button>
        <button type="button" className="btn btn-bad" disabled={action.isPending} onClick={abort}>
          {action.isPending ? "Stopping …" : "Abort the run"}
        </button>
      </div>
    </Dialog>
  );
}
