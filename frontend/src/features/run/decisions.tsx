// Everything that people have decided about a run, oldest first: who, when, what, and in which words.
import { useQuery } from "@tanstack/react-query";
import { decisionsOptions } from "@/features/runs/api";
import { clock } from "@/lib/format";
import { showHidden } from "@/lib/visible";
import type { AuditEvent, Run } from "@/types/api";
import { decisionLine } from "./decision-lines";

function Decision({ run, event, now }: { run: Run; event: AuditEvent; now: number }) {
  const { who, what, on, said } = decisionLine(run, event);
  return (
    <li className="decision">
      <time dateTime={event.at} className="text-ink-3">
        {clock(event.at, now)}
      </time>
      <div className="min-w-0">
        <p>
          <b className="font-semibold">{showHidden(who)}</b> {showHidden(what)}
        </p>
        {on && <pre className="text-block text-ink-2">{showHidden(on)}</pre>}
        {said && <blockquote>{showHidden(said)}</blockquote>}
      </div>
    </li>
  );
}

/** Why the list may not begin with the creation of the run. */
function missing(events: AuditEvent[], more: boolean): string | null {
  if (more) return "The oldest decisions are not shown; the export of the audit log has all.";
  const whole = events.some((event) => event.type === "pipeline.created");
  return whole ? null : "Older decisions were removed from the audit log by a clean-up.";
}

/** Nothing while nobody has decided anything but to begin. */
export function Decisions({ run, now }: { run: Run; now: number }) {
  const { data } = useQuery(decisionsOptions(run.id));
  if (!data || data.items.every((event) => event.type === "pipeline.created")) return null;
  const note = missing(data.items, data.next_cursor !== null);
  return (
    <section className="panel mt-4 px-[18px] py-3.5" aria-labelledby="decisions">
      <h2 id="decisions">Decisions</h2>
      {note && <p className="mt-1.5 text-ink-3">{note}</p>}
      <ol className="mt-2 grid grid-cols-[minmax(0,1fr)] gap-2">
        {data.items.toReversed().map((event) => (
          <Decision key={event.id} run={run} event={event} now={now} />
        ))}
      </ol>
    </section>
  );
}
