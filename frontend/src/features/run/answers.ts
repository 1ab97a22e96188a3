// What a person answers to the questions of an agent: what is chosen, what is typed, and what goes to the server.
import type { Question } from "@/types/api";

/** One question's answer as it stands in the form. `own` is text of one's own. */
export interface Draft {
  chosen: readonly string[];
  own: string;
}

export const NO_ANSWER: Draft = { chosen: [], own: "" };

/** The draft after a click on an option: a single choice replaces another one and one's own text. */
export function choose(question: Question, draft: Draft, label: string): Draft {
  if (!question.multiple) return { chosen: [label], own: "" };
  const without = draft.chosen.filter((item) => item !== label);
  return { ...draft, chosen: without.length < draft.chosen.length ? without : [...draft.chosen, label] };
}

/** The draft after typing: where one answer is wanted, one's own text takes the place of a chosen option. */
export function typeOwn(question: Question, draft: Draft, own: string): Draft {
  return { chosen: question.multiple || own.trim() === "" ? draft.chosen : [], own };
}

/** A list of answers for each question, in their order; null while a question has none. */
export function answersOf(questions: Question[], drafts: Record<number, Draft>): string[][] | null {
  const answers = questions.map((_, index) => {
    const { chosen, own } = drafts[index] ?? NO_ANSWER;
    return own.trim() === "" ? [...chosen] : [...chosen, own.trim()];
  });
  return answers.every((answer) => answer.length > 0) ? answers : null;
}
