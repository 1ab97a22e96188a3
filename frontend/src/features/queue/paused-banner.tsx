// Stands above runs while the queue is paused: who did it, when and why, what still works, and the way out.
import { useQuery } from "@tanstack/react-query";
import { Notice } from "@/components/notice";
import { sentenceOf } from "@/lib/api";
import { clock, plural } from "@/lib/format";
import { useNow } from "@/lib/now";
import { showHidden } from "@/lib/visible";
import type { Queue } from "@/types/api";
import { queueOptions, useSteering } from "./api";

const RENEW_MS = 60_000;

/** What is left of the work that began before the pause. */
export function drainLine(queue: Queue): string {
  if (queue.drained) return "No agent is at work.";
  const left = [
    queue.active_steps > 0 && `${plural(queue.active_steps, "step")} still at work`,
    queue.asking_steps > 0 && `${plural(queue.asking_steps, "step")} waiting for a person`,
  ].filter(Boolean);
  return left.length > 0 ? `${left.join(", ")}.` : "An agent is being stopped.";
}

function Paused({ queue }: { queue: Queue }) {
  const now = useNow(RENEW_MS);
  const steering = useSteering();
  const since = queue.paused_at === null ? "" : ` at ${clock(queue.paused_at, now)}`;
  const reason = queue.reason === null ? "" : `: ${showHidden(queue.reason)}`;
  return (
    <div className="mb-3 grid gap-2">
      <Notice tone="wait">
        <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2">
          <span>
            <strong>
              Queue paused by {showHidden(queue.paused_by ?? "somebody")}
              {since}
            </strong>
            {reason}. No step begins. {drainLine(queue)}
          </span>
          <button
            type="button"
            className="btn"
            disabled={steering.isPending}
            onClick={() => steering.mutate({ action: "resume" })}
          >
            {steering.isPending ? "Resuming …" : "Resume queue"}
          </button>
        </div>
      </Notice>
      {steering.isError && <Notice tone="bad">{sentenceOf(steering.error)}</Notice>}
    </div>
  );
}

/** Nothing while the queue is open. */
export function PausedBanner() {
  const queue = useQuery(queueOptions).data;
  return queue?.paused ? <Paused queue={queue} /> : null;
}
