// Loose matching of what a person types against names.

/** Places of the query's letters in order: smaller is better; undefined when they do not all occur. */
function spread(query: string, text: string): number | undefined {
  let from = 0;
  let gaps = 0;
  for (const letter of query) {
    const at = text.indexOf(letter, from);
    if (at < 0) return undefined;
    gaps += at - from;
    from = at + 1;
  }
  return gaps;
}

/**
 * How well `query` fits `text`: 0 is best, undefined is not at all.
 * Each word of the query must fit; a word found as it stands beats one whose letters are scattered.
 */
export function fitness(query: string, text: string): number | undefined {
  const hay = text.toLowerCase();
  let total = 0;
  for (const word of query.toLowerCase().split(/\s+/).filter(Boolean)) {
    const at = hay.indexOf(word);
    const scattered = at < 0 ? spread(word, hay) : undefined;
    if (at < 0 && (scattered === undefined || scattered > word.length * 3)) return undefined;
    total += at >= 0 ? Math.min(at, 50) : 100 + (scattered ?? 0);
  }
  return total;
}
