// The hand-off at an open gate: as it is, or as Markdown to be edited before it goes on.
import { useId } from "react";
import type { Handoff } from "@/types/api";
import { HandoffView } from "./handoff-view";

interface HandoffEditProps {
  handoff: Handoff;
  /** The edited text; undefined while it goes on as it is. */
  text: string | undefined;
  onChange: (text: string | undefined) => void;
}

function Editor({ text, onChange }: { text: string; onChange: HandoffEditProps["onChange"] }) {
  const id = useId();
  return (
    <div className="border-y border-line bg-panel px-[18px] py-3.5">
      <label className="label" htmlFor={id}>
        Hand-off <span className="font-normal text-ink-3">goes on like this when you approve</span>
      </label>
      <textarea
        id={id}
        className="field mono"
        rows={14}
        value={text}
        aria-describedby={`${id}h`}
        onChange={(event) => onChange(event.target.value)}
      />
      <div className="mt-1.5 flex flex-wrap items-baseline justify-between gap-2.5">
        <span id={`${id}h`} className="text-[12.5px] text-ink-3">
          Markdown; keep the four headings. What the agent wrote is kept too.
        </span>
        <button type="button" className="btn-link" onClick={() => onChange(undefined)}>
          Discard my edit
        </button>
      </div>
    </div>
  );
}

export function HandoffEdit({ handoff, text, onChange }: HandoffEditProps) {
  if (text !== undefined) return <Editor text={text} onChange={onChange} />;
  return (
    <>
      <HandoffView handoff={handoff} />
      <div className="px-[18px] pt-2.5">
        <button type="button" className="btn-link" onClick={() => onChange(handoff.text)}>
          Edit before it goes on
        </button>
      </div>
    </>
  );
}
