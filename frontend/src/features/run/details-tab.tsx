// The facts of a step: the model asked, resolved and used, what an attempt cost, and how it ended.
import type { ReactNode } from "react";
import { clock, duration, elapsed, exactDollars } from "@/lib/format";
import { originWord } from "@/lib/model-why";
import { stepWord } from "@/lib/status";
import { showHidden } from "@/lib/visible";
import type { Attempt, Step, Tokens } from "@/types/api";
import type { StepView } from "./step-panel";

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Mono({ children }: { children: string | null }) {
  return children === null ? (
    <span className="text-ink-3">–</span>
  ) : (
    <code className="mono">{showHidden(children)}</code>
  );
}

/** Tokens in all their kinds; kinds that did not occur are left out. */
export function tokensLine(tokens: Tokens): string {
  const kinds = Object.entries(tokens).filter(([, value]) => value > 0);
  return (
    kinds.map(([kind, value]) => `${value.toLocaleString("en-US")} ${kind.replace("_", " ")}`).join(" · ") || "none"
  );
}

/** A cost in full; without a known price it is unknown, and before anything ran there is none. */
export function costLine(cost: number | null, tokens: Tokens): string {
  if (cost !== null) return exactDollars(cost);
  return Object.values(tokens).some((value) => value > 0) ? "unknown" : "–";
}

function StepFacts({ step }: { step: Step }) {
  return (
    <>
      <Fact name="Model asked for">
        <Mono>{step.model}</Mono>
      </Fact>
      <Fact name="resolved to">
        <Mono>{step.resolved_model}</Mono>
      </Fact>
      <Fact name="ran">
        <Mono>{step.used_model}</Mono>
      </Fact>
      <Fact name="chosen by">{originWord(step.model_origin)}</Fact>
      <Fact name="Status">
        {stepWord(step.status)}
        {step.error_code && (
          <>
            {" "}
            · <Mono>{step.error_code}</Mono>
          </>
        )}
      </Fact>
      {step.attempts_allowed > 1 && (
        <Fact name="Tries">
          {step.attempts_made} of {step.attempts_allowed}
        </Fact>
      )}
      <Fact name="Tokens">{tokensLine(step.tokens)}</Fact>
      <Fact name="Cost">{costLine(step.cost, step.tokens)}</Fact>
      {step.description && <Fact name="Description">{showHidden(step.description)}</Fact>}
    </>
  );
}

function AttemptFacts({ attempt, now }: { attempt: Attempt; now: number }) {
  const time = elapsed(attempt.started_at, attempt.finished_at, now) ?? 0;
  return (
    <>
      <Fact name={`Attempt ${attempt.number}`}>{attempt.outcome?.replaceAll("_", " ") ?? "open"}</Fact>
      {attempt.error_message && <Fact name="Error">{showHidden(attempt.error_message)}</Fact>}
      {attempt.note && <Fact name="Note">{showHidden(attempt.note)}</Fact>}
      <Fact name="Started">
        {clock(attempt.started_at, now)}, {duration(time)} long
      </Fact>
      <Fact name="Model">
        <Mono>{attempt.used_model}</Mono>
      </Fact>
      <Fact name="Model calls">{attempt.model_calls}</Fact>
      <Fact name="Tokens">{tokensLine(attempt.tokens)}</Fact>
      <Fact name="Cost">{costLine(attempt.cost, attempt.tokens)}</Fact>
      <Fact name="OpenCode session">
        <Mono>{attempt.session_id}</Mono>
      </Fact>
    </>
  );
}

export function DetailsTab({ view: { step, attempt, now } }: { view: StepView }) {
  return (
    <dl className="facts tab-panel">
      <StepFacts step={step} />
      {attempt && (
        <>
          <div className="apart" />
          <AttemptFacts attempt={attempt} now={now} />
        </>
      )}
    </dl>
  );
}
