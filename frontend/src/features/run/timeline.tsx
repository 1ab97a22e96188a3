// The timeline: a lane for each step, on the clock of the run.
import { useQueries, useQuery } from "@tanstack/react-query";
import { attemptsOptions, decisionsOptions, liveOptions, requestsOptions } from "@/features/runs/api";
import { duration, elapsed } from "@/lib/format";
import { isFinal } from "@/lib/status";
import type { AgentRequest, Run } from "@/types/api";
import { extent, queueSpan, type Span, type StepTimes, stepSpans, ticks } from "./spans";

const LEGEND = [
  ["model", "model"],
  ["tool", "tools"],
  ["wait", "waiting"],
] as const;
const QUEUED = ["queue", "in line"] as const;
const SECONDS_BELOW_MS = 5 * 60_000;

/** What agents of this run have asked: read only when somebody, or a deadline, answered something. */
function useAsked(run: Run): AgentRequest[] {
  const { data: decisions } = useQuery(decisionsOptions(run.id));
  const answered = decisions?.items.some((event) => event.type.startsWith("request.")) ?? false;
  const { data: earlier } = useQuery({ ...requestsOptions(run.id), enabled: answered });
  const open = run.requests.filter((request) => request.status === "pending");
  return [...(earlier?.items ?? []).filter((request) => request.status !== "pending"), ...open];
}

/** What is known about the times of each step: attempts once read, live parts while it runs. */
function useStepTimes(run: Run): StepTimes[] {
  const asked = useAsked(run);
  const attempts = useQueries({
    queries: run.steps.map((step) => ({ ...attemptsOptions(run.id, step.id), enabled: step.attempts > 0 })),
  });
  const lives = useQueries({ queries: run.steps.map((step) => liveOptions(step.id)) });
  return run.steps.map((step, index) => ({
    step,
    attempts: attempts[index]?.data,
    live: lives[index]?.data,
    asked: asked.filter((request) => request.step_id === step.id),
  }));
}

function Bar({ span, extent: [start, end] }: { span: Span; extent: [number, number] }) {
  const percent = (moment: number) => (100 * (Math.min(Math.max(moment, start), end) - start)) / (end - start);
  const left = percent(span.from);
  return (
    <i className="span" data-kind={span.kind} style={{ left: `${left}%`, width: `${percent(span.to) - left}%` }} />
  );
}

function Lane({ times, before, extent: range, now }: LaneProps) {
  const { step } = times;
  const time = elapsed(step.started_at, step.finished_at, now);
  const open = step.started_at !== null && !isFinal(step.status);
  const waits = step.status.startsWith("waiting");
  return (
    <li className="lane">
      <span>
        {step.order_index + 1} {step.agent_name ?? "approval"}
      </span>
      <span className="track" aria-hidden="true">
        {[...before, ...stepSpans(times, now)].map((span) => (
          <Bar key={`${span.kind} ${span.from}`} span={span} extent={range} />
        ))}
      </span>
      <span className={open ? (waits ? "text-wait" : "text-run") : "text-ink-3"}>
        {step.status === "waiting_for_input" ? "waiting" : time !== undefined && duration(time)}
        {open && " …"}
      </span>
    </li>
  );
}

interface LaneProps {
  times: StepTimes;
  before: Span[];
  extent: [number, number];
  now: number;
}

function Axis({ extent: range, ended }: { extent: [number, number]; ended: boolean }) {
  const short = range[1] - range[0] < SECONDS_BELOW_MS;
  const format = new Intl.DateTimeFormat("en-GB", { timeStyle: short ? "medium" : "short" });
  return (
    <div className="axis" aria-hidden="true">
      {ticks(range, 5).map((moment, index) => (
        <span key={moment} className={index % 4 === 0 ? "" : "wide-only"}>
          {index === 4 && !ended ? "now" : format.format(moment)}
        </span>
      ))}
    </div>
  );
}

export function Timeline({ run, now }: { run: Run; now: number }) {
  const times = useStepTimes(run);
  const range = extent(run, now);
  const queued = queueSpan(run, now);
  const legend = queued.length > 0 ? [QUEUED, ...LEGEND] : LEGEND;
  return (
    <section className="panel timeline" aria-labelledby="timeline">
      <div className="flex flex-wrap justify-between gap-2">
        <h2 id="timeline">Timeline</h2>
        <span className="legend" aria-hidden="true">
          {legend.map(([kind, word]) => (
            <span key={kind}>
              <i className="span" data-kind={kind} />
              {word}
            </span>
          ))}
        </span>
      </div>
      <ol className="grid gap-[7px]">
        {times.map((item, index) => (
          <Lane key={item.step.id} times={item} before={index === 0 ? queued : []} extent={range} now={now} />
        ))}
      </ol>
      <Axis extent={range} ended={run.finished_at !== null} />
    </section>
  );
}
