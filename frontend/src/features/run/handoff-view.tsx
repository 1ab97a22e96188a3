// What an agent left for the next one: four sections side by side, missing ones said to be missing.
import { useState } from "react";
import { Markdown } from "@/components/markdown";
import { Empty } from "@/components/notice";
import { isFinal } from "@/lib/status";
import { showHidden } from "@/lib/visible";
import type { Handoff, Step } from "@/types/api";

const SECTIONS = [
  ["what_was_done", "What was done"],
  ["decisions_made", "Decisions made"],
  ["open_questions", "Open questions"],
  ["next_agent_context", "Next agent context"],
] as const satisfies [keyof Handoff["sections"], string][];

/** The sections; a text without them is shown whole. */
export function HandoffView({ handoff }: { handoff: Handoff }) {
  if (!handoff.structured) {
    return (
      <div className="hand">
        <section className="hand-whole">
          <h3>Hand-off without the four headings</h3>
          <Markdown text={handoff.text} />
        </section>
      </div>
    );
  }
  return (
    <div className="hand">
      {SECTIONS.map(([key, title]) => (
        <section key={key}>
          <h3>{title}</h3>
          {handoff.sections[key]?.trim() ? (
            <Markdown text={handoff.sections[key]} />
          ) : (
            <p className="text-wait">missing: the agent did not write it</p>
          )}
        </section>
      ))}
    </div>
  );
}

/** A hand-off that stays: one that a person edited says so, and shows on demand what the agent wrote. */
export function KeptHandoff({ handoff }: { handoff: Handoff }) {
  const [showsOriginal, showOriginal] = useState(false);
  const { edited_by, original } = handoff;
  return (
    <div className="hand-alone">
      {edited_by !== null && (
        <p className="px-[18px] py-2.5 text-ink-2">
          edited by <b className="font-semibold">{showHidden(edited_by)}</b>
          {original !== null && (
            <>
              {" · "}
              <button type="button" className="btn-link" onClick={() => showOriginal(!showsOriginal)}>
                {showsOriginal ? "show the edited one" : "show original"}
              </button>
            </>
          )}
        </p>
      )}
      {showsOriginal && original !== null ? (
        <div className="hand">
          <section className="hand-whole" aria-label="As the agent wrote it">
            <Markdown text={original} />
          </section>
        </div>
      ) : (
        <HandoffView handoff={handoff} />
      )}
    </div>
  );
}

export function HandoffTab({ step }: { step: Step }) {
  if (!step.latest_handoff) {
    return (
      <Empty
        title={isFinal(step.status) ? "This step left no hand-off." : "The hand-off comes when the step is done."}
      />
    );
  }
  return <KeptHandoff key={step.latest_handoff.created_at} handoff={step.latest_handoff} />;
}
