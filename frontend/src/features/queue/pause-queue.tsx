// Pauses the queue after one question: nothing is lost by it, but nothing begins any more.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Dialog } from "@/components/dialog";
import { Notice } from "@/components/notice";
import { sentenceOf } from "@/lib/api";
import { queueOptions, useSteering } from "./api";

const REASON_LENGTH = 500;

function PauseDialog({ onClose }: { onClose: () => void }) {
  const steering = useSteering();
  const [reason, setReason] = useState("");
  const pause = () => steering.mutate({ action: "pause", reason: reason.trim() || null }, { onSuccess: onClose });
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()} title="Pause the queue?">
      <p className="mt-2 text-ink-2">
        Steps at work finish; no other begins, in any run, until the queue is resumed. New runs, approvals and restarts
        are taken and wait.
      </p>
      <label className="mt-3 grid gap-1">
        Reason (optional)
        <input
          className="field"
          value={reason}
          maxLength={REASON_LENGTH}
          onChange={(event) => setReason(event.target.value)}
        />
      </label>
      {steering.isError && (
        <div className="mt-3">
          <Notice tone="bad">{sentenceOf(steering.error)}</Notice>
        </div>
      )}
      <div className="mt-4 flex justify-end gap-2">
        <button type="button" className="btn" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="btn btn-primary" disabled={steering.isPending} onClick={pause}>
          {steering.isPending ? "Pausing …" : "Pause queue"}
        </button>
      </div>
    </Dialog>
  );
}

/** The button that asks; absent while the queue is paused, as the banner has the way back. */
export function PauseQueue() {
  const queue = useQuery(queueOptions).data;
  const [asks, setAsks] = useState(false);
  if (!queue || queue.paused) return null;
  return (
    <>
      <button type="button" className="btn btn-ghost" onClick={() => setAsks(true)}>
        Pause queue
      </button>
      {asks && <PauseDialog onClose={() => setAsks(false)} />}
    </>
  );
}
