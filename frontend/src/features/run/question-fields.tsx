// The questions of an agent as a form: options to choose from, and a field for an answer of one's own.
import { useId } from "react";
import { showHidden } from "@/lib/visible";
import type { Question } from "@/types/api";
import { choose, type Draft, NO_ANSWER, typeOwn } from "./answers";

interface FieldsProps {
  question: Question;
  draft: Draft;
  onChange: (draft: Draft) => void;
}

function Options({ question, draft, onChange }: FieldsProps) {
  const name = useId();
  return question.options.map(({ label, description }) => (
    <label key={label} className="option">
      <input
        type={question.multiple ? "checkbox" : "radio"}
        name={name}
        checked={draft.chosen.includes(label)}
        onChange={() => onChange(choose(question, draft, label))}
      />
      <span>
        {showHidden(label)}
        {description && <small className="block">{showHidden(description)}</small>}
      </span>
    </label>
  ));
}

function QuestionField({ question, draft, onChange }: FieldsProps) {
  const id = useId();
  return (
    <fieldset className="grid min-w-0 gap-1.5">
      <legend className="mb-1.5 font-semibold">{showHidden(question.question || question.header)}</legend>
      <Options question={question} draft={draft} onChange={onChange} />
      {(question.custom || question.options.length === 0) && (
        <div>
          <label htmlFor={id} className={question.options.length > 0 ? "field-hint block" : "sr-only"}>
            {question.options.length > 0 ? "or in your own words" : "Your answer"}
          </label>
          <textarea
            id={id}
            className="field"
            rows={1}
            value={draft.own}
            onChange={(event) => onChange(typeOwn(question, draft, event.target.value))}
          />
        </div>
      )}
    </fieldset>
  );
}

interface QuestionFieldsProps {
  questions: Question[];
  drafts: Record<number, Draft>;
  onChange: (drafts: Record<number, Draft>) => void;
}

export function QuestionFields({ questions, drafts, onChange }: QuestionFieldsProps) {
  return questions.map((question, index) => (
    <QuestionField
      // biome-ignore lint/suspicious/noArrayIndexKey: the questions of a request never change.
      key={index}
      question={question}
      draft={drafts[index] ?? NO_ANSWER}
      onChange={(draft) => onChange({ ...drafts, [index]: draft })}
    />
  ));
}
