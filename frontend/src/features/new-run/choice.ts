// The models chosen for steps, by the index of the step from 0; a step without a choice keeps its own.

export type Choices = Record<number, string>;

/** The choices with one changed; null takes it back. */
export function withChoice(chosen: Choices, index: number, ref: string | null): Choices {
  const { [index]: _, ...others } = chosen;
  return ref === null ? others : { ...others, [index]: ref };
}
