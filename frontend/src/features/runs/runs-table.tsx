// The rows of the list, and the keys j and k that walk over them.
import { Link } from "@tanstack/react-router";
import { useRef } from "react";
import { Pips } from "@/components/pips";
import { StatusPill } from "@/components/status-pill";
import { ago, baseName, dollars, duration, elapsed } from "@/lib/format";
import { useShortcuts } from "@/lib/keys";
import { useNow } from "@/lib/now";
import { isFinal, runSign, runWord } from "@/lib/status";
import { showHidden } from "@/lib/visible";
import type { RunSummary } from "@/types/api";
import { stepLine } from "./step-line";

function Row({ run, now }: { run: RunSummary; now: number }) {
  const time = elapsed(run.started_at, run.finished_at, now);
  const place = [run.template ?? "own steps", baseName(run.working_dir), run.branch].filter(Boolean).join(" · ");
  return (
    <tr className="relative">
      <td>
        <StatusPill status={runSign(run)}>{runWord(run)}</StatusPill>
      </td>
      <td>
        <Link to="/runs/$runId" params={{ runId: String(run.id) }} className="run-title" data-run-link>
          {showHidden(run.title)}
        </Link>
        <br />
        <small title={run.working_dir}>{showHidden(place)}</small>
      </td>
      <td>
        <Pips steps={run.steps} />
        <small>{showHidden(stepLine(run))}</small>
      </td>
      <td className="num">{time === undefined ? "–" : duration(time)}</td>
      <td className="num">{run.cost === null ? "–" : dollars(run.cost)}</td>
      <td className="num text-ink-3">
        <time dateTime={run.created_at} title={new Date(run.created_at).toLocaleString()}>
          {ago(run.created_at, now)}
        </time>
      </td>
    </tr>
  );
}

/** Moves the focus from row to row. */
function useRowKeys() {
  const body = useRef<HTMLTableSectionElement>(null);
  const move = (by: number) => {
    const links = [...(body.current?.querySelectorAll<HTMLElement>("[data-run-link]") ?? [])];
    const at = links.indexOf(document.activeElement as HTMLElement);
    links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
  };
  useShortcuts({ j: () => move(1), k: () => move(-1) });
  return body;
}

export function RunsTable({ runs }: { runs: RunSummary[] }) {
  const body = useRowKeys();
  const now = useNow(runs.some((run) => !isFinal(run.status)) ? 1_000 : 30_000);
  return (
    <table className="runs-table">
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Run</th>
          <th scope="col">Steps</th>
          <th scope="col" className="num">
            Time
          </th>
          <th scope="col" className="num">
            Cost
          </th>
          <th scope="col" className="num">
            Started
          </th>
        </tr>
      </thead>
      <tbody ref={body}>
        {runs.map((run) => (
          <Row key={run.id} run={run} now={now} />
        ))}
      </tbody>
    </table>
  );
}
