// What an agent left for the next one: four sections side by side, missing ones said to be missing.
import { Markdown } from "@/components/markdown";
import { Empty } from "@/components/notice";
import { isFinal } from "@/lib/status";
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

export function HandoffTab({ step }: { step: Step }) {
  if (!step.latest_handoff) {
    return (
      <Empty
        title={isFinal(step.status) ? "This step left no hand-off." : "The hand-off comes when the step is done."}
      />
    );
  }
  return (
    <div className="hand-alone">
      <HandoffView handoff={step.latest_handoff} />
    </div>
  );
}
